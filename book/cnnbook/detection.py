"""Chapter 19, Detection: the network, its long run, figures, and the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from PIL import Image

import cnnlib
from cnnbook import engine
from cnnbook.beyond import Experiment, Networks
from cnnbook.checking import passed, require, require_number
from cnnlib import Adam, BatchNormalization, Convolutional, MaxPooling, Network, ReLU
from cnnlib.digits.detection import (
    CELL,
    CENTRE,
    CLASS,
    GRID,
    LOG_SIZE,
    OBJECT,
    decode,
    encode,
    iou,
    mean_average_precision,
    suppress,
)
from cnnlib.digits.scenes import INK, SIZE, Scenes, make_scenes
from cnnlib.losses import LossPart, MeanSquaredError, SigmoidCrossEntropy, SoftmaxCrossEntropy, SumOfLosses
from cnnlib.schedules import one_cycle

VALIDATION = 5_000  # of the digits to train with, kept back to choose settings with
SCENES, EPOCHS = 42_000, 5  # of the long run
LOW = 0.05  # the threshold for average precision, which counts what is unsure, too


def build_detector(seed: int = 0) -> Network:
    """Return a new detector: scenes (N, 1, 64, 64) to a grid of answers (N, 15, 8, 8)."""
    rng = np.random.default_rng(seed)

    def block(channels: int, filters: int, kernel_size: int = 3) -> list:
        convolution = Convolutional(channels, filters, kernel_size, padding=kernel_size // 2, rng=rng)
        return [convolution, BatchNormalization(filters), ReLU()]

    layers = [*block(1, 24, 5), MaxPooling(), *block(24, 48), MaxPooling(), *block(48, 64), *block(64, 64)]
    layers += [MaxPooling(), *block(64, 96), *block(96, 96), Convolutional(96, 15, 1, rng=rng)]
    layers[-1].b[OBJECT] = -3  # at first, the answer is "there is no digit" everywhere, which is nearly right
    return Network(layers, (1, 64, 64))


def detector_loss() -> SumOfLosses:
    """Return the loss of a detector: is there a digit, everywhere; where, how large and which, where there is one."""
    return SumOfLosses(
        [
            LossPart(OBJECT, SigmoidCrossEntropy()),
            LossPart(slice(CENTRE.start, LOG_SIZE.stop), MeanSquaredError(), scale=5.0, where=0),
            LossPart(CLASS, SoftmaxCrossEntropy(), where=0),
        ]
    )


def split(part: str, count: int, seed: int = 0, **rules) -> Scenes:
    """Return scenes of "training", "validation" or "test"; no digit is in two of them."""
    data = cnnlib.load_mnist(fallback=True)
    kept_back = min(VALIDATION, len(data.train_images) // 5)
    images, labels = {
        "training": (data.train_images[:-kept_back], data.train_labels[:-kept_back]),
        "validation": (data.train_images[-kept_back:], data.train_labels[-kept_back:]),
        "test": (data.test_images, data.test_labels),
    }[part]
    rng = np.random.default_rng([seed, ("training", "validation", "test").index(part)])
    return make_scenes(images, labels, count, rng, **rules)


def train_detector(network: Network, scenes: Scenes, epochs: int, seed: int = 0, progress: bool = False) -> dict:
    """Train a detector, in place, and return the history."""
    return network.train(
        scenes.images,
        encode(scenes),
        epochs=epochs,
        batch_size=32,
        optimizer=Adam(3e-3),
        schedule=one_cycle,
        loss=detector_loss(),
        seed=seed,
        progress=progress,
    )


def precision_of(network: Network, scenes: Scenes) -> tuple[float, float]:
    """Return the mean average precision at an IoU of 0.5 and at one of 0.75."""
    found = decode(network.predict(scenes.images), LOW)
    return mean_average_precision(found, scenes, 0.5), mean_average_precision(found, scenes, 0.75)


def _train(networks: Networks, seed: int) -> None:
    train_detector(networks["detector"], split("training", SCENES, seed), EPOCHS, seed)


def _measure(networks: Networks) -> dict[str, float]:
    names = ("detection_map50", "detection_map75")
    return dict(zip(names, precision_of(networks["detector"], split("test", 1_000)), strict=True))


EXPERIMENTS = {"detection": Experiment(lambda seed: {"detector": build_detector(seed)}, _train, _measure)}


def start_scene() -> tuple[np.ndarray, list[dict], list[tuple[int, ...]]]:
    """Return the scene (64, 64) of the live figure, its ten digits to place, and those placed there.

    The last are (digit, top, left, height).
    """
    data = cnnlib.load_mnist(fallback=True)
    stamps = []
    for digit in range(10):
        image = data.test_images[np.flatnonzero(data.test_labels == digit)[3]]
        rows, columns = (np.flatnonzero((image >= INK).any(axis=axis)) for axis in (1, 0))
        cut = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        stamps.append({"height": len(cut), "width": cut.shape[1], "pixels": cut.tobytes().hex()})
    start = [(3, 6, 6, 26), (8, 34, 36, 22), (5, 36, 8, 18)]  # digit, top, left, height
    x = np.zeros((SIZE, SIZE), np.uint8)
    for digit, top, left, height in start:
        stamp = stamps[digit]
        cut = np.frombuffer(bytes.fromhex(stamp["pixels"]), np.uint8).reshape(stamp["height"], stamp["width"])
        ink = np.asarray(Image.fromarray(cut).resize((width_of(stamp, height), height), Image.Resampling.BILINEAR))
        part = x[top : top + height, left : left + ink.shape[1]]
        np.maximum(part, ink, out=part)
    return x, stamps, start


def figure_data(network: Network) -> dict:
    """Return what the live figure needs: the network in 8 bits, digits to place, and how to read the output."""
    x, stamps, start = start_scene()
    y = engine.in_8_bits(network).predict(x[np.newaxis])[0].ravel()  # so that the page need not compute to begin with
    return {"network": engine.describe(network, "int8"), "stamps": stamps, "start": start, "max_iou": 0.45, "y": y}


def width_of(stamp: dict, height: int) -> int:
    """Return how wide a digit is at that height."""
    return max(1, min(SIZE, round(height * stamp["width"] / stamp["height"])))


# Figures

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # of boxes, one after the other


def add_scene(axis, image: np.ndarray, boxes, labels, scores=None, **style) -> None:
    """Draw a scene with its boxes, and above each its class and, if there are any, its score."""
    axis.imshow(image, vmin=0, vmax=255)
    axis.grid(False)
    axis.set(xticks=[], yticks=[])
    for index, ((top, left, bottom, right), label) in enumerate(zip(boxes, labels, strict=True)):
        color = COLORS[index % len(COLORS)]
        axis.add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, ec=color, lw=1.8, **style)
        )
        text = f"{label}" if scores is None else f"{label}: {scores[index]:.2f}"
        below = top < 6
        axis.text(
            left,
            bottom if below else top - 1,
            text,
            color=color,
            size=10,
            weight="bold",
            va="top" if below else "bottom",
        )


def draw_scenes(scenes: Scenes, found: Sequence | None = None) -> None:
    """Draw scenes side by side, with the true boxes or, if there are any, with what was found."""
    found = list(zip(scenes.boxes, scenes.labels, strict=True)) if found is None else found
    figure, axes = plt.subplots(1, len(scenes), figsize=(2.5 * len(scenes), 2.7), squeeze=False)
    for axis, image, answer in zip(axes[0], scenes.images, found, strict=True):
        add_scene(axis, image, *answer)


def draw_start(network: Network) -> None:
    """Draw the scene with which the live figure starts, and what the network finds there."""
    x, *_ = start_scene()
    boxes, labels, scores = decode(network.predict(x[np.newaxis]))[0]
    figure, axis = plt.subplots(figsize=(4, 4))
    add_scene(axis, x, boxes, [""] * len(boxes))
    for index, (top, left, *_) in enumerate(boxes):
        axis.text(left, top - 1, f"{labels[index]}: {scores[index]:.2f}", color=COLORS[index], weight="bold")


def draw_targets(image: np.ndarray, boxes: np.ndarray, t: np.ndarray) -> None:
    """Draw a scene with its grid, the cells that answer and the centres of the digits; beside it, the first target."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.6))
    add_scene(left, image, boxes, [""] * len(boxes))
    for edge in range(CELL, SIZE, CELL):
        left.axhline(edge - 0.5, color="#8C8C8C", linewidth=0.6)
        left.axvline(edge - 0.5, color="#8C8C8C", linewidth=0.6)
    for row, column in np.argwhere(t[0]):
        corner = (CELL * column - 0.5, CELL * row - 0.5)
        left.add_patch(Rectangle(corner, CELL, CELL, color="#E69F00", alpha=0.35, lw=0))
        down, across = (np.array([row, column]) + t[CENTRE, row, column]) * CELL - 0.5
        left.plot(across, down, "o", color="#D55E00")
    left.set_title("cells that answer", loc="center")
    right.imshow(t[0])
    right.grid(False)
    right.set(xticks=range(GRID), yticks=range(GRID))
    right.set_title("target 0", loc="center")


