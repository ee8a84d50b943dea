"""Chapter 17, Deeper networks, other images: its networks and long runs, its figures, the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.beyond import Experiment, Networks
from cnnbook.checking import passed, require, require_array, require_gradients, require_number
from cnnlib import (
    SGD,
    AveragePooling,
    BatchNormalization,
    Convolutional,
    Dense,
    Flatten,
    Layer,
    MaxPooling,
    Network,
    ReLU,
    Residual,
    Softmax,
)
from cnnlib.digits.datasets import load_fashion_mnist
from cnnlib.schedules import one_cycle

VALIDATION = 5_000  # images that are split off from the training data


# The kinds of network whose depth the chapter varies.
KINDS: dict[str, dict[str, bool]] = {
    "plain": {},
    "normalized": {"normalized": True},
    "residual": {"residual": True},
    "both": {"normalized": True, "residual": True},
}


def deep_network(depth: int, normalized: bool = False, residual: bool = False, *, rng: np.random.Generator) -> Network:
    """Return a network of so many layers with weights: all but the last are convolutions of 16 filters of 3x3."""

    def convolution(channels: int) -> list[Layer]:
        layers = [Convolutional(channels, 16, 3, padding="same", rng=rng)]
        return [*layers, BatchNormalization(16)] if normalized else layers

    layers = [AveragePooling(4), *convolution(1), ReLU()]
    for _ in range((depth - 2) // 2):
        pair = [*convolution(16), ReLU(), *convolution(16)]
        layers += [Residual(pair), ReLU()] if residual else [*pair, ReLU()]
    layers += [AveragePooling(), Dense(16, 10, rng=rng), Softmax()]
    return Network(layers, input_shape=(1, 28, 28))


def split(labels: np.ndarray, seed: int = 0, size: int = VALIDATION) -> tuple[np.ndarray, np.ndarray]:
    """Return which examples to train on and which to validate on, so many of them, drawn at random."""
    order = np.random.default_rng([17, seed]).permutation(len(labels))
    return order[size:], order[:size]


def flip_and_shift(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images (N, H, W), half of them mirrored, each moved by up to one pixel along each axis."""
    N, H, W = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    top, left = rng.integers(0, 3, (2, N, 1, 1))
    columns = np.arange(W)
    columns = np.where(rng.random((N, 1, 1)) < 0.5, columns, columns[::-1])
    return padded[np.arange(N)[:, None, None], top + np.arange(H)[:, None], left + columns]


