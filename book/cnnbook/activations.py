"""Chapter 4, Activations: ReLU, Sigmoid, Softmax: its figures, then the checks of its exercises."""

import math
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnbook.checking import (
    WrongAnswer,
    as_array,
    as_number,
    make_layer,
    passed,
    require,
    require_array,
    require_gradients,
    require_number,
    run,
)
from cnnlib.layers import Layer


def draw_activations() -> None:
    """Draw ReLU, the sigmoid, and one of three softmax outputs against its own score, each with its slope."""
    x = np.linspace(-6, 6, 241)
    sigmoid = cnnlib.Sigmoid().forward(x[:, None])[:, 0]
    share = cnnlib.Softmax().forward(np.stack([x, 0 * x, 0 * x], axis=1))[:, 0]
    panels = [
        ("ReLU", "$x$", np.maximum(x, 0), np.where(x == 0, np.nan, x > 0)),
        ("Sigmoid", "$x$", sigmoid, sigmoid * (1 - sigmoid)),
        ("Softmax: $y_1$, if $x_2 = x_3 = 0$", "$x_1$", share, share * (1 - share)),
    ]
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.9))
    for axis, (title, name, value, slope) in zip(axes, panels, strict=True):
        axis.plot(x, value, label="value")
        axis.plot(x, slope, "--", label="slope")
        axis.set(title=title, xlabel=name, xticks=[-5, 0, 5])
    axes[0].set_ylim(-0.1, 2)
    axes[0].legend()


def draw_bends(x: np.ndarray, target: np.ndarray, bend: np.ndarray, slope: np.ndarray) -> None:
    """Draw a target over x, (N,), and the sum of ReLUs with these bends and slopes, (K,), each dotted."""
    first, last = cnnlib.Dense(1, len(bend)), cnnlib.Dense(len(bend), 1)
    first.W[:], first.b[:], last.W[:, 0] = 1, np.negative(bend), slope
    units = cnnlib.ReLU().forward(first.forward(x[:, None])) * slope
    figure, axis = plt.subplots(figsize=(5.4, 3.4))
    axis.plot(x, units, ":", color="C2", linewidth=1)
    axis.plot(x, target, "--", color="C1", label="target")
    axis.plot(x, units.sum(axis=1), color="C0", linewidth=2.5, label="sum of the units")
    axis.plot(bend, np.zeros(len(bend)), "o", color="C2", markerfacecolor="white", label="bends")
    axis.set(xlabel="$x$", title="Four ReLUs, and their sum", ylim=(-2.5, 2.5))
    axis.legend(loc="lower left")


def draw_slope(x: np.ndarray, slope: np.ndarray) -> None:
    """Draw the slope of the sigmoid on a logarithmic scale, and shade where it is below 0.01."""
    figure, axis = plt.subplots(figsize=(5.4, 2.9))
    axis.plot(x, slope)
    axis.fill_between(x, 1e-5, 1, where=slope < 0.01, color="0.9", label="slope below 0.01")
    axis.set(yscale="log", ylim=(2e-5, 1), xlabel="$x$", title="Slope of the sigmoid")
    axis.legend(loc="lower center")


def draw_gradient_sizes(sizes: dict[str, list[float]]) -> None:
    """Draw the size of the gradient of each layer's weights, from the first layer to the last, for two networks."""
    figure, axis = plt.subplots()
    for (name, size), marker, style in zip(sizes.items(), "os", ("-", "--"), strict=True):
        axis.plot(range(1, len(size) + 1), size, marker=marker, linestyle=style, label=name)
    smallest = min(map(min, sizes.values()))
    axis.set(yscale="log", ylabel="typical size of dW", title="What is left of the gradient")
    axis.set(xlabel="layer (the last gives the scores)")
    axis.set(ylim=(min(1e-9, smallest / 3), 1), xticks=range(1, len(size) + 1))
    axis.legend(loc="lower right")


def draw_probabilities(panels: dict[str, np.ndarray]) -> None:
    """Draw the probabilities of the classes as bars, a panel for each title."""
    figure, axes = plt.subplots(1, len(panels), figsize=(2.67 * len(panels), 2.5), sharey=True, squeeze=False)
    for axis, (title, p) in zip(axes[0], panels.items(), strict=True):
        bars = axis.bar(range(1, len(p) + 1), p)
        axis.bar_label(bars, fmt="%.2f")
        axis.set(title=title, xlabel="class", xticks=range(1, len(p) + 1), ylim=(0, 1.15))


# The checks of the exercises


