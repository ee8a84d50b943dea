"""Checks for chapter 3, The dense layer."""

from collections.abc import Callable

import numpy as np

from cnnlib.data import load_digits
from cnnlib.exercises import NotYet, require, require_array, require_gradients, require_number, right
from cnnlib.layer import Layer


def parameters(count: int) -> None:
    """The dense layers 784 -> 120 -> 84 -> 10."""
    require(count != 784 * 120 + 120 * 84 + 84 * 10, "these are the weights; each output has a bias too.")
    require(count != 784 * 121 + 120 * 85 + 84 * 11, "there is one bias for each output, not for each input.")
    require(count != 785 * 120, "this is the first layer alone.")
    require_number(count, 785 * 120 + 121 * 84 + 85 * 10, "Each layer has D M + M parameters.")
    right(f"{count:,} parameters")


def by_hand(dW: np.ndarray, db: np.ndarray, dx: np.ndarray) -> None:
    """The gradients of a layer with two inputs and three outputs, for two examples."""
    x, W = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[1.0, 0.0, 2.0], [-1.0, 1.0, 0.0]])
    dy = np.array([[1.0, 0.0, -1.0], [2.0, 1.0, 0.0]])
    dW, db, dx = (np.asarray(array, dtype=float) for array in (dW, db, dx))
    require(dW.shape != (3, 2), "dW has the shape (3, 2), that of W transposed: the product is x^T dy, not dy^T x.")
    require(not np.array_equal(dW, x.T @ dy / 2), "dW is divided by N: the mean is in the loss, the layer only sums.")
    require(not np.array_equal(dW, x @ dy), "dW is x dy; it fits because N = D here, but x has to be transposed.")
    require_array(dW, x.T @ dy, "For dW: the sum over the examples of x_nd dy_nm.")
    require(db.shape != (2, 3), "db still has one row for each example: their sum is missing.")
    require(not np.array_equal(db, dy.mean(axis=0)), "db is the mean over the examples; the layer only sums.")
    require(db.shape != (2,), "db is summed over the outputs; it has one entry for each of the three biases.")
    require_array(db, dy.sum(axis=0), "For db: the sum over the examples of dy_nm.")
    require_array(dx, dy @ W.T, "For dx: the sum over the outputs of dy_nm W_dm.")
    right("All three gradients.")


def absorb(function: Callable) -> None:
    """The bias as one more row of weights."""
    rng = np.random.default_rng(1)
    x, W, b = rng.standard_normal((5, 4)), rng.standard_normal((4, 3)), rng.standard_normal(3)
    answer = function(x, W, b)
    require(isinstance(answer, tuple) and len(answer) == 2, "return x1 and W1, separated by a comma.")
    x1, W1 = answer
    require(np.shape(x1) == (5, 5), f"x1 has the shape {np.shape(x1)}, expected (5, 5): one more column.")
    require(np.shape(W1) == (5, 3), f"W1 has the shape {np.shape(W1)}, expected (5, 3): one more row.")
    if np.allclose(x1 @ W1, x @ W):
        raise NotYet("x1 @ W1 is x @ W, without the bias: is the new column of x one, and the new row of W the bias?")
    at_ends = {bool(np.allclose(x1[:, 0], 1)), bool(np.allclose(W1[0], b))}
    require(len(at_ends) == 1, "the ones stand at one end of x1, and the bias at the other end of W1.")
    require_array(x1 @ W1, x @ W + b, "Ones for x, the bias for W, at the same end.")
    right("x1 @ W1 is x @ W + b.")


def nearest_mean(W: np.ndarray, b: np.ndarray) -> None:
    """A dense layer whose largest score is at the nearest mean image."""
    digits = load_digits()
    train_x, test_x = (images.reshape(-1, 784) / 255 for images in (digits.train_images, digits.test_images))
    means = np.stack([train_x[digits.train_labels == m].mean(axis=0) for m in range(10)])
    nearest = ((test_x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    W, b = np.asarray(W, dtype=float), np.asarray(b, dtype=float)
    require(W.shape != (10, 784), "W has the shape (10, 784); a template is a column, so it must be (784, 10).")
    require(W.shape == (784, 10), f"W has the shape {W.shape}, expected (784, 10).")
    require(b.shape == (10,), f"b has the shape {b.shape}, expected (10,).")
    scores = test_x @ W + b
    require(
        not np.array_equal(scores.argmin(axis=1), nearest), "the nearest mean has the smallest score: turn the signs."
    )
    require(b.any(), "without a bias, the mean with most ink wins too often: |mu|^2 differs between the classes.")
    wrong = np.mean(scores.argmax(axis=1) != nearest)
    hint = "Is there a factor of 2 before the mean, and a minus before its square?"
    require(wrong == 0, f"for {wrong:.0%} of the test digits, another class than the nearest mean wins. {hint}")
    share = np.mean(nearest == digits.test_labels)
    right(f"{share:.0%} of the test digits are read rightly, without any training.")


def scale(layer_class: type[Layer]) -> None:
    """y = g x + b, with one factor and one shift for each feature."""
    rng = np.random.default_rng(2)
    layer, x = layer_class(4), rng.standard_normal((5, 4))
    require(set(layer.params) == {"g", "b"}, f'params is {layer.params}, expected ("g", "b").')
    require_array(layer.forward(x.copy()), x, "A new layer has g = 1 and b = 0, so it changes nothing.")
    layer.g, layer.b = rng.standard_normal(4), rng.standard_normal(4)
    require_array(layer.forward(x.copy()), layer.g * x + layer.b, "y_nd = g_d x_nd + b_d")
    require_gradients(layer, x)
    right("Forward and all three gradients.")


def low_rank(layer_class: type[Layer]) -> None:
    """y = x U V + b, with a small size between U and V."""
    rng = np.random.default_rng(4)
    layer, x = layer_class(6, 5, 2, rng), rng.standard_normal((7, 6))
    require(set(layer.params) == {"U", "V", "b"}, f'params is {layer.params}, expected ("U", "V", "b").')
    for name, shape in (("U", (6, 2)), ("V", (2, 5)), ("b", (5,))):
        array = getattr(layer, name)
        require(array.shape == shape, f"{name} has the shape {array.shape}, expected {shape} for 6 -> 5 of rank 2.")
    require(layer.U.any() and layer.V.any(), "U or V is all zeros: then neither gets a gradient it can use.")
    layer.b = rng.standard_normal(5)
    require_array(layer.forward(x), x @ layer.U @ layer.V + layer.b, "y = x U V + b")
    require_gradients(layer, x)
    right("Forward and all four gradients.")
