"""Figures of chapter 14, Looking inside."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnlib.plots import RIGHT, WRONG, plot_reliability


def draw_reliability(answers: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Draw a reliability diagram for each title, from the confidence (N,) of answers and which are right (N,)."""
    figure, axes = plt.subplots(1, len(answers), figsize=(4 * len(answers), 3.9))
    for axis, (title, (confidence, right)) in zip(axes, answers.items(), strict=True):
        plot_reliability(confidence, right, axis=axis)
        axis.set_title(title)


def _show_maps(maps: np.ndarray, axes: Sequence, cmap: str, low: float, high: float) -> None:
    for index, (values, axis) in enumerate(zip(maps, axes, strict=True)):
        axis.imshow(values, cmap=cmap, vmin=low, vmax=high)
        axis.set_title(str(index), fontsize=9, pad=2, loc="center")
        axis.axis("off")


def draw_filters(W: np.ndarray) -> None:
    """Draw filters (F, K, K) on one scale: positive weights purple, negative ones orange."""
    limit = np.abs(W).max()
    figure, axes = plt.subplots(1, len(W), figsize=(1.2 * len(W), 1.4))
    _show_maps(W, axes, "PuOr", -limit, limit)


def draw_maps(image: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    """Draw an image, beside it the six maps of the first stage, below the sixteen of the second."""
    figure, axes = plt.subplots(3, 8, figsize=(7.6, 3.2))
    axes[0, 0].imshow(image, vmin=0, vmax=1)
    axes[0, 0].set_title("input", fontsize=9, pad=2, loc="center")
    for axis in axes[0, :2]:
        axis.axis("off")
    _show_maps(first, axes[0, 2:], "magma", 0, first.max())
    _show_maps(second, axes[1:].ravel(), "magma", 0, second.max())


def draw_looks(looks: Sequence[tuple[np.ndarray, str, np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Draw a row for each image (28, 28): itself, a gradient, and what is left when it is covered.

    Parameters
    ----------
    looks : sequence of (image, title, gradient, paper, ink)
        The gradient has the shape (28, 28). The last two, (24, 24), hold the probability that remains when a square
        of 5 by 5 pixels at that place is covered with paper or with ink.
    """
    figure, axes = plt.subplots(len(looks), 4, figsize=(7.4, 1.87 * len(looks)), squeeze=False)
    for row, (image, title, g, paper, ink) in zip(axes, looks, strict=True):
        row[0].imshow(image)
        row[0].set_title(title, loc="center", fontsize=10)
        row[1].imshow(g, cmap="PuOr", vmin=-np.abs(g).max(), vmax=np.abs(g).max())
        for axis, left, name in ((row[2], paper, "with paper"), (row[3], ink, "with ink")):
            mesh = axis.imshow(left, cmap="cividis", vmin=0, vmax=1, extent=(1.5, 25.5, 25.5, 1.5))
            axis.set_title(f"{name}: {left.min():.0%}", loc="center", fontsize=10)
        for axis, color in zip(row[1:], ("black", "white", "white"), strict=True):
            axis.contour(image, levels=[image.max() / 2], colors=color, linewidths=0.8)
        for axis in row:
            axis.set(xlim=(-0.5, 27.5), ylim=(27.5, -0.5))
            axis.axis("off")
    axes[0, 1].set_title("gradient", loc="center", fontsize=10)
    figure.colorbar(mesh, ax=axes[:, 3], label="probability of the digit that remains", shrink=0.6)


def draw_curves(curves: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Draw accuracy and mean confidence over the amount of each of four changes."""
    figure, axes = plt.subplots(2, 2, figsize=(8, 5), sharey=True)
    for axis, (name, (amounts, accuracy, sure)) in zip(axes.flat, curves.items(), strict=True):
        axis.plot(amounts, 100 * accuracy, marker="o", label="accuracy (%)")
        axis.plot(amounts, 100 * sure, linestyle="--", label="mean confidence (%)")
        axis.axhline(90, color="black", linewidth=0.8, linestyle=":")
        axis.set(xlabel=name, ylim=(0, 103))
    axes[0, 0].legend(loc="lower center")


def draw_answer(image: np.ndarray, p: np.ndarray, label: int) -> None:
    """Draw an image, and the probabilities (M,) that a network gives to its classes; the true one is named."""
    guess = p.argmax()
    color, sign = (RIGHT, "✓") if guess == label else (WRONG, "✗")
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2.4), width_ratios=[1, 2])
    left.imshow(image, vmin=0, vmax=1)
    left.set_title(f"a {label}", loc="center")
    left.axis("off")
    bars = right.bar(range(len(p)), 100 * p, color=[color if index == guess else "#999999" for index in range(len(p))])
    right.bar_label(bars, [f"{share:.0%}" if share >= 0.005 else "" for share in p], fontsize=9)
    right.set(xticks=range(len(p)), xlabel="digit", ylim=(0, 115), yticks=(0, 50, 100))
    right.set_title(f"{sign} read as {guess}", color=color)


def draw_planes(planes: dict[str, np.ndarray], labels: np.ndarray) -> None:
    """Draw points (N, 2), each as the numeral of its label (N,), one plane for each title."""
    figure, axes = plt.subplots(1, len(planes), figsize=(4 * len(planes), 4.2))
    for axis, (title, plane) in zip(axes, planes.items(), strict=True):
        for digit in np.unique(labels):
            some = plane[labels == digit]
            axis.scatter(*some.T, s=26, marker=f"${digit}$", color=f"C{digit % 7}", linewidths=0.3)
        axis.set(xticks=[], yticks=[], title=title)
