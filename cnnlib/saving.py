"""Models and checkpoints: what stands in their files, and how it is checked when it is read.

A model's description is its architecture, from which a fixed table of layers builds it; a checkpoint's is what a run
needs, beside arrays, to go on as if nothing had happened. How files are written and read is in `cnnlib.files`.
"""

import json
import os

import numpy as np

from cnnlib.config import DTYPES, check_finite, shown
from cnnlib.files import message_of, read_arrays, write_arrays
from cnnlib.initializers import INITIALIZERS
from cnnlib.layers import LAYERS, Layer

MODEL, CHECKPOINT = "cnnlib network 1", "cnnlib checkpoint 2"
MAX_LAYERS, MAX_DEPTH = 1_000, 20


def save_network(path: str | os.PathLike, network, notes: dict) -> None:
    """Write a network to one file, whole or not at all; see `Network.save`."""
    check_layers(network)
    arrays = network.saved_arrays()
    for name, array in arrays.items():
        if array.dtype not in DTYPES or array.dtype != network.dtype:
            raise TypeError(
                f"{name} is {array.dtype}: a network is saved in float32 or float64, one for all its arrays"
            )
        check_finite(name, array)
    description = {"format": MODEL, "network": network.config, "notes": notes}
    try:
        description = json.loads(json.dumps(description))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"notes must be what JSON can hold, numbers, text, lists and dictionaries: {error}") from None
    build_network(type(network), description["network"], arrays)  # what is saved can be loaded
    write_arrays(path, arrays, description)


def load_network(path: str | os.PathLike, network_class: type):
    """Read a network that `save_network` wrote; see `Network.load`."""
    arrays, description = read_arrays(path, MODEL)
    try:
        network = build_network(network_class, description["network"], arrays)
        network.notes = dict(description.get("notes", {}))
        return network
    except Exception as error:  # what a damaged description leads to can be nearly anything
        raise ValueError(f"{os.fspath(path)} does not hold a network: {message_of(error)}") from error


def build_network(network_class: type, config: dict, arrays: dict[str, np.ndarray]):
    """Build a network from its `config` and its arrays, which must fit it exactly."""
    if config["dtype"] not in DTYPES:
        raise ValueError(f"its dtype is {config['dtype']!r}, expected {' or '.join(DTYPES)}")
    arrays = dict(arrays)
    layers = build_layers(config["layers"], arrays, config["dtype"])
    if arrays:
        raise ValueError(f"it holds arrays of no layer: {', '.join(sorted(arrays))}")
    return network_class(layers, tuple(config["input_shape"]), config.get("max_input", 32.0))


def build_layers(entries: list[dict], arrays: dict[str, np.ndarray], dtype: str, path: tuple = ()) -> list[Layer]:
    """Build layers from their configs, and give them their arrays, which are taken out of `arrays`."""
    if type(entries) is not list or len(entries) > MAX_LAYERS or len(path) > MAX_DEPTH:
        raise ValueError(f"it has more than {MAX_LAYERS} layers in a row, or more than {MAX_DEPTH} in one another")
    layers = []
    for index, entry in enumerate(entries):
        entry, place = dict(entry), (*path, str(index))
        name = entry.pop("class")
        if name not in LAYERS:
            raise ValueError(f"layer {'.'.join(place)} is a {shown(name)}, expected one of {', '.join(LAYERS)}")
        if "layers" in entry:
            entry["layers"] = build_layers(entry["layers"], arrays, dtype, place)
        initializer = entry.get("initializer")
        if initializer is not None:
            if initializer not in INITIALIZERS:
                raise ValueError(f"initializer of layer {'.'.join(place)} is {shown(initializer)}")
            entry |= {"initializer": "zeros", "dtype": dtype}  # zeros cost nothing, whatever size the file claims
        layer = LAYERS[name](**entry)
        if initializer is not None:
            layer.initializer = initializer
        for name in (*layer.params, *layer.statistics):
            array, parameter = arrays.pop(f"{name}{'.'.join(place)}"), getattr(layer, name)
            if array.shape != parameter.shape or array.dtype != dtype:
                raise ValueError(
                    f"{name} of layer {'.'.join(place)} is {array.dtype} of shape {array.shape}, "
                    f"expected {dtype} of shape {parameter.shape}"
                )
            setattr(layer, name, array)
        layers.append(layer)
    return layers


