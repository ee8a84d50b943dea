"""The sample drawings: complete, repeatable, and classified correctly."""

import numpy as np
import pytest

import cnnlib
from cnnlib.digits.sample_drawings import PATHS, _curve, sample_drawings
from cnnlib.digits.strokes import CANVAS


def test_sample_drawings():
    drawings, labels = sample_drawings(2, seed=1)
    assert len(drawings) == len(labels) == 2 * sum(map(len, PATHS)) == 80
    assert np.bincount(labels).tolist() == [8] * 10
    for strokes in drawings:
        points = np.concatenate(strokes)
        assert points.min() >= 0 and points.max() <= CANVAS
        assert np.ptp(points, axis=0).max() > 0.4 * CANVAS
    again, _ = sample_drawings(2, seed=1)
    other, _ = sample_drawings(2, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(drawings[7], again[7], strict=True))
    assert not np.array_equal(drawings[7][0], other[7][0])


def test_they_are_the_same_as_ever():
    """Numbers in the book are of these drawings; the sum is one that any change of a point moves."""
    drawings, _ = sample_drawings()
    assert [len(strokes) for strokes in drawings[:14]] == [1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1]
    points = np.concatenate([stroke for strokes in drawings for stroke in strokes])
    assert len(points) == 2_112
    assert (points * np.cos(np.arange(points.size)).reshape(points.shape)).sum() == pytest.approx(629.8, abs=1)
    assert np.array_equal(points, np.round(points, 1))


def test_paths_and_curves_by_hand():
    """A smooth curve passes its points; a point given twice makes a corner, and none twice."""
    points = np.array([[0.0, 0.0], [8.0, 0.0], [8.0, 8.0], [8.0, 8.0], [0.0, 16.0]])
    curve = _curve(points)
    assert len(curve) == 3 * 8 + 1
    np.testing.assert_allclose(curve[::8], points[[0, 1, 2, 4]])
    np.testing.assert_allclose(curve[4], [4, -0.5])  # half way, by the formula of Catmull and Rom
    np.testing.assert_allclose(curve[20], [4, 12])


def test_the_network_classifies_the_sample_drawings_correctly():
    drawings, labels = sample_drawings()
    images = np.stack([cnnlib.rasterize(drawing) for drawing in drawings])
    network = cnnlib.load_pretrained()
    assert np.mean(network.predict(images).argmax(axis=1) == labels) >= 0.95
