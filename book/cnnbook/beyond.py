"""The long runs of the chapters beyond digits: trained once, by `make beyond`, and stored with the book.

A chapter trains a short run while the book is built. Beside it, it shows the results of long ones: a mean over several
seeds, with their standard deviation. The network of seed 0 is stored in float16, so that it can be measured again.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np

import cnnlib
from cnnlib.files import atomic_write

Networks = dict[str, cnnlib.Network]


@dataclass(frozen=True)
class Experiment:
    """A long run.

    Attributes
    ----------
    build : callable
        ``build(seed)`` returns new networks by name: one, or several that work together.
    train : callable
        ``train(networks, seed)`` trains them, in place.
    measure : callable
        ``measure(networks)`` returns the results by name, on test data that played no part in the training.
    """

    build: Callable[[int], Networks]
    train: Callable[[Networks, int], None]
    measure: Callable[[Networks], dict[str, float]]

    def run(self, name: str, seed: int) -> dict[str, float]:
        """Train with this seed, store what came of it, and return the results."""
        networks = self.build(seed)
        self.train(networks, seed)
        numbers = self.measure(networks)
        if seed == 0:
            arrays = {
                f"{part}.{key}": array.astype(np.float16)
                for part, network in networks.items()
                for key, array in network.saved_arrays().items()
            }
            with atomic_write(_path(f"{name}.npz")) as file:
                np.savez_compressed(file, **arrays)
        stored = {**_stored(name), str(seed): numbers}
        with atomic_write(_path(f"{name}.json")) as file:
            file.write(json.dumps(dict(sorted(stored.items())), indent=1).encode() + b"\n")
        return numbers

    def load(self, name: str) -> Networks:
        """Return the stored networks of seed 0."""
        networks = self.build(0)
        with np.load(_path(f"{name}.npz"), allow_pickle=False) as arrays:
            for part, network in networks.items():
                for key, array in network.saved_arrays().items():
                    array[...] = arrays[f"{part}.{key}"]
        return networks


def results(name: str) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation over the seeds of every result of a long run; NaN is that of one seed."""
    runs = list(_stored(name).values())
    values = {key: [run[key] for run in runs] for key in runs[0]}
    return {
        key: (float(np.mean(each)), float(np.std(each)) if len(each) > 1 else np.nan) for key, each in values.items()
    }


def summary(name: str) -> str:
    """Return the results of a long run as text, a line for each."""
    count = len(seeds(name))
    return "\n".join(
        f"{key}: {mean:.3f}" + (f" ± {spread:.3f}, {count} seeds" if count > 1 else ", one seed")
        for key, (mean, spread) in results(name).items()
    )


def seeds(name: str) -> list[int]:
    """Return the seeds of which results are stored."""
    return [int(seed) for seed in _stored(name)]


def _stored(name: str) -> dict[str, dict[str, float]]:
    path = _path(f"{name}.json")
    return json.loads(path.read_text()) if path.is_file() else {}


def _path(name: str):
    return resources.files("cnnbook") / "results" / name
