"""Drawings of the chapter on the pad."""

import matplotlib.pyplot as plt
import numpy as np


def draw_steps(strokes: list[np.ndarray], boxed: np.ndarray, placed: np.ndarray) -> None:
    """Show strokes on the canvas, in a box of 20 pixels, and moved to their centre of mass, which a cross marks."""
    figure, axes = plt.subplots(1, 3, figsize=(8, 2.8))
    for stroke in strokes:
        axes[0].plot(*stroke.T, color="black", linewidth=4)
    axes[0].set(xlim=(0, 280), ylim=(280, 0), aspect="equal", title="on the canvas")
    for axis, image, title in ((axes[1], boxed, "steps 1 and 2"), (axes[2], placed, "step 3")):
        pixels, mass = np.arange(28), image.sum()
        column, row = image.sum(axis=0) @ pixels / mass, image.sum(axis=1) @ pixels / mass
        axis.imshow(image, cmap="gray_r")
        axis.plot(column, row, "+", color="C1", markersize=14)
        axis.set(title=f"{title}: + at row {row:.1f}")
        axis.grid(False)
