"""Figures of chapter 8, Flatten."""

import matplotlib.pyplot as plt
import numpy as np

from cnnlib.plots import show_array


def draw_flattening(x: np.ndarray) -> None:
    """Draw the two channels of an image (2, H, W), and below them the same numbers in one row."""
    figure, axes = plt.subplot_mosaic([["0", "1"], ["y", "y"]], figsize=(6.4, 2.9), height_ratios=[2, 1])
    for name, values, title in (
        ("0", x[0], "channel 0"),
        ("1", x[1], "channel 1"),
        ("y", x.reshape(1, -1), "y"),
    ):
        show_array(axes[name], values, title)
        axes[name].images[0].set_clim(-1.6 * x.max(), 1.6 * x.max())  # one scale of colours for all
