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


TANH = layer(lambda x, _: 2 * sigmoid(2 * x) - 1, lambda x, _: 4 * sigmoid_slope(2 * x))

Y, ROW = np.array([1, 2, 5]) / 8, np.array([7, -2, -5]) / 64

HAT = np.ones((1, 3)), np.array([0, -1, -2]), np.array([[1], [-2], [1]])

RIGHT = [
    (chapter.check_by_hand, (Y, ROW)),
    (chapter.check_leaky_relu, (layer(leaky, leaky_slope, default=0.01),)),
    (chapter.check_tanh, (TANH, 1)),
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
    (chapter.check_leaky_relu, (layer(leaky, lambda x, _: x > 0, default=0.01),), "central differences"),
    (chapter.check_leaky_relu, (layer(leaky, leaky_slope, default=0.2),), "0.01"),
    (chapter.check_tanh, (layer(lambda x, _: 2 * sigmoid(x) - 1, lambda x, _: 2 * sigmoid_slope(x)), 1), "tanh(x / 2)"),
    (
        chapter.check_tanh,
        (layer(lambda x, _: np.tanh(x), lambda x, _: 2 * sigmoid_slope(2 * x)), 1),
        "central differences",
    ),
    (chapter.check_tanh, (layer(lambda x, _: sigmoid(x), lambda x, _: sigmoid_slope(x)), 0.25), "all positive"),
    (chapter.check_tanh, (TANH, 0.25), "two factors of 2"),
    (chapter.check_hat, (HAT[0], HAT[1], np.array([[1], [-1], [0]])), "on the way down"),
    (chapter.check_hat, (HAT[0], HAT[1], np.array([[1], [-2], [0]])), "one more corner"),
    (chapter.check_hat, (HAT[0][0], HAT[1], HAT[2]), "expected (1, 3)"),
    (chapter.check_log_softmax, (NotShifted,), "Subtract the largest"),
    (chapter.check_log_softmax, (LogOfSoftmax,), "rounded to 0"),
    (chapter.check_log_softmax, (WholeBatch,), "whole batch"),
    (chapter.check_log_softmax, (Probabilities,), "their logarithm"),
    (chapter.check_log_softmax, (NoMean,), "central differences"),
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
