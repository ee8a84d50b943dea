"""Drawings of chapter 6, Convolution, backward."""

import matplotlib.pyplot as plt
import numpy as np

from cnnlib.plots import show_array


def draw_paths() -> None:
    """Draw five inputs, three outputs and a kernel of size 3; all paths of one weight, and all paths of one input."""
    figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.4))
    for axis, title in zip(axes, ("all paths of $W_0$", "all paths of $x_2$"), strict=True):
        for r, i in np.ndindex(3, 3):
            on = i == 0 if axis is axes[0] else r + i == 2
            color, width = (f"C{i}", 3) if on else ("#BBBBBB", 1)
            axis.plot([r + i, r + 1], [0, 1], color=color, linewidth=width, zorder=on + 1)
            if on:
                box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
                where = (r + 0.4 * i + 0.6, 0.6)
                axis.text(*where, f"$W_{i}$", ha="center", va="center", color=color, bbox=box, zorder=3)
        for count, offset, height, name in ((5, 0, 0, "x"), (3, 1, 1, "y")):
            for index in range(count):
                box = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": "black"}
                where = (index + offset, height)
                axis.text(*where, f"${name}_{index}$", ha="center", va="center", bbox=box, zorder=4)
        axis.set(xlim=(-0.4, 4.4), ylim=(-0.25, 1.25), title=title)
        axis.axis("off")


def draw_flow(dy: np.ndarray, kernel: np.ndarray, dx: np.ndarray, padding: int) -> None:
    """Draw an upstream gradient with a single 1, the kernel, and the gradient of the padded image.

    A thick frame is around the 1, and a dashed one around the pixels that are left when the margins are cropped.
    """
    sizes = [len(dy), len(kernel), len(dx)]
    figure, axes = plt.subplots(1, 3, figsize=(7, 3.2), width_ratios=sizes)
    show_array(axes[0], dy, "$dy$", list(zip(*np.nonzero(dy), strict=True)))
    show_array(axes[1], kernel, "$W$")
    show_array(axes[2], dx, r"$d\tilde{x}$")
    inside = len(dx) - 2 * padding
    look = {"fill": False, "linewidth": 2, "linestyle": "--", "edgecolor": "black", "clip_on": False, "zorder": 3}
    axes[2].add_patch(plt.Rectangle((padding, padding), inside, inside, **look))


def draw_matrices(im2col: np.ndarray, col2im: np.ndarray) -> None:
    """Draw the matrices of im2col and of col2im; their ones are purple."""
    figure, axes = plt.subplots(1, 2, figsize=(6.8, 4.1), width_ratios=[9, 16])
    panels = (("im2col", im2col, "entry of cols", "pixel"), ("col2im", col2im, "pixel", "entry of cols"))
    for axis, (title, matrix, down, across) in zip(axes, panels, strict=True):
        axis.imshow(matrix, cmap="PuOr", vmin=-1.2, vmax=1.2)
        axis.set(title=title, ylabel=down, xlabel=across)
        axis.set_xticks(np.arange(matrix.shape[1]) - 0.5, [])
        axis.set_yticks(np.arange(matrix.shape[0]) - 0.5, [])
