"""Chapter 20, Segmentation: the U-Net, its long runs, figures, and the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

from cnnbook import engine
from cnnbook.beyond import Experiment, Networks
from cnnbook.checking import passed, require, require_array
from cnnbook.detection import split
from cnnlib import Adam, BatchNormalization, Convolutional, MaxPooling, Network, ReLU, Sequential, Skip, Upsampling
from cnnlib.digits.scenes import BACKGROUND, Scenes
from cnnlib.losses import SoftmaxCrossEntropy
from cnnlib.schedules import one_cycle

CLASSES = 11  # ten digits and the background
BACKGROUND_WEIGHT = 0.3  # most pixels are background; each of them counts less
RULES = {"digits": (3, 6), "heights": (14, 28), "max_overlap": 0.4}  # of the scenes
SCENES, EPOCHS = 10_200, 2  # of the long run
SHORT_SCENES, SHORT_EPOCHS = 8_000, 3  # of the comparison with and without bridges


def scenes_of(part: str, count: int, seed: int = 0) -> Scenes:
    """Return scenes of "training", "validation" or "test", with more digits and more overlap than for detection."""
    return split(part, count, seed, **RULES)


def build_unet(seed: int = 0, width: int = 16, bottom: int | None = None, bridges: bool = True) -> Network:
    """Return a new U-Net: scenes (N, 1, 64, 64) to scores of the classes of every pixel (N, 11, 64, 64).

    Without bridges, the same layers stand in a row; `bottom` is the number of channels in the middle.
    """
    rng = np.random.default_rng(seed)
    a, b, c, d = width, 2 * width, 4 * width, bottom or 6 * width
    bridge = Skip if bridges else Sequential

    def joined(channels: int, more: int) -> int:
        return channels + more if bridges else more

    def block(channels: int, filters: int) -> list:
        return [Convolutional(channels, filters, 3, padding=1, rng=rng), BatchNormalization(filters), ReLU()]

    level = bridge([MaxPooling(), *block(c, d), Upsampling()])
    level = bridge([MaxPooling(), *block(b, c), *block(c, c), level, *block(joined(c, d), c), Upsampling()])
    level = bridge([MaxPooling(), *block(a, b), *block(b, b), level, *block(joined(b, c), b), Upsampling()])
    level = bridge([*block(1, a), *block(a, a), level, *block(joined(a, b), a)])
    return Network([level, Convolutional(joined(1, a), CLASSES, 1, rng=rng)], (1, 64, 64))


def class_weights(background: float = BACKGROUND_WEIGHT) -> list[float]:
    """Return how much a pixel of each class counts."""
    return [1.0] * BACKGROUND + [background]


def train_unet(
    network: Network,
    scenes: Scenes,
    epochs: int,
    seed: int = 0,
    background: float = BACKGROUND_WEIGHT,
    progress: bool = False,
) -> dict:
    """Train a network for segmentation, in place, and return the history."""
    return network.train(
        scenes.images,
        scenes.classes,
        epochs=epochs,
        batch_size=16,
        optimizer=Adam(3e-3),
        schedule=one_cycle,
        loss=SoftmaxCrossEntropy(class_weights(background)),
        seed=seed,
        progress=progress,
    )


def predict_classes(network: Network, images: np.ndarray, background: float = BACKGROUND_WEIGHT) -> np.ndarray:
    """Return the likeliest class of every pixel (N, 64, 64), corrected for the weight of the training."""
    correction = -np.log(np.array(class_weights(background), np.float32))
    return np.concatenate(
        [
            (network.predict(images[start : start + 100]) + correction[:, np.newaxis, np.newaxis]).argmax(axis=1)
            for start in range(0, len(images), 100)
        ]
    )


def class_iou(predicted: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every class (11,), over all pixels of all images."""
    counts = np.bincount(CLASSES * classes.ravel().astype(int) + predicted.ravel(), minlength=CLASSES**2)
    confusion = counts.reshape(CLASSES, CLASSES)  # rows: the class that is right; columns: the predicted one
    right = confusion.diagonal()
    with np.errstate(invalid="ignore"):  # NaN for a class that neither occurs nor is predicted
        return right / (confusion.sum(axis=0) + confusion.sum(axis=1) - right)


def mean_iou(network: Network, scenes: Scenes) -> float:
    """Return the mean of `class_iou` over the classes."""
    return float(np.nanmean(class_iou(predict_classes(network, scenes.images), scenes.classes)))


def _train(networks: Networks, seed: int) -> None:
    train_unet(networks["unet"], scenes_of("training", SCENES, seed), EPOCHS, seed)


def _measure(networks: Networks) -> dict[str, float]:
    return {"segmentation_miou": mean_iou(networks["unet"], scenes_of("test", 1_000))}