def draw_precision_recall(found: list, scenes: Scenes, ious: Sequence[float]) -> None:
    """Draw precision over recall for all classes together, a line for each IoU that is asked for."""
    figure, axis = plt.subplots(figsize=(6.4, 3.4))
    for min_iou, style in zip(ious, ("-", "--", ":"), strict=True):
        entries = sorted(
            (-score, hit)
            for (_, _, scores), hits in zip(found, hits_of(found, scenes, min_iou), strict=True)
            for score, hit in zip(scores, hits, strict=True)
        )
        hits = np.cumsum([hit for _, hit in entries])
        axis.plot(
            hits / sum(map(len, scenes.labels)), hits / np.arange(1, len(hits) + 1), style, label=f"IoU {min_iou}"
        )
    axis.set(xlabel="recall", title="Precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axis.legend(loc="lower left")


def hits_of(found: list, scenes: Scenes, min_iou: float) -> list[np.ndarray]:
    """Return, for each scene, which of the found boxes are right."""
    result = []
    for (boxes, labels, _), truth, classes in zip(found, scenes.boxes, scenes.labels, strict=True):
        overlaps, hits = iou(boxes, truth), np.zeros(len(boxes), bool)
        overlaps *= labels[:, np.newaxis] == classes
        for index in range(len(boxes)):  # surest first
            best = overlaps[index].argmax()
            hits[index] = overlaps[index, best] >= min_iou
            if hits[index]:
                overlaps[:, best] = 0
        result.append(hits)
    return result


def judge(boxes: np.ndarray, labels: np.ndarray, truth: np.ndarray, classes: np.ndarray) -> tuple[list[str], int]:
    """Return what became of every digit of a scene, and how many boxes are left over."""
    fate, left_over = ["missed"] * len(truth), []
    overlaps = iou(boxes, truth)
    for name, least, same in (("found", 0.5, True), ("wrong class", 0.5, False), ("box too far off", 0.1, False)):
        for index in range(len(boxes)):
            if index in left_over:
                continue
            fits = [
                (overlaps[index, k], k)
                for k in range(len(truth))
                if fate[k] == "missed" and overlaps[index, k] >= least and (labels[index] == classes[k] or not same)
            ]
            if fits:
                fate[max(fits)[1]] = name
                left_over.append(index)
    return fate, len(boxes) - len(left_over)


def count_errors(found: list, scenes: Scenes) -> dict[str, int]:
    """Return how many digits are found, and how many are not, by reason; and how many boxes belong to no digit."""
    counts = dict.fromkeys(("found", "wrong class", "box too far off", "missed", "extra boxes"), 0)
    for (boxes, labels, _), truth, classes in zip(found, scenes.boxes, scenes.labels, strict=True):
        fates, extra = judge(boxes, labels, truth, classes)
        for fate in fates:
            counts[fate] += 1
        counts["extra boxes"] += extra
    return counts


def draw_errors(found: list, scenes: Scenes) -> None:
    """Draw the four scenes with the most errors: true boxes dashed, found boxes solid with class and score."""
    errors = []
    for (boxes, labels, _), truth, classes in zip(found, scenes.boxes, scenes.labels, strict=True):
        fates, extra = judge(boxes, labels, truth, classes)
        errors.append(extra + sum(fate != "found" for fate in fates))
    worst = np.argsort(-np.array(errors), kind="stable")[:4]
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.7))
    for axis, index in zip(axes, worst, strict=True):
        boxes, labels, scores = found[index]
        add_scene(axis, scenes.images[index], scenes.boxes[index], [""] * len(scenes.boxes[index]), linestyle=":")
        add_scene(axis, scenes.images[index], boxes, labels, scores)


