"""Chapter 13: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import cnnlib
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


def shift_padded(images, rng, mode):
    _, H, W = images.shape
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)), mode=mode)
    places = rng.integers(0, 5, (len(images), 2))
    return np.stack([image[a : a + H, b : b + W] for image, (a, b) in zip(padded, places, strict=True)])


def shift_one_way(images, rng):
    return np.stack([np.roll(shift(image[np.newaxis], rng)[0] * 0 + image, rng.integers(-2, 3), 1) for image in images])


def diagonal(images, rng):
    _, H, W = images.shape
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    return np.stack(
        [image[k : k + H, k : k + W] for image, k in zip(padded, rng.integers(0, 5, len(images)), strict=True)]
    )


def never_reset(losses, patience):
    best, bad = 0, 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        elif epoch:
            bad += 1
            if bad >= patience:
                break
    return best


def with_the_epoch_before(losses, patience):
    best, bad = 0, 0
    for epoch in range(1, len(losses)):
        bad = 0 if losses[epoch] < losses[epoch - 1] else bad + 1
        best = epoch if losses[epoch] < losses[best] else best
        if bad >= patience:
            break
    return best


def one_too_many(losses, patience):
    return best_epoch(losses, patience + 1)


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
        (lambda: chapter.check_count(88_166 - 4200), "looks at all maps"),
        (lambda: chapter.check_count(88_166 - 24_000), "more features than the 400"),
        (lambda: chapter.check_count(88_166 + 576 * 120), "no padding"),
        (lambda: chapter.check_count(88_166 - 850), "the last layer"),
        (lambda: chapter.check_count(88_167), "all five layers"),
        (lambda: chapter.check_mean_loss(5.60014), "this is the sum"),
        (lambda: chapter.check_mean_loss(-0.0560014), "not negative"),
        (lambda: chapter.check_mean_loss(-np.log(0.9802)), "logarithm of the mean"),
        (lambda: chapter.check_mean_loss(-np.log(0.99)), "wrong answer is missing"),
        (lambda: chapter.check_mean_loss(0.0460517), "cost something"),
        (lambda: chapter.check_mean_loss(0.01), "share of wrong"),
        (lambda: chapter.check_mean_loss(0.0560014 / np.log(2)), "natural"),
        (lambda: chapter.check_mean_loss(0.057), "is not it"),
        (lambda: chapter.check_mean_loss(0.0560014 / np.log(10)), "natural"),
        (lambda: chapter.check_confusion(lambda *a: confusion(*a).T), "rows are the true classes"),
        (lambda: chapter.check_confusion(counted_once), "counted once"),
        (lambda: chapter.check_confusion(lambda *a: confusion(*a) / 6), "counts were asked"),
        (lambda: chapter.check_confusion(lambda *a: confusion(*a) * (1 - np.eye(4))), "diagonal"),
        (lambda: chapter.check_confusion(lambda *a: np.diag(confusion(*a))), "expected a matrix"),
        (lambda: chapter.check_confusion(lambda *a: confusion(*a) + np.eye(4)), "Entry"),
        (
            lambda: chapter.check_confusion(lambda *a: confusion(*a) / confusion(*a).sum(1, keepdims=True).clip(1)),
            "shares of each class",
        ),
        (
            lambda: chapter.check_confusion(lambda labels, guesses, classes: confusion(labels, guesses, 3)),
            "absent classes",
        ),
        (lambda: chapter.check_early_stopping(lambda losses, patience: int(np.argmin(losses))), "had stopped before"),
        (lambda: chapter.check_early_stopping(lambda losses, patience: len(losses) - 1), "you keep"),
        (lambda: chapter.check_early_stopping(never_reset), "in a row"),
        (lambda: chapter.check_early_stopping(lambda v, n: best_epoch(np.round(v, 1).tolist(), n)), "slightly lower"),
        (lambda: chapter.check_early_stopping(with_the_epoch_before), "not with the epoch before"),
        (lambda: chapter.check_early_stopping(one_too_many), "had stopped before"),
        (lambda: chapter.check_early_stopping(lambda *a: best_epoch(*a) + 1), "counted from 0"),
        (
            lambda: chapter.check_early_stopping(lambda losses, patience: losses[best_epoch(losses, patience)]),
            "counted|keep",
        ),
        (lambda: chapter.check_early_stopping(lambda losses, patience: None), "got NoneType"),
        (lambda: chapter.check_shift(shift_one_way), "come back at the other"),
        (lambda: chapter.check_shift(diagonal), "never occur"),
        (lambda: chapter.check_shift(lambda *a: shift_padded(*a, "edge")), "must be zero"),
        (lambda: chapter.check_shift(lambda *a: shift_padded(*a, "wrap")), "come back at the other"),
        (lambda: chapter.check_shift(lambda images, rng: shift(images, rng) // 2), "in another way"),
        (lambda: chapter.check_shift(lambda images, rng: shift(images, np.random.default_rng())), "same seed"),
        (lambda: chapter.check_shift(lambda images, rng: shift(images, np.random.default_rng(5))), "another seed"),
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


NONSENSE = [None, "88166", [], {}, object(), 3 + 2j, np.nan, lambda *_: None, lambda *_: "x", lambda *_: 1 / 0]


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("name", ["count", "mean_loss", "confusion", "early_stopping", "shift"])
def test_nonsense_is_refused_without_an_error(name, nonsense):
    with pytest.raises(WrongAnswer):
        getattr(chapter, f"check_{name}")(nonsense)


def test_other_types_are_right_as_well(capsys):
    chapter.check_count(np.float64(88_166))
    chapter.check_mean_loss(0.056)
    chapter.check_confusion(lambda *a: confusion(*a).tolist())
    chapter.check_early_stopping(lambda *a: np.int64(best_epoch(*a)))
    assert capsys.readouterr().out.count("Right.") == 4


# The receptive field


@pytest.mark.parametrize("place", [(0, 0), (3, 6), (9, 9)])
def test_receptive_field_is_where_the_gradient_is(place):
    network = cnnlib.lenet5(np.random.default_rng(0))[:4]
    x = np.abs(np.random.default_rng(1).random((1, 1, 28, 28)))
    reached = np.zeros((28, 28), bool)
    for layer in network.layers:
        if layer.params:
            layer.W[:] = np.abs(layer.W) + 0.1  # so that no ReLU stops a gradient, and no sum is zero
    for seed in range(60):  # the maximum of each pooling window moves about
        y = network.forward(np.random.default_rng(seed).permutation(x.ravel()).reshape(x.shape).astype(np.float32))
        dy = np.zeros_like(y)
        dy[0, 0, place[0], place[1]] = 1
        reached |= network.backward(dy)[0, 0] != 0
    (top, bottom), (left, right) = (chapter.receptive_field((where, where), list(network)) for where in place)
    assert bottom - top == right - left == 13
    inside = np.zeros_like(reached)
    inside[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = True
    assert np.array_equal(reached, inside)
    chapter.draw_receptive_field(cnnlib.lenet5(np.random.default_rng(0)), 255 * np.eye(28, dtype=np.uint8), place)
    patch = plt.gcf().axes[0].patches[0]
    assert patch.get_xy() == (left - 0.5, top - 0.5) and patch.get_width() == patch.get_height() == 14
    plt.gcf().canvas.draw()
