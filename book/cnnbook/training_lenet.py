"""Chapter 13, Training LeNet-5: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import WrongAnswer, as_array, as_number, passed, require, require_array, require_number, run
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
        axis.set(title=title, yscale="log", xlabel="step", ylim=(0.03, 30))  # a loss of millions is off the chart


def draw_range_test(rates: np.ndarray, losses: Sequence[float], chosen: float) -> None:
    """Draw the mean loss of nine steps over the learning rate; a dashed line marks the rate that is chosen."""
    figure, axis = plt.subplots(figsize=(6, 2.8))
    axis.plot(rates[4:-4], np.convolve(losses, np.full(9, 1 / 9), "valid"))
    axis.axvline(chosen, color="black", linestyle="--", linewidth=1)
    axis.set(xscale="log", xlabel="learning rate", title="Loss", ylim=(0, 4))


def receptive_field(places: tuple[int, int], layers: Sequence) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return which rows or columns of the input, first and last, some places of the last layer's output depend on.

    Parameters
    ----------
    places : (int, int)
        The first and the last row or column of the output.
    layers : sequence of layers
        Convolutions, poolings and layers that work entry by entry; the image is square, and padded evenly.
    """
    first, last = places
    for layer in reversed(layers):
        size = getattr(layer, "kernel_size", getattr(layer, "size", 1))
        stride = getattr(layer, "stride", 1)
        margin = (size - 1) // 2 if getattr(layer, "padding", "valid") == "same" else 0
        first, last = first * stride - margin, last * stride - margin + size - 1
    return first, last


def draw_receptive_field(network: Network, image: np.ndarray, place: tuple[int, int]) -> None:
    """Frame what one value of LeNet-5's second convolution is computed from: in its first pooled maps, in the image."""
    first, second = network[:3], network[3:4]
    maps = first.forward(network.to_input(image[np.newaxis]))
    outputs = second.forward(maps)
    figure, axes = plt.subplots(1, 3, figsize=(8, 3.1))
    pictures = (
        (image, "28×28 pixels"),
        (maps[0, 0], "a pooled map, 14×14"),
        (outputs[0, 0], "second convolution, 10×10"),
    )
    frames = []
    for axis, (picture, title), layers in zip(axes, pictures, (network[:4], network[3:4], []), strict=True):
        axis.imshow(picture)
        axis.set_title(title, loc="center", fontsize=11)
        axis.grid(False)
        axis.set(xticks=[], yticks=[])
        (top, bottom), (left, right) = (receptive_field((where, where), list(layers)) for where in place)
        corner, width, height = (left - 0.5, top - 0.5), right - left + 1, bottom - top + 1
        axis.add_patch(plt.Rectangle(corner, width, height, fill=False, edgecolor="C1", linewidth=2.5))
        frames.append(
            [(left + width - 0.5, top - 0.5), (left + width - 0.5, bottom + 0.5), corner, (left - 0.5, bottom + 0.5)]
        )
    for k in (0, 1):  # from the right corners of one frame to the left ones of the next
        for corner in (0, 1):
            figure.add_artist(
                plt.matplotlib.patches.ConnectionPatch(
                    frames[k][corner],
                    frames[k + 1][corner + 2],
                    coordsA="data",
                    coordsB="data",
                    axesA=axes[k],
                    axesB=axes[k + 1],
                    color="C1",
                )
            )


# The checks of the exercises


def check_count(number: int) -> None:
    """The parameters of LeNet-5 with 8 and 24 filters."""
    number = as_number(number)
    require(number != 61_706, "this is the network of the chapter; three of its layers change.")
    weights = 8 * 25 + 24 * 8 * 25 + 600 * 120 + 120 * 84 + 84 * 10
    expected = weights + 8 + 24 + 120 + 84 + 10
    require(number != weights, "the biases are missing: one for each filter, and one for each output.")
    require(number != expected - 24 * 7 * 25, "a filter of the second convolution looks at all maps of the first.")
    require(number != expected - 200 * 120, "the first dense layer gets more features than the 400 of the chapter.")
    require(number != expected + (24 * 49 - 600) * 120, "the second convolution has no padding: 14 become 10, then 5.")
    require(number != expected - 850, "the last layer has parameters, too.")
    require_number(number, expected, "Count weights and biases of all five layers.")
    passed(f"{number:,.0f} parameters")


def check_mean_loss(value: float) -> None:
    """99 answers with p = 0.99, one with p = 0.01."""
    value, expected = as_number(value), (99 * -np.log(0.99) - np.log(0.01)) / 100
    mistakes = (
        (expected / np.log(10), "the logarithm is the natural one."),
        (expected / np.log(2), "the logarithm is the natural one."),
        (expected * 100, "this is the sum; the loss is the mean."),
        (-expected, "a loss is not negative: each term is -log(p)."),
        (
            -np.log((99 * 0.99 + 0.01) / 100),
            "this is the logarithm of the mean; the loss is the mean of the logarithms.",
        ),
        (-np.log(0.99), "the one wrong answer is missing."),
        (-np.log(0.01) / 100, "the 99 right answers cost something, too."),
        (0.01, "this is the share of wrong answers; the loss is the mean of -log(p)."),
    )
    for wrong, message in mistakes:
        require(not np.isclose(value, wrong, rtol=1e-3), message)
    require_number(value / expected, 1, "Average -log(p) over the 100 examples.", 2e-3)
    passed(f"{expected:.4f}: the one wrong answer costs {-np.log(0.01) / 100 / expected:.0%} of it.")


