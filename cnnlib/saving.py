"""Models and checkpoints: what stands in their files, and how it is checked when it is read.

A model's description is its architecture, from which a fixed table of layers builds it; a checkpoint's is what a run
needs, beside arrays, to go on as if nothing had happened. How files are written and read is in `cnnlib.files`.
"""

import os

import numpy as np

from cnnlib import checks, devices
from cnnlib.files import message_of, read_arrays, write_arrays
from cnnlib.initializers import INITIALIZERS
from cnnlib.layers import LAYERS, Layer

MODEL, CHECKPOINT = "cnnlib network 1", "cnnlib checkpoint 2"


def save_network(network, /, path: str | os.PathLike, **notes) -> None:
    """Write the network to one ``.npz`` file, whole or not at all; `notes` (JSON) are kept beside it.

    This is the method `Network.save`.

    Raises
    ------
    TypeError
        If a layer is of a class that `load` would not build, such as one of your own.
    ValueError
        If a parameter is not finite.
    """
    checks.check_saveable(network, LAYERS)
    arrays = checks.check_saved_arrays(network)
    description = checks.check_json("notes", {"format": MODEL, "network": network.config, "notes": notes})
    build_network(type(network), description["network"], arrays)  # what is saved can be loaded
    write_arrays(path, arrays, description)


def load_network(network_class: type, path: str | os.PathLike):
    """Read a network that `save` wrote. It predicts the same bits. This is the class method `Network.load`.

    Nothing in the file is run: arrays are read without pickle, and layers come from a fixed table.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not such a network, or is damaged; the message says what is wrong.
    """
    arrays, description = read_arrays(path, MODEL)
    try:
        checks.check_description(description)
        network = build_network(network_class, description["network"], arrays)
        network.notes = description.get("notes", {})
        return network
    except Exception as error:  # what a damaged description leads to can be nearly anything
        raise ValueError(f"{os.fspath(path)} does not hold a network: {message_of(error)}") from error


def build_network(network_class: type, config: dict, arrays: dict[str, np.ndarray]):
    """Build a network from its `config` and its arrays, which must fit it exactly."""
    arrays = dict(arrays)
    layers = build_layers(config["layers"], arrays, config["dtype"])
    if arrays:
        raise ValueError(f"it holds arrays of no layer: {', '.join(sorted(arrays))}")
    return network_class(layers, tuple(config["input_shape"]), config.get("max_input", 32.0))


def build_layers(entries: list[dict], arrays: dict[str, np.ndarray], dtype: str, path: tuple = ()) -> list[Layer]:
    """Build layers from their configs, and give them their arrays, which are taken out of `arrays`."""
    layers = []
    for index, entry in enumerate(checks.check_row(entries, len(path))):
        place = ".".join((*path, str(index)))
        layer_class = checks.check_entry(place, entry, LAYERS, INITIALIZERS)
        config = {name: value for name, value in entry.items() if name != "class"}
        if "layers" in config:
            config["layers"] = build_layers(config["layers"], arrays, dtype, (*path, str(index)))
        if "initializer" in config:  # zeros cost nothing, whatever size the file claims
            config |= {"initializer": "zeros", "dtype": dtype}
        layer = layer_class(**config)
        if "initializer" in config:
            layer.initializer = entry["initializer"]
        for name in (*layer.params, *layer.statistics):
            array, shape = arrays.pop(f"{name}{place}"), getattr(layer, name).shape
            setattr(layer, name, checks.check_stored(f"{name} of layer {place}", array, shape, dtype))
        layers.append(layer)
    return layers


def save_checkpoint(path: str | os.PathLike, run) -> None:
    """Write the state of a run after an epoch to one file, whole or not at all.

    Parameters
    ----------
    run : Run
        Its settings, parameters, optimizer, random numbers, history and further arrays are kept.
    """
    parameters, optimizer = run.network.parameters(), run.optimizer
    arrays = run.network.saved_arrays() | run.arrays
    for kind, states in optimizer.state.items():
        arrays |= {f"{kind}.{name}": array for name, array in zip(parameters, states, strict=True)}
    description = {
        "format": CHECKPOINT,
        "run": run.settings,
        "steps": optimizer.steps,
        "rng": run.rng.bit_generator.state,
        "history": run.history,
    }
    write_arrays(path, *checks.check_state(arrays, description, run))  # what is saved can be resumed


def load_checkpoint(path: str | os.PathLike, run) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `save_checkpoint` wrote, and check that it belongs to this run; `restore_checkpoint` does the rest.

    Raises
    ------
    ValueError
        If the file is damaged, or belongs to another run.
    """
    arrays, description = read_arrays(path, CHECKPOINT)
    try:
        checks.check_same_run(description["run"], run.settings)
        checks.check_state(arrays, description, run)
    except Exception as error:  # as in load_network
        raise ValueError(f"{os.fspath(path)} is not a checkpoint of this run: {message_of(error)}") from error
    return arrays, description


def restore_checkpoint(run, state: tuple[dict[str, np.ndarray], dict]) -> None:
    """Bring a run, in place, to where it was when `load_checkpoint`'s file was written."""
    arrays, description = state
    arrays = {name: devices.move(array, run.network.first_parameter) for name, array in arrays.items()}
    parameters, kinds = run.network.parameters(), run.optimizer.state_names if description["steps"] else ()
    run.rng.bit_generator.state = description["rng"]
    run.optimizer.steps = description["steps"]
    run.optimizer.state = {kind: [arrays.pop(f"{kind}.{name}") for name in parameters] for kind in kinds}
    for name, array in run.network.saved_arrays().items():
        array[...] = arrays.pop(name)
    run.arrays, run.history = arrays, description["history"]
