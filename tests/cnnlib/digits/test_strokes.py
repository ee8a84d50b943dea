"""Pen strokes come into the frame of MNIST's own images."""

import gzip
import json
import os
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlib.digits.datasets import load_mnist
from cnnlib.digits.mnist_frame import PEN_DIAMETER
from cnnlib.digits.sample_drawings import sample_drawings
from cnnlib.digits.strokes import PREPARATIONS, check_strokes, draw_segments, rasterize

REAL_DATA = os.environ.get("CNNLIB_DATA", "")


def centre_of_mass(image):
    """Return (x, y), in pixels from the centre of the first one."""
    pixels = np.arange(28)
    return np.array([image.sum(axis=0) @ pixels, image.sum(axis=1) @ pixels]) / image.sum()


def extent_of_ink(image):
    """Return (width, height) of the box around everything that is not 0."""
    return tuple(int(np.ptp(np.flatnonzero(image.any(axis=axis)))) + 1 for axis in (0, 1))


# On a grid of 1/64, shifts and scalings by powers of two are exact.
coordinates = st.integers(-6400, 6400).map(lambda n: n / 64)
drawings = st.lists(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12), min_size=1, max_size=4)


def move(strokes, scale, shift):
    return [np.asarray(stroke) * scale + shift for stroke in strokes]


