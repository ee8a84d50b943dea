"""Chapter 9, Losses: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnbook.checking import WrongAnswer, passed, require, require_array, require_number
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


# The checks of the exercises


def check_by_hand(loss: float) -> None:
    """The cross-entropy of two examples, with 0.3 and 0.5 for the right classes."""
    expected = -(np.log(0.3) + np.log(0.5)) / 2
    require(not np.isclose(loss, -expected, 1e-3), "the sign: log p is negative, the loss is positive.")
    require(not np.isclose(loss, 2 * expected, 1e-3), "this is the sum; the loss is the mean of the two.")
    require(not np.isclose(loss, expected / np.log(10), 1e-3), "use the natural logarithm, np.log.")
    require(not np.isclose(loss, -np.log(0.4), 1e-3), "take the logarithms first, and then the mean.")
    require(not np.isclose(loss, -(np.log(0.6) + np.log(0.5)) / 2, 1e-3), "classes count from 0: class 2 has p = 0.3.")
    require_number(loss, expected, "It is -(log 0.3 + log 0.5) / 2.", 1e-3)
    passed(f"{loss:.4f}, so typically {np.exp(-loss):.0%} for the right class")


def check_smoothing(smooth: Callable) -> None:
    """Targets mixed with the uniform distribution."""
    t = cnnlib.one_hot(np.array([2, 0, 3]), 4, np.float64)
    before = t.copy()
    got = smooth(t, 0.1)
    require(np.array_equal(t, before), "smooth changed its argument: return a new array.")
    require(isinstance(got, np.ndarray), f"expected an ndarray, got {type(got).__name__}.")
    others = np.where(t == 1, 0.9, 0.1 / 3)
    require(
        got.shape != t.shape or not np.allclose(got, others),
        "you share ε among the wrong classes only; here the right class gets its part of it too.",
    )
    require(
        got.shape != t.shape or not np.allclose(got, 0.9 * t + 0.1), "the uniform distribution gives ε / M to each."
    )
    require(
        got.shape != t.shape or np.allclose(got.sum(axis=1), 1),
        f"a row sums to {got.sum(axis=1).flat[0]:.3g}: targets must remain probabilities.",
    )
    require_array(got, 0.9 * t + 0.025, "(1 - ε) t + ε / M, with ε = 0.1 and M = 4.")
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
    require(isinstance(dz, np.ndarray), f"the gradient must be an ndarray, got {type(dz).__name__}.")
    require(dz.shape == expected.shape, f"the gradient has the shape {dz.shape}, expected {expected.shape}.")
    require(not np.allclose(dz, -expected), "the gradient has the wrong sign.")
    require(not np.allclose(dz, expected * count), "the 1/N is missing in the gradient.")
    require(not np.allclose(dz, expected / count), "the 1/N is in the gradient twice.")
    require_array(dz, expected, hint, 1e-7)


def _pair(result) -> tuple[float, np.ndarray]:
    require(isinstance(result, tuple) and len(result) == 2, "return two things: the loss, and its gradient.")
    return result


def check_binary(function: Callable) -> None:
    """Binary cross-entropy from scores, exact at the extremes."""
    rng = np.random.default_rng(3)
    z, t = 2 * rng.standard_normal((5, 1)), np.array([[1.0], [0.0], [1.0], [0.0], [1.0]])
    loss, dz = _pair(function(z.copy(), t.copy()))

    def value(z: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-z))
        return float(np.mean(-t * np.log(p) - (1 - t) * np.log(1 - p)))

    require_number(loss, loss if np.ndim(loss) == 0 and np.isclose(loss, value(z)) else value(z), "Is it the mean?")
    _require_gradient(dz, _differences(value, z), 5, "dL/dz = (σ(z) - t) / N.")
    far = np.array([[1000.0], [-1000.0]])
    for targets, expected, slope in (([[0.0], [1.0]], 1000, [[0.5], [-0.5]]), ([[1.0], [0.0]], 0, [[0.0], [0.0]])):
        with np.errstate(all="ignore"):
            loss, dz = function(far.copy(), np.array(targets))
        story = f"for z = ±1000 and t = {targets[0][0]:g}, {targets[1][0]:g}"
        require(bool(np.isfinite(loss)), f"{story}, the loss is {loss}: something overflows. Use the form with |z|.")
        require(abs(loss - expected) < 1e-6, f"{story}, the loss is {loss:g}, expected {expected}.")
        require(np.allclose(dz, slope), f"{story}, the gradient is {np.ravel(dz)}, expected {np.ravel(slope)}.")
    passed("Exact in the middle and at the extremes.")


def check_baseline(function: Callable) -> None:
    """The best constant probabilities for given labels, and their cross-entropy."""
    labels = np.array([2, 0, 2, 2, 0, 2, 1, 2, 0, 2])  # and class 3 never occurs
    with np.errstate(all="ignore"):
        result = function(labels.copy(), 4)
    require(isinstance(result, tuple) and len(result) == 2, "return two things: the probabilities, and the loss.")
    p, loss = result
    require(isinstance(p, np.ndarray), f"the probabilities must be an ndarray, got {type(p).__name__}.")
    counts = np.array([3.0, 1.0, 6.0, 0.0])
    require(p.shape != (3,), "class 3 does not occur among the labels, but it is one of the M = 4 classes.")
    require(p.shape != (4,) or not np.allclose(p, counts), "these are counts: probabilities sum to 1.")
    require(p.shape != (4,) or not np.allclose(p, 0.25), "equal shares are for who does not know the labels either.")
    require_array(p, counts / 10, "Where is the sum over n of p - t zero?")
    require(not np.isnan(loss), "the loss is nan: 0 times minus infinity, from the class that never occurs.")
    expected = -(0.3 * np.log(0.3) + 0.1 * np.log(0.1) + 0.6 * np.log(0.6))
    require(not np.isclose(loss, -expected), "the sign: log p is negative, the loss is positive.")
    require(not np.isclose(loss, 10 * expected), "this is the sum; the loss is the mean over the examples.")
    each = -np.log([0.3, 0.1, 0.6])
    require(
        not np.isclose(loss, each.mean()) and not np.isclose(loss, each.sum()),
        "every example pays, so a class counts as often as it occurs.",
    )
    require_number(loss, float(expected), "Every example pays -log of the probability of its own class.")
    passed(f"{expected:.2f} for the labels of this check, where log 4 = {np.log(4):.2f} would be knowing nothing.")


def check_weighted(function: Callable) -> None:
    """Cross-entropy whose examples count by their class."""
    rng = np.random.default_rng(5)
    z, t = rng.standard_normal((5, 3)), cnnlib.one_hot(np.array([0, 2, 1, 0, 2]), 3, np.float64)
    weights = np.array([1.0, 10.0, 3.0])
    chosen = t @ weights

    def prices(z: np.ndarray) -> np.ndarray:
        return np.log(np.exp(z).sum(axis=1)) - (t * z).sum(axis=1)

    loss, dz = _pair(function(z.copy(), t.copy(), weights.copy()))
    require(not np.isclose(loss, prices(z).mean()), "this is the plain mean: the weights have no effect.")
    require(not np.isclose(loss, (chosen * prices(z)).mean()), "divide by the sum of the examples' weights, not by N.")
    require(
        not np.isclose(loss, (chosen * prices(z)).sum() / weights.sum()),
        "divide by the sum over the examples, in which a class counts as often as it occurs.",
    )
    expected = (chosen @ prices(z)) / chosen.sum()
    require_number(loss, float(expected), "The weighted mean of the examples' cross-entropies.")
    if isinstance(dz, np.ndarray) and dz.shape == z.shape:
        plain = cnnlib.SoftmaxCrossEntropy().gradient(z, t)
        require(not np.allclose(dz, plain), "the loss is weighted, but the gradient is that of the plain mean.")
        by_column = len(z) * plain * weights / chosen.sum()
        require(not np.allclose(dz, by_column), "the weight belongs to the example (its row), not to each class.")
    differences = _differences(lambda z: float(chosen @ prices(z) / chosen.sum()), z)
    _require_gradient(dz, differences, 5, "Row n is ω_c / (sum of all ω_c) times (p - t).")
    passed("Value and gradient agree with central differences.")


def check_hinge(Hinge: type) -> None:
    """The multi-class hinge loss, as a class with value and gradient."""
    require(isinstance(Hinge, type) and issubclass(Hinge, Loss), "hand over a class made from cnnlib.losses.Loss.")
    rng = np.random.default_rng(6)
    z, t = rng.standard_normal((6, 4)), cnnlib.one_hot(np.array([0, 1, 2, 3, 0, 1]), 4, np.float64)
    z[0] = [5.0, 1.0, 2.0, 0.0]  # the margin is kept: no loss, and no gradient
    loss, right_score = Hinge(), (z * t).sum(axis=1, keepdims=True)
    all_margins = np.maximum(0, 1 + z - right_score)
    expected = float((all_margins * (1 - t)).sum() / 6)
    value = loss.value(z, t)
    require(not np.isclose(value, expected + 1), "the right class takes part in the sum: it adds 1 for each example.")
    require(not np.isclose(value, expected * 6), "the 1/N is missing in the value.")
    without = float((np.maximum(0, z - right_score) * (1 - t)).sum() / 6)
    require(not np.isclose(value, without), "the margin of 1 is missing.")
    require_number(value, expected, "Sum max(0, 1 + z_m - z_c) over the wrong classes, then the mean over N.")
    dz = loss.gradient(z, t)
    require(isinstance(dz, np.ndarray), f"the gradient must be an ndarray, got {type(dz).__name__}.")
    violated = (all_margins * (1 - t) > 0).astype(float)
    if dz.shape == z.shape:
        require(not np.allclose(dz, violated / 6), "the right score is in every summand: it needs a gradient too.")
        require(
            not np.allclose(dz, (violated - t * (violated.sum(axis=1, keepdims=True) > 0)) / 6),
            "the right score gets -1/N for *each* violation, not once.",
        )
    _require_gradient(dz, (violated - t * violated.sum(axis=1, keepdims=True)) / 6, 6, "Count the violations.")
    try:
        cnnlib.gradient_check(loss, z, t)
    except cnnlib.GradientError as error:
        raise WrongAnswer(str(error)) from error
    passed("Value and gradient agree with central differences.")
