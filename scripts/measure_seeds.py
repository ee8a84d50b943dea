"""Train LeNet-5 from five seeds, plainly and with augmentation, and store the test errors: cnnbook/results/seeds.json.

Nothing is chosen by these numbers: recipe and number of epochs are fixed beforehand. It takes about half an hour.
"""

import json
from pathlib import Path

import numpy as np

import cnnlib
from cnnlib.digits.augmentation import Distortion
from cnnlib.digits.datasets import Dataset
from cnnlib.files import atomic_write

RESULTS = Path(__file__).parents[1] / "book" / "cnnbook" / "results" / "seeds.json"
SEEDS = range(5)
RECIPES = {"plain": {"epochs": 5, "augment": None}, "augmented": {"epochs": 15, "augment": Distortion()}}


def test_error(data: Dataset, seed: int, epochs: int, augment: Distortion | None) -> float:
    """Return the test error, in percent, of one new network."""
    network = cnnlib.lenet5(np.random.default_rng(seed))
    network.train(
        data.train_images,
        data.train_labels,
        epochs=epochs,
        optimizer=cnnlib.SGD(learning_rate=0.05, momentum=0.9, weight_decay=5e-4),
        schedule=cnnlib.one_cycle,
        augment=augment,
        seed=seed,
    )
    return round(100 * (1 - network.evaluate(data.test_images, data.test_labels)[1]), 2)


if __name__ == "__main__":
    data = cnnlib.load_mnist()
    results = {}
    for name, recipe in RECIPES.items():
        errors = [test_error(data, seed, **recipe) for seed in SEEDS]
        results[name] = {"epochs": recipe["epochs"], "augmentation": repr(recipe["augment"]), "test_errors": errors}
        print(name, errors, f"mean {np.mean(errors):.2f}, standard deviation {np.std(errors, ddof=1):.2f}")
    with atomic_write(RESULTS) as file:
        file.write(json.dumps(results, indent=1).encode() + b"\n")
