"""Images of digits come into the frame of MNIST's own images."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnnlib.digits.datasets import load_digits, load_mnist
from cnnlib.digits.mnist_frame import _thicken, frame_of, to_mnist_frame, upscale

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


# --- Thin strokes


@pytest.mark.parametrize("lies", [False, True])
@pytest.mark.parametrize(("length", "missing"), [(7, 0), (23, 1), (31, 1), (32, 2), (47, 2), (48, 3)])
def test_a_thin_line_becomes_as_thick_as_by_a_pen(lies, length, missing):
    """An eighth of its length, as a pen of 2.5 pixels in a box of 20, rounded to whole pixels on each side."""
    width = length / (length + 1)  # of a line of one pixel: twice its area over its perimeter
    assert missing == round((length / 8 - width) / 2)
    ink = np.zeros((length + 4, 9), np.float32)
    ink[2:-2, 4] = 0.8
    expected = np.zeros((length + 4 + 2 * missing, 9 + 2 * missing), np.float32)
    expected[2 : length + 2 + 2 * missing, 4 : 5 + 2 * missing] = 0.8
    ink, expected = (ink.T, expected.T) if lies else (ink, expected)
    np.testing.assert_allclose(_thicken(ink), expected, atol=1e-6)
    if not missing:
        assert _thicken(ink) is ink


def test_thick_strokes_stay_and_nothing_stays_nothing():
    disc = np.ones((9, 9), np.float32)
    assert _thicken(disc) is disc
    assert not _thicken(np.zeros((5, 5), np.float32)).any()
    assert not frame_of(np.full((5, 5), 0.5)).any()


def test_what_is_fainter_than_half_is_no_ink():
    ink = np.zeros((40, 40))
    ink[10:30, 15:25] = 1
    expected = frame_of(ink)
    ink[0, 0] = ink[39, 3] = 0.5
    np.testing.assert_array_equal(frame_of(ink), expected)
    ink[0, 0] = 0.51
    assert not np.array_equal(frame_of(ink), expected)


# --- The embedded digits, scaled up


@given(image=arrays(np.uint8, (1, 8, 8), elements=st.integers(0, 16)))
def test_upscale_is_cubic_convolution(image):
    """The same with floating-point numbers and Keys' kernel as he wrote it."""

    def kernel(s):
        s = abs(s)
        return np.where(s < 1, 1.5 * s**3 - 2.5 * s**2 + 1, np.where(s < 2, -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2, 0))

    position = (np.arange(20) + 0.5) * 8 / 20 - 0.5
    weights = kernel(position[:, None] - np.arange(-4, 12))
    box = weights @ np.pad(image[0] / 16, 4, mode="edge") @ weights.T
    expected = 255 * np.clip(1.5 * box - 0.25, 0, 1)

    upscaled = upscale(image)
    assert upscaled.shape == (1, 28, 28)
    assert upscaled.dtype == np.uint8
    if not upscaled.any():
        assert expected.max() < 0.5 + 1e-9
        return
    windows = np.lib.stride_tricks.sliding_window_view(upscaled[0], (20, 20)).reshape(-1, 20, 20)
    differences = np.abs(windows - expected).max(axis=(1, 2))
    best = int(differences.argmin())
    assert differences[best] <= 0.5 + 1e-9
    assert upscaled[0].sum() == windows[best].sum()  # nothing outside the box


def test_upscaled_digits_are_centred():
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
def test_bad_images_to_upscale(images, message):
    with pytest.raises(ValueError, match=message):
        upscale(images)


def test_all_of_one_value_may_be_upscaled():
    for value, expected in ((0, 0), (16, 255)):
        boxes = upscale(np.full((2, 8, 8), value))
        assert set(np.unique(boxes)) == {0, expected} and (boxes == 255).sum() == 2 * 400 * (value > 0)


def test_no_image_to_upscale():
    assert upscale(np.zeros((0, 8, 8), np.uint8)).shape == (0, 28, 28)


def test_the_argument_is_left_alone():
    image = np.zeros((10, 10), np.float32)
    image[2, 3] = 1
    before = image.copy()
    to_mnist_frame(image)
    np.testing.assert_array_equal(image, before)
