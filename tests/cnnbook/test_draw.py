"""Chapter 15: the checks of its exercises accept right answers, and name what is wrong with others."""

import copy

import numpy as np
import pytest
from scipy import ndimage

import cnnlib
from cnnbook import draw as chapter
from cnnbook.checking import WrongAnswer
from cnnlib.digits.fine_tuning import FineTuner


def bright_on_dark(image):
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return 1 - image if np.median(border) > 0.5 else image


def to_middle(image):
    return np.roll(image, *shift(image, exchanged=False))


def shift(image, exchanged):
    pixels, mass = np.arange(28), image.sum()
    y, x = (int(np.floor(14 - image.sum(axis=axis) @ pixels / mass + 0.5)) for axis in (1, 0))
    return ((x, y) if exchanged else (y, x)), (0, 1)


def thin(stroke, gap):
    kept = [stroke[0]]
    for point in stroke[1:-1]:
        if np.linalg.norm(point - kept[-1]) >= gap:
            kept.append(point)
    return np.array(kept + [stroke[-1]] * (len(stroke) > 1))


def otsu(values):
    best, at = -1, 0
    for k in range(255):
        low = values <= k
        if low.any() and not low.all():
            between = low.mean() * (~low).mean() * (values[low].mean() - values[~low].mean()) ** 2
            best, at = max((best, at), (between, k))
    return at


def otsu_without_weights(values):
    return int(np.argmax([chapter._means(values, k) for k in range(255)]))


def otsu_smallest(values):
    between = chapter._between(values)
    return int(np.where(between > 0, between, np.inf).argmin())


def otsu_among(levels):
    def function(values):
        between = chapter._between(values)
        return min((-between[k], k) for k in levels)[1]

    return function


def otsu_by_turns(values):
    """The middle between both means, moved until it rests: a maximum, but not always the largest."""
    k = values.mean()
    for _ in range(100):
        k = (values[values <= k].mean() + values[values > k].mean()) / 2
    return k


def otsu_within(values):
    """The smallest variance within both sides, which is the largest between them."""
    sides = [(values[values <= k], values[values > k]) for k in range(255)]
    return min(
        (sum(side.size * side.var() for side in pair), k) for k, pair in enumerate(sides) if all(map(len, pair))
    )[1]


def otsu_last(values):
    """The last of all thresholds that are equally good."""
    between = chapter._between(values)
    return [int(np.flatnonzero(between == between.max())[-1])]


SQUARE = np.ones((3, 3))
FALLING = [[1, 1, 0], [1, 1, 1], [0, 1, 1]]  # corners along one diagonal only


def without_specks(mask, share, structure=SQUARE, keep=lambda sizes, share: sizes >= share * sizes.max()):
    labels, count = ndimage.label(mask, structure)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return np.isin(labels, 1 + np.flatnonzero(keep(sizes, share)))


def without_specks_filled(mask, share):
    """The same, by a walk over the neighbors of each pixel; a list of rows."""
    parts, left = [], set(zip(*np.nonzero(mask), strict=True))
    while left:
        part = [left.pop()]
        for row, column in part:
            around = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            part += around
        parts.append(part)
    stays = {pixel for part in parts if len(part) >= share * max(map(len, parts)) for pixel in part}
    return [[int((row, column) in stays) for column in range(mask.shape[1])] for row in range(mask.shape[0])]


def shares_of_parts(mask, share):
    labels, _ = ndimage.label(mask, SQUARE)
    sizes = np.bincount(labels.ravel()) * (np.arange(labels.max() + 1) > 0)
    return np.where(sizes >= share * sizes.max(), sizes / sizes.max(), 0)[labels]


def teach(network, images, labels, replay):
    FineTuner(network, replay).fine_tune(images, labels)


