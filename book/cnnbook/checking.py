"""What the checks of the exercises share: how an answer is judged.

A check prints one line if the answer is right; if it is not, it raises `WrongAnswer`, which says what is wrong with it.
Importing a check tells nothing of the solution; reading its source tells a little.
"""

import numpy as np

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


def require_number(answer, expected: float, hint: str, tolerance: float = 1e-6) -> None:
    """Raise `WrongAnswer` unless the answer is the expected number, within a relative tolerance."""
    require(isinstance(answer, (int, float, np.number)), f"expected a number, got {type(answer).__name__}")
    require(abs(answer - expected) <= tolerance * max(1, abs(expected)), f"{answer:g} is not it. {hint}")


def require_array(answer, expected: np.ndarray, hint: str, tolerance: float = 1e-6) -> None:
    """Raise `WrongAnswer` unless the answer is an array of the expected shape and values."""
    require(isinstance(answer, np.ndarray), f"expected an ndarray, got {type(answer).__name__}")
    require(answer.shape == expected.shape, f"the shape is {answer.shape}, expected {expected.shape}. {hint}")
    close = np.isclose(answer, expected, rtol=tolerance, atol=tolerance)
    if not close.all():
        index = tuple(int(i) for i in np.argwhere(~close)[0])
        raise WrongAnswer(f"the entry at {index} is {answer[index]:.6g}, expected {expected[index]:.6g}. {hint}")


def require_gradients(layer: Layer, x: np.ndarray) -> None:
    """Raise `WrongAnswer` unless every gradient agrees with central differences, and no argument is changed."""
    try:
        _ = layer.config
    except AttributeError as error:
        raise WrongAnswer(f"store each argument of the constructor under its own name: {error}") from None
    before = x.copy()
    dy = np.ones_like(layer.forward(x))
    layer.backward(dy)
    for name in layer.params:
        require(hasattr(layer, f"d{name}"), f"backward must leave the gradient of {name} in self.d{name}.")
    require(np.array_equal(x, before), "a pass changed x; write the result into a new array.")
    require(np.all(dy == 1), "backward changed dy; write the result into a new array.")
    try:
        gradient_check(layer, x)
    except GradientError as error:
        raise WrongAnswer(str(error)) from None
