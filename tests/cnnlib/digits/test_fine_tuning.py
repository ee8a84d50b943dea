"""Fine-tuning: the drawings are learned, the rest is kept, and everything can be undone."""

import json
import re
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib.digits import fine_tuning
from cnnlib.digits.augmentation import Distortion
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


def test_its_steps_by_a_plain_loop(network, drawings):
    """Replayed digits with the answers from before; 16 drawings in each step; then a fifth of the way back."""
    images, labels = drawings
    replay = load_digits().train_images[:20]
    tuner = FineTuner(network, replay)
    tuner.fine_tune(images[:3], labels[:3], steps=4, seed=7)
    plain, rng = cnnlib.load_pretrained(), np.random.default_rng(0)
    digits = plain.to_input(replay)
    x = np.concatenate([digits, *(Distortion()(digits[:, 0], rng)[:, np.newaxis] for _ in range(3))])
    t, initial = plain.predict(x), parameters(plain)
    np.testing.assert_array_equal(tuner.replay_x, x)
    rng, loss, optimizer = np.random.default_rng(7), cnnlib.CategoricalCrossEntropy(), cnnlib.SGD(0.005, 0.9)
    for _ in range(4):
        drawn = np.resize(rng.permutation(3), 16)
        replayed = rng.integers(80, size=112)
        distorted = Distortion()(images[:3][drawn], rng)[:, np.newaxis]
        step = np.concatenate([distorted, x[replayed]]), np.concatenate([np.eye(10)[labels[drawn]], t[replayed]])
        plain.train_step(step[0].astype(np.float32), step[1].astype(np.float32), optimizer, loss)
    for name, array in plain.parameters().items():
        expected = initial[name] + 0.8 * (array - initial[name])
        np.testing.assert_allclose(network.parameters()[name], expected, atol=2e-5)


def test_many_drawings_go_back_less(network, drawings):
    """Of ten, a tenth of the way."""
    images, labels = drawings
    tuner = FineTuner(network, replay=load_digits().train_images[:5])
    tuner.fine_tune(images[:10], labels[:10], steps=1)
    ten = parameters(network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fine_tuning, "MIN_MIX", 1)
        tuner.fine_tune(images[:10], labels[:10], steps=1)
    for name, array in network.parameters().items():
        start = tuner.initial_parameters[name]
        np.testing.assert_allclose(ten[name], start + 0.9 * (array - start), atol=1e-6)


def test_what_was_chosen_on_the_drawings_of_thirty_writers():
    """By `scripts/measure_drawing.py`: other numbers need another measurement."""
    chosen = (fine_tuning.STEPS, fine_tuning.LEARNING_RATE, fine_tuning.MOMENTUM, fine_tuning.MIN_MIX)
    assert chosen == (60, 0.005, 0.9, 0.8)
    assert (fine_tuning.DRAWINGS_PER_STEP, fine_tuning.REPLAYED_PER_STEP, fine_tuning.DISTORTED_COPIES) == (16, 112, 3)


def test_sixty_steps_of_seed_0_are_the_default(network, drawings):
    images, labels = drawings
    tuner = FineTuner(network, replay=load_digits().train_images[:5])
    tuner.fine_tune(images[:2], [8, 8])
    default = parameters(network)
    tuner.fine_tune(images[:2], [8, 8], steps=60, seed=0)
    assert same(parameters(network), default)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1.5, 2], "labels must be whole numbers from 0 to 9, of shape (N,); got float64 of shape (2,)"),
        ([[1], [2]], "labels must be whole numbers from 0 to 9, of shape (N,); got int64 of shape (2, 1)"),
        ([1], "expected as many labels as images, got 1 and 2"),
    ],
)
def test_errors_word_by_word(network, drawings, labels, message):
    tuner = FineTuner(network, replay=load_digits().train_images[:1])
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}$"):
        tuner.fine_tune(drawings[0][:2], np.array(labels))
    with pytest.raises(ValueError, match="^there is nothing to replay: expected at least one image$"):
        FineTuner(network, replay=np.zeros((0, 28, 28)))
    other = cnnlib.Network([cnnlib.Flatten(), cnnlib.Dense(784, 9), cnnlib.Softmax()], (1, 28, 28))
    message = "expected a network from (1, 28, 28) to (10,), got (1, 28, 28) to (9,)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FineTuner(other)
    scores = cnnlib.Network([cnnlib.Flatten(), cnnlib.Dense(784, 10)], (1, 28, 28))
    message = (
        "expected a network that predicts probabilities, from 0 to 1 with the sum 1; "
        f"its last layer is {scores[-1]!r}, expected Softmax()"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FineTuner(scores)


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
