"""Checks of arguments: what is wrong is an error at once, whose message names what was expected and what came.

They stand here, in one place, so that the other modules read as their formulas. A `check_...` returns what it was given
if that is right, an `as_...` returns it as an array. This module knows no other of the library: of a layer, a loss, a
network or a run it uses attributes, and classes are arguments.
"""

import functools
import inspect
import json
import math
import numbers
import operator
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = ("float32", "float64")
STORED = (*DTYPES, "uint8")  # what an array in a file may be
# What is more than these is a slip of the keyboard, or a file that means harm.
MAX_WEIGHTS = 10**8  # of one layer; 400 MB in float32
MAX_PADDING, MAX_STRIDE, MAX_CLASSES = 1_000, 1_000_000, 1_000_000
MAX_LAYERS, MAX_DEPTH = 1_000, 20  # in a row, and in one another, in a file
HISTORY = ("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds", "learning_rate", "batch_loss")


def on_device(array) -> bool:
    """Whether an array lies on a graphics card: NumPy's functions hand it on to its library, and `get` fetches it."""
    return not isinstance(array, np.ndarray) and hasattr(array, "__array_function__") and hasattr(array, "get")


def to_numpy(array: np.typing.ArrayLike) -> np.ndarray:
    """Return an array in the memory of the computer; a copy only if it lies elsewhere."""
    return array.get() if on_device(array) else np.asarray(array)  # type: ignore[union-attr]


def shown(value) -> str:
    """Return what a message says of a value: for an array its dtype and shape, else at most 60 characters."""
    if isinstance(value, np.ndarray) or on_device(value):
        return f"an array of {value.dtype} of shape {value.shape}"
    try:
        text = repr(value)
    except Exception:  # a whole number of very many digits cannot be printed, nor can some objects
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_instance(name: str, value, kind: Any, example: str):
    """Return `value` if it is of that class; a TypeError that says what would be otherwise."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {example}, got {shown(value)}")
    return value


def check_positive_int(name: str, value: int) -> int:
    """Return `value` if it is a whole number of at least 1; TypeError or ValueError otherwise."""
    return check_int(name, value, minimum=1)


def check_int(name: str, value: int, minimum: int, maximum: float = np.inf) -> int:
    """Return `value` as an int if it is a whole number within the limits; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {shown(value)}")
    if not minimum <= value <= maximum:
        limits = f"at least {minimum}" if value < minimum else f"at most {maximum:,}"
        raise ValueError(f"{name} must be {limits}, got {shown(int(value))}")
    return int(value)


def check_number(name: str, value: float, interval: str = "(-inf, inf)") -> float:
    """Return `value` if it is a real number in the interval, such as ``"[0, 1)"``; TypeError or ValueError otherwise.

    A round bracket means that the end itself is not allowed. NaN is in no interval.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    low, high = map(float, interval[1:-1].split(","))
    if low < value < high or (value == low and interval[0] == "[") or (value == high and interval[-1] == "]"):
        return int(value) if isinstance(value, numbers.Integral) and abs(value) < 2**53 else _as_float(name, value)
    raise ValueError(f"{name} must be a number in {interval}, got {shown(value)}")


def _as_float(name: str, value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that fits into float64, got {shown(value)}") from None


def check_shape(name: str, value: tuple[int, ...], minimum: int = 0) -> tuple[int, ...]:
    """Return `value` as a tuple of ints if it is a shape; TypeError or ValueError otherwise."""
    try:
        shape = tuple(map(operator.index, value))  # a set has no order, and a string would be taken apart
    except TypeError:
        shape = None
    if shape is None or not isinstance(value, (tuple, list, np.ndarray)):
        raise TypeError(f"{name} must be a tuple of whole numbers, such as (1, 28, 28), got {shown(value)}")
    if shape and min(shape) < minimum:
        raise ValueError(f"the sizes of {name} must be at least {minimum}, got {shown(value)}")
    return shape


def check_dtype(dtype: np.typing.DTypeLike) -> np.dtype:
    """Return the dtype that parameters may have: float32 to train, float64 to check gradients."""
    try:
        checked = np.dtype(dtype if dtype is not None else object)  # None would be float64
    except TypeError:
        checked = None
    if checked not in DTYPES:
        raise TypeError(f"dtype must be {' or '.join(DTYPES)}, got {shown(dtype)}")
    return checked


def as_rng(rng: np.random.Generator | int | None) -> np.random.Generator:
    """Return a source of random numbers: the one that is given, or a new one with that seed, or unseeded."""
    if rng is None or isinstance(rng, np.random.Generator):
        return np.random.default_rng() if rng is None else rng
    if isinstance(rng, bool) or not isinstance(rng, numbers.Integral):
        raise TypeError(f"rng must be a numpy.random.Generator, a seed or None, got {shown(rng)}")
    return np.random.default_rng(check_int("rng", rng, minimum=0))


def check_path(name: str, path: str | os.PathLike) -> Path:
    """Return `path` as a Path; a TypeError for anything else, such as a number, which would be a file descriptor."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"{name} must be the path of a file, got {shown(path)}")
    if not Path(path).name or "\0" in os.fspath(path):
        raise ValueError(f"{name} must be the path of a file, got {shown(path)}")
    return Path(path)


