"""Chapter 1, Fundamental concepts: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import passed, require, require_array, require_number

ZERO, ONE = "#B35806", "#542788"  # orange and purple, the ends of the scale that the answers are drawn in


def draw_examples(x: np.ndarray, labels: np.ndarray, axis=None) -> None:
    """Draw the two features (N, 2) of every example: a circle for a 0, a square for a 1."""
    axis = plt.subplots(figsize=(5.6, 3.2))[1] if axis is None else axis
    for digit, marker, color in ((0, "o", ZERO), (1, "s", ONE)):
        style = {"s": 20, "marker": marker, "color": color, "edgecolor": "white", "linewidth": 0.4}
        axis.scatter(*x[labels == digit].T, label=f"a {digit}", zorder=2, **style)
    axis.set(xlabel="ink in the centre", ylabel="width")
    axis.legend(loc="lower left")


def draw_neuron(x: np.ndarray, labels: np.ndarray, w: np.ndarray, b: float, axis=None) -> None:
    """Draw examples (N, 2) on top of what a neuron says at every place, from orange for 0 to purple for 1."""
    axis = plt.subplots(figsize=(5.6, 3.2))[1] if axis is None else axis
    across, up = np.meshgrid(np.linspace(0, 1.04, 105), np.linspace(0.17, 0.65, 97))
    z = w[0] * across + w[1] * up + b
    share = (1 + np.tanh(z / 2)) / 2  # the sigmoid
    extent = (across.min(), across.max(), up.min(), up.max())
    style = {"cmap": "PuOr", "vmin": 0, "vmax": 1, "alpha": 0.5, "aspect": "auto", "interpolation": "bilinear"}
    axis.imshow(share, origin="lower", extent=extent, **style)
    if z.min() < 0 < z.max():
        axis.contour(across, up, z, levels=[0], colors="black", linestyles="--", linewidths=2)
    draw_examples(x, labels, axis)
    y = (1 + np.tanh((x @ w + b) / 2)) / 2
    loss, right = np.mean((y - labels) ** 2), np.mean((y > 0.5) == (labels == 1))
    axis.set_title(f"loss {loss:.3f}, right {right:.0%}")
    axis.grid(False)


def draw_descent(x: np.ndarray, labels: np.ndarray, w: np.ndarray, b: float, losses: Sequence[float]) -> None:
    """Draw the loss after every step, and beside it the neuron that the last step has left."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), width_ratios=(2, 3))
    left.plot(np.arange(1, len(losses) + 1), losses)
    left.set(xlabel="step", title="Loss", ylim=(0, 0.55))
    draw_neuron(x, labels, w, b, right)


# The checks of the exercises


def check_forward(y: float) -> None:
    """A neuron with w = (0.5, -1), b = 0.25 and the input (1, 2)."""
    require(not np.isclose(y, -1.25), "this is z; the sigmoid is still to come.")
    require_number(y, 1 / (1 + np.exp(1.25)), "First z = x1 w1 + x2 w2 + b, then 1 / (1 + exp(-z)).", 1e-3)
    passed(f"y = {y:.4f}")


def check_iterations(count: int) -> None:
    """12 epochs of 50,000 examples in batches of 128."""
    require(count != 12 * (50_000 // 128), "the last, smaller batch of each epoch counts too.")
    require(count != -(-12 * 50_000 // 128), "round up within each epoch: a batch does not reach into the next one.")
    require_number(count, 12 * 391, "An epoch has 50,000 / 128 iterations, rounded up.")
    passed(f"{count:,} updates")


def check_step(w: np.ndarray) -> None:
    """One step of gradient descent from w = (0.5, -1), with the rate 2."""
    x, before = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    y = 1 / (1 + np.exp(-(x @ before + 0.25)))
    change = 2 * 2 * (y - 1) * y * (1 - y) * x
    w = np.asarray(w, dtype=float)
    require(w.shape == (2,), f"expected two weights, got an array of shape {w.shape}.")
    require(not np.allclose(w, before + change, atol=1e-3), "you went uphill: the step is minus the gradient.")
    require_array(w, before - change, "dL/dz = 2 (y - t) y (1 - y); dL/dw = dL/dz * x.", 1e-3)
    passed(f"w = {w.round(4)}")


def check_tanh(gradients: Callable) -> None:
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
    passed("Both gradients agree with central differences.")


def check_batches(train: Callable) -> None:
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
    passed(f"{share:.0%} of the examples are right, and every one is used.")
