"""Drawings of chapter 4, Activations."""

import matplotlib.pyplot as plt
import numpy as np

import cnnlib


def draw_activations() -> None:
    """Draw ReLU, the sigmoid, and one of three softmax outputs against its own score, each with its slope."""
    x = np.linspace(-6, 6, 241)
    sigmoid = cnnlib.Sigmoid().forward(x[:, None])[:, 0]
    share = cnnlib.Softmax().forward(np.stack([x, 0 * x, 0 * x], axis=1))[:, 0]
    panels = [
        ("ReLU", "$x$", np.maximum(x, 0), np.where(x == 0, np.nan, x > 0)),
        ("Sigmoid", "$x$", sigmoid, sigmoid * (1 - sigmoid)),
        ("Softmax: $y_1$, if $x_2 = x_3 = 0$", "$x_1$", share, share * (1 - share)),
    ]
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.9))
    for axis, (title, name, value, slope) in zip(axes, panels, strict=True):
        axis.plot(x, value, label="value")
        axis.plot(x, slope, "--", label="slope")
        axis.set(title=title, xlabel=name, xticks=[-5, 0, 5])
    axes[0].set_ylim(-0.1, 2)
    axes[0].legend()


def draw_slope(x: np.ndarray, slope: np.ndarray) -> None:
    """Draw the slope of the sigmoid on a logarithmic scale, and shade where it is below 0.01."""
    figure, axis = plt.subplots(figsize=(5.4, 2.9))
    axis.plot(x, slope)
    axis.fill_between(x, 1e-5, 1, where=slope < 0.01, color="0.9", label="slope below 0.01")
    axis.set(yscale="log", ylim=(2e-5, 1), xlabel="$x$", title="Slope of the sigmoid")
    axis.legend(loc="lower center")


def draw_gradient_sizes(sizes: dict[str, list[float]]) -> None:
    """Draw the size of the gradient of each layer's weights, from the first layer to the last, for two networks."""
    figure, axis = plt.subplots()
    for (name, size), marker, style in zip(sizes.items(), "os", ("-", "--"), strict=True):
        axis.plot(range(1, len(size) + 1), size, marker=marker, linestyle=style, label=name)
    smallest = min(map(min, sizes.values()))
    axis.set(yscale="log", ylabel="typical size of dW", title="What is left of the gradient")
    axis.set(xlabel="layer (the last gives the scores)")
    axis.set(ylim=(min(1e-9, smallest / 3), 1), xticks=range(1, len(size) + 1))
    axis.legend(loc="lower right")


def draw_probabilities(panels: dict[str, np.ndarray]) -> None:
    """Draw the probabilities of the classes as bars, a panel for each title."""
    figure, axes = plt.subplots(1, len(panels), figsize=(2.67 * len(panels), 2.5), sharey=True, squeeze=False)
    for axis, (title, p) in zip(axes[0], panels.items(), strict=True):
        bars = axis.bar(range(1, len(p) + 1), p)
        axis.bar_label(bars, fmt="%.2f")
        axis.set(title=title, xlabel="class", xticks=range(1, len(p) + 1), ylim=(0, 1.15))
