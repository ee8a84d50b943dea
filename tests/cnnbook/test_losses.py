"""Chapter 9: the checks of its exercises accept right answers, and name what is wrong with others."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import cnnlib
from cnnbook import losses as chapter
from cnnbook.checking import WrongAnswer
from cnnlib.losses import Loss


def test_recipe_marks_the_minima():
    y, p = np.linspace(2, 4, 21), np.linspace(0.1, 0.9, 9)
    chapter.draw_recipe(y, (y - 3) ** 2, 2 * (y - 3) ** 2, p, (p - 0.7) ** 2)
    left, right = plt.gcf().axes
    assert [line.get_xdata()[0] for line in left.lines if len(line.get_xdata()) == 1] == pytest.approx([3, 3])
    assert [line.get_xdata()[0] for line in right.lines if len(line.get_xdata()) == 1] == pytest.approx([0.7])
    plt.gcf().canvas.draw()


BY_HAND = -(np.log(0.3) + np.log(0.5)) / 2


@pytest.mark.parametrize("answer", [BY_HAND, np.array([BY_HAND]), np.float32(BY_HAND), 0.9486, 0.95])
def test_by_hand(answer, capsys):
    chapter.check_by_hand(answer)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (-BY_HAND, "sign"),
        (2 * BY_HAND, "the sum"),
        (BY_HAND / np.log(10), "natural logarithm"),
        (-np.log(0.4), "logarithms first"),
        (-(np.log(0.6) + np.log(0.5)) / 2, "count from 0"),
        (BY_HAND / np.log(2), "natural logarithm"),
        (1.0, "is not it"),
        ([1.2, 0.69], "expected a single number"),
    ],
)
def test_by_hand_refuses(loss, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_by_hand(loss)


def smooth(t, epsilon):
    return (1 - epsilon) * t + epsilon / t.shape[1]


def smooth_in_place(t, epsilon):
    t[:] = smooth(t, epsilon)
    return t


def test_smoothing(capsys):
    chapter.check_smoothing(smooth)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda t, e: np.where(t == 1, 1 - e, e / (t.shape[1] - 1)), "wrong classes only"),
        (lambda t, e: (1 - e) * t + e, "ε / M to each"),
        (lambda t, e: t + e / t.shape[1], "must remain probabilities"),
        (lambda t, e: smooth(t, 2 * e), "the entry at"),
        (lambda t, e: smooth(t, 0.1), "ε = 0.3"),
        (lambda t, e: (1 - e) * t + e / 4, "a row sums to"),
        (lambda t, e: np.ones_like(t) / t.shape[1], "the entry at"),
        (lambda t, e: (1 - e) * t + e / len(t), "a row sums to"),
        (lambda t, e: smooth(t, e)[0], "the shape is"),
        (lambda t, e: None, "got NoneType"),
        (smooth_in_place, "changed its argument"),
    ],
)
def test_smoothing_refuses(wrong, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_smoothing(wrong)


def binary(z, t):
    loss = np.mean(np.maximum(z, 0) - t * z + np.log1p(np.exp(-np.abs(z))))
    return loss, (cnnlib.Sigmoid().forward(z) - t) / len(z)


def naive_binary(z, t):
    p = 1 / (1 + np.exp(-z))
    return np.mean(-t * np.log(p) - (1 - t) * np.log(1 - p)), (p - t) / len(z)


def test_binary(capsys):
    chapter.check_binary(binary)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (naive_binary, "something overflows"),
        (lambda z, t: (binary(z, t)[0] * len(z), binary(z, t)[1]), "Is it the mean"),
        (lambda z, t: (binary(z, t)[0], binary(z, t)[1] * len(z)), "1/N is missing"),
        (lambda z, t: (binary(z, t)[0], binary(z, t)[1] / len(z)), "twice"),
        (lambda z, t: (binary(z, t)[0], -binary(z, t)[1]), "wrong sign"),
        (lambda z, t: (binary(z, t)[0], binary(z, t)[1].ravel()), r"shape \(5,\), expected \(5, 1\)"),
        (lambda z, t: binary(np.clip(z, -30, 30), t), "the loss cannot be 30"),
        (lambda z, t: binary(z, t)[0], "the loss and its gradient, 2 in all"),
        (lambda z, t: (binary(z, t)[0] * len(z) / 5, binary(z, t)[1]), "Is it the mean"),
        (lambda z, t: (binary(z, t)[0], binary(z, t)[1] * len(z) / 5), "the entry at"),
        (lambda z, t: (binary(z, t)[0], cnnlib.Sigmoid().forward(z) - 1), "the entry at|wrong sign"),
        (lambda z, t: (binary(z, t)[0], 2 * binary(z, t)[1]), "the entry at"),
    ],
)
def test_binary_refuses(wrong, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_binary(wrong)


def baseline(labels, M):
    p = np.bincount(labels, minlength=M) / len(labels)
    seen = p[p > 0]
    return p, -np.sum(seen * np.log(seen))


def price_of_each(labels, M):
    p = baseline(labels, M)[0]
    return -np.log(p[p > 0])


def test_baseline(capsys):
    chapter.check_baseline(baseline)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda labels, M: baseline(labels, M)[0], "2 in all"),
        (lambda labels, M: (list(baseline(labels, M)[0]), "none"), "expected numbers, got str"),
        (lambda labels, M: baseline(labels, 4), "does not occur"),
        (lambda labels, M: baseline(labels, 0), "does not occur"),
        (lambda labels, M: (np.bincount(labels, minlength=M), 0.0), "these are counts"),
        (lambda labels, M: (np.full(M, 1 / M), np.log(M)), "equal shares"),
        (lambda labels, M: (baseline(labels, M)[0][::-1], 0.0), "the entry at"),
        (lambda labels, M: (p := baseline(labels, M)[0], -np.sum(p * np.log(p))), "nan"),
        (lambda labels, M: (baseline(labels, M)[0], -baseline(labels, M)[1]), "the sign"),
        (lambda labels, M: (baseline(labels, M)[0], len(labels) * baseline(labels, M)[1]), "this is the sum"),
        (lambda labels, M: (baseline(labels, M)[0], price_of_each(labels, M).sum()), "as often as it occurs"),
        (lambda labels, M: (baseline(labels, M)[0], price_of_each(labels, M).mean()), "as often as it occurs"),
        (lambda labels, M: (baseline(labels, M)[0], 1.0), "is not it"),
    ],
)
def test_baseline_refuses(wrong, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_baseline(wrong)


def weighted(z, t, weights, total=lambda t, weights: (t @ weights).sum(), gradient="row"):
    share = ((t @ weights) / total(t, weights))[:, np.newaxis]
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    if gradient == "log p":
        return 0.0, log_p
    factor = {"row": share, "column": weights / total(t, weights), "plain": 1 / len(z)}[gradient]
    return -np.sum(share * t * log_p), factor * (np.exp(log_p) - t)


def weighted_overflowing(z, t, weights):
    share = (t @ weights)[:, np.newaxis] / (t @ weights).sum()
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return -np.sum(share * t * (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))), share * (p - t)


def weighted_clipped(z, t, weights):
    p = np.exp(weighted(z, t, weights, gradient="log p")[1])
    share = (t @ weights)[:, np.newaxis] / (t @ weights).sum()
    return -np.sum(share * t * np.log(np.maximum(p, 1e-30))), share * (p - t)


def weighted_by_one_maximum(z, t, weights):
    e = np.exp(z - z.max())
    p = e / e.sum(axis=1, keepdims=True)
    share = (t @ weights)[:, np.newaxis] / (t @ weights).sum()
    return -np.sum(share * t * (z - z.max() - np.log(e.sum(axis=1, keepdims=True)))), share * (p - t)


def test_weighted(capsys):
    chapter.check_weighted(weighted)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda z, t, w: weighted(z, t, np.ones(3)), "no effect"),
        (lambda z, t, w: weighted(z, t, w, total=lambda t, w: len(t)), "not by N"),
        (lambda z, t, w: weighted(z, t, w, total=lambda t, w: w.sum()), "as often as it occurs"),
        (lambda z, t, w: weighted(z, t, w, gradient="plain"), "that of the plain mean"),
        (lambda z, t, w: weighted(z, t, w, gradient="column"), "its row"),
        (weighted_overflowing, "subtract the maximum"),
        (weighted_clipped, "take no logarithm"),
        (weighted_by_one_maximum, "maximum of each row"),
        (
            lambda z, t, w: weighted(z, t, w / w.sum() * len(w), total=lambda t, w: len(t)),
            "the entry|is not it|not by N",
        ),
        (lambda z, t, w: (weighted(z, t, w)[0], -weighted(z, t, w)[1]), "wrong sign"),
        (lambda z, t, w: weighted(z, t, w[::-1]), "is not it"),
    ],
)
def test_weighted_refuses(wrong, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_weighted(wrong)


class Hinge(Loss):
    margin, mean, own, pull = 1, True, False, "each"

    def margins(self, z, t):
        margins = np.maximum(0, self.margin + z - (z * t).sum(axis=1, keepdims=True))
        return margins if self.own else margins * (1 - t)

    def value(self, z, t):
        return float(self.margins(z, t).sum() / (len(z) if self.mean else 1))

    def gradient(self, z, t):
        violated = (self.margins(z, t) * (1 - t) > 0).astype(z.dtype)
        count = violated.sum(axis=1, keepdims=True)
        pull = {"each": count, "once": count > 0, "none": 0}[self.pull]
        return (violated - t * pull) / len(z)


def test_hinge(capsys):
    chapter.check_hinge(Hinge)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"own": True}, "adds 1 for each example"),
        ({"mean": False}, "1/N is missing in the value"),
        ({"margin": 0}, "margin of 1 is missing"),
        ({"pull": "none"}, "needs a gradient too"),
        ({"pull": "once"}, "not once"),
        ({"gradient": lambda self, z, t: Hinge().gradient(z, t) * len(z)}, "1/N is missing in the gradient"),
        ({"gradient": lambda self, z, t: Hinge().gradient(z, t) * len(z) / 6}, "the entry at"),
        ({"gradient": lambda self, z, t: -Hinge().gradient(z, t)}, "wrong sign"),
        ({"gradient": lambda self, z, t: None}, "got NoneType"),
        ({"value": lambda self, z, t: self.margins(z, t).max(axis=1).mean()}, "only the largest violation"),
        ({"value": lambda self, z, t: (self.margins(z, t) ** 2).sum() / len(z)}, "is not it"),
    ],
)
def test_hinge_refuses(changes, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_hinge(type("Hinge", (Hinge,), changes))


def test_hinge_wants_the_class():
    with pytest.raises(WrongAnswer, match="hand over a class"):
        chapter.check_hinge(Hinge())


@pytest.mark.parametrize("nonsense", [None, "text", 7, [], {}, np.nan])
@pytest.mark.parametrize("check", [value for name, value in vars(chapter).items() if name.startswith("check_")])
def test_nonsense_is_refused(check, nonsense):
    with pytest.raises(WrongAnswer):
        check(nonsense)
