"""Checks of arguments, with messages that name what was expected and what came."""

import numbers


def positive(name: str, value: int) -> int:
    """Return `value` if it is a whole number of at least 1; TypeError or ValueError otherwise."""
    return whole(name, value, least=1)


def whole(name: str, value: int, least: int) -> int:
    """Return `value` as an int if it is a whole number of at least `least`; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)
