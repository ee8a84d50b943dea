"""How far to trust an answer: is there a digit at all, and how sure is it which one?

A network that reads digits gives an answer to every image, to a letter or a cat, too, and often a sure one. Two things
mend that. `calibrate` makes its percentages mean what they say: of the answers with 90 %, nine in ten are right. And a
second, small network decides whether there is a digit at all. It was trained to tell digits from letters, signs,
scribbles, clothes and pieces of photographs; `scripts/make_rejecter.py` says how, `resources/digit_or_not.md` how well.

References
----------
Guo, Pleiss, Sun and Weinberger (2017), "On calibration of modern neural networks".
"""

import functools
from importlib import resources

import numpy as np

from cnnlib.checks import as_float_array, check_finite, check_images
from cnnlib.digits.mnist_frame import FIELD
from cnnlib.network import Network


def load_rejecter() -> Network:
    """Return the network from images (1, 28, 28) to the probabilities of "no digit" and "digit".

    Its `notes` hold, among others, the `threshold`: a digit has at least that probability; and the `temperature` for
    `calibrate`.
    """
    with resources.as_file(resources.files("cnnlib") / "resources" / "digit_or_not.npz") as path:
        return Network.load(path)


@functools.cache
def _rejecter() -> Network:
    return load_rejecter()


def calibrate(p: np.ndarray) -> np.ndarray:
    """Return the probabilities of the network of the package as they would be at a higher temperature, T.

    The scores z before the softmax are divided by T: softmax(z / T) is p^(1/T), divided by its sum. The order of the
    classes stays as it is. T was chosen on drawings and photographs of digits on which nothing was trained.

    Parameters
    ----------
    p : ndarray of shape (N, 10)
        Of each row, the sum is 1.

    Returns
    -------
    ndarray of shape (N, 10), float

    Raises
    ------
    TypeError
        If `p` is not of real numbers.
    ValueError
        If it has another shape, is not finite, or has numbers below 0, or a row of zeros.
    """
    p = check_finite("p", as_float_array("p", p, np.float64))
    if p.ndim != 2 or p.shape[1] != 10:
        raise ValueError(f"p must be of shape (N, 10), got {p.shape}")
    if (p < 0).any() or not p.any(axis=1).all():
        raise ValueError(f"p must hold probabilities, which are not below 0 and not all 0, got {p.min()}")
    warm = (p / p.max(axis=1, keepdims=True)) ** (1 / _rejecter().notes["temperature"])
    return warm / warm.sum(axis=1, keepdims=True)


def digit_likelihood(images: np.ndarray) -> np.ndarray:
    """Return how likely it is that images show digits: from 0 to 1, and 0 for an empty one.

    Parameters
    ----------
    images : ndarray of shape (N, 28, 28)
        In MNIST's frame, bright on dark: uint8 from 0 to 255, bool, or floating point from 0 to 1.

    Returns
    -------
    ndarray of shape (N,), float

    Raises
    ------
    TypeError
        If the values are of another type.
    ValueError
        If shape or range are different.
    """
    images = check_images("images", images, 3, f"(N, {FIELD}, {FIELD})")
    if images.shape[1:] != (FIELD, FIELD):
        raise ValueError(f"expected images of shape (N, {FIELD}, {FIELD}), got shape {images.shape}")
    if not len(images):
        return np.zeros(0, np.float32)
    images = images.astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
    return np.where(images.any(axis=(1, 2)), _rejecter().predict(images)[:, 1], 0)


def looks_like_digit(images: np.ndarray) -> np.ndarray:
    """Return for each of the images whether it looks like a digit: `digit_likelihood` is at least the threshold.

    Parameters
    ----------
    images : ndarray of shape (N, 28, 28)
        As for `digit_likelihood`.

    Returns
    -------
    ndarray of shape (N,), bool

    Raises
    ------
    TypeError, ValueError
        As `digit_likelihood`.
    """
    return digit_likelihood(images) >= _rejecter().notes["threshold"]
