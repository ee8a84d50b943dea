"""What the figures show is right; how they look is for the eye."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnlib.plots import confusion_matrix, plot_confusion, plot_reliability, show_predictions


def test_confusion_matrix_counts_true_classes_in_rows():
    labels, guesses = np.array([0, 1, 1, 2, 2, 2]), np.array([0, 1, 2, 2, 2, 0])
    matrix = confusion_matrix(labels, guesses, 4)
    assert matrix.tolist() == [[1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert not confusion_matrix(labels[:0], guesses[:0]).any()


@pytest.mark.parametrize(
    ("labels", "guesses", "message"),
    [
        (np.array([0, 1]), np.array([0]), r"one shape \(N,\), got \(2,\) and \(1,\)"),
        (np.array([0.0, 1.0]), np.array([0, 1]), "labels of whole numbers, got float64"),
        (np.array([0, 1]), np.array([0, 3]), "guesses from 0 to 2, got 0 to 3"),
        (np.array([-1, 1]), np.array([0, 1]), "labels from 0 to 2, got -1 to 1"),
    ],
)
def test_confusion_matrix_refuses(labels, guesses, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(labels, guesses, 3)


def test_confusion_plot_writes_every_count():
    plot_confusion(np.array([[1234, 5], [0, 7]]), ["cat", "dog"])
    axis = plt.gca()
    assert [text.get_text() for text in axis.texts] == ["1,234", "5", "·", "7"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["cat", "dog"]
    assert {label.get_rotation() for label in axis.get_xticklabels()} == {0}


def test_long_names_below_a_confusion_plot_do_not_touch():
    names = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "boot"]
    plot_confusion(np.eye(10, dtype=int), names)
    assert {label.get_rotation() for label in plt.gca().get_xticklabels()} == {45}


def test_reliability_plot_groups_by_confidence():
    confidence = np.array([0.55] * 100 + [1.0] * 50)
    right = np.array([True] * 55 + [False] * 45 + [True] * 40 + [False] * 10)
    plot_reliability(confidence, right)
    axis = plt.gca()
    points = {line.get_marker(): line.get_xydata()[0] for line in axis.lines if line.get_marker() in "os"}
    assert points["o"] == pytest.approx([0.55, 0.55])  # as sure as it should be
    assert points["s"] == pytest.approx([1.0, 0.8])  # too sure
    assert [text.get_text() for text in axis.texts] == ["100", "50"]


def test_no_image_is_no_error(capsys):
    """A network may make no mistake, and a chapter shows its mistakes."""
    show_predictions(np.zeros((0, 28, 28)), np.zeros((0, 10)), np.zeros(0, int))
    assert capsys.readouterr().out == "There is no image to show.\n"
    assert plt.get_fignums() == []
