"""Chapter 16, Overfitting, and what helps against it: its long runs, its figures, the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.beyond import Experiment, Networks
from cnnbook.checking import passed, require, require_array, require_number
from cnnbook.engine import describe
from cnnlib import (
    SGD,
    Adam,
    Dense,
    Dropout,
    EarlyStopping,
    MeanSquaredError,
    Network,
    ReLU,
    lenet5,
    load_mnist,
)
from cnnlib.digits.augmentation import Distortion
from cnnlib.digits.datasets import Dataset

FEW, MANY, STEPS = 1_000, 5_000, 1_600  # training digits; more of them; steps, the same for all


def with_dropout(rng: np.random.Generator, rate: float = 0.25) -> Network:
    """Return a LeNet-5 with dropout before its last two dense layers."""
    layers = lenet5(rng).layers
    return Network([*layers[:9], Dropout(rate), *layers[9:11], Dropout(rate), *layers[11:]], (1, 28, 28))


# What each recipe changes: the network, or how it is trained. The numbers were chosen by the validation loss, on a draw
# of digits (seed 100) that the results do not use.
RECIPES: dict[str, dict] = {
    "plain": {},
    "weight_decay": {"weight_decay": 0.01},
    "dropout": {"build": with_dropout},
    "augmentation": {"augment": Distortion()},
    "early_stopping": {"stop": True},
    "together": {"weight_decay": 0.003, "build": with_dropout, "augment": Distortion(), "stop": True},
    "more_data": {"size": MANY},
}


def split(data: Dataset, size: int, seed: int) -> tuple[tuple, tuple]:
    """Return digits to train on, drawn at random, and 1,000 others to validate on (fewer of a small data set)."""
    order = np.random.default_rng([16, seed]).permutation(len(data.train_labels))
    x, t = data.train_images, data.train_labels
    validation, train = np.split(order, [min(1_000, len(order) // 3)])
    train = train[:size]
    return (x[train], t[train]), (x[validation], t[validation])


def train_recipe(network: Network, seed: int, name: str, steps: int = STEPS, **others) -> dict[str, list[float]]:
    """Train by one of the recipes, and return the history; every recipe takes as many steps of 50 digits."""
    recipe = RECIPES[name]
    (x, t), validation = split(load_mnist(fallback=True), recipe.get("size", FEW), seed)
    epochs = max(1, round(steps * 50 / len(x)))
    return network.train(
        x,
        t,
        epochs=epochs,
        batch_size=50,
        optimizer=SGD(0.02, weight_decay=recipe.get("weight_decay", 0.0)),
        augment=recipe.get("augment"),
        validation=validation,
        callbacks=[EarlyStopping(epochs)] if recipe.get("stop") else [],
        seed=seed,
        **{"progress": False, **others},
    )


def _build(seed: int) -> Networks:
    return {name: recipe.get("build", lenet5)(np.random.default_rng(seed)) for name, recipe in RECIPES.items()}


def _train(networks: Networks, seed: int) -> None:
    for name, network in networks.items():
        train_recipe(network, seed, name)


def _measure(networks: Networks) -> dict[str, float]:
    data, results = load_mnist(), {}
    for name, network in networks.items():
        loss, accuracy = network.evaluate(data.test_images, data.test_labels)
        results |= {f"overfitting_{name}": accuracy, f"overfitting_{name}_loss": loss}
    return results


EXPERIMENTS = {"overfitting": Experiment(_build, _train, _measure)}


# The live figure

POINTS, UNITS = (10, 20, 100), (4, 16, 64)


def curve_points(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points of a sine curve with noise of standard deviation 0.5: x and t, both (count, 1)."""
    rng = np.random.default_rng([1, seed])
    x = rng.uniform(-1, 1, (count, 1)).astype(np.float32)
    return x, (np.sin(3 * x) + 0.5 * rng.standard_normal(x.shape)).astype(np.float32)


def curve_network(units: int, dropout: float = 0.0) -> Network:
    """Return a network of one input, two hidden layers of so many units, and one output."""
    rng = np.random.default_rng(units)
    first = Dense(1, units, rng=rng)
    first.b[:] = rng.uniform(-1, 1, units)  # bends all over the interval
    layers = [first, ReLU(), Dropout(dropout), Dense(units, units, rng=rng), ReLU(), Dropout(dropout)]
    return Network([*layers, Dense(units, 1, rng=rng)], input_shape=(1,))