def _build_pair(seed: int) -> Networks:
    """Return two networks of half the width, with bridges and without, of nearly the same number of parameters."""
    return {"bridges": build_unet(seed, 8), "row": build_unet(seed, 8, 69, bridges=False)}


def _train_pair(networks: Networks, seed: int) -> None:
    scenes = scenes_of("training", SHORT_SCENES, seed)
    for network in networks.values():
        train_unet(network, scenes, SHORT_EPOCHS, seed)


def _measure_pair(networks: Networks) -> dict[str, float]:
    scenes = scenes_of("test", 1_000)
    return {f"segmentation_miou_{name}": mean_iou(network, scenes) for name, network in networks.items()}


EXPERIMENTS = {
    "segmentation": Experiment(lambda seed: {"unet": build_unet(seed)}, _train, _measure),
    "segmentation_bridges": Experiment(_build_pair, _train_pair, _measure_pair),
}


def start_scene() -> np.ndarray:
    """Return the scene (1, 64, 64) with which the live figure starts."""
    return scenes_of("test", 8).images[5:6]


def figure_data(network: Network) -> dict:
    """Return what the live figure needs: the network in 8 bits, a scene, the colours, and the correction of scores."""
    images = start_scene()
    classes = predict_classes(engine.in_8_bits(network), images)  # so that the page need not compute to begin with
    return {
        "network": engine.describe(network, "int8"),
        "image": images.tobytes().hex(),
        "classes": "".join(f"{label:x}" for label in classes.ravel()),
        "colors": COLORS,
        "correction": -float(np.log(BACKGROUND_WEIGHT)),
    }


# Figures

# Paul Tol's muted colours, which colour-blind readers can tell apart, and grey; and paper.
COLORS = ["#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#777777"]


def add_map(axis, classes: np.ndarray) -> None:
    """Draw a map of classes, and each digit's number where its pixels are."""
    axis.imshow(classes, cmap=ListedColormap([*COLORS, "#FFFFFF"]), vmin=0, vmax=BACKGROUND)
    for label in range(BACKGROUND):
        rows, columns = np.nonzero(classes == label)
        if len(rows) >= 25:
            middle = np.hypot(rows - rows.mean(), columns - columns.mean()).argmin()
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": COLORS[label]}
            axis.text(columns[middle], rows[middle], label, ha="center", va="center", size=11, bbox=box)


def draw_maps(
    images: np.ndarray, *maps: np.ndarray, names: Sequence[str] = ("scene", "right classes", "predicted")
) -> None:
    """Draw scenes, and below them one row of maps after the other: the right classes, then what was predicted.

    However many scenes there are, the figure is 6 inches wide, so that its words can be read on a phone.
    """
    side = 6 / len(images)
    figure, axes = plt.subplots(1 + len(maps), len(images), figsize=(6, (side + 0.05) * (1 + len(maps))))
    for index, column in enumerate(np.reshape(axes, (1 + len(maps), -1)).T):
        column[0].imshow(images[index], vmin=0, vmax=255)
        for axis, classes in zip(column[1:], maps, strict=True):
            add_map(axis, classes[index])
        for axis, name in zip(column, names, strict=False):
            axis.grid(False)
            axis.set(xticks=[], yticks=[], ylabel=name if index == 0 else "")


def draw_start(network: Network) -> None:
    """Draw the scene with which the live figure starts, and beside it the class that every pixel gets."""
    images = start_scene()
    figure, axes = plt.subplots(1, 2, figsize=(6, 3))
    axes[0].imshow(images[0], vmin=0, vmax=255)
    add_map(axes[1], predict_classes(network, images)[0])
    for axis in axes:
        axis.grid(False)
        axis.set(xticks=[], yticks=[])


def draw_covers(covers: dict[int, np.ndarray]) -> None:
    """Draw what transposed convolutions with kernels of several sizes make of a constant."""
    figure, axes = plt.subplots(1, len(covers), figsize=(8, 2.9))
    for axis, (K, values) in zip(axes, covers.items(), strict=True):
        shown = axis.imshow(values, vmin=0, vmax=4)
        axis.grid(False)
        axis.set_title(f"K = {K}", loc="center")
    figure.colorbar(shown, ax=axes, ticks=[0, 1, 2, 4], label="value")


def draw_ious(ious: np.ndarray) -> None:
    """Draw the intersection over union of every class as a bar."""
    figure, axis = plt.subplots(figsize=(6.4, 3))
    bars = axis.bar([*map(str, range(BACKGROUND)), "background"], ious, color=[*COLORS, "#BBBBBB"])
    axis.bar_label(bars, [f"{value:.2f}" for value in ious], size=9)
    axis.set(ylim=(0, 1.08), title="Intersection over union")
    axis.grid(axis="x", visible=False)