def rasterize_by_loops(strokes, pen):
    """Rasterize by plain loops, as the docstring says it."""
    points = [point for stroke in strokes for point in stroke]
    low = [min(point[axis] for point in points) for axis in (0, 1)]
    high = [max(point[axis] for point in points) for axis in (0, 1)]
    extent = max(high[0] - low[0], high[1] - low[1])
    scale = (20 - pen) / extent if extent > 0 else 0
    placed = [
        [[13.5 + scale * (point[axis] - (low[axis] + high[axis]) / 2) for axis in (0, 1)] for point in stroke]
        for stroke in strokes
    ]

    def distance(x, y, a, b):
        squared = (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2
        t = ((x - a[0]) * (b[0] - a[0]) + (y - a[1]) * (b[1] - a[1])) / squared if squared > 0 else 0
        t = min(max(t, 0), 1)
        return np.hypot(x - a[0] - t * (b[0] - a[0]), y - a[1] - t * (b[1] - a[1]))

    def draw():
        image = np.zeros((28, 28))
        for i in range(28):
            for j in range(28):
                d = min(
                    distance(j, i, stroke[max(n - 1, 0)], stroke[n]) for stroke in placed for n in range(len(stroke))
                )
                image[i, j] = min(max(pen / 2 - d + 0.5, 0), 1)
        return image

    centre = centre_of_mass(draw())
    for axis in (0, 1):
        room = 14 - (scale * (high[axis] - low[axis]) + pen) / 2
        shift = min(max(14 - centre[axis], -room), room)
        for stroke in placed:
            for point in stroke:
                point[axis] += shift
    return draw()


@pytest.mark.parametrize("pen", [1, PEN_DIAMETER, 6])
@pytest.mark.parametrize("seed", range(3))
def test_rasterize_is_what_its_docstring_says(pen, seed):
    rng = np.random.default_rng(seed)
    strokes = [rng.normal(size=(n, 2)) * (3, 1) for n in (5, 1, 2)]
    np.testing.assert_allclose(rasterize(strokes, pen), rasterize_by_loops(strokes, pen), atol=1e-6)


@given(strokes=drawings)
def test_rasterize_fits_the_frame(strokes):
    image = rasterize(strokes)
    assert image.shape == (28, 28)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert 0.9 < image.max() <= 1
    assert max(extent_of_ink(image)) <= 22  # 20, and the edge's half pixel on either side, anywhere between the pixels


@given(strokes=drawings, power=st.integers(-8, 8), shift=st.tuples(coordinates, coordinates))
def test_rasterize_does_not_depend_on_position_and_size(strokes, power, shift):
    moved = move(strokes, 2.0**power, np.round(np.array(shift)))
    np.testing.assert_allclose(rasterize(moved), rasterize(strokes), atol=1e-5)


@given(strokes=drawings)
def test_rasterize_does_not_depend_on_direction_and_order(strokes):
    turned = [stroke[::-1] for stroke in strokes[::-1]]
    np.testing.assert_allclose(rasterize(turned), rasterize(strokes), atol=1e-6)


@given(strokes=drawings)
def test_rasterize_transposes_with_its_strokes(strokes):
    transposed = [np.asarray(stroke)[:, ::-1] for stroke in strokes]
    np.testing.assert_allclose(rasterize(transposed), rasterize(strokes).T, atol=1e-6)


def test_rasterize_centres_the_mass():
    digit = [[(0, 0), (10, 0), (4, 20)], [(3, 10), (9, 10)]]
    np.testing.assert_allclose(centre_of_mass(rasterize(digit)), [14, 14], atol=0.05)


def test_rasterize_cuts_nothing_off():
    """A broad bar above a long line: centring the mass alone would move the line's end out of the field."""
    bar = [(x, y) for y in np.linspace(0, 4, 20) for x in (-10, 10)]
    image = rasterize([bar, [(0, 4), (0, 20)]])
    # All 20 rows of ink are there, the lowest in the last row of the field.
    assert image[7].max() == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(image[8:].max(axis=1), 1, atol=1e-6)


def test_rasterize_changes_smoothly_while_a_stroke_grows():
    """The new piece, the new scale and the new place together change no pixel by more than thrice the pen's step."""
    t = np.linspace(0, 5, 1000)
    curve = np.stack([t, np.sin(3 * t)], axis=1)
    for n in range(200, 1000, 20):
        step = np.hypot(*(curve[n] - curve[n - 1])) * 20 / np.ptp(curve[:n], axis=0).max()
        change = np.abs(rasterize([curve[: n + 1]]) - rasterize([curve[:n]])).max()
        assert change < 3 * step < 1


def test_a_dot_is_a_dot_in_the_middle():
    dot = rasterize([[(3, 5)]])
    rows, columns = np.mgrid[:28, :28]
    expected = np.clip(PEN_DIAMETER / 2 - np.hypot(rows - 14, columns - 14) + 0.5, 0, 1)
    np.testing.assert_allclose(dot, expected, atol=1e-6)
    for same in ([[(3, 5)] * 4], [[(3, 5)], [(3, 5)]], [[(1e9, -1e9)]], [[], [(0, 0)]]):
        np.testing.assert_allclose(rasterize(same), dot, atol=1e-6)


@pytest.mark.parametrize("strokes", [[], [[]], [np.zeros((0, 2)), []]])
def test_no_point_gives_zeros(strokes):
    image = rasterize(strokes)
    assert image.shape == (28, 28)
    assert image.dtype == np.float32
    assert not image.any()


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_rasterize_takes_any_size(size):
    strokes = [[(0, 0), (1, 2), (3, 1)]]
    np.testing.assert_allclose(rasterize(move(strokes, size, 0)), rasterize(strokes), atol=1e-6)


def test_a_wider_pen_lays_down_more_ink_in_the_same_box():
    cross = [[(0, 0), (1, 1)], [(0, 1), (1, 0)]]
    images = [rasterize(cross, pen) for pen in (1, 2, 4)]
    ink = [image.sum() for image in images]
    assert ink == sorted(ink)
    for image in images:
        # Without the faint edge, the box is 20 pixels wide.
        assert 19 <= max(extent_of_ink(image > 0.5)) <= 20


@pytest.mark.skipif(
    not (os.path.isdir(os.path.join(REAL_DATA, "mnist")) and os.path.isdir(os.path.join(REAL_DATA, "pendigits"))),
    reason="CNNLIB_DATA has no mnist, or no pendigits",
)
def test_the_pen_writes_as_boldly_as_mnist(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLIB_CACHE", str(tmp_path))
    mnist = load_mnist()
    with gzip.open(os.path.join(REAL_DATA, "pendigits", "strokes.json.gz")) as file:
        digits = json.load(file)[::16]
    drawn = np.array([rasterize(digit["strokes"]).sum() for digit in digits])
    labels = np.array([digit["label"] for digit in digits])
    ink = mnist.train_images.sum(axis=(1, 2)) / 255
    ours, theirs = (
        np.mean([amounts[which == digit].mean() for digit in range(10)])
        for amounts, which in ((drawn, labels), (ink, mnist.train_labels))
    )
    assert ours == pytest.approx(theirs, rel=0.03)


def test_long_drawings_equal_short_ones():
    """Points added on a straight line change nothing, however many there are."""
    corners = np.array([(0, 0), (2, 5), (4, 0)])
    many = np.concatenate([np.linspace(a, b, 1000) for a, b in pairwise(corners)])
    np.testing.assert_allclose(rasterize([many]), rasterize([corners]), atol=1e-6)


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ([[(0, 0), (1, np.nan)]], r"strokes\[0\].*not finite"),
        ([[(0, 0)], [(np.inf, 1)]], r"strokes\[1\].*not finite"),
        ([[(-1e308, 0), (1e308, 0)]], "too far apart"),
        ([[(0, 0, 0)]], r"strokes\[0\] must have shape \(n, 2\), got \(1, 3\)"),
        ([(0, 0), (1, 1)], r"must have shape \(n, 2\), got \(2,\)"),
        ([[(0, 0), (1,)]], r"strokes\[0\]"),
        ([["a", "b"]], r"strokes\[0\]"),
        ([[(0, None)]], r"strokes\[0\]"),
    ],
)
def test_bad_strokes(strokes, message):
    with pytest.raises(ValueError, match=message):
        rasterize(strokes)


