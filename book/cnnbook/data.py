"""Chapter 12, The data: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import WrongAnswer, as_array, as_number, passed, require, require_array, require_number, run
from cnnbook.engine import describe
from cnnlib import Network

STYLES = ("-", ":", "--")


def frame_figure(network: Network, drawings: Sequence[Sequence[np.ndarray]], start: int) -> dict:
    """Return what the live figure needs: the network that reads, and the strokes of each digit from 0 to 9."""
    strokes = [[np.round(stroke, 1).tolist() for stroke in drawing] for drawing in drawings]
    return {"network": describe(network, "float16"), "drawings": strokes, "start": start}


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


# The checks of the exercises


def check_lazy(function: Callable) -> None:
    """The accuracy of always answering with the class that is most frequent in training."""
    train, test = np.array([3, 3, 3, 0, 1, 1]), np.array([1, 1, 1, 1, 1, 3, 3, 0])
    share = as_number(run(function, train, test))
    require(share != 2, "this is the number of right answers; divide by the number of test images.")
    require(share != 5 / 8, "this class is the most frequent of the test part, which may not choose the answer.")
    require(share != 3 / 6, "this is the accuracy on the training part.")
    require(share != 3 / 4, "this is the share of wrong answers.")
    require(share != 25, "this is a percentage; the accuracy is a number from 0 to 1.")
    require(share != 1 / 8, "this is not the most frequent class of the training part.")
    require_number(share, 2 / 8, "Find the class on the training labels, and count it among the test labels.")
    train, test = np.array([7, 2, 9, 2, 0, 2]), np.array([2, 7, 9, 2, 2])
    hint = "It is right for one pair of label arrays and wrong for another: count, by np.bincount."
    require_number(run(function, train, test), 3 / 5, hint)
    passed("Anything worth training does better.")


def check_size(count: float) -> None:
    """How many test images make two standard deviations 0.1 percentage points, at an accuracy of 99 %."""
    count = as_number(count)
    require(not np.isclose(count, 9_900, rtol=1e-3), "this makes one standard deviation 0.1 points, not two.")
    require(not np.isclose(count, 3.96, rtol=1e-3), "0.1 percentage points are 0.001, not 0.1.")
    require(not np.isclose(count, 0.0099 / 0.0005, rtol=1e-3), "the root is missing: square both sides to solve for N.")
    require(
        not np.isclose(count, 39_600 / 0.99, rtol=1e-3), "the variance of a share is p (1 - p) / N, with both factors."
    )
    require(not np.isclose(count, 158_400, rtol=1e-3), "this makes four standard deviations 0.1 points, not two.")
    require_number(count, 39_600, "The standard deviation is the root of p (1 - p) / N, with p = 0.99.", 1e-3)
    passed(f"{count:,.0f} images, four times as many as MNIST has.")


def _idx(*shape: int) -> tuple[bytes, np.ndarray]:
    """Return a file of that shape, and what it holds."""
    values = (np.arange(np.prod(shape)) * 7 % 256).astype(np.uint8)
    lengths = b"".join(size.to_bytes(4, "big") for size in shape)
    return bytes([0, 0, 8, len(shape)]) + lengths + values.tobytes(), values.reshape(shape)


def check_read_idx(function: Callable) -> None:
    """Reading an IDX file of bytes."""
    for shape in ((5,), (3, 2, 4), (300, 2), (70_000,), (1, 2, 1, 3, 2)):
        content, expected = _idx(*shape)
        answer = run(function, content)
        require(isinstance(answer, np.ndarray), f"expected an ndarray, got {type(answer).__name__}.")
        require(answer.dtype == np.uint8, f"the values are bytes, uint8; yours are {answer.dtype}.")
        require(
            answer.size != expected.size + 4 * len(shape) and answer.size != expected.size + 4 + 4 * len(shape),
            "the header came out as values; skip its 4 + 4 * axes bytes.",
        )
        require(answer.shape == expected.shape, f"the shape is {answer.shape}, expected {expected.shape}.")
        require(np.array_equal(answer, expected), f"the values of a file of shape {shape} are wrong.")
    content = _idx(3, 2, 4)[0]
    for what, wrong in (
        ("ends early", content[:-1]),
        ("has a byte too many", content + b"\0"),
        ("has a whole image too many", content + bytes(8)),
        ("lacks a whole image", content[:-8]),
        ("holds integers of four bytes (type 12)", content[:2] + b"\x0c" + content[3:]),
        ("begins with other bytes", b"PK" + content[2:]),
        ("has a 1 for its first byte", b"\1" + content[1:]),
        ("ends within its header", content[:9]),
        ("is empty", b""),
    ):
        try:
            function(wrong)
        except ValueError:
            continue
        except Exception as error:
            raise WrongAnswer(
                f"a file that {what} raised {type(error).__name__}; a ValueError was asked for."
            ) from error
        raise WrongAnswer(f"a file that {what} was accepted.")
    passed("And what does not fit is refused.")


def check_split(function: Callable) -> None:
    """A random split that takes the same share of every class."""
    labels = np.repeat([1, 4, 7], [200, 53, 11])  # in order, as such files often are
    parts = run(function, labels.copy(), 0.2, np.random.default_rng(0))
    require(isinstance(parts, tuple | list) and len(parts) == 2, "expected two arrays of positions: train, validation.")
    train, validation = (_positions(part) for part in parts)
    everything = np.sort(np.concatenate([train, validation]))
    if not np.array_equal(everything, np.arange(len(labels))):
        require(len(np.unique(everything)) == len(everything), "some positions occur twice, or in both parts.")
        raise WrongAnswer(f"{len(everything)} positions came back, from 0 to 263 each one was expected.")
    counts = [int(np.sum(labels[validation] == label)) for label in (1, 4, 7)]
    require(sum(counts) != 211, "training and validation are exchanged: training comes first.")
    require(
        counts == [40, 11, 2],
        f"validation has {counts} examples of three classes of 200, 53 and 11: a fifth of each was asked for, rounded.",
    )
    again = _positions(run(function, labels, 0.2, np.random.default_rng(1))[1])
    require(set(again) != set(validation), "another seed gave the same split: the choice is not random.")
    same = _positions(run(function, labels, 0.2, np.random.default_rng(0))[1])
    require(set(same) == set(validation), "the same seed gave another split: use the rng that you are given.")
    for label, first in ((1, 0), (4, 200)):  # a block of neighbours, from a random start, is no random choice
        places = np.sort(validation[labels[validation] == label]) - first
        require(
            places.max() - places.min() >= 2 * len(places), "each class gives a block of neighbours, not a random part."
        )
        require(np.ptp(np.diff(places)) > 0, "the places are equally far apart: a random start is no random part.")
    passed("Every class gives its share.")


def _positions(part) -> np.ndarray:
    """Return an answer as positions in an array."""
    positions = as_array(part)
    require(positions.ndim == 1, f"expected positions, (n,), got an array of shape {positions.shape}.")
    require(bool((positions == positions.round()).all()), "positions are whole numbers.")
    return positions.astype(int)


def check_standardise(function: Callable) -> None:
    """Mean 0 and standard deviation 1 on the training part, and the same map on the test part."""
    rng = np.random.default_rng(2)
    train = rng.integers(0, 200, (40, 6, 5), dtype=np.uint8)
    test = rng.integers(100, 256, (20, 6, 5), dtype=np.uint8)
    before = train.copy(), test.copy()
    parts = run(function, train, test)
    require(isinstance(parts, tuple | list) and len(parts) == 2, "expected two arrays: the training and the test part.")
    first, second = map(np.asarray, parts)
    unchanged = np.array_equal(train, before[0]) and np.array_equal(test, before[1])
    require(unchanged, "the given arrays were changed; work on copies.")
    for name, answer, given in (("training", first, train), ("test", second, test)):
        require(answer.shape == given.shape, f"the {name} part has the shape {answer.shape}, expected {given.shape}.")
        require(answer.dtype == np.float32, f"the {name} part is {answer.dtype}; float32 was asked for.")
    require(
        abs(first.mean()) < 1e-3 or abs(first.std() - 1) > 1e-3,
        f"the mean of the training part is {first.mean():.3f}, expected 0.",
    )
    require(
        not np.allclose(first, (train - train.mean()) / train.var(), atol=1e-4),
        "divide by the standard deviation, not by the variance.",
    )
    joint = np.concatenate([train, test]).astype(float)
    require(
        not np.allclose(first, (train - joint.mean()) / joint.std(), atol=1e-3),
        "mean and deviation come from both parts together: the test part has leaked in.",
    )
    require(
        not np.allclose(first, (train - train.mean(axis=0)) / train.std(axis=0), atol=1e-3),
        "each pixel has a mean of its own here; all training pixels together were asked for.",
    )
    require_array(first, (train - train.mean()) / train.std(), "Subtract the mean, then divide.", 2e-3)
    require(
        not np.allclose(second, (test - test.mean()) / test.std(), atol=1e-3),
        "the test part was standardised by its own numbers; use those of the training part.",
    )
    require_array(second, (test - train.mean()) / train.std(), "Use the numbers of the training part.", 2e-3)
    passed("The test part had no say.")


def check_centre(function: Callable) -> None:
    """Moving the ink so that its centre of mass is in the middle."""
    rng = np.random.default_rng(4)
    empty = as_array(run(function, np.zeros((28, 28), np.uint8)))
    require(empty.shape == (28, 28) and not empty.any(), "an empty image must stay empty.")
    for case in range(40):
        image = np.zeros((28, 28), np.uint8)
        height, width = rng.integers(3, 24, 2)
        top, left = rng.integers(0, 29 - height), rng.integers(0, 29 - width)
        image[top : top + height, left : left + width] = rng.integers(1, 256, (height, width))
        if case >= 20:  # most of the mass at one end: it cannot always come into the middle without a loss
            image[top + 1 : top + height, left : left + width] = 1
        before = image.copy()
        moved = np.asarray(run(function, image))
        require(np.array_equal(image, before), "the given image was changed; work on a copy.")
        require(moved.shape == (28, 28), f"the shape became {moved.shape}.")
        require(
            np.array_equal(np.sort(moved[moved > 0]), np.sort(image[image > 0])),
            "ink got lost or was changed on the way: limit the shift, so that nothing leaves the field.",
        )
        expected = _centred(image)
        if not np.array_equal(moved, expected):
            (r, s), (a, b) = _centre_of_mass(moved), _centre_of_mass(expected)
            require((r, s) != _centre_of_mass(image), "nothing has moved.")
            require(
                not np.array_equal(moved, _centred(image, middle=13.5)),
                "this is the middle of the field, 13.5; MNIST's is the pixel (14, 14).",
            )
            require(
                not np.array_equal(moved, _centred(image, limit=False)),
                "what leaves at one side comes in again at the other: limit the shift.",
            )
            raise WrongAnswer(f"a centre of mass came to ({r:.2f}, {s:.2f}), where ({a:.2f}, {b:.2f}) is possible.")
    passed("The ink is where MNIST would have put it.")


def _centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    mass = image.sum(dtype=float)
    positions = np.arange(28)
    return positions @ image.sum(axis=1, dtype=float) / mass, positions @ image.sum(axis=0, dtype=float) / mass


def _centred(image: np.ndarray, middle: float = 14, limit: bool = True) -> np.ndarray:
    shifts = []
    for axis, centre in enumerate(_centre_of_mass(image)):
        inked = np.flatnonzero(image.any(axis=1 - axis))
        shift = np.floor(middle - centre + 0.5)
        shifts.append(int(np.clip(shift, -inked[0], 27 - inked[-1]) if limit else shift))
    return np.roll(image, shifts, axis=(0, 1))  # nothing comes round if the shifts are limited
