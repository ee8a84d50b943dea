"""The checks of chapter 22 accept right answers, and say what is wrong with typical wrong ones."""

import numpy as np
import pytest

from cnnlib.exercises import NotYet
from cnnlib.exercises import speed as check


def intensity(m, k, n):
    return 2 * m * k * n / (4 * (m * k + k * n + m * n))


def fusing(K, size):
    piece = K + size - 1
    return piece / K, piece / (size * K**2)


def merge(W):
    F, C, K, _ = W.shape
    merged = np.zeros((F, C, K + 1, K + 1))
    for i, j in np.ndindex(2, 2):
        merged[:, :, i : i + K, j : j + K] += W / 4
    return merged


def one_corner(W):
    return np.pad(W, ((0, 0), (0, 0), (0, 1), (0, 1)))


RIGHT = [
    (check.flop, 1_440_000),
    (check.intensity, intensity),
    (check.fusing, fusing),
    (check.counterexample, np.abs),
    (check.counterexample, lambda z: -z),
    (check.average, merge),
]

WRONG = [
    (check.flop, 480_000, "forward pass alone"),
    (check.flop, 720_000, "addition"),
    (check.flop, 960_000, "not the first"),
    (check.flop, 1_000_000, "Three times"),
    (check.intensity, lambda m, k, n: 4 * intensity(m, k, n), "4 bytes"),
    (check.intensity, lambda m, k, n: intensity(m, k, n) / 2, "two operations"),
    (check.intensity, lambda m, k, n: m * k * n / (2 * (m * k + k * n)), "written"),
    (check.fusing, lambda K, size: (fusing(K, size)[0], 1 / fusing(K, size)[1]), "below 1"),
    (check.fusing, lambda K, size: ((K + size) / K, 1), "6 wide"),
    (check.fusing, lambda K, size: (fusing(K, size)[0] ** 2, 1), "K rows high"),
    (check.fusing, lambda K, size: (fusing(K, size)[0], size * fusing(K, size)[1]), "each of the 2 outputs"),
    (check.fusing, lambda K, size: (fusing(K, size)[0], K * fusing(K, size)[1]), "one row high"),
    (check.fusing, lambda K, size: (1, fusing(K, size)[1]), "takes the place"),
    (check.fusing, lambda K, size: (fusing(K, size)[0], 1), "2 patches before"),
    (check.fusing, lambda K, size: 1, "two numbers"),
    (check.counterexample, np.tanh, "never falls"),
    (check.counterexample, lambda z: z.max(), "entry by entry"),
    (check.counterexample, lambda z: z - z.mean(), "itself only"),
    (check.average, lambda W: 4 * merge(W), "a quarter"),
    (check.average, one_corner, "one corner"),
    (check.average, lambda W: W, "expected the shape"),
    (check.average, lambda W: merge(W[:, :, ::-1]), "each of the four"),
]


@pytest.mark.parametrize(("function", "answer"), RIGHT)
def test_right_answers_pass(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("function", "answer", "message"), WRONG)
def test_wrong_answers_are_named(function, answer, message):
    with pytest.raises(NotYet, match=message):
        function(answer)
