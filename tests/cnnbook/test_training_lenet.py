"""Chapter 13: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnbook import training_lenet as chapter
from cnnbook.checking import WrongAnswer


@pytest.mark.parametrize("count", [1, 4])
def test_each_short_run_has_its_chart(count):
    chapter.draw_short_runs({f"run {index}": [2.3, 1.0 + index] for index in range(count)})
    axes = plt.gcf().axes
    assert [axis.get_title() for axis in axes] == [f"run {index}" for index in range(count)]
    assert [axis.get_lines()[0].get_ydata()[1] for axis in axes] == [1.0 + index for index in range(count)]


# The checks of the exercises


def confusion(labels, guesses, classes):
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (labels, guesses), 1)
    return matrix


def counted_once(labels, guesses, classes):
    matrix = np.zeros((classes, classes), int)
    matrix[labels, guesses] += 1
    return matrix


def best_epoch(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        elif epoch - best >= patience:
            break
    return best


def shift(images, rng, most=2, each=True):
    moved = np.zeros_like(images)
    padded = np.pad(images, ((0, 0), (most, most), (most, most)))
    steps = rng.integers(0, 2 * most + 1, (len(images) if each else 1, 2))
    for n in range(len(images)):
        down, across = steps[n if each else 0]
        moved[n] = padded[n, down : down + images.shape[1], across : across + images.shape[2]]
    return moved


def rolled(images, rng):
    return np.stack([np.roll(image, rng.integers(-2, 3, 2), (0, 1)) for image in images])


def test_right_answers(capsys):
    chapter.check_count(88_166)
    chapter.check_mean_loss(0.0560014)
    chapter.check_confusion(confusion)
    chapter.check_early_stopping(best_epoch)
    chapter.check_shift(shift)
    assert capsys.readouterr().out.count("Right.") == 5


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda: chapter.check_count(61_706), "the network of the chapter"),
        (lambda: chapter.check_count(88_166 - 246), "biases are missing"),
        (lambda: chapter.check_mean_loss(5.60014), "this is the sum"),
        (lambda: chapter.check_mean_loss(0.0560014 / np.log(10)), "natural"),
        (lambda: chapter.check_confusion(lambda *a: confusion(*a).T), "rows are the true classes"),
        (lambda: chapter.check_confusion(counted_once), "counted once"),
        (
            lambda: chapter.check_confusion(lambda labels, guesses, classes: confusion(labels, guesses, 3)),
            "absent classes",
        ),
        (lambda: chapter.check_early_stopping(lambda losses, patience: int(np.argmin(losses))), "had stopped before"),
        (lambda: chapter.check_early_stopping(lambda losses, patience: len(losses) - 1), "you keep"),
        (lambda: chapter.check_shift(lambda images, rng: images.copy()), "nothing has moved"),
        (lambda: chapter.check_shift(lambda images, rng: shift(images, rng, most=3)), "at most 2"),
        (lambda: chapter.check_shift(lambda images, rng: shift(images, rng, most=1)), "never occur"),
        (lambda: chapter.check_shift(lambda images, rng: shift(images, rng, each=False)), "all images moved alike"),
        (lambda: chapter.check_shift(rolled), "come back at the other"),
        (lambda: chapter.check_shift(lambda images, rng: shift(images, rng).astype(float)), "dtype became float64"),
    ],
)
def test_wrong_answers_are_named(answer, message):
    with pytest.raises(WrongAnswer, match=message):
        answer()