def edges(classes: np.ndarray) -> np.ndarray:
    """Return which pixels of maps (N, H, W) have a neighbour of another class, above, below or beside."""
    found = np.zeros(classes.shape, bool)
    for axis in (1, 2):
        differs = np.diff(classes.astype(int), axis=axis) != 0
        wide = [slice(None)] * 3
        for part in (slice(0, -1), slice(1, None)):
            wide[axis] = part
            found[tuple(wide)] |= differs
    return found


def shared(scenes: Scenes) -> np.ndarray:
    """Return which pixels lie in the boxes of two digits or more."""
    counts = np.zeros(scenes.classes.shape, int)
    for count, boxes in zip(counts, scenes.boxes, strict=True):
        for top, left, bottom, right in boxes.astype(int):
            count[top:bottom, left:right] += 1
    return counts > 1


def wrong_pixels(predicted: np.ndarray, scenes: Scenes) -> dict[str, tuple[float, float]]:
    """Return, for several kinds of pixels, their share of all pixels, and the share of them that is wrong."""
    edge, digit, both = edges(scenes.classes), scenes.classes != BACKGROUND, shared(scenes)
    wrong = predicted != scenes.classes
    kinds = {
        "background, away from edges": ~digit & ~edge,
        "beside an edge": edge,
        "within a digit": digit & ~edge,
        "where boxes overlap": both,
    }
    return {name: (float(kind.mean()), float(wrong[kind].mean())) for name, kind in kinds.items()}


def draw_worst(predicted: np.ndarray, scenes: Scenes) -> None:
    """Draw the four scenes with the most wrong pixels."""
    worst = np.argsort(-(predicted != scenes.classes).sum(axis=(1, 2)), kind="stable")[:4]
    draw_maps(scenes.images[worst], scenes.classes[worst], predicted[worst])


# The checks of the exercises


def check_upsampling(dx: np.ndarray) -> None:
    """The gradient of Upsampling(2), for dy with the rows (1, 2, 0, 3), (3, 4, 1, 0), (0, 1, 2, 2), (1, 0, 2, 2)."""
    dy = np.array([[1, 2, 0, 3], [3, 4, 1, 0], [0, 1, 2, 2], [1, 0, 2, 2]], float)
    dx = np.asarray(dx, float)
    require(dx.shape != (4, 4), "dx has the shape of x, 2x2: x has a quarter of the pixels of y.")
    require(dx.shape == (2, 2), f"expected a 2x2 array, got the shape {dx.shape}.")
    blocks = dy.reshape(2, 2, 2, 2)
    expected = blocks.sum(axis=(1, 3))
    require(
        not np.allclose(dx, expected / 4), "this is the mean of each block; each copy has the slope 1, so they add up."
    )
    require(not np.allclose(dx, blocks.max(axis=(1, 3))), "this is the largest of each block; all four copies count.")
    require(not np.allclose(dx, dy[::2, ::2]), "this is one copy of each pixel; all four count.")
    require(
        not np.allclose(dx, dy[:2, :2] + dy[:2, 2:] + dy[2:, :2] + dy[2:, 2:]), "the copies of a pixel lie together."
    )
    require(not np.allclose(dx, expected.T), "rows and columns are swapped.")
    require_array(dx, expected, "The first pixel of x has become the four at the top left.")
    passed("Four paths, and they add up.")


def check_sizes(heights: Sequence[int]) -> None:
    """The output heights for (H, K, stride, padding) = (8, 2, 2, 0), (8, 4, 2, 1) and (7, 3, 2, 1)."""
    cases = [(8, 2, 2, 0), (8, 4, 2, 1), (7, 3, 2, 1)]
    require(len(heights) == len(cases), f"expected {len(cases)} heights, got {len(heights)}.")
    for answer, (H, K, stride, padding) in zip(heights, cases, strict=True):
        case, right = f"H = {H}, K = {K}, stride {stride}, padding {padding}", (H - 1) * stride + K - 2 * padding
        if answer != right:
            require(
                answer != (H + 2 * padding - K) // stride + 1, f"{case}: this is a convolution; it makes maps smaller."
            )
            require(answer != right + 2 * padding, f"{case}: padding cuts off on both sides.")
            require(answer != right + padding, f"{case}: padding cuts off on both sides, not on one.")
            require(answer != H * stride + K - 2 * padding, f"{case}: between H kernels there are H - 1 steps.")
            require(answer != H * stride, f"{case}: the last kernel adds K rows, and padding takes some away.")
            require(False, f"{case}: {answer} is not it.")
    passed("The first two are exactly twice the input.")


