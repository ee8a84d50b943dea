"""Pictures as people have them: most digits are read in every state. `scripts/measure_pictures.py` says how many."""

import contextlib
import json
import re
import runpy
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

import cnnlib
from cnnlib.digits import mnist_frame
from cnnlib.digits.confidence import calibrate
from cnnlib.digits.pictures import (
    Steps,
    _at_edge,
    _thickness,
    contrast,
    find_digits,
    find_ink,
    groups,
    highest,
    ink_mask,
    inside_of_frame,
    parts,
    shrink,
    without_lines,
)
from cnnlib.digits.reading import lines_of, steps_of

STORED = Path(__file__).with_name("pictures.json")
pictures = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "measure_pictures.py")))


@pytest.mark.parametrize("state", pictures.STATES)
def test_digits_are_read_in_every_state(state, monkeypatch):
    """On the drawings that come with the package, of which all forty are read as they are."""
    monkeypatch.delenv("CNNLIB_DATA", raising=False)
    right, sure = pictures.measure(20, [state])[state]
    assert right >= 0.85 and sure <= 0.05


def test_numbers_are_found_where_they_are():
    rng = np.random.default_rng(1)
    (strokes, label), *_ = pictures.drawings(1, rng)
    picture = np.tile(pictures.paper(pictures.ink(strokes, 2.2)), (2, 3, 1)) / 255
    found = find_digits(picture)
    assert len(found) == 6
    for digit in found:
        top, left, bottom, right = digit.box
        assert (top + bottom) / 2 % pictures.SIDE == pytest.approx(pictures.SIDE / 2, abs=8)
        assert (left + right) / 2 % pictures.SIDE == pytest.approx(pictures.SIDE / 2, abs=8)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 40), (40, 2), (3, 3), (200, 1)])
def test_pictures_a_few_pixels_wide(shape, tmp_path):
    """Whatever is found in them: they end in no other error than the one for what cannot be read."""
    rng, path = np.random.default_rng(0), tmp_path / "narrow.png"
    for image in (rng.random(shape), rng.random(shape) < 0.5, np.ones(shape), np.arange(shape[0] * shape[1]) % 3 == 0):
        Image.fromarray((255 * image).astype(np.uint8).reshape(shape)).save(path)
        assert len(cnnlib.read_digits(path).digits) <= max(shape)
        with contextlib.suppress(ValueError):
            assert cnnlib.read_digit(path, reject=False).shape == (28, 28)


# --- The steps, one by one


