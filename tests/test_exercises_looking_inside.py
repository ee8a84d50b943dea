"""The checks of chapter 14 accept a right answer, and say what is wrong with the usual wrong ones."""

import numpy as np
import pytest

from cnnlib.exercises import NotYet
from cnnlib.exercises import looking_inside as check


def rates(matrix):
    return matrix.diagonal() / matrix.sum(axis=1), matrix.diagonal() / matrix.sum(axis=0)


def top(p, labels, k):
    return np.mean(np.any(np.argsort(p, axis=1)[:, -k:] == labels[:, np.newaxis], axis=1))


def refuse(p, labels, threshold, strict=False, of_all=False):
    answered = p.max(axis=1) > threshold if strict else p.max(axis=1) >= threshold
    if not answered.any():
        return 0.0, np.nan
    hits = answered & (p.argmax(axis=1) == labels)
    return answered.mean(), hits.mean() if of_all else hits.sum() / answered.sum()


def strongest(maps, f):
    return np.unravel_index(maps[:, f].argmax(), maps[:, f].shape)


def paired(right_a, right_b):
    a, b = np.sum(right_a & ~right_b), np.sum(right_b & ~right_a)
    return a, b, (a - b) / np.sqrt(a + b) if a + b else 0.0


def temperature(z, labels, inverse=False, safe=True, highest=20, sign=1):
    if safe:
        z = z - z.max(axis=1, keepdims=True)
    true = z[np.arange(len(z)), labels]

    def loss(T):
        return sign * np.mean(np.log(np.exp(z / T).sum(axis=1)) - true / T)

    best = min(np.geomspace(0.05, highest, 500), key=loss)
    return 1 / best if inverse else best


def in_place(z, labels):
    z -= z.max(axis=1, keepdims=True)
    return temperature(z, labels)


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (check.rates, rates),
        (check.top, top),
        (check.refuse, refuse),
        (check.strongest, strongest),
        (check.paired, paired),
        (check.temperature, temperature),
    ],
)
def test_right(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (check.rates, lambda matrix: rates(matrix)[::-1], "exchanged"),
        (check.rates, lambda matrix: (matrix.diagonal() / matrix.sum(),) * 2, "all examples"),
        (check.rates, lambda matrix: rates(matrix)[0], "two arrays"),
        (check.rates, lambda matrix: (rates(matrix)[0],) * 2, "sums of the columns"),
        (check.top, lambda p, labels, k: top(-p, labels, k), r"\*lowest\* probability"),
        (check.top, lambda p, labels, k: np.mean(np.argsort(-p, axis=1)[:, k - 1] == labels), "in place 2"),
        (check.top, lambda p, labels, k: top(p, labels, 1), "is not it"),
        (check.refuse, lambda *arguments: refuse(*arguments, strict=True), "exactly the threshold"),
        (check.refuse, lambda *arguments: refuse(*arguments, of_all=True), r"\*answered\* examples"),
        (check.refuse, lambda p, labels, c: (1 - refuse(p, labels, c)[0], refuse(p, labels, c)[1]), "is refused"),
        (check.refuse, lambda *arguments: np.nan_to_num(refuse(*arguments)).tolist(), r"\(0, nan\)"),
        (check.strongest, lambda maps, f: np.unravel_index(maps[f].argmax(), maps[f].shape), "second axis"),
        (check.strongest, lambda maps, f: strongest(np.abs(maps), f), "absolute value"),
        (check.strongest, lambda maps, f: maps[:, f].argmax(), "three numbers; got 1"),
        (check.strongest, lambda maps, f: strongest(-maps, f), "is strongest at"),
        (check.paired, lambda a, b: (a.sum(), b.sum(), 0.0), r"\*only one\* of them"),
        (check.paired, lambda a, b: paired(b, a), "exchanged"),
        (check.paired, lambda a, b: (*paired(a, b)[:2], 5 / 13), "root of a [+] b"),
        (
            check.paired,
            lambda a, b: (9, 4, (9 - 4) / 13**0.5) if (a != b).any() else (0, 0, 0 // 0),
            "ZeroDivisionError",
        ),
        (check.paired, lambda a, b: (np.sum(a & b), np.sum(~a & ~b), 0.0), "only the second 4"),
        (check.temperature, lambda z, labels: temperature(z, labels, inverse=True), "1/T"),
        (check.temperature, lambda z, labels: temperature(z, labels, safe=False), "overflowed"),
        (check.temperature, lambda z, labels: temperature(z, labels, sign=-1), "has the smallest loss"),
        (check.temperature, lambda z, labels: 1.0, "has the smallest loss"),
        (check.temperature, in_place, "work on a copy"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(NotYet, match=message):
        function(answer)
