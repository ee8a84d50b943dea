"""Chapter 4: the checks of its exercises accept right answers, and name what is wrong with others."""

import math

import numpy as np
import pytest

from cnnbook import activations as chapter
from cnnbook.checking import WrongAnswer
from cnnlib import Layer, Sigmoid


def layer(forward, slope, default=None):
    """Return a class of elementwise layers; with a default, its constructor has an argument `slope`."""

    class Elementwise(Layer):
        def __init__(self, slope=default):
            self.slope = slope

        def forward(self, x):
            self.x = x
            return forward(x, self.slope)

        def backward(self, dy):
            return dy * slope(self.x, self.slope)

    return Elementwise


def sigmoid(x):
    return Sigmoid().forward(x)


def sigmoid_slope(x):
    return sigmoid(x) * (1 - sigmoid(x))


def normal(x):
    return (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2


def bell(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def leaky_slope(x, slope):
    return np.where(x > 0, 1, slope)


def gelu_slope(x, _):
    return normal(x) + x * bell(x)


def by_tanh(x, _):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


class LogSoftmax(Layer):
    axis = 1

    def forward(self, x):
        x = x - x.max(axis=1, keepdims=True)
        self.y = x - np.log(np.exp(x).sum(axis=self.axis, keepdims=True))
        return self.y

    def backward(self, dy):
        return dy - np.exp(self.y) * dy.sum(axis=1, keepdims=True)


class NotShifted(LogSoftmax):
    def forward(self, x):
        self.y = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
        return self.y


class LogOfSoftmax(LogSoftmax):
    def forward(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.y = np.log(e / e.sum(axis=1, keepdims=True))
        return self.y


class WholeBatch(LogSoftmax):
    def forward(self, x):
        return x - np.log(np.exp(x).sum())


class Probabilities(LogSoftmax):
    def forward(self, x):
        return np.exp(super().forward(x))


class NoMean(LogSoftmax):
    def backward(self, dy):
        return dy - np.exp(self.y)


class RawBackward(LogSoftmax):
    def forward(self, x):
        self.x = x
        return super().forward(x)

    def backward(self, dy):
        e = np.exp(self.x)
        return dy - e / e.sum(axis=1, keepdims=True) * dy.sum(axis=1, keepdims=True)


class NotShiftedBack(LogSoftmax):
    def backward(self, dy):
        return dy - np.exp(self.y) * dy


class Tanh(Layer):
    def __init__(self):
        self.sigmoid = Sigmoid()

    def forward(self, x):
        return 2 * self.sigmoid.forward(2 * x) - 1

    def backward(self, dy):
        return 2 * self.sigmoid.backward(2 * dy)


class OneFactor(Tanh):
    def backward(self, dy):
        return self.sigmoid.backward(2 * dy)


class ByFormula(Tanh):
    def forward(self, x):
        self.y = super().forward(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)


class Pretending(Tanh):
    """It calls both passes, and uses the result of neither."""

    def forward(self, x):
        super().forward(x)
        self.y = by_exp(x)
        return self.y

    def backward(self, dy):
        super().backward(dy)
        return dy * (1 - self.y**2)


class NotShiftedTanh(Tanh):
    def forward(self, x):
        return 2 * super().forward(x)


def numpy_tanh(call):
    return layer(lambda x, _: call(x), lambda x, _: 1 - call(x) ** 2)


def by_exp(x):
    return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))


Y, ROW = np.array([1, 2, 5]) / 8, np.array([7, -2, -5]) / 64

HAT = np.ones((1, 3)), np.array([0, -1, -2]), np.array([[1], [-2], [1]])

RIGHT = [
    (chapter.check_by_hand, (Y, ROW)),
    (chapter.check_leaky_relu, (layer(leaky, leaky_slope, default=0.01),)),
    (chapter.check_tanh, (Tanh, 1)),
    (chapter.check_tanh, (Tanh, np.array([1.0]))),
    (chapter.check_by_hand, (Y[:, np.newaxis], ROW.tolist())),
    (chapter.check_by_hand, (Y.round(3), ROW.round(3))),
    (chapter.check_hat, (HAT[0].T, HAT[1], HAT[2].ravel())),
    (chapter.check_hat, (-HAT[0], [2, 1, 0], HAT[2])),
    (chapter.check_hat, HAT),
    (chapter.check_hat, (2 * HAT[0], 2 * HAT[1], HAT[2] / 2)),
    (chapter.check_log_softmax, (LogSoftmax,)),
    (chapter.check_gelu, (layer(lambda x, _: x * normal(x), gelu_slope),)),
]

WRONG = [
    (chapter.check_by_hand, ([1, 2, 5], ROW), "exponentials"),
    (chapter.check_by_hand, (Y, Y * (1 - Y)), "diagonal"),
    (chapter.check_by_hand, (Y, np.abs(ROW)), "negative"),
    (chapter.check_leaky_relu, (layer(lambda x, _: np.maximum(x, 0), lambda x, _: x > 0, default=0.01),), "plain ReLU"),
    (chapter.check_by_hand, (np.log([1, 2, 5]), ROW), "sum 1"),
    (chapter.check_by_hand, (np.log([1, 2, 5]) / np.log(10), ROW), "exp comes first"),
    (chapter.check_by_hand, ([0.2, 0.3, 0.5], ROW), "is not right. exp"),
    (chapter.check_by_hand, (Y, -ROW), "reversed"),
    (chapter.check_by_hand, (Y, -Y[0] * Y), "own score"),
    (chapter.check_by_hand, (Y, Y[2] * (np.eye(3)[2] - Y)), "last row"),
    (chapter.check_by_hand, (Y, ROW + 0.01), "is not right. Use"),
    (chapter.check_by_hand, (Y[:2], ROW), "y has the shape (2,)"),
    (chapter.check_by_hand, (Y, None), "row: expected numbers"),
    (chapter.check_leaky_relu, (layer(lambda x, s: leaky(x, -s), leaky_slope, default=0.01),), "negative outputs"),
    (
        chapter.check_leaky_relu,
        (layer(lambda x, s: np.where(x > 0, x, s), leaky_slope, default=0.01),),
        "not the slope",
    ),
    (chapter.check_leaky_relu, (layer(lambda x, s: leaky(x, 0.01), leaky_slope, default=0.01),), "use the argument"),
    (
        chapter.check_leaky_relu,
        (layer(lambda x, s: np.maximum(x, 0) + s * x, leaky_slope, default=0.01),),
        "stay as they are",
    ),
    (
        chapter.check_leaky_relu,
        (layer(leaky, lambda x, s: leaky_slope(x, s).T, default=0.01),),
        "stops with ValueError",
    ),
    (chapter.check_leaky_relu, (layer(leaky, leaky_slope),), "stops with TypeError"),
    (chapter.check_leaky_relu, ("LeakyReLU",), "expected a class"),
    (chapter.check_leaky_relu, (layer(leaky, lambda x, _: x > 0, default=0.01),), "central differences"),
    (chapter.check_leaky_relu, (layer(leaky, leaky_slope, default=0.2),), "0.01"),
    (chapter.check_tanh, (layer(lambda x, _: 2 * sigmoid(x) - 1, lambda x, _: 2 * sigmoid_slope(x)), 1), "tanh(x / 2)"),
    (
        chapter.check_tanh,
        (layer(lambda x, _: np.tanh(x), lambda x, _: 2 * sigmoid_slope(2 * x)), 1),
        "calls np.tanh",
    ),
    (chapter.check_tanh, (layer(lambda x, _: sigmoid(x), lambda x, _: sigmoid_slope(x)), 0.25), "all positive"),
    (chapter.check_tanh, (Tanh, 0.25), "two factors of 2"),
    (chapter.check_tanh, (Tanh, 2), "one before and one after"),
    (chapter.check_tanh, (Tanh, 3), "slope at zero"),
    (chapter.check_tanh, (Tanh, "one"), "expected numbers"),
    (chapter.check_tanh, (OneFactor, 1), "central differences"),
    (chapter.check_tanh, (ByFormula, 1), "both passes"),
    (chapter.check_tanh, (Pretending, 1), "and what they return"),
    (chapter.check_tanh, (numpy_tanh(np.sinh), 1), "tanh"),
    (chapter.check_tanh, (numpy_tanh(by_exp), 1), "both passes"),
    (chapter.check_tanh, (numpy_tanh(lambda x: np.tanh(x)), 1), "calls np.tanh"),
    (chapter.check_tanh, (NotShiftedTanh, 1), "tanh(x) = 2"),
    (chapter.check_tanh, (Tanh(), 1), "expected a class"),
    (chapter.check_hat, (HAT[0], HAT[1], np.array([[1], [-1], [0]])), "on the way down"),
    (chapter.check_hat, (HAT[0], HAT[1], np.array([[1], [-2], [0]])), "right of the hat"),
    (chapter.check_hat, (HAT[0], [0, -1, -3], np.array([[1], [-2], [2]])), "right of the hat"),
    (chapter.check_hat, (HAT[0], [0, -1, -3], np.array([[1], [-2], [1]])), "right of the hat"),
    (chapter.check_hat, (HAT[0], HAT[1], -HAT[2]), "on the way up"),
    (chapter.check_hat, (HAT[0], [1, 0, -1], HAT[2]), "left of the hat"),
    (chapter.check_hat, (HAT[0], [0, 1, 2], HAT[2]), "left of the hat"),
    (chapter.check_hat, (HAT[0], HAT[1], np.full(3, np.nan)), "left of the hat"),
    (chapter.check_hat, (HAT[0], HAT[1][:2], HAT[2]), "expected (3,)"),
    (chapter.check_hat, (None, HAT[1], HAT[2]), "W1: expected numbers"),
    (chapter.check_log_softmax, (NotShifted,), "Subtract the largest"),
    (chapter.check_log_softmax, (LogOfSoftmax,), "rounded to 0"),
    (chapter.check_log_softmax, (WholeBatch,), "whole batch"),
    (chapter.check_log_softmax, (Probabilities,), "their logarithm"),
    (chapter.check_log_softmax, (NoMean,), "central differences"),
    (chapter.check_log_softmax, (RawBackward,), "backward overflows"),
    (chapter.check_log_softmax, (NotShiftedBack,), "central differences"),
    (chapter.check_log_softmax, (layer(lambda x, _: -LogSoftmax().forward(x), lambda x, _: 1),), "reversed"),
    (chapter.check_log_softmax, (layer(lambda x, _: x, lambda x, _: 1),), "log(sum"),
    (chapter.check_log_softmax, (None,), "expected a class"),
    (chapter.check_gelu, (layer(lambda x, _: x * normal(np.sqrt(2) * x), gelu_slope),), "square root of 2"),
    (chapter.check_gelu, (layer(lambda x, _: 2 * x * normal(x), gelu_slope),), "1/2"),
    (chapter.check_gelu, (layer(lambda x, _: x * sigmoid(x), gelu_slope),), "SiLU"),
    (chapter.check_gelu, (layer(lambda x, _: x * sigmoid(1.702 * x), gelu_slope),), "by a sigmoid"),
    (chapter.check_gelu, (layer(lambda x, _: x * normal(x), lambda x, _: normal(x) + bell(x)),), "central differences"),
    (chapter.check_gelu, (layer(lambda x, _: math.erf(x), gelu_slope),), "stops with TypeError"),
    (chapter.check_gelu, (math.erf,), "expected a class"),
    (chapter.check_gelu, (layer(lambda x, _: normal(x), lambda x, _: bell(x)),), "multiply it by x"),
    (chapter.check_gelu, (layer(by_tanh, gelu_slope),), "approximation"),
    (chapter.check_gelu, (layer(lambda x, _: x * normal(x), lambda x, _: normal(x)),), "central differences"),
]


@pytest.mark.parametrize(("function", "answer"), RIGHT)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("function", "answer", "message"), WRONG)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer) as error:
        function(*answer)
    assert message in str(error.value)