def mask_of(shape, *boxes):
    """A mask of filled boxes (top, left, bottom, right)."""
    mask = np.zeros(shape, bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def test_contrast_is_the_distance_from_the_ground_towards_the_ink():
    ground, ink, light = np.array([0.6, 0.5, 0.4]), np.array([0.2, 0.2, 0.4]), np.array([0.68, 0.56, 0.4])
    colours = np.tile(ground, (6, 9, 1))
    colours[1, :9], colours[3, 2:5] = ink, light
    expected = np.zeros((6, 9))
    expected[1], expected[3, 2:5] = 0.5, -0.1
    np.testing.assert_allclose(contrast(colours), expected, atol=1e-12)
    assert not contrast(np.tile(ground, (3, 4, 1))).any()
    # What is nearly as far as the furthest counts for the direction, and what is less far does not.
    colours[3, 2:5], colours[4, 0:9] = ground, ground - [0, 0, 0.43]
    direction = (9 * (ink - ground) + 9 * np.array([0, 0, -0.43])) / 18
    expected = (colours - ground) @ direction / np.linalg.norm(direction)
    np.testing.assert_allclose(contrast(colours), expected, atol=1e-12)
    colours[4] = ground - [0, 0, 0.42]
    np.testing.assert_allclose(contrast(colours)[[1, 4]], np.tile([[0.5], [0]], 9), atol=1e-12)
    colours[4] = ground - [0, 0, 0.425]  # just 0.85 of it
    assert contrast(colours)[4].min() > 0.2


@pytest.mark.parametrize(("size", "rank"), [(1, 1), (7, 7), (8, 8), (100, 8), (1999, 8), (2000, 9), (4001, 10)])
def test_the_highest_value_but_for_a_few(size, rank):
    values = np.random.default_rng(0).permutation(size).astype(float)
    assert highest(values) == size - rank
    assert highest(values[np.newaxis]) == size - rank


def test_shrinking_takes_means_of_whole_blocks():
    colours = np.random.default_rng(0).random((7, 11, 3))
    small = shrink(colours, 3)
    assert small.shape == (2, 3, 3)
    for i in range(2):
        for j in range(3):
            block = colours[3 * i : 3 * i + 3, 3 * j : 3 * j + 3]
            np.testing.assert_allclose(small[i, j], block.mean(axis=(0, 1)))
    assert (
        shrink(colours, 1) is colours and shrink(colours, 8) is colours and shrink(colours[:2], 3).shape == (2, 11, 3)
    )


def test_thickness_counts_rows_that_are_nearly_full():
    assert _thickness(np.array([1, 0.9, 0.95, 0.89, 1, 0])) == 3
    assert _thickness(np.array([0.5, 1])) == 0 and _thickness(np.ones(4)) == 4


@pytest.mark.parametrize(
    ("box", "edge"),
    [
        ((2, 2, 18, 28), False),
        ((1, 2, 18, 28), True),
        ((2, 1, 18, 28), True),
        ((2, 2, 19, 28), True),
        ((2, 2, 18, 29), True),
    ],
)
def test_at_the_edge_is_within_a_pixel_of_it(box, edge):
    (part,) = parts(mask_of((20, 30), box))
    assert _at_edge(part, (20, 30)) == edge


def test_parts_touch_at_corners_and_the_largest_comes_first():
    mask = mask_of((12, 12), (0, 0, 1, 1), (3, 3, 5, 5), (5, 5, 8, 8), (10, 0, 12, 2))
    assert [(part.bbox, part.area) for part in parts(mask)] == [
        ((3, 3, 8, 8), 13),
        ((10, 0, 12, 2), 4),
        ((0, 0, 1, 1), 1),
    ]


TALL = (0, 150, 100, 160)  # so that limits are 25, 60 and 12 pixels


@pytest.mark.parametrize(
    ("a", "b", "joined"),
    [
        ((10, 10, 70, 30), (94, 19, 154, 39), True),  # 24 below it, overlapping by 11 of 20
        ((10, 10, 70, 30), (95, 19, 155, 39), False),
        ((10, 10, 70, 30), (94, 20, 154, 40), False),
        ((10, 10, 70, 60), (94, 49, 154, 69), True),  # of the narrower one
        ((10, 10, 70, 60), (94, 50, 154, 70), False),
        ((10, 10, 69, 30), (20, 41, 80, 61), True),  # a small one, 11 beside it
        ((10, 10, 70, 30), (20, 41, 79, 61), True),
        ((10, 10, 70, 30), (20, 41, 80, 61), False),  # neither is small
        ((10, 10, 69, 30), (20, 42, 80, 62), False),
        ((10, 10, 69, 30), (80, 35, 140, 55), True),  # 11 below it, 5 beside it
        ((10, 10, 69, 30), (81, 35, 141, 55), False),
        ((94, 19, 154, 39), (10, 10, 70, 30), True),
    ],
)
def test_which_parts_are_of_one_digit(a, b, joined):
    mask = mask_of((160, 165), TALL, a, b)
    union = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    assert sorted(groups(mask)) == sorted([TALL, union] if joined else [TALL, a, b])
    turned = [(top, 165 - right, bottom, 165 - left) for top, left, bottom, right in groups(mask)]
    assert sorted(groups(mask[:, ::-1])) == sorted(turned)


def test_groups_grow_until_nothing_joins_them():
    """The second dot touches what the first and its bar have become; the other bar is apart."""
    boxes = [(0, 0, 40, 6), (10, 10, 14, 14), (10, 18, 14, 22), (0, 50, 40, 56)]
    assert groups(mask_of((50, 60), *boxes)) == [(0, 50, 40, 56), (0, 0, 40, 22)]
    assert groups(np.zeros((5, 5), bool)) == []


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2])
def test_thousands_of_specks_cost_little(share):
    """Each with each, and anew after each pair, would take minutes."""
    mask = np.random.default_rng(0).random((160, 160)) < share
    start = time.process_time()
    boxes = groups(mask)
    assert time.process_time() - start < 5 and boxes
    for top, left, bottom, right in boxes:
        assert mask[top:bottom, left:right].any()


