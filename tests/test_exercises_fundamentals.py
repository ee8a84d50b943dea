"""The checks of chapter 1: right answers pass, typical wrong ones are named."""

import numpy as np
import pytest

from cnnlib.exercises import NotYet
from cnnlib.exercises import fundamentals as check


def gradients(x, t, w, b):
    y = 1 / (1 + np.exp(-(x @ w + b)))
    dz = 2 * (y - t) / len(t) * y * (1 - y)
    return x.T @ dz, dz.sum()


def train(x, t, batch_size, epochs, rate, rng, order=None, whole=True):
    w, b = np.zeros(x.shape[1]), 0.0
    for _ in range(epochs):
        shuffled = rng.permutation(len(x)) if order is None else order(len(x))
        stop = len(x) if whole else len(x) - len(x) % batch_size
        for start in range(0, stop, batch_size):
            batch = shuffled[start : start + batch_size]
            dw, db = gradients(x[batch], t[batch], w, b)
            w, b = w - rate * dw, b - rate * db
    return w, b


def tanh(x, t, w, b, mean=True):
    y = np.tanh(x @ w + b)
    dz = 2 * (y - t) * (1 - y**2) / (len(t) if mean else 1)
    return x.T @ dz, dz.sum()


W = np.array([1.0381636, 0.0763272])


def test_right_answers(capsys):
    check.forward(1 / (1 + np.exp(1.25)))
    check.iterations(4692)
    check.step(W)
    check.tanh(tanh)
    check.batches(train)
    assert capsys.readouterr().out.count("Right.") == 5


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda: check.forward(-1.25), "this is z"),
        (lambda: check.forward(0.5), "is not it"),
        (lambda: check.iterations(12 * 390), "the last, smaller batch"),
        (lambda: check.iterations(4688), "round up within each epoch"),
        (lambda: check.step(2 * np.array([0.5, -1.0]) - W), "uphill"),
        (lambda: check.step(np.zeros(3)), "expected two weights"),
        (lambda: check.tanh(lambda x, t, w, b: tanh(x, t, w, b, mean=False)), "1/N"),
        (lambda: check.batches(lambda *a: train(*a, whole=False)), "never used"),
        (lambda: check.batches(lambda *a: train(*a, order=np.arange)), "not random"),
        (lambda: check.batches(lambda x, *a: (np.zeros(x.shape[1]), 0.0)), "only"),
    ],
)
def test_wrong_answers_are_named(answer, message):
    with pytest.raises(NotYet, match=message):
        answer()
