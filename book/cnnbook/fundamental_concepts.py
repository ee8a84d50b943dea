"""Chapter 1, Fundamental concepts: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import as_array, as_number, passed, require, require_array, require_number, run

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


def draw_paths() -> None:
    """Draw all paths from a weight to the loss, for three examples, with the slope of each link."""
    figure, axis = plt.subplots(figsize=(4.8, 2.9))
    places = {"$w_d$": (0, 0), "$L$": (6, 0)}
    links = []
    for n, up in ((1, 1), (2, 0), (3, -1)):
        places |= {f"$z_{n}$": (2.2, up), f"$y_{n}$": (4.1, up)}
        links += [("$w_d$", f"$z_{n}$", f"$x_{{{n}d}}$"), (f"$z_{n}$", f"$y_{n}$", f"$\\sigma'(z_{n})$")]
        links += [(f"$y_{n}$", "$L$", "")]
    for start, end, slope in links:
        (x0, y0), (x1, y1) = places[start], places[end]
        arrow = {"arrowstyle": "->", "shrinkA": 16, "shrinkB": 16, "color": "0.35"}
        axis.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
        axis.text((x0 + x1) / 2, (y0 + y1) / 2 + 0.12, slope, ha="center", va="bottom", fontsize=11)
    for name, (across, up) in places.items():
        box = {"boxstyle": "round,pad=0.4", "fc": "#DCEBF5"}
        axis.text(across, up, name, bbox=box, ha="center", va="center")
    axis.set(xlim=(-0.5, 6.5), ylim=(-1.5, 1.6))
    axis.set_axis_off()


def draw_descent(x: np.ndarray, labels: np.ndarray, w: np.ndarray, b: float, losses: Sequence[float]) -> None:
    """Draw the loss after every step, and beside it the neuron that the last step has left."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), width_ratios=(2, 3))
    left.plot(np.arange(1, len(losses) + 1), losses)
    left.set(xlabel="step", title="Loss", ylim=(0, 0.55))
    draw_neuron(x, labels, w, b, right)


# The checks of the exercises


def check_forward(y: float) -> None:
    """A neuron with w = (0.5, -1), b = 0.25 and the input (1, 2)."""
    y = as_number(y, "y")
    for z, message in (
        (-1.5, "the bias is missing in z."),
        (1.25, "this is 1 / (1 + exp(z)); the exponent needs a minus."),
        (-0.25, "the first weight belongs to the first input, the second weight to the second."),
    ):
        require(not np.isclose(y, 1 / (1 + np.exp(-z)), atol=1e-3), message)
    require(not np.isclose(y, -1.25, atol=1e-3), "this is z; the sigmoid is still to come.")
    require_number(y, 1 / (1 + np.exp(1.25)), "First z = x1 w1 + x2 w2 + b, then 1 / (1 + exp(-z)).", 1e-3)
    passed(f"y = {y:.4f}")


