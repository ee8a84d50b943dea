"""Augmentation: what changes, what stays, and that the seed decides."""

import numpy as np
import pytest

import cnnlib
from cnnlib.digits.augmentation import GRID, Distortion, _spline_weights, bilinear_sample, variants

STILL = {"rotation": 0, "shear": 0, "scale": 0, "shift": 0, "elastic": 0, "stroke_width": 0}


def digits(count=40):
    return cnnlib.load_digits().train_images[:count]


def centre(image):
    rows, columns = np.indices(image.shape)
    return np.array([(rows * image).sum(), (columns * image).sum()]) / image.sum()


def test_without_settings_nothing_changes():
    images = digits()
    same = Distortion(**STILL)(images, np.random.default_rng(0))
    np.testing.assert_allclose(same, images / 255, atol=1e-5)
    assert same.dtype == np.float32


def test_copies_within_range_decided_by_the_seed():
    images = digits()
    before = images.copy()
    first, again, other = (Distortion()(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and 0 <= first.min() <= first.max() <= 1
    assert (
        len({image.tobytes() for image in Distortion()(np.repeat(images[:1], 20, axis=0), np.random.default_rng(3))})
        == 20
    )


def test_shift_moves_and_rotation_does_not():
    images = digits(60) / np.float32(255)
    moved = Distortion(**STILL | {"shift": 3})(images, np.random.default_rng(4))
    steps = np.array([centre(b) - centre(a) for a, b in zip(images, moved, strict=True)])
    assert 1 < np.abs(steps).max() <= 3.01 and steps.min() < -1 and steps.max() > 1
    # Turned about the middle of the image, the centre of mass stays about where it is, and so does the ink.
    turned = Distortion(**STILL | {"rotation": 15})(images, np.random.default_rng(5))
    assert max(np.abs(centre(b) - centre(a)).max() for a, b in zip(images, turned, strict=True)) < 0.6
    np.testing.assert_allclose(turned.sum(axis=(1, 2)), images.sum(axis=(1, 2)), rtol=0.02)
    assert np.abs(turned - images).max() > 0.3


@pytest.mark.parametrize("name", ["rotation", "shear", "scale", "shift", "elastic", "stroke_width"])
def test_every_setting_does_something(name):
    images = digits(10)
    changed = Distortion(**STILL | {name: getattr(Distortion(), name)})(images, np.random.default_rng(6))
    assert np.abs(changed - images / 255).max() > 0.05


def test_thin_and_thick_strokes():
    images = digits(100) / np.float32(255)
    ink = Distortion(**STILL | {"stroke_width": 1})(images, np.random.default_rng(7)).sum(axis=(1, 2)) / images.sum(
        axis=(1, 2)
    )
    assert ink.min() < 0.6 and ink.max() > 1.5


def test_sampling_between_pixels():
    images = np.zeros((1, 3, 3))
    images[0, 1, 1], images[0, 1, 2] = 1, 0.5
    at = np.array([[[1.0, 1.0, 0.5, 1.0, -4.0, 2.5]]])
    np.testing.assert_allclose(
        bilinear_sample(images, at, np.array([[[1.0, 1.5, 1.0, 2.5, 1.0, 9.0]]])), [[[1, 0.75, 0.5, 0.25, 0, 0]]]
    )


def test_spline_weights_are_a_partition_of_unity():
    weights = _spline_weights(28)
    assert weights.shape == (28, GRID)
    np.testing.assert_allclose(weights[6:-6].sum(axis=1), 1, rtol=1e-6)


def test_variants_add_strokes_to_ones_sevens_and_nines():
    data = cnnlib.load_digits()
    images, labels = variants(data.train_images, data.train_labels, 0.2, np.random.default_rng(8))
    expected = {label: round(0.2 * (data.train_labels == label).sum()) for label in (1, 7, 9)}
    assert {label: int((labels == label).sum()) for label in (1, 7, 9)} == expected and len(labels) == sum(
        expected.values()
    )
    assert images.shape[1:] == (28, 28) and images.dtype == np.uint8
    boxes = [np.ptp(np.argwhere(image), axis=0).max() + 1 for image in images]
    assert set(boxes) == {20}  # in MNIST's frame again
    columns = {True: images[labels == 1], False: data.train_images[data.train_labels == 1]}
    widths = {varied: (ones.max(axis=1) > 100).sum(axis=1).mean() for varied, ones in columns.items()}
    assert widths[True] > widths[False] + 1  # the upstroke reaches out to the left
    none = variants(data.train_images, data.train_labels, 0, np.random.default_rng(8))
    assert len(none[0]) == len(none[1]) == 0


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"expected images of shape \(N, H, W\), got shape \(28, 28\)"):
        Distortion()(np.zeros((28, 28)), np.random.default_rng(0))
