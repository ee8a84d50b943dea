"""Drawings of chapter 2, The chain rule, and how to check a gradient."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np


def draw_losses(losses: dict[str, Sequence[float]]) -> None:
    """Draw two loss curves by epoch, under their names."""
    figure, axis = plt.subplots(figsize=(5.6, 3))
    for (name, values), style in zip(losses.items(), ("o-", "s--"), strict=True):
        axis.plot(np.arange(1, len(values) + 1), values, style, label=name)
    axis.set(xlabel="epoch", title="Loss", ylim=(0, None))
    axis.legend()


def draw_graph(values: dict[str, float], slopes: dict[str, float]) -> None:
    """Draw u = x w, v = u + b, L = u v as a graph, with the local slopes on the arrows and dL/d... beside the boxes."""
    places = {"x": (0, 2), "w": (0, 0.6), "b": (1.7, 0), "u": (1.7, 1.4), "v": (3.4, 0.4), "L": (5.1, 1.4)}
    local = {"xu": values["w"], "wu": values["x"], "uv": 1, "bv": 1, "uL": values["v"], "vL": values["u"]}
    arrow = {"arrowstyle": "->", "shrinkA": 26, "shrinkB": 26, "color": "0.35"}
    centred = {"ha": "center", "va": "center"}
    figure, axis = plt.subplots(figsize=(7.4, 3.6))
    for (start, end), slope in local.items():
        (x0, y0), (x1, y1) = places[start], places[end]
        axis.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
        axis.text((x0 + x1) / 2, (y0 + y1) / 2, f"×{slope:g}", backgroundcolor="white", **centred)
    for name, (across, up) in places.items():
        box = {"boxstyle": "round,pad=0.5", "fc": "#DCEBF5"}
        axis.text(across, up, f"{name} = {values[name]:g}".replace("-", "−"), bbox=box, **centred)
        paths = f"{values['v']:g} + {slopes['v']:g} = " if name == "u" else ""
        beside = up + (0.36 if name == "u" else -0.36)
        axis.text(across, beside, f"d{name} = {paths}{slopes[name]:g}", color="#B34700", weight="bold", **centred)
    axis.set(xlim=(-0.6, 5.8), ylim=(-0.6, 2.4))
    axis.set_axis_off()


def draw_errors(steps: np.ndarray, forward: np.ndarray, central: np.ndarray, single: np.ndarray) -> None:
    """Draw the relative errors of differences of exp at 1 over the step, with the lines that theory expects."""
    epsilon = np.finfo(float).eps
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True)
    left.loglog(steps, forward, "s", color="C1", label="forward")
    left.loglog(steps, central, "o", color="C0", label="central")
    left.loglog(steps, steps / 2, ":", color="C1", linewidth=1.3, label="$h/2$")
    left.loglog(steps, steps**2 / 6, "--", color="C0", linewidth=1.3, label="$h^2/6$")
    left.loglog(steps, epsilon / steps, "-.", color="black", linewidth=1.3, label="$\\varepsilon/h$")
    right.loglog(steps, np.maximum(central, 1e-16), "o", color="C0", label="central, float64")
    right.loglog(steps, single, "^", color="C2", label="central, float32")
    for axis, title in ((left, "float64"), (right, "float64 and float32")):
        axis.set(xlabel="step $h$", title=title, ylim=(1e-13, 30))
        axis.legend(fontsize=9)
    left.set(ylabel="relative error")


def draw_secant(f: Callable, x: float, slope: float, h: float) -> None:
    """Draw f as floating-point numbers have it, from x - 2h to x + 2h, with its tangent and its central difference."""
    offsets = np.linspace(-2, 2, 801)  # in units of h, as is the vertical axis
    measured = (f(x + h) - f(x - h)) / (2 * h)
    figure, axis = plt.subplots(figsize=(5.6, 3.4))
    axis.plot(offsets, (f(x + offsets * h) - f(x)) / h, label="the function as computed")
    axis.plot(offsets, slope * offsets, "--", color="black", linewidth=1.3, label=f"true slope {slope:.5f}")
    ends = np.array([-1.0, 1.0])
    chord = (f(x + ends * h) - f(x)) / h
    axis.plot(ends, chord, "s-", color="C1", label=f"central difference {measured:.5f}")
    axis.set(xlabel=f"distance from $x = {x:g}$, in steps $h$", ylabel="rise, in steps $h$")
    axis.set_title(f"$h$ = {h:.0e}, relative error {abs(measured / slope - 1):.0e}")
    axis.legend(fontsize=9)