def as_array(name: str, value: np.typing.ArrayLike, ndim: int | None = None) -> np.ndarray:
    """Return `value` as an array of real numbers; TypeError if it is not, ValueError if it has other than `ndim` axes.

    Numbers that some position of a list lacks, objects, text, dates and complex numbers are no real numbers.
    """
    try:
        array: Any = value if on_device(value) else np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise TypeError(f"{name} must be an array of numbers, got rows of different lengths, or too deep") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be an array of real numbers, got {type(value).__name__} of dtype {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got an array of shape {array.shape}")
    return array


def as_float_array(name: str, value: np.typing.ArrayLike, dtype: np.typing.DTypeLike | None = None) -> np.ndarray:
    """Return `value` as an array of `dtype`; without one, of its own floating-point dtype, but of at least float32.

    Whole numbers and booleans become floating-point numbers of the same value: the bytes of an image would otherwise
    wrap around at 256.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    """
    array = as_array(name, value)
    return array.astype(np.result_type(array.dtype, np.float32) if dtype is None else dtype, copy=False)


def check_finite(name: str, array: np.ndarray) -> np.ndarray:
    """Return the array if all its numbers are finite; a ValueError that says where the first is that is not otherwise.

    The largest and the smallest number say it, at a tenth of the cost of looking at each.
    """
    if array.size and array.dtype.kind == "f" and not (np.isfinite(array.max()) and np.isfinite(array.min())):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} holds numbers that are not finite, the first at {where}: {array[where]}")
    return array


def check_choice(name: str, value: str, choices: Iterable[str]) -> str:
    """Return `value` if it is one of the choices; a ValueError that lists them otherwise."""
    choices = [*choices]
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {shown(value)}")
    return value


# Layers


def wrap_methods(cls: type, wrappers: dict[str, Callable[[Callable], Callable]]) -> None:
    """Wrap those of the named methods that a class itself writes: its formulas get checked arguments."""
    for name, wrap in wrappers.items():
        if name in vars(cls):
            setattr(cls, name, wrap(vars(cls)[name]))


def checked_forward(forward: Callable) -> Callable:
    """Return a `forward` that computes with checked input, and remembers the shape of its output for `backward`."""

    @functools.wraps(forward)
    def checked(self, x: np.typing.ArrayLike) -> np.ndarray:
        if type(self).forward is not checked or not self.is_checked:  # called by super() from within a formula
            return forward(self, x)
        y = forward(self, self.check_input(x))
        self.y_shape = y.shape
        self.kept = {name: _sample(vars(self)[name]) for name in ("x", "y") if name in vars(self)}
        return y

    return checked


def checked_backward(backward: Callable) -> Callable:
    """Return a `backward` that computes with a checked gradient."""

    @functools.wraps(backward)
    def checked(self, dy: np.typing.ArrayLike) -> np.ndarray | None:
        return backward(self, self.check_gradient(dy) if type(self).backward is checked and self.is_checked else dy)

    return checked


