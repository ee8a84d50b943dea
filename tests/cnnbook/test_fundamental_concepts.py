"""Chapter 1: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnbook import fundamental_concepts as chapter
from cnnbook.checking import WrongAnswer

X, LABELS = np.array([[0.1, 0.5], [0.9, 0.3], [0.8, 0.4]]), np.array([0, 1, 1])


def test_neuron_names_its_loss():
    chapter.draw_neuron(X, LABELS, np.zeros(2), -0.5)
    y = 1 / (1 + np.exp(0.5))
    assert plt.gca().get_title() == f"loss {(y**2 + 2 * (1 - y) ** 2) / 3:.3f}, right 33%"


@pytest.mark.parametrize("w", [(-15.0, -15.0), (0.0, 0.0), (1e6, -1e6)])
@pytest.mark.parametrize("b", [-15.0, 0.0, 15.0])
def test_neuron_is_drawn_everywhere(w, b):
    chapter.draw_neuron(X, LABELS, np.array(w), b)
    plt.gcf().canvas.draw()


# The checks of the exercises


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
    chapter.check_forward(1 / (1 + np.exp(1.25)))
    chapter.check_iterations(4692)
    chapter.check_step(W)
    chapter.check_tanh(tanh)
    chapter.check_batches(train)
    assert capsys.readouterr().out.count("Right.") == 5


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda: chapter.check_forward(-1.25), "this is z"),
        (lambda: chapter.check_forward(0.5), "is not it"),
        (lambda: chapter.check_iterations(12 * 390), "the last, smaller batch"),
        (lambda: chapter.check_iterations(4688), "round up within each epoch"),
        (lambda: chapter.check_step(2 * np.array([0.5, -1.0]) - W), "uphill"),
        (lambda: chapter.check_step(np.zeros(3)), "expected two weights"),
        (lambda: chapter.check_tanh(lambda x, t, w, b: tanh(x, t, w, b, mean=False)), "1/N"),
        (lambda: chapter.check_batches(lambda *a: train(*a, whole=False)), "never used"),
        (lambda: chapter.check_batches(lambda *a: train(*a, order=np.arange)), "not random"),
        (lambda: chapter.check_batches(lambda x, *a: (np.zeros(x.shape[1]), 0.0)), "only"),
    ],
)
def test_wrong_answers_are_named(answer, message):
    with pytest.raises(WrongAnswer, match=message):
        answer()