@pytest.mark.parametrize("lies", [False, True])
def test_a_line_across_is_taken_out_and_strokes_are_joined(lies):
    """Of what is above and below within two rows, and two columns aside; what hangs on the line goes with it."""
    line = mask_of((60, 60), (20, 0, 22, 60))
    stroke = mask_of((60, 60), (5, 18, 50, 21))
    hung = mask_of((60, 60), (19, 5, 20, 7), (22, 50, 23, 51))
    bridge = mask_of((60, 60), (18, 35, 19, 36), (24, 36, 25, 37))
    apart = mask_of((60, 60), (16, 28, 17, 29), (23, 28, 24, 29), (18, 45, 19, 46), (25, 45, 26, 46))
    kept = mask_of((60, 60), (20, 16, 22, 23), (20, 34, 22, 38))
    mask, expected = line | stroke | hung | bridge | apart, stroke | bridge | apart | kept
    if lies:
        mask, expected = mask.T, expected.T
    np.testing.assert_array_equal(without_lines(mask), expected)


@pytest.mark.parametrize(
    ("boxes", "shape", "removed"),
    [
        ([(20, 0, 21, 40)], (60, 40), True),
        ([(20, 1, 21, 40)], (60, 40), True),  # it may end a pixel before the edge, on one side
        ([(20, 0, 21, 39)], (60, 40), True),
        ([(20, 2, 21, 40)], (60, 40), False),
        ([(20, 1, 21, 39)], (60, 40), False),
        ([(20, 0, 21, 13), (20, 28, 21, 40)], (60, 40), True),  # 25 of 40
        ([(20, 0, 21, 12), (20, 28, 21, 40)], (60, 40), False),  # 24 of 40
        ([(20, 0, 23, 40)], (60, 40), True),  # a twentieth of the height
        ([(20, 0, 24, 40)], (60, 40), False),
        ([(20, 0, 22, 40)], (30, 40), True),
        ([(20, 0, 23, 40)], (30, 40), False),
        ([(20, 0, 21, 40), (22, 0, 23, 40)], (60, 40), True),  # two lines
    ],
)
@pytest.mark.parametrize("lies", [False, True])
def test_what_counts_as_a_line(boxes, shape, removed, lies):
    """Between other ink, above and below."""
    other = mask_of(shape, (5, 15, 9, 20), (shape[0] - 4, 15, shape[0] - 1, 20))
    mask = mask_of(shape, *boxes) | other
    mask, expected = (mask.T, other.T) if lies else (mask, other)
    np.testing.assert_array_equal(without_lines(mask), expected if removed else mask)


@pytest.mark.parametrize(
    ("boxes", "removed"),
    [
        ([], False),  # a lonely line may be a stroke
        ([(5, 9, 9, 12)], False),
        ([(26, 9, 40, 12)], False),
        ([(17, 9, 18, 12), (24, 30, 25, 32)], True),  # unless there is ink on both sides, three rows away
        ([(18, 9, 19, 12), (24, 30, 25, 32)], False),
        ([(17, 9, 18, 12), (23, 30, 24, 32)], False),
        ([(22, 9, 49, 12)], False),
        ([(22, 9, 50, 12)], True),  # or in half of all rows
        ([(50, 0, 51, 40)], True),  # or another line
    ],
)
def test_a_line_alone(boxes, removed):
    other = mask_of((60, 40), *boxes)
    mask = mask_of((60, 40), (20, 0, 22, 40)) | other
    expected = mask_of((60, 40), *(box for box in boxes if box[1])) if removed else mask
    if boxes == [(22, 9, 50, 12)]:
        expected = mask_of((60, 40), (23, 9, 50, 12))  # it touches the line
    np.testing.assert_array_equal(without_lines(mask), expected)