def teach_with_labels(network, images, labels, replay):
    often = np.resize(np.arange(len(images)), len(replay) // 7)
    x = np.concatenate([images[often], replay])
    t = np.concatenate([labels[often], network.predict(replay).argmax(axis=1)])
    network.train(x, t, epochs=3, optimizer=cnnlib.SGD(0.005), progress=False)


def teach_alone(network, images, labels, replay):
    network.train(images, labels, epochs=60, batch_size=2, optimizer=cnnlib.SGD(0.005), progress=False)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("centre", (1.75, 0.5)),
        ("distance", (20**0.5,)),
        ("scaled", (11.25,)),
        ("bright_on_dark", (bright_on_dark,)),
        ("to_middle", (to_middle,)),
        ("thin", (thin,)),
        ("otsu", (otsu,)),
        ("without_specks", (without_specks,)),
        ("teach", (teach,)),
    ],
)
def test_right_answers(name, answer, capsys):
    getattr(chapter, f"check_{name}")(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [
        ("centre", (0.5, 1.75), "exchanged"),
        ("centre", (2.0, 0.5), "column number times ink"),
        ("distance", (4,), "the segment ends"),
        ("distance", (20,), "root"),
        ("distance", (41**0.5,), "the end is nearer"),
        ("scaled", (8.75,), "wider"),
        ("scaled", (10.0,), "not scaled"),
        ("centre", (2.75, 1.5), "counted from 0"),
        ("centre", (7, 2), "divide by all"),
        ("centre", (5 / 3, 1 / 3), "counts twice"),
        ("centre", (1, 0.5), "middle of the image"),
        ("centre", (1.75, 1), "row number times ink"),
        ("distance", (6,), "squares"),
        ("distance", (2,), "across alone"),
        ("distance", (5 / 3,), "this is t"),
        ("distance", (5,), "is not it"),
        ("scaled", (12.5,), "needs room"),
        ("scaled", (20,), "the height"),
        ("scaled", (17.5,), "height of the points"),
        ("scaled", (13.0,), "made small"),
        ("scaled", (11,), "is not it"),
        ("bright_on_dark", (lambda image: -image if image[0].mean() > 0.5 else image,), "border is bright|negative"),
        ("bright_on_dark", (lambda image: 255 - image if image[0, 0] > 0.5 else image,), "not to 255"),
        ("bright_on_dark", (lambda image: 1 - image if image[0, 0] > 0.5 else image,), "even a corner"),
        ("bright_on_dark", (lambda image: np.abs(image - image[0, 0]),), "even a corner"),
        ("bright_on_dark", (lambda image: 1 - image if image[0].mean() > 0.5 else image,), "all of the border"),
        ("bright_on_dark", (lambda image: 1 - image if image[[0, -1]].mean() > 0.5 else image,), "all of the border"),
        (
            "bright_on_dark",
            (lambda image: 1 - image if image[:, [0, -1]].mean() > 0.5 else image,),
            "all of the border",
        ),
        ("bright_on_dark", (lambda image: 1 - image if image[::27, ::27].mean() > 0.5 else image,), "the border"),
        ("bright_on_dark", (lambda image: (bright_on_dark(image) > 0.5) * 1.0,), "is 0"),
        ("to_middle", (lambda image: np.roll(image, (-a for a in shift(image, False)[0]), (0, 1)),), "stops|wrong way"),
        ("to_middle", (lambda image: np.roll(image, [-a for a in shift(image, False)[0]], (0, 1)),), "wrong way"),
        ("to_middle", (lambda image: np.roll(image, [a - 1 for a in shift(image, False)[0]], (0, 1)),), "14, 14"),
        ("to_middle", (lambda image: np.roll(image, shift(image, False)[0][0], 0),), "columns, too"),
        ("to_middle", (lambda image: np.roll(image, shift(image, False)[0][1], 1),), "rows, too"),
        ("to_middle", (lambda image: 2 * to_middle(image),), "doubled"),
        ("thin", (lambda stroke, gap: thin(stroke, 2 * gap),), "once the gap"),
        ("thin", (lambda stroke, gap: thin(stroke, np.nextafter(gap, 9)),), "at exactly the gap"),
        ("thin", (lambda stroke, gap: thin(stroke[::-1], gap)[::-1],), "apart|other points|once the gap"),
        ("thin", (lambda stroke, gap: np.vstack([thin(stroke, gap), stroke[-1:]]),), "apart|other points"),
        ("thin", (lambda stroke, gap: thin(stroke, gap).tolist()[:1],), "last point"),
        ("thin", (lambda stroke, gap: None,), "got NoneType"),
        ("thin", (lambda stroke, gap: thin(stroke, 6.0),), "use the argument"),
        ("otsu", (lambda values: int(values.mean()) * 1.0 + values.mean() % 1,), "mean of all values"),
        ("otsu", (np.median,), "the median"),
        ("otsu", (lambda values: (int(values.min()) + int(values.max())) / 2,), "smallest and the largest"),
        ("otsu", (otsu_without_weights,), "by the sizes of both sides"),
        ("otsu", (otsu_smallest,), "find the largest"),
        ("otsu", (lambda values: otsu(values) + 1,), "one too many"),
        ("otsu", (lambda values: chapter._between(values).max(),), "not the variance itself"),
        ("otsu", (lambda values: 5,), "divides the values otherwise|smallest variance"),
        ("otsu", (lambda values: values.sort() or 100,), "changed its argument"),
        ("otsu", (otsu_by_turns,), "keep the best of all"),
        ("otsu", (lambda values: int(otsu_by_turns(values)),), "keep the best of all"),
        ("otsu", (otsu_among(range(1, 255)),), r"\(0, 1, 2\) alone"),
        ("otsu", (otsu_among(range(254)),), r"\(253, 254, 255\) alone"),
        ("otsu", (otsu_among(range(60, 210)),), "alone"),
        ("otsu", (lambda values: otsu(values // 4) * 4 + 3,), "alone"),
        ("otsu", (lambda values: otsu(values[::2]),), "divides the values otherwise"),
        ("otsu", (lambda values: otsu(values) - 1,), "divides the values otherwise"),
        ("otsu", (lambda values: values > otsu(values),), "a single number"),
        ("otsu", (lambda values: (1.0, otsu(values)),), "a single number"),
        ("without_specks", (lambda mask, share: mask,), "still there"),
        ("without_specks", (lambda mask, share: ndimage.label(mask, np.ones((3, 3)))[0],), "not the numbers"),
        ("without_specks", (lambda mask, share: without_specks(mask, share, None),), "touch at a corner"),
        ("without_specks", (lambda mask, share: without_specks(mask, 1.0),), "only the largest"),
        ("without_specks", (lambda mask, share: np.zeros_like(mask),), "label 0 is the ground"),
        (
            "without_specks",
            (lambda mask, share: without_specks(mask, share, keep=lambda sizes, s: sizes > s * sizes.max()),),
            "exactly that share",
        ),
        ("without_specks", (lambda mask, share: without_specks(mask, 0.1),), "other parts"),
        (  # takes the part that comes first for the largest
            "without_specks",
            (lambda mask, share: without_specks(mask, share, keep=lambda sizes, s: sizes >= s * sizes[0]),),
            "other parts|still there",
        ),
        (
            "without_specks",
            (lambda mask, share: without_specks(mask, share, keep=lambda sizes, s: sizes >= int(s * sizes.max())),),
            "other parts",
        ),
        (
            "without_specks",
            (lambda mask, share: without_specks(mask, share, keep=lambda sizes, s: sizes >= s * sizes.sum()),),
            "other parts|exactly that share",
        ),
        ("without_specks", (lambda mask, share: without_specks(mask, share, FALLING),), "touch at a corner"),
        ("without_specks", (lambda mask, share: without_specks(mask, share, FALLING[::-1]),), "touch at a corner"),
        ("without_specks", (shares_of_parts,), "or shares"),
        ("without_specks", (lambda mask, share: -without_specks(mask, share).astype(int),), "True and False"),
        ("without_specks", (lambda mask, share: without_specks(mask, share) / 2,), "True and False"),
        ("without_specks", (lambda mask, share: np.where(without_specks(mask, share), -np.inf, 0),), "True and False"),
        ("without_specks", (lambda mask, share: without_specks(mask, share)[:40, :40],), "shape"),
        ("without_specks", (lambda mask, share: mask & ~without_specks(mask, share),), "stroke is gone"),
        ("without_specks", (lambda mask, share: mask[:20],), "shape"),
        ("without_specks", (lambda mask, share: ~mask,), "where there was none"),
        ("teach", (teach_with_labels,), "not hard labels"),
        ("teach", (lambda network, *rest: teach(copy.deepcopy(network), *rest),), "not a copy"),
        (
            "teach",
            (lambda network, images, labels, replay: teach(network, images, labels - 1, replay),),
            "are read as",
        ),
        ("teach", (lambda network, images, labels, replay: teach(network, images, labels, images),), "are read as"),
        ("bright_on_dark", (lambda image: image,), "stayed so"),
        ("bright_on_dark", (lambda image: 1 - image,), "turned round"),
        ("bright_on_dark", (lambda image: 1 - image if image.mean() > 0.5 else image,), "only the border"),
        ("to_middle", (lambda image: np.roll(image, *shift(image, exchanged=True)),), "exchanged"),
        ("to_middle", (lambda image: image,), "Move it"),
        ("to_middle", (lambda image: image[:14],), "shape"),
        ("thin", (lambda stroke, gap: stroke,), "apart"),
        ("thin", (lambda stroke, gap: stroke[:1],), "last point must stay"),
        ("thin", (lambda stroke, gap: stroke[[0, -1]] if len(stroke) > 1 else stroke,), "too many points"),
        ("teach", (teach_alone,), "mix in replayed"),
        ("teach", (lambda *arguments: None,), "as it was"),
    ],
)
def test_wrong_answers(name, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        getattr(chapter, f"check_{name}")(*answer)


NONSENSE = [None, "1", [], {}, object(), 3 + 2j, np.nan, lambda *_: None, lambda *_: "x", lambda *_: 1 / 0]


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize(
    "name", ["centre", "distance", "scaled", "bright_on_dark", "to_middle", "thin", "otsu", "without_specks", "teach"]
)
def test_nonsense_is_refused_without_an_error(name, nonsense):
    arguments = (nonsense, nonsense) if name == "centre" else (nonsense,)
    with pytest.raises(WrongAnswer):
        getattr(chapter, f"check_{name}")(*arguments)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("centre", (np.float32(1.75), [0.5])),
        ("distance", (4.472,)),
        ("scaled", (np.array(11.25),)),
        ("bright_on_dark", (lambda image: bright_on_dark(image).astype(float),)),
        ("to_middle", (lambda image: to_middle(image).astype(np.float32).astype(float),)),
        ("thin", (lambda stroke, gap: thin(stroke, gap).tolist(),)),
        ("otsu", (lambda values: np.float32(otsu(values)),)),
        ("otsu", (lambda values: otsu(values) + 0.5,)),
        ("otsu", (otsu_within,)),
        ("otsu", (otsu_last,)),
        ("otsu", (lambda values: np.array([[otsu(values)]], np.uint8),)),
        ("without_specks", (lambda mask, share: without_specks(mask, share).astype(int).tolist(),)),
        ("without_specks", (without_specks_filled,)),
        ("without_specks", (lambda mask, share: np.asfortranarray(without_specks(mask, share), np.float16),)),
        ("without_specks", (lambda mask, share: without_specks(mask, share).astype(object),)),
    ],
)
def test_other_types_are_right_as_well(name, answer, capsys):
    getattr(chapter, f"check_{name}")(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize("slant", [0, 20, 40])
def test_a_level_upstroke_makes_a_7_and_a_sloping_one_does_not(slant):
    """What chapter 15 says of a 1 that is given a longer and longer stroke at the top."""
    network = cnnlib.load_pretrained()
    top, bottom = np.array([150.0 + slant, 40]), np.array([150.0 - slant, 240])
    for length in range(60, 201, 20):
        level, sloping = top - [length, 0], top + length * np.array([-1, 1]) / 2**0.5
        images = np.stack([cnnlib.rasterize([np.array([tip, top, bottom])]) for tip in (level, sloping)])
        p = network.predict(images)
        assert p.argmax(axis=1).tolist() == [7, 1]
        assert p.max(axis=1).min() > 0.98
