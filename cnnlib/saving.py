"""Models and checkpoints in files that cannot run code when they are read, and cost no more than their size.

Both are ordinary ``.npz`` files: named arrays, uncompressed, plus one named ``description`` that holds JSON text in
UTF-8. A model's description is its architecture, from which a fixed table of layers builds it; a checkpoint's is what a
run needs, beside arrays, to go on as if nothing had happened.
"""

import json
import os
import re
import zipfile

import numpy as np

from cnnlib.config import DTYPES, check_finite, check_path, shown
from cnnlib.files import atomic_write
from cnnlib.initializers import INITIALIZERS
from cnnlib.layers import LAYERS, Layer

MODEL, CHECKPOINT = "cnnlib network 1", "cnnlib checkpoint 2"
MAX_LAYERS, MAX_DEPTH = 1_000, 20
MAX_COST = 40  # the most that JSON text costs: each of many empty lists has three bytes, and takes a hundred
# The header of an array in version 1 of NumPy's format; before it stand 8 bytes and the header's length in 2.
HEADER = re.compile(
    rb"\x93NUMPY\x01\0..\{'descr': '(<f4|<f8|>f4|>f8|\|u1)', 'fortran_order': (True|False), "
    rb"'shape': \(([0-9, ]*)\), \} *\n",
    re.DOTALL,
)


def save_network(path: str | os.PathLike, network, notes: dict) -> None:
    """Write a network to one file, whole or not at all; see `Network.save`."""
    check_layers(network)
    arrays = network.parameters()
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
        raise ValueError(f"{os.fspath(path)} does not hold a network: {_message(error)}") from error


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
        for name in layer.params:
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
    arrays = parameters | run.arrays
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
        raise ValueError(f"{os.fspath(path)} is not a checkpoint of this run: {_message(error)}") from error
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
    for name, array in parameters.items():
        array[...] = arrays.pop(name)
    run.arrays, run.history = arrays, description["history"]


def write_arrays(path: str | os.PathLike, arrays: dict[str, np.ndarray], description: dict) -> None:
    """Write named arrays and a JSON description to one ``.npz``, whole or not at all."""
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    with atomic_write(path) as file:
        np.savez(file, allow_pickle=False, description=text, **arrays)


def read_arrays(path: str | os.PathLike, expected_format: str) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `write_arrays` wrote. It costs memory for at most `MAX_COST` times the file's size.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file, or is damaged.
    """
    path = check_path("path", path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        if not path.is_file():  # a pipe would make us wait, a device may have no end
            raise ValueError("it is not an ordinary file")
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("its arrays are compressed: write them with np.savez, not np.savez_compressed")
            if sum(member.file_size for member in members) > os.fstat(file.fileno()).st_size:
                raise ValueError("its arrays claim to be larger than the file")
            arrays = {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}
        if len(arrays) != len(members):
            raise ValueError("two of its arrays have one name")
        description = json.loads(arrays.pop("description").tobytes().decode())
        if description.get("format") != expected_format:
            raise ValueError(f"its format is {shown(description.get('format'))}, expected {expected_format!r}")
    except Exception as error:  # a damaged archive makes zipfile, json and numpy raise nearly anything
        raise ValueError(f"{path} is not a readable cnnlib file: {_message(error)}") from error
    return arrays, description


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Read one array. NumPy's own reader believes a header, and makes an array of the size that it claims."""
    data = archive.read(member)
    header = HEADER.match(data)
    if header is None:
        raise ValueError(f"{member.filename} is not an array of {', '.join(DTYPES)} or uint8 that np.savez wrote")
    descr, fortran_order, sizes = (group.decode() for group in header.groups())
    array = np.frombuffer(data, descr, offset=10 + int.from_bytes(data[8:10], "little"))
    shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    array = array.reshape(shape, order="F" if fortran_order == "True" else "C").copy()
    return check_finite(member.filename.removesuffix(".npy"), array.astype(array.dtype.newbyteorder("="), copy=False))


def _message(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
