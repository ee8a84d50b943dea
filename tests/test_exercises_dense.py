"""The checks of chapter 3 accept right answers, and name what is wrong with others."""

import numpy as np
import pytest

from cnnlib import Layer
from cnnlib.data import load_digits
from cnnlib.exercises import NotYet
from cnnlib.exercises import dense as check


class Scale(Layer):
    params = ("g", "b")

    def __init__(self, features):
        self.features, self.g, self.b = features, np.ones(features), np.zeros(features)

    def forward(self, x):
        self.x = x
        return x * self.g + self.b

    def backward(self, dy):
        self.dg, self.db = (dy * self.x).sum(axis=0), dy.sum(axis=0)
        return dy * self.g


class LowRank(Layer):
    params = ("U", "V", "b")

    def __init__(self, inputs, outputs, rank, rng):
        self.inputs, self.outputs, self.rank = inputs, outputs, rank
        self.U, self.V = rng.standard_normal((inputs, rank)), rng.standard_normal((rank, outputs))
        self.b = np.zeros(outputs)

    def forward(self, x):
        self.x, self.h = x, x @ self.U
        return self.h @ self.V + self.b

    def backward(self, dy):
        self.dV, self.db, dh = self.h.T @ dy, dy.sum(axis=0), dy @ self.V.T
        self.dU = self.x.T @ dh
        return dh @ self.U.T


class NoBatchSum(Scale):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dg = dy * self.x
        return dx


class NoInput(Scale):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dg = dy.sum(axis=0)
        return dx


class InPlace(Scale):
    def forward(self, x):
        self.x = x.copy()
        x *= self.g
        x += self.b
        return x


class SpoilsTheGradient(Scale):
    def backward(self, dy):
        super().backward(dy)
        dy *= self.g
        return dy


class Forgetful(Scale):
    def __init__(self, features):
        super().__init__(features)
        del self.features


class FullRank(LowRank):
    def __init__(self, inputs, outputs, rank, rng):
        super().__init__(inputs, outputs, outputs, rng)


class MiddleForgotten(LowRank):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dV = np.ones_like(self.V)
        return dx


def nearest_mean():
    digits = load_digits()
    images = digits.train_images.reshape(-1, 784) / 255
    means = np.stack([images[digits.train_labels == m].mean(axis=0) for m in range(10)], axis=1)
    return 2 * means, -(means**2).sum(axis=0)


W, B = nearest_mean()
DW, DB, DX = np.array([[1, 0, -1], [0, -1, -2]]), np.array([3, 1, -1]), np.array([[-1, -1], [2, -1]])


def absorb(x, W, b):
    return np.hstack([x, np.ones((len(x), 1))]), np.vstack([W, b])


RIGHT = [
    (check.parameters, (105_214,)),
    (check.by_hand, (DW, DB, DX)),
    (check.by_hand, (DW.tolist(), DB.tolist(), DX.tolist())),
    (check.absorb, (absorb,)),
    (check.absorb, (lambda x, W, b: (np.hstack([np.ones((len(x), 1)), x]), np.vstack([b, W])),)),
    (check.nearest_mean, (W, B)),
    (check.nearest_mean, (W / 2, B / 2)),
    (check.scale, (Scale,)),
    (check.low_rank, (LowRank,)),
]

WRONG = [
    (check.parameters, (105_000,), "a bias too"),
    (check.parameters, (105_988,), "not for each input"),
    (check.parameters, (94_200,), "first layer alone"),
    (check.parameters, ("105214",), "expected a number"),
    (check.by_hand, (DW.T, DB, DX), "transposed"),
    (check.by_hand, (DW / 2, DB, DX), "divided by N"),
    (check.by_hand, (DW, DB / 2, DX), "mean over the examples"),
    (check.by_hand, (DW, [[1, 0, -1], [2, 1, 0]], DX), "sum is missing"),
    (check.by_hand, (DW, [0, 3], DX), "summed over the outputs"),
    (check.by_hand, (DW, DB, -DX), "For dx"),
    (check.absorb, (lambda x, W, b: (np.hstack([x, np.zeros((len(x), 1))]), np.vstack([W, b])),), "without the bias"),
    (check.absorb, (lambda x, W, b: (np.hstack([np.ones((len(x), 1)), x]), np.vstack([W, b])),), "other end"),
    (check.absorb, (lambda x, W, b: (x, W),), "one more column"),
    (check.nearest_mean, (W.T, B), "a template is a column"),
    (check.nearest_mean, (W, np.zeros(10)), "without a bias"),
    (check.nearest_mean, (W / 2, B), "factor of 2"),
    (check.nearest_mean, (-W, -B), "turn the signs"),
    (check.scale, (NoBatchSum,), "expected (4,)"),
    (check.scale, (NoInput,), "central differences"),
    (check.scale, (InPlace,), "changed x"),
    (check.scale, (SpoilsTheGradient,), "changed dy"),
    (check.scale, (Forgetful,), "under its own name"),
    (check.low_rank, (FullRank,), "of rank 2"),
    (check.low_rank, (MiddleForgotten,), "dV"),
]


@pytest.mark.parametrize(("function", "answer"), RIGHT)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("function", "answer", "message"), WRONG)
def test_wrong(function, answer, message):
    with pytest.raises(NotYet) as error:
        function(*answer)
    assert message in str(error.value)
