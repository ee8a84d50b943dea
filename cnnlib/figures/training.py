"""Figures of chapter 13, Training LeNet-5."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np


def draw_short_runs(runs: dict[str, Sequence[float]]) -> None:
    """Draw the loss of each step, a chart for each title; a dotted line marks the value of knowing nothing."""
    size = (9, 2.6) if len(runs) > 1 else (4.5, 2.6)
    figure, axes = plt.subplots(1, len(runs), figsize=size, sharex=True, sharey=True, squeeze=False)
    for axis, (title, losses) in zip(axes.flat, runs.items(), strict=True):
        axis.plot(losses, linewidth=1)
        axis.axhline(np.log(10), color="black", linestyle=":", linewidth=1)
        axis.set(title=title, yscale="log", xlabel="step")


def draw_range_test(rates: np.ndarray, losses: Sequence[float], chosen: float) -> None:
    """Draw the mean loss of nine steps over the learning rate; a dashed line marks the rate that is chosen."""
    figure, axis = plt.subplots(figsize=(6, 2.8))
    axis.plot(rates[4:-4], np.convolve(losses, np.full(9, 1 / 9), "valid"))
    axis.axvline(chosen, color="black", linestyle="--", linewidth=1)
    axis.set(xscale="log", xlabel="learning rate", title="Loss", ylim=(0, 4))
