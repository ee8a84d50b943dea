"""Where training starts: random weights of the right size."""

from collections.abc import Callable

import numpy as np

from cnnlib.checks import as_rng, check_choice, check_dtype, check_weights_shape


def he(shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from a normal distribution of variance 2 / fan_in.

    A ReLU sets half of its inputs to zero, and with them half of the variance; the 2 makes up for that, so that
    signals keep their size from layer to layer.

    References
    ----------
    He, Zhang, Ren and Sun (2015), "Delving deep into rectifiers".
    """
    return rng.normal(0.0, np.sqrt(2.0 / fan_in), shape)


def glorot(shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
    """Draw uniformly from ±sqrt(6 / (fan_in + fan_out)), which has the variance 2 / (fan_in + fan_out).

    A compromise between the forward pass (1 / fan_in) and the backward pass (1 / fan_out), for layers that are
    followed by something linear around zero, such as a sigmoid or a softmax.

    References
    ----------
    Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".
    """
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


def zeros(shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
    """Return zeros: right for biases, and the classic mistake for weights."""
    return np.zeros(shape)


INITIALIZERS: dict[str, Callable] = {"he": he, "glorot": glorot, "zeros": zeros}


def initialize(
    name: str, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator | int | None, dtype
) -> np.ndarray:
    """Return new weights of the given shape, by the initializer of that name.

    Parameters
    ----------
    name : {"he", "glorot", "zeros"}
    fan_in, fan_out : int
        How many inputs one output depends on, and how many outputs one input reaches.
    rng : numpy.random.Generator, int or None
        The source of randomness, or a seed for one; None takes a fresh, unseeded one.

    Raises
    ------
    TypeError, ValueError
        For an unknown name, for more weights than `cnnlib.checks.MAX_WEIGHTS`, or for an `rng` or `dtype` that is none.
    """
    check_choice("initializer", name, INITIALIZERS)
    check_weights_shape(shape)
    rng, dtype = as_rng(rng), check_dtype(dtype)
    if name == "zeros":  # the system gives memory for them when they are first changed: until then they cost nothing
        return np.zeros(shape, dtype)
    return INITIALIZERS[name](shape, fan_in, fan_out, rng).astype(dtype)