@pytest.mark.parametrize("pen", [0, 0.9, 10.1, -1, np.nan, np.inf])
def test_bad_pens(pen):
    with pytest.raises(ValueError, match=r"\[1, 10\]"):
        rasterize([[(0, 0)]], pen)


def test_the_argument_is_left_alone():
    stroke = np.array([(0.0, 1.0), (2.0, 3.0)])
    before = stroke.copy()
    rasterize([stroke])
    np.testing.assert_array_equal(stroke, before)


@pytest.mark.parametrize("name", PREPARATIONS)
def test_every_preparation_gives_an_image(name):
    for strokes in (sample_drawings()[0][0], [np.array([[100.0, 100.0]])], [np.array([[50.0, 20.0], [50.0, 200.0]])]):
        image = PREPARATIONS[name](strokes)
        assert image.shape == (28, 28) and image.dtype == np.float32
        assert image.min() >= 0 and image.max() <= 1 and np.ptp(image) > 0.5


LINE = [np.array([[10.0, 20.0], [110.0, 70.0]])]
BY_HAND = {  # the two points of the line, and the pen, in each preparation
    "box in the middle, not the mass": ([4.75, 9.125], [22.25, 17.875], 2.5),
    "filling all 28 pixels, not 20": ([0.75, 7.125], [26.25, 19.875], 2.5),
    "stretched to a square": ([4.75, 4.75], [22.25, 22.25], 2.5),
    "the canvas made small, as it is": ([0.5, 1.5], [10.5, 6.5], 2.5),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_preparations_by_hand(name):
    start, end, pen = BY_HAND[name]
    expected = draw_segments(np.array([start]), np.array([end]), pen)
    np.testing.assert_allclose(PREPARATIONS[name](LINE), expected, atol=1e-5)
    if "canvas" not in name:
        np.testing.assert_allclose(PREPARATIONS[name]([LINE[0] / 1e4 + 3]), expected, atol=1e-5)


def test_preparations_with_other_pens_and_colours():
    np.testing.assert_array_equal(PREPARATIONS["a pen of 1 pixel"](LINE), rasterize(LINE, 1))
    np.testing.assert_array_equal(PREPARATIONS["a pen of 5 pixels"](LINE), rasterize(LINE, 5))
    np.testing.assert_array_equal(PREPARATIONS["dark on bright"](LINE), 1 - rasterize(LINE))
    np.testing.assert_array_equal(PREPARATIONS["as MNIST does it"](LINE), rasterize(LINE, 2.5))


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ([[(-1e308, 0), (1e308, 0)]], "the strokes' points are too far apart for floating-point numbers"),
        ([[(0, 0)], [(0, 0, 0)]], "strokes[1] must have shape (n, 2), got (1, 3)"),
        ([[(0, 0)], [(0, np.inf)]], "strokes[1] has coordinates that are not finite"),
    ],
)
def test_errors_word_by_word(strokes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        rasterize(strokes)


@pytest.mark.parametrize("strokes", ["ab", b"ab", {1: 2}, 5, None])
def test_what_is_no_list_word_by_word(strokes):
    message = f"strokes must be a list of arrays of shape (n, 2), got {strokes!r}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        check_strokes(strokes)
    with pytest.raises(ValueError, match=r"strokes\[0\] .*, expected shape \(n, 2\)$"):
        check_strokes([["a", "b"]])
