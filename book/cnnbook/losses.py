"""Chapter 9, Losses: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence
from functools import partial

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnbook.checking import as_array, as_number, call, passed, require, require_array, require_number, run, unpack
from cnnlib.losses import Loss


def draw_stairs(b: np.ndarray, accuracy: np.ndarray, loss: np.ndarray) -> None:
    """Draw the accuracy and the loss over the bias b."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    left.plot(b, accuracy)
    right.plot(b, loss, color="C1")
    left.set(xlabel="bias b", title="Accuracy", ylim=(0, 1.05))
    right.set(xlabel="bias b", title="Loss", ylim=(0, 0.55))


def draw_pull(z: np.ndarray, p: np.ndarray, t: np.ndarray, dz: np.ndarray) -> None:
    """Draw scores, probabilities, targets and gradient of one example (M,) as bars."""
    figure, axes = plt.subplots(1, 4, figsize=(9, 2.6))
    panels = (("scores $z$", z, 13), ("$p$", p, 1.3), ("$t$", t, 1.3), ("gradient $p - t$", dz, 1.3))
    for axis, (title, values, limit) in zip(axes, panels, strict=True):
        bars = axis.bar(range(len(values)), values, color=np.where(values >= 0, "#8073AC", "#E08214"))
        axis.bar_label(bars, fmt="%.1f" if limit > 2 else "%.2f", padding=2)
        axis.axhline(0, color="black", linewidth=1)
        axis.set(xlabel="class", xticks=range(len(values)), ylim=(-limit, limit))
        axis.set_title(title, loc="center")


def draw_gaps(gaps: np.ndarray, rows: Sequence[tuple[float, float, float, float]]) -> None:
    """Draw loss and gradient over the lead of the wrong class: (loss, gradient) combined, then by pieces."""
    loss, slope, loss_by_pieces, slope_by_pieces = np.transpose(rows)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    for axis, combination, pieces, title in (
        (left, loss, loss_by_pieces, "Loss"),
        (right, slope, slope_by_pieces, "Gradient $dz_1$"),
    ):
        axis.plot(gaps, combination, label="combination")
        axis.plot(gaps, pieces, "--", label="pieces")
        axis.set(xlabel="lead of the wrong class", title=title)
    left.legend()


def draw_recipe(y: np.ndarray, normal: np.ndarray, square: np.ndarray, p: np.ndarray, bernoulli: np.ndarray) -> None:
    """Draw the losses of numbers over the output y, and that of two classes over p, with a dot at each minimum."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    for axis, across, loss, label, style in (
        (left, y, normal, "normal distribution", "C0-"),
        (left, y, square, "squared error", "C1--"),
        (right, p, bernoulli, "Bernoulli distribution", "C0-"),
    ):
        axis.plot(across, loss, style, label=label)
        axis.plot(across[loss.argmin()], loss.min(), style[:2] + "o")
        axis.legend()
    left.set(xlabel="output $y$", title="Loss of numbers", ylim=(0, None))
    right.set(xlabel="output $p$", title="Loss of two classes", ylim=(0, None))


# The checks of the exercises


def check_by_hand(loss: float) -> None:
    """The cross-entropy of two examples, with 0.3 and 0.5 for the right classes."""
    loss, expected = as_number(loss), -(np.log(0.3) + np.log(0.5)) / 2
    require(not np.isclose(loss, -expected, 1e-3), "the sign: log p is negative, the loss is positive.")
    require(not np.isclose(loss, 2 * expected, 1e-3), "this is the sum; the loss is the mean of the two.")
    require(not np.isclose(loss, expected / np.log(10), 1e-3), "use the natural logarithm, np.log.")
    require(not np.isclose(loss, expected / np.log(2), 1e-3), "use the natural logarithm, np.log.")
    require(not np.isclose(loss, -np.log(0.4), 1e-3), "take the logarithms first, and then the mean.")
    require(not np.isclose(loss, -(np.log(0.6) + np.log(0.5)) / 2, 1e-3), "classes count from 0: class 2 is the last.")
    require_number(loss, expected, "Which probability does each right class have?", 2e-3)
    passed(f"{loss:.4f}, so typically {np.exp(-loss):.0%} for the right class")


def check_smoothing(smooth: Callable) -> None:
    """Targets mixed with the uniform distribution."""
    for labels, M, epsilon in (([2, 0, 3], 4, 0.1), ([1, 0, 2, 2, 4], 5, 0.3)):
        t = cnnlib.one_hot(np.array(labels), M, np.float64)
        given = t.copy()
        require(callable(smooth), f"expected a function, by its name alone, got {smooth!r:.60}.")
        got = as_array(run(smooth, given, epsilon))
        require(np.array_equal(t, given), "smooth changed its argument: return a new array.")
        others = np.where(t == 1, 1 - epsilon, epsilon / (M - 1))
        same = got.shape == t.shape
        require(
            not (same and np.allclose(got, others)),
            "you share ε among the wrong classes only; here the right class gets its part of it too.",
        )
        require(
            not (same and np.allclose(got, (1 - epsilon) * t + epsilon)),
            "the uniform distribution gives ε / M to each.",
        )
        require(
            not same or np.allclose(got.sum(axis=1), 1),
            f"a row sums to {got.sum(axis=-1).flat[0]:.3g}: targets must remain probabilities.",
        )
        require_array(got, (1 - epsilon) * t + epsilon / M, f"This was ε = {epsilon} with M = {M} classes.")
    passed("0.925 for the right class, 0.025 for each other, with ε = 0.1 and four classes.")


def _differences(value: Callable[[np.ndarray], float], z: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Return the gradient of a function of scores, by central differences."""
    gradient = np.zeros_like(z)
    for index in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[index] = h
        gradient[index] = (value(z + step) - value(z - step)) / (2 * h)
    return gradient


