"""Chapter 8, Flatten: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import passed, require, require_array
from cnnlib.layers import Flatten, Layer
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


# The checks of the exercises


def check_index(d: int) -> None:
    """The place in the row of channel 2, row 1, column 3 of an example of shape (3, 4, 5)."""
    require(d != (1 * 5 + 3) * 3 + 2, "this is the order row, column, channel; here the channel comes first.")
    require(d != 2 + 3 * (1 + 4 * 3), "you let the channel run fastest; the column does, and the channel slowest.")
    require(d != 49, "this counts from 1; places are counted from 0.")
    require(d == 48, f"{d} is not it. Before it come 2 whole channels, 1 whole row, and 3 numbers.")
    passed("2 channels of 20, 1 row of 5, and 3.")


def check_place(answer: Sequence[int]) -> None:
    """The (channel, row, column) of the number at d = 37, of an example of shape (3, 4, 5)."""
    require(len(answer) == 3, f"expected (c, r, s), three numbers, got {len(answer)}.")
    c, r, s = answer
    require(0 <= c < 3 and 0 <= r < 4 and 0 <= s < 5, f"{(c, r, s)} lies outside of the shape (3, 4, 5).")
    d = (c * 4 + r) * 5 + s
    require(d == 37, f"{(c, r, s)} goes to d = {d}. Divide by 20 first, then what is left by 5.")
    passed("37 = 1 · 20 + 3 · 5 + 2.")


def check_views(answers: Sequence[bool]) -> None:
    """Which of five ways to flatten (6, 2, 4, 3) returns a view."""
    why = [
        "the numbers of x lie in memory in exactly this order, so nothing needs to move.",
        "a row is left out between any two; no single step leads from each number to the next.",
        "the channel would have to run fastest, and in memory the column does.",
        "whole examples are left out, and each that stays is still in one piece.",
        "in memory each number is N places after the one before it: one step for the whole row.",
    ]
    require(len(answers) == len(why), f"expected {len(why)} answers, got {len(answers)}.")
    for letter, answer, expected, reason in zip("abcde", answers, (True, False, False, True, True), why, strict=True):
        require(answer == expected, f"({letter}) is a {'view' if expected else 'copy'}: {reason}")
    passed("A view needs one step from each number of a row to the next.")


def check_channels_last(forward: Callable, backward: Callable) -> None:
    """Flattening in the order row, column, channel: ``forward(x)`` and ``backward(dy, shape)``."""
    x = np.arange(2 * 3 * 4 * 5, dtype=float).reshape(2, 3, 4, 5)
    y = forward(x)
    hint = "y[n] lists the three channels of the first pixel, then those of the pixel to its right, and so on."
    require(not np.array_equal(y, x.reshape(2, -1)), f"this is the order channel, row, column. {hint}")
    require_array(y, np.stack([[x[n, c, r, s] for r, s, c in np.ndindex(4, 5, 3)] for n in range(2)]), hint)
    dx = backward(y, x.shape)
    require(
        np.shape(dx) != (2, 4, 5, 3),
        "dx has the shape (N, H, W, C): the reshape is undone, and the transpose is still to be.",
    )
    require(
        not np.array_equal(dx, y.reshape(x.shape)),
        "dy was reshaped straight to the shape of x; undo the steps of forward, the last one first.",
    )
    require_array(dx, x, "backward(forward(x)) must put every number back where it was.")
    passed("Every number comes back to its place.")


def check_convert(function: Callable) -> None:
    """Bring the W of a dense layer from one order of its inputs to the other: ``function(W, (C, H, W))``."""
    rng = np.random.default_rng(8)
    x, W = rng.standard_normal((4, 3, 2, 5)), rng.standard_normal((30, 7))
    answer = np.asarray(function(W.copy(), (3, 2, 5)))
    require(answer.shape == W.shape, f"the shape is {answer.shape}; only the order of the rows of W changes.")
    require(not np.allclose(answer, W), "W is unchanged, so it still expects the order channel, row, column.")
    require(
        np.allclose(np.sort(answer, axis=0), np.sort(W, axis=0)),
        "a column of W no longer holds the same numbers: move whole rows, one for each input.",
    )
    inverse = W.reshape(2, 5, 3, 7).transpose(2, 0, 1, 3).reshape(30, 7)
    require(not np.allclose(answer, inverse), "this is the way back, from channels last to channels first.")
    scores = x.transpose(0, 2, 3, 1).reshape(4, -1) @ answer
    require_array(scores, x.reshape(4, -1) @ W, "the scores of the layer must not change.")
    passed("The same scores from the other order.")


def check_independent(function: Callable) -> None:
    """A test that each row of the output depends on its own example only: ``function(layer, x)``."""

    class Mixing(Layer):
        def forward(self, x):
            return x.reshape(-1, len(x)).T

    class Leaking(Layer):  # the last example alone leaks, into the first
        def forward(self, x):
            y = x.reshape(len(x), -1).copy()
            y[0, -1] += y[-1, 0]
            return y

    x = np.random.default_rng(2).standard_normal((4, 2, 3, 3))
    require(function(Flatten(), x) in (True, np.True_), "Flatten keeps examples apart, and your test denies it.")
    require(
        not function(Mixing(), x), "your test passes a layer that deals the numbers of all examples out, like cards."
    )
    require(
        not function(Leaking(), x), "your test passes a layer in which the last example changes the row of the first."
    )
    passed("Your test tells them apart.")