def check_by_hand(y: np.ndarray, row: np.ndarray) -> None:
    """The softmax of (0, ln 2, ln 5), and the first row of its Jacobian."""
    y, row = as_array(y, "y", (3,)), as_array(row, "row", (3,))
    p = np.array([1, 2, 5]) / 8
    require(not np.allclose(y, [1, 2, 5]), "these are the exponentials; divide them by their sum.")
    require(not np.allclose(y, np.log([1, 2, 5]) / np.log(10)), "the scores themselves are divided; exp comes first.")
    decimal = np.exp(np.log10([1, 2, 5]))
    require(not np.allclose(y, decimal / decimal.sum(), atol=1e-3), "log is the natural logarithm here.")
    require(abs(y.sum() - 1) < 5e-3, "probabilities have the sum 1.")
    require_array(y, p, "exp of the scores, divided by the sum of all three.", 1e-3, tell=False)
    slopes = p[0] * (np.array([1, 0, 0]) - p)
    for wrong, message in (
        (p * (1 - p), "this is the diagonal, not the first row."),
        (np.abs(slopes), "the slope for another score is negative."),
        (-slopes, "the signs are reversed: a higher score raises its own probability."),
        (-p[0] * p, "the slope for the own score has another formula."),
        (p[2] * (np.array([0, 0, 1]) - p), "this is the last row."),
    ):
        require(not np.allclose(row, wrong, atol=1e-3), message)
    require_array(row, slopes, "Use the formula for the own score once, and for another score twice.", 1e-3, tell=False)
    passed("And the row sums to zero.")


def check_leaky_relu(layer_class: type[Layer]) -> None:
    """y = x for positive inputs, slope * x for the others."""
    x = np.array([[-2.0, -0.5, 0.25], [3.0, -1.0, 0.0]])
    layer = make_layer(layer_class, slope=0.1)
    y = as_array(run(layer.forward, x.copy()), "y")
    for wrong, message in (
        (np.maximum(x, 0), "this is a plain ReLU: negative inputs must give slope * x."),
        (np.where(x > 0, x, -0.1 * x), "negative inputs must give negative outputs."),
        (np.where(x > 0, x, 0.1), "negative inputs must give slope * x, not the slope."),
        (np.where(x > 0, x, 0.01 * x), "the slope is always 0.01: use the argument."),
        (np.maximum(x, 0) + 0.1 * x, "positive inputs must stay as they are."),
    ):
        require(not np.array_equal(y, wrong), message)
    require_array(y, np.where(x > 0, x, 0.1 * x), "y = x where x > 0, slope * x elsewhere.")
    require_gradients(layer, np.random.default_rng(1).standard_normal((4, 5)))
    default = run(make_layer(layer_class).forward, x)
    require_array(default, np.where(x > 0, x, 0.01 * x), "Without an argument, the slope is 0.01.")
    passed("Its gradient is never zero, so it cannot die.")


def check_tanh(layer_class: type[Layer], largest_slope: float) -> None:
    """The hyperbolic tangent, from a sigmoid."""
    x = np.random.default_rng(2).standard_normal((4, 5))
    used = set()

    def spied(name: str):
        original = getattr(cnnlib.Sigmoid, name)

        def method(self, array):
            used.add(name)
            return original(self, array)

        return patch.object(cnnlib.Sigmoid, name, method)

    def forbidden(*arguments, **named):
        raise WrongAnswer("it calls np.tanh: build it from the sigmoid instead.")

    with spied("forward"), spied("backward"), patch.object(np, "tanh", forbidden):
        layer = make_layer(layer_class)
        y = as_array(run(layer.forward, x.copy()), "y")
        run(layer.backward, np.ones_like(x))
    require(np.min(y) < 0, "tanh lies between -1 and 1, and these outputs are all positive: shift and stretch them.")
    require(not np.allclose(y, np.tanh(x / 2)), "this is tanh(x / 2): the input of the sigmoid must be doubled too.")
    require_array(y, np.tanh(x), "tanh(x) = 2 sigmoid(2 x) - 1")
    through = "use both passes of a cnnlib.Sigmoid that the layer holds, and what they return."
    require(used == {"forward", "backward"}, through)
    for name, arguments in (("forward", (x,)), ("backward", (np.ones_like(x),))):
        original = getattr(cnnlib.Sigmoid, name)
        before = as_array(run(getattr(layer, name), *arguments))
        with patch.object(cnnlib.Sigmoid, name, lambda self, array, original=original: original(self, array) / 2):
            after = as_array(run(getattr(layer, name), *arguments))
        require(not np.allclose(before, after), through)
    require_gradients(layer, x)
    largest_slope = as_number(largest_slope, "the largest slope")
    require(largest_slope != 0.25, "1/4 is the largest slope of the sigmoid; two factors of 2 come in.")
    require(largest_slope not in (0.5, 2), "there are two factors of 2, one before and one after the sigmoid.")
    require_number(largest_slope, 1, "It is the slope at zero.")
    passed("The largest slope is 1.")


