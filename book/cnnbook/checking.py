"""What the checks of the exercises share: how an answer is judged.

A check prints one line if the answer is right; if it is not, it raises `WrongAnswer`, which says what is wrong with it.
Importing a check tells nothing of the solution; reading its source tells a little.
"""

import copy
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

import cnnlib
from cnnlib.gradient_check import GradientError, gradient_check
from cnnlib.layers import Layer


class WrongAnswer(AssertionError):
    """An answer that is not right yet; in a notebook it shows as its message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"Not yet: {self}"]


def passed(message: str = "") -> None:
    """Tell the reader that the answer is right."""
    print(f"Right. {message}".rstrip())


def require(condition: bool, message: str) -> None:
    """Raise `WrongAnswer` with that message unless the condition holds."""
    if not condition:
        raise WrongAnswer(message)


def as_array(answer, name: str = "the answer", shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return an answer as an array of floats, whatever its type; with a shape, axes of size 1 do not matter."""
    try:
        array = np.asarray(answer)
        if array.dtype.kind == "O":  # fractions are numbers, None is not
            array = np.array([float(value) for value in array.ravel()]).reshape(array.shape)
        elif array.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        is_complex = isinstance(answer, complex) or getattr(answer, "dtype", np.dtype(float)).kind == "c"
        kind = "a complex number" if is_complex else type(answer).__name__
        raise WrongAnswer(f"{name}: expected numbers, got {kind}.") from None
    if shape is not None:
        fits = [size for size in array.shape if size != 1] == [size for size in shape if size != 1]
        require(fits, f"{name} has the shape {array.shape}, expected {shape}.")
        array = array.reshape(shape)
    return array.astype(float)


def as_number(answer, name: str = "the answer") -> float:
    """Return an answer as a float, be it a number of any type or an array that holds a single one."""
    array = as_array(answer, name)
    require(array.size == 1, f"{name}: expected a single number, got {array.size} of them.")
    return array.item()


def require_number(answer, expected: float, hint: str, tolerance: float = 1e-6) -> None:
    """Raise `WrongAnswer` unless the answer is the expected number, within a relative tolerance."""
    number = as_number(answer)
    require(abs(number - expected) <= tolerance * max(1, abs(expected)), f"{number:g} is not it. {hint}")


def require_array(answer, expected: np.ndarray, hint: str, tolerance: float = 1e-6, tell: bool = True) -> None:
    """Raise `WrongAnswer` unless the answer has the expected shape and values; `tell` says which value was expected."""
    array = as_array(answer)
    require(array.shape == expected.shape, f"the shape is {array.shape}, expected {expected.shape}. {hint}")
    close = np.isclose(array, expected, rtol=tolerance, atol=tolerance)
    if not close.all():
        index = tuple(int(i) for i in np.argwhere(~close)[0])
        instead = f"is {array[index]:.6g}, expected {expected[index]:.6g}" if tell else "is not right"
        raise WrongAnswer(f"the entry at {index} {instead}. {hint}")


def run(function: Callable, *arguments, **named):
    """Return what a reader's function returns; if it stops with an error, `WrongAnswer` says with which, and where."""
    require(callable(function), f"expected a function, got {type(function).__name__}: hand it over without calling it.")
    try:
        with np.errstate(all="ignore"):
            return function(*arguments, **named)
    except WrongAnswer:
        raise
    except Exception as error:
        ours = [Path(module.__file__).parent for module in (cnnlib, np)] + [Path(__file__).parent]
        lines = [
            frame.line
            for frame in traceback.extract_tb(error.__traceback__)
            if not set(ours) & set(Path(frame.filename).parents) and frame.line
        ]
        where = f", at: {lines[-1]}" if lines else ""
        raise WrongAnswer(f"your code stops with {type(error).__name__}: {error}{where}") from error


def call(function: Callable, *arguments):
    """The same as `run`, with copies of the arguments, so that a reader's function cannot change them."""
    return run(function, *copy.deepcopy(arguments))


def unpack(answer, count: int, names: str) -> tuple:
    """Return the parts of an answer; raise `WrongAnswer` unless it has that many."""
    whole = isinstance(answer, str | dict | set) or getattr(answer, "ndim", 1) > 1  # an array of the one, not of all
    try:
        parts = () if whole else tuple(answer)
    except TypeError:
        parts = ()
    require(len(parts) == count, f"expected {names}, {count} in all, got {answer!r:.60}.")
    return parts


def make_layer(layer_class: type[Layer], *arguments, **named) -> Layer:
    """Return a layer of a reader's class; `WrongAnswer` says so if it is no class of layers."""
    is_layer = isinstance(layer_class, type) and issubclass(layer_class, Layer)
    require(is_layer, f"expected a class that is a Layer, got {type(layer_class).__name__}: write class ...(Layer).")
    return run(layer_class, *arguments, **named)


def require_gradients(layer: Layer, x: np.ndarray) -> None:
    """Raise `WrongAnswer` unless every gradient agrees with central differences, and no argument is changed."""
    try:
        _ = layer.config
    except AttributeError as error:
        raise WrongAnswer(f"store each argument of the constructor under its own name: {error}") from None
    before = x.copy()
    dy = np.ones_like(run(layer.forward, x))
    dx = run(layer.backward, dy)
    require(isinstance(dx, np.ndarray), "backward must return dx, an array.")
    require(dx.shape == x.shape, f"dx has the shape {dx.shape}, expected that of x, {x.shape}.")
    for name in layer.params:
        require(hasattr(layer, f"d{name}"), f"backward must leave the gradient of {name} in self.d{name}.")
    require(np.array_equal(x, before), "a pass changed x; write the result into a new array.")
    require(np.all(dy == 1), "backward changed dy; write the result into a new array.")
    try:
        run(gradient_check, layer, x)
    except WrongAnswer as error:
        if not isinstance(error.__cause__, GradientError):
            raise
        raise WrongAnswer(str(error.__cause__)) from None
