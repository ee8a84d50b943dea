"""Chapter 17, Deeper networks, other images: its networks and long runs, its figures, the checks of its exercises."""

import numpy as np

from cnnbook.beyond import Experiment, Networks
from cnnlib import (
    SGD,
    AveragePooling,
    BatchNormalization,
    Convolutional,
    Dense,
    Flatten,
    MaxPooling,
    Network,
    ReLU,
    Residual,
    Softmax,
)
from cnnlib.digits.datasets import load_fashion_mnist
from cnnlib.schedules import one_cycle

VALIDATION = 5_000  # images that are split off from the training data


def split(labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return which examples to train on and which to validate on, drawn at random."""
    order = np.random.default_rng([17, seed]).permutation(len(labels))
    return order[VALIDATION:], order[:VALIDATION]


def flip_and_shift(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images (N, H, W), half of them mirrored, each moved by up to one pixel along each axis."""
    N, H, W = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    top, left = rng.integers(0, 3, (2, N, 1, 1))
    columns = np.arange(W)
    columns = np.where(rng.random((N, 1, 1)) < 0.5, columns, columns[::-1])
    return padded[np.arange(N)[:, None, None], top + np.arange(H)[:, None], left + columns]


def small_network(rng: np.random.Generator) -> Network:
    """Return a network of LeNet-5's size, with batch normalization: 59,218 parameters."""
    return Network(
        [
            Convolutional(1, 16, 5, padding="same", rng=rng),
            ReLU(),
            MaxPooling(2),
            BatchNormalization(16),
            Convolutional(16, 32, 5, padding="same", rng=rng),
            ReLU(),
            MaxPooling(2),
            BatchNormalization(32),
            Convolutional(32, 48, 3, padding="same", rng=rng),
            BatchNormalization(48),
            ReLU(),
            MaxPooling(2),
            Flatten(),
            Dense(432, 72, rng=rng),
            ReLU(),
            Dense(72, 10, rng=rng),
            Softmax(),
        ],
        input_shape=(1, 28, 28),
    )


def residual_block(channels: int, rng: np.random.Generator) -> list:
    """Return ``ReLU(x + f(x))`` as layers, where f is two convolutions with batch normalization."""
    return [
        Residual(
            [
                Convolutional(channels, channels, 3, padding="same", rng=rng),
                BatchNormalization(channels),
                ReLU(),
                Convolutional(channels, channels, 3, padding="same", rng=rng),
                BatchNormalization(channels),
            ]
        ),
        ReLU(),
    ]


def residual_network(rng: np.random.Generator) -> Network:
    """Return a network of eight layers with weights, six of them within residual blocks: 174,074 parameters."""
    return Network(
        [
            Convolutional(1, 24, 5, padding="same", rng=rng),
            ReLU(),
            MaxPooling(2),
            BatchNormalization(24),
            *residual_block(24, rng),
            MaxPooling(2),
            Convolutional(24, 64, 3, padding="same", rng=rng),
            BatchNormalization(64),
            ReLU(),
            *residual_block(64, rng),
            *residual_block(64, rng),
            AveragePooling(),
            Dense(64, 10, rng=rng),
            Softmax(),
        ],
        input_shape=(1, 28, 28),
    )


def train_on_clothes(network: Network, epochs: int, learning_rate: float, seed: int) -> None:
    """Train on Fashion-MNIST without its validation images."""
    data = load_fashion_mnist()
    train, validation = split(data.train_labels, seed)
    network.train(
        data.train_images[train],
        data.train_labels[train],
        epochs=epochs,
        batch_size=128,
        optimizer=SGD(learning_rate, weight_decay=5e-4),
        schedule=one_cycle,
        augment=flip_and_shift,
        validation=(data.train_images[validation], data.train_labels[validation]),
        seed=seed,
    )


def _experiment(name: str, build, epochs: int, learning_rate: float) -> Experiment:
    def train(networks: Networks, seed: int) -> None:
        train_on_clothes(networks["network"], epochs, learning_rate, seed)

    def measure(networks: Networks) -> dict[str, float]:
        data = load_fashion_mnist()
        return {name: networks["network"].evaluate(data.test_images, data.test_labels)[1]}

    return Experiment(lambda seed: {"network": build(np.random.default_rng(seed))}, train, measure)


EXPERIMENTS = {
    "fashion_lenet": _experiment("fashion_lenet", small_network, epochs=20, learning_rate=0.1),
    "fashion_residual": _experiment("fashion_residual", residual_network, epochs=10, learning_rate=0.1),
}