def check_confusion(function: Callable) -> None:
    """A confusion matrix."""
    labels, guesses = np.array([0, 1, 1, 2, 2, 2]), np.array([0, 1, 2, 2, 2, 0])
    answer = as_array(run(function, labels.copy(), guesses.copy(), 4))
    expected = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 2, 0], [0, 0, 0, 0]])
    require(answer.shape == (4, 4), f"expected a matrix of shape (4, 4), got {answer.shape}: absent classes count too.")
    require(not np.array_equal(answer, expected.T), "rows are the true classes, columns the guesses.")
    require(answer[2, 2] != 1, "repeated pairs were counted once: `matrix[labels, guesses] += 1` does not add up.")
    shares = expected / expected.sum(axis=1, keepdims=True).clip(1)
    require(not np.allclose(answer, shares), "these are shares of each class; counts were asked for.")
    require(not np.allclose(answer, expected / 6), "these are shares; counts were asked for.")
    only_wrong = expected * (1 - np.eye(4))
    require(not np.allclose(answer, only_wrong), "right answers count, too: they stand on the diagonal.")
    require_array(answer, expected, "Entry (i, j) counts class i read as class j.")
    passed()


def check_early_stopping(best_epoch: Callable) -> None:
    """Which epoch to keep."""
    for losses, patience, expected, hint in (
        ([3.0, 2.0, 1.0], 2, 2, "The loss was still falling: the last epoch is the best."),
        ([3.0, 1.0, 2.0, 2.5, 0.5], 2, 1, "Training had stopped before the 0.5 was reached."),
        ([3.0, 1.0, 2.0, 0.5, 0.7], 2, 3, "One bad epoch is within the patience of 2."),
        ([1.0, 1.0, 1.0, 0.1], 2, 0, "A value as low as the lowest is not a new lowest."),
        (
            [3.0, 2.0, 2.5, 1.0, 1.5, 0.5],
            2,
            5,
            "Only epochs *in a row* count: after a new lowest value the count starts again.",
        ),
        ([3.0, 1.0, 2.0, 1.5, 1.2, 0.5], 3, 1, "Compare with the lowest value so far, not with the epoch before."),
        ([2.0, 1.0, 1.5, 0.5], 1, 1, "With a patience of 1, the first epoch without a new lowest value is the last."),
        ([1.0, 2.0], 5, 0, "The first epoch can be the best."),
        ([0.32, 0.31, 0.3, 0.29], 1, 3, "A slightly lower value is a new lowest, too."),
    ):
        answer = as_number(run(best_epoch, list(losses), patience))
        require(
            answer != expected + 1 or expected + 1 < len(losses), f"epochs are counted from 0, you keep {answer:g}."
        )
        require(answer == expected, f"for {losses} with a patience of {patience} you keep {answer:g}. {hint}")
    passed()


def check_shift(augment: Callable) -> None:
    """Random shifts by up to two pixels."""
    rng = np.random.default_rng(3)
    images = rng.integers(1, 256, (400, 9, 11), dtype=np.uint8)
    before = images.copy()
    moved = np.asarray(run(augment, images, np.random.default_rng(0)))
    require(np.array_equal(images, before), "the given images were changed; work on a copy.")
    require(moved.shape == images.shape, f"the shape became {moved.shape}, expected {images.shape}.")
    require(moved.dtype == images.dtype, f"the dtype became {moved.dtype}, expected {images.dtype}.")
    require(not np.array_equal(moved, images), "nothing has moved.")
    wanted = [(r, s) for r in range(-2, 3) for s in range(-2, 3)]
    found = [_shift_of(image, result) for image, result in zip(images, moved, strict=True)]
    require(len(set(found)) > 1, "all images moved alike; draw a shift for each.")
    far = next((shift for shift in found if shift not in wanted), None)
    require(far is None, f"an image moved by {far} pixels; at most 2 was asked for.")
    missing = next((shift for shift in wanted if shift not in found), None)
    require(missing is None, f"some shifts never occur, for example {missing}.")
    again = np.asarray(run(augment, images, np.random.default_rng(0)))
    require(np.array_equal(moved, again), "the same seed gave other shifts: use the rng that you are given.")
    other = np.asarray(run(augment, images, np.random.default_rng(1)))
    require(not np.array_equal(moved, other), "another seed gave the same shifts: draw them from the rng.")
    passed()


def _shift_of(image: np.ndarray, moved: np.ndarray) -> tuple[int, int]:
    """Return how far an image without zeros was moved, (down, across), or raise `WrongAnswer`."""
    H, W = image.shape
    for r, s in np.ndindex(13, 13):
        down, across = r - 6, s - 6
        rolled = np.roll(image, (down, across), axis=(0, 1))
        there = np.zeros((H, W), bool)
        there[max(down, 0) : H + min(down, 0), max(across, 0) : W + min(across, 0)] = True
        if np.array_equal(moved, rolled * there):
            return down, across
        if np.array_equal(moved, rolled):
            raise WrongAnswer("what leaves at one side must not come back at the other.")
        if np.array_equal(moved[there], rolled[there]) and there.any():
            raise WrongAnswer("what moves in at the border must be zero.")
    raise WrongAnswer("an image was changed in another way than by a shift.")
