"""Scenes: what they promise about places, sizes, overlap and classes, and what they refuse."""

import re

import numpy as np
import pytest

from cnnlib.digits import scenes as module
from cnnlib.digits.datasets import load_digits
from cnnlib.digits.scenes import BACKGROUND, INK, SIZE, make_scenes, overlap, place

DIGITS = load_digits()


def make(count=40, seed=0, **rules):
    return make_scenes(DIGITS.train_images, DIGITS.train_labels, count, np.random.default_rng(seed), **rules)


def block(height=10, width=6, value=255):
    """An image of a "digit" that is a full rectangle."""
    image = np.zeros((28, 28), np.uint8)
    image[4 : 4 + height, 5 : 5 + width] = value
    return image


@pytest.mark.parametrize("rules", [{}, {"digits": (3, 6), "heights": (14, 28), "max_overlap": 0.4}])
def test_scenes_keep_their_rules(rules):
    scenes = make(**rules)
    least, most = rules.get("digits", (1, 5))
    low, high = rules.get("heights", (12, 30))
    assert scenes.images.shape == scenes.classes.shape == (len(scenes), SIZE, SIZE)
    assert {len(boxes) for boxes in scenes.boxes} == set(range(least, most + 1))
    for boxes, labels in zip(scenes.boxes, scenes.labels, strict=True):
        assert boxes.shape == (len(labels), 4) and boxes.dtype == np.float32
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= SIZE).all()
        heights = boxes[:, 2] - boxes[:, 0]
        assert heights.min() >= low and heights.max() <= high
        for i in range(len(boxes)):
            for j in range(i):
                assert overlap(tuple(boxes[i]), tuple(boxes[j])) <= rules.get("max_overlap", 0.15)


def test_classes_are_those_of_the_ink():
    scenes = make()
    for image, classes, boxes, labels in zip(scenes.images, scenes.classes, scenes.boxes, scenes.labels, strict=True):
        assert set(np.unique(classes)) <= {*labels.tolist(), BACKGROUND}
        assert (image[classes != BACKGROUND] >= INK).all()
        inside = np.zeros((SIZE, SIZE), bool)
        for top, left, bottom, right in boxes.astype(int):
            inside[top:bottom, left:right] = True
        assert (image[~inside] == 0).all() and (classes[~inside] == BACKGROUND).all()


def test_one_full_digit_by_hand():
    """A rectangle of 10 by 6, drawn 20 high: a box of 20 by 12, full of ink and of its class."""
    scenes = make_scenes(
        block()[np.newaxis], np.array([7]), 1, np.random.default_rng(3), digits=(1, 1), heights=(20, 20)
    )
    top, left, bottom, right = scenes.boxes[0][0].astype(int)
    assert (bottom - top, right - left) == (20, 12) and scenes.labels[0].tolist() == [7]
    expected = np.full((SIZE, SIZE), BACKGROUND)
    expected[top:bottom, left:right] = 7
    assert np.array_equal(scenes.classes[0], expected)
    assert np.array_equal(scenes.images[0], np.where(expected == 7, 255, 0))


def test_an_overlapped_pixel_belongs_to_the_digit_with_more_ink():
    images, labels = np.stack([block(28 - 8, 18), block(28 - 8, 18, 200)]), np.array([1, 2])
    scenes = make_scenes(images, labels, 30, np.random.default_rng(0), digits=(2, 2), heights=(40, 40), max_overlap=1)
    seen = 0
    for index, (boxes, chosen) in enumerate(zip(scenes.boxes, scenes.labels, strict=True)):
        if chosen.tolist() == [2, 1] or chosen.tolist() == [1, 2]:
            top, left, bottom, right = boxes[chosen.tolist().index(1)].astype(int)
            assert (scenes.classes[index, top:bottom, left:right] == 1).all()
            seen += 1
    assert seen


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 5, 10, 15), 0.5),
        ((0, 0, 10, 10), (2, 2, 6, 6), 1.0),  # one within the other
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),  # side by side
        ((0, 0, 10, 10), (30, 30, 40, 40), 0.0),
    ],
)
def test_overlap_by_hand(a, b, expected):
    assert overlap(a, b) == overlap(b, a) == expected


def test_same_state_same_scenes():
    a, b, c = make(seed=5), make(seed=5), make(seed=6)
    assert np.array_equal(a.images, b.images) and not np.array_equal(a.images, c.images)
    assert np.array_equal(a[3:5].images, a.images[3:5]) and len(a[3:5].boxes) == 2


def test_a_scene_without_place_is_drawn_again(monkeypatch):
    """Crowded scenes succeed although single digits sometimes find no place."""
    failures = []

    def watched(*arguments):
        found = place(*arguments)
        failures.append(found is None)
        return found

    monkeypatch.setattr(module, "place", watched)
    monkeypatch.setattr(module, "ATTEMPTS", 20)
    scenes = make(20, digits=(5, 5), heights=(26, 30))
    assert any(failures) and all(len(boxes) == 5 for boxes in scenes.boxes)