# The checks of the exercises


def check_target(answer: Sequence[float]) -> None:
    """Row, column, centre down and right, logarithms of height and width for the box (16, 8, 40, 20)."""
    require(len(answer) == 6, f"expected six numbers, got {len(answer)}.")
    row, column, down, right, height, width = map(float, answer)
    require((row, column) != (1, 3), "row and column are swapped: the first number of a box is its top.")
    require((row, column) != (2, 1), "this is the cell of the corner; the cell of the centre answers.")
    require((row, column) == (3, 1), f"the centre is not in cell ({row:g}, {column:g}). It is at (28, 14) in pixels.")
    require((down, right) != (0.75, 0.5), "down comes first, then right.")
    require((down, right) != (4, 6), "these are pixels; one cell is 1.")
    require((down, right) != (3.5, 1.75), "count from the corner of the cell, not of the image.")
    require(np.allclose((down, right), (0.5, 0.75)), f"({down:g}, {right:g}) is not where the centre lies in its cell.")
    sizes = np.array([24, 12])
    require(
        not np.allclose((height, width), np.log(sizes)), "divide by the typical size, 20 pixels, before the logarithm."
    )
    require(not np.allclose((height, width), sizes / 20), "the logarithm of these is the target.")
    require(not np.allclose((width, height), np.log(sizes / 20), atol=2e-3), "height comes first, then width.")
    require(np.allclose((height, width), np.log(sizes / 20), atol=2e-3), "the digit is 24 pixels high and 12 wide.")
    passed("A cell has learned where to point.")