def _require_gradient(dz, expected: np.ndarray, count: int, hint: str) -> None:
    """Raise `WrongAnswer` unless the gradient is right; name the two usual slips with 1/N."""
    dz = as_array(dz)
    require(dz.shape == expected.shape, f"the gradient has the shape {dz.shape}, expected {expected.shape}.")
    require(not np.allclose(dz, -expected), "the gradient has the wrong sign.")
    require(not np.allclose(dz, expected * count), "the 1/N is missing in the gradient.")
    require(not np.allclose(dz, expected / count), "the 1/N is in the gradient twice.")
    require_array(dz, expected, hint, 1e-7)


def check_binary(function: Callable) -> None:
    """Binary cross-entropy from scores, exact at the extremes."""
    rng = np.random.default_rng(3)

    def value(z: np.ndarray, t: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-z))
        return float(np.mean(-t * np.log(p) - (1 - t) * np.log(1 - p)))

    for targets in ([1.0, 0, 1, 0, 1], [0.0, 0, 1]):
        t = np.reshape(targets, (-1, 1))
        z = 2 * rng.standard_normal(t.shape)
        loss, dz = unpack(call(function, z, t), 2, "the loss and its gradient")
        require_number(loss, value(z, t), "Is it the mean over the batch?")
        _require_gradient(dz, _differences(partial(value, t=t), z), len(z), "dL/dz = (σ(z) - t) / N.")
    far = np.array([[1000.0], [-1000.0]])
    for targets, expected, slope in (([[0.0], [1.0]], 1000, [[0.5], [-0.5]]), ([[1.0], [0.0]], 0, [[0.0], [0.0]])):
        with np.errstate(all="ignore"):
            loss, dz = unpack(call(function, far, np.array(targets)), 2, "the loss and its gradient")
        story, loss, dz = f"for z = ±1000 and t = {targets[0][0]:g}, {targets[1][0]:g}", as_number(loss), as_array(dz)
        require(bool(np.isfinite(loss)), f"{story}, the loss is {loss}: something overflows. Use the form with |z|.")
        require(abs(loss - expected) < 1e-6, f"{story}, the loss cannot be {loss:g}. Work it out by hand.")
        require(np.allclose(dz, slope), f"{story}, the gradient cannot be {np.ravel(dz)}. Work it out by hand.")
    passed("Exact in the middle and at the extremes.")


def check_baseline(function: Callable) -> None:
    """The best constant probabilities for given labels, and their cross-entropy."""
    for counts in ([4, 1, 6, 0], [0, 1, 2, 0, 1, 0, 0]):  # some classes never occur
        counts, M = np.array(counts, dtype=float), len(counts)
        labels = np.random.default_rng(4).permutation(np.repeat(np.arange(M), counts.astype(int)))
        N, share = counts.sum(), counts / counts.sum()
        with np.errstate(all="ignore"):
            p, loss = unpack(call(function, labels, M), 2, "the probabilities and the loss")
        p, loss = as_array(p), as_number(loss)
        require(p.shape == (M,) or p.shape != (max(labels) + 1,), "a class that does not occur is one of the M, too.")
        require(p.shape != (M,) or not np.allclose(p, counts), "these are counts: probabilities sum to 1.")
        require(
            p.shape != (M,) or not np.allclose(p, 1 / M), "equal shares are for who does not know the labels either."
        )
        require_array(p, share, "Where is the sum over n of p - t zero?")
        require(not np.isnan(loss), "the loss is nan: 0 times minus infinity, from the class that never occurs.")
        each = -np.log(share[share > 0])
        expected = float(share[share > 0] @ each)
        require(not np.isclose(loss, -expected), "the sign: log p is negative, the loss is positive.")
        require(not np.isclose(loss, N * expected), "this is the sum; the loss is the mean over the examples.")
        require(
            not np.isclose(loss, each.mean()) and not np.isclose(loss, each.sum()),
            "the loss is a mean over examples, so a class counts as often as it occurs.",
        )
        require_number(loss, expected, "Every example adds -log of the probability of its own class.")
    passed("No other constant row has a smaller loss.")


