"""Losses: their gradients, their values beside an independent framework, and their behaviour at the extremes."""

import json
from pathlib import Path

import numpy as np
import pytest

import cnnlib

RESULTS = Path(__file__).parents[2] / "book" / "cnnbook" / "results"
with np.load(RESULTS / "reference.npz", allow_pickle=False) as file:
    REFERENCE = dict(file)
CASES = [c for c in enumerate(json.loads(str(REFERENCE["cases"]))) if "loss" in c[1]]
LOSSES = [cnnlib.MeanSquaredError(), cnnlib.CategoricalCrossEntropy(), cnnlib.SoftmaxCrossEntropy()]


def batch(loss):
    rng = np.random.default_rng(0)
    y = rng.standard_normal((4, 5))
    if isinstance(loss, cnnlib.CategoricalCrossEntropy):
        y = cnnlib.Softmax().forward(y)
    return y, cnnlib.one_hot(np.array([1, 4, 0, 1]), 5, np.float64)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_gradient(loss):
    y, t = batch(loss)
    assert cnnlib.gradient_check(loss, y, t)["dx"] <= 1e-7


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_mean_over_the_batch(loss):
    y, t = batch(loss)
    assert loss.value(y, t) == pytest.approx(np.mean([loss.value(y[[n]], t[[n]]) for n in range(4)]))
    twice = loss.gradient(np.concatenate([y, y]), np.concatenate([t, t]))
    np.testing.assert_allclose(twice[:4], loss.gradient(y, t) / 2)


@pytest.mark.parametrize(("index", "case"), CASES)
def test_agrees_with_an_independent_framework(index, case):
    loss = getattr(cnnlib.losses, case["loss"])(**case.get("config", {}))
    y, t = REFERENCE[f"{index}.y"], REFERENCE[f"{index}.t"]
    assert loss.value(y, t) == pytest.approx(float(REFERENCE[f"{index}.value"]), rel=1e-13)
    np.testing.assert_allclose(loss.gradient(y, t), REFERENCE[f"{index}.dy"], rtol=1e-12, atol=1e-16)


def test_softmax_then_cross_entropy_is_the_combination():
    rng = np.random.default_rng(1)
    z, t = (rng.standard_normal((6, 4)), cnnlib.one_hot(rng.integers(0, 4, 6), 4, np.float64))
    softmax, loss, both = (cnnlib.Softmax(), cnnlib.CategoricalCrossEntropy(), cnnlib.SoftmaxCrossEntropy())
    p = softmax.forward(z)
    assert loss.value(p, t) == pytest.approx(both.value(z, t), rel=1e-13)
    np.testing.assert_allclose(softmax.backward(loss.gradient(p, t)), both.gradient(z, t), rtol=1e-11, atol=1e-15)