def check_layers(layer: Layer) -> None:
    """Raise a TypeError if a layer within `layer` is of a class that loading would not build."""
    for index, inner in enumerate(layer.layers):
        if type(inner) not in LAYERS.values():
            raise TypeError(f"layer {index} is a {type(inner).__name__}: only {', '.join(LAYERS)} can be saved")
        check_layers(inner)


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
    write_arrays(path, arrays, description)


def load_checkpoint(path: str | os.PathLike, run) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `save_checkpoint` wrote, and check that it belongs to this run; `restore_checkpoint` does the rest.

    Raises
    ------
    ValueError
        If the file is damaged, or belongs to another run.
    """
    arrays, description = read_arrays(path, CHECKPOINT)
    try:
        for name, value in run.settings.items():
            found = description["run"].get(name)
            if found != json.loads(json.dumps(value)):
                what = "" if name == "data" else f": it has {found!r}, this one {value!r}"
                raise ValueError(f"it belongs to a run with another {name}{what}")
        check_state(arrays, description, run)
    except Exception as error:  # as in load_network
        raise ValueError(f"{os.fspath(path)} is not a checkpoint of this run: {message_of(error)}") from error
    return arrays, description


def check_state(arrays: dict[str, np.ndarray], description: dict, run) -> None:
    """Raise an error unless everything that `restore_checkpoint` uses is there and as it must be."""
    steps, history = description["steps"], description["history"]
    epochs = len(history["loss"])
    if type(steps) is not int or steps != run.steps * epochs or epochs > run.epochs or [*history] != [*run.history]:
        raise ValueError("its history does not fit its number of steps")
    for name, values in history.items():
        lengths = {"batch_loss": (steps,), "loss": (epochs,), "learning_rate": (epochs,)}.get(name, (0, epochs))
        if type(values) is not list or len(values) not in lengths or {*map(type, values)} - {int, float}:
            raise ValueError(f"its {name} must be a list of {lengths[-1]} numbers")
    np.random.default_rng().bit_generator.state = description["rng"]
    parameters = run.network.parameters()
    kinds = {"", *(f"{kind}." for kind in (run.optimizer.state_names if steps else ()))}
    kinds |= {name.removesuffix(each) for name in arrays for each in parameters if name.endswith(f".{each}")}
    kinds = {kind for kind in kinds if kind.count(".") < 2}
    expected = {f"{kind}{name}": array for kind in kinds for name, array in parameters.items()}
    expected |= run.network.saved_arrays()
    for name, array in expected.items():
        if name not in arrays or (arrays[name].shape, arrays[name].dtype) != (array.shape, array.dtype):
            raise ValueError(f"{name} is missing, or is not {array.dtype} of shape {array.shape}")
    for name in arrays.keys() - expected.keys():
        if "." not in name:
            raise ValueError(f"{name} does not belong there")


def restore_checkpoint(run, state: tuple[dict[str, np.ndarray], dict]) -> None:
    """Bring a run, in place, to where it was when `load_checkpoint`'s file was written."""
    arrays, description = state
    parameters, kinds = run.network.parameters(), run.optimizer.state_names if description["steps"] else ()
    run.rng.bit_generator.state = description["rng"]
    run.optimizer.steps = description["steps"]
    run.optimizer.state = {kind: [arrays.pop(f"{kind}.{name}") for name in parameters] for kind in kinds}
    for name, array in run.network.saved_arrays().items():
        array[...] = arrays.pop(name)
    run.arrays, run.history = arrays, description["history"]
