"""Checks for chapter 4, Activations: ReLU, Sigmoid, Softmax."""

import math

import numpy as np

from cnnlib.exercises import require, require_array, require_gradients, require_number, right
from cnnlib.layer import Layer


def by_hand(y: np.ndarray, row: np.ndarray) -> None:
    """The softmax of (0, ln 2, ln 5), and the first row of its Jacobian."""
    y, row = np.asarray(y, dtype=float), np.asarray(row, dtype=float)
    p = np.array([1, 2, 5]) / 8
    require(not np.allclose(y, [1, 2, 5]), "these are the exponentials; divide them by their sum.")
    require(not np.allclose(y, np.log([1, 2, 5]) / np.log(10)), "the scores themselves are divided; exp comes first.")
    require_array(y, p, "exp of the scores, divided by the sum of all three.", 1e-3)
    require(not np.allclose(row, p * (1 - p), atol=1e-3), "this is the diagonal, not the first row.")
    slopes = p[0] * (np.array([1, 0, 0]) - p)
    require(not np.allclose(row, np.abs(slopes), atol=1e-3), "the slope for another score is negative.")
    require_array(row, slopes, "y_1 (1 - y_1) for j = 1, -y_1 y_j for the others.", 1e-3)
    right("And the row sums to zero.")


def leaky_relu(layer_class: type[Layer]) -> None:
    """y = x for positive inputs, slope * x for the others."""
    x = np.array([[-2.0, -0.5, 0.25], [3.0, -1.0, 0.0]])
    layer = layer_class(slope=0.1)
    y = layer.forward(x)
    require(not np.array_equal(y, np.maximum(x, 0)), "this is a plain ReLU: negative inputs must give slope * x.")
    require_array(y, np.where(x > 0, x, 0.1 * x), "y = x where x > 0, slope * x elsewhere.")
    require_gradients(layer, np.random.default_rng(1).standard_normal((4, 5)))
    require_array(layer_class().forward(x), np.where(x > 0, x, 0.01 * x), "Without an argument, the slope is 0.01.")
    right("Its gradient is never zero, so it cannot die.")


def tanh(layer_class: type[Layer], largest_slope: float) -> None:
    """The hyperbolic tangent, from a sigmoid."""
    x = np.random.default_rng(2).standard_normal((4, 5))
    layer = layer_class()
    y = layer.forward(x)
    require(np.min(y) < 0, "tanh lies between -1 and 1, and these outputs are all positive: shift and stretch them.")
    require(not np.allclose(y, np.tanh(x / 2)), "this is tanh(x / 2): the input of the sigmoid must be doubled too.")
    require_array(y, np.tanh(x), "tanh(x) = 2 sigmoid(2 x) - 1")
    require_gradients(layer, x)
    require(largest_slope != 0.25, "1/4 is the largest slope of the sigmoid; two factors of 2 come in.")
    require_number(largest_slope, 1, "It is the slope at zero.")
    right("The largest slope is 1.")


def hat(W1: np.ndarray, b1: np.ndarray, W2: np.ndarray) -> None:
    """Three ReLUs that draw a hat from 0 up to 1 at x = 1 and down to 0 at x = 2."""
    W1, b1, W2 = (np.asarray(array, dtype=float) for array in (W1, b1, W2))
    for name, array, shape in (("W1", W1, (1, 3)), ("b1", b1, (3,)), ("W2", W2, (3, 1))):
        require(array.shape == shape, f"{name} has the shape {array.shape}, expected {shape}.")
    for x, expected, where in (
        (-1.0, 0, "left of the hat"),
        (0.5, 0.5, "on the way up"),
        (1.0, 1, "at the top"),
        (1.5, 0.5, "on the way down: the slope changes by -2 at the top"),
        (2.0, 0, "at the right end"),
        (4.0, 0, "right of the hat: one more corner has to stop the fall"),
    ):
        y = float((np.maximum(x * W1 + b1, 0) @ W2).item())
        require(abs(y - expected) < 1e-6, f"at x = {x:g} the network gives {y:g}, expected {expected:g} ({where}).")
    right("A hat.")


def log_softmax(layer_class: type[Layer]) -> None:
    """The logarithm of the softmax, without overflow."""
    x = np.random.default_rng(3).standard_normal((4, 5))
    layer = layer_class()
    y = layer.forward(x)
    expected = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    require(not np.allclose(y, x - np.log(np.exp(x).sum())), "the sum runs over the whole batch, not along each row.")
    require(not np.allclose(np.sum(y, axis=1), 1), "these are the probabilities; their logarithm is asked for.")
    require_array(y, expected, "y_i = x_i - log(sum of exp(x_k))")
    require_gradients(layer, x)
    with np.errstate(all="ignore"):
        far = layer.forward(np.array([[1000.0, 0.0], [-1000.0, -1000.0]]))
    hint = (
        "Subtract the largest score of each row first, and take no logarithm of a probability: it may be rounded to 0."
    )
    require(np.isfinite(far).all(), f"for the scores (1000, 0) and (-1000, -1000) it gives {far.tolist()}. {hint}")
    require_array(far, np.array([[0, -1000], [-np.log(2), -np.log(2)]]), "Subtract the largest score of each row.")
    right("Finite for any finite scores.")


def gelu(layer_class: type[Layer]) -> None:
    """x times the normal distribution function of x."""
    x = np.random.default_rng(4).standard_normal((4, 5))
    layer = layer_class()
    y = layer.forward(x)
    normal = np.array([[(1 + math.erf(value / math.sqrt(2))) / 2 for value in row] for row in x])
    approximation = x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    require(not np.allclose(y, normal), "this is the distribution function alone; multiply it by x.")
    require(
        np.allclose(y, x * normal) or not np.allclose(y, approximation),
        "this is the approximation by tanh, good to about three digits; the exact one uses erf.",
    )
    require_array(y, x * normal, "y = x (1 + erf(x / sqrt(2))) / 2")
    require_gradients(layer, x)
    right("Forward and backward.")