def figure_data() -> dict:
    """Return what the live figure starts with: points to train on and to validate on, and untrained networks."""
    training, validation = (curve_points(*each) for each in ((max(POINTS), 1), (200, 2)))
    parts = {"training": training, "validation": validation}
    return {
        **{name: {"x": x.ravel(), "t": t.ravel()} for name, (x, t) in parts.items()},
        "points": POINTS,
        "networks": {units: describe(curve_network(units)) for units in UNITS},
        "learning_rate": 0.001,
    }


# Figures


def draw_fit(units: int = 64, points: int = 20, steps: int = 3_000) -> None:
    """Draw what a network makes of the first training points of the live figure, and its losses on the way there."""
    (x, t), validation = curve_points(max(POINTS), 1), curve_points(200, 2)
    x, t = x[:points], t[:points]
    network, optimizer, loss = curve_network(units), Adam(0.001), MeanSquaredError()
    history = []
    for step in range(steps + 1):
        if step % 20 == 0:
            history.append((step, network.evaluate(x, t, loss)[0], network.evaluate(*validation, loss)[0]))
        network.train_step(x, t, optimizer, loss)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3))
    grid = np.linspace(-1.2, 1.2, 121, dtype=np.float32)
    left.plot(x, t, "o", color="black", markersize=4)
    left.plot(grid, np.sin(3 * grid), "--", color="C1", label="the curve")
    left.plot(grid, network.predict(grid[:, None]), color="C0", label="the network")
    left.set(xlabel="$x$", title="$t$", ylim=(-2.5, 2.5))
    taken, training, lost = zip(*history, strict=True)
    right.plot(taken, training, label="training")
    right.plot(taken, lost, "--", label="validation")
    right.set(xlabel="step", title="Loss", yscale="log")
    for axis in (left, right):
        axis.legend()


def draw_losses(history: dict[str, list[float]]) -> None:
    """Draw the training and the validation loss of each epoch; a dotted line marks the best epoch."""
    figure, axis = plt.subplots(figsize=(6, 3))
    epochs = range(1, len(history["loss"]) + 1)
    axis.plot(epochs, history["loss"], label="training")
    axis.plot(epochs, history["validation_loss"], linestyle="--", label="validation")
    axis.axvline(1 + int(np.argmin(history["validation_loss"])), color="black", linestyle=":", linewidth=1)
    axis.set(xlabel="epoch", title="Loss", yscale="log")
    axis.legend()


def draw_recipes(results: dict[str, tuple[float, float]]) -> None:
    """Draw the test accuracy of each recipe, with one standard deviation to either side."""
    figure, axis = plt.subplots(figsize=(6, 3))
    names = [name.replace("_", " ") for name in results]
    means, spreads = (100 * np.array(values) for values in zip(*results.values(), strict=True))
    axis.errorbar(means, range(len(names)), xerr=spreads, fmt="o", capsize=4)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set(xlabel="test accuracy (%)")


# The checks of the exercises


def check_masked(y: Sequence[float], dx: Sequence[float]) -> None:
    """Dropout of (1, 2, 3, 4) with rate 0.5, of which the first and the last are kept; dy = (1, 1, 1, 1)."""
    y, dx = np.asarray(y, dtype=float), np.asarray(dx, dtype=float)
    require(y.shape == dx.shape == (4,), "expected four numbers each.")
    require(not np.allclose(y, [1, 0, 0, 4]), "y: the numbers that are kept are scaled up by 1 / (1 - rate).")
    require(not np.allclose(y, [0, 4, 6, 0]), "y: these are those that were dropped.")
    require(not np.allclose(y, [0.5, 0, 0, 2]), "y: divide by 1 - rate, do not multiply.")
    require_array(y, np.array([2.0, 0, 0, 8]), "y = x * mask, and the mask is 0 or 1 / (1 - rate).")
    require(not np.allclose(dx, [1, 0, 0, 1]), "dx: the mask is the slope, with its scale.")
    require(not np.allclose(dx, 1), "dx: a number that was dropped has no influence, so its gradient is 0.")
    require(not np.allclose(dx, y), "dx: the gradient of a product with the mask does not contain x.")
    require_array(dx, np.array([2.0, 0, 0, 2]), "dx = dy * mask, with the mask of the forward pass.")
    passed("The same mask, forward and back.")


def check_shrink(share: float) -> None:
    """What weight decay alone leaves of a weight: 1,000 steps of SGD without momentum, rate 0.1, decay 0.01."""
    require(not np.isclose(share, 0), "each step takes away a share of what is left, so that it never reaches 0.")
    require(not np.isclose(share, 0.99**1000), "the decay is multiplied by the learning rate in each step.")
    require(not np.isclose(share, 0.9**1000), "the share that goes is rate times decay.")
    require(not np.isclose(share, 1 - 0.999**1000), "this is what has gone.")
    require(not np.isclose(share, 0.999), "this is after one step.")
    require_number(share, 0.999**1000, "Each step multiplies the weight by the same number.", 1e-3)
    passed("About 1/e: the time to shrink so far is 1 / (rate * decay) steps.")


