"""Drawings of chapter 1, Fundamental concepts."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

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
