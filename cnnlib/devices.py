"""Where arrays lie: in the memory of the computer, or in that of a graphics card.

CuPy has arrays that lie on a card, and functions with NumPy's names. NumPy's own functions hand such an array on to
CuPy: ``np.exp(x)`` is then ``cupy.exp(x)``, and so is nearly everything that a layer calls. A new array has no argument
that says where it shall lie, so there ``like=x`` says it: ``np.zeros(shape, like=x)``. Hence the layers need no second
version of their formulas. What must never happen is that arrays of both kinds meet: what comes from outside, images,
targets and random numbers, is moved once, by `move`.
"""

from collections.abc import Callable

import numpy as np

from cnnlib.checks import check_choice, on_device, to_numpy

DEVICES = ("cpu", "cuda")


def move(array: np.typing.ArrayLike, like: np.ndarray) -> np.ndarray:
    """Return the array where `like` lies; a copy only if it lies elsewhere."""
    return np.asarray(array, like=like) if on_device(like) else to_numpy(array)


def mover(device: str) -> Callable[[np.typing.ArrayLike], np.ndarray]:
    """Return what moves an array to a device.

    Raises
    ------
    ValueError
        If there is no device of that name.
    ImportError
        If CuPy is not installed.
    RuntimeError
        If it finds no graphics card.
    """
    if check_choice("device", device, DEVICES) == "cpu":
        return to_numpy
    try:
        import cupy  # here, since it is optional, and slow to import
    except ImportError as error:
        raise ImportError(
            'the device "cuda" needs CuPy: pip install "cnnlib[cuda]", or the package for your version of CUDA, such '
            "as cupy-cuda13x"
        ) from error
    if not cupy.cuda.is_available():
        raise RuntimeError("CuPy is installed, but finds no graphics card that it can use: see cupy.show_config()")
    return cupy.asarray
