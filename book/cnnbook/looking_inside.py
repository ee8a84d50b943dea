"""Chapter 14, Looking inside: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import WrongAnswer, as_array, as_number, passed, require, require_array, require_number, run
from cnnbook.engine import describe
from cnnlib import Network
from cnnlib.plots import RIGHT, WRONG, plot_reliability


def figure_data(network: Network, images: np.ndarray, labels: np.ndarray) -> dict:
    """Return what the live figure starts with: a network, and two digits (28, 28) of each class, as hexadecimal."""
    shown = shown_digits(labels)
    return {
        "network": describe(network),
        "digits": [images[n].tobytes().hex() for n in shown],
        "labels": [int(labels[n]) for n in shown],
        "start": 7,
    }


def shown_digits(labels: np.ndarray) -> list[int]:
    """Return the places of two examples of each class: the first of every class, then the second."""
    return [int(np.flatnonzero(labels == digit)[k]) for k in range(2) for digit in range(10)]


def draw_still(network: Network, images: np.ndarray, labels: np.ndarray) -> None:
    """Draw the digit with which the live figure starts, and its maps."""
    x = network.to_input(images[labels == 7][:1])
    first = Network(network.layers[:2], network.input_shape).forward(x)
    second = Network(network.layers[:5], network.input_shape).forward(x)
    draw_maps(x[0, 0], first[0], second[0])


def draw_reliability(answers: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Draw a reliability diagram for each title, from the confidence (N,) of answers and which are right (N,)."""
    figure, axes = plt.subplots(1, len(answers), figsize=(4 * len(answers), 3.9))
    for axis, (title, (confidence, right)) in zip(axes, answers.items(), strict=True):
        plot_reliability(confidence, right, axis=axis)
        axis.set_title(title)


def _show_maps(maps: np.ndarray, axes: Sequence, cmap: str, low: float, high: float) -> None:
    for index, (values, axis) in enumerate(zip(maps, axes, strict=True)):
        axis.imshow(values, cmap=cmap, vmin=low, vmax=high)
        axis.set_title(str(index), fontsize=9, pad=2, loc="center")
        axis.axis("off")


def draw_filters(W: np.ndarray) -> None:
    """Draw filters (F, K, K) on one scale: positive weights purple, negative ones orange."""
    limit = np.abs(W).max()
    figure, axes = plt.subplots(1, len(W), figsize=(1.2 * len(W), 1.4))
    _show_maps(W, axes, "PuOr", -limit, limit)


