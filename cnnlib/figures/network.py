"""Figures of chapter 11, The Network class."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np


def draw_chain(names: Sequence[str]) -> None:
    """Draw layers and, last, the loss as boxes in a row, with arrows for the values above, for the gradients below."""
    figure, axis = plt.subplots(figsize=(8, 2.1))
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white"}
    for place, name in enumerate(names):
        axis.text(2 * place, 0, name, ha="center", va="center", fontsize=12, bbox=box)
    last = 2 * len(names) - 3
    for middle in range(-1, last + 1, 2):
        for height, color, way in ((0.3, "C0", 0.4), (-0.3, "C1", -0.4)):
            arrow = {"arrowstyle": "->", "color": color, "linewidth": 2}
            axis.annotate("", (middle + way, height), (middle - way, height), arrowprops=arrow)
    for middle, value, gradient in ((-1, "$x$", "$dx$"), (last, "$y$", "$dy$")):
        axis.text(middle, 0.5, value, ha="center", color="C0", fontsize=13)
        axis.text(middle, -0.7, gradient, ha="center", color="C1", fontsize=13)
    axis.text((last - 1) / 2, 0.95, "forward: values", ha="center", color="C0")
    axis.text((last - 1) / 2, -1.1, "backward: gradients", ha="center", color="C1")
    axis.set(xlim=(-1.7, last + 1.8), ylim=(-1.2, 1.2))
    axis.set_axis_off()


def draw_loss(losses: Sequence[float], classes: int) -> None:
    """Draw the loss of each epoch, and the loss of a network that knows nothing about so many classes."""
    figure, axis = plt.subplots(figsize=(5.6, 3))
    nothing = np.log(classes)
    axis.plot(np.arange(1, len(losses) + 1), losses)
    axis.axhline(nothing, color="black", linestyle="--", linewidth=1)
    axis.text(len(losses), nothing, f"log {classes}: knowing nothing", ha="right", va="bottom")
    axis.set(xlabel="epoch", title="Loss", ylim=(0, 1.1 * max(nothing, *losses)))
