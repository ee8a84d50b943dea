"""Appendix, The fused convolution: its figures, then the checks of its exercises."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnbook.checking import passed, require, require_array, require_number

ROW_COLORS = ("#56B4E9", "#E69F00", "#7CCFB6", "#DFA6C4")


def _cell(axis, row: float, column: float, text, color: str) -> None:
    """Draw one cell of a grid, with a text in it."""
    axis.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=color, edgecolor="black", linewidth=0.8))
    axis.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=10)


def _frame(axis, title: str, width: float, height: float, left: float = 0) -> None:
    """Leave nothing but the cells of a grid, with a title above."""
    axis.set(xlim=(left - 0.1, width + 0.1), ylim=(height + 0.1, -0.1), aspect="equal")
    axis.set_title(title, loc="center", fontsize=10)
    axis.axis("off")


def draw_wide_kernels(K: int) -> None:
    """Draw the pixels that two neighbouring outputs look at, and the kernel at their left and at their right end."""
    figure, axes = plt.subplots(1, 3, figsize=(5, 2.1))
    titles = ("two patches,\none piece", "kernel of the\nleft output", "kernel of the\nright output")
    for index, (axis, title) in enumerate(zip(axes, titles, strict=True)):
        for i, j in np.ndindex(K, K + 1):
            inside = index - 1 <= j < index - 1 + K
            if index == 0:
                _cell(axis, i, j, "$x$", "#D6E6F2")
            else:
                _cell(axis, i, j, "$W$" if inside else "0", "#F0E0B0" if inside else "white")
        _frame(axis, title, K + 1, K)
    for start, color, style, inset in ((0, "C0", "-", 0.08), (1, "C1", "--", 0.15)):
        look = {"fill": False, "linewidth": 3, "edgecolor": color, "linestyle": style}
        axes[0].add_patch(plt.Rectangle((start + inset, inset), K - 2 * inset, K - 2 * inset, **look))


def draw_strips(image: np.ndarray, K: int) -> None:
    """Draw an image, its strips one below the other, and which of them are the matrix of each row of outputs.

    Parameters
    ----------
    image : ndarray of shape (H, W)
    K : int
        The height of the kernel. The pieces are K + 1 wide and start at every second column.
    """
    H, width = image.shape
    starts = range(0, width - K, 2)
    w, wide, gap = len(starts), K + 1, 2
    ratios = [width, w + gap + 4 * (H - K + 1)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(5.2, 0.27 * H * wide + 0.4), width_ratios=ratios)
    for row, column in np.ndindex(image.shape):
        _cell(left, row, column, image[row, column], ROW_COLORS[row % 4])
    for number, start in enumerate(starts):
        inset = 0.08 + 0.07 * number
        look = {"fill": False, "linewidth": 2.5, "edgecolor": "black", "linestyle": ("-", "--", ":")[number % 3]}
        left.add_patch(plt.Rectangle((start + inset, inset), wide - 2 * inset, K - 2 * inset, **look))
    _frame(left, "image", width, H)
    for row, j, number in np.ndindex(H, wide, w):
        _cell(right, row * wide + j, number, image[row, starts[number] + j], ROW_COLORS[row % 4])
    for r in range(H - K + 1):
        across, ends = w + 0.6 + 4 * r, np.array([r * wide + 0.15, (r + K) * wide - 0.15])
        right.plot([across, across + 0.5, across + 0.5, across], ends[[0, 0, 1, 1]], color="black", linewidth=1.5)
        right.text(across + 0.9, ends.mean(), f"matrix of\noutput row {r}", va="center", fontsize=10)
    _frame(right, "strips", w + gap + 4 * (H - K + 1), H * wide)
    right.set_title("strips", loc="left", fontsize=10)
    right.set_title("", loc="center")


# The checks of the exercises


def check_fusing(costs: Callable) -> None:
    """Factors of multiplications and of copied numbers, fused against plain, if a piece serves `size` outputs."""
    for K, size in ((5, 2), (3, 2), (7, 3)):
        piece = K + size - 1
        answer, case = costs(K, size), f"For K={K}, size={size}: "
        require(np.shape(answer) == (2,), "return two numbers: multiplications, copied numbers.")
        products, copies = answer
        expected = piece / K, piece / (size * K**2)
        require(not np.isclose(products, (K + size) / K), f"the piece of K={K}, size={size} is {piece} wide.")
        require(not np.isclose(products, (piece / K) ** 2), "the kernel becomes wider only; it stays K rows high.")
        require(not np.isclose(copies, 1 / expected[1]), "the second factor is fused / plain as well: below 1 here.")
        require(not np.isclose(copies, piece / K**2), f"im2col copies K * K numbers for each of the {size} outputs.")
        require(
            not np.isclose(copies, piece / (size * K)),
            "a piece is one row high: no pixel is copied for each of K rows.",
        )
        require_number(products, expected[0], f"{case}a kernel of {K}x{piece} takes the place of one of {K}x{K}.")
        require_number(copies, expected[1], f"{case}one piece, for {size} patches before.")
    passed("A 3x3 kernel gains less: a third more multiplications, and 4 copies instead of 18.")


def check_counterexample(function: Callable) -> None:
    """An elementwise function that must not be moved behind max pooling."""
    z = np.linspace(-3, 3, 61)
    y = np.asarray(function(z))
    require(y.shape == z.shape, f"the function must work entry by entry; it made {y.shape} of {z.shape}.")
    require(np.isfinite(y).all(), "the function must be finite from -3 to 3.")
    require(np.allclose(y, [function(np.array([value]))[0] for value in z]), "each entry must depend on itself only.")
    falls = np.flatnonzero(np.diff(y) < 0)
    require(len(falls) > 0, "this function never falls, so that the largest input always has the largest output.")
    a, b = z[falls[0]], z[falls[0] + 1]
    passed(f"Of {a:.1f} and {b:.1f} the second is larger, but the function says the opposite.")


def check_average(merge: Callable) -> None:
    """Convolution and 2x2 average pooling as one convolution of stride 2."""
    rng = np.random.default_rng(4)
    for K in (1, 3, 4):
        layer = cnnlib.Convolutional(2, 3, K, rng=rng, dtype=np.float64)
        W = merge(layer.W.copy())
        shape = (3, 2, K + 1, K + 1)
        require(np.shape(W) == shape, f"for kernels of {K}x{K}, expected the shape {shape}, got {np.shape(W)}.")
        x = rng.standard_normal((2, 2, 9, 9))
        y = layer.forward(x)
        h = y.shape[2] // 2 * 2
        expected = (y[:, :, :h:2, :h:2] + y[:, :, 1:h:2, :h:2] + y[:, :, :h:2, 1:h:2] + y[:, :, 1:h:2, 1:h:2]) / 4
        merged = cnnlib.Convolutional(2, 3, K + 1, stride=2, dtype=np.float64)
        merged.W = np.asarray(W, dtype=float)
        answer = merged.forward(x)[:, :, : h // 2, : h // 2]
        require(not np.allclose(answer, 4 * expected), "this is the sum of the four; the mean is a quarter of it.")
        corner = np.zeros(shape)
        corner[:, :, :K, :K] = layer.W
        require(not np.allclose(W, corner), "that is the kernel in one corner; all four outputs count.")
        require_array(answer, expected, "Put W into each of the four places, and take the mean.")
    passed("A mean is linear, so that the four kernels themselves can be averaged. A maximum is not.")