def test_exact_when_sure_and_wrong():
    z = np.array([[200.0, 0.0]], np.float32)
    t = np.array([[0.0, 1.0]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        assert cnnlib.SoftmaxCrossEntropy().value(z, t) == pytest.approx(200)
        np.testing.assert_allclose(cnnlib.SoftmaxCrossEntropy().gradient(z, t), [[1, -1]])


def test_cross_entropy_of_a_probability_of_zero_is_finite():
    p, t = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    loss = cnnlib.CategoricalCrossEntropy()
    assert 80 < loss.value(p, t) < 90
    assert np.isfinite(loss.gradient(p, t)).all()


def test_guessing_among_ten_costs_log_ten():
    z, t = np.zeros((3, 10)), cnnlib.one_hot(np.array([0, 5, 9]), 10, np.float64)
    assert cnnlib.SoftmaxCrossEntropy().value(z, t) == pytest.approx(np.log(10))


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_bad_input_is_named(loss):
    with pytest.raises(ValueError, match=r"one shape \(N, M, ...\), got \(2, 3\) and \(2, 4\)"):
        loss.value(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="empty"):
        loss.gradient(np.ones((0, 3)), np.ones((0, 3)))


@pytest.mark.parametrize("loss", LOSSES[1:], ids=repr)
def test_targets_are_distributions(loss):
    with pytest.raises(ValueError, match="sum to 1"):
        loss.value(np.full((1, 3), 1 / 3), np.ones((1, 3)))


def test_one_hot():
    np.testing.assert_array_equal(cnnlib.one_hot(np.array([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])
    for labels, message in (([3], "from 0 to 2, got 3"), ([-1], "from 0 to 2, got -1"), ([0.5], "whole numbers")):
        with pytest.raises(ValueError, match=message):
            cnnlib.one_hot(np.array(labels), 3)


IMAGES = (3, 4, 2, 5)


@pytest.mark.parametrize(
    "loss",
    [
        cnnlib.MeanSquaredError(),
        cnnlib.SoftmaxCrossEntropy([0.2, 1, 2, 0.5]),
        cnnlib.SigmoidCrossEntropy(),
        cnnlib.SumOfLosses(
            [
                cnnlib.LossPart(slice(0, 1), cnnlib.SigmoidCrossEntropy()),
                cnnlib.LossPart(slice(1, 2), cnnlib.MeanSquaredError(), 5.0, where=0),
                cnnlib.LossPart(slice(2, 4), cnnlib.SoftmaxCrossEntropy(), 0.5, where=0),
            ]
        ),
    ],
    ids=lambda loss: type(loss).__name__,
)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_gradient_for_images(loss, share):
    rng = np.random.default_rng(3)
    y, t = rng.standard_normal(IMAGES), cnnlib.one_hot(rng.integers(0, 4, (3, 2, 5)), 4, np.float64)
    if isinstance(loss, cnnlib.SumOfLosses):
        t = np.concatenate([rng.random((3, 1, 2, 5)) < share, rng.random((3, 1, 2, 5)), t[:, :1], 1 - t[:, :1]], axis=1)
    assert cnnlib.gradient_check(loss, y, t)["dx"] <= 1e-7


def test_a_sum_of_losses_by_hand():
    """Two cells; only the second holds an object, so only it has an error of its size."""
    loss = cnnlib.SumOfLosses(
        [
            cnnlib.LossPart(slice(0, 1), cnnlib.SigmoidCrossEntropy()),
            cnnlib.LossPart(slice(1, 2), cnnlib.MeanSquaredError(), 5.0, where=0),
        ]
    )
    y, t = np.array([[[0.0, 0.0], [7.0, 3.0]]]), np.array([[[0.0, 1.0], [0.0, 1.0]]])
    assert loss.value(y, t) == pytest.approx(2 * np.log(2) + 5 * (3 - 1) ** 2)
    np.testing.assert_allclose(loss.gradient(y, t), [[[0.5, -0.5], [0, 20]]])


def test_weights_of_classes():
    z, labels = np.zeros((1, 2)), np.array([1])
    t = cnnlib.one_hot(labels, 2, np.float64)
    assert cnnlib.SoftmaxCrossEntropy([1, 3]).value(z, t) == pytest.approx(3 * np.log(2))
    for weights in ([], [-1, 1], [np.nan, 1]):
        with pytest.raises(ValueError, match="weights"):
            cnnlib.SoftmaxCrossEntropy(weights)
    with pytest.raises(ValueError, match="3 weights, but the targets have 2 classes"):
        cnnlib.SoftmaxCrossEntropy([1, 1, 1]).value(z, t)


def test_one_hot_of_maps():
    labels = np.array([[[0, 2], [1, 1]]])
    t = cnnlib.one_hot(labels, 3)
    assert t.shape == (1, 3, 2, 2)
    np.testing.assert_array_equal(t.argmax(axis=1), labels)
    np.testing.assert_array_equal(t.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        ({"channels": 3}, TypeError, "channels must be a slice"),
        ({"channels": slice(0, 99)}, ValueError, "more than the 4 numbers"),
        ({"channels": slice(-5, None)}, ValueError, "more than the 4 numbers"),
        ({"channels": slice(0, -5)}, ValueError, "more than the 4 numbers"),
        ({"channels": slice(4, None)}, ValueError, "none of the 4 numbers"),
        ({"channels": slice(2, 2)}, ValueError, "none of the 4 numbers"),
        ({"channels": slice("a", None)}, TypeError, "the start of channels must be a whole number, got 'a'"),
        ({"channels": slice(0, 2.0)}, TypeError, r"the stop of channels must be a whole number, got 2\.0"),
        ({"channels": slice(0, 10**7)}, ValueError, "the stop of channels must be at most 1,000,000, got 10000000"),
        ({"channels": slice(0, 2, 0)}, ValueError, r"the step of channels must not be 0, got slice\(0, 2, 0\)"),
        ({"where": 4}, ValueError, "more than the 4 numbers"),
        ({"where": "a"}, TypeError, "where must be a whole number"),
        ({"where": -1}, ValueError, "where must be at least 0"),
        ({"scale": np.nan}, ValueError, "scale must be a number"),
        ({"loss": 3}, TypeError, "loss must be a Loss"),
    ],
)
def test_parts_that_are_none(part, error, message):
    given = {"channels": slice(0, 2), "loss": cnnlib.MeanSquaredError()} | part
    with pytest.raises(error, match=message):
        cnnlib.SumOfLosses([cnnlib.LossPart(**given)]).gradient(np.zeros((2, 4)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="at least one LossPart"):
        cnnlib.SumOfLosses([])


def test_targets_of_a_sigmoid_are_from_0_to_1():
    for t in (-0.1, 1.1):
        with pytest.raises(ValueError, match="targets of SigmoidCrossEntropy must be from 0 to 1"):
            cnnlib.SigmoidCrossEntropy().value([[0.0, 1.0]], [[0.5, t]])
    with pytest.raises(ValueError, match="not all of them 0"):
        cnnlib.SoftmaxCrossEntropy([0, 0])


def test_values_by_hand():
    y, t = np.array([[1.0, 3.0, 0.0], [2.0, 0.0, 1.0]]), np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert cnnlib.MeanSquaredError().value(y, t) == pytest.approx((1 + 4 + 0 + 4 + 0 + 0) / 6)
    np.testing.assert_allclose(cnnlib.MeanSquaredError().gradient(y, t), 2 * (y - t) / 6)
    p = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    assert cnnlib.CategoricalCrossEntropy().value(p, t) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)
    np.testing.assert_allclose(cnnlib.CategoricalCrossEntropy().gradient(p, t), [[0, -1, 0], [0, 0, -0.625]])
    shares = 1 / (1 + np.exp(-y))
    binary = -np.mean(t * np.log(shares) + (1 - t) * np.log(1 - shares))
    assert cnnlib.SigmoidCrossEntropy().value(y, t) == pytest.approx(binary)
    np.testing.assert_allclose(cnnlib.SigmoidCrossEntropy().gradient(y, t), (shares - t) / 6)
    with np.errstate(over="raise"):
        extremes = np.array([[1e4, -1e4]])
        assert cnnlib.SigmoidCrossEntropy().value(extremes, np.array([[0.0, 1.0]])) == 1e4


@pytest.mark.parametrize("loss", [*LOSSES, cnnlib.SigmoidCrossEntropy()], ids=repr)
def test_a_value_is_a_float_and_a_gradient_of_the_dtype_of_the_predictions(loss):
    y, t = batch(loss)
    assert type(loss.value(y, t)) is float
    assert loss.gradient(y.astype(np.float32), t.astype(np.float32)).dtype == np.float32


def test_one_hot_of_a_dtype_in_the_fast_order():
    t = cnnlib.one_hot(np.array([[[0, 2], [1, 1]], [[2, 2], [0, 0]]]), 3, np.float64)
    assert t.dtype == np.float64 and t.transpose(1, 2, 3, 0).flags.c_contiguous and t.shape == (2, 3, 2, 2)
    assert cnnlib.one_hot([1], 2).dtype == np.float32
    for labels, classes, message in (
        ([0, 3], 3, "labels must be from 0 to 2, got 0 to 3"),
        ([0, 1], 10**7, "classes must be at most 1,000,000, got 10000000"),
    ):
        with pytest.raises(ValueError) as caught:
            cnnlib.one_hot(labels, classes)
        assert str(caught.value) == message


def test_weights_of_classes_of_images():
    """A pixel counts as much as the weight of its class says."""
    rng = np.random.default_rng(0)
    z, labels = rng.standard_normal((2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    t, weights = cnnlib.one_hot(labels, 3, np.float64), np.array([0.5, 2.0, 7.0])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    each = -np.log(np.take_along_axis(p, labels[:, np.newaxis], 1)[:, 0]) * weights[labels]
    assert cnnlib.SoftmaxCrossEntropy(weights.tolist()).value(z, t) == pytest.approx(each.sum() / 40)
    assert repr(cnnlib.SoftmaxCrossEntropy()) == "SoftmaxCrossEntropy(weights=None)"


def test_a_part_counts_once_and_everywhere_by_default():
    part = cnnlib.LossPart(slice(0, 1), cnnlib.MeanSquaredError())
    assert part.scale == 1 and part.where is None
    loss = cnnlib.SumOfLosses([part])
    y, t = np.array([[3.0, 9.0], [5.0, 9.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert loss.value(y, t) == pytest.approx((4 + 16) / 2)
    np.testing.assert_allclose(loss.gradient(y, t), [[2, 0], [4, 0]])
    twice = cnnlib.SumOfLosses([part, part])
    assert twice.value(y, t) == 2 * loss.value(y, t)
    np.testing.assert_allclose(twice.gradient(y, t), 2 * loss.gradient(y, t))


def test_where_a_part_counts_is_above_one_half():
    loss = cnnlib.SumOfLosses([cnnlib.LossPart(slice(1, 2), cnnlib.MeanSquaredError(), where=0)])
    t = np.array([[0.5, 0.0], [0.51, 0.0]])
    assert loss.value(np.array([[0.0, 3.0], [0.0, 1.0]]), t) == 0.5
    assert loss.has_accuracy is False and cnnlib.MeanSquaredError().has_accuracy is True


def test_a_loss_alone_has_no_formula():
    y = np.ones((2, 2))
    for call in (cnnlib.losses.Loss().value, cnnlib.losses.Loss().gradient):
        with pytest.raises(NotImplementedError):
            call(y, y)


def test_of_images_the_pixel_is_named_that_has_no_probabilities():
    p = t = np.moveaxis(np.eye(5)[np.arange(18).reshape(2, 3, 3) % 5], -1, 1)
    for wrong in (2.0, -0.5):
        y = p.copy()
        y[1, 2, 0, 2] += wrong
        with pytest.raises(ValueError, match=r"predictions .*; got \[.* in row 1, pixel \(0, 2\)\. End"):
            cnnlib.CategoricalCrossEntropy().value(y, t)


def test_a_million_probabilities_sum_to_one_whatever_their_order_in_memory():
    p = np.asfortranarray(np.full((2, 1_000_000), 1e-6, np.float32))
    assert abs(p.sum(axis=1)[0] - 1) > 1e-3  # in float32, one after the other
    assert cnnlib.CategoricalCrossEntropy().value(p, p) == pytest.approx(np.log(1e6), rel=1e-2)


def test_scores_are_no_probabilities():
    """A network without its Softmax: the cross-entropy of scores would be negative, or a loss that means nothing."""
    t, loss = np.eye(3), cnnlib.CategoricalCrossEntropy()
    for scores in (2 * t, [[1.5, -0.5, 0], [0, 1, 0], [0, 0, 1]], np.full((3, 3), 0.5), t * 1.02, -0.02 * t, t * 1e300):
        for method in (loss.value, loss.gradient):
            with pytest.raises(ValueError, match=r"sum to more than 1, and no .*; got \[.* in row 0\. End the"):
                method(scores, t)
    for p in (t * 1.009, t - 0.009, t * 0.5):
        assert np.isfinite(loss.value(p, t))  # rounding, a step of gradient_check, and a zero in place of a probability
    assert np.isnan(loss.value(np.full((3, 3), np.nan), t))  # which training reports by another error
    network = cnnlib.Network([cnnlib.Dense(3, 3, rng=0), cnnlib.Sigmoid()], (3,))
    before = network.layers[0].W.copy()
    with pytest.raises(ValueError, match=r"predictions of CategoricalCrossEntropy .*End the network with Softmax\(\)"):
        network.train(t, t, progress=False)
    np.testing.assert_array_equal(network.layers[0].W, before)
    with pytest.raises(ValueError, match="predictions of CategoricalCrossEntropy"):
        network.evaluate(t, t)
    network.train(t, t, loss=cnnlib.MeanSquaredError(), progress=False)
