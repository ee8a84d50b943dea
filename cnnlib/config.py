"""Objects that know their settings, and checks of arguments whose messages name what was expected and what came."""

import inspect
import numbers
import operator
import os
from pathlib import Path

import numpy as np

DTYPES = ("float32", "float64")


class Configured:
    """Something that can be described, printed and built again, because each constructor argument has an attribute."""

    @property
    def config(self) -> dict:
        """The arguments of the constructor: enough to build another one like it."""
        return {name: getattr(self, name) for name in self._arguments()}

    def __repr__(self) -> str:
        # An argument that was not stored must not keep an error message from being printed.
        arguments = ", ".join(f"{name}={getattr(self, name, '?')!r}" for name in self._arguments())
        return f"{type(self).__name__}({arguments})"

    def _arguments(self) -> list[str]:
        return [name for name in inspect.signature(type(self)).parameters if name not in ("rng", "dtype")]


def shown(value) -> str:
    """Return what a message says of a value: for an array its dtype and shape, else at most 60 characters."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    try:
        text = repr(value)
    except Exception:  # a whole number of very many digits cannot be printed, nor can some objects
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_instance(name: str, value, kind: type, example: str):
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
        array = np.asarray(value)
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