def erase(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images (N, H, W), half of them with a square of 9x9 pixels, anywhere, that is background."""
    N, H, W = images.shape
    row, column = rng.integers(0, H, (N, 1)), rng.integers(0, W, (N, 1))
    rows = np.abs(np.arange(H) - row) <= 4  # (N, H)
    columns = np.abs(np.arange(W) - column) <= 4
    chosen = rng.random((N, 1, 1)) < 0.5
    erased = chosen & rows[:, :, None] & columns[:, None]
    return np.where(erased, images.dtype.type(0), images)


def flip_shift_and_erase(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images (N, H, W), changed by `flip_and_shift`, then by `erase`."""
    return erase(flip_and_shift(images, rng), rng)


def small_network(rng: np.random.Generator) -> Network:
    """Return a network of LeNet-5's size, with batch normalization: 59,006 parameters."""
    return Network(
        [
            Convolutional(1, 16, 5, padding="same", rng=rng),
            ReLU(),
            MaxPooling(2),
            BatchNormalization(16),
            Convolutional(16, 32, 3, padding="same", rng=rng),
            ReLU(),
            MaxPooling(2),
            BatchNormalization(32),
            Convolutional(32, 64, 3, padding="same", rng=rng),
            BatchNormalization(64),
            ReLU(),
            MaxPooling(2),
            Flatten(),
            Dense(576, 60, rng=rng),
            ReLU(),
            Dense(60, 10, rng=rng),
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
    """Return a network of eleven layers with weights, eight of them within residual blocks: 261,130 parameters."""

    def stage(channels: int, filters: int, kernel_size: int) -> list[Layer]:
        convolution = Convolutional(channels, filters, kernel_size, padding="same", rng=rng)
        return [convolution, ReLU(), MaxPooling(2), BatchNormalization(filters)]

    layers = [*stage(1, 32, 5), *residual_block(32, rng), *stage(32, 64, 3)]
    for _ in range(3):
        layers += residual_block(64, rng)
    return Network([*layers, AveragePooling(), Dense(64, 10, rng=rng), Softmax()], input_shape=(1, 28, 28))


def train_on_clothes(network: Network, epochs: int, augment: Callable, seed: int) -> None:
    """Train on Fashion-MNIST without its validation images."""
    data = load_fashion_mnist()
    train, validation = split(data.train_labels, seed)
    network.train(
        data.train_images[train],
        data.train_labels[train],
        epochs=epochs,
        batch_size=128,
        optimizer=SGD(0.1, weight_decay=5e-4),
        schedule=one_cycle,
        augment=augment,
        validation=(data.train_images[validation], data.train_labels[validation]),
        seed=seed,
    )


# The long runs: what is trained, for how many epochs, and how the pictures are changed.
RUNS: dict[str, tuple[Callable, int, Callable]] = {
    "fashion_lenet": (small_network, 16, flip_and_shift),
    "fashion_residual": (residual_network, 22, flip_shift_and_erase),
}


def _experiment(name: str) -> Experiment:
    build, epochs, augment = RUNS[name]

    def train(networks: Networks, seed: int) -> None:
        train_on_clothes(networks["network"], epochs, augment, seed)

    def measure(networks: Networks) -> dict[str, float]:
        data = load_fashion_mnist()
        return {name: networks["network"].evaluate(data.test_images, data.test_labels)[1]}

    return Experiment(lambda seed: {"network": build(np.random.default_rng(seed))}, train, measure)


EXPERIMENTS = {name: _experiment(name) for name in RUNS}


# Figures


def draw_gradient_sizes(sizes: dict[str, Sequence[float]]) -> None:
    """Draw the size of the gradient of each convolution, a line for each kind of network."""
    figure, axis = plt.subplots(figsize=(6, 3))
    for (name, values), marker in zip(sizes.items(), "os^D", strict=False):
        axis.plot(range(1, len(values) + 1), values, marker=marker, markersize=4, label=name)
    axis.set(yscale="log", xlabel="convolution, from the image on", title="Length of dW")
    axis.legend()


def draw_normalization(x: Sequence[float], dy: Sequence[float]) -> None:
    """Draw how the numbers x of one channel become y, and the gradient dx of each as the sum of three paths."""
    layer = BatchNormalization(1, dtype=np.float64)
    layer.training = True
    x, dy = np.array(x, float), np.array(dy, float)
    y, dx = layer.forward(x[:, None])[:, 0], layer.backward(dy[:, None])[:, 0]
    m, scale = len(x), layer.scale[0]
    parts = {
        "direct": scale * dy,
        "through $\\mu$": np.full(m, -scale * layer.dbeta[0] / m),
        "through $v$": -scale * y * layer.dgamma[0] / m,
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3))
    left.plot([x, y], [1, 0], color="0.5", linewidth=1)
    left.plot(x, np.ones(m), "o", color="C2", markerfacecolor="white")
    left.plot(y, np.zeros(m), "o", color="C2")
    left.set(yticks=[0, 1], yticklabels=["$y$", "$x$"], ylim=(-0.3, 1.3), title="Normalized")
    for place, (name, values) in enumerate(parts.items()):
        right.bar(np.arange(1, m + 1) + 0.22 * (place - 1), values, width=0.22, label=name)
    right.plot(range(1, m + 1), dx, "_", color="black", markersize=16, label="sum: dx")
    right.set(xlabel="number", title="Gradient", xticks=range(1, m + 1))
    right.legend()


def draw_depths(losses: dict[str, dict[int, float]]) -> None:
    """Draw the training loss over the depth, a line for each kind of network."""
    figure, axis = plt.subplots(figsize=(6, 3))
    for (name, values), marker in zip(losses.items(), "os^D", strict=False):
        axis.plot(range(len(values)), list(values.values()), marker=marker, label=name)
        axis.set_xticks(range(len(values)), list(values))
    axis.axhline(np.log(10), color="black", linestyle=":", linewidth=1)
    axis.set(xlabel="layers with weights", title="Training loss", ylim=(0, None))
    axis.legend()


def draw_clothes(images: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
    """Draw three examples of each class, a column for each, in two blocks of five, whose names a phone can show."""
    figure, axes = plt.subplots(6, 5, figsize=(6, 7))
    columns = [*axes[:3].T, *axes[3:].T]
    for m, column in enumerate(columns):
        for axis, image in zip(column, images[labels == m][:3], strict=True):
            axis.imshow(image, cmap="gray_r", vmin=0, vmax=255)
            axis.axis("off")
        column[0].set_title(classes[m], loc="center")


# The checks of the exercises


def check_normalized(y: Sequence[float]) -> None:
    """The output for a channel that holds 1, 3, 5 and 7, with gamma = 2, beta = 1 and epsilon = 0."""
    x = np.array([1.0, 3.0, 5.0, 7.0])
    y = np.asarray(y, dtype=float)
    require(y.shape == (4,), f"expected four numbers, got the shape {y.shape}.")
    expected = 2 * (x - 4) / np.sqrt(5) + 1
    require(
        not np.allclose(y, (expected - 1) / 2, atol=1e-2),
        "these are the normalized numbers; gamma and beta come after.",
    )
    require(not np.allclose(y, 2 * (x - 4) / 5 + 1, atol=1e-2), "divide by the square root of the variance.")
    require(
        not np.allclose(y, 2 * (x - 4) / np.sqrt(20 / 3) + 1, atol=1e-2),
        "this is the variance of a sample, with m - 1; the layer divides by m.",
    )
    require(not np.allclose(y, 2 * (x - 4) + 1, atol=1e-2), "the numbers are centred, but not scaled to variance one.")
    require_array(y, expected, "The mean is 4; the variance is the mean of the four squared distances.", 1e-2)
    passed("Mean 1 and standard deviation 2: those are beta and gamma.")


def check_running_mean(value: float) -> None:
    """The running mean after three batches of mean 10, with momentum 0.9, from 0."""
    require(value != 10, "it would be 10 with momentum 0; each step keeps nine tenths of what was there.")
    require(not np.isclose(value, 7.29), "this is what is still missing, 10 * 0.9 ** 3.")
    require(not np.isclose(value, 9.99), "the momentum is the share that is kept; you keep a tenth.")
    require(not np.isclose(value, 3.0), "the steps get smaller: each covers a tenth of what is still missing.")
    require(not np.isclose(value, 1.0), "this is after one batch.")
    require_number(value, 10 * (1 - 0.9**3), "After each batch, a tenth of the distance to 10 is gone.", 1e-3)
    passed("A tenth of the rest at each step: after 22 batches, nine tenths are there.")


def check_gain(gains: Sequence[float]) -> None:
    """What 20 layers of slope 0.5 make of a gradient of 1: in a row, and as residual blocks."""
    gains = np.asarray(gains, dtype=float)
    require(gains.shape == (2,), "expected two numbers: in a row, and as residual blocks.")
    require(not np.isclose(gains[0], 10), "slopes in a row multiply.")
    require(not np.isclose(gains[1], 11), "each block has the slope 1 + 0.5, and blocks in a row multiply.")
    require(
        not np.isclose(gains[1], 1 + 0.5**20), "every block has a path of its own around it, not only all together."
    )
    require(not np.isclose(gains[1], gains[0]), "the path around f adds 1 to the slope of each block.")
    require(not np.allclose(gains[::-1], [0.5**20, 1.5**20]), "the order is: in a row, then as residual blocks.")
    require_number(gains[0], 0.5**20, "Twenty slopes, one after the other.", 1e-8)
    require(abs(gains[1] / 1.5**20 - 1) < 1e-2, f"{gains[1]:g} is not it. What is the slope of x + f(x)?")
    passed("From a millionth to three thousand: a path around f cures the shrinking, not the growing.")


def check_folded(fold: Callable) -> None:
    """``fold(W, b, gamma, beta, mean, variance, epsilon)`` returns W and b of one convolution that does both."""
    rng = np.random.default_rng(17)
    for C, F, K in ((1, 2, 3), (3, 4, 1), (2, 5, 5)):
        convolution = Convolutional(C, F, K, rng=rng, dtype=np.float64)
        convolution.b[:] = rng.standard_normal(F)
        normalization = BatchNormalization(F, epsilon=0.1, dtype=np.float64)
        normalization.gamma[:], normalization.beta[:] = rng.standard_normal((2, F))
        normalization.running_mean[:] = rng.standard_normal(F)
        normalization.running_variance[:] = rng.uniform(0.5, 2, F)
        x = rng.standard_normal((2, C, 7, 7))
        expected = normalization.forward(convolution.forward(x))
        before = {
            name: array.copy() for layer in (convolution, normalization) for name, array in layer.saved_arrays().items()
        }
        answer = fold(
            convolution.W,
            convolution.b,
            normalization.gamma,
            normalization.beta,
            normalization.running_mean,
            normalization.running_variance,
            0.1,
        )
        after = {name: array for layer in (convolution, normalization) for name, array in layer.saved_arrays().items()}
        require(
            all(np.array_equal(before[name], after[name]) for name in before),
            "fold changed its arguments; make new arrays.",
        )
        require(isinstance(answer, tuple | list) and len(answer) == 2, "fold returns two arrays, W and b.")
        W, b = (np.asarray(part, dtype=float) for part in answer)
        require(W.shape == convolution.W.shape, f"W must keep its shape {convolution.W.shape}, got {W.shape}.")
        require(b.shape == (F,), f"b must have the shape {(F,)}, got {b.shape}.")
        scale = normalization.gamma / np.sqrt(normalization.running_variance + 0.1)
        require(
            np.allclose(W, scale[:, None, None, None] * convolution.W),
            "W: each filter is scaled by gamma / sqrt(variance + epsilon).",
        )
        folded = Convolutional(C, F, K, dtype=np.float64)
        folded.W, folded.b = W, b
        require(
            not np.allclose(b, normalization.beta - scale * normalization.running_mean),
            "b: the bias of the convolution goes through the normalization, too.",
        )
        require(np.allclose(folded.forward(x), expected), "b is not it: what comes out where all inputs are zero?")
    passed("In prediction the layer costs nothing: it can be folded into the convolution before it.")


def check_layer_normalization(kind: type[Layer]) -> None:
    """A layer that normalizes each example by itself, over all its features: ``kind(epsilon)``, without parameters."""
    rng = np.random.default_rng(18)
    x = 3 * rng.standard_normal((4, 6)) + 2
    layer = kind(0.01)
    y = layer.forward(x.copy())
    require(isinstance(y, np.ndarray) and y.shape == x.shape, "y has the shape of x.")
    over_batch = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 0.01)
    require(
        not np.allclose(y, over_batch), "this is over the batch (axis 0); normalize each example over its features."
    )
    whole = (x - x.mean()) / np.sqrt(x.var() + 0.01)
    require(not np.allclose(y, whole), "this is one mean for all examples together; each example has its own.")
    expected = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 0.01)
    require_array(y, expected, "y = (x - mean) / sqrt(variance + epsilon), with mean and variance of each row.")
    one = kind(0.01).forward(x[:1].copy())
    require(np.allclose(one, y[:1]), "the answer to one example must not depend on the others.")
    require_gradients(layer, x)
    passed("No batch, no running means: transformers use this layer.")
