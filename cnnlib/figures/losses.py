"""Figures of chapter 9, Losses."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np


def draw_stairs(b: np.ndarray, accuracy: np.ndarray, loss: np.ndarray) -> None:
    """Draw the accuracy and the loss over the bias b."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    left.plot(b, accuracy)
    right.plot(b, loss, color="C1")
    left.set(xlabel="bias b", title="Accuracy", ylim=(0, 1.05))
    right.set(xlabel="bias b", title="Loss", ylim=(0, 0.55))


def draw_pull(z: np.ndarray, p: np.ndarray, t: np.ndarray, dz: np.ndarray) -> None:
    """Draw scores, probabilities, targets and gradient of one example (M,) as bars."""
    figure, axes = plt.subplots(1, 4, figsize=(9, 2.6))
    panels = (("scores $z$", z, 13), ("$p$", p, 1.3), ("$t$", t, 1.3), ("gradient $p - t$", dz, 1.3))
    for axis, (title, values, limit) in zip(axes, panels, strict=True):
        bars = axis.bar(range(len(values)), values, color=np.where(values >= 0, "#8073AC", "#E08214"))
        axis.bar_label(bars, fmt="%.1f" if limit > 2 else "%.2f", padding=2)
        axis.axhline(0, color="black", linewidth=1)
        axis.set(xlabel="class", xticks=range(len(values)), ylim=(-limit, limit))
        axis.set_title(title, loc="center")


def draw_gaps(gaps: np.ndarray, rows: Sequence[tuple[float, float, float, float]]) -> None:
    """Draw loss and gradient over the lead of the wrong class: (loss, gradient) combined, then by pieces."""
    loss, slope, loss_by_pieces, slope_by_pieces = np.transpose(rows)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    for axis, combination, pieces, title in (
        (left, loss, loss_by_pieces, "Loss"),
        (right, slope, slope_by_pieces, "Gradient $dz_1$"),
    ):
        axis.plot(gaps, combination, label="combination")
        axis.plot(gaps, pieces, "--", label="pieces")
        axis.set(xlabel="lead of the wrong class", title=title)
    left.legend()
