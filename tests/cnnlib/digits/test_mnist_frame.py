"""Images and strokes come into the frame that MNIST's own images have."""

import gzip
import json
import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnnlib.digits.datasets import load_digits, load_mnist
from cnnlib.digits.mnist_frame import PEN, enlarge, rasterize, to_mnist_frame

REAL_DATA = os.environ.get("CNNLIB_DATA", "")


def centre_of_mass(image):
    """Return (x, y), in pixels from the centre of the first one."""
    pixels = np.arange(28)
    return np.array([image.sum(axis=0) @ pixels, image.sum(axis=1) @ pixels]) / image.sum()


def extent_of_ink(image):
    """Return (width, height) of the box around everything that is not 0."""
    return tuple(int(np.ptp(np.flatnonzero(image.any(axis=axis)))) + 1 for axis in (0, 1))


# --- Images


@given(
    image=arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60)), elements=st.sampled_from([0, 0, 0, 255]))
)
def test_frame_holds_every_image(image):
    framed = to_mnist_frame(image)
    assert framed.shape == (28, 28)
    assert framed.dtype == np.float32
    assert framed.min() >= 0
    assert framed.max() <= 1
    assert framed.any() == image.any()
    if image.any():
        assert max(extent_of_ink(framed)) == 20


@pytest.mark.parametrize(("height", "width", "box"), [(40, 20, (10, 20)), (7, 14, (20, 10)), (300, 1, (1, 20))])
def test_longer_side_becomes_20_and_the_aspect_stays(height, width, box):
    image = np.zeros((height + 30, width + 50), np.uint8)
    image[10 : 10 + height, 45 : 45 + width] = 255
    framed = to_mnist_frame(image)
    assert extent_of_ink(framed) == box
    np.testing.assert_array_less(np.abs(centre_of_mass(framed) - 14), 0.5 + 1e-6)
    assert set(np.unique(framed)) == {0, 1}


def test_background_around_the_digit_makes_no_difference():
    digit = load_digits().train_images[3]
    padded = np.pad(digit, ((3, 17), (40, 0)))
    np.testing.assert_array_equal(to_mnist_frame(padded), to_mnist_frame(digit))


def test_no_ink_is_cut_off():
    """A heavy blot at one end of a thin line: centring the mass alone would move the other end out of the field."""
    image = np.zeros((60, 60), np.uint8)
    image[:10] = 255
    image[:, 30] = 255
    framed = to_mnist_frame(image)
    assert extent_of_ink(framed) == (20, 20)
    assert framed[-1].any()


@given(image=arrays(np.float32, (9, 13), elements=st.sampled_from(np.float32([0.25, 0.5, 0.75]))))
def test_scaling_leaves_the_range_of_values(image):
    """No halos: strokes have neither brighter flanks nor ghosts beside them."""
    ink = to_mnist_frame(image)
    ink = ink[ink > 0]
    assert ink.size == 20 * 14
    assert image.min() - 1e-6 <= ink.min()
    assert ink.max() <= image.max() + 1e-6


def test_number_types_agree():
    image = np.zeros((20, 30), bool)
    image[4:15, 7] = True
    expected = to_mnist_frame(image)
    for same in (image.astype(np.uint8) * 255, image.astype(np.float32), image.astype(np.float64)):
        np.testing.assert_array_equal(to_mnist_frame(np.asarray(same, same.dtype)), expected)


@pytest.mark.parametrize("shape", [(0, 0), (5, 0), (3, 4)])
def test_no_ink_gives_zeros(shape):
    framed = to_mnist_frame(np.zeros(shape))
    assert framed.shape == (28, 28)
    assert not framed.any()


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((28, 28, 3)), ValueError, r"shape \(height, width\), got shape \(28, 28, 3\)"),
        (np.full((3, 3), 200.0), ValueError, "from 0 to 1"),
        (np.full((3, 3), -0.1), ValueError, "from 0 to 1"),
        (np.full((3, 3), np.nan), ValueError, "from 0 to 1"),
        (np.zeros((3, 3), np.int64), TypeError, "got int64"),
    ],
)
def test_bad_images(image, error, message):
    with pytest.raises(error, match=message):
        to_mnist_frame(image)


@pytest.mark.skipif(not os.path.isdir(os.path.join(REAL_DATA, "mnist")), reason="CNNLIB_DATA has no mnist")
def test_mnist_images_come_back_unchanged(tmp_path, monkeypatch):
    """This is what shows that box, field and middle are MNIST's."""
    monkeypatch.setenv("CNNLIB_CACHE", str(tmp_path))
    images = load_mnist().test_images[::10]
    same = [np.array_equal(np.rint(255 * to_mnist_frame(image)), image) for image in images]
    assert np.mean(same) > 0.99


