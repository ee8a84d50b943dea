"""Measure how well drawings are classified, and what fine-tuning brings, on pen strokes of many writers.

    python scripts/measure_drawing.py strokes.json.gz

writes book/cnnbook/results/drawing.json, which the chapter "Draw a digit" shows. Strokes are a gzipped JSON list of
drawings

    {"label": 0..9, "writer": 1.., "extent": pixels, "strokes": [[[x, y], ...], ...]}

with y down, the bounding box beginning at (0, 0), its longer side 1, and `extent` its length on the tablet. Ours are
the trajectories of the training part of UCI's Pen-Based Recognition of Handwritten Digits (E. Alpaydin and F. Alimoglu,
doi 10.24432/C5MG6K): 7,494 drawings by 30 writers.
"""

import argparse
import gzip
import hashlib
import json
import time
from pathlib import Path

import numpy as np

import cnnlib
from cnnlib.digits.datasets import Dataset
from cnnlib.digits.fine_tuning import FineTuner
from cnnlib.digits.strokes import CANVAS, PREPARATIONS
from cnnlib.files import atomic_write

COUNTS = (0, 5, 10, 20, 50)
SPLITS = 8
TABLET = 500  # pixels: the size of the box that UCI's writers wrote in
RESULT = Path(__file__).resolve().parents[1] / "book" / "cnnbook" / "results" / "drawing.json"


def fingerprint(network: cnnlib.Network) -> str:
    """Identify a network by its parameters, so that results and the network that they belong to can be told to fit."""
    digest = hashlib.sha256()
    for name, array in network.parameters().items():
        digest.update(name.encode() + array.astype("<f4").tobytes())
    return digest.hexdigest()[:16]


def share(network: cnnlib.Network, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the accuracy in percent."""
    return 100 * float(np.mean(network.predict(images).argmax(axis=1) == labels))


def measure_preparations(networks: dict[str, cnnlib.Network], records: list[dict], labels: np.ndarray) -> dict:
    """Return the accuracy of each network for each of the `PREPARATIONS`."""
    rng = np.random.default_rng(0)
    drawings = []
    for record in records:  # somewhere on the canvas, as large in it as on the tablet
        size = min(record["extent"] / TABLET, 0.97) * CANVAS
        strokes = [np.array(stroke) * size for stroke in record["strokes"]]
        margin = CANVAS - np.concatenate(strokes).max(axis=0)
        corner = margin * rng.random(2)
        drawings.append([stroke + corner for stroke in strokes])
    result = {name: [] for name in networks}
    for prepare in PREPARATIONS.values():
        images = np.stack([prepare(strokes) for strokes in drawings])
        for name, network in networks.items():
            result[name].append(share(network, images, labels))
    return {"preparations": list(PREPARATIONS), **result}


def measure_fine_tuning(
    network: cnnlib.Network, images: np.ndarray, labels: np.ndarray, writers: np.ndarray, test: Dataset
) -> dict:
    """Fine-tune the network on more and more of each writer's drawings, and evaluate it on that writer's other ones.

    A person corrects what is wrong. So misclassified drawings come first, in random order, then the others. Each
    writer's drawings are split into halves, to train on and to evaluate on, `SPLITS` times.
    """
    rng, tuner = np.random.default_rng(0), FineTuner(network)
    right = network.predict(images).argmax(axis=1) == labels
    names = np.unique(writers)
    accuracy = np.empty((SPLITS, len(names), len(COUNTS)))
    mnist = np.empty((len(names), len(COUNTS)))
    seconds = []
    for split, row in np.ndindex(SPLITS, len(names)):
        mine = rng.permutation(np.flatnonzero(writers == names[row]))
        training, test_drawings = np.array_split(mine, 2)
        corrections = np.concatenate([training[~right[training]], training[right[training]]])
        for column, count in enumerate(COUNTS):
            start = time.perf_counter()
            tuner.fine_tune(images[corrections[:count]], labels[corrections[:count]])
            seconds.append(time.perf_counter() - start)
            accuracy[split, row, column] = share(network, images[test_drawings], labels[test_drawings])
            if split == 0:
                mnist[row, column] = share(network, test.test_images, test.test_labels)
        print(names[row], accuracy[split, row].round(1), mnist[row].round(2), flush=True)
    tuner.reset()
    return {
        "corrections": list(COUNTS),
        "accuracy": accuracy.mean(axis=0).round(4).tolist(),  # a row for each writer
        "mnist": mnist.round(4).tolist(),
        "seconds": float(np.median(seconds)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("strokes", type=Path)
    with gzip.open(parser.parse_args().strokes) as file:
        records = json.load(file)
    labels, writers = (np.array([record[key] for record in records]) for key in ("label", "writer"))
    images = np.stack([cnnlib.rasterize(record["strokes"]) for record in records])
    mnist, network = cnnlib.load_mnist(), cnnlib.load_pretrained()

    # A network that never saw a distorted digit, for comparison.
    plain = cnnlib.lenet5(np.random.default_rng(0))
    plain.train(mnist.train_images, mnist.train_labels, epochs=3, schedule=cnnlib.one_cycle, seed=0)
    print(f"without distortions: {share(plain, mnist.test_images, mnist.test_labels):.2f} % of MNIST's test images")

    content = {
        "network": fingerprint(network),
        "preparation": measure_preparations({"pretrained": network, "plain": plain}, records, labels),
        "teaching": measure_fine_tuning(network, images, labels, writers, mnist),
    }
    with atomic_write(RESULT) as file:
        file.write(json.dumps(content, indent=1).encode())

    print(json.dumps(content["preparation"], indent=1))
    accuracy, cost = np.array(content["teaching"]["accuracy"]), np.array(content["teaching"]["mnist"])
    for index, count in enumerate(COUNTS):
        print(
            f"{count:3} corrections: {accuracy[:, index].mean():.2f} % (worst {accuracy[:, index].min():.1f} %), "
            f"MNIST {cost[:, index].mean():.2f} % (worst {cost[:, index].min():.2f} %)"
        )


if __name__ == "__main__":
    main()
