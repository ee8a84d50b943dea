"""What the page's own engine, book/_static/cnnlib.js, needs: a network's layers and numbers, and the small digits."""

import base64
from copy import deepcopy
from importlib import resources

import numpy as np

from cnnlib.checks import check_choice

STORED = {"float32": "<f4", "float16": "<f2"}
MANY = 10_000  # weights, which are stored in 8 bits where a network is "mixed"


def describe(network, stored: str = "float32") -> dict:
    """Return what ``cnnlib.Network.fromJSON`` builds a network from, in a page.

    Parameters
    ----------
    network : cnnlib.Network
    stored : {"float32", "float16", "int8", "mixed"}
        How to store the parameters: float16 takes half of the space, for three decimal digits; int8, a quarter: whole
        numbers up to 127, with a scale for all weights that have the same first index. Biases and statistics, which are
        few, are then in float32. Mixed: weights of at least 10,000 numbers in int8, all else in float16.

    Returns
    -------
    dict
        ``{"input_shape": [...], "dtype": "float32", "stored": ..., "layers": [...]}``, ready for JSON. A layer is
        ``{"class": ..., "config": {...}, "parameters": {"W": ..., "b": ...}}``, little-endian in base64.
        In int8, a weight is ``{"int8": ..., "scales": ...}``. The layers in a config, such as those of
        ``Residual(layers)``, are described in the same way.

    Raises
    ------
    ValueError
        If a parameter is beyond the range of what it is stored in, or `stored` is none of these.
    """
    check_choice("stored", stored, (*STORED, "int8", "mixed"))
    return {
        "input_shape": list(network.input_shape),
        "dtype": str(network.dtype),
        "stored": {"int8": "float32", "mixed": "float16"}.get(stored, stored),
        "layers": [describe_layer(layer, stored) for layer in network.layers],
    }


def describe_layer(layer, stored: str) -> dict:
    """Return class, config and parameters of one layer, and of the layers in it."""
    entry = {"class": type(layer).__name__, "config": dict(layer.config)}
    if "layers" in entry["config"]:
        entry["config"]["layers"] = [describe_layer(inner, stored) for inner in layer.layers]
        return entry
    entry["parameters"] = {name: encode(array, stored) for name, array in layer.saved_arrays().items()}
    return entry


def encode(array, stored: str) -> str | dict[str, str]:
    """Return the numbers of an array in base64, as little-endian float32 or float16; or weights in 8 bits."""
    if stored == "mixed":
        stored = "int8" if array.ndim > 1 and array.size >= MANY else "float16"
    if stored == "int8":
        if array.ndim == 1:
            return encode(array, "float32")
        numbers, scales = quantize(array)
        return {"int8": base64.b64encode(numbers.tobytes()).decode(), "scales": encode(scales, "float32")}
    return base64.b64encode(as_stored(array, STORED[stored]).tobytes()).decode()


def as_stored(array: np.ndarray, dtype: np.typing.DTypeLike) -> np.ndarray:
    """Return an array in a dtype; ValueError if its numbers are not finite there."""
    with np.errstate(over="ignore"):
        numbers = array.astype(dtype)
    if not np.isfinite(numbers).all():
        raise ValueError(f"an array holds numbers that are not finite in {numbers.dtype}")
    return numbers


def describe_digits() -> dict:
    """Return the digits that come with the package, as ``cnnlib.digits.images_of`` reads them in a page.

    A digit is 64 letters, a letter a pixel from 0 to g, which is 16; a label is a letter. The first `train` of them are
    the training digits.
    """
    from cnnlib.digits.datasets import load_digits  # here, since the book's build makes cnnlib importable

    digits = load_digits()
    with np.load(resources.files("cnnlib") / "resources" / "digits.npz") as arrays:
        pixels = arrays["images"].ravel()
    return {
        "images": "".join("0123456789abcdefg"[pixel] for pixel in pixels),
        "labels": "".join(str(label) for label in (*digits.train_labels, *digits.test_labels)),
        "train": len(digits.train_images),
    }


def quantize(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights as whole numbers from -127 to 127 (int8), and a scale for every first index (float32)."""
    largest = np.abs(W).max(axis=tuple(range(1, W.ndim)), initial=0)
    if not np.isfinite(largest).all():
        raise ValueError("an array holds numbers that are not finite in int8")
    scales = (np.where(largest > 0, largest, 1) / 127).astype(np.float32)
    return np.rint(W / scales.reshape(-1, *[1] * (W.ndim - 1))).astype(np.int8), scales


def in_8_bits(network):
    """Return a copy of a network with the weights that a page has if they are stored in int8."""
    return rounded(network, 0)


def mixed(network):
    """Return a copy of a network with the parameters that a page has if they are stored as "mixed"."""
    return rounded(network, MANY, np.float16)


def rounded(network, many: int, dtype=np.float32):
    """Return a copy of a network with weights of so many numbers, or more, in 8 bits, and all else in a dtype."""
    network = deepcopy(network)
    for array in network.saved_arrays().values():
        if array.ndim > 1 and array.size >= many:
            numbers, scales = quantize(array)
            array[...] = numbers * scales.reshape(-1, *[1] * (array.ndim - 1))
        else:
            array[...] = as_stored(array, dtype)
    return network