# --- The embedded digits, enlarged


@given(image=arrays(np.uint8, (1, 8, 8), elements=st.integers(0, 16)))
def test_enlarge_is_cubic_convolution(image):
    """The same with floating-point numbers and Keys' kernel as he wrote it."""

    def kernel(s):
        s = abs(s)
        return np.where(s < 1, 1.5 * s**3 - 2.5 * s**2 + 1, np.where(s < 2, -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2, 0))

    position = (np.arange(20) + 0.5) * 8 / 20 - 0.5
    weights = kernel(position[:, None] - np.arange(-4, 12))
    box = weights @ np.pad(image[0] / 16, 4, mode="edge") @ weights.T
    expected = 255 * np.clip(1.5 * box - 0.25, 0, 1)

    enlarged = enlarge(image)
    assert enlarged.shape == (1, 28, 28)
    assert enlarged.dtype == np.uint8
    if not enlarged.any():
        assert expected.max() < 0.5 + 1e-9
        return
    windows = np.lib.stride_tricks.sliding_window_view(enlarged[0], (20, 20)).reshape(-1, 20, 20)
    differences = np.abs(windows - expected).max(axis=(1, 2))
    best = int(differences.argmin())
    assert differences[best] <= 0.5 + 1e-9
    assert enlarged[0].sum() == windows[best].sum()  # nothing outside the box


def test_enlarged_digits_are_centred():
    images = load_digits().test_images
    offsets = np.array([centre_of_mass(image.astype(float)) for image in images]) - 14
    assert np.abs(offsets).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((8, 8), np.uint8), r"shape \(N, 8, 8\), got \(8, 8\)"),
        (np.full((1, 8, 8), 17), "0 to 16"),
        (np.full((1, 8, 8), -1), "0 to 16"),
        (np.zeros((1, 8, 8)), "whole numbers"),
    ],
)
def test_bad_images_to_enlarge(images, message):
    with pytest.raises(ValueError, match=message):
        enlarge(images)


def test_enlarge_takes_none():
    assert enlarge(np.zeros((0, 8, 8), np.uint8)).shape == (0, 28, 28)


# --- Strokes

# On a grid of 1/64, shifts and scalings by powers of two are exact.
coordinates = st.integers(-6400, 6400).map(lambda n: n / 64)
strokes_of_some_points = st.lists(
    st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12), min_size=1, max_size=4
)


def move(strokes, scale, shift):
    return [np.asarray(stroke) * scale + shift for stroke in strokes]


def naive(strokes, pen):
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


@pytest.mark.parametrize("pen", [1, PEN, 6])
@pytest.mark.parametrize("seed", range(3))
def test_rasterize_is_what_its_docstring_says(pen, seed):
    rng = np.random.default_rng(seed)
    strokes = [rng.normal(size=(n, 2)) * (3, 1) for n in (5, 1, 2)]
    np.testing.assert_allclose(rasterize(strokes, pen), naive(strokes, pen), atol=1e-6)


@given(strokes=strokes_of_some_points)
def test_rasterize_fits_the_frame(strokes):
    image = rasterize(strokes)
    assert image.shape == (28, 28)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert 0.9 < image.max() <= 1
    assert max(extent_of_ink(image)) <= 22  # 20, and the edge's half pixel on either side, anywhere between the pixels


@given(strokes=strokes_of_some_points, power=st.integers(-8, 8), shift=st.tuples(coordinates, coordinates))
def test_rasterize_does_not_depend_on_position_and_size(strokes, power, shift):
    moved = move(strokes, 2.0**power, np.round(np.array(shift)))
    np.testing.assert_allclose(rasterize(moved), rasterize(strokes), atol=1e-5)


@given(strokes=strokes_of_some_points)
def test_rasterize_does_not_depend_on_direction_and_order(strokes):
    turned = [stroke[::-1] for stroke in strokes[::-1]]
    np.testing.assert_allclose(rasterize(turned), rasterize(strokes), atol=1e-6)


@given(strokes=strokes_of_some_points)
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
    expected = np.clip(PEN / 2 - np.hypot(rows - 14, columns - 14) + 0.5, 0, 1)
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
    with pytest.raises(ValueError, match="from 1 to 10"):
        rasterize([[(0, 0)]], pen)


def test_arguments_are_left_alone():
    stroke = np.array([(0.0, 1.0), (2.0, 3.0)])
    image = np.zeros((10, 10), np.float32)
    image[2, 3] = 1
    before = stroke.copy(), image.copy()
    rasterize([stroke])
    to_mnist_frame(image)
    np.testing.assert_array_equal(stroke, before[0])
    np.testing.assert_array_equal(image, before[1])
