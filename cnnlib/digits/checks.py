"""Checks of arguments that several modules share; their messages name what was expected and what came."""

import numpy as np
from numpy.typing import ArrayLike


def check_rng(rng: np.random.Generator) -> np.random.Generator:
    """Return `rng` if it is a random generator; TypeError otherwise."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a random generator such as np.random.default_rng(0), got {rng!r}")
    return rng


def check_images(name: str, images: ArrayLike, ndim: int, shape: str) -> np.ndarray:
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
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"expected {name} of shape {shape}: {error}") from None
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
