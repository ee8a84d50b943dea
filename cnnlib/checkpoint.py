"""Checkpoints: everything that a training run needs to go on as if nothing had happened."""

import os

import numpy as np

from cnnlib.optimizers import Optimizer
from cnnlib.storage import load_arrays, save_arrays

FORMAT = "cnnlib checkpoint 1"


def save_checkpoint(
    path: str | os.PathLike,
    run: dict,
    parameters: dict[str, np.ndarray],
    optimizer: Optimizer,
    rng: np.random.Generator,
    history: dict[str, list[float]],
) -> None:
    """Write the state of a run after an epoch to one file, whole or not at all.

    Parameters
    ----------
    run : dict
        What the run is: its settings, and the architecture. A checkpoint can only be resumed by the same run.
    parameters : dict of str to ndarray
    optimizer : Optimizer
        Its state and its count of steps are kept.
    rng : numpy.random.Generator
        Its position in the sequence of random numbers is kept.
    history : dict
        How far the run is, and how it went.
    """
    names = list(parameters)
    state = {
        f"{kind}.{name}": a for kind, arrays in optimizer.state.items() for name, a in zip(names, arrays, strict=True)
    }
    description = {
        "format": FORMAT,
        "run": run,
        "steps": optimizer.steps,
        "rng": rng.bit_generator.state,
        "history": history,
    }
    save_arrays(path, parameters | state, description)


def load_checkpoint(
    path: str | os.PathLike,
    run: dict,
    parameters: dict[str, np.ndarray],
    optimizer: Optimizer,
    rng: np.random.Generator,
) -> dict[str, list[float]]:
    """Bring parameters, optimizer and random numbers, in place, to where they were; return the history.

    Raises
    ------
    ValueError
        If the file is damaged, or belongs to another run; then nothing has been changed.
    """
    arrays, description = load_arrays(path)
    if description.get("format") != FORMAT:
        raise ValueError(f"{os.fspath(path)} is not a checkpoint: its format is {description.get('format')!r}")
    for name, value in run.items():
        kept = description["run"].get(name)
        if kept != value:
            raise ValueError(f"{os.fspath(path)} belongs to another run: its {name} is {kept!r}, this one's {value!r}")
    kinds = optimizer.state_names if description["steps"] else ()
    expected = {
        f"{prefix}{name}": array
        for prefix in ("", *(f"{kind}." for kind in kinds))
        for name, array in parameters.items()
    }
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    if found != {name: (array.shape, array.dtype) for name, array in expected.items()}:
        raise ValueError(f"{os.fspath(path)} is damaged: its arrays do not fit its architecture")
    rng.bit_generator.state = description["rng"]
    for name, array in parameters.items():
        array[...] = arrays[name]
    optimizer.steps = description["steps"]
    optimizer.state = {kind: [arrays[f"{kind}.{name}"] for name in parameters] for kind in kinds}
    return description["history"]
