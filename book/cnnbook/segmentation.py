"""Chapter 20, Segmentation: the U-Net, its long runs, figures, and the checks of its exercises."""

import numpy as np

from cnnbook.beyond import Experiment, Networks
from cnnbook.detection import split
from cnnlib import Adam, BatchNormalization, Convolutional, MaxPooling, Network, ReLU, Sequential, Skip, Upsampling
from cnnlib.digits.scenes import BACKGROUND, Scenes
from cnnlib.losses import SoftmaxCrossEntropy
from cnnlib.schedules import one_cycle

CLASSES = 11  # ten digits and the background
BACKGROUND_WEIGHT = 0.3  # most pixels are background; each of them counts less
RULES = {"digits": (3, 6), "heights": (14, 28), "max_overlap": 0.4}  # of the scenes
SCENES, EPOCHS = 10_200, 2  # of the long run
SHORT_SCENES = 8_000  # of the comparison with and without bridges


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
    train_unet(networks["unet"], split("training", SCENES, seed, **RULES), EPOCHS, seed)


def _measure(networks: Networks) -> dict[str, float]:
    return {"segmentation_miou": mean_iou(networks["unet"], split("test", 1_000, **RULES))}


def _build_pair(seed: int) -> Networks:
    """Return two networks of half the width, with bridges and without, of nearly the same number of parameters."""
    return {"bridges": build_unet(seed, 8), "row": build_unet(seed, 8, 69, bridges=False)}


def _train_pair(networks: Networks, seed: int) -> None:
    scenes = split("training", SHORT_SCENES, seed, **RULES)
    for network in networks.values():
        train_unet(network, scenes, 1, seed)


def _measure_pair(networks: Networks) -> dict[str, float]:
    scenes = split("test", 1_000, **RULES)
    return {f"segmentation_miou_{name}": mean_iou(network, scenes) for name, network in networks.items()}


EXPERIMENTS = {
    "segmentation": Experiment(lambda seed: {"unet": build_unet(seed)}, _train, _measure),
    "segmentation_bridges": Experiment(_build_pair, _train_pair, _measure_pair),
}
