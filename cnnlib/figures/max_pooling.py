"""Figures of chapter 7, Max pooling."""

import matplotlib.pyplot as plt
import numpy as np

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
