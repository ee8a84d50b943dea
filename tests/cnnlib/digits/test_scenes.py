"""Scenes: what they promise about places, sizes, overlap and classes, and what they refuse."""

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
