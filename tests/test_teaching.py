"""Teaching: the drawings are learned, the rest is kept, and everything can be taken back."""

import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib.data import load_digits
from cnnlib.handwriting import CANVAS, PATHS, PREPARATIONS, sample_drawings
from cnnlib.teaching import Teacher

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))
import measure_drawing


@pytest.fixture(scope="module")
def drawings():
    strokes, labels = sample_drawings()
    return np.stack([cnnlib.rasterize(drawing) for drawing in strokes]), labels


@pytest.fixture
def network():
    return cnnlib.load_pretrained()


def parameters(network):
    return {name: array.copy() for name, array in network.parameters().items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_what_is_taught_is_learned_and_the_rest_is_kept(network, drawings):
    images, _ = drawings
    digits = load_digits()
    before = network.evaluate(digits.test_images, digits.test_labels)[1]
    # An odd wish, so that there is something to learn: these two are to be an 8.
    lesson = images[[0, 21]]
    assert not (network.predict(lesson).argmax(axis=1) == 8).any()
    Teacher(network).teach(lesson, [8, 8])
    assert (network.predict(lesson).argmax(axis=1) == 8).all()
    assert network.evaluate(digits.test_images, digits.test_labels)[1] >= before - 0.02


def test_without_replay_it_would_forget(network, drawings):
    """The safeguard is needed: the same lesson alone costs the network much of what it knows."""
    images, _ = drawings
    digits = load_digits()
    lesson = images[[0, 21]]
    Teacher(network, replay=lesson[:1]).teach(lesson, [8, 8])
    with_lesson_alone = network.evaluate(digits.test_images, digits.test_labels)[1]
    again = cnnlib.load_pretrained()
    Teacher(again).teach(lesson, [8, 8])
    assert with_lesson_alone < again.evaluate(digits.test_images, digits.test_labels)[1] - 0.05


def test_result_depends_on_the_drawings_alone(network, drawings):
    images, labels = drawings
    teacher = Teacher(network)
    teacher.teach(images[:3], labels[:3])
    direct = parameters(network)
    teacher.teach(images[20:30], 9 - labels[20:30])
    assert not same(parameters(network), direct)
    teacher.teach(images[:3], labels[:3])
    assert same(parameters(network), direct)


def test_reset_gives_back_every_bit(network, drawings):
    images, labels = drawings
    before = parameters(network)
    teacher = Teacher(network)
    teacher.teach(images[:1], labels[:1])
    assert not same(parameters(network), before)
    teacher.reset()
    assert same(parameters(network), before)
    teacher.teach(images[:1], labels[:1])
    teacher.teach(np.zeros((0, 28, 28)), [])
    assert same(parameters(network), before)


def test_bad_input_is_refused_and_changes_nothing(network, drawings):
    images, _ = drawings
    before = parameters(network)
    teacher = Teacher(network)
    with pytest.raises(ValueError, match="as many labels as images, got 1 and 2"):
        teacher.teach(images[:2], [1])
    with pytest.raises(ValueError, match="from 0 to 9, got 10"):
        teacher.teach(images[:1], [10])
    with pytest.raises(ValueError, match="expected a batch"):
        teacher.teach(images[:1, :20], [1])
    with pytest.raises(ValueError, match="steps must be at least 1"):
        teacher.teach(images[:1], [1], steps=0)
    assert same(parameters(network), before)
    with pytest.raises(ValueError, match="nothing to replay"):
        Teacher(network, replay=np.zeros((0, 28, 28)))
    with pytest.raises(ValueError, match="from \\(1, 28, 28\\) to \\(10,\\)"):
        Teacher(cnnlib.Network([cnnlib.Dense(2, 2), cnnlib.Softmax()], (2,)))


# What was measured


@pytest.fixture(scope="module")
def measured():
    return json.loads((resources.files("cnnbook") / "results" / "drawing.json").read_text("utf-8"))


def test_what_was_measured_belongs_to_this_network(network, measured):
    """After a change of the shipped network, or of how drawings are prepared, run scripts/measure_drawing.py again."""
    assert measured["network"] == measure_drawing.fingerprint(network)
    assert measured["preparation"]["preparations"] == list(PREPARATIONS)


def test_goals_of_teaching(measured):
    """Five drawings halve a new writer's errors, on average, at a cost of at most 0.15 points on MNIST."""
    assert measured["teaching"]["corrections"][:2] == [0, 5]
    errors = 100 - np.mean(measured["teaching"]["accuracy"], axis=0)
    assert errors[1] <= 0.5 * errors[0]
    mnist = np.mean(measured["teaching"]["mnist"], axis=0)
    assert (mnist >= mnist[0] - 0.15).all()
    assert measured["teaching"]["seconds"] < 1


# The sample drawings


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


def test_the_network_reads_the_sample_drawings(network, drawings):
    images, labels = drawings
    assert np.mean(network.predict(images).argmax(axis=1) == labels) >= 0.95


@pytest.mark.parametrize("name", PREPARATIONS)
def test_every_preparation_gives_an_image(name):
    for strokes in (sample_drawings()[0][0], [np.array([[100.0, 100.0]])], [np.array([[50.0, 20.0], [50.0, 200.0]])]):
        image = PREPARATIONS[name](strokes)
        assert image.shape == (28, 28) and image.dtype == np.float32
        assert image.min() >= 0 and image.max() <= 1 and np.ptp(image) > 0.5