def test_lines_at_the_very_top_and_below():
    mask = mask_of((60, 40), (0, 0, 1, 40), (59, 0, 60, 40), (20, 10, 40, 14))
    np.testing.assert_array_equal(without_lines(mask), mask_of((60, 40), (20, 10, 40, 14)))
    np.testing.assert_array_equal(without_lines(mask.T), mask_of((60, 40), (20, 10, 40, 14)).T)


def frame(box, sides, inside=(), shape=(80, 100)):
    """A mask of a frame whose four sides are so thick, and of what is inside of it."""
    top, left, bottom, right = box
    mask = mask_of(shape, box)
    mask[top + sides[0] : bottom - sides[1], left + sides[2] : right - sides[3]] = False
    return mask | mask_of(shape, *inside)


DIGIT = (30, 40, 45, 50)


def inner(mask):
    found = inside_of_frame(parts(mask), mask.shape)
    return found and tuple((each.start, each.stop) for each in found)


def test_what_lies_within_a_frame():
    """Two pixels away from its lines, however thick they are."""
    assert inner(frame((5, 10, 70, 95), (2, 3, 4, 5), [DIGIT])) == ((9, 65), (16, 88))
    assert inner(frame((5, 10, 70, 95), (5, 4, 3, 2), [DIGIT])) == ((12, 64), (15, 91))
    # A panel is filled, but for the digit.
    assert inner(mask_of((80, 100), (5, 10, 70, 95)) & ~mask_of((80, 100), (20, 40, 55, 50))) == ((6, 69), (11, 94))
    assert inner(mask_of((80, 100), (5, 10, 70, 95))) is None  # nothing is within it
    assert inner(mask_of((80, 100), DIGIT)) is None and inner(np.zeros((80, 100), bool)) is None


@pytest.mark.parametrize(
    ("height", "width", "is_one"), [(32, 60, True), (31, 60, False), (60, 32, True), (60, 31, False)]
)
def test_a_frame_has_four_tenths_of_the_picture_s_side(height, width, is_one):
    mask = frame((5, 10, 5 + height, 10 + width), (2, 2, 2, 2))
    assert (inner(mask) is not None) == is_one


@pytest.mark.parametrize(("cut", "is_one"), [(14, True), (15, False)])
def test_a_frame_fills_its_box(cut, is_one):
    """By 0.88 of it, when what it encloses is counted: here corners are cut."""
    mask = np.zeros((80, 100), bool)
    i, j = np.indices((60, 60))
    mask[5:65, 20:80] = np.min([i + j, 118 - i - j, i + 59 - j, j + 59 - i], axis=0) >= cut
    filled = mask.sum() / 3600
    assert (filled >= 0.88) == is_one
    mask &= ~ndimage.binary_erosion(mask, iterations=2)
    assert (inner(mask) is not None) == is_one


def test_a_thick_ring_is_no_frame():
    """Such as a bold 0: its sides are more than a fifth of it."""
    assert inner(frame((5, 10, 65, 70), (8, 8, 8, 8))) is not None
    assert inner(frame((5, 10, 65, 70), (1, 13, 1, 1))) is None
    assert inner(frame((5, 10, 65, 70), (1, 12, 1, 1))) is not None


@pytest.mark.parametrize(("height", "is_one"), [(17, True), (16, False)])
def test_what_lies_within_is_larger_than_eight_pixels(height, is_one):
    mask = frame((5, 10, 5 + height, 40), (2, 2, 2, 2), shape=(25, 60))
    assert (inner(mask) is not None) == (inner(mask.T) is not None) == is_one


def test_a_hole_must_be_a_fiftieth_of_a_panel():
    for size, is_one in ((7, False), (9, True)):
        mask = mask_of((60, 80), (5, 5, 55, 65))
        mask[20 : 20 + size, 30 : 30 + size] = False
        assert (size * size >= 0.02 * 3000) == is_one
        assert (inner(mask) is not None) == is_one


