"""The checks of chapter 13: right answers pass, typical wrong ones are named."""

import numpy as np
import pytest

from cnnlib.exercises import NotYet
from cnnlib.exercises import training as check


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
    check.count(88_166)
    check.mean_loss(0.0560014)
    check.confusion(confusion)
    check.early_stopping(best_epoch)
    check.shift(shift)
    assert capsys.readouterr().out.count("Right.") == 5


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda: check.count(61_706), "the network of the chapter"),
        (lambda: check.count(88_166 - 246), "biases are missing"),
        (lambda: check.mean_loss(5.60014), "this is the sum"),
        (lambda: check.mean_loss(0.0560014 / np.log(10)), "natural"),
        (lambda: check.confusion(lambda *a: confusion(*a).T), "rows are the true classes"),
        (lambda: check.confusion(counted_once), "counted once"),
        (lambda: check.confusion(lambda labels, guesses, classes: confusion(labels, guesses, 3)), "absent classes"),
        (lambda: check.early_stopping(lambda losses, patience: int(np.argmin(losses))), "had stopped before"),
        (lambda: check.early_stopping(lambda losses, patience: len(losses) - 1), "you keep"),
        (lambda: check.shift(lambda images, rng: images.copy()), "nothing has moved"),
        (lambda: check.shift(lambda images, rng: shift(images, rng, most=3)), "at most 2"),
        (lambda: check.shift(lambda images, rng: shift(images, rng, most=1)), "never occur"),
        (lambda: check.shift(lambda images, rng: shift(images, rng, each=False)), "all images moved alike"),
        (lambda: check.shift(rolled), "come back at the other"),
        (lambda: check.shift(lambda images, rng: shift(images, rng).astype(float)), "dtype became float64"),
    ],
)
def test_wrong_answers_are_named(answer, message):
    with pytest.raises(NotYet, match=message):
        answer()
