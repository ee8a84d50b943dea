"""Chapter 3, The dense layer: its figures, then the checks of its exercises."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np

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
from cnnlib.digits.datasets import load_digits
from cnnlib.layers import Layer
from cnnlib.plots import show_array


def draw_layer(W: np.ndarray) -> None:
    """Draw a layer of three inputs and two outputs: its lines, and its matrix W (3, 2); the second output is bold."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.6, 2.9), width_ratios=(3, 1.3))
    thin, bold = {"color": "0.6", "linewidth": 1.5, "linestyle": "--"}, {"color": "black", "linewidth": 3}
    for (d, m), weight in np.ndenumerate(W):
        left.plot([0, 2], [-d, -m - 0.5], zorder=1, **(bold if m == 1 else thin))
        place = (0.5, -d + (d - m - 0.5) / 4)
        left.text(*place, f"{weight:g}", backgroundcolor="white", ha="center", va="center", fontsize=9)
    circles = [(0, -d, f"$x_{d + 1}$") for d in range(3)] + [(2, -m - 0.5, f"$y_{m + 1}$") for m in range(2)]
    for across, up, name in circles:
        left.scatter(across, up, s=560, color="white", edgecolor="black", zorder=2)
        left.text(across, up, name, ha="center", va="center", zorder=3)
    left.set(xlim=(-0.3, 2.3), ylim=(-2.4, 0.4))
    left.axis("off")
    show_array(right, W, "$W$", highlight=[(d, 1) for d in range(3)])
    right.set_aspect("equal")


def draw_forward_product() -> None:
    """Draw y = x W as three grids, in which one row and one column meet in one entry."""
    figure, axis = plt.subplots(figsize=(3.6, 3.9))
    _draw_product(axis, ("$x$: $(N, D)$", "$W$: $(D, M)$", "$y$: $(N, M)$"), (5, 4, 3), (2, 1))


