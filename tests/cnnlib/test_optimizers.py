"""Optimizers beside an independent framework, schedules, and initializers."""

import json
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib.initializers import initialize
from cnnlib.schedules import SCHEDULES

RESULTS = Path(__file__).parents[2] / "book" / "cnnbook" / "results"
with np.load(RESULTS / "reference.npz", allow_pickle=False) as file:
    REFERENCE = dict(file)
CASES = [c for c in enumerate(json.loads(str(REFERENCE["cases"]))) if "optimizer" in c[1]]


@pytest.mark.parametrize(("index", "case"), CASES)
def test_agrees_with_an_independent_framework(index, case):
    optimizer = getattr(cnnlib, case["optimizer"])(**case["config"])
    parameter = REFERENCE[f"{index}.start"].copy()
    gradients, steps = REFERENCE[f"{index}.gradients"], REFERENCE[f"{index}.steps"]
    for gradient, expected in zip(gradients, steps, strict=True):
        optimizer.step([(parameter, gradient)])
        np.testing.assert_allclose(parameter, expected, rtol=1e-12)


@pytest.mark.parametrize("optimizer", [cnnlib.SGD(weight_decay=0.5), cnnlib.Adam(weight_decay=0.5)])
def test_biases_do_not_decay(optimizer):
    weight, bias = np.ones((2, 2)), np.ones(2)
    optimizer.step([(weight, np.zeros((2, 2))), (bias, np.zeros(2))])
    assert (weight < 1).all() and (bias == 1).all()


