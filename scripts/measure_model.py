"""How well does the network that comes with the package read? On MNIST's test images, and on strokes of a pen.

The strokes are UCI's Pen-Based Recognition of Handwritten Digits (doi 10.24432/C5MG6K), looked for in the folder that
CNNLIB_DATA names, as `pendigits/strokes.json.gz`: a list of {"label", "writer", "strokes"}. Without that file they are
left out.
"""

import gzip
import json
import os
from pathlib import Path

import numpy as np

import cnnlib


def report(name: str, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Print the accuracy, of all and of each class; return which images were read rightly."""
    right = cnnlib.load_pretrained().predict(images).argmax(axis=1) == labels
    print(f"{name}: {right.mean():.2%} of {len(right):,}")
    print("  " + ", ".join(f"{label}: {right[labels == label].mean():.1%}" for label in range(10)))
    return right


def load_strokes() -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return the strokes as images (N, 28, 28), with labels and writers (N,); None where they are not to be had."""
    path = Path(os.environ.get("CNNLIB_DATA", ".")) / "pendigits" / "strokes.json.gz"
    if not path.is_file():
        return None
    with gzip.open(path, "rt") as file:
        drawings = json.load(file)
    images = np.stack([cnnlib.rasterize([np.array(stroke) for stroke in d["strokes"]]) for d in drawings])
    return images, np.array([d["label"] for d in drawings]), np.array([d["writer"] for d in drawings])


if __name__ == "__main__":
    mnist = cnnlib.load_mnist()
    report("MNIST test images", mnist.test_images, mnist.test_labels)
    if strokes := load_strokes():
        images, labels, writers = strokes
        right = report("Pen strokes", images, labels)
        shares = [right[writers == writer].mean() for writer in np.unique(writers)]
        print(f"  {len(shares)} writers: from {min(shares):.1%} to {max(shares):.1%}, median {np.median(shares):.1%}")
