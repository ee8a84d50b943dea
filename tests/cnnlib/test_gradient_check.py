"""The gradient check itself: it passes what is right, and catches what is wrong."""

import numpy as np
import pytest

import cnnlib
from cnnlib.gradient_check import central_difference, entry_errors


class MissingBatchSum(cnnlib.Dense):
    def backward(self, dy):
        dx = super().backward(dy)
        self.db = dy[0]
        return dx


class WrongSign(cnnlib.Sigmoid):
    def backward(self, dy):
        return -super().backward(dy)


class OneWrongEntry(cnnlib.Convolutional):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dW[1, 0, 2, 1] *= 1.001
        return dx


class InPlace(cnnlib.ReLU):
    def forward(self, x):
        y = super().forward(x)
        np.maximum(x, 0, out=x)
        return y + x


class NotANumber(cnnlib.ReLU):
    def backward(self, dy):
        return super().backward(dy) * np.nan


class WrongShape(cnnlib.Flatten):
    def backward(self, dy):
        return dy


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (MissingBatchSum(3, 2), (4, 3), r"MissingBatchSum\(.*\): db\[\d\] is"),
        (WrongSign(), (2, 3), r"dx\[\d, \d\] is"),
        (OneWrongEntry(1, 2, 3), (2, 1, 5, 5), r"dW\[1, 0, 2, 1\] is .* but central differences say"),
        (InPlace(), (2, 3), "dx"),
        (NotANumber(), (2, 3), "nan"),
        (WrongShape(), (2, 3, 2, 2), r"dx has the shape \(2, 12\), expected \(2, 3, 2, 2\)"),
    ],
)
def test_a_broken_gradient_is_caught_and_named(layer, shape, message):
    with pytest.raises(cnnlib.GradientError, match=message):
        cnnlib.gradient_check(layer, np.random.default_rng(0).standard_normal(shape))