def check_iou(value: float) -> None:
    """The IoU of (0, 0, 20, 10) and (10, 5, 30, 15)."""
    require(isinstance(value, int | float | np.number), f"expected a number, got {type(value).__name__}")
    require(value <= 1, f"{value:g} is an area; divide the intersection by the union.")
    require(abs(value - 50 / 200) > 1e-6, "this is the share of one box; the union of both is larger.")
    require(abs(value - 50 / 400) > 1e-6, "the intersection was counted twice in the union.")
    require(
        abs(value - 350 / 50) > 1e-6 and abs(value - 6 * 11 / (231 + 231 - 66)) > 1e-6, "bottom and right lie outside."
    )
    require_number(value, 50 / 350, "The boxes are 20 by 10; they share 10 by 5.", 1e-3)
    passed("One seventh, although a quarter of each box is shared.")


def check_suppress(function: Callable) -> None:
    """Suppression among boxes of one class: ``function(boxes, labels, scores, max_iou)``."""
    boxes = np.array([[0, 0, 20, 20], [0, 2, 20, 22], [0, 1, 20, 21], [0, 30, 20, 50]], float)
    labels, scores = np.array([3, 3, 5, 3]), np.array([0.8, 0.9, 0.7, 0.95])
    kept = np.asarray(function(boxes, labels, scores, 0.45))
    require(kept.ndim == 1 and len(kept) == len(set(kept.tolist())), "return the number of each kept box once.")
    require(kept.dtype != bool, "return the numbers of the kept boxes, not a mask.")
    require(2 in kept, "a 5 was suppressed by a 3; only boxes of one class are rivals.")
    require(0 not in kept, "two boxes of class 3 overlap by 0.82, and both were kept.")
    require(kept.tolist() != [1, 2, 3], "surest first: the order is that of the scores.")
    require(kept.tolist() == [3, 1, 2], f"kept {kept.tolist()}; expected [3, 1, 2].")
    require(len(function(boxes[:0], labels[:0], scores[:0], 0.45)) == 0, "of no boxes, none is kept.")
    rng = np.random.default_rng(19)
    for _ in range(20):
        corner, size = rng.uniform(0, 40, (12, 2)), rng.uniform(5, 24, (12, 2))
        boxes, labels, scores = np.hstack([corner, corner + size]), rng.integers(0, 3, 12), rng.permutation(12) / 12
        each = [np.flatnonzero(labels == label) for label in range(3)]
        expected = np.concatenate([index[suppress(boxes[index], scores[index], 0.3)] for index in each])
        expected = expected[np.argsort(-scores[expected])].tolist()
        got = [int(k) for k in function(boxes, labels, scores, 0.3)]
        require(got == expected, f"with max_iou 0.3, twelve boxes: kept {got}, expected {expected}.")
    passed("Only boxes of one class are rivals.")