def checked_output_shape(output_shape: Callable) -> Callable:
    """Return an `output_shape` that is given a tuple of whole numbers."""

    @functools.wraps(output_shape)
    def checked(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return output_shape(self, check_shape("input_shape", input_shape))

    return checked


LAYER_METHODS = {"forward": checked_forward, "backward": checked_backward, "output_shape": checked_output_shape}


def check_input(layer, x: np.typing.ArrayLike) -> np.ndarray:
    """Return `x` in the dtype of the parameters; TypeError or ValueError if `layer.forward` cannot compute with it."""
    x = as_float_array("x", x, getattr(layer, layer.params[0]).dtype if layer.params else None)
    if x.ndim < 2:
        raise ValueError(f"{layer!r} expected a batch of examples (N, ...), got an array of shape {x.shape}")
    layer.output_shape(x.shape[1:])
    return x


def check_gradient(layer, dy: np.typing.ArrayLike) -> np.ndarray:
    """Return `dy` as an array; an error if `forward` has not run, or does not fit to what it has left."""
    if not hasattr(layer, "y_shape"):
        raise RuntimeError(f"{layer!r} has no y yet: call forward before backward")
    for name, sample in layer.kept.items():
        if sample != _sample(getattr(layer, name)):
            raise RuntimeError(
                f"{name} of {layer!r} was changed in place after forward, so that its gradient would be wrong: "
                "give forward a copy, or change a copy of what it returned"
            )
    dy = as_float_array("dy", dy)
    if dy.shape != layer.y_shape:
        raise ValueError(f"{layer!r} expected dy of the shape of y, {layer.y_shape}, got {dy.shape}")
    return dy


def _sample(array: np.ndarray) -> bytes:
    """Return the bytes of some 256 numbers of an array, evenly spread: nearly all changes in place show in them."""
    flat = array.ravel() if on_device(array) else array.ravel(order="K")  # without a copy, where that can be had
    return flat[:: max(1, array.size >> 8)].tobytes()


def check_gradients_exist(layer) -> None:
    """Raise a RuntimeError if a layer has not been backward yet."""
    for name in layer.params:
        if not hasattr(layer, f"d{name}"):
            raise RuntimeError(f"{layer!r} has no d{name} yet: call forward, then backward, before gradients")


def check_layers(owner: str, layers: Sequence, layer_class: type) -> list:
    """Return a list of the layers in a row; TypeError or ValueError if they are not what `Sequential` says."""
    if not len(check_instance("layers", layers, Sequence, "a list of layers")):
        raise ValueError(f"a {owner} needs at least one layer, got {shown(layers)} for layers")
    layers = list(layers)
    for index, layer in enumerate(layers):
        check_instance(f"layers[{index}]", layer, layer_class, "a Layer, such as Dense(4, 2)")
    _check_places(layers, set())
    return layers


def _check_places(layers: Sequence, seen: set[int]) -> None:
    for layer in layers:
        if id(layer) in seen:
            raise ValueError(f"{layer!r} stands there twice: every place needs a layer object of its own")
        seen.add(id(layer))
        for name in (*layer.params, *layer.statistics):
            if not name.isidentifier() or name[-1].isdigit():  # "W1" of layer 2 would be called as "W" of layer 12
                raise ValueError(f"{layer!r}: the name of a parameter must not end in a digit, got {name!r}")
        _check_places(layer.layers, seen)


def check_weights_shape(shape: tuple[int, ...]) -> None:
    """Raise a ValueError if a layer would have more weights than `MAX_WEIGHTS`."""
    if math.prod(shape) > MAX_WEIGHTS:
        raise ValueError(
            f"weights of shape {shape} are too large: {math.prod(shape):,}, at most {MAX_WEIGHTS:,} allowed"
        )


def check_stride(stride: int) -> int:
    """Return the distance between neighbouring patches; TypeError or ValueError if it is none."""
    return check_int("stride", stride, 1, MAX_STRIDE)


def check_padding(padding: str | int) -> str | int:
    """Return `padding` if it is "valid", "same" or a whole number; TypeError or ValueError otherwise."""
    if not isinstance(padding, str):
        return check_int("padding", padding, 0, MAX_PADDING)
    if padding not in ("valid", "same"):
        raise ValueError(f'padding must be "valid", "same" or a whole number, got {shown(padding)}')
    return padding


def check_patches(shape: tuple[int, ...], kernel_size: int, stride: int) -> None:
    """Raise a TypeError or ValueError if images of that shape have no patches."""
    check_positive_int("kernel_size", kernel_size)
    check_stride(stride)
    shape = check_shape("shape", shape)
    if len(shape) != 4:
        raise ValueError(f"shape must be (N, C, H, W), got {shape}")
    if min(shape[2:]) < kernel_size:
        raise ValueError(f"kernel_size {kernel_size} does not fit into images of shape {shape}")


def check_columns(cols: np.typing.ArrayLike, shape: tuple[int, int]) -> np.ndarray:
    """Return the columns of `col2im` as an array; TypeError or ValueError if they are not numbers of that shape."""
    cols = as_array("cols", cols)
    if cols.shape != shape:
        raise ValueError(f"cols must be of shape {shape}, got {cols.shape}")
    return cols


def as_examples(x: np.typing.ArrayLike) -> np.ndarray:
    """Return a batch of examples as an array; a ValueError if it is a single number."""
    x = as_array("x", x)
    if x.ndim == 0:
        raise ValueError(f"x must be a batch of examples (N, ...), got the single number {x}")
    return x


# Losses and optimizers


def checked_loss(method: Callable) -> Callable:
    """Return a `value` or `gradient` of a loss that computes with checked predictions and targets."""

    @functools.wraps(method)
    def checked(self, y: np.typing.ArrayLike, t: np.typing.ArrayLike):
        return method(self, *self.check(y, t))

    return checked


LOSS_METHODS = {"value": checked_loss, "gradient": checked_loss}


def check_predictions(loss, y: np.typing.ArrayLike, t: np.typing.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and targets as floating-point arrays.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        Unless both are (N, M), or (N, M, H, W), with no size of 0, and the targets are finite; and, for the
        cross-entropy of a softmax, the M numbers of each target are a distribution, for that of a sigmoid from 0 to 1.
        Predictions that are to be probabilities must sum to 1 at most, and must not be negative; NaN passes.
    """
    y, t = as_float_array("predictions", y), check_finite("targets", as_float_array("targets", t))
    if y.ndim < 2 or y.shape != t.shape:
        raise ValueError(
            f"a loss expects predictions and targets of one shape (N, M, ...), got {y.shape} and {t.shape}"
        )
    if y.size == 0:
        raise ValueError(f"a loss is a mean over the batch, and this batch is empty: its targets are {t.shape}")
    if loss.targets_are_shares and not (t.min() >= 0 and t.max() <= 1):
        raise ValueError(f"targets of {type(loss).__name__} must be from 0 to 1, got {t.min():g} to {t.max():g}")
    if loss.targets_are_distributions and (row := _no_distribution(t, 0, 1 - 1e-3, 1 + 1e-3)):
        raise ValueError(
            "targets of a cross-entropy must be one-hot, or probabilities: every row must sum to 1, and no entry "
            f"may be negative; got {row}"
        )
    if loss.predictions_are_distributions and (row := _no_distribution(y, -0.01, -np.inf, 1.01)):
        raise ValueError(
            f"predictions of {type(loss).__name__} must be probabilities: no row may sum to more than 1, and no entry "
            f"may be negative; got {row}. End the network with Softmax(), or compute the loss of its scores by "
            "SoftmaxCrossEntropy()"
        )
    return y, t


def _no_distribution(array: np.ndarray, lowest: float, least: float, most: float) -> str:
    """Say which M numbers of (N, M, ...) are no distribution, and in which row; nothing if all are, or are NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums = array.sum(axis=1, dtype=np.float64)  # one after the other, batch last: float32 loses 1 % of a million
        wrong = (sums > most) | (sums < least) | (array.min(axis=1) < lowest)
    if not wrong.any():
        return ""
    row, *pixel = map(int, np.argwhere(wrong)[0])
    where = f"row {row}, pixel {tuple(pixel)}" if pixel else f"row {row}"
    return f"{shown(np.moveaxis(array, 1, -1)[wrong][0].tolist())} in {where}"


def check_class_weights(weights: Sequence[float] | None) -> list[float] | None:
    """Return a list of finite numbers of at least 0, or None; TypeError or ValueError for anything else."""
    if weights is None:
        return None
    found: list[float] = check_finite("weights", as_array("weights", weights, 1)).tolist()
    if not found or min(found) < 0 or max(found) == 0:
        raise ValueError(
            f"weights must be a number of at least 0 for each class, not all of them 0, got {shown(found)}"
        )
    return found


def check_classes(weights: list[float], t: np.ndarray) -> None:
    """Raise a ValueError if there is not a weight for each of the M classes of targets (N, M, ...)."""
    if len(weights) != t.shape[1]:
        raise ValueError(f"there are {len(weights)} weights, but the targets have {t.shape[1]} classes")


def check_parts(parts: Sequence, part_class: type, loss_class: type) -> tuple:
    """Return the parts of `SumOfLosses` as a tuple; TypeError or ValueError if they are none."""
    for part in check_instance("parts", parts, Sequence, "a list of LossPart"):
        check_instance("each of parts", part, part_class, "a LossPart, such as LossPart(slice(0, 1), loss)")
        _check_slice(check_instance("channels", part.channels, slice, "a slice, such as slice(1, 5)"))
        check_instance("loss", part.loss, loss_class, "a Loss, such as MeanSquaredError()")
        check_number("scale", part.scale)
        if part.where is not None:
            check_int("where", part.where, minimum=0)
    if not parts:
        raise ValueError(f"parts must hold at least one LossPart, got {shown(parts)}")
    return tuple(parts)


def _check_slice(channels: slice) -> None:
    """Raise a TypeError or ValueError unless the ends of a slice are whole numbers, or None, and its step is not 0."""
    for name in ("start", "stop", "step"):
        if (value := getattr(channels, name)) is not None:
            check_int(f"the {name} of channels", value, -MAX_CLASSES, MAX_CLASSES)
    if channels.step == 0:
        raise ValueError(f"the step of channels must not be 0, got {channels}")


def check_channels(parts: Sequence, M: int) -> None:
    """Raise a ValueError if a part of `SumOfLosses` is about none of the M numbers of each target, or about more."""
    for part in parts:
        ends = [end for end in (part.channels.start, part.channels.stop) if end is not None]
        if max(*map(abs, ends), 0, 0 if part.where is None else part.where + 1) > M:
            raise ValueError(f"{part} is about more than the {M} numbers of each target")
        if not range(M)[part.channels]:
            raise ValueError(f"{part} is about none of the {M} numbers of each target")


def check_labels(labels: np.typing.ArrayLike, classes: int) -> np.ndarray:
    """Return class numbers (N, ...) as an array; TypeError or ValueError unless they are from 0 to ``classes - 1``."""
    labels, classes = as_array("labels", labels), check_int("classes", classes, 1, MAX_CLASSES)
    if labels.size == 0:
        labels = labels.astype(int)  # an empty list has no whole numbers, but no others either
    if labels.ndim < 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers (N,), got {labels.dtype} of shape {labels.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels must be from 0 to {classes - 1}, got {labels.min()} to {labels.max()}")
    return labels


def check_number_dtype(dtype: np.typing.DTypeLike) -> np.typing.DTypeLike:
    """Return `dtype` if NumPy knows it; TypeError otherwise."""
    try:
        np.zeros(0, dtype)
    except TypeError:
        raise TypeError(f"dtype must be one of numbers, such as np.float32, got {shown(dtype)}") from None
    return dtype


def check_scores(y: np.typing.ArrayLike, t: np.typing.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and targets as arrays; TypeError or ValueError unless they are numbers of one shape (N, M, ...)."""
    y, t = as_array("scores", y), as_array("targets", t)
    if y.ndim < 2 or y.shape != t.shape or not y.size:
        expected = "scores and targets of one shape (N, M, ...), N > 0"
        raise ValueError(f"accuracy expects {expected}, got {y.shape} and {t.shape}")
    return y, t


def check_pairs(optimizer, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the pairs if each is a parameter and a gradient of its shape; TypeError or ValueError otherwise.

    The parameters must be those of the optimizer's first step.
    """
    try:
        pairs = [(parameter, gradient) for parameter, gradient in pairs]
    except (TypeError, ValueError):
        raise TypeError(f"pairs must be a list of (parameter, gradient), got {shown(pairs)}") from None
    for index, (parameter, gradient) in enumerate(pairs):
        if not (isinstance(parameter, np.ndarray) or on_device(parameter)) or parameter.dtype.kind != "f":
            raise TypeError(f"parameter {index} must be an array of floating-point numbers, got {shown(parameter)}")
        gradient = as_float_array(f"gradient {index}", gradient)
        if gradient.shape != parameter.shape:
            raise ValueError(
                f"gradient {index} must be of the shape of its parameter, {parameter.shape}, got {gradient.shape}"
            )
        pairs[index] = parameter, gradient
    before = optimizer.parameters if optimizer.steps else None
    if before is not None and [*map(id, before)] != [id(parameter) for parameter, _ in pairs]:
        raise ValueError(
            f"{optimizer!r} has taken {optimizer.steps} steps with other parameters: "
            "every network needs a new optimizer"
        )
    return pairs


# Networks, training and the check of gradients


def check_batch(network, x: np.ndarray) -> np.ndarray:
    """Return `x` if it is a batch of the network's examples, and of a scale that it can tell; see `Network`."""
    if x.ndim == 0 or x.shape[1:] != network.input_shape:
        shape = ", ".join(map(str, network.input_shape))
        raise ValueError(f"expected a batch of examples of shape (N, {shape}), got an array of shape {x.shape}")
    if x.size:
        (_check_float_scale if x.dtype.kind == "f" else _check_integer_scale)(network, x)
    return x


def _check_float_scale(network, x: np.ndarray) -> None:
    """Raise a ValueError if floating-point numbers are not finite, or images are not scaled."""
    largest = max(x.max(), -x.min())
    if not largest <= np.finfo(network.dtype).max:  # so it is for NaN
        check_finite("x", x)
        raise ValueError(f"x holds numbers up to {largest:g}, which are too large for {network.dtype}")
    if len(network.input_shape) == 3 and network.max_input is not None and largest > network.max_input:
        raise ValueError(
            f"x are images in {x.dtype} with numbers up to {largest:g}: floating point must be scaled already "
            f"(x / 255), or its scale meant: the network's max_input is {network.max_input:g}, None allows any"
        )


def _check_integer_scale(network, x: np.ndarray) -> None:
    """Raise a ValueError, or give a warning, if whole numbers do not fit the rule about their scale."""
    images, pixels = len(network.input_shape) == 3, x.dtype == np.uint8
    if pixels and not images:
        raise ValueError(
            "x are features in uint8, which are not divided by 255: divide pixels yourself (x / 255), and convert "
            "other numbers (x.astype(np.float32))"
        )
    if images and not pixels and x.dtype.kind != "b":
        raise ValueError(
            f"x are images in {x.dtype}, whose scale is unknown: uint8 are pixels from 0 to 255 "
            "(x.astype(np.uint8)), floating point is scaled already (x / 255)"
        )
    if pixels and x.max() == 1:
        warnings.warn(
            "x are images in uint8 with nothing above 1, which are divided by 255 as pixels from 0 to 255 are: "
            "if it is a mask, pass x.astype(bool)",
            stacklevel=_levels_to_caller(),
        )


def _levels_to_caller() -> int:
    """Return the `stacklevel` of a warning that shall name the line that called the library.

    Python prints a warning once for each line: of a line of the library, it would be once for all.
    """
    frame, levels = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "cnnlib":
        frame, levels = frame.f_back, levels + 1
    return max(levels, 1)


def check_targets(t: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return targets if they have that shape, (N, *output_shape), and fit into that dtype; a ValueError otherwise."""
    if t.shape != shape:
        raise ValueError(
            f"{shape[0]} examples need targets of shape ({', '.join(map(str, shape))}), got an array of shape {t.shape}"
        )
    if t.size and t.dtype.kind == "f" and t.dtype.itemsize > dtype.itemsize:
        largest = max(t.max(), -t.min())
        if np.finfo(dtype).max < largest < np.inf:
            raise ValueError(f"targets holds numbers up to {largest:g}, which are too large for {dtype}")
    return t


def check_augmented(examples: np.typing.ArrayLike, count: int) -> np.ndarray:
    """Return what `augment` has made of so many examples; TypeError or ValueError if it is something else."""
    examples = as_array("what augment returns", examples)
    if examples.ndim == 0 or len(examples) != count:
        raise ValueError(f"what augment returns must be {count} examples, as x is, got {shown(examples)}")
    return examples


def check_examples(network, x: np.ndarray, t: np.ndarray, loss) -> tuple[np.ndarray, np.ndarray]:
    """Return examples and their targets as arrays, or raise an error that says why a network cannot train on them."""
    batch = network.as_batch(x)  # raises if they do not fit; they keep their shape, which `augment` may know
    if len(batch) == 0:
        raise ValueError(f"there is nothing to train on: x holds no examples, its shape is {batch.shape}")
    t = as_array("targets", t)
    for start in range(0, len(batch), 1024):  # one-hot rows for the pixels of all images would not fit into memory
        part = network.as_targets(t[start : start + 1024], min(1024, len(batch) - start))
        loss.check(part, part)
    return as_array("x", x), t if t.ndim > 2 else network.as_targets(t, len(batch))


def check_validation(network, validation, loss) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a pair of examples and targets as arrays, or raise an error that says what is wrong with them."""
    if validation is None:
        return None
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise TypeError(f"validation must be a tuple of x and t, got {shown(validation)}")
    try:
        return check_examples(network, validation[0], validation[1], loss)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation: {error}") from None


def check_run(schedule, augment, resume, progress, callbacks, communicator, callback_class: type) -> None:
    """Raise a TypeError if an argument of `train` is not the kind of thing that it must be."""
    check_instance("schedule", schedule, Callable, "a function, such as one_cycle")
    check_instance("augment", augment, Callable | None, "a function of (x, rng)")
    check_instance("resume", resume, bool, "True or False")
    check_instance("progress", progress, bool, "True or False")
    for callback in check_instance("callbacks", callbacks, Sequence, "a list of Callback"):
        check_instance("each of callbacks", callback, callback_class, "a Callback, such as EarlyStopping()")
    if communicator is not None and not hasattr(communicator, "backpropagate"):
        raise TypeError(f"communicator must be a cnnlib.data_parallel.Communicator, got {shown(communicator)}")


def check_differentiable(function, x: np.ndarray, t: np.ndarray | None, is_loss: bool) -> None:
    """Raise a ValueError if a gradient cannot be checked with these arguments."""
    if x.size == 0:
        raise ValueError(f"x has no entry to check, its shape is {x.shape}")
    if is_loss and t is None:
        raise ValueError(f"the gradient of {function!r} needs targets t")
    if not is_loss and t is not None:
        raise ValueError(f"targets t are for a loss, but the function is {function!r}")


# What is stored


def check_saveable(layer, classes: dict[str, type]) -> None:
    """Raise a TypeError if a layer within `layer` is of a class that loading would not build."""
    for index, inner in enumerate(layer.layers):
        if type(inner) not in classes.values():
            raise TypeError(f"layer {index} is a {type(inner).__name__}: only {', '.join(classes)} can be saved")
        check_saveable(inner, classes)


def check_saved_arrays(network) -> dict[str, np.ndarray]:
    """Return what a network's file holds; TypeError or ValueError if it could not be loaded again."""
    arrays = network.saved_arrays()
    for name, array in arrays.items():
        if array.dtype not in DTYPES or array.dtype != network.dtype:
            raise TypeError(
                f"{name} is {array.dtype}: a network is saved in float32 or float64, one for all its arrays"
            )
        check_variance(name, check_finite(name, array))
    return arrays


def check_variance(name: str, array: np.ndarray) -> np.ndarray:
    """Return the array; a ValueError if by its name it is a variance, and one of its numbers is negative."""
    if name.startswith("running_variance") and (array < 0).any():
        raise ValueError(f"{name} holds negative numbers, such as {array.min():.3g}: a variance is 0 or more")
    return array


def check_json(name: str, value):
    """Return what JSON makes of `value`; a TypeError if it cannot hold it."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{name} must be what JSON can hold, numbers, text, lists and dictionaries: {error}") from None


def check_description(description: dict) -> None:
    """Raise an error unless a file's description has what a network needs, besides its layers."""
    check_instance("notes", description.get("notes", {}), dict, "a dictionary")
    if description["network"]["dtype"] not in DTYPES:
        raise ValueError(f"its dtype is {shown(description['network']['dtype'])}, expected {' or '.join(DTYPES)}")


def check_row(entries: list[dict], depth: int) -> list[dict]:
    """Return what a file says of layers in a row, which are within so many others; ValueError if they are too many."""
    if type(entries) is not list or len(entries) > MAX_LAYERS or depth > MAX_DEPTH:
        raise ValueError(f"it has more than {MAX_LAYERS} layers in a row, or more than {MAX_DEPTH} in one another")
    return entries


def check_entry(place: str, entry: dict, classes: dict[str, type], initializers: Iterable[str]) -> type:
    """Return the class of the layer that an entry of a file describes; an error if it cannot be built."""
    name = check_instance(f"layer {place}", entry, dict, "a dictionary")["class"]
    if not isinstance(name, str) or name not in classes:
        raise ValueError(f"layer {place} is a {shown(name)}, expected one of {', '.join(classes)}")
    if _draws_weights(classes[name]):
        check_choice(f"initializer of layer {place}", entry["initializer"], initializers)
    return classes[name]


@functools.cache  # a file may have many layers
def _draws_weights(layer_class: type) -> bool:
    return "initializer" in inspect.signature(layer_class).parameters


def check_stored(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: str | np.dtype) -> np.ndarray:
    """Return an array of a file if it has the shape and the dtype that are expected; a ValueError otherwise."""
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, expected {dtype} of shape {shape}")
    return check_variance(name, array)


def check_same_run(found: dict, settings: dict) -> None:
    """Raise a ValueError that names the first setting of a run in which a checkpoint's differ."""
    for name, value in settings.items():
        if found.get(name) != json.loads(json.dumps(value)):
            what = "" if name == "data" else f": it has {found.get(name)!r}, this one {value!r}"
            raise ValueError(f"it belongs to a run with another {name}{what}")


def check_state(arrays: dict[str, np.ndarray], description: dict, run) -> tuple[dict[str, np.ndarray], dict]:
    """Return what is given if everything that `restore_checkpoint` uses is there and as it must be; or an error.

    A callback may have added to the history: such a list may have any length.
    """
    steps, history = description["steps"], description["history"]
    epochs = len(history["loss"])
    if type(steps) is not int or steps != run.steps * epochs or epochs > run.epochs or {*HISTORY} - {*history}:
        raise ValueError("its history does not fit its number of steps")
    for name, values in history.items():
        lengths = {"batch_loss": (steps,), "loss": (epochs,), "learning_rate": (epochs,)}.get(name, (0, epochs))
        if type(values) is list and (name not in HISTORY or (name.startswith("validation") and len(values) < epochs)):
            lengths = (len(values),)
        if type(values) is not list or len(values) not in lengths or {*map(type, values)} - {int, float}:
            raise ValueError(f"its {name} must be a list of {lengths[-1]} numbers")
        if any(type(value) is int and abs(value) >= 2**53 for value in values):
            raise ValueError(f"its {name} holds a number that is too large")
    np.random.default_rng().bit_generator.state = description["rng"]
    parameters = run.network.parameters()
    kinds = {"", *(f"{kind}." for kind in (run.optimizer.state_names if steps else ()))}
    kinds |= {name.removesuffix(each) for name in arrays for each in parameters if name.endswith(f".{each}")}
    kinds = {kind for kind in kinds if kind.count(".") < 2}
    expected = {f"{kind}{name}": array for kind in kinds for name, array in parameters.items()}
    expected |= run.network.saved_arrays()
    for name, array in expected.items():
        check_stored(name, arrays[name], array.shape, array.dtype)
    for name in arrays.keys() - expected.keys():
        if "." not in name:
            raise ValueError(f"{name} does not belong there")
        if not (isinstance(arrays[name], np.ndarray) or on_device(arrays[name])) or arrays[name].dtype not in STORED:
            raise TypeError(f"{name} must be an array of {', '.join(STORED)}, got {shown(arrays[name])}")
    for name, array in arrays.items():
        check_finite(name, array)
    return arrays, description


# Images of digits


def check_rng(rng: np.random.Generator) -> np.random.Generator:
    """Return `rng` if it is a random generator; TypeError otherwise."""
    return check_instance("rng", rng, np.random.Generator, "a random generator such as np.random.default_rng(0)")


def check_images(name: str, images: np.typing.ArrayLike, ndim: int, shape: str) -> np.ndarray:
    """Return `images` as an array of `ndim` dimensions: uint8 from 0 to 255, bool, or floating point from 0 to 1.

    Raises
    ------
    TypeError
        If the values are of another type.
    ValueError
        If the number of dimensions or the range is different. The range of bytes is different if none is above 1: those
        are truth values of dtype uint8, and would all be read as black.
    """
    try:
        images = np.asarray(images)
    except ValueError:
        raise ValueError(f"expected {name} of shape {shape}, got rows of different lengths") from None
    if images.dtype.kind not in "bf" and images.dtype != np.uint8:
        hint = "; if its values are from 0 to 255, convert it by .astype(np.uint8)" if images.dtype.kind in "iu" else ""
        raise TypeError(f"expected {name} of uint8, bool or floating point, got {images.dtype}{hint}")
    if images.ndim != ndim:
        raise ValueError(f"expected {name} of shape {shape}, got shape {images.shape}")
    if images.dtype.kind == "f" and not ((images >= 0) & (images <= 1)).all():
        raise ValueError(
            f"expected floating-point values from 0 to 1, got {images.min()} to {images.max()}; "
            "divide an image of 0 to 255 by 255 first"
        )
    if images.dtype == np.uint8 and images.size and images.max() == 1:
        raise ValueError(
            f"expected {name} of uint8 with values from 0 to 255, got nothing above 1; "
            "if 1 means white, convert it by .astype(bool)"
        )
    return images