def check_iterations(count: int) -> None:
    """12 epochs of 50,000 examples in batches of 128."""
    count = as_number(count, "the count")
    for wrong, message in (
        (12 * (50_000 // 128), "the last, smaller batch of each epoch counts too."),
        (-(-12 * 50_000 // 128), "round up within each epoch: a batch does not reach into the next one."),
        (12 * 50_000 / 128, "there is no fraction of an iteration: the last batch of an epoch is smaller."),
        (391, "that is one epoch."),
        (12 * 50_000, "an iteration uses a whole batch, not one example."),
    ):
        require(count != wrong, message)
    require_number(count, 12 * 391, "How many batches make an epoch? And how many epochs are there?")
    passed(f"{count:,.0f} updates")


def check_step(w: np.ndarray) -> None:
    """One step of gradient descent from w = (0.5, -1), with the rate 2."""
    w = as_array(w, "w", (2,))
    x, before = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    y = 1 / (1 + np.exp(-(x @ before + 0.25)))
    dz = 2 * (y - 1) * y * (1 - y)
    for wrong, message in (
        (before, "these are the weights before the step."),
        (dz * x, "this is the gradient; the step is still to come."),
        (before + 2 * dz * x, "you went uphill: the step is minus the gradient."),
        (
            before - dz * x,
            "that step is half as long: is the learning rate in it, and the 2 of the derivative of a square?",
        ),
        (before - 2 * dz / (y * (1 - y)) * x, "the slope of the sigmoid is missing, step 2."),
        (before - 2 * dz, "each weight has its own input in its slope, step 4."),
        (before - 2 * 2 * y * y * (1 - y) * x, "the target is missing: the error is y - t."),
    ):
        require(not np.allclose(w, wrong, atol=1e-3), message)
    hint = "dL/dz = 2 (y - t) y (1 - y), dL/dw = dL/dz * x, and then the step."
    require_array(w, before - 2 * dz * x, hint, 1e-3, tell=False)
    passed(f"w = {w.round(4)}")


def _pair(answer, names: str) -> tuple:
    """Return the two parts of an answer, or raise `WrongAnswer`."""
    is_pair = isinstance(answer, (tuple, list)) and len(answer) == 2
    require(is_pair, f"return {names}, separated by a comma.")
    return tuple(answer)


def check_tanh(gradients: Callable) -> None:
    """dw and db of the mean squared error of tanh(x w + b)."""
    rng = np.random.default_rng(11)
    x, w, b = rng.standard_normal((7, 3)), rng.standard_normal(3), 0.3
    t = rng.uniform(-1, 1, 7)
    dw, db = _pair(run(gradients, x.copy(), t.copy(), w.copy(), b), "dw and db")
    dw, db = as_array(dw, "dw", (3,)), as_number(db, "db")

    def loss(w, b):
        return np.mean((np.tanh(x @ w + b) - t) ** 2)

    h = 1e-5
    expected = np.array([(loss(w + h * e, b) - loss(w - h * e, b)) / (2 * h) for e in np.eye(3)])
    expected_db = (loss(w, b + h) - loss(w, b - h)) / (2 * h)
    y = np.tanh(x @ w + b)
    of_sigmoid = x.T @ (2 * (y - t) / 7 * y * (1 - y))
    for wrong, message in (
        (of_sigmoid, "y (1 - y) is the slope of the sigmoid; step 2 has to change."),
        (x.T @ (2 * (y - t) / 7), "the slope of tanh is missing, step 2."),
        (7 * expected, "the 1/N of the mean is missing."),
        (expected / 2, "the 2 from the derivative of the square is missing."),
        (expected / 7, "the 1/N of the mean is there twice."),
        (-expected, "the sign is wrong: the error is y - t."),
    ):
        require(not np.allclose(dw, wrong, rtol=1e-5), message)
    require_array(dw, expected, "Is every example's path summed, and 1/N there once?", 1e-5)
    require_number(db, expected_db, "db is the sum of dz over the examples.", 1e-5)
    passed("Both gradients agree with central differences.")


def _descend(x: np.ndarray, t: np.ndarray, batches: Sequence[np.ndarray], rate: float, fault: str = "") -> np.ndarray:
    """Return w and b after a step for each batch, with one of the usual faults or without."""
    w, b = np.zeros(x.shape[1]), 0.0
    for batch in batches:
        y = 1 / (1 + np.exp(-(x[batch] @ w + b)))
        scale = {"sum": 1, "all": 1 / len(x), "size": 1 / len(batches[0])}.get(fault, 1 / len(batch))
        dz = (1 if fault == "square" else 2) * (y - t[batch]) * scale
        dz = dz if fault == "slope" else dz * y * (1 - y)
        dz = -dz if fault == "uphill" else dz
        w, b = w - rate * x[batch].T @ dz, b - rate * (0 if fault == "bias" else dz.sum())
    return np.append(w, b)


FAULTS = {
    "sum": "the mean over the batch is missing: divide by the number of its examples.",
    "all": "the gradient of a batch is divided by the number of all examples; it has fewer.",
    "size": "the last batch is smaller, and the mean over it is that of fewer examples.",
    "square": "the 2 from the derivative of the square is missing.",
    "slope": "the slope of the sigmoid, y (1 - y), is missing.",
    "uphill": "the steps go uphill: subtract the gradient.",
    "bias": "the bias stays at 0: it needs steps, too.",
}


def check_batches(train: Callable) -> None:
    """Mini-batch gradient descent for one neuron, judged by what it leaves in w and b."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((90, 2))
    t = (x @ np.array([2.0, -1.0]) + 0.5 > 0).astype(float)

    def result(x, t, *settings, seed=0) -> np.ndarray:
        given = x.copy(), t.copy()
        w, b = _pair(run(train, *given, *settings, np.random.default_rng(seed)), "w and b")
        unchanged = np.array_equal(given[0], x) and np.array_equal(given[1], t)
        require(unchanged, "train has changed x or t: shuffle an array of indices instead.")
        return np.append(as_array(w, "w", x.shape[1:]), as_number(b, "b"))

    require(not result(x, t, 30, 0, 1.0).any(), "after 0 epochs w and b must be 0, where training starts.")
    # Where one batch holds all examples, and where all examples are equal, the order does not matter.
    equal = np.full((10, 1), 0.8), np.ones(10)
    small = [np.arange(start, min(start + 4, 10)) for start in (0, 4, 8)] * 2
    for name, (data, batches, settings) in {
        "10 equal examples in batches of 4.": (equal, small, (4, 2, 0.7)),
        "an epoch of one batch; does it hold every example once?": ((x, t), [np.arange(90)] * 3, (90, 3, 0.7)),
    }.items():
        answer = result(*data, *settings)
        right = _descend(*data, batches, 0.7)
        for fault, message in FAULTS.items():
            wrong = _descend(*data, batches, 0.7, fault)
            require(np.allclose(wrong, right) or not np.allclose(answer, wrong), message)
        if data is equal:
            for other, message in (
                ([np.arange(10)] * 2, "batch_size is ignored: a step must use so many examples, not all."),
                ([np.arange(1)] * 20, "batch_size is ignored: a step must use so many examples, not one."),
                ([np.arange(4)] * 4, "the last batch, which is smaller, is left out."),
            ):
                require(not np.allclose(answer, _descend(*data, other, 0.7)), message)
        require(np.allclose(answer, right, rtol=1e-5), f"w and b are not right after {name}")
    # Example n alone moves weight n, by less the later its turn comes: so the weights tell the order.
    apart = np.eye(12), np.ones(12)
    first = result(*apart, 1, 1, 1.0, seed=5)
    require(np.array_equal(first, result(*apart, 1, 1, 1.0, seed=5)), "the order must come from rng alone.")
    order = np.argsort(-first[:12])
    require(
        first[:12].all(), "not every example is used in an epoch: go through the order, do not draw with replacement."
    )
    hint = "each epoch must use each example exactly once: is one drawn twice?"
    require(np.allclose(first, _descend(*apart, order[:, None], 1.0), rtol=1e-5), hint)
    other = np.argsort(-result(*apart, 1, 1, 1.0, seed=6)[:12])
    turned = set(np.diff(order) % 12) == {1}  # 5, 6, ..., 11, 0, 1, ...: only the first one is drawn
    require(not np.array_equal(order, other) and not turned, "the order of the examples is not random.")
    second = result(*apart, 1, 2, 1.0, seed=5)
    for after, message in (
        (order, "both epochs use the same order: draw a new one for each."),
        (np.arange(12), "only the first epoch has a random order: draw a new one for each."),
    ):
        again = _descend(*apart, np.append(order, after)[:, None], 1.0)
        require(not np.allclose(second, again, atol=1e-12), message)
    # Examples of one batch move their weights alike, so equal weights tell the batches.
    _, batch, sizes = np.unique(result(*apart, 5, 1, 1.0)[:12].round(9), return_inverse=True, return_counts=True)
    require(sorted(sizes) == [2, 5, 5], f"12 examples in batches of 5 came as {sorted(map(int, sizes))}: 5, 5 and 2.")
    neighbours = all(np.ptp(np.flatnonzero(batch == k)) == size - 1 for k, size in enumerate(sizes))
    require(not neighbours, "each batch holds neighbours: shuffle the examples, not only the batches.")
    learned = result(x, t, 16, 300, 1.0)
    share = np.mean((x @ learned[:2] + learned[2] > 0) == (t == 1))
    require(share > 0.95, f"only {share:.0%} of the examples are right after 300 epochs.")
    passed(f"{share:.0%} of the examples are right, and every one is used.")
