"""Drawings of several digits: which strokes belong together, and what is read."""

import time

import numpy as np
import pytest

import cnnlib
from cnnlib.digits import reading
from cnnlib.digits.reading import digits_of, split_strokes
from cnnlib.digits.sample_drawings import sample_drawings

DRAWINGS, LABELS = sample_drawings()
BAR = np.array([[0.0, 0.0], [0.0, 10.0]])


def moved(stroke, x, y=0.0):
    return stroke + np.array([x, y])


def at(digit, x, y=0.0, scale=0.3):
    """A sample drawing of a digit, moved and made smaller."""
    drawing = DRAWINGS[int((digit == LABELS).argmax())]
    low = np.min(np.concatenate(drawing), axis=0)
    return [moved((stroke - low) * scale, x, y) for stroke in drawing]


def read(strokes):
    parts = digits_of(strokes)
    images = np.stack([cnnlib.rasterize([strokes[k] for k in part]) for part in parts])
    return "".join(str(digit) for digit in cnnlib.load_pretrained().predict(images).argmax(axis=1))


def test_a_number_is_read_from_left_to_right():
    assert read([*at(2, 0), *at(0, 80), *at(2, 150), *at(6, 220)]) == "2026"
    assert read([*at(6, 220), *at(2, 0), *at(0, 80), *at(2, 150)]) == "2026"  # in whatever order it is drawn


def test_lines_are_read_one_after_the_other():
    assert read([*at(7, 0, 110), *at(3, 90, 110), *at(2, 0), *at(0, 90)]) == "2073"


@pytest.mark.parametrize("seed", range(3))
def test_hardly_any_digit_is_taken_for_several(seed):
    drawings, _ = sample_drawings(seed=seed)
    assert np.mean([len(digits_of(drawing)) == 1 for drawing in drawings]) >= 0.97


def test_what_belongs_together():
    hat = np.array([[1.0, 0.0], [6.0, 0.0]])
    body = np.array([[0.0, 2.0], [5.0, 5.0], [0.0, 10.0]])
    assert split_strokes([body, hat]) == [[0, 1]]
    assert split_strokes([body, moved(hat, 4.3, 3)]) == [[0], [1]]  # beside it
    assert split_strokes([body, moved(hat, 0, -2)]) == [[1], [0]]  # far above it
    assert split_strokes([moved(BAR, 9), BAR, moved(BAR, 4)]) == [[1], [2], [0]]
    # What joins two parts joins all three.
    wide = np.array([[0.0, 5.0], [20.0, 5.0]])
    assert split_strokes([BAR, moved(BAR, 20), moved(BAR, 10), wide]) == [[0, 1, 2, 3]]
    assert split_strokes([]) == digits_of([]) == []
    dot = np.array([[3.0, 4.0]])
    assert split_strokes([dot]) == digits_of([dot]) == [[0]]


@pytest.mark.parametrize("function", [split_strokes, digits_of])
@pytest.mark.parametrize(
    ("strokes", "error", "message"),
    [
        ("01", TypeError, "must be a list of arrays"),
        (None, TypeError, "must be a list of arrays"),
        ([BAR, np.zeros((0, 2))], ValueError, r"strokes\[1\] must have at least one point, got none"),
        ([BAR, [[0, np.nan]]], ValueError, r"strokes\[1\] has coordinates that are not finite"),
        ([BAR, np.zeros((2, 3))], ValueError, r"strokes\[1\] must have shape \(n, 2\), got \(2, 3\)"),
    ],
)
def test_what_is_no_stroke_is_refused(function, strokes, error, message):
    with pytest.raises(error, match=message):
        function(strokes)


def box_of(left, top, right, bottom):
    """A stroke that fills a box."""
    return np.array([[left, top], [right, bottom]], float)