def test_nothing_is_changed():
    layer = cnnlib.Dense(3, 2, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    before, W = x.copy(), layer.W.copy()
    cnnlib.gradient_check(layer, x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(layer.W, W)
    assert layer.W.dtype == np.float32 and not hasattr(layer, "dW")


def test_a_sample_is_checked_at_most():
    calls = []

    class Counting(cnnlib.ReLU):
        def forward(self, x):
            calls.append(1)
            return super().forward(x)

    cnnlib.gradient_check(Counting(), np.random.default_rng(0).standard_normal((10, 10)), sample=7)
    assert len(calls) == 1 + 2 * 7


def test_whole_network():
    network = cnnlib.lenet5(np.random.default_rng(0))
    errors = cnnlib.gradient_check(network, np.random.default_rng(1).standard_normal((2, 1, 28, 28)), sample=15)
    assert set(errors) == {"dx", *(f"d{name}{i}" for name in "Wb" for i in (0, 3, 7, 9, 11))}


def test_a_loss_needs_targets():
    with pytest.raises(ValueError, match="needs targets"):
        cnnlib.gradient_check(cnnlib.MeanSquaredError(), np.ones((2, 2)))


@pytest.mark.parametrize("scores", [[30, -30, 0], [40, 0, 0], [-50, 50, 49], [1e3, -1e3, 0], [20, -20, 19.5]])
def test_a_saturated_softmax_is_right(scores):
    for seed in range(20):
        assert cnnlib.gradient_check(cnnlib.Softmax(), [scores], rng=seed)["dx"] <= 1e-7
    cnnlib.gradient_check(cnnlib.SoftmaxCrossEntropy(), [scores], [[0, 1, 0]])


class SaturatedWrong(cnnlib.Softmax):
    def backward(self, dy):
        return super().backward(dy) * 1.001


def test_a_wrong_gradient_is_caught_beside_a_saturated_one():
    with pytest.raises(cnnlib.GradientError, match=r"dx\[1, \d\] is"):
        cnnlib.gradient_check(SaturatedWrong(), [[30, -30, 0], [0.1, 0.5, -0.2]])


def test_what_cannot_be_checked_is_refused():
    layer, x = cnnlib.ReLU(), np.ones((2, 2))
    for error, message, arguments in (
        (TypeError, "function must be a Layer, a Network or a Loss, got 'relu'", {"function": "relu"}),
        (ValueError, "targets t are for a loss, but the function is ReLU", {"t": x}),
        (ValueError, r"x has no entry to check, its shape is \(0, 2\)", {"x": x[:0]}),
        (ValueError, "x holds numbers that are not finite", {"x": x * np.nan}),
        (ValueError, "sample must be at least 1, got 0", {"sample": 0}),
        (ValueError, r"step must be a number in \(0, inf\), got -1", {"step": -1}),
    ):
        with pytest.raises(error, match=message):
            cnnlib.gradient_check(**{"function": layer, "x": x} | arguments)


def test_a_layer_that_need_not_return_dx_is_checked_too():
    layer = cnnlib.Convolutional(1, 1, 3, rng=0)
    layer.needs_dx = False
    assert set(cnnlib.gradient_check(layer, np.random.default_rng(0).random((1, 1, 4, 4)))) == {"dx", "dW", "db"}
    assert layer.needs_dx is False


def test_what_is_said_of_a_wrong_gradient():
    class Wrong(cnnlib.Dense):
        def backward(self, dy):
            dx = super().backward(dy)
            self.dW[1, 0] *= 1.001
            return dx

    layer, x = Wrong(2, 2, rng=0), np.random.default_rng(0).standard_normal((3, 2))
    with pytest.raises(cnnlib.GradientError) as caught:
        cnnlib.gradient_check(layer, x)
    assert str(caught.value) == (
        "Wrong(inputs=2, outputs=2, initializer='he'): dW[1, 0] is -0.143267684, but central differences say "
        "-0.143124559 (relative error 1.0e-03, allowed 1e-07)"
    )
    assert cnnlib.gradient_check(layer, x, tolerance=1e-2)["dW"] == pytest.approx(1e-3, rel=1e-2)
    errors = cnnlib.gradient_check(layer, x, tolerance=np.inf)
    assert errors["dW"] == pytest.approx(0.001 / 1.001, rel=1e-4) and errors["dx"] < 1e-9


def test_errors_of_entries_are_relative_to_the_larger_and_to_the_scale():
    analytic, numerical = np.array([2.0, -1.0, 0.0, 0.001]), np.array([1.0, -4.0, 0.0, 0.0])
    np.testing.assert_allclose(entry_errors(analytic, numerical), [0.5, 0.75, 0, 0.025])
    np.testing.assert_allclose(entry_errors(analytic, numerical, 10.0), [0.1, 0.3, 0, 0.0001])
    np.testing.assert_allclose(entry_errors(np.array([2e-3, 1e-6]), np.array([1e-3, 0.0])), [0.5, 0.1])
    np.testing.assert_array_equal(entry_errors(np.zeros(3), np.zeros(3)), 0)
    assert entry_errors(np.zeros(0), np.zeros(0)).shape == (0,)


def test_central_differences_put_the_entry_back():
    x = np.array([[3.0, 1.0]])
    slope = central_difference(lambda: x**2, np.array([[10.0, 100.0]]), x, (0, 0), 0.5)
    assert slope == 60 and type(slope) is float
    np.testing.assert_array_equal(x, [[3.0, 1.0]])


def test_the_random_numbers_are_those_of_the_seed():
    layer, x = cnnlib.Sigmoid(), np.random.default_rng(0).standard_normal((2, 3))
    default, zero, again = (cnnlib.gradient_check(layer, x, **rng) for rng in ({}, {"rng": 0}, {"rng": 0}))
    assert default == zero == again != cnnlib.gradient_check(layer, x, rng=1)


def test_a_sample_that_is_no_smaller_is_everything():
    layer, x = cnnlib.Sigmoid(), np.random.default_rng(0).standard_normal((2, 3))
    assert cnnlib.gradient_check(layer, x, sample=6) == cnnlib.gradient_check(layer, x)


def test_a_sample_draws_no_entry_twice():
    seen = []

    class Moved(cnnlib.Sigmoid):
        def forward(self, x):
            seen.append(x.copy())
            return super().forward(x)

    x = np.random.default_rng(0).standard_normal((3, 3))
    cnnlib.gradient_check(Moved(), x, sample=8)
    moved = {tuple(np.argwhere(each != x)[0]) for each in seen if (each != x).any()}
    assert len(moved) == 8


def test_a_kink_close_by_is_no_wrong_gradient():
    """Between x - step and x + step lies the kink of the ReLU, but not within a tenth, or a hundredth, of the step."""
    for distance in (2e-6, 2e-7):
        x = np.array([[distance, 1.0], [-distance, -1.0]])
        assert cnnlib.gradient_check(cnnlib.ReLU(), x)["dx"] <= 1e-7
    with pytest.raises(cnnlib.GradientError):
        cnnlib.gradient_check(cnnlib.ReLU(), np.array([[2e-8, 1.0]]))
    assert cnnlib.gradient_check(cnnlib.ReLU(), np.array([[2e-8, 1.0]]), step=1e-8)["dx"] <= 1e-7


def test_a_wrong_shape_is_named_in_full():
    with pytest.raises(cnnlib.GradientError) as caught:
        cnnlib.gradient_check(WrongShape(), np.ones((2, 3, 2, 2)))
    assert str(caught.value) == "WrongShape(): dx has the shape (2, 12), expected (2, 3, 2, 2)"


def test_the_rounding_of_large_outputs_is_no_wrong_gradient():
    layer = cnnlib.Dense(2, 2, rng=0, dtype=np.float64)
    layer.b[:] = 1e6
    cnnlib.gradient_check(layer, np.random.default_rng(0).standard_normal((3, 2)))


def test_a_loss_near_zero_is_rounded_as_one_is():
    """The loss is log(1 + 1e-13): what is rounded is the 1, and the difference is nothing but rounding."""
    targets = [[1, 0, 0]]
    cnnlib.gradient_check(cnnlib.SoftmaxCrossEntropy(), [[30, -30, 0]], targets)

    class Wrong(cnnlib.SoftmaxCrossEntropy):
        def gradient(self, z, t):
            return 1.001 * super().gradient(z, t)

    with pytest.raises(cnnlib.GradientError):
        cnnlib.gradient_check(Wrong(), [[3, -3, 0]], targets)
