"""Train the networks of the chapters beyond digits, for minutes each, and store them with the book; or measure them.

    python scripts/beyond.py train [NAME ...] [--seeds 0 1 2]
    python scripts/beyond.py measure

`measure` prints a line for each result, its name, its mean over the seeds and their standard deviation. The network of
seed 0 is measured afresh; that it lies more than three standard deviations from what is stored is an error.
"""

import argparse
import sys
import time
from importlib import import_module

import numpy as np

from cnnbook import beyond

CHAPTERS = ("overfitting", "deeper_networks", "transfer_learning", "detection", "segmentation", "generation")


def experiments() -> dict[str, beyond.Experiment]:
    """Return the long runs of all chapters by name."""
    return {
        name: each
        for chapter in CHAPTERS
        for name, each in getattr(import_module(f"cnnbook.{chapter}"), "EXPERIMENTS", {}).items()
    }


def train(names: list[str], seeds: list[int]) -> int:
    """Train with every seed."""
    for name in names or experiments():
        for seed in seeds:
            start = time.process_time()
            numbers = experiments()[name].run(name, seed)
            text = ", ".join(f"{key} {value:.4g}" for key, value in numbers.items())
            print(f"{name}, seed {seed}: {text}; {time.process_time() - start:.0f} s of processor time", flush=True)
    return 0


def measure() -> int:
    """Print all results."""
    failed = 0
    for name, experiment in experiments().items():
        fresh = experiment.measure(experiment.load(name))
        for key, (mean, spread) in beyond.results(name).items():
            print(f"{key} {mean:.4f} {spread:.4f}")
            if not abs(fresh[key] - mean) <= 3 * np.nanmax([spread, 1e-3]):
                print(f"error: {key} of the stored network is {fresh[key]:.4f}", file=sys.stderr)
                failed = 1
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "measure"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    sys.exit(measure() if options.what == "measure" else train(options.names, options.seeds))
