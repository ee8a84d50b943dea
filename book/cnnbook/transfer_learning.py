"""Chapter 18, Transfer learning: its long run, its figures, the checks of its exercises."""

import base64
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.beyond import Experiment, Networks
from cnnbook.checking import passed, require, require_array, require_number
from cnnlib import (
    SGD,
    AveragePooling,
    CategoricalCrossEntropy,
    Dense,
    Network,
    Softmax,
    accuracy,
    lenet5,
    load_digits,
    load_fashion_mnist,
    load_mnist,
    one_cycle,
    one_hot,
)
from cnnlib.digits.datasets import Dataset

FEATURES = 7  # the layers of LeNet-5 up to and with Flatten: the convolutions
WAYS = ("scratch", "all", "frozen")
COUNTS = (10, 30, 100)  # examples of each class


def only(data: Dataset, classes: range) -> Dataset:
    """Return a data set with these neighbouring classes alone, counted from 0."""
    train, test = (np.isin(labels, classes) for labels in (data.train_labels, data.test_labels))
    return Dataset(
        data.name,
        data.train_images[train],
        data.train_labels[train] - classes[0],
        data.test_images[test],
        data.test_labels[test] - classes[0],
        data.classes[classes[0] : classes[-1] + 1],
    )


# The tasks to transfer to: their data, and which network to begin with.
TASKS = {
    "second_half": (lambda: only(load_mnist(), range(5, 10)), "half"),
    "small_digits": (load_digits, "digits"),
    "clothes": (load_fashion_mnist, "digits"),
}


