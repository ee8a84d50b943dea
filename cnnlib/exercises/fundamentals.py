"""Checks for chapter 1, Fundamental concepts."""

from collections.abc import Callable

import numpy as np

from cnnlib.exercises import require, require_array, require_number, right


def forward(y: float) -> None:
    """A neuron with w = (0.5, -1), b = 0.25 and the input (1, 2)."""
    require(not np.isclose(y, -1.25), "this is z; the sigmoid is still to come.")
    require_number(y, 1 / (1 + np.exp(1.25)), "First z = x1 w1 + x2 w2 + b, then 1 / (1 + exp(-z)).", 1e-3)
    right(f"y = {y:.4f}")


def iterations(count: int) -> None:
    """12 epochs of 50,000 examples in batches of 128."""
    require(count != 12 * (50_000 // 128), "the last, smaller batch of each epoch counts too.")
    require(count != -(-12 * 50_000 // 128), "round up within each epoch: a batch does not reach into the next one.")
    require_number(count, 12 * 391, "An epoch has 50,000 / 128 iterations, rounded up.")
    right(f"{count:,} updates")


def step(w: np.ndarray) -> None:
    """One step of gradient descent from w = (0.5, -1), with the rate 2."""
    x, before = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    y = 1 / (1 + np.exp(-(x @ before + 0.25)))
    change = 2 * 2 * (y - 1) * y * (1 - y) * x
    w = np.asarray(w, dtype=float)
    require(w.shape == (2,), f"expected two weights, got an array of shape {w.shape}.")
    require(not np.allclose(w, before + change, atol=1e-3), "you went uphill: the step is minus the gradient.")
    require_array(w, before - change, "dL/dz = 2 (y - t) y (1 - y); dL/dw = dL/dz * x.", 1e-3)
    right(f"w = {w.round(4)}")


def tanh(gradients: Callable) -> None:
    """dw and db of the mean squared error of tanh(x w + b)."""
    rng = np.random.default_rng(11)
    x, w, b = rng.standard_normal((7, 3)), rng.standard_normal(3), 0.3
    t = rng.uniform(-1, 1, 7)
    answer = gradients(x, t, w, b)
    require(isinstance(answer, tuple) and len(answer) == 2, "return dw and db, separated by a comma.")
    dw, db = answer

    def loss(w, b):
        return np.mean((np.tanh(x @ w + b) - t) ** 2)

    h = 1e-5
    expected = np.array([(loss(w + h * e, b) - loss(w - h * e, b)) / (2 * h) for e in np.eye(3)])
    y = np.tanh(x @ w + b)
    of_sigmoid = x.T @ (2 * (y - t) / 7 * y * (1 - y))
    require(not np.allclose(dw, of_sigmoid), "y (1 - y) is the slope of the sigmoid; step 2 has to change.")
    require_array(np.asarray(dw), expected, "Is every example's path summed, and 1/N there once?", 1e-7)
    require_number(db, (loss(w, b + h) - loss(w, b - h)) / (2 * h), "db is the sum of dz over the examples.", 1e-7)
    right("Both gradients agree with central differences.")


def batches(train: Callable) -> None:
    """Mini-batch gradient descent for one neuron."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((90, 2))
    t = (x @ np.array([2.0, -1.0]) + 0.5 > 0).astype(float)
    answer = train(x, t, 16, 300, 1.0, np.random.default_rng(0))
    require(isinstance(answer, tuple) and len(answer) == 2, "return w and b, separated by a comma.")
    w, b = answer
    share = np.mean((np.asarray(x @ w + b) > 0) == (t == 1))
    require(share > 0.95, f"only {share:.0%} of the examples are right after 300 epochs.")
    # The only example that moves the weight must be seen, wherever it stands and wherever the order puts it.
    for place in range(33):
        lonely = np.zeros((33, 1))
        lonely[place] = 5
        w, _ = train(lonely, np.ones(33), 16, 1, 1.0, np.random.default_rng(0))
        require(float(w[0]) != 0, f"example {place} of 33 was never used, in batches of 16: the last batch is smaller.")
    again = train(x, t, 16, 3, 1.0, np.random.default_rng(5)), train(x, t, 16, 3, 1.0, np.random.default_rng(6))
    require(not np.allclose(again[0][0], again[1][0], atol=1e-12), "the order of the examples is not random.")
    right(f"{share:.0%} of the examples are right, and every one is used.")
