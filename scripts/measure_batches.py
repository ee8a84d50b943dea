"""Train LeNet-5 with batches of 64 to 4,096, as 1 to 64 processes would: cnnbook/results/batches.json.

Several processes compute the gradient of the whole batch, so one process with that batch stands for all of them. The
accuracy is that on the last 10,000 training images, which do not take part in training. It takes some minutes.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

import cnnlib
from cnnlib.files import atomic_write

RESULTS = Path(__file__).parents[1] / "book" / "cnnbook" / "results" / "batches.json"
BATCHES, SHARE, EPOCHS, SEEDS = (64, 256, 1024, 4096), 64, 3, range(3)
RATE, MOMENTUM, WARM_UP = 0.02, 0.9, 1 / 3  # a third of the run: one epoch
# With k times the batch: the power of k by which the rate grows, and whether it begins with a warm-up.
WAYS = {
    "the same rate": (0, False),
    "k times the rate": (1, False),
    "k times, warm-up": (1, True),
    "root of k, warm-up": (0.5, True),
}


def schedule(progress: float, start: float, warm_up: float) -> float:
    """Lower the rate along half a cosine wave; before `warm_up`, also raise it in a straight line from `start`."""
    rise = start + (1 - start) * progress / warm_up if progress < warm_up else 1
    return rise * cnnlib.cosine(progress)


def settings(way: str, batch_size: int) -> tuple[float, Callable[[float], float]]:
    """Return the learning rate and the schedule of a run."""
    power, warm_up = WAYS[way]
    scale = (batch_size / SHARE) ** power
    return RATE * scale, partial(schedule, start=1 / scale, warm_up=WARM_UP if warm_up else 0)


def accuracy(data, way: str, batch_size: int, seed: int) -> float | None:
    """Return the accuracy of one new network, in percent; None if its numbers are no longer finite."""
    rate, how = settings(way, batch_size)
    network = cnnlib.lenet5(np.random.default_rng(seed))
    train = data.train_images[:-10_000], data.train_labels[:-10_000]
    optimizer = cnnlib.SGD(rate, MOMENTUM)
    try:
        network.train(
            *train, epochs=EPOCHS, batch_size=batch_size, optimizer=optimizer, schedule=how, seed=seed, progress=False
        )
    except FloatingPointError:
        return None
    return round(100 * network.evaluate(data.train_images[-10_000:], data.train_labels[-10_000:])[1], 2)


if __name__ == "__main__":
    data = cnnlib.load_mnist()
    runs = [(way, N) for N in BATCHES for way in WAYS if N > SHARE or way == "the same rate"]
    results = {way: {} for way in WAYS}
    for way, N in tqdm(runs):
        results[way][N] = [accuracy(data, way, N, seed) for seed in SEEDS]
        print(f"{way}, {N}: {results[way][N]}", flush=True)
    described = {"epochs": EPOCHS, "rate": RATE, "momentum": MOMENTUM, "share": SHARE, "accuracies": results}
    with atomic_write(RESULTS) as file:
        file.write(json.dumps(described, indent=1).encode() + b"\n")