def test_images_may_be_scaled_already():
    scaled = make_scenes(DIGITS.train_images / 255, DIGITS.train_labels, 5, np.random.default_rng(0))
    assert np.array_equal(scaled.images, make(5).images)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"digits": (0, 3)}, ValueError, "digits"),
        ({"digits": (3,)}, ValueError, "digits must be two numbers"),
        ({"digits": (5, 2)}, ValueError, "digits must be two numbers, the smaller first"),
        ({"heights": (20, 12)}, ValueError, "heights must be two numbers, the smaller first"),
        ({"heights": (0, 12)}, ValueError, "heights"),
        ({"heights": (12, 65)}, ValueError, "heights"),
        ({"heights": ("a", 12)}, TypeError, "heights"),
        ({"max_overlap": -0.1}, ValueError, "max_overlap"),
        ({"max_overlap": np.nan}, ValueError, "max_overlap"),
        ({"count": 0}, ValueError, "count"),
        ({"count": 2.5}, TypeError, "count"),
        ({"rng": 3}, TypeError, "rng"),
        ({"images": DIGITS.train_images[0]}, ValueError, "images"),
        ({"images": DIGITS.train_images.astype(float)}, ValueError, "from 0 to 1"),
        ({"labels": DIGITS.train_labels[:-1]}, ValueError, "labels must be a digit"),
        ({"labels": DIGITS.train_labels + 1}, ValueError, "labels must be a digit"),
        ({"images": np.zeros_like(DIGITS.train_images)}, ValueError, "no digit"),
        ({"digits": (9, 9), "heights": (40, 40)}, ValueError, "found no places for 9 digits"),
    ],
)
def test_bad_input(change, error, message):
    given = {"images": DIGITS.train_images, "labels": DIGITS.train_labels, "count": 2, "rng": np.random.default_rng(0)}
    given |= change
    with pytest.raises(error, match=message):
        make_scenes(given.pop("images"), given.pop("labels"), given.pop("count"), given.pop("rng"), **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digits": (5, 2)}, "digits must be two numbers, the smaller first, got (5, 2)"),
        ({"heights": (30, 20.5)}, "heights must be two numbers, the smaller first, got (30, 20.5)"),
        ({"digits": (9, 9), "heights": (40, 40)}, "found no places for 9 digits of heights (40, 40) in 64 x 64 pixels"),
        ({"labels": DIGITS.train_labels[:3]}, "labels must be a digit, 0 to 9, for each of 1497 images, got "),
        ({"images": np.full((1497, 5, 5), 63, np.uint8)}, "an image holds no digit: it has no pixel with enough ink"),
    ],
)
def test_errors_word_by_word(change, message):
    given = {"images": DIGITS.train_images, "labels": DIGITS.train_labels} | change
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make_scenes(given.pop("images"), given.pop("labels"), 2, np.random.default_rng(0), **given)


def test_scenes_are_cut_by_slices():
    with pytest.raises(TypeError, match=r"index must be a slice, such as scenes\[:10\], got 3"):
        make(5)[3]


def test_the_rules_that_hold_by_default():
    """With other rules, the same state gives other scenes."""
    given = make(30, digits=(1, 5), heights=(12, 30), max_overlap=0.15)
    assert all(np.array_equal(a, b) for a, b in zip(make(30).boxes, given.boxes, strict=True))
    for other in (
        {"digits": (1, 6)},
        {"digits": (2, 5)},
        {"heights": (12, 31)},
        {"heights": (13, 30)},
        {"max_overlap": 0},
    ):
        changed = make(30, **other)
        assert not all(np.array_equal(a, b) for a, b in zip(changed.boxes, given.boxes, strict=True))


def test_a_digit_is_cut_out_by_its_ink_and_keeps_its_shape():
    """Ink is what has at least 64 of 255; the width follows the height, from one pixel to the whole scene."""
    image = block(10, 6)
    image[2, 1] = image[20, 20] = 63
    for height, width in ((20, 12), (25, 15), (30, 18)):
        ink, box = place(image, [], np.random.default_rng(0), (height, height), 0)
        assert ink.shape == (height, width) == (box[2] - box[0], box[3] - box[1]) and (ink == 255).all()
    image[2, 1] = 64
    assert place(image, [], np.random.default_rng(0), (24, 24), 0)[0].shape == (24, 20)  # 12 by 10
    assert place(block(1, 20), [], np.random.default_rng(0), (12, 12), 0)[0].shape == (12, 64)
    assert place(block(20, 1), [], np.random.default_rng(0), (5, 5), 0)[0].shape == (5, 1)
    with pytest.raises(ValueError, match="no pixel with enough ink"):
        place(block(10, 6, 63), [], np.random.default_rng(0), (12, 12), 0)


def test_every_place_in_the_scene_may_be_taken():
    places = [place(block(10, 10), [], np.random.default_rng(seed), (62, 62), 0)[1] for seed in range(60)]
    assert {box[:2] for box in places} == {(top, left) for top in range(3) for left in range(3)}
    assert all(box[2:] == (box[0] + 62, box[1] + 62) for box in places)


def test_an_overlap_that_is_just_allowed():
    taken = [(0, 0, 64, 32)]
    found = [place(block(10, 10), taken, np.random.default_rng(seed), (32, 32), 0.25) for seed in range(40)]
    shares = {overlap(box, taken[0]) for _, box in found}
    assert max(shares) == 0.25 and min(shares) == 0
    assert place(block(10, 10), [(0, 0, 64, 64)], np.random.default_rng(0), (20, 20), 0.9) is None


def test_labels_are_called_by_their_name_and_shown():
    with pytest.raises(ValueError, match=r"^labels must be .* got an array of int(64|32) of shape \(3,\)$"):
        make_scenes(DIGITS.train_images, [7, 8, 9], 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"^labels must have 1 axes, got an array of shape \(2, 2\)$"):
        make_scenes(DIGITS.train_images, np.zeros((2, 2)), 1, np.random.default_rng(0))
