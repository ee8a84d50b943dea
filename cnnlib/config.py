"""Objects that know their settings, and checks of arguments whose messages name what was expected and what came."""

import inspect
import numbers

import numpy as np


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


def check_positive_int(name: str, value: int) -> int:
    """Return `value` if it is a whole number of at least 1; TypeError or ValueError otherwise."""
    return check_int(name, value, minimum=1)


def check_int(name: str, value: int, minimum: int) -> int:
    """Return `value` as an int if it is a whole number of at least `minimum`; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def as_float_array(name: str, value: np.typing.ArrayLike, dtype: np.typing.DTypeLike | None = None) -> np.ndarray:
    """Return `value` as an array of `dtype`; without one, of its own floating-point dtype, but of at least float32.

    Whole numbers and booleans become floating-point numbers of the same value: the bytes of an image would otherwise
    wrap around at 256.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise TypeError(f"{name} must be an array of numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be an array of real numbers, got {type(value).__name__} of dtype {array.dtype}")
    return array.astype(np.result_type(array.dtype, np.float32) if dtype is None else dtype, copy=False)
