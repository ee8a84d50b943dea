"""Chapter 3: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnbook import dense as chapter
from cnnbook.checking import WrongAnswer
from cnnlib import Layer
from cnnlib.digits.datasets import load_digits


def test_ruler_names_the_distance():
    chapter.draw_ruler(np.array([3.0, 4.0]), -5.0, np.array([3.0, 4.0]))
    axis = plt.gca()
    assert "4" in [text.get_text() for text in axis.texts]  # (9 + 16 - 5) / 5
    assert axis.get_title() == "|w| = 5, y of the point 20"


@pytest.mark.parametrize("angle", [0, 90, 180, 225, 355])
@pytest.mark.parametrize("length", [0.5, 5.0])
@pytest.mark.parametrize("b", [-5.0, 0.0, 5.0])
def test_ruler_is_drawn_everywhere(angle, length, b):
    w = length * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    chapter.draw_ruler(w, b, np.array([2.2, 2.1]))
    plt.gcf().canvas.draw()


def test_votes_add_up_to_the_score():
    rng = np.random.default_rng(0)
    image, W, b = rng.random((28, 28)), rng.standard_normal((784, 10)), rng.standard_normal(10)
    chapter.draw_votes(image, W, b, digit=3)
    scores = image.reshape(-1) @ W + b
    axes = plt.gcf().axes
    votes = f"votes: {scores[3] - b[3]:.1f} in all".replace("-", "−")
    assert axes[2].get_title() == votes
    assert axes[3].get_title() == f"scores: read as {scores.argmax()}"
    assert np.allclose([bar.get_height() for bar in axes[3].patches], scores)


# The checks of the exercises


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


class Scalar(Scale):
    def __init__(self, features):
        self.features, self.g, self.b = features, np.ones(()), np.zeros(())


class NoShift(Scale):
    def forward(self, x):
        super().forward(x)
        return x * self.g


class MeanOfBatch(Scale):
    def backward(self, dy):
        dx = super().backward(dy)
        self.db = dy.mean(axis=0)
        return dx


class Zeros(LowRank):
    def __init__(self, inputs, outputs, rank, rng):
        super().__init__(inputs, outputs, rank, rng)
        self.V = np.zeros_like(self.V)


class Ones(LowRank):
    def __init__(self, inputs, outputs, rank, rng):
        super().__init__(inputs, outputs, rank, rng)
        self.U = np.ones_like(self.U)


class EqualRows(LowRank):
    def __init__(self, inputs, outputs, rank, rng):
        super().__init__(inputs, outputs, rank, rng)
        self.U = np.tile(self.U[:1], (inputs, 1))


class OwnChance(LowRank):
    def __init__(self, inputs, outputs, rank, rng):
        super().__init__(inputs, outputs, rank, np.random.default_rng())


class NoMiddle(LowRank):
    def forward(self, x):
        return super().forward(x) - self.b


class Unlisted(LowRank):
    params = ("U", "V")


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
    (chapter.check_parameters, (105_214,)),
    (chapter.check_by_hand, (DW, DB, DX)),
    (chapter.check_parameters, (np.array([105_214.0]),)),
    (chapter.check_by_hand, (DW.tolist(), DB.tolist(), DX.tolist())),
    (chapter.check_by_hand, (DW, DB[:, np.newaxis], DX)),
    (chapter.check_nearest_mean, (W.astype("f"), B[np.newaxis])),
    (chapter.check_absorb, (lambda *a: [part.tolist() for part in absorb(*a)],)),
    (chapter.check_absorb, (absorb,)),
    (chapter.check_absorb, (lambda x, W, b: (np.hstack([np.ones((len(x), 1)), x]), np.vstack([b, W])),)),
    (chapter.check_nearest_mean, (W, B)),
    (chapter.check_nearest_mean, (W / 2, B / 2)),
    (chapter.check_scale, (Scale,)),
    (chapter.check_low_rank, (LowRank,)),
]

WRONG = [
    (chapter.check_parameters, (105_000,), "a bias too"),
    (chapter.check_parameters, (105_988,), "not for each input"),
    (chapter.check_parameters, (94_200,), "first layer alone"),
    (chapter.check_parameters, ("105214",), "expected numbers"),
    (chapter.check_parameters, (785 * 120 + 121 * 84,), "last layer is missing"),
    (chapter.check_parameters, (785 * 120 + 120 * 84 + 840,), "every layer"),
    (chapter.check_parameters, (214,), "these are the biases"),
    (chapter.check_parameters, (784 * 120 * 84 * 10,), "not multiplied"),
    (chapter.check_parameters, (105_215,), "D M + M"),
    (chapter.check_parameters, (None,), "expected numbers"),
    (chapter.check_by_hand, (DW.T, DB, DX), "transposed"),
    (chapter.check_by_hand, (DW / 2, DB, DX), "divided by N"),
    (chapter.check_by_hand, (DW, DB / 2, DX), "mean over the examples"),
    (chapter.check_by_hand, (DW, [[1, 0, -1], [2, 1, 0]], DX), "sum is missing"),
    (chapter.check_by_hand, (DW, [0, 3], DX), "summed over the outputs"),
    (chapter.check_by_hand, (DW, DB, -DX), "For dx"),
    (chapter.check_by_hand, (DW, DB, DX.T), "transposed: its rows"),
    (chapter.check_by_hand, (np.array([[1, 2], [0, -1]]) @ [[1, 0, -1], [2, 1, 0]], DB, DX), "x has to be transposed"),
    (chapter.check_by_hand, (-DW, DB, DX), "is not right. For dW"),
    (chapter.check_by_hand, (DW, [3, 1, 1], DX), "is not right. For db"),
    (chapter.check_by_hand, (DW, DB, DX / 2), "is not right. For dx"),
    (chapter.check_by_hand, (DW, DB, None), "dx: expected numbers, got NoneType"),
    (chapter.check_by_hand, ("dW", DB, DX), "dW: expected numbers, got str"),
    (chapter.check_absorb, (lambda x, W, b: np.hstack([x, np.ones((len(x), 1))]),), "separated by a comma"),
    (chapter.check_absorb, (lambda x, W, b: (absorb(x, W, b)[0], absorb(x, W, -b)[1]),), "at the same end"),
    (chapter.check_absorb, (lambda x, W, b: (absorb(x, W, b)[0] * 1, absorb(x, W, 2 * b)[1]),), "at the same end"),
    (
        chapter.check_absorb,
        (lambda x, W, b: (np.hstack([x, np.full((len(x), 1), 2)]), np.vstack([W, b / 2])),),
        "must be 1 for every",
    ),
    (chapter.check_absorb, (lambda x, W, b: (np.vstack([x, np.ones(4)]), W),), "one more column"),
    (chapter.check_absorb, (lambda x, W, b: (np.hstack([x, 1]), W),), "stops with ValueError"),
    (chapter.check_absorb, ("absorb",), "expected a function"),
    (
        chapter.check_absorb,
        (lambda x, W, b: (np.hstack([x, np.zeros((len(x), 1))]), np.vstack([W, b])),),
        "without the bias",
    ),
    (chapter.check_absorb, (lambda x, W, b: (np.hstack([np.ones((len(x), 1)), x]), np.vstack([W, b])),), "other end"),
    (chapter.check_absorb, (lambda x, W, b: (x, W),), "one more column"),
    (chapter.check_nearest_mean, (W.T, B), "a template is a column"),
    (chapter.check_nearest_mean, (W, np.zeros(10)), "without a bias"),
    (chapter.check_nearest_mean, (W / 2, B), "Compare the factors"),
    (chapter.check_nearest_mean, (-W, -B), "turn the signs"),
    (chapter.check_nearest_mean, (W, -B), "another class"),
    (chapter.check_nearest_mean, (W, B[:9]), "expected (10,)"),
    (chapter.check_nearest_mean, (W * 255, B * 255**2), "divided by 255"),
    (chapter.check_nearest_mean, (np.full((784, 10), np.nan), B), "not finite"),
    (chapter.check_nearest_mean, (None, B), "W: expected numbers"),
    (chapter.check_nearest_mean, (np.zeros((784, 10)), B), "another class"),
    (chapter.check_scale, (Scalar,), "g has the shape ()"),
    (chapter.check_scale, (NoShift,), "y_nd = g_d x_nd + b_d"),
    (chapter.check_scale, (MeanOfBatch,), "central differences"),
    (chapter.check_scale, (Scale(4),), "expected a class"),
    (chapter.check_scale, (None,), "expected a class"),
    (chapter.check_low_rank, (Zeros,), "V is all zeros"),
    (chapter.check_low_rank, (Ones,), "must be random"),
    (chapter.check_low_rank, (EqualRows,), "must be random"),
    (chapter.check_low_rank, (OwnChance,), "draw from the rng"),
    (chapter.check_low_rank, (NoMiddle,), "y = x U V + b"),
    (chapter.check_low_rank, (Unlisted,), "params is"),
    (chapter.check_low_rank, (Scale,), "stops with TypeError"),
    (chapter.check_low_rank, (3,), "expected a class"),
    (chapter.check_scale, (NoBatchSum,), "expected (4,)"),
    (chapter.check_scale, (NoInput,), "central differences"),
    (chapter.check_scale, (InPlace,), "changed x"),
    (chapter.check_scale, (SpoilsTheGradient,), "changed dy"),
    (chapter.check_scale, (Forgetful,), "under its own name"),
    (chapter.check_low_rank, (FullRank,), "of rank 2"),
    (chapter.check_low_rank, (MiddleForgotten,), "dV"),
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