def check_weighted(function: Callable) -> None:
    """Cross-entropy whose examples count by their class."""
    rng = np.random.default_rng(5)
    for labels, weights in (([0, 2, 1, 0, 2], [1.0, 10.0, 3.0]), ([1, 3, 1], [2.0, 1.0, 4.0, 5.0])):
        t, weights = cnnlib.one_hot(np.array(labels), len(weights), np.float64), np.array(weights)
        z, chosen = rng.standard_normal(t.shape), t @ weights

        def prices(z: np.ndarray, t: np.ndarray = t) -> np.ndarray:
            return np.log(np.exp(z).sum(axis=1)) - (t * z).sum(axis=1)

        loss, dz = unpack(call(function, z, t, weights), 2, "the loss and its gradient")
        loss = as_number(loss)
        require(not np.isclose(loss, prices(z).mean()), "this is the plain mean: the weights have no effect.")
        require(
            not np.isclose(loss, (chosen * prices(z)).mean()), "divide by the sum of the examples' weights, not by N."
        )
        require(
            not np.isclose(loss, (chosen * prices(z)).sum() / weights.sum()),
            "divide by the sum over the examples, in which a class counts as often as it occurs.",
        )
        require_number(loss, float(chosen @ prices(z) / chosen.sum()), "The weighted mean of the cross-entropies.")
        dz = as_array(dz)
        if dz.shape == z.shape:
            plain = cnnlib.SoftmaxCrossEntropy().gradient(z, t)
            require(not np.allclose(dz, plain), "the loss is weighted, but the gradient is that of the plain mean.")
            by_column = len(z) * plain * weights / chosen.sum()
            require(not np.allclose(dz, by_column), "the weight belongs to the example (its row), not to each class.")
        expected = chosen[:, np.newaxis] / chosen.sum() * len(z) * cnnlib.SoftmaxCrossEntropy().gradient(z, t)
        _require_gradient(dz, expected, len(z), "Each example's p - t, times its share of all weights.")
    far, t = np.array([[1000.0, 0, -1000], [-3000, -3000, -2000]]), np.array([[0.0, 1, 0], [0, 0, 1]])
    with np.errstate(all="ignore"):
        loss, dz = unpack(call(function, far, t, np.array([1.0, 3.0, 1.0])), 2, "the loss and its gradient")
    loss, dz = as_number(loss), as_array(dz)
    finite = bool(np.isfinite(loss) and np.isfinite(dz).all())
    require(finite, "for scores of ±1000, something overflows: subtract the maximum of each row first.")
    require_number(loss, 750, "For scores of ±1000, the loss must be exact, too: take no logarithm of a probability.")
    require(np.allclose(dz, [[0.75, -0.75, 0], [0, 0, 0]]), "for scores of ±1000, the gradient is wrong.")
    passed("Value and gradient are exact, for scores of any size.")


def check_hinge(Hinge: type) -> None:
    """The multi-class hinge loss, as a class with value and gradient."""
    require(isinstance(Hinge, type) and issubclass(Hinge, Loss), "hand over a class made from cnnlib.losses.Loss.")
    rng = np.random.default_rng(6)
    for labels, M in (([0, 1, 2, 3, 0, 1], 4), ([2, 0, 1], 3)):
        N, t = len(labels), cnnlib.one_hot(np.array(labels), M, np.float64)
        z = rng.standard_normal((N, M))
        z[0] = 5 * t[0] + 0.5 * z[0]  # the margin is kept: no loss, and no gradient
        loss, right_score = Hinge(), (z * t).sum(axis=1, keepdims=True)
        all_margins = np.maximum(0, 1 + z - right_score)
        expected = float((all_margins * (1 - t)).sum() / N)
        value = as_number(call(loss.value, z, t))
        require(
            not np.isclose(value, expected + 1), "the right class takes part in the sum: it adds 1 for each example."
        )
        require(not np.isclose(value, expected * N), "the 1/N is missing in the value.")
        without = float((np.maximum(0, z - right_score) * (1 - t)).sum() / N)
        require(not np.isclose(value, without), "the margin of 1 is missing.")
        largest = float((all_margins * (1 - t)).max(axis=1).mean())
        require(not np.isclose(value, largest), "this counts only the largest violation; sum over all wrong classes.")
        require_number(value, expected, "Sum max(0, 1 + z_m - z_c) over the wrong classes, then the mean over N.")
        dz = as_array(call(loss.gradient, z, t))
        violated = (all_margins * (1 - t) > 0).astype(float)
        if dz.shape == z.shape:
            require(not np.allclose(dz, violated / N), "the right score is in every summand: it needs a gradient too.")
            require(
                not np.allclose(dz, (violated - t * (violated.sum(axis=1, keepdims=True) > 0)) / N),
                "the right score gets -1/N for *each* violation, not once.",
            )
        _require_gradient(dz, (violated - t * violated.sum(axis=1, keepdims=True)) / N, N, "Count the violations.")
    passed("Value and gradient agree with the definition.")
