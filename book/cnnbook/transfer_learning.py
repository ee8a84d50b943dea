"""Chapter 18, Transfer learning: its long run, its figures, the checks of its exercises."""

import numpy as np

from cnnbook.beyond import Experiment, Networks
from cnnlib import SGD, Dense, Network, lenet5, load_digits, load_fashion_mnist, load_mnist, one_cycle
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


def learn(way: str, base: Network, x: np.ndarray, t: np.ndarray, seed: int, classes: int) -> Network:
    """Return a network that has learned the examples in one of three ways; always 600 steps.

    From scratch; with the weights of `base` to begin with, all trained; or with its convolutions frozen, so that only
    the dense layers are trained, on features that are computed once.
    """
    network = from_scratch(classes, seed) if way == "scratch" else begin_with(base, classes, seed)
    trained = network[FEATURES:] if way == "frozen" else network
    inputs = network[:FEATURES].predict(x) if way == "frozen" else x
    epochs = round(600 * 25 / len(x))
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
