"""Chapter 13, Training LeNet-5: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import passed, require, require_array, require_number
from cnnbook.engine import describe, describe_digits
from cnnlib import Network
from cnnlib.digits.datasets import load_digits
from cnnlib.plots import show_images


def figure_data(network: Network) -> dict:
    """Return what the live figure starts with: the digits that come with the package, and an untrained network.

    Weights that were drawn at random may be rounded to float16.
    """
    return {
        **describe_digits(),
        "network": describe(network, "float16"),
        "shown": shown_digits(load_digits().test_labels),
    }


def shown_digits(labels: np.ndarray) -> list[int]:
    """Return the places of two examples of each class: the first of every class, then the second."""
    return [int(np.flatnonzero(labels == digit)[k]) for k in range(2) for digit in range(10)]


def draw_held_out() -> None:
    """Draw the held-out digits that the live figure shows."""
    digits = load_digits()
    show_images(digits.test_images[shown_digits(digits.test_labels)])


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


# The checks of the exercises


def check_count(number: int) -> None:
    """The parameters of LeNet-5 with 8 and 24 filters."""
    require(number != 61_706, "this is the network of the chapter; three of its layers change.")
    weights = 8 * 25 + 24 * 8 * 25 + 600 * 120 + 120 * 84 + 84 * 10
    require(number != weights, "the biases are missing: one for each filter, and one for each output.")
    require_number(number, weights + 8 + 24 + 120 + 84 + 10, "Count weights and biases of all five layers.")
    passed(f"{number:,} parameters")


def check_mean_loss(value: float) -> None:
    """99 answers with p = 0.99, one with p = 0.01."""
    expected = (99 * -np.log(0.99) - np.log(0.01)) / 100
    require(not np.isclose(value, expected / np.log(10), rtol=1e-3), "the logarithm is the natural one.")
    require(not np.isclose(value, expected * 100, rtol=1e-3), "this is the sum; the loss is the mean.")
    require_number(value, expected, "Average -log(p) over the 100 examples.", 1e-3)
    passed(f"{value:.4f}: the one wrong answer costs {-np.log(0.01) / 100 / expected:.0%} of it.")


def check_confusion(function: Callable) -> None:
    """A confusion matrix."""
    labels, guesses = np.array([0, 1, 1, 2, 2, 2]), np.array([0, 1, 2, 2, 2, 0])
    answer = np.asarray(function(labels, guesses, 4))
    expected = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 2, 0], [0, 0, 0, 0]])
    require(answer.shape == (4, 4), f"expected a matrix of shape (4, 4), got {answer.shape}: absent classes count too.")
    require(not np.array_equal(answer, expected.T), "rows are the true classes, columns the guesses.")
    require(answer[2, 2] != 1, "repeated pairs were counted once: `matrix[labels, guesses] += 1` does not add up.")
    require_array(answer, expected, "Entry (i, j) counts class i read as class j.")
    passed()


def check_early_stopping(best_epoch: Callable) -> None:
    """Which epoch to keep."""
    for losses, patience, expected, hint in (
        ([3.0, 2.0, 1.0], 2, 2, "The loss was still falling: the last epoch is the best."),
        ([3.0, 1.0, 2.0, 2.5, 0.5], 2, 1, "Training had stopped before the 0.5 was reached."),
        ([3.0, 1.0, 2.0, 0.5, 0.7], 2, 3, "One bad epoch is within the patience of 2."),
        ([1.0, 1.0, 1.0, 0.1], 2, 0, "A value as low as the lowest is not a new lowest."),
    ):
        answer = best_epoch(losses, patience)
        require(answer == expected, f"for {losses} with a patience of {patience} you keep {answer}. {hint}")
    passed()


def check_shift(augment: Callable) -> None:
    """Random shifts by up to two pixels."""
    images = np.zeros((400, 9, 9), np.uint8)
    images[:, 4, 4] = 200
    before = images.copy()
    moved = np.asarray(augment(images, np.random.default_rng(0)))
    require(np.array_equal(images, before), "the given images were changed; work on a copy.")
    require(moved.shape == images.shape, f"the shape became {moved.shape}, expected {images.shape}.")
    require(moved.dtype == images.dtype, f"the dtype became {moved.dtype}, expected {images.dtype}.")
    places = {(int(r) - 4, int(s) - 4) for _, r, s in np.argwhere(moved == 200)}
    wanted = {(r, s) for r in range(-2, 3) for s in range(-2, 3)}
    require(places != {(0, 0)}, "nothing has moved.")
    require(len(places) > 1, "all images moved alike; draw a shift for each.")
    require(places <= wanted, f"a pixel moved by {max(places - wanted, default=None)}; at most 2 was asked for.")
    require(places == wanted, f"some shifts never occur, for example {min(wanted - places, default=None)}.")
    edge = np.zeros((200, 9, 9), np.uint8)
    edge[:, 0] = 1
    require(
        not augment(edge, np.random.default_rng(1))[:, 5:].any(),
        "what leaves at one side must not come back at the other.",
    )
    passed()