def check_mean_iou(function: Callable) -> None:
    """``function(predicted, classes, count)``: the mean IoU over the classes that occur or are predicted."""
    classes = np.array([[[0, 0], [1, 2]], [[2, 2], [2, 2]]])
    predicted = np.array([[[0, 1], [1, 2]], [[2, 2], [2, 0]]])
    cases = [(predicted, classes, 3), (predicted, classes, 5), (classes, classes, 3)]
    rng = np.random.default_rng(20)
    cases += [(rng.integers(0, 4, (5, 6, 7)), rng.integers(0, 4, (5, 6, 7)), 4)]
    for said, true, count in cases:
        answer = function(said, true, count)
        both = np.array([((said == k) & (true == k)).sum() for k in range(count)], float)
        either = np.array([((said == k) | (true == k)).sum() for k in range(count)], float)
        present = either > 0
        expected = (both[present] / either[present]).mean()
        case = f"{len(said)} images, {count} classes"
        require(np.ndim(answer) == 0, f"{case}: expected one number, got an array of shape {np.shape(answer)}.")
        require(
            np.isfinite(answer), f"{case}: {answer}; a class that neither occurs nor is predicted has to be left out."
        )
        if abs(answer - expected) > 1e-9:
            others = {
                "this is the accuracy; divide by the union, class by class.": (said == true).mean(),
                "a class that neither occurs nor is predicted counts as 0; leave it out.": (
                    both[present] / either[present]
                ).sum()
                / count,
                "a class that neither occurs nor is predicted counts as 1; leave it out.": (
                    (both[present] / either[present]).sum() + (~present).sum()
                )
                / count,
                "add the pixels of all classes no sooner than the mean: an IoU for each class.": both.sum()
                / either.sum(),
                "this divides by the pixels of the class; the union has those that were predicted, too.": np.mean(
                    [both[k] / max((true == k).sum(), 1) for k in range(count) if present[k]]
                ),
            }
            for message, value in others.items():
                require(abs(answer - value) > 1e-9, f"{case}: {message}")
            require(False, f"{case}: {answer:.4f} is not it; expected {expected:.4f}.")
    passed("Class by class, over all pixels.")


def check_correct(function: Callable) -> None:
    """``function(p, weights)``: probabilities without the shift by class weights."""
    q = np.random.default_rng(21).dirichlet(np.ones(3), (2, 4, 5)).transpose(0, 3, 1, 2)
    for weights in ([1, 1, 1], [1, 1, 0.3], [2, 0.5, 4]):
        omega = np.reshape(weights, (1, 3, 1, 1))
        p = q * omega / (q * omega).sum(axis=1, keepdims=True)
        before = p.copy()
        answer = function(p, weights)
        require(np.array_equal(p, before), "your function changed p; return a new array.")
        require(
            isinstance(answer, np.ndarray) and answer.shape == p.shape, f"expected an array of the shape {p.shape}."
        )
        twice = p * omega / (p * omega).sum(axis=1, keepdims=True)
        if not np.allclose(answer, q):
            require(not np.allclose(answer, p), "nothing has changed.")
            require(not np.allclose(answer, twice), "this weighs once more; divide by the weights.")
            require(not np.allclose(answer, p / omega), "the numbers of a pixel must sum to 1 again.")
            require(
                not np.allclose(answer, p - np.log(omega)), "the logarithm is for scores; probabilities are divided."
            )
            require(np.allclose(answer.sum(axis=1), 1), "the numbers of a pixel must sum to 1: over axis 1.")
        require_array(answer, q, "q is proportional to p / weight.")
    passed("The shares are back.")


def check_coverage(function: Callable) -> None:
    """``function(H, K, stride)``: how many of H kernels cover each place."""
    for H, K, stride in ((5, 3, 2), (4, 2, 2), (6, 4, 2), (3, 2, 3), (1, 5, 2), (7, 3, 1)):
        count = np.asarray(function(H, K, stride))
        case = f"H = {H}, K = {K}, stride {stride}"
        size = (H - 1) * stride + K
        if count.shape != (size,):
            require(
                count.shape != (H * stride,), f"{case}: the last kernel begins at (H - 1) stride, and has K places."
            )
            require(False, f"{case}: expected {size} numbers, got the shape {count.shape}.")
        expected = np.zeros(size)
        for u in range(H):
            expected[u * stride : u * stride + K] += 1
        require(
            np.array_equal(count, expected) or count.max() > 1 or expected.max() == 1,
            f"{case}: kernels that overlap add.",
        )
        require(
            np.array_equal(count, expected) or not np.array_equal(count, np.full(size, K)),
            f"{case}: not all kernels cover it.",
        )
        wrong = np.flatnonzero(count != expected)
        require(
            not len(wrong),
            f"{case}: place {wrong[:1]} is covered by {expected[wrong[:1]]} kernels, not {count[wrong[:1]]}.",
        )
    passed("Constant within, if the stride divides K.")