def check_hat(W1: np.ndarray, b1: np.ndarray, W2: np.ndarray) -> None:
    """Three ReLUs that draw a hat from 0 up to 1 at x = 1 and down to 0 at x = 2."""
    W1, b1, W2 = as_array(W1, "W1", (1, 3)), as_array(b1, "b1", (3,)), as_array(W2, "W2", (3, 1))
    x = np.linspace(-6, 10, 161)[:, np.newaxis]
    y = (np.maximum(x * W1 + b1, 0) @ W2)[:, 0]
    for left, right, hat, where in (
        (-6, 0, 0 * x, "left of the hat"),
        (0, 1, x, "on the way up"),
        (1, 2, 2 - x, "on the way down"),
        (2, 10, 0 * x, "right of the hat, where it must stay flat"),
    ):
        inside = (x[:, 0] >= left - 1e-9) & (x[:, 0] <= right + 1e-9)
        wrong = np.flatnonzero(inside & ~(np.abs(y - hat[:, 0]) < 1e-3))
        require(not len(wrong), f"it is not right {where}: at x = {x[wrong[:1], 0]} it is {y[wrong[:1]]}.")
    passed("A hat.")


def check_log_softmax(layer_class: type[Layer]) -> None:
    """The logarithm of the softmax, without overflow."""
    x = np.random.default_rng(3).standard_normal((4, 5))
    layer = make_layer(layer_class)
    y = as_array(run(layer.forward, x.copy()), "y")
    expected = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    require(not np.allclose(y, x - np.log(np.exp(x).sum())), "the sum runs over the whole batch, not along each row.")
    require(not np.allclose(y, -expected), "the sign is reversed: a logarithm of a probability is negative.")
    require(y.ndim != 2 or not np.allclose(y.sum(axis=1), 1), "these are the probabilities; take their logarithm.")
    require_array(y, expected, "y_i = x_i - log(sum of exp(x_k))")
    require_gradients(layer, x)
    scores = np.array([[1000.0, 0.0], [-1000.0, -1000.0]])
    far = as_array(run(layer.forward, scores.copy()), "y")
    hint = (
        "Subtract the largest score of each row first, and take no logarithm of a probability: it may be rounded to 0."
    )
    require(np.isfinite(far).all(), f"for the scores (1000, 0) and (-1000, -1000) it gives {far.tolist()}. {hint}")
    require_array(far, np.array([[0, -1000], [-np.log(2), -np.log(2)]]), "Subtract the largest score of each row.")
    dx = as_array(run(layer.backward, np.array([[1.0, 2.0], [1.0, 2.0]])), "dx")
    where = "for the scores (1000, 0) and (-1000, -1000)"
    finite = np.isfinite(dx).all() and np.allclose(dx, [[-2, 2], [-0.5, 0.5]])
    require(finite, f"backward overflows {where}: take the probabilities from y, not from exp of the scores.")
    passed("Finite for any finite scores.")


def check_gelu(layer_class: type[Layer]) -> None:
    """x times the normal distribution function of x."""
    x = np.random.default_rng(4).standard_normal((4, 5))
    layer = make_layer(layer_class)
    y = as_array(run(layer.forward, x.copy()), "y")
    normal = np.array([[(1 + math.erf(value / math.sqrt(2))) / 2 for value in row] for row in x])
    no_root = np.array([[(1 + math.erf(value)) / 2 for value in row] for row in x])
    approximation = x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    for wrong, message in (
        (normal, "this is the distribution function alone; multiply it by x."),
        (x * no_root, "the argument of erf is divided by the square root of 2."),
        (2 * x * normal, "the factor 1/2 is missing."),
        (x / (1 + np.exp(-1.702 * x)), "this is the approximation by a sigmoid; the exact one uses erf."),
        (x / (1 + np.exp(-x)), "this is SiLU, with the sigmoid; use erf."),
    ):
        require(not np.allclose(y, wrong), message)
    require(
        np.allclose(y, x * normal) or not np.allclose(y, approximation),
        "this is the approximation by tanh, good to about three digits; the exact one uses erf.",
    )
    require_array(y, x * normal, "y = x (1 + erf(x / sqrt(2))) / 2")
    require_gradients(layer, x)
    passed("Forward and backward.")