def check_average_precision(function: Callable) -> None:
    """``function(right, total)``: the average precision of a list, surest first."""
    for right, total in (([1, 1, 0, 1, 0], 4), ([0, 1], 1), ([1], 2), ([0, 0, 1, 1], 2), ([], 3), ([1, 0, 1, 1], 5)):
        answer, given = function(np.array(right, bool), total), np.array(right, bool)
        case = f"right = {right}, {total} digits"
        require(np.ndim(answer) == 0 and np.isfinite(answer), f"{case}: expected a number, got {answer}")
        precision = np.cumsum(given) / np.arange(1, len(given) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        expected = best[given].sum() / total
        if abs(answer - expected) > 1e-6:
            plain = precision[given].sum() / total
            require(
                abs(answer - plain) > 1e-6, f"{case}: the precision at a recall is the best at that recall or higher."
            )
            hits = max(given.sum(), 1)
            require(
                abs(answer - best[given].sum() / hits) > 1e-6,
                f"{case}: digits that were never found count, too: total.",
            )
            require(abs(answer - best.sum() / max(len(best), 1)) > 1e-6, f"{case}: only hits add a step.")
            require(False, f"{case}: {answer:.4g} is not it; expected {expected:.4g}.")
    passed("The area under the steps.")


def check_lost(function: Callable) -> None:
    """``function(boxes, cell)``: how many digits share their cell with another one."""
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [0, 0, 8, 14], [40, 40, 60, 60], [41, 41, 61, 62]], float)
    for cell, expected in ((8, 3), (2, 1), (1, 0), (64, 4)):
        answer = function(boxes, cell)
        pairs = {8: 4, 64: 10}.get(cell)
        require(
            answer != pairs or answer == expected,
            f"cells of {cell}: {answer} counts pairs; count the digits that have no target.",
        )
        corners = len(boxes) - len({tuple(c) for c in (boxes[:, :2] // cell).tolist()})
        require(
            answer == expected or answer != corners,
            f"cells of {cell}: {answer} is for the corners; the centre decides.",
        )
        require(
            answer == expected or answer != len(boxes) - expected,
            f"cells of {cell}: {answer} digits do have a target; how many have none?",
        )
        require(answer == expected, f"cells of {cell}: {answer} is not it; expected {expected}.")
    require(function(np.zeros((0, 4)), 8) == 0, "an empty scene loses nothing.")
    passed("A cell has one answer.")