@pytest.mark.parametrize("optimizer", [cnnlib.SGD(weight_decay=0.1), cnnlib.Adam(weight_decay=0.1)])
def test_gradients_and_dtype_are_left_alone(optimizer):
    parameter, gradient = np.ones((2, 2), np.float32), np.full((2, 2), 0.5, np.float32)
    before = gradient.copy()
    optimizer.step([(parameter, gradient)], scale=np.float64(0.3))
    np.testing.assert_array_equal(gradient, before)
    assert parameter.dtype == np.float32
    assert all(array.dtype == np.float32 for arrays in optimizer.state.values() for array in arrays)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cnnlib.SGD(learning_rate=0), "learning_rate must be a number in .0, inf., got 0"),
        (lambda: cnnlib.SGD(learning_rate=float("nan")), "learning_rate must be a number in .0, inf., got nan"),
        (lambda: cnnlib.SGD(momentum=1), "momentum must be .* got 1"),
        (lambda: cnnlib.SGD(weight_decay=-1), "weight_decay must be a number in .0, inf., got -1"),
        (lambda: cnnlib.Adam(beta2=1.5), "beta2 must be .* got 1.5"),
        (lambda: cnnlib.Adam(epsilon=0), "epsilon must be a number in .0, inf., got 0"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_between_zero_and_the_full_rate(name):
    factors = np.array([SCHEDULES[name](progress) for progress in np.linspace(0, 1, 101)])
    assert factors.max() == pytest.approx(1) and factors.min() >= 0


def test_schedule_shapes():
    assert cnnlib.cosine(0) == 1 and cnnlib.cosine(0.5) == pytest.approx(0.5) and cnnlib.cosine(1) == pytest.approx(0)
    assert cnnlib.one_cycle(0) == pytest.approx(0.04) and cnnlib.one_cycle(0.3) == pytest.approx(1)
    rising = [cnnlib.one_cycle(p) for p in np.linspace(0, 0.3, 20)]
    assert rising == sorted(rising)


def test_initializers_have_the_promised_variance():
    rng = np.random.default_rng(0)
    assert initialize("he", (400, 500), 400, 500, rng, np.float64).var() == pytest.approx(2 / 400, rel=0.02)
    glorot = initialize("glorot", (400, 500), 400, 500, rng, np.float64)
    assert glorot.var() == pytest.approx(2 / 900, rel=0.02)
    assert np.abs(glorot).max() <= np.sqrt(6 / 900)
    assert not initialize("zeros", (4, 5), 4, 5, rng, np.float32).any()


def test_a_seed_decides_the_weights():
    first, second = (cnnlib.Dense(4, 3, rng=np.random.default_rng(5)).W for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("make", [cnnlib.SGD, cnnlib.Adam])
def test_a_used_optimizer_is_refused_by_another_network(make):
    optimizer, first, second = make(), np.ones((2, 2)), np.ones((2, 2))
    optimizer.step([(first, np.ones((2, 2)))])
    optimizer.step([(first, np.ones((2, 2)))])
    for parameters in ([second], [first, second], []):
        with pytest.raises(ValueError, match="has taken 2 steps with other parameters: every network needs a new opt"):
            optimizer.step([(parameter, np.ones((2, 2))) for parameter in parameters])
    assert optimizer.steps == 2 and (second == 1).all()
    optimizer.step([(first, np.ones((2, 2)))])


def test_a_gradient_is_not_broadcast():
    parameter, right, optimizer = np.ones((2, 3)), np.ones((2, 3)), cnnlib.SGD()
    for wrong in (np.ones(3), np.ones((1, 3)), 1.0, np.ones((2, 3, 1))):
        with pytest.raises(ValueError, match=r"gradient 1 must be of the shape of its parameter, \(2, 3\), got"):
            optimizer.step([(right, right), (parameter, wrong)])
    assert (parameter == 1).all() and (right == 1).all() and optimizer.steps == 0 and optimizer.state == {}


def test_a_seed_may_stand_for_a_generator():
    np.testing.assert_array_equal(cnnlib.Dense(4, 3, rng=5).W, cnnlib.Dense(4, 3, rng=np.random.default_rng(5)).W)


def test_defaults():
    assert repr(cnnlib.SGD()) == "SGD(learning_rate=0.05, momentum=0.9, weight_decay=0.0)"
    assert repr(cnnlib.Adam()) == "Adam(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08, weight_decay=0.0)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cnnlib.SGD(weight_decay=-0.1), "weight_decay must be a number in [0, inf), got -0.1"),
        (lambda: cnnlib.SGD(momentum=-0.1), "momentum must be a number in [0, 1), got -0.1"),
        (lambda: cnnlib.SGD(momentum=1), "momentum must be a number in [0, 1), got 1"),
        (lambda: cnnlib.Adam(beta1=1), "beta1 must be a number in [0, 1), got 1"),
        (lambda: cnnlib.Adam(beta1=-0.1), "beta1 must be a number in [0, 1), got -0.1"),
        (lambda: cnnlib.Adam(beta2=1), "beta2 must be a number in [0, 1), got 1"),
        (lambda: cnnlib.Adam(beta2=-0.1), "beta2 must be a number in [0, 1), got -0.1"),
        (lambda: cnnlib.Adam(weight_decay=-1), "weight_decay must be a number in [0, inf), got -1"),
        (lambda: cnnlib.constant(1.1), "progress must be a number in [0, 1], got 1.1"),
        (lambda: cnnlib.constant(-0.1), "progress must be a number in [0, 1], got -0.1"),
        (lambda: cnnlib.cosine(1.1), "progress must be a number in [0, 1], got 1.1"),
        (lambda: cnnlib.cosine(-0.1), "progress must be a number in [0, 1], got -0.1"),
        (lambda: cnnlib.one_cycle(1.1), "progress must be a number in [0, 1], got 1.1"),
        (lambda: cnnlib.one_cycle(0.5, 1), "warmup must be a number in [0, 1), got 1"),
        (lambda: cnnlib.one_cycle(0.5, -0.1), "warmup must be a number in [0, 1), got -0.1"),
        (lambda: cnnlib.one_cycle(0.5, 0.3, 1.1), "start must be a number in [0, 1], got 1.1"),
        (lambda: cnnlib.one_cycle(0.5, 0.3, -0.1), "start must be a number in [0, 1], got -0.1"),
        (lambda: cnnlib.SGD().step([], float("nan")), "scale must be a number in (-inf, inf), got nan"),
        (
            lambda: initialize("lecun", (2, 3), 2, 3, 0, np.float32),
            "initializer must be one of he, glorot, zeros; got 'lecun'",
        ),
    ],
)
def test_what_is_said_of_bad_settings(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message


def test_schedules_are_their_formulas():
    for progress in np.linspace(0, 1, 11):
        assert cnnlib.constant(progress) == 1
        assert cnnlib.cosine(progress) == pytest.approx(0.5 + 0.5 * np.cos(np.pi * progress), abs=1e-15)
        for warmup, start in ((0.3, 0.04), (0.5, 0.2), (0, 0.5)):
            if progress < warmup:
                expected = start + (1 - start) * (0.5 - 0.5 * np.cos(np.pi * progress / warmup))
            else:
                expected = 0.5 + 0.5 * np.cos(np.pi * (progress - warmup) / (1 - warmup))
            assert cnnlib.one_cycle(progress, warmup, start) == pytest.approx(expected, abs=1e-15)
    assert cnnlib.one_cycle(0.1) == cnnlib.one_cycle(0.1, 0.3, 0.04)
    assert {"constant": cnnlib.constant, "cosine": cnnlib.cosine, "one_cycle": cnnlib.one_cycle} == SCHEDULES


def test_initializers_are_their_formulas():
    shape, fan_in, fan_out = (3, 4), 5, 7
    he = np.random.default_rng(1).normal(0, np.sqrt(2 / 5), shape)
    limit = np.sqrt(6 / 12)
    glorot = np.random.default_rng(1).uniform(-limit, limit, shape)
    np.testing.assert_array_equal(initialize("he", shape, fan_in, fan_out, 1, np.float64), he)
    np.testing.assert_array_equal(initialize("glorot", shape, fan_in, fan_out, 1, np.float32), glorot.astype("f4"))
    zeros = initialize("zeros", shape, fan_in, fan_out, 1, np.float32)
    assert zeros.shape == shape and zeros.dtype == np.float32 and not zeros.any()


def test_an_optimizer_alone_has_no_formula():
    optimizer = cnnlib.optimizers.Optimizer(0.1)
    assert optimizer.weight_decay == 0
    with pytest.raises(NotImplementedError):
        optimizer.step([(np.ones(2), np.ones(2))])
