"""Drawings of chapter 5, Convolution, forward."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

LEFT_OVER = "#E69F00"  # hatched, too


def draw_images(images: dict[str, np.ndarray]) -> None:
    """Draw grey images side by side, each with its title."""
    figure, axes = plt.subplots(1, len(images), figsize=(2 * len(images), 2.2))
    for axis, (title, values) in zip(axes, images.items(), strict=True):
        axis.imshow(values)
        axis.set_title(title, loc="center")
        axis.axis("off")


def draw_maps(maps: dict[str, np.ndarray], limit: float | None = None, image: np.ndarray | None = None) -> None:
    """Draw feature maps side by side, purple where positive and orange where negative; a grey image before them."""
    first = {} if image is None else {"digit": image}
    figure, axes = plt.subplots(1, len(first) + len(maps), figsize=(2 * (len(first) + len(maps)), 2.3))
    for axis, (title, values) in zip(axes, (first | maps).items(), strict=True):
        if title in first:
            axis.imshow(values)
        else:
            largest = limit or abs(values).max()
            axis.imshow(values, cmap="PuOr", vmin=-largest, vmax=largest)
        axis.set_title(title, loc="center", fontsize=10)
        axis.axis("off")


def draw_output_sizes(cases: Sequence[tuple[int, int]], K: int = 3, stride: int = 2) -> None:
    """Draw a row of H pixels for each case (H, padding), where a kernel fits below it, and what is left over."""
    figure, axes = plt.subplots(len(cases), 1, figsize=(6.4, 1.4 * len(cases)))
    for axis, (H, padding) in zip(axes, cases, strict=True):
        total = H + 2 * padding
        h = (total - K) // stride + 1
        seen = (h - 1) * stride + K
        for cell in range(total):
            zero = not padding <= cell < total - padding
            color = LEFT_OVER if cell >= seen else "white" if zero else "#D6E6F2"
            look = {"facecolor": color, "edgecolor": "black", "hatch": "//" if cell >= seen else ""}
            axis.add_patch(plt.Rectangle((cell, 0), 1, 1, **look))
            name = "0" if zero else f"$x_{cell - padding}$"
            text = axis.text(cell + 0.5, 0.5, name, ha="center", va="center")
            text.set_bbox({"facecolor": color, "edgecolor": "none", "pad": 1.5})
        for r in range(h):
            ends = [stride * r + 0.1, stride * r + K - 0.1]
            axis.plot(ends, [-0.3 - 0.35 * (r % 2)] * 2, color="C1", linewidth=4)
            axis.text(stride * r + K / 2, -1.25, f"$y_{r}$", ha="center", va="center", fontsize=10)
        axis.set(xlim=(-0.1, 10.1), ylim=(-1.6, 1.1), aspect="equal")
        axis.set_title(f"H = {H}, padding {padding}: h = {h}, {total - seen} left over", fontsize=10)
        axis.axis("off")


def draw_feature_map(padded: np.ndarray, y: np.ndarray, zeros: tuple[int, int], left_over: int) -> None:
    """Draw a padded image, the frame of the image in it and what no patch covers, and its feature map."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.2))
    size = len(padded)
    left.imshow(padded, extent=(0, size, size, 0))
    inside = size - sum(zeros)
    if sum(zeros):
        left.add_patch(plt.Rectangle((zeros[0], zeros[0]), inside, inside, fill=False, linestyle="--", edgecolor="C0"))
    look = {"facecolor": LEFT_OVER, "edgecolor": "black", "hatch": "////", "linewidth": 0}
    if left_over:
        left.add_patch(plt.Rectangle((size - left_over, 0), left_over, size, **look))
        left.add_patch(plt.Rectangle((0, size - left_over), size, left_over, **look))
    left.set_title(f"padded image: {size} × {size}", loc="center")
    limit = abs(y).max()
    right.imshow(y, cmap="PuOr", vmin=-limit, vmax=limit)
    right.set_title(f"feature map: {y.shape[0]} × {y.shape[1]}", loc="center")
    for axis in (left, right):
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        for spine in axis.spines.values():
            spine.set_visible(True)


PATCH_COLORS = ("#56B4E9", "#E69F00", "#7CCFB6", "#DFA6C4")


def _cell(axis, row: float, column: float, text, color: str) -> None:
    """Draw one cell of a grid, with a text in it."""
    axis.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=color, edgecolor="black", linewidth=0.8))
    axis.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9)


def draw_patches(image: np.ndarray) -> None:
    """Draw the four 3x3 patches of a 4x4 image, each in its colour, and beside them the columns that im2col makes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 4.2), width_ratios=[10, 6])
    for patch, color in enumerate(PATCH_COLORS):
        r, s = divmod(patch, 2)
        name = "ABCD"[patch]
        left.text(5.6 * s, 5.8 * r - 0.25, f"patch {name}: $r={r}$, $s={s}$", fontsize=9)
        for u, v in np.ndindex(4, 4):
            inside = r <= u < r + 3 and s <= v < s + 3
            _cell(left, 5.8 * r + u, 5.6 * s + v, image[u, v], color if inside else "white")
        right.text(patch + 0.5, -0.25, name, ha="center", fontsize=9, fontweight="bold")
        for i, j in np.ndindex(3, 3):
            _cell(right, 3 * i + j, patch, image[r + i, s + j], color)
    for i, j in np.ndindex(3, 3):
        right.text(-0.2, 3 * i + j + 0.5, f"$({i},{j})$", ha="right", va="center", fontsize=9)
    left.set(xlim=(-0.1, 9.8), ylim=(10, -1), aspect="equal", title="the image, and its patches")
    right.set(xlim=(-1.5, 4.2), ylim=(9.2, -1), aspect="equal", title="columns")
    for axis in (left, right):
        axis.axis("off")
