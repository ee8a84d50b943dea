"""Figures of chapter 10, Gradient descent in practice."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o-", "s-", "^--", "v:")


def draw_losses(curves: dict[str, Sequence[float]]) -> None:
    """Draw the loss of each batch over the steps of up to four runs, under their names."""
    figure, axis = plt.subplots()
    for (name, losses), style in zip(curves.items(), STYLES, strict=False):
        axis.plot(losses, style, label=name)
    axis.set(xlabel="step", title="Loss of each batch", ylim=(0, 5))
    axis.legend()


def draw_parabola(paths: dict[float, np.ndarray]) -> None:
    """Draw the parameter of a parabola over the steps, for rates that are given as multiples of 1 / λ."""
    figure, axis = plt.subplots()
    for (share, path), style in zip(paths.items(), MARKERS, strict=False):
        axis.plot(path, style, label=f"η = {share} / λ")
    axis.set(xlabel="step", title="w, on a parabola")
    axis.legend(ncols=2)


def draw_valley(paths: dict[float, np.ndarray], curvatures: Sequence[float] = (1, 40)) -> None:
    """Draw paths (steps + 1, 2) to the minimum of a valley, by their momentum, and how far from it they end."""
    along, across = np.meshgrid(np.linspace(-3.2, 1.6, 97), np.linspace(-0.75, 0.75, 101))
    height = (curvatures[0] * along**2 + curvatures[1] * across**2) / 2
    figure, axis = plt.subplots(figsize=(7, 3.1))
    axis.contour(along, across, height, levels=12, colors="0.75", linewidths=0.8)
    for (momentum, path), style in zip(paths.items(), MARKERS, strict=False):
        distance = np.linalg.norm(path[-1])
        away = f"{distance:.3f}" if distance < 1000 else f"{distance:.0e}"
        axis.plot(*path.T, style, markersize=3.5, linewidth=1.2, label=f"momentum {momentum:g}: ends {away} away")
    axis.plot(0, 0, "k*", markersize=12)
    axis.set(xlabel="$w_1$", ylabel="$w_2$", xlim=(along.min(), along.max()), ylim=(across.min(), across.max()))
    axis.grid(False)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def draw_schedules(schedules: Sequence[Callable[[float], float]]) -> None:
    """Draw the factor of the learning rate over the progress of training, for up to four schedules."""
    progress = np.linspace(0, 1, 200)
    figure, axis = plt.subplots()
    for schedule, style in zip(schedules, STYLES, strict=False):
        axis.plot(progress, [schedule(p) for p in progress], style, label=schedule.__name__)
    axis.set(xlabel="progress", title="Factor of the learning rate")
    axis.legend()


def draw_signal(sizes: dict[float, np.ndarray]) -> None:
    """Draw the size of the signal after each layer, by the factor of He's size; a grey line is what is predicted."""
    figure, axis = plt.subplots(figsize=(7.2, 3.4))
    for (factor, size), marker in zip(sizes.items(), "so^v", strict=False):
        number = np.arange(1.0, len(size) + 1)
        axis.semilogy(number, size, marker, label=f"{factor:g} × He:\nends at {size[-1]:.2g}")
        axis.semilogy(number, factor**number, color="0.6", linewidth=1, zorder=0)
    axis.set(xlabel="layer", xticks=range(1, len(number) + 1, 3), title="Size of the signal (grey: predicted)")
    axis.set_ylim(min(0.05, *map(min, sizes.values())) / 2, max(20, *map(max, sizes.values())) * 2)
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))


def draw_range_test(rates: np.ndarray, losses: Sequence[float]) -> None:
    """Draw the loss of each batch over the learning rate of its step."""
    figure, axis = plt.subplots()
    axis.semilogx(rates, losses)
    axis.set(xlabel="learning rate", title="Range test", ylim=(0, 6))
