"""Figures of chapter 12, The data."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

STYLES = ("-", ":", "--")


def draw_centres(image: np.ndarray, r: np.ndarray, s: np.ndarray) -> None:
    """Draw an image, the box of 20 by 20 pixels around its ink and its centre (r[0], s[0]); beside it, all centres."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.3))
    left.imshow(image)
    top, first = (image > 0).any(axis=1).argmax(), (image > 0).any(axis=0).argmax()
    left.add_patch(plt.Rectangle((first - 0.5, top - 0.5), 20, 20, fill=False, edgecolor="C1", linewidth=2))
    left.plot(s[0], r[0], marker="+", markersize=14, markeredgewidth=3, color="C1")
    left.set(title="The box and the centre of mass", xlabel="column", ylabel="row")
    left.grid(False)
    right.scatter(s, r, s=3, alpha=0.5)
    right.set(title="Centres of many digits", xlabel="column", ylabel="row", aspect="equal")
    right.set(xlim=(13, 15), ylim=(15, 13))


def draw_order(shares: dict[str, Sequence[float]]) -> None:
    """Draw, for each section of each set, the share of labels that are followed by their successor."""
    figure, axes = plt.subplots(1, len(shares), figsize=(8, 2.9), sharey=True)
    for axis, (name, share) in zip(axes, shares.items(), strict=True):
        width = 100 / len(share)
        axis.bar((np.arange(len(share)) + 0.5) * width, 100 * np.array(share), width=0.8 * width)
        axis.axhline(10, color="black", linestyle="--", linewidth=1)
        axis.set(xlabel=f"position in the {name} set (%)", title=name.capitalize())
    axes[0].set_ylabel("followed by the next digit (%)")


def draw_counts(train: np.ndarray, test: np.ndarray) -> None:
    """Draw the share of each class in the two sets, from its count."""
    figure, axis = plt.subplots(figsize=(6.4, 2.8))
    for place, count, name in ((-0.2, train, "training"), (0.2, test, "test")):
        axis.bar(np.arange(len(count)) + place, 100 * count / count.sum(), width=0.4, label=name)
    axis.set(xticks=range(len(train)), xlabel="digit", ylabel="share (%)", ylim=(0, 15))
    axis.legend(loc="upper center", ncols=2)


def draw_grey_values(shares: np.ndarray) -> None:
    """Draw the share of pixels that have each of the 256 grey values, eight values to a bar."""
    figure, axis = plt.subplots(figsize=(6.4, 2.8))
    axis.bar(range(0, 256, 8), 100 * shares.reshape(32, 8).sum(axis=1), width=7, align="edge")
    axis.set(yscale="log", ylim=(0.1, 100), xlabel="grey value (in steps of 8)", ylabel="share of all pixels (%)")


def draw_losses(runs: dict[str, Sequence[float]]) -> None:
    """Draw the loss of each step of up to three runs, and what ten equal bets cost."""
    figure, axis = plt.subplots()
    for (name, losses), style in zip(runs.items(), STYLES, strict=False):
        axis.plot(losses, style, label=name)
    axis.axhline(np.log(10), color="black", linewidth=0.8, label="log 10 = 2.3")
    axis.set(yscale="log", xlabel="step", ylabel="loss")
    axis.legend()


def draw_coins(scores: np.ndarray, again: float, tried: Sequence[int], best: dict[int, Sequence[float]]) -> None:
    """Draw the scores of coins, and the best score over how many were tried, for each number of questions.

    Parameters
    ----------
    scores : ndarray of shape (N,)
        The accuracy of each coin on the test that chooses one of them.
    again : float
        What the chosen one scores on a new test.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    left.hist(100 * scores, bins=np.arange(39.5, 61, 1), color="C5")
    left.axvline(100 * scores.max(), color="C1", label="the best, on the test")
    left.axvline(100 * again, color="black", linestyle="--", label="the same, on a new test")
    left.set(xlabel="accuracy (%)", ylabel="coins")
    for (questions, values), style in zip(best.items(), ("o-", "s--"), strict=True):
        right.plot(tried, 100 * np.array(values), style, label=f"{questions:,} questions")
    right.set(xscale="log", xlabel="models compared on the test set", ylabel="the best score (%)")
    for axis in (left, right):
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.3))


def draw_small_and_large(small: np.ndarray, large: np.ndarray) -> None:
    """Draw a row of small images (N, 8, 8), and below it the same digits in another size."""
    figure, axes = plt.subplots(2, len(small), figsize=(7.2, 1.6))
    for image, axis in zip([*small, *large], axes.flat, strict=True):
        axis.imshow(image)
        axis.axis("off")


def draw_pictures(pictures: dict[str, np.ndarray]) -> None:
    """Draw pictures of any sizes side by side, each in a frame and under its name."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(2.2 * len(pictures), 2.1))
    for axis, (title, image) in zip(axes, pictures.items(), strict=True):
        axis.imshow(image)
        axis.set_title(title, loc="center")
        axis.grid(False)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(True)