def check_standard_error(error: float) -> None:
    """The standard error, in per cent, of an accuracy of 95 % on 1,000 independent examples."""
    exact = 100 * np.sqrt(0.95 * 0.05 / 1000)
    require(not np.isclose(error, exact / 100, rtol=1e-2), "in per cent, please.")
    require(not np.isclose(error, 0.95 * 0.05 / 10, rtol=1e-2), "this is the variance; take its root.")
    require(not np.isclose(error, 100 * np.sqrt(0.95 * 0.05), rtol=1e-2), "this is the spread of one example.")
    require(not np.isclose(error, 100 / np.sqrt(1000), rtol=1e-2), "one example has the variance p (1 - p), not 1.")
    require(not np.isclose(error, 2 * exact, rtol=1e-2), "this is two standard errors.")
    require_number(error, exact, "The variance of a mean of n is that of one, p (1 - p), divided by n.", 1e-2)
    passed("So two networks that differ by half a per cent on 1,000 examples do not differ, as far as one can see.")


def check_folds(folds: Callable) -> None:
    """``folds(n, k, rng)`` returns k pairs of arrays: the examples to train on, and those to validate on."""
    for n, k in ((10, 5), (11, 4), (7, 7)):
        pairs = list(folds(n, k, np.random.default_rng(0)))
        require(len(pairs) == k, f"n = {n}, k = {k}: expected {k} pairs, got {len(pairs)}.")
        pairs = [tuple(np.asarray(part) for part in pair) for pair in pairs]
        for train, validation in pairs:
            both = np.intersect1d(train, validation)
            require(not both.size, f"n = {n}, k = {k}: example {both[:1]} is trained on and validated on.")
            covered = np.union1d(train, validation)
            require(covered.size == n, f"n = {n}, k = {k}: a fold uses {covered.size} of {n} examples.")
            require(len(train) + len(validation) == n, f"n = {n}, k = {k}: an example occurs twice in a fold.")
        seen = np.sort(np.concatenate([validation for _, validation in pairs]))
        require(np.array_equal(seen, np.arange(n)), f"n = {n}, k = {k}: validate on every example exactly once.")
        sizes = [len(validation) for _, validation in pairs]
        require(max(sizes) - min(sizes) <= 1, f"n = {n}, k = {k}: the sizes {sizes} differ by more than one.")
    first = np.sort(np.asarray(next(iter(folds(1000, 10, np.random.default_rng(1))))[1]))
    require(not np.array_equal(first, np.arange(100)), "shuffle first: data often come sorted by class.")
    again = np.sort(np.asarray(next(iter(folds(1000, 10, np.random.default_rng(2))))[1]))
    require(not np.array_equal(first, again), "draw the order with the rng that is passed.")
    passed("Every example is validated on once.")


def check_channel_dropout(kind: type[Dropout]) -> None:
    """A subclass of `Dropout` that drops whole channels of images: ``kind(rate)``."""
    require(isinstance(kind, type) and issubclass(kind, Dropout), "write a subclass of cnnlib.Dropout.")
    x = np.random.default_rng(16).uniform(1, 2, (200, 8, 3, 3))
    layer = kind(0.25, rng=0)
    require(np.array_equal(layer.forward(x), x), "in prediction, y is x.")
    layer.training = True
    y = layer.forward(x)
    require(isinstance(y, np.ndarray) and y.shape == x.shape, "y has the shape of x.")
    ratio = y / x
    flat = ratio.reshape(200, 8, -1)
    require(np.allclose(flat, flat[:, :, :1]), "all pixels of a channel share one fate.")
    kept = flat[:, :, 0]
    require(not np.allclose(kept, kept[:1]), "every example draws channels of its own.")
    require(not np.allclose(kept, kept[:, :1]), "every channel is drawn by itself, not all of an example together.")
    require(np.allclose(kept[kept != 0], 1 / 0.75), "what is kept is scaled by 1 / (1 - rate).")
    require(abs(np.mean(kept == 0) - 0.25) < 0.05, f"a share of {np.mean(kept == 0):.0%} is dropped; the rate is 25 %.")
    dy = np.random.default_rng(17).standard_normal(x.shape)
    require(np.allclose(layer.backward(dy), dy * ratio), "backward uses the mask of the last forward pass.")
    require(not np.array_equal(layer.forward(x), y), "each forward pass draws a new mask.")
    passed("Neighbouring pixels say nearly the same; only a whole channel is really gone.")
