"""Chapter 8, Flatten: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence
from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import as_array, as_number, call, passed, require, require_array
from cnnlib.layers import Flatten, MaxPooling
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
    d = as_number(d)
    require(d != (1 * 5 + 3) * 3 + 2, "this is the order row, column, channel; here the channel comes first.")
    require(d != 2 + 3 * (1 + 4 * 3), "you let the channel run fastest; the column does, and the channel slowest.")
    require(d != 49, "this counts from 1; places are counted from 0.")
    require(d != (2 * 5 + 1) * 4 + 3, "height and width are exchanged: a row has W = 5 numbers.")
    require(d == 48, f"{d:g} is not it. Count the whole channels, the whole rows and the single numbers before it.")
    passed("2 channels of 20, 1 row of 5, and 3.")


def check_place(answer: Sequence[int]) -> None:
    """The (channel, row, column) of the number at d = 37, of an example of shape (3, 4, 5)."""
    answer = as_array(answer)
    require(answer.shape == (3,), f"expected (c, r, s), three numbers, got an array of shape {answer.shape}.")
    require(bool(np.all(answer == np.floor(answer))), "channel, row and column are whole numbers: round down.")
    c, r, s = (int(number) for number in answer)
    require(0 <= c < 3 and 0 <= r < 4 and 0 <= s < 5, f"{(c, r, s)} lies outside of the shape (3, 4, 5).")
    require((c, r, s) != (1, 3, 1), "this counts d from 1; places are counted from 0.")
    d = (c * 4 + r) * 5 + s
    require(d == 37, f"{(c, r, s)} goes to d = {d}. How many numbers does a channel have, and how many a row?")
    passed("37 = 1 · 20 + 3 · 5 + 2.")


def check_views(answers: Sequence[bool]) -> None:
    """Which of five ways to flatten (6, 2, 4, 3) returns a view."""
    why = [
        "does anything need to move, if the numbers of x lie in memory in exactly this order?",
        "a row is left out between any two. Does one step lead from each number to the next?",
        "the channel would have to run fastest. Which axis does so in memory?",
        "whole examples are left out. Is each that stays still in one piece?",
        "in memory each number is N places after the one before it. Is that one step for the whole row?",
    ]
    answers = as_array(answers)
    require(answers.shape == (5,), f"expected {len(why)} answers, got an array of shape {answers.shape}.")
    require(set(answers) <= {0.0, 1.0}, "each answer is True or False.")
    for letter, answer, expected, question in zip("abcde", answers, (1, 0, 0, 1, 1), why, strict=True):
        require(answer == expected, f"think again about ({letter}): {question}")
    passed("A view needs one step from each number of a row to the next.")


def check_channels_last(forward: Callable, backward: Callable) -> None:
    """Flattening in the order row, column, channel: ``forward(x)`` and ``backward(dy, shape)``."""
    rng = np.random.default_rng(7)
    for shape in ((2, 3, 4, 5), (3, 2, 2, 3)):
        x = rng.standard_normal(shape)
        N, C, H, W = shape
        y = as_array(call(forward, x))
        hint = "y[n] lists all channels of the first pixel, then those of the pixel to its right, and so on."
        require(not np.array_equal(y, x.reshape(N, -1)), f"this is the order channel, row, column. {hint}")
        expected = np.stack([[x[n, c, r, s] for r, s, c in np.ndindex(H, W, C)] for n in range(N)])
        require_array(y, expected, hint)
        dy = rng.standard_normal(y.shape)
        dx = as_array(call(backward, dy, shape))
        require(
            dx.shape != (N, H, W, C),
            "dx has the shape (N, H, W, C): the reshape is undone, and the transpose is still to be.",
        )
        require(
            not np.array_equal(dx, dy.reshape(shape)),
            "dy was reshaped straight to the shape of x; undo the steps of forward, the last one first.",
        )
        expected = dy.reshape(N, H, W, C).transpose(0, 3, 1, 2)
        require_array(dx, expected, "backward must put every number of dy back where forward found it in x.")
    passed("Every number comes back to its place.")


def check_convert(function: Callable) -> None:
    """Bring the W of a dense layer from one order of its inputs to the other: ``function(W, (C, H, W))``."""
    rng = np.random.default_rng(8)
    for shape, outputs in (((3, 2, 5), 7), ((2, 4, 3), 1)):
        C, height, width = shape
        x, W = rng.standard_normal((4, *shape)), rng.standard_normal((C * height * width, outputs))
        answer = as_array(call(function, W, shape))
        require(answer.shape == W.shape, f"the shape is {answer.shape}; only the order of the rows of W changes.")
        require(not np.allclose(answer, W), "W is unchanged, so it still expects the order channel, row, column.")
        require(
            np.allclose(np.sort(answer, axis=0), np.sort(W, axis=0)),
            "a column of W no longer holds the same numbers: move whole rows, one for each input.",
        )
        inverse = W.reshape(height, width, C, outputs).transpose(2, 0, 1, 3).reshape(W.shape)
        require(not np.allclose(answer, inverse), "this is the way back, from channels last to channels first.")
        scores = x.transpose(0, 2, 3, 1).reshape(4, -1) @ answer
        require_array(scores, x.reshape(4, -1) @ W, "the scores of the layer must not change.")
    passed("The same scores from the other order.")


class _Reversing(Flatten):  # its rows run backwards, and depend on their own examples only
    def forward(self, x):
        return super().forward(x)[:, ::-1]


class _Mixing(Flatten):
    def forward(self, x):
        return x.reshape(-1, len(x)).T


class _Centring(Flatten):
    def forward(self, x):
        return super().forward(x) - x.mean()


class _Pairing(Flatten):  # examples 0 and 1, 2 and 3 and so on share what they have
    def forward(self, x):
        y = super().forward(x).copy()
        y[1::2] += y[::2][: len(y) // 2]
        return y


class _Leaking(Flatten):  # one example leaks into the row of one other
    def __init__(self, source: int, target: int):
        self.source, self.target = source, target

    def forward(self, x):
        y = super().forward(x).copy()
        if max(self.source, self.target) < len(x):
            y[self.target, -1] += y[self.source, 0]
        return y


def check_independent(function: Callable) -> None:
    """A test that each row of the output depends on its own example only: ``function(layer, x)``."""
    x = np.random.default_rng(2).standard_normal((4, 2, 3, 3))
    for layer, what in ((Flatten(), "Flatten"), (MaxPooling(2), "MaxPooling"), (_Reversing(), "reversing each row")):
        require(as_number(call(function, layer, x)) != 0, f"{what} keeps examples apart, but your test says no.")
    for layer, what in (
        (_Mixing(), "distributes the numbers of all examples over the rows in turn"),
        (_Centring(), "subtracts the mean of the whole batch"),
        *((_Leaking(i, j), "lets one example change the row of one other") for i, j in permutations(range(4), 2)),
        (_Pairing(), "adds every second example to the one after it"),
    ):
        require(as_number(call(function, layer, x)) == 0, f"your test passes a layer that {what}.")
    passed("Your test tells them apart.")