def test_the_frame_may_be_one_of_the_three_largest_parts():
    """A blot, or a digit in a frame of thin lines, may be larger."""
    ring = frame((20, 20, 70, 80), (1, 1, 1, 1), [(25, 25, 45, 40), (50, 50, 65, 75)], (80, 100))
    assert inner(ring) == ((23, 67), (23, 77))
    assert inner(ring | mask_of(ring.shape, (25, 50, 45, 75))) is None


# --- All steps together


def signature(picture):
    """What the steps make of a picture: numbers that nearly any change moves."""
    steps, found = Steps(), find_digits(picture)
    ink, mask, place = find_ink(shrink(picture, max(1, -(-max(picture.shape) // 320))), steps)

    def moment(array):
        return float((array * np.cos(np.arange(array.size)).reshape(array.shape)).sum())

    numbers = [moment(array) for array in (*steps.pictures.values(), ink, mask, *(digit.ink for digit in found))]
    return [*steps.pictures], place, [digit.box for digit in found], numbers


def drawn(kind):
    """A picture of digits of the package: drawn by NumPy alone, so it is the same everywhere."""
    rng = np.random.default_rng(3)
    digits = cnnlib.load_digits().test_images
    height, width, scale, *places = {
        "large": (700, 1000, 3, (210, 100), (245, 550)),
        "small": (60, 75, 1, (18, 7), (21, 41)),
        "close": (500, 900, 3, (180, 300), (240, 372), (170, 450), (265, 290)),
        "corners": (500, 900, 2, (-8, -10), (452, 855), (-8, 850), (460, -8)),
        "huge": (900, 700, 20, (150, 60)),
        "sheet": (700, 1000, 3, (300, 450)),
        "middle": (300, 321, 2, (120, 90), (180, 200)),
    }.get(kind, (150, 220, 2, (45, 22), (52, 121)))
    strength = np.zeros((height + 20, width + 20))
    for number, (top, left) in enumerate(places):
        digit = np.kron(digits[number + 5], np.ones((scale, scale))) / 255
        place = strength[top + 10 : top + 10 + len(digit), left + 10 : left + 10 + len(digit)]
        np.maximum(place, digit[: place.shape[0], : place.shape[1]], out=place)
    strength = strength[10:-10, 10:-10]
    if kind == "sheet":  # a frame that stands around the digit alone, and around a dot
        strength[374:387, 524:537] = 1
        strength[[288, 289, 393, 394], 440:545] = strength[288:395, [440, 441, 543, 544]] = 1
    elif kind == "specks":
        for size in range(1, 7):
            strength[10 : 10 + size, 20 * size : 21 * size] = 0.9
        strength[100:140, :12] = 0.8  # it comes in from the edge
    elif kind == "frame":
        strength[[10, 11, 140], 8:208] = strength[10:141, [8, 9, 205, 206, 207]] = 1
    elif kind == "lines":
        strength[::40] = strength[60:62] = 0.7
        strength[:, 100] = 0.9
    paper, ink = np.array([0.9, 0.85, 0.7]), np.array([0.15, 0.1, 0.6])
    if kind in ("light on dark", "panel"):
        paper, ink = ink, paper
    elif kind == "faint":
        ink = paper - 0.06
    picture = paper + strength[..., np.newaxis] * (ink - paper)
    shade = 1 - 0.4 * np.arange(height)[:, np.newaxis] / height - 0.2 * np.cos(np.arange(width) / width)
    picture = picture * shade[..., np.newaxis] if kind != "plain" else picture
    if kind == "panel":
        picture[:30] = picture[-35:] = picture[:, :18] = picture[:, -30:] = [0.8, 0.9, 0.8]
    return np.clip(picture + rng.normal(0, 0.02 * (kind != "plain"), picture.shape), 0, 1)


KINDS = [
    "plain",
    "specks",
    "frame",
    "lines",
    "light on dark",
    "faint",
    "panel",
    "large",
    "small",
    "close",
    "corners",
    "huge",
    "sheet",
    "middle",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_makes_the_same_of_a_picture_as_when_its_accuracy_was_measured(kind):
    """The thresholds in `cnnlib.digits.pictures` were chosen on many pictures: a change needs a new measurement.

    `python scripts/measure_pictures.py` measures; `python tests/cnnlib/digits/test_pictures.py` stores what is new.
    """
    names, place, boxes, numbers = json.loads(STORED.read_text("utf-8"))[kind]
    found = signature(drawn(kind))
    assert found[0] == names and found[1] == tuple(place) and found[2] == [tuple(box) for box in boxes]
    np.testing.assert_allclose(found[3], numbers, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("top", "left"), [(300, 450), (120, 90), (500, 830)])
def test_what_is_near_a_digit_is_not_taken_for_it(top, left):
    """In the fine copy around a digit, dots lie on all four sides of it: the group in the middle is the digit.

    It is cut out with a pixel on each side.
    """
    picture = np.ones((700, 1000, 3))
    boxes = [(0, 0, 120, 80), (48, -44, 72, -20), (48, 100, 72, 124), (-58, 28, -34, 52), (154, 28, 178, 52)]
    for up, to_left, down, to_right in ((0, 28, 120, 52), (48, 0, 72, 80), *boxes[1:]):  # the digit is a cross
        picture[top + up : top + down, left + to_left : left + to_right] = 0
    found = find_digits(picture)
    assert found[0].ink.shape == (122, 82)
    assert found[0].box == pytest.approx((top, left, top + 120, left + 80), abs=4)


@pytest.mark.parametrize(
    ("boxes", "kept"),
    [
        ([(40, 50, 60, 60), (0, 10, 26, 20)], [0]),  # what comes in from the edge, and is not much larger
        ([(40, 50, 60, 60), (0, 10, 40, 20)], [0, 1]),
        ([(0, 10, 26, 20), (80, 50, 100, 60)], [0, 1]),  # there is nothing else
        ([(40, 50, 60, 60), (70, 50, 73, 53)], [0]),  # a speck
        ([(40, 50, 60, 60), (70, 50, 75, 55)], [0, 1]),
        ([(0, 10, 26, 20), (80, 50, 82, 53)], [0, 1]),  # beside it, the stroke at the edge is large
        ([], []),
    ],
)
def test_what_is_kept_of_the_parts(boxes, kept):
    picture = np.ones((100, 120, 3))
    for top, left, bottom, right in boxes:
        picture[top:bottom, left:right] = 0
    ink, mask, place = find_ink(picture)
    middles = [(boxes[k][0] + boxes[k][2]) // 2 for k in kept], [(boxes[k][1] + boxes[k][3]) // 2 for k in kept]
    assert len(parts(mask)) == len(kept) and mask[middles].all() and place == (0, 0)
    assert ink[middles].min(initial=1) > 0.9 and not ink[~ndimage.binary_dilation(mask, iterations=2)].any()


def test_pictures_without_contrast_have_no_ink():
    picture = np.full((30, 40, 3), 0.5)
    picture[10:20, 10:20] = 0.5 + 0.079 / np.sqrt(3)
    ink, mask = ink_mask(picture)
    assert not ink.any() and not mask.any() and mask.dtype == bool
    picture[10:20, 10:20] = 0.5 + 0.12 / np.sqrt(3)
    assert ink_mask(picture)[1].any()


def test_lines_of_writing():
    boxes = np.array([[50, 0, 80, 10], [0, 40, 30, 50], [4, 0, 33, 10], [55, 30, 78, 40]])
    assert lines_of(boxes).tolist() == [1, 0, 0, 1]
    assert lines_of(np.zeros((0, 4), int)).tolist() == []


@pytest.mark.parametrize(
    ("heights", "lines"),
    [
        ([(0, 100), (96, 106)], [0, 0]),  # four of ten pixels
        ([(0, 100), (97, 107)], [0, 1]),
        ([(90, 100), (96, 196)], [0, 0]),
        ([(90, 100), (97, 197)], [0, 1]),
        ([(0, 20), (12, 40), (30, 50)], [0, 0, 0]),  # a line reaches as far as all of it
        ([(0, 20), (12, 40), (27, 80)], [0, 0, 1]),  # 13 of the 40 pixels that it has by then
        ([(0, 20), (12, 40), (24, 80)], [0, 0, 0]),
        ([(0, 10), (20, 30), (40, 50), (41, 52)], [0, 1, 2, 2]),
        ([(0, 10), (20, 30), (4, 11)], [0, 1, 0]),
    ],
)
def test_what_stands_in_a_line(heights, lines):
    boxes = np.array([[top, 5 * number, bottom, 5 * number + 4] for number, (top, bottom) in enumerate(heights)])
    assert lines_of(boxes).tolist() == lines
    assert lines_of(boxes[::-1]).tolist() == lines[::-1]


def page(folder, *digits):
    """Write a picture of digits of the package, given by class, scale and place; return its path, and the labels."""
    data = cnnlib.load_digits()
    picture = np.full((300, 420), 250, np.uint8)
    for label, scale, top, left in digits:
        ink = np.kron(data.test_images[int((data.test_labels == label).argmax())], np.ones((scale, scale)))
        picture[top : top + len(ink), left : left + len(ink)] -= (ink * 0.9).astype(np.uint8)
    pictures.save(np.repeat(picture[..., np.newaxis], 3, axis=2), folder / "page.png")
    return folder / "page.png"


@pytest.mark.parametrize("left", [20, 300])
@pytest.mark.parametrize("reject", [False, True])
def test_of_several_digits_the_largest_is_read(left, reject, tmp_path):
    path = page(tmp_path, (4, 5, 60, 120), (2, 2, 100, left))
    (large, _) = sorted(find_digits(mnist_frame.read_colours(path)), key=lambda digit: -digit.ink.size)
    image = cnnlib.read_digit(path, reject=reject)
    np.testing.assert_array_equal(image, mnist_frame.frame_of(large.ink))
    assert cnnlib.load_pretrained().predict(image[np.newaxis]).argmax() == 4


def test_numbers_are_read_line_by_line(tmp_path):
    path = page(tmp_path, (4, 3, 170, 20), (2, 3, 150, 130), (0, 3, 20, 150), (6, 3, 40, 30))
    reading = cnnlib.read_digits(path)
    assert reading.digits.tolist() == [6, 0, 4, 2] and reading.lines.tolist() == [0, 0, 1, 1]
    found = find_digits(mnist_frame.read_colours(path))
    network = cnnlib.load_pretrained()
    inks = {digit.box: digit.ink for digit in found}
    p = network.predict(np.stack([mnist_frame.frame_of(inks[tuple(box)]) for box in reading.boxes.tolist()]))
    np.testing.assert_allclose(reading.probabilities, calibrate(p).max(axis=1), rtol=1e-6)
    given = cnnlib.read_digits(path, network)
    np.testing.assert_allclose(given.probabilities, p.max(axis=1), rtol=1e-6)
    assert given.digits.tolist() == [6, 0, 4, 2]


def photograph(turn=0, lines=True, seven=False):
    """A lined sheet in shadow, turned on a brown desk, as a phone would take it."""
    sheet = Image.new("RGB", (900, 675), (236, 232, 220))
    pen = ImageDraw.Draw(sheet)
    for y in range(45, 675, 52) if lines else ():
        pen.line([(0, y), (900, y)], (150, 180, 215), 2)
    if lines:
        pen.line([(90, 0), (90, 675)], (220, 120, 120), 2)
    if seven:
        pen.line([(352, 195), (540, 199), (420, 510)], (25, 25, 40), 12, joint="curve")
    colours = np.asarray(sheet.rotate(turn, Image.Resampling.BICUBIC, fillcolor=(120, 90, 60)), float)
    x, y = np.meshgrid(np.linspace(0, 1, 900), np.linspace(0, 1, 675))
    colours *= (0.45 + 0.55 / (1 + np.exp(-(x + y - 0.8) * 6)))[..., np.newaxis]
    noise = np.random.default_rng(0).normal(0, 5, colours.shape)
    picture = Image.fromarray(np.clip(colours + noise, 0, 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(1.5)))


@pytest.mark.parametrize("turn", [0, 8, 20])
def test_on_an_empty_sheet_in_shadow_there_is_no_digit(turn, tmp_path):
    """Neither the edge of the shadow, nor a piece of the desk, nor where lines cross."""
    pictures.save(photograph(turn), tmp_path / "photo.png")
    assert cnnlib.read_digits(tmp_path / "photo.png").digits.tolist() == []


@pytest.mark.parametrize("turn", [0, 8])
def test_on_such_a_sheet_a_digit_is_read(turn, tmp_path):
    pictures.save(photograph(turn, seven=True), tmp_path / "photo.png")
    assert cnnlib.read_digits(tmp_path / "photo.png").digits.tolist() == [7]


def test_a_digit_cut_out_tightly_may_fill_a_corner(tmp_path):
    sheet = Image.new("L", (60, 100), 255)
    ImageDraw.Draw(sheet).line([(0, 4), (55, 4), (25, 99)], 0, 9, joint="curve")
    sheet.save(tmp_path / "tight.png")
    assert cnnlib.read_digits(tmp_path / "tight.png").digits.tolist() == [7]


def test_the_steps_have_names_and_four_digits_are_shown(tmp_path):
    path = page(tmp_path, *((label, 2, 100, 75 * k) for k, label in enumerate((4, 2, 0, 6, 3))))
    steps = steps_of(path)
    names = ["picture", "contrast", "without ground", "ink", "part 1", "part 2", "part 3", "part 4"]
    assert [*steps] == names
    colours = mnist_frame.read_colours(path)
    np.testing.assert_array_equal(steps["picture"], colours)
    np.testing.assert_array_equal(steps["part 2"], mnist_frame.frame_of(find_digits(colours)[1].ink))


def test_a_picture_without_digits_is_read_as_none(tmp_path):
    pictures.save(np.full((9, 9, 3), 255), tmp_path / "empty.png")
    reading = cnnlib.read_digits(tmp_path / "empty.png")
    assert [field.shape for field in reading] == [(0, 4), (0,), (0,), (0,)] and reading.digits.dtype.kind == "i"
    message = f"{tmp_path / 'empty.png'} shows nothing that stands out from its background"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cnnlib.read_digit(tmp_path / "empty.png")


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 3), (700, 2)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_pictures_of_nothing_hold_nothing(shape, value):
    assert find_digits(np.full((*shape, 3), value)) == []


def test_noise_costs_little(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    pictures.save(noise, tmp_path / "noise.png")
    reading = cnnlib.read_digits(tmp_path / "noise.png")
    assert len(reading.boxes) == len(reading.digits) == len(reading.probabilities) < 2_000


@pytest.mark.parametrize("colours", [None, "x", np.zeros((5, 5)), np.zeros((5, 5, 4)), np.full((5, 5, 3), np.nan)])
def test_what_is_no_picture(colours):
    with pytest.raises((TypeError, ValueError), match="colours"):
        find_digits(colours)
    if np.ndim(colours) and np.isfinite(colours).all():
        message = f"colours must be of shape (H, W, 3), got {np.shape(colours)}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            find_digits(colours)


def test_numbers_need_a_network_that_reads_digits(tmp_path):
    pictures.save(np.full((9, 9, 3), 255), tmp_path / "empty.png")
    with pytest.raises(TypeError, match="network must be a Network"):
        cnnlib.read_digits(tmp_path / "empty.png", 5)
    with pytest.raises(ValueError, match=r"^network must read images of shape \(1, 28, 28\), got \(3,\)$"):
        cnnlib.read_digits(tmp_path / "empty.png", cnnlib.Network([cnnlib.Dense(3, 2, rng=0)], (3,)))
    for layers, shape in (([cnnlib.Convolutional(1, 2, 3)], (1, 28, 28)), ([cnnlib.Flatten()], (1, 28, 27))):
        with pytest.raises(ValueError, match="network must read images"):
            cnnlib.read_digits(tmp_path / "empty.png", cnnlib.Network(layers, shape))


if __name__ == "__main__":
    STORED.write_text(json.dumps({kind: signature(drawn(kind)) for kind in KINDS}, indent=1) + "\n", "utf-8")
