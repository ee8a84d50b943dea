"""Chapter 7, Max pooling: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import as_array, as_number, call, passed, require, require_array
from cnnlib.layers import loops
from cnnlib.plots import show_array


def show_maps(*maps: np.ndarray) -> None:
    """Show maps (H, W) side by side, each with its size above."""
    figure, axes = plt.subplots(1, len(maps), figsize=(2.5 * len(maps), 2.7))
    for axis, values in zip(axes, maps, strict=True):
        axis.imshow(values)
        axis.grid(False)
        axis.set_title(f"{values.shape[0]} × {values.shape[1]}", loc="center")


def draw_routing(x: np.ndarray, y: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> None:
    """Draw 2x2 windows that tile an image, forward (x, y) and backward (dy, dx), with the winners framed."""
    winners = [tuple(place) for place in np.argwhere(dx)]
    figure, axes = plt.subplots(1, 4, figsize=(8, 2.4), width_ratios=[4, 2, 2, 4])
    for axis, name, values in zip(axes, ("x", "y", "dy", "dx"), (x, y, dy, dx), strict=True):
        large = values.shape == x.shape
        show_array(axis, values, name, highlight=winners if large else ())
        if large:
            for edge in range(2, len(x), 2):
                axis.axhline(edge, color="black", linestyle="--", linewidth=1)
                axis.axvline(edge, color="black", linestyle="--", linewidth=1)


def draw_shift(digit: np.ndarray, still: np.ndarray, moved: np.ndarray, shift: int) -> None:
    """Draw a digit, its pooled map, the pooled map after the digit has moved, and what differs."""
    figure, axes = plt.subplots(1, 4, figsize=(8, 2.4))
    for axis, values, title in (
        (axes[0], digit, "the digit"),
        (axes[1], still, "pooled"),
        (axes[2], moved, f"moved by {shift}, pooled"),
    ):
        axis.imshow(values, vmin=0, vmax=1)
        axis.set_title(title, loc="center")
    axes[3].imshow(moved - still, cmap="PuOr", vmin=-1, vmax=1)
    axes[3].set_title("difference", loc="center")
    for axis in axes:
        axis.grid(False)
        axis.set(xticks=[], yticks=[])


def plot_changes(changes: dict[int, list[float]]) -> None:
    """Draw the change of the pooled map against the shift, one line for each size of the window."""
    figure, axis = plt.subplots()
    for (size, values), marker in zip(changes.items(), "os^Dv", strict=True):
        label = f"{size} × {size}" if size > 1 else "no pooling"
        axis.plot(range(len(values)), 100 * np.array(values), marker=marker, label=label)
    axis.set(xlabel="shift in pixels", xticks=range(len(values)), title="Change of the map (%)")
    axis.legend(title="window")


# The checks of the exercises


def check_forward(y: np.ndarray) -> None:
    """2x2 windows that tile ((1, 5, 2, 0), (3, 4, 8, 6), (7, 0, 1, 2), (2, 9, 3, 4))."""
    x = np.array([[1, 5, 2, 0], [3, 4, 8, 6], [7, 0, 1, 2], [2, 9, 3, 4]], dtype=float)
    y = as_array(y)
    require(y.shape != (3, 3), "this is stride 1; the windows tile here, so the stride is 2 and y is 2x2.")
    require(y.shape == (2, 2), f"expected a 2x2 array, got the shape {y.shape}.")
    mean = x.reshape(2, 2, 2, 2).mean(axis=(1, 3))
    require(not np.allclose(y, mean), "this is the mean of each window; take the largest value.")
    require_array(
        y, loops.max_pool(x[None, None], 2, 2)[0, 0], "Rows 0 and 1, columns 0 and 1 are the first window.", tell=False
    )
    passed("Sixteen numbers have become four.")


def check_sizes(heights: Sequence[int]) -> None:
    """The output heights for (H, size, stride) = (28, 2, 2), (13, 3, 2) and (10, 3, 3)."""
    cases = [(28, 2, 2), (13, 3, 2), (10, 3, 3)]
    heights = as_array(heights)
    require(heights.shape == (3,), f"expected {len(cases)} heights, got an array of shape {heights.shape}.")
    for answer, (height, size, stride) in zip(heights, cases, strict=True):
        case = f"H = {height}, size {size}, stride {stride}"
        exact = (height - size) / stride
        require(answer != int(exact), f"{case}: {answer:g} counts the steps between windows; the windows are one more.")
        require(
            exact == int(exact) or answer != int(exact) + 2,
            f"{case}: round down, since a window that sticks out of the image is left out.",
        )
        require(answer == int(exact) + 1, f"{case}: {answer:g} is not it. How many windows fit, from top to bottom?")
    passed("Whole windows only, so the division rounds down.")


def check_backward(dx: np.ndarray) -> None:
    """Back through 2x2 windows of stride 1 on ((1, 2, 5), (0, 4, 3), (6, 1, 2)), with dy = ((1, 2), (3, 4))."""
    dx = as_array(dx)
    require(dx.shape == (3, 3), f"dx has the shape of x, (3, 3); got {dx.shape}.")
    require(dx[1, 1] != 4, "the middle pixel wins two windows, and the second gradient overwrote the first: add them.")
    require(dx[1, 1] != 1, "the middle pixel wins two windows: the one at the bottom right counts too.")
    require(not np.array_equal(dx, [[0, 0, 5], [0, 4, 0], [6, 0, 0]]), "these are the winners; dx holds gradients.")
    x = np.array([[1, 2, 5], [0, 4, 3], [6, 1, 2]], dtype=float)
    expected = loops.max_pool_backward(x[None, None], np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), 2, 1)[0, 0]
    require_array(
        dx, expected, "Find the largest pixel of each of the four windows; it receives that window's dy.", tell=False
    )
    passed("The middle pixel wins two windows, and receives 1 + 4.")


def check_receptive_field(function: Callable) -> None:
    """The receptive field of a chain of (size, stride)."""
    chains = [
        [(3, 1)],
        [(5, 1), (2, 2)],
        [(3, 1)] * 3,
        [(5, 1), (2, 2), (5, 1), (2, 2)],
        [(4, 3), (3, 2), (3, 1), (2, 2)],
    ]
    for chain in chains:
        answer, field, early, plain, jump = as_number(call(function, chain)), 1, 1, 1, 1
        for size, stride in chain:
            plain += size - 1
            early += (size - 1) * jump * stride
            field += (size - 1) * jump
            jump *= stride
        require(
            answer == field or answer != plain,
            f"{chain}: {answer:g} ignores the strides; after a stride of 2, one step is two pixels of the input.",
        )
        require(
            answer == field or answer != early,
            f"{chain}: {answer:g} lets a layer's own stride widen its own window; it counts for the layers after it.",
        )
        require(answer == field, f"{chain}: {answer:g} is not it. By how many pixels does each layer widen the field?")
    passed("Five chains of layers, all correct.")


def check_mean_pooling(forward: Callable, backward: Callable) -> None:
    """Mean pooling with windows that tile: ``forward(x, size)`` and ``backward(dy, size)``."""
    rng = np.random.default_rng(7)
    for size, shape in ((2, (2, 3, 4, 6)), (3, (1, 2, 6, 9))):
        x = rng.standard_normal(shape)
        N, C, H, W = shape
        y = as_array(call(forward, x, size))
        expected = x.reshape(N, C, H // size, size, W // size, size).mean(axis=(3, 5))
        require(
            y.shape != expected.shape or not np.allclose(y, expected * size**2),
            f"y is {size**2} times too large: this is the sum of each window, not its mean.",
        )
        require_array(y, expected, "y is the mean of the size * size pixels of each window.")
        dy = rng.standard_normal(y.shape)
        dx = as_array(call(backward, dy, size))
        spread = dy.repeat(size, axis=2).repeat(size, axis=3)
        require(
            dx.shape != shape or not np.allclose(dx, spread),
            f"dx is {size**2} times too large: each pixel moves the mean by only 1/{size**2} of its own move.",
        )
        require_array(dx, spread / size**2, "every pixel of a window receives an equal share of its dy.")
    passed("Forward and backward agree with the definition.")


def check_shares(function: Callable) -> None:
    """Max pooling's backward pass that splits dy equally among tied pixels: ``function(x, dy, size, stride)``."""
    rng = np.random.default_rng(8)
    x = rng.permutation(126).reshape(1, 2, 7, 9).astype(float)
    dy = rng.standard_normal((1, 2, 3, 4))
    hint = "without ties, the shares must give what the library gives."
    require_array(call(function, x, dy, 3, 2), loops.max_pool_backward(x, dy, 3, 2), hint)
    flat, ones = np.zeros((1, 1, 4, 4)), np.ones((1, 1, 2, 2))
    dx = as_array(call(function, flat, ones, 2, 2))
    require(not np.allclose(dx, 1), "on a flat image, dx sums to four times dy: divide by the number of tied pixels.")
    first = loops.max_pool_backward(flat, ones, 2, 2)
    require(not np.allclose(dx, first), "on a flat image the first pixel took it all; share it among the tied ones.")
    require_array(dx, np.full_like(flat, 0.25), "four tied pixels take a quarter each.")
    x = rng.integers(-2, 1, (2, 3, 7, 6)).astype(float)
    dy = rng.standard_normal((2, 3, 5, 4))
    expected = np.zeros_like(x)
    for n, c, r, s in np.ndindex(dy.shape):
        window = x[n, c, r : r + 3, s : s + 3]
        winners = window == window.max()
        expected[n, c, r : r + 3, s : s + 3] += dy[n, c, r, s] * winners / winners.sum()
    require_array(call(function, x, dy, 3, 1), expected, "where windows overlap, the shares of all of them add up.")
    passed("Ties share, and the total is kept.")