def few(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the positions of so many examples of each class, drawn at random."""
    order = np.random.default_rng([18, seed]).permutation(len(labels))
    return np.concatenate([order[labels[order] == label][:count] for label in np.unique(labels)])


def begin_with(base: Network, classes: int, seed: int) -> Network:
    """Return a LeNet-5 with the weights of `base`, and a new last layer."""
    network = lenet5(np.random.default_rng([181, seed]))
    layers = [*network.layers[:-2], Dense(84, classes, rng=np.random.default_rng([182, seed])), network.layers[-1]]
    network = Network(layers, (1, 28, 28))
    old = base.parameters()
    for name, array in network.parameters().items():
        if array.shape == old[name].shape and not name.endswith("11"):
            array[...] = old[name]
    return network


def from_scratch(classes: int, seed: int) -> Network:
    """Return the same network with new weights in all layers."""
    network = lenet5(np.random.default_rng([183, seed]))
    layers = [*network.layers[:-2], Dense(84, classes, rng=np.random.default_rng([184, seed])), network.layers[-1]]
    return Network(layers, (1, 28, 28))


def learn(way: str, base: Network, x: np.ndarray, t: np.ndarray, seed: int, classes: int, steps: int = 600) -> Network:
    """Return a network that has learned the examples in one of three ways, in so many steps.

    From scratch; with the weights of `base` to begin with, all trained; or with its convolutions frozen, so that only
    the dense layers are trained, on features that are computed once.
    """
    network = from_scratch(classes, seed) if way == "scratch" else begin_with(base, classes, seed)
    trained = network[FEATURES:] if way == "frozen" else network
    inputs = network[:FEATURES].predict(x) if way == "frozen" else x
    epochs = max(1, round(steps * 25 / len(x)))
    trained.train(
        inputs, t, epochs=epochs, batch_size=25, optimizer=SGD(0.02), schedule=one_cycle, seed=seed, progress=False
    )
    return network


def _build(seed: int) -> Networks:
    rng = np.random.default_rng(seed)
    networks = {"half": from_scratch(5, seed), "digits": lenet5(rng)}
    for network in networks.values():
        network.notes["seed"] = seed
    return networks


def _train(networks: Networks, seed: int) -> None:
    for name, data in (("half", only(load_mnist(), range(5))), ("digits", load_mnist())):
        networks[name].train(
            data.train_images,
            data.train_labels,
            epochs=3,
            optimizer=SGD(0.05),
            schedule=one_cycle,
            seed=seed,
            progress=False,
        )


def _measure(networks: Networks) -> dict[str, float]:
    """Transfer to every task, with the seed of the networks, and test what has come of it."""
    results = {}
    for task, (load, base) in TASKS.items():
        data, seed = load(), networks[base].notes["seed"]
        for count in COUNTS:
            chosen = few(data.train_labels, count, seed)
            x, t = data.train_images[chosen], data.train_labels[chosen]
            for way in WAYS:
                network = learn(way, networks[base], x, t, seed, len(data.classes))
                results[f"{task}_{count}_{way}"] = network.evaluate(data.test_images, data.test_labels)[1]
    results["transfer_10"] = results["second_half_10_all"]
    return results


EXPERIMENTS = {"transfer": Experiment(_build, _train, _measure)}


# The live figure


def figure_data() -> dict:
    """Return what the live figure starts with: digits from 5 to 9 of the small set, as three kinds of numbers.

    Pixels, of 14x14; and what a network that has learned the digits from 0 to 4 makes of them: its 400 features behind
    the convolutions, and the 84 numbers before its last layer. All are stored in 8 bits, with a scale that makes their
    mean square 1.
    """
    data = only(load_digits(), range(5, 10))
    places = few(data.train_labels, 30, 0)
    network = EXPERIMENTS["transfer"].load("transfer")["half"]
    kinds = {
        "pixels": ("pixels", lambda x: AveragePooling(2).forward(x[:, np.newaxis] / 255).reshape(len(x), -1)),
        "early": ("behind the convolutions", network[:FEATURES].predict),
        "late": ("before the last layer", network[:-2].predict),
    }
    rng = np.random.default_rng(18)
    return {
        "features": {
            name: pack(label, features(data.train_images[places]), features(data.test_images))
            for name, (label, features) in kinds.items()
        },
        "labels": {"train": data.train_labels[places], "test": data.test_labels},
        "orders": [rng.permutation(len(places)) for _ in range(6)],
        "counts": (1, 3, 10, 30),
        "classes": 5,
        "steps": 200,
        "learning_rate": 0.01,
    }


def pack(label: str, train: np.ndarray, test: np.ndarray) -> dict:
    """Return numbers (N, size), none of them negative, in 8 bits."""
    limit = max(train.max(), test.max())
    codes = [np.round(255 * part / limit).astype(np.uint8) for part in (train, test)]
    scale = 1 / np.sqrt(np.mean(np.square(codes[0], dtype=float)))
    texts = [base64.b64encode(part.tobytes()).decode() for part in codes]
    return {"label": label, "size": train.shape[1], "scale": scale, "train": texts[0], "test": texts[1]}


# Figures


def draw_few(images: np.ndarray, source: str) -> None:
    """Draw all examples that there are, in rows of ten, and say where they come from."""
    figure, axes = plt.subplots(len(images) // 10, 10, figsize=(6, 0.7 * (len(images) // 10)))
    figure.suptitle(f"{len(images)} digits of {source}")
    for axis, image in zip(axes.flat, images, strict=True):
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        axis.axis("off")


def draw_layers(start: dict, count: int = 10) -> None:
    """Draw the test accuracy of the live figure's three layers, trained on so many examples of each class."""
    figure, axis = plt.subplots(figsize=(6, 3))
    labels = start["labels"]
    order = start["orders"][0]
    places = np.concatenate([order[labels["train"][order] == label][:count] for label in range(start["classes"])])
    for kind, style in zip(start["features"].values(), ("-", "--", ":"), strict=True):
        train, test = (
            np.frombuffer(base64.b64decode(kind[part]), np.uint8).reshape(-1, kind["size"]) * np.float32(kind["scale"])
            for part in ("train", "test")
        )
        network = Network([Dense(kind["size"], start["classes"], "zeros"), Softmax()], (kind["size"],))
        optimizer, t = SGD(start["learning_rate"]), one_hot(labels["train"][places], start["classes"])
        shares = []
        for _ in range(start["steps"]):
            network.train_step(train[places], t, optimizer, CategoricalCrossEntropy())
            shares.append(accuracy(network.predict(test), one_hot(labels["test"], start["classes"])))
        axis.plot(range(1, start["steps"] + 1), 100 * np.array(shares), style, label=kind["label"])
    axis.set(xlabel="step", title="Test accuracy (%)", ylim=(0, 100))
    axis.legend(loc="lower right")


TITLES = {"second_half": "5 to 9", "small_digits": "small digits", "clothes": "clothes"}


def draw_transfer(results: dict[str, tuple[float, float]]) -> None:
    """Draw the test accuracy over the number of examples: a chart for each task, a line for each way."""
    figure, axes = plt.subplots(1, len(TASKS), figsize=(9, 3))
    for axis, task in zip(axes, TASKS, strict=True):
        for way, marker in zip(WAYS, "os^", strict=True):
            means, spreads = zip(*(results[f"{task}_{count}_{way}"] for count in COUNTS), strict=True)
            axis.errorbar(range(len(COUNTS)), 100 * np.array(means), 100 * np.array(spreads), marker=marker, label=way)
        axis.set_xticks(range(len(COUNTS)), COUNTS)
        axis.set(title=TITLES[task], xlabel="examples of each class")
    axes[0].legend()


# The checks of the exercises


def check_trained_count(count: int) -> None:
    """How many parameters are trained if the convolutions of a LeNet-5 for five classes are frozen."""
    dense = (400 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 5
    require(count != 61_706, "this is the whole network for ten classes.")
    require(count != dense + 156 + 2_416, "this is the whole network; the convolutions stay as they are.")
    require(count != dense - 425 + 850, "the last layer has five outputs, not ten.")
    require(count != 425, "this is the last layer only; the other two dense layers are trained as well.")
    require(count != 400 * 120 + 120 * 84 + 84 * 5, "every output has a bias, too.")
    require_number(count, dense, "Three dense layers: 400 to 120, to 84, to 5.")
    passed("Most of the parameters, and a small part of the multiplications.")


def check_gap(share: float) -> None:
    """By how much of its mistakes a network is better off: from 85.7 % to 89.4 % of the answers right."""
    exact = (89.4 - 85.7) / (100 - 85.7)
    require(
        not np.isclose(share, 3.7), "these are percentage points of the accuracy; divide by the mistakes there were."
    )
    require(not np.isclose(share, 3.7 / 85.7, rtol=1e-2), "this is relative to the right answers; take the mistakes.")
    require(not np.isclose(share, 10.6 / 14.3, rtol=1e-2), "this share of the mistakes is left.")
    require(not np.isclose(share, 3.7 / 10.6, rtol=1e-2), "divide by the mistakes before, not by those after.")
    require(not np.isclose(share, 100 * exact, rtol=1e-2), "as a share from 0 to 1, please.")
    require_number(share, exact, "14.3 mistakes in a hundred have become 10.6.", 1e-2)
    passed("About a quarter of the mistakes: near 100 %, mistakes say more than right answers.")


def check_few(function: Callable) -> None:
    """``few(labels, count, rng)`` returns positions of so many examples of each class, drawn at random."""
    labels = np.array([0, 0, 1, 0, 2, 2, 1, 2, 1, 0, 2, 1])
    for count in (1, 2, 3):
        places = np.asarray(function(labels, count, np.random.default_rng(0)))
        require(places.ndim == 1 and places.dtype.kind in "iu", "return an array of positions.")
        require(
            len(places) == 3 * count, f"expected {3 * count} positions for {count} of each class, got {len(places)}."
        )
        require(len(set(places.tolist())) == len(places), "no example may be taken twice.")
        found = np.bincount(labels[places], minlength=3)
        require(np.array_equal(found, [count] * 3), f"the classes 0, 1 and 2 occur {found.tolist()} times.")
    draws = {tuple(sorted(np.asarray(function(labels, 2, np.random.default_rng(k))).tolist())) for k in range(20)}
    require(len(draws) > 1, "it is always the same draw: use the rng.")
    seen = set().union(*draws)
    require(len(seen) == len(labels), f"examples {sorted(set(range(12)) - seen)} are never drawn.")
    passed("As many of each class, whatever their shares.")


def check_frozen(function: Callable) -> None:
    """``features(network, k, x)`` returns the output (N, ...) of the first k layers, without changing the network."""
    network = lenet5(np.random.default_rng(5))
    x = load_digits().test_images[:7]
    before = {name: array.copy() for name, array in network.parameters().items()}
    for k in (1, 3, 7, 11):
        y = function(network, k, x)
        right, one_more, one_less = (network[:n].predict(x) if n else None for n in (k, k + 1, k - 1))
        require(isinstance(y, np.ndarray), "return an array.")
        for wrong, what in ((one_more, "one layer too many"), (one_less, "one layer too few")):
            same = wrong is not None and wrong.shape == y.shape and np.allclose(wrong, y)
            require(not same, f"k = {k}: that is {what}.")
        require(len(y) == len(x), f"k = {k}: expected features of {len(x)} examples, got {len(y)}.")
        require(y.shape == right.shape, f"k = {k}: the shape is {y.shape}, expected {right.shape}.")
        require_array(np.asarray(y, float), right.astype(float), f"k = {k}: are the pixels divided by 255?", 1e-4)
    after = network.parameters()
    require(all(np.array_equal(before[name], after[name]) for name in before), "the weights have changed.")
    passed("Computed once, used in every epoch.")


def check_rates(kind: Callable) -> None:
    """``kind(rates)`` is an optimizer without momentum: parameter k moves with the k-th rate."""
    rng = np.random.default_rng(6)
    parameters = [rng.standard_normal(shape) for shape in ((2, 3), (3,), (4, 2))]
    gradients = [rng.standard_normal(parameter.shape) for parameter in parameters]
    before = [parameter.copy() for parameter in parameters]
    optimizer = kind([0.0, 0.01, 0.1])
    require(hasattr(optimizer, "step"), "return an optimizer, with a method step(pairs, scale).")
    optimizer.step(list(zip(parameters, gradients, strict=True)), 0.5)
    moves = [old - new for old, new in zip(before, parameters, strict=True)]
    require(not np.any(moves[0]), "a parameter with the rate 0 must not move: that is what frozen means.")
    require(np.any(moves[1]) and np.any(moves[2]), "change the parameters themselves, in place.")
    require(not np.allclose(moves[2], 0.1 * gradients[2]), "the schedule's scale counts as well.")
    require(not np.allclose(moves[2], -0.05 * gradients[2]), "downhill is against the gradient.")
    require(
        np.allclose(moves[1], 0.005 * gradients[1]), "parameter 1 must move by rate 1, times scale, times gradient."
    )
    require(np.allclose(moves[2], 0.05 * gradients[2]), "parameter 2 must move by rate 2, times scale, times gradient.")
    passed("Between frozen and free lies a rate for each layer.")