def draw_backward_products() -> None:
    """Draw dW = x^T dy and dx = dy W^T, each as three grids."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.8, 3.9))
    _draw_product(left, (r"$x^\top$: $(D, N)$", "$dy$: $(N, M)$", "$dW$: $(D, M)$"), (4, 5, 3), (1, 1))
    _draw_product(right, ("$dy$: $(N, M)$", r"$W^\top$: $(M, D)$", "$dx$: $(N, D)$"), (5, 3, 4), (2, 1))


def _draw_product(axis, titles: tuple[str, str, str], sizes: tuple[int, int, int], meet: tuple[int, int]) -> None:
    """Draw left @ right = result, with the right factor above the result, so that rows and columns meet."""
    rows, inner, columns = sizes
    places = [(0, 0, rows, inner), (inner + 1, -inner - 1, inner, columns), (inner + 1, 0, rows, columns)]
    for which, (title, (left, top, height, width)) in enumerate(zip(titles, places, strict=True)):
        for r, s in np.ndindex(height, width):
            lit = (r == meet[0] or which == 1) and (s == meet[1] or which == 0)
            color = "C5" if lit else "white"
            axis.add_patch(plt.Rectangle((left + s, top + r), 1, 1, facecolor=color, edgecolor="0.4"))
        axis.text(left + width / 2, top - 0.2, title, ha="center")
    axis.set(xlim=(-0.3, inner + columns + 1.3), ylim=(rows + 0.1, -inner - 1.9), aspect="equal")
    axis.axis("off")


def draw_ruler(w: np.ndarray, b: float, point: np.ndarray) -> None:
    """Draw where y = x · w + b has round values, thick where it is zero, the arrow w, and how far a point is away."""
    across, up = np.meshgrid(np.linspace(-2, 5, 71), np.linspace(-1.5, 3.5, 51))
    y = w[0] * across + w[1] * up + b
    figure, axis = plt.subplots(figsize=(5.4, 3.9))
    extent = (across.min(), across.max(), up.min(), up.max())
    axis.imshow(y, origin="lower", extent=extent, cmap="PuOr", vmin=-30, vmax=30, interpolation="bilinear")
    levels = [level for level in np.arange(-40, 41) * 2.5 if level and y.min() < level < y.max()]
    if levels:
        lines = axis.contour(across, up, y, levels=levels, colors="0.45", linewidths=1.3, linestyles="-")
        axis.clabel(lines, fmt=lambda level: f"{level:g}".replace("-", "−"), colors="black", fontsize=10)
    length = np.linalg.norm(w)
    distance = (point @ w + b) / length
    foot = point - distance * w / length
    along = np.array([-w[1], w[0]]) / length
    axis.plot(*np.transpose([foot - 20 * along, foot + 20 * along]), color="black", linewidth=3)
    axis.plot(*np.transpose([foot, point]), "o--", color="C2", zorder=3)
    label = f"{distance:.2g}".replace("-", "−")
    axis.annotate(label, (foot + point) / 2, (8, -12), textcoords="offset points", color="#006B4F", fontsize=13)
    start = foot + 1.6 * along if w[1] < 0 else foot - 1.6 * along
    axis.quiver(*start, *w, angles="xy", scale_units="xy", scale=1, color="C0", width=0.012, zorder=3)
    axis.annotate("$w$", start + w / 2, (6, -10), textcoords="offset points", color="C0", fontsize=15)
    title = f"|w| = {length:.2g}, y of the point {point @ w + b:.2g}".replace("-", "−")
    axis.set(xlim=extent[:2], ylim=extent[2:], xlabel="$x_1$", ylabel="$x_2$", title=title)
    axis.grid(False)


def draw_templates(W: np.ndarray) -> None:
    """Draw each of the ten columns of W (784, 10) as an image: purple where a weight is positive, orange where not."""
    figure, axes = plt.subplots(2, 5, figsize=(7.4, 3.2))
    limit = np.abs(W).max()
    for m, axis in enumerate(axes.flat):
        picture = axis.imshow(W[:, m].reshape(28, 28), cmap="PuOr", vmin=-limit, vmax=limit)
        axis.set_title(str(m), loc="center", pad=3)
        axis.axis("off")
    figure.colorbar(picture, ax=axes, label="weight", ticks=[-0.3, 0, 0.3], shrink=0.8)


def draw_votes(image: np.ndarray, W: np.ndarray, b: np.ndarray, digit: int) -> None:
    """Draw an image (28, 28), the template of a digit, their product at each pixel, and the scores of all digits."""
    template = W[:, digit].reshape(28, 28)
    votes = image * template
    limit = np.abs(template).max()
    scores = image.reshape(-1) @ W + b
    figure, axes = plt.subplots(1, 4, figsize=(8.4, 2.5), width_ratios=(1, 1, 1, 1.3))
    axes[0].imshow(image, cmap="gray_r", vmin=0, vmax=1)
    for axis, values in ((axes[1], template), (axes[2], votes)):
        axis.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit)
    titles = ("image", f"template of {digit}", f"votes: {votes.sum():.1f} in all")
    for axis, title in zip(axes, titles, strict=False):
        axis.set_title(title.replace("-", "−"), loc="center")
        axis.axis("off")
    winner = scores.argmax()
    edges = ["black" if m == winner else "none" for m in range(10)]
    colors = ["#542788" if score > 0 else "#E08214" for score in scores]
    axes[3].bar(range(10), scores, color=colors, edgecolor=edges, linewidth=2)
    axes[3].set(xticks=range(10), title=f"scores: read as {winner}")
    axes[3].grid(axis="x", visible=False)


# The checks of the exercises


def check_parameters(count: int) -> None:
    """The dense layers 784 -> 120 -> 84 -> 10."""
    count = as_number(count, "the count")
    for wrong, message in (
        (784 * 120 + 120 * 84 + 84 * 10, "these are the weights; each output has a bias too."),
        (784 * 121 + 120 * 85 + 84 * 11, "there is one bias for each output, not for each input."),
        (785 * 120, "this is the first layer alone."),
        (785 * 120 + 121 * 84, "the last layer is missing."),
        (785 * 120 + 120 * 84 + 84 * 10, "every layer has biases, not the first alone."),
        (120 + 84 + 10, "these are the biases; each output has weights, too."),
        (784 * 120 * 84 * 10, "the layers add up; they are not multiplied."),
    ):
        require(count != wrong, message)
    require_number(count, 785 * 120 + 121 * 84 + 85 * 10, "Each layer has D M + M parameters.", 1e-9)
    passed(f"{count:,.0f} parameters")


def check_by_hand(dW: np.ndarray, db: np.ndarray, dx: np.ndarray) -> None:
    """The gradients of a layer with two inputs and three outputs, for two examples."""
    x, W = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[1.0, 0.0, 2.0], [-1.0, 1.0, 0.0]])
    dy = np.array([[1.0, 0.0, -1.0], [2.0, 1.0, 0.0]])
    dW, db, dx = as_array(dW, "dW"), as_array(db, "db"), as_array(dx, "dx")
    require(dW.shape != (3, 2), "dW has the shape (3, 2), that of W transposed: the product is x^T dy, not dy^T x.")
    require(not np.array_equal(dW, x.T @ dy / 2), "dW is divided by N: the mean is in the loss, the layer only sums.")
    require(not np.array_equal(dW, x @ dy), "dW is x dy; it fits because N = D here, but x has to be transposed.")
    require_array(dW, x.T @ dy, "For dW: the sum over the examples of x_nd dy_nm.", tell=False)
    require(db.shape != (2, 3), "db still has one row for each example: their sum is missing.")
    require(db.shape != (2,), "db is summed over the outputs; it has one entry for each of the three biases.")
    db = as_array(db, "db", (3,))
    require(not np.array_equal(db, dy.mean(axis=0)), "db is the mean over the examples; the layer only sums.")
    require_array(db, dy.sum(axis=0), "For db: the sum over the examples of dy_nm.", tell=False)
    require(not np.array_equal(dx, (dy @ W.T).T), "this is dx transposed: its rows are the examples.")
    require_array(dx, dy @ W.T, "For dx: the sum over the outputs of dy_nm W_dm.", tell=False)
    passed("All three gradients.")


def check_absorb(function: Callable) -> None:
    """The bias as one more row of weights."""
    rng = np.random.default_rng(1)
    x, W, b = rng.standard_normal((5, 4)), rng.standard_normal((4, 3)), rng.standard_normal(3)
    given = x.copy(), W.copy(), b.copy()
    answer = run(function, *given)
    require(isinstance(answer, (tuple, list)) and len(answer) == 2, "return x1 and W1, separated by a comma.")
    require(np.array_equal(given[0], x) and np.array_equal(given[1], W), "x or W is changed; make new arrays.")
    x1, W1 = as_array(answer[0], "x1"), as_array(answer[1], "W1")
    require(x1.shape == (5, 5), f"x1 has the shape {x1.shape}, expected (5, 5): one more column.")
    require(W1.shape == (5, 3), f"W1 has the shape {W1.shape}, expected (5, 3): one more row.")
    if np.allclose(x1 @ W1, x @ W):
        raise WrongAnswer(
            "x1 @ W1 is x @ W, without the bias: is the new column of x one, and the new row of W the bias?"
        )
    at_ends = {bool(np.allclose(x1[:, 0], 1)), bool(np.allclose(W1[0], b))}
    require(len(at_ends) == 1, "the ones stand at one end of x1, and the bias at the other end of W1.")
    require_array(x1 @ W1, x @ W + b, "Ones for x, the bias for W, at the same end.")
    ones = x1[:, -1] if np.allclose(x1[:, :-1], x) else x1[:, 0]
    require(np.allclose(ones, 1), "the new input must be 1 for every example.")
    passed("x1 @ W1 is x @ W + b.")


def check_nearest_mean(W: np.ndarray, b: np.ndarray) -> None:
    """A dense layer whose largest score is at the nearest mean image."""
    digits = load_digits()
    train_x, test_x = (images.reshape(-1, 784) / 255 for images in (digits.train_images, digits.test_images))
    means = np.stack([train_x[digits.train_labels == m].mean(axis=0) for m in range(10)])
    nearest = ((test_x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    W, b = as_array(W, "W"), as_array(b, "b", (10,))
    require(W.shape != (10, 784), "W has the shape (10, 784); a template is a column, so it must be (784, 10).")
    require(W.shape == (784, 10), f"W has the shape {W.shape}, expected (784, 10).")
    require(np.isfinite(W).all() and np.isfinite(b).all(), "some numbers are not finite.")
    require(np.abs(W).max() < 100, "the weights are too large: are the images divided by 255?")
    scores = test_x @ W + b
    require(
        not np.array_equal(scores.argmin(axis=1), nearest), "the nearest mean has the smallest score: turn the signs."
    )
    require(b.any(), "without a bias, the mean with most ink wins too often: |mu|^2 differs between the classes.")
    wrong = np.mean(scores.argmax(axis=1) != nearest)
    hint = "Compare the factors and the signs of the two terms with those of your formula."
    require(wrong == 0, f"for {wrong:.0%} of the test digits, another class than the nearest mean wins. {hint}")
    share = np.mean(nearest == digits.test_labels)
    passed(f"{share:.0%} of the test digits are classified correctly, without any training.")


def check_scale(layer_class: type[Layer]) -> None:
    """y = g x + b, with one factor and one shift for each feature."""
    rng = np.random.default_rng(2)
    layer, x = make_layer(layer_class, 4), rng.standard_normal((5, 4))
    require(set(layer.params) == {"g", "b"}, f'params is {layer.params}, expected ("g", "b").')
    for name in ("g", "b"):
        shape = np.shape(getattr(layer, name, None))
        require(shape == (4,), f"{name} has the shape {shape}, expected (4,).")
    require_array(run(layer.forward, x.copy()), x, "A new layer has g = 1 and b = 0, so it changes nothing.")
    layer.g, layer.b = rng.standard_normal(4), rng.standard_normal(4)
    require_array(run(layer.forward, x.copy()), layer.g * x + layer.b, "y_nd = g_d x_nd + b_d")
    require_gradients(layer, x)
    passed("Forward and all three gradients.")


def check_low_rank(layer_class: type[Layer]) -> None:
    """y = x U V + b, with a small size between U and V."""
    rng = np.random.default_rng(4)
    layer, x = make_layer(layer_class, 6, 5, 2, rng), rng.standard_normal((7, 6))
    require(set(layer.params) == {"U", "V", "b"}, f'params is {layer.params}, expected ("U", "V", "b").')
    for name, shape in (("U", (6, 2)), ("V", (2, 5)), ("b", (5,))):
        has = np.shape(getattr(layer, name, None))
        require(has == shape, f"{name} has the shape {has}, expected {shape} for 6 -> 5 of rank 2.")
    zeros = "is all zeros: then the other factor gets no gradient at first."
    require(layer.U.any(), f"U {zeros}")
    require(layer.V.any(), f"V {zeros}")
    every = all(np.unique(array).size == array.size for array in (layer.U, layer.V))
    require(every, "U and V must be random, each number for itself.")
    seeded = [make_layer(layer_class, 6, 5, 2, np.random.default_rng(9)) for _ in range(2)]
    require(np.array_equal(seeded[0].U, seeded[1].U), "the same seed gives other weights: draw from the rng.")
    require(not np.any(layer.b), "b must start with zeros.")
    layer.b = rng.standard_normal(5)
    require_array(run(layer.forward, x), x @ layer.U @ layer.V + layer.b, "y = x U V + b")
    require_gradients(layer, x)
    passed("Forward and all four gradients.")
