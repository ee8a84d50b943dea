"""Chapter 1: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnbook import fundamental_concepts as chapter
from cnnbook.checking import WrongAnswer
from cnnlib.digits.datasets import load_digits

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


def test_paths_are_drawn():
    chapter.draw_paths()
    assert {"$w_d$", "$z_3$", "$L$", "$x_{2d}$"} <= {text.get_text() for text in plt.gca().texts}


@pytest.mark.parametrize(("rate", "at_most", "rises"), [(0.01, 0.435, 0), (10, 0.02, 0), (30, 0.02, 1), (100, 0.02, 1)])
def test_the_answer_about_learning_rates_is_true(rate, at_most, rises):
    digits = load_digits()
    chosen = digits.train_labels < 2
    images, t = digits.train_images[chosen] / 255, digits.train_labels[chosen]
    x = np.stack([images[:, 10:18, 11:17].mean(axis=(1, 2)), (images.max(axis=1) > 0.3).mean(axis=1)], axis=1)
    w, b, losses, said_one = np.array([-2.0, 1.0]), 0.5, [], 0
    for _ in range(101):
        y = 1 / (1 + np.exp(-(x @ w + b)))
        losses.append(np.mean((y - t) ** 2))
        said_one += bool(abs(losses[-1] - 0.5) < 0.02 and (y > 0.5).all())
        dw, db = gradients(x, t, w, b)
        w, b = w - rate * dw, b - rate * db
    assert losses[-1] < at_most and (np.diff(losses).max() > 0) == bool(rises)
    assert rate != 0.01 or losses[-1] > 0.42
    assert (said_one > 20) == (rate == 100)


# The checks of the exercises


def gradients(x, t, w, b, scale=None, slope=True):
    y = 1 / (1 + np.exp(-(x @ w + b)))
    dz = 2 * (y - t) / (len(t) if scale is None else scale) * (y * (1 - y) if slope else 1)
    return x.T @ dz, dz.sum()


def train(x, t, batch_size, epochs, rate, rng, order=None, gradients=gradients, start=None, step=1):
    w, b = np.zeros(x.shape[1]) if start is None else start(x.shape[1]), 0.0
    orders = order or (lambda rng, n, epochs: [rng.permutation(n) for _ in range(epochs)])
    for shuffled in orders(rng, len(x), epochs):
        for first in range(0, len(shuffled), batch_size):
            batch = shuffled[first : first + batch_size]
            dw, db = gradients(x[batch], t[batch], w, b)
            w, b = w - step * rate * dw, b - step * rate * db
    return w, b


def trainer(**change):
    return lambda *arguments: train(*arguments, **change)


def epochs_of(draw):
    """The orders of all epochs, each drawn anew."""
    return lambda rng, n, epochs: [draw(rng, n) for _ in range(epochs)]


def same_order(rng, n, epochs):
    return [rng.permutation(n)] * epochs


def of_all(count):
    return lambda x, t, w, b: gradients(x, t, w, b, scale=count)


def divided_by_all(x, t, batch_size, epochs, rate, rng):
    return train(x, t, batch_size, epochs, rate, rng, gradients=of_all(len(x)))


def divided_by_size(x, t, batch_size, epochs, rate, rng):
    return train(x, t, batch_size, epochs, rate, rng, gradients=of_all(batch_size))


def shuffles_in_place(x, t, batch_size, epochs, rate, rng):
    order = rng.permutation(len(x))
    x[:], t[:] = x[order], t[order]
    return train(x, t, batch_size, epochs, rate, rng)


def drops_the_last(x, t, size, *rest):
    return train(x, t, size, *rest, order=epochs_of(lambda rng, n: rng.permutation(n)[: n - n % size]))


def one_twice(x, t, size, *rest):
    def order(rng, n):  # which cannot be seen where all are in one batch, or all are equal
        drawn = rng.permutation(n)
        return np.append(drawn[:-1], drawn[0]) if n > size == 1 else drawn

    return train(x, t, size, *rest, order=epochs_of(order))


def one_random_epoch(rng, n, epochs):
    return [rng.permutation(n), *[np.arange(n)] * (epochs - 1)][:epochs]


def shuffles_batches(x, t, size, *rest):
    def order(rng, n):
        parts = [np.arange(first, min(first + size, n)) for first in range(0, n, size)]
        whole, last = parts[: n // size], parts[n // size :]  # the smaller one stays at the end
        return np.concatenate([whole[k] for k in rng.permutation(len(whole))] + last)

    return train(x, t, size, *rest, order=epochs_of(order))


def even_parts(x, t, batch_size, epochs, rate, rng):
    w, b = np.zeros(x.shape[1]), 0.0
    for _ in range(epochs):
        for batch in np.array_split(rng.permutation(len(x)), -(-len(x) // batch_size)):
            dw, db = gradients(x[batch], t[batch], w, b)
            w, b = w - rate * dw, b - rate * db
    return w, b


def without_bias(x, t, batch_size, epochs, rate, rng):
    w, _ = train(x, t, batch_size, epochs, rate, rng, gradients=lambda *a: (gradients(*a)[0], 0.0))
    return w, 0.0


def in_lists(x, t, batch_size, epochs, rate, rng):
    w, b = train(x, t, batch_size, epochs, rate, rng)
    return [w.tolist(), np.array([b])]


def by_shuffle(rng, n):
    order = np.arange(n)
    rng.shuffle(order)
    return order


def tanh(x, t, w, b, factor=2.0, slope=lambda y: 1 - y**2, sums=True):
    y = np.tanh(x @ w + b)
    dz = factor * (y - t) * slope(y) / len(t)
    return x.T @ dz, dz.sum() if sums else dz.mean()


W = np.array([1.0381636, 0.0763272])
BEFORE = np.array([0.5, -1.0])
Y = 1 / (1 + np.exp(1.25))

RIGHT = [
    *[
        (chapter.check_forward, y)
        for y in (Y, 0.223, np.float32(Y), np.array([0.2227]), [[0.2227]], Fraction(2227, 10**4))
    ],
    *[(chapter.check_iterations, count) for count in (4692, 4692.0, np.int64(4692), np.array([4692]))],
    *[(chapter.check_step, w) for w in (W, W.tolist(), tuple(W), W[:, None], W.astype("f"), [1.038, 0.076])],
    *[(chapter.check_tanh, f) for f in (tanh, lambda *a: [tanh(*a)[0][:, None], np.array([tanh(*a)[1]])])],
    *[(chapter.check_batches, f) for f in (train, in_lists, trainer(order=epochs_of(by_shuffle)))],
    (chapter.check_batches, trainer(order=epochs_of(lambda rng, n: rng.choice(n, n, replace=False)))),
]

WRONG = [
    (chapter.check_forward, -1.25, "this is z"),
    (chapter.check_forward, 0.5, "is not it"),
    (chapter.check_forward, 1 / (1 + np.exp(1.5)), "bias is missing"),
    (chapter.check_forward, 1 / (1 + np.exp(-1.25)), "needs a minus"),
    (chapter.check_forward, 1 / (1 + np.exp(0.25)), "first weight"),
    (chapter.check_forward, "0.2227", "expected numbers, got str"),
    (chapter.check_forward, None, "expected numbers, got NoneType"),
    (chapter.check_forward, [0.2227, 0.2227], "single number"),
    (chapter.check_forward, np.nan, "nan is not it"),
    (chapter.check_iterations, 12 * 390, "the last, smaller batch"),
    (chapter.check_iterations, 4688, "round up within each epoch"),
    (chapter.check_iterations, 4687.5, "no fraction"),
    (chapter.check_iterations, 391, "one epoch"),
    (chapter.check_iterations, 600_000, "a whole batch"),
    (chapter.check_iterations, 4693, "is not it"),
    (chapter.check_iterations, "many", "expected numbers"),
    (chapter.check_step, 2 * BEFORE - W, "uphill"),
    (chapter.check_step, BEFORE, "before the step"),
    (chapter.check_step, (BEFORE - W) / 2, "this is the gradient"),
    (chapter.check_step, (BEFORE + W) / 2, "half as long"),
    (chapter.check_step, BEFORE + (W - BEFORE) / (Y * (1 - Y)), "sigmoid is missing"),
    (chapter.check_step, BEFORE + (W - BEFORE)[0], "its own input"),
    (chapter.check_step, np.array([1.0, 0.1]), r"^the entry at \(0,\) is not right"),
    (chapter.check_step, np.zeros(3), r"shape \(3,\), expected \(2,\)"),
    (chapter.check_step, None, "expected numbers"),
    (chapter.check_tanh, lambda *a: tanh(*a, slope=lambda y: y * (1 - y)), "slope of the sigmoid"),
    (chapter.check_tanh, lambda *a: tanh(*a, slope=lambda y: 1), "slope of tanh is missing"),
    (chapter.check_tanh, lambda *a: tanh(*a, factor=14), "1/N of the mean is missing"),
    (chapter.check_tanh, lambda *a: tanh(*a, factor=1), "the 2 from"),
    (chapter.check_tanh, lambda *a: tanh(*a, factor=2 / 7), "there twice"),
    (chapter.check_tanh, lambda *a: tanh(*a, factor=-2), "sign"),
    (chapter.check_tanh, lambda *a: tanh(*a, sums=False), "db is the sum"),
    (chapter.check_tanh, lambda *a: tanh(*a, slope=lambda y: 1 - y), "every example's path"),
    (chapter.check_tanh, lambda *a: tanh(*a)[0], "return dw and db"),
    (chapter.check_tanh, lambda x, t, w, b: w @ x, "stops with ValueError"),
    (chapter.check_tanh, None, "expected a function"),
    (chapter.check_batches, trainer(order=lambda rng, n, epochs: [np.arange(n)] * epochs), "not random"),
    (chapter.check_batches, trainer(order=same_order), "same order"),
    (chapter.check_batches, trainer(order=one_random_epoch), "only the first epoch"),
    (chapter.check_batches, trainer(order=epochs_of(lambda rng, n: np.roll(range(n), rng.integers(n)))), "not random"),
    (chapter.check_batches, shuffles_batches, "not only the batches"),
    (chapter.check_batches, even_parts, "5, 5 and 2"),
    (chapter.check_batches, lambda x, t, size, n, *rest: train(x, t, size, max(n - 1, 0), *rest), "not right after"),
    (chapter.check_batches, drops_the_last, "left out"),
    (chapter.check_batches, trainer(order=epochs_of(lambda rng, n: rng.integers(0, n, n))), "every example once"),
    (
        chapter.check_batches,
        trainer(order=epochs_of(lambda rng, n: np.random.default_rng().permutation(n))),
        "rng alone",
    ),
    (chapter.check_batches, trainer(gradients=of_all(1)), "mean over the batch is missing"),
    (chapter.check_batches, divided_by_all, "number of all examples"),
    (chapter.check_batches, divided_by_size, "the last batch is smaller"),
    (chapter.check_batches, trainer(step=0.5), "the 2 from"),
    (chapter.check_batches, trainer(step=-1), "uphill"),
    (chapter.check_batches, trainer(gradients=lambda *a: gradients(*a, slope=False)), "y \\(1 - y\\)"),
    (chapter.check_batches, without_bias, "bias stays at 0"),
    (chapter.check_batches, trainer(start=np.ones), "after 0 epochs"),
    (chapter.check_batches, trainer(start=lambda n: np.random.default_rng(1).standard_normal(n)), "after 0 epochs"),
    (chapter.check_batches, lambda x, t, size, *a: train(x, t, len(x), *a), "not all"),
    (chapter.check_batches, lambda x, t, size, *a: train(x, t, 1, *a), "batch_size is ignored"),
    (chapter.check_batches, shuffles_in_place, "changed x or t"),
    (chapter.check_batches, lambda x, *a: (np.zeros(x.shape[1]), 0.0), "not right after"),
    (chapter.check_batches, lambda *a: train(*a)[0], "return w and b"),
    (
        chapter.check_batches,
        lambda x, t, size, epochs, rate, rng: train(x, t, size, epochs, 1.0, rng),
        "not right after",
    ),
    (chapter.check_batches, (W, 0.0), "expected a function"),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers(check, answer, capsys):
    check(answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("check", "answer", "message"), WRONG)
def test_wrong_answers_are_named(check, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        check(answer)


@pytest.mark.parametrize(("check", "answer", "message"), WRONG)
def test_messages_about_numbers_on_paper_do_not_tell_the_answer(check, answer, message):
    if check in (chapter.check_forward, chapter.check_iterations, chapter.check_step):
        with pytest.raises(WrongAnswer) as error:
            check(answer)
        assert not any(number in str(error.value) for number in ("0.22", "4692", "4,692", "1.03", "0.07"))