@pytest.mark.parametrize(
    ("boxes", "parts"),
    [
        ([(0, 0, 10, 10), (9, 0, 19, 10)], [[0, 1]]),  # a tenth of the narrower one's width
        ([(0, 0, 10, 10), (9.1, 0, 19, 10)], [[0], [1]]),
        ([(0, 0, 10, 10), (9, 0, 109, 10)], [[0, 1]]),
        ([(0, 0, 100, 10), (99, 0, 109, 10)], [[0, 1]]),
        ([(0, 0, 100, 10), (99.5, 0, 109, 10)], [[0], [1]]),
        ([(0, 0, 10, 10), (0, 13, 10, 20)], [[0, 1]]),  # three tenths of the tallest one's height apart
        ([(0, 0, 10, 10), (0, 13.1, 10, 20)], [[0], [1]]),
        ([(0, 13, 10, 20), (0, 0, 10, 10)], [[0, 1]]),
        ([(0, 0, 10, 10), (0, 40, 10, 45), (50, 0, 60, 100)], [[0, 1], [2]]),
        ([(0, 0, 10, 10), (0, 41, 10, 45), (50, 0, 60, 100)], [[0], [1], [2]]),
        ([(0, 0, 10, 10), (9, 0, 19, 10), (18, 0, 28, 10)], [[0, 1, 2]]),
        ([(18, 0, 28, 10), (9, 0, 19, 10), (0, 0, 10, 10)], [[0, 1, 2]]),
        ([(0, 0, 10, 10), (0, 12, 10, 22), (0, 24, 10, 34)], [[0, 1, 2]]),
        ([(0, 24, 10, 34), (0, 12, 10, 22), (0, 0, 10, 10)], [[0, 1, 2]]),
        # The first is apart from both of the others, and not from what they are together.
        ([(0, 0, 10, 10), (9.5, 11, 19.5, 20), (8, 16, 30, 26)], [[0, 1, 2]]),
    ],
)
def test_which_strokes_belong_together(boxes, parts):
    found = split_strokes([box_of(*box) for box in boxes])
    assert sorted(found) == sorted(parts) and (len(found) < 3 or found == parts)


def test_the_parts_are_judged_as_they_are_drawn(monkeypatch):
    seen = []
    monkeypatch.setattr(reading, "looks_like_digit", lambda images: seen.append(images) or np.ones(len(images), bool))
    two = [BAR, np.array([[10.0, 0.0], [12.0, 9.0]]), np.array([[10.0, 4.0], [13.0, 4.0]])]
    assert digits_of(two, 4.0) == digits_of(two) == [[0], [1, 2]]
    for images, pen in zip(seen, (4.0, cnnlib.digits.mnist_frame.PEN_DIAMETER), strict=True):
        np.testing.assert_array_equal(images, [cnnlib.rasterize([BAR], pen), cnnlib.rasterize(two[1:], pen)])


def test_strokes_may_be_lists_and_far_apart():
    assert split_strokes([BAR.tolist(), moved(BAR, 9).astype(int).tolist()]) == [[0], [1]]
    assert split_strokes([BAR, moved(BAR, 1.7e308), moved(BAR, -1.7e308)]) == [[2], [0], [1]]  # without a warning


@pytest.mark.timed
def test_many_strokes_cost_little():
    """Each with each, in Python, 3,000 bars would take 3 s instead of 0.1."""
    start = time.perf_counter()
    assert split_strokes([moved(BAR, 20 * k) for k in range(3000)]) == [[k] for k in range(3000)]
    assert time.perf_counter() - start < 1


def test_parts_that_are_no_digits_make_no_number(monkeypatch):
    answers = {}
    monkeypatch.setattr(reading, "looks_like_digit", lambda images: np.array(answers[len(images)]))
    three = [BAR, moved(BAR, 10), moved(BAR, 20)]
    answers[3] = [True, False, True]
    assert digits_of(three) == [[0], [1], [2]]  # a number is not torn apart
    answers[3] = [True, False, False]
    assert digits_of(three) == [[0, 1, 2]]
    assert digits_of(three, unfinished=True) == [[0], [1], [2]]
    answers[2] = [True, False]
    assert digits_of(three[:2]) == [[0, 1]]
    assert digits_of(three[:2], unfinished=True) == [[0], [1]]
    answers[2] = [False, True]
    assert digits_of(three[:2], unfinished=True) == [[0, 1]]