def draw_maps(image: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    """Draw an image, the six maps of the first stage beside it, and the sixteen of the second below."""
    figure, axes = plt.subplots(3, 8, figsize=(8.2, 3.2))
    axes[0, 0].imshow(image, vmin=0, vmax=1)
    axes[0, 0].set_title("input", fontsize=9, pad=2, loc="center")
    for axis in axes[0, :2]:
        axis.axis("off")
    _show_maps(first, axes[0, 2:], "magma", 0, first.max())
    _show_maps(second, axes[1:].ravel(), "magma", 0, second.max())
    for some in (axes[:1], axes[1:]):  # one scale for each stage
        figure.colorbar(some[0, -1].get_images()[0], ax=some.ravel().tolist(), fraction=0.02, pad=0.01)


def draw_looks(looks: Sequence[tuple[np.ndarray, str, np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Draw a row for each image (28, 28): itself, a gradient, and what is left when it is covered.

    Parameters
    ----------
    looks : sequence of (image, title, gradient, paper, ink)
        The gradient has the shape (28, 28). The last two, (24, 24), hold the probability that remains when a square
        of 5 by 5 pixels at that place is covered with paper or with ink.
    """
    figure, axes = plt.subplots(len(looks), 4, figsize=(7.4, 1.87 * len(looks)), squeeze=False)
    for row, (image, title, g, paper, ink) in zip(axes, looks, strict=True):
        row[0].imshow(image)
        row[0].set_title(title, loc="center", fontsize=10)
        row[1].imshow(g, cmap="PuOr", vmin=-np.abs(g).max(), vmax=np.abs(g).max())
        for axis, left, name in ((row[2], paper, "with paper"), (row[3], ink, "with ink")):
            mesh = axis.imshow(left, cmap="cividis", vmin=0, vmax=1, extent=(1.5, 25.5, 25.5, 1.5))
            axis.set_title(f"{name}: {left.min():.0%}", loc="center", fontsize=10)
        for axis, color in zip(row[1:], ("black", "white", "white"), strict=True):
            axis.contour(image, levels=[image.max() / 2], colors=color, linewidths=0.8)
        for axis in row:
            axis.set(xlim=(-0.5, 27.5), ylim=(27.5, -0.5))
            axis.axis("off")
    axes[0, 1].set_title("gradient", loc="center", fontsize=10)
    figure.colorbar(mesh, ax=axes[:, 3], label="probability of the digit that remains", shrink=0.6)


def draw_curves(curves: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """Draw accuracy and mean confidence over the amount of each of four changes."""
    figure, axes = plt.subplots(2, 2, figsize=(8, 5), sharey=True)
    for axis, (name, (amounts, accuracy, sure)) in zip(axes.flat, curves.items(), strict=True):
        axis.plot(amounts, 100 * accuracy, marker="o", label="accuracy (%)")
        axis.plot(amounts, 100 * sure, linestyle="--", label="mean confidence (%)")
        axis.axhline(90, color="black", linewidth=0.8, linestyle=":")
        axis.set(xlabel=name, ylim=(0, 103))
    axes[0, 0].legend(loc="lower center")


def draw_answer(image: np.ndarray, p: np.ndarray, label: int) -> None:
    """Draw an image, and the probabilities (M,) that a network gives to its classes; the true one is named."""
    guess = p.argmax()
    color, sign = (RIGHT, "✓") if guess == label else (WRONG, "✗")
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2.4), width_ratios=[1, 2])
    left.imshow(image, vmin=0, vmax=1)
    left.set_title(f"a {label}", loc="center")
    left.axis("off")
    bars = right.bar(range(len(p)), 100 * p, color=[color if index == guess else "#999999" for index in range(len(p))])
    right.bar_label(bars, [f"{int(100 * share + 1e-4)}%" if share >= 0.01 else "" for share in p], fontsize=9)
    right.set(xticks=range(len(p)), xlabel="digit", ylim=(0, 115), yticks=(0, 50, 100))
    right.set_title(f"{sign} read as {guess}", color=color)


def draw_planes(planes: dict[str, np.ndarray], labels: np.ndarray) -> None:
    """Draw points (N, 2), each as the numeral of its label (N,), one plane for each title."""
    figure, axes = plt.subplots(1, len(planes), figsize=(4 * len(planes), 4.2))
    for axis, (title, plane) in zip(axes, planes.items(), strict=True):
        for digit in np.unique(labels):
            some = plane[labels == digit]
            axis.scatter(*some.T, s=26, marker=f"${digit}$", color=f"C{digit % 7}", linewidths=0.3)
        axis.set(xticks=[], yticks=[], title=title)


# The checks of the exercises


def check_rates(function: Callable) -> None:
    """Recall and precision of each class of a confusion matrix."""
    matrix = np.array([[6, 2, 0], [1, 7, 2], [5, 0, 5]])
    expected = np.array([6 / 8, 7 / 10, 5 / 10]), np.array([6 / 12, 7 / 9, 5 / 7])
    recall, precision = (
        as_array(part) for part in _parts(run(function, matrix.copy()), 2, "two arrays, recall and precision")
    )
    swapped = recall.shape == precision.shape == (3,) and np.allclose([precision, recall], expected)
    require(not swapped, "recall and precision are exchanged: recall divides by the row, all that is of the class.")
    require(
        recall.shape != (3,) or not np.allclose(recall, matrix.diagonal() / matrix.sum()),
        "you divided by all examples; each class has a sum of its own.",
    )
    for name, answer, right in (("recall", recall, expected[0]), ("precision", precision, expected[1])):
        require(not np.allclose(answer, 100 * right), f"the {name} is a number from 0 to 1, not a percentage.")
        require(not np.allclose(answer, 1 - right), f"this is 1 minus the {name}.")
    require_array(recall, expected[0], "Recall is the diagonal by the sums of the rows.")
    require_array(precision, expected[1], "Precision is the diagonal by the sums of the columns.")
    passed("A row tells what becomes of a class, a column what is behind an answer.")


def _parts(answer, count: int, names: str) -> tuple | list | np.ndarray:
    """Return an answer of several parts, or raise `WrongAnswer` if it does not have as many."""
    require(isinstance(answer, tuple | list | np.ndarray) and np.shape(answer)[:1] == (count,), f"expected {names}.")
    return answer


def check_top(function: Callable) -> None:
    """The share of examples whose class is among the k most probable."""
    # The true classes are, in this order, the second, last, second, first, first and first choice.
    p = np.array([[5, 3, 2, 0], [1, 2, 3, 4], [4, 1, 2, 3], [2, 4, 3, 1], [6, 3, 1, 0], [0, 1, 3, 6]]) / 10
    labels = np.array([1, 0, 3, 1, 0, 3])
    for k, expected in ((1, 3 / 6), (2, 5 / 6), (3, 5 / 6), (4, 1.0)):
        share = as_number(run(function, p.copy(), labels.copy(), k))
        worst = np.mean(np.any(np.argsort(p, axis=1)[:, :k] == labels[:, np.newaxis], axis=1))
        require(
            np.isclose(share, expected) or not np.isclose(share, worst),
            "these are the k classes of *lowest* probability: argsort begins with the smallest.",
        )
        exactly = np.mean(np.argsort(-p, axis=1)[:, k - 1] == labels)
        require(
            np.isclose(share, expected) or not np.isclose(share, exactly),
            f"only the guess in place {k} was looked at, not the first {k}.",
        )
        require(
            not np.isclose(share, 6 * expected) or k > 3,
            "this is the number of hits; divide by the number of examples.",
        )
        one_off = np.mean(np.any(np.argsort(p, axis=1)[:, -k - 1 :] == labels[:, np.newaxis], axis=1))
        require(np.isclose(share, expected) or not np.isclose(share, one_off), f"these are {k + 1} classes, not {k}.")
        require_number(share, expected, f"Count the examples whose class is among the {k} most probable.")
    passed("The second guess is worth something.")


def check_refuse(function: Callable) -> None:
    """Answering only when sure."""
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55], [0.6, 0.4]])
    labels = np.array([0, 1, 1, 1, 1])
    for threshold, answered, accuracy in ((0.0, 1.0, 3 / 5), (0.65, 3 / 5, 2 / 3), (0.8, 2 / 5, 1 / 2)):
        answer = _parts(run(function, p.copy(), labels.copy(), threshold), 2, "two numbers, share and accuracy")
        share, hits = (as_number(part) for part in answer)
        require(
            not np.isclose(share, 1 - answered) or np.isclose(answered, 0.5),
            "this is the share that is refused; the share that is answered comes first.",
        )
        require(
            threshold != 0.8 or not np.isclose(share, 1 / 5),
            "an answer with a confidence of exactly the threshold is given, not refused.",
        )
        exchanged = np.isclose(share, accuracy) and np.isclose(hits, answered)
        require(not exchanged or np.isclose(share, answered), "the share comes first, then the accuracy.")
        require(not np.isclose(share, 5 * answered), "this is a number of examples; divide by their number.")
        require_number(share, answered, f"Count the answers with a confidence of {threshold:.0%} or more.")
        overall = accuracy * answered
        require(
            np.isclose(overall, accuracy) or not np.isclose(hits, overall),
            "the accuracy is the share of the *answered* examples that are right, not of all.",
        )
        require_number(hits, accuracy, f"Of the ones answered at {threshold:.0%}, count those that are right.")
    share, hits = (as_number(part) for part in _parts(run(function, p, labels, 0.95), 2, "two numbers"))
    require(share == 0 and np.isnan(hits), f"where none is answered, expected (0, nan), got ({share}, {hits}).")
    passed("Fewer answers, and better ones.")


def check_strongest(function: Callable) -> None:
    """Where a filter gives its largest value."""
    rng = np.random.default_rng(3)
    maps = rng.standard_normal((5, 4, 6, 7))
    for f in range(4):
        n, r, s = np.unravel_index(maps[:, f].argmax(), (5, 6, 7))
        answer = tuple(as_array(run(function, maps.copy(), f)).ravel().tolist())
        require(len(answer) == 3, f"expected (n, r, s), three numbers; got {len(answer)}.")
        require(
            answer != tuple(np.unravel_index(np.abs(maps[:, f]).argmax(), (5, 6, 7))) or answer == (n, r, s),
            "this is the largest absolute value; a strongly negative answer is the opposite of excitement.",
        )
        require(
            answer != tuple(np.unravel_index(maps[f].argmax(), (4, 6, 7))) or answer == (n, r, s),
            "you took image f; the second axis counts the filters.",
        )
        require(answer != (n, s, r) or r == s, "row and column are exchanged.")
        require(answer == (n, r, s), f"at {answer}, filter {f} does not give its largest value.")
    passed("Image, row and column.")


def check_paired(function: Callable) -> None:
    """Comparing two networks on the same images."""
    first = np.array([True] * 90 + [False] * 10)
    second = np.array([True] * 81 + [False] * 9 + [True] * 4 + [False] * 6)
    answer = _parts(run(function, first.copy(), second.copy()), 3, "three numbers: a, b and the difference")
    a, b, difference = (as_number(part) for part in answer)
    require((a, b) != (90, 85), "these are all right answers; count the images that *only one* of them reads.")
    require((a, b) != (4, 9), "a and b are exchanged: a belongs to the first.")
    require((a, b) != (10, 15), "these are mistakes; count the images that only one of them reads.")
    require((a, b) != (0.09, 0.04), "these are shares; counts were asked for.")
    require(
        (a, b) == (9, 4), f"got a = {a:g} and b = {b:g}: which images does only the first read, which only the second?"
    )
    require(
        not np.isclose(difference, -5 / np.sqrt(13)),
        "the sign is wrong: a difference in favour of the first is positive.",
    )
    require(not np.isclose(difference, 5 / np.sqrt(100)), "only the images on which they differ count under the root.")
    require(not np.isclose(difference, 5 / 13), "divide by the root of a + b, which is the standard deviation.")
    require_number(difference, 5 / np.sqrt(13), "It is (a - b) / sqrt(a + b).")
    try:
        with np.errstate(invalid="ignore", divide="ignore"):
            difference = as_number(_parts(function(first, first), 3, "three numbers")[2])
    except ZeroDivisionError:
        raise WrongAnswer("two equal networks raise a ZeroDivisionError; the difference is 0 then.") from None
    require(difference == 0, f"for two equal networks the difference is {difference}, expected 0.")
    a, b, difference = (as_number(part) for part in _parts(run(function, second, first), 3, "three numbers"))
    signed = (a, b) == (4, 9) and np.isclose(difference, -5 / np.sqrt(13))
    require(signed, f"with the networks exchanged, expected 4, 9 and a negative difference; got {difference:.3g}.")
    passed(f"{5 / np.sqrt(13):.1f} standard deviations: 90 and 85 of 100 may still be chance.")


def check_temperature(function: Callable) -> None:
    """The temperature with the smallest cross-entropy."""
    rng = np.random.default_rng(6)
    for true in (0.4, 1.0, 3.0):
        z, labels = _scores(rng, true)
        before = z.copy()
        require(callable(function), f"expected a function, got {type(function).__name__}.")
        with np.errstate(over="raise", invalid="raise"):
            try:
                answer = as_number(function(z, labels))
            except FloatingPointError:
                raise WrongAnswer("the exponential overflowed: subtract the largest score of each row first.") from None
            except (TypeError, ValueError, ZeroDivisionError) as error:
                raise WrongAnswer(f"your code stops with {type(error).__name__}: {error}") from error
        require(np.array_equal(z, before), "the given scores were changed; work on a copy.")
        require(bool(np.isfinite(answer)), f"the answer is {answer}.")
        best = _best(z, labels)
        require(abs(answer * best - 1) > 0.02 or abs(best - 1) < 0.1, "this is 1/τ: divide the scores by τ.")
        require(
            abs(answer / best - 1) < 0.02,
            f"τ = {answer:.3f} does not have the smallest loss. Try values in equal ratios, from 0.05 to 20.",
        )
    passed("The answers stay, the percentages become honest.")


def _scores(rng: np.random.Generator, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (N, 5), far from 0, whose softmax is right after a division by `temperature`, and labels."""
    z = 2 * rng.standard_normal((3000, 5))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    labels = (p.cumsum(axis=1) < rng.random((len(z), 1))).sum(axis=1).clip(max=4)
    return temperature * z + 900, labels


def _best(z: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature, by Newton's way to where the derivative of the loss by 1/τ is 0."""
    z = z - z.max(axis=1, keepdims=True)
    inverse = 1.0
    for _ in range(50):
        p = np.exp(inverse * z)
        p /= p.sum(axis=1, keepdims=True)
        mean = (p * z).sum(axis=1)
        slope = np.mean(mean - z[np.arange(len(z)), labels])
        curvature = np.mean((p * z**2).sum(axis=1) - mean**2)
        inverse = max(inverse - slope / curvature, inverse / 2)
    return 1 / inverse
