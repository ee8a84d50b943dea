"""Fine-tuning: the drawings are learned, the rest is kept, and everything can be undone."""

import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib.digits.datasets import load_digits
from cnnlib.digits.fine_tuning import FineTuner
from cnnlib.digits.sample_drawings import sample_drawings
from cnnlib.digits.strokes import PREPARATIONS

sys.path.append(str(Path(__file__).resolve().parents[3] / "scripts"))
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


def test_the_drawings_are_learned_and_the_rest_is_kept(network, drawings):
    images, _ = drawings
    digits = load_digits()
    before = network.evaluate(digits.test_images, digits.test_labels)[1]
    # Wrong labels, so that there is something to learn.
    mislabelled = images[[0, 21]]
    assert not (network.predict(mislabelled).argmax(axis=1) == 8).any()
    FineTuner(network).fine_tune(mislabelled, [8, 8])
    assert (network.predict(mislabelled).argmax(axis=1) == 8).all()
    assert network.evaluate(digits.test_images, digits.test_labels)[1] >= before - 0.02


def test_without_replay_it_would_forget(network, drawings):
    """The replay is needed: the same drawings alone cost the network much of what it knows."""
    images, _ = drawings
    digits = load_digits()
    mislabelled = images[[0, 21]]
    FineTuner(network, replay=mislabelled[:1]).fine_tune(mislabelled, [8, 8])
    drawings_alone = network.evaluate(digits.test_images, digits.test_labels)[1]
    again = cnnlib.load_pretrained()
    FineTuner(again).fine_tune(mislabelled, [8, 8])
    assert drawings_alone < again.evaluate(digits.test_images, digits.test_labels)[1] - 0.05


def test_result_depends_on_the_drawings_alone(network, drawings):
    images, labels = drawings
    tuner = FineTuner(network)
    tuner.fine_tune(images[:3], labels[:3])
    direct = parameters(network)
    tuner.fine_tune(images[20:30], 9 - labels[20:30])
    assert not same(parameters(network), direct)
    tuner.fine_tune(images[:3], labels[:3])
    assert same(parameters(network), direct)


def test_reset_gives_back_every_bit(network, drawings):
    images, labels = drawings
    before = parameters(network)
    tuner = FineTuner(network)
    tuner.fine_tune(images[:1], labels[:1])
    assert not same(parameters(network), before)
    tuner.reset()
    assert same(parameters(network), before)
    tuner.fine_tune(images[:1], labels[:1])
    tuner.fine_tune(np.zeros((0, 28, 28)), [])
    assert same(parameters(network), before)


def test_bad_input_is_refused_and_changes_nothing(network, drawings):
    images, _ = drawings
    before = parameters(network)
    tuner = FineTuner(network)
    with pytest.raises(ValueError, match="as many labels as images, got 1 and 2"):
        tuner.fine_tune(images[:2], [1])
    with pytest.raises(ValueError, match="from 0 to 9, got 10"):
        tuner.fine_tune(images[:1], [10])
    with pytest.raises(ValueError, match="expected a batch"):
        tuner.fine_tune(images[:1, :20], [1])
    with pytest.raises(ValueError, match="steps must be at least 1"):
        tuner.fine_tune(images[:1], [1], steps=0)
    assert same(parameters(network), before)
    with pytest.raises(ValueError, match="nothing to replay"):
        FineTuner(network, replay=np.zeros((0, 28, 28)))
    with pytest.raises(ValueError, match="from \\(1, 28, 28\\) to \\(10,\\)"):
        FineTuner(cnnlib.Network([cnnlib.Dense(2, 2), cnnlib.Softmax()], (2,)))


# What was measured


@pytest.fixture(scope="module")
def measured():
    return json.loads((resources.files("cnnbook") / "results" / "drawing.json").read_text("utf-8"))


def test_what_was_measured_belongs_to_this_network(network, measured):
    """After a change of the shipped network, or of how drawings are prepared, run scripts/measure_drawing.py again."""
    assert measured["network"] == measure_drawing.fingerprint(network)
    assert measured["preparation"]["preparations"] == list(PREPARATIONS)


def test_goals_of_fine_tuning(measured):
    """Five drawings halve a new writer's errors, on average, and cost at most 0.15 points on MNIST."""
    assert measured["teaching"]["corrections"][:2] == [0, 5]
    errors = 100 - np.mean(measured["teaching"]["accuracy"], axis=0)
    assert errors[1] <= 0.5 * errors[0]
    mnist = np.mean(measured["teaching"]["mnist"], axis=0)
    assert (mnist >= mnist[0] - 0.15).all()
    assert measured["teaching"]["seconds"] < 1
