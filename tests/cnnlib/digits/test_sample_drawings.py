"""The sample drawings: complete, repeatable, and classified correctly."""

import numpy as np

import cnnlib
from cnnlib.digits.sample_drawings import PATHS, sample_drawings
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


def test_the_network_classifies_the_sample_drawings_correctly():
    drawings, labels = sample_drawings()
    images = np.stack([cnnlib.rasterize(drawing) for drawing in drawings])
    network = cnnlib.load_pretrained()
    assert np.mean(network.predict(images).argmax(axis=1) == labels) >= 0.95
