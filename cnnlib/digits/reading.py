"""Read all the digits in a picture, from left to right, line by line."""

import os
from typing import NamedTuple

import numpy as np

from cnnlib.checks import check_instance
from cnnlib.digits.mnist_frame import frame_of, read_colours
from cnnlib.digits.models import load_pretrained
from cnnlib.digits.pictures import Steps, find_digits
from cnnlib.network import Network


class Reading(NamedTuple):
    """What was read in a picture; all are empty where there is no digit.

    Attributes
    ----------
    boxes : ndarray of shape (k, 4), int
        Top, left, bottom, right of each digit, in pixels of the picture, reduced to at most 1,280 along a side.
    digits : ndarray of shape (k,), int
    probabilities : ndarray of shape (k,), float
        How sure the network is of each.
    lines : ndarray of shape (k,), int
        In which line each digit stands, from 0.
    """

    boxes: np.ndarray
    digits: np.ndarray
    probabilities: np.ndarray
    lines: np.ndarray


def read_digits(path: str | os.PathLike, network: Network | None = None) -> Reading:
    """Read all digits in an image file, from left to right, line by line.

    Parameters
    ----------
    path : path
        As for `read_digit`.
    network : Network, optional
        From images (1, 28, 28) to ten classes; by default, the one that comes with the package.

    Returns
    -------
    Reading
        Named fields `boxes`, `digits`, `probabilities` and `lines`.

    Raises
    ------
    TypeError, OSError, ValueError
        As `read_digit`; but a picture without a digit is no error.
    """
    if network is not None:
        check_instance("network", network, Network, "a Network")
        if network.input_shape != (1, 28, 28) or len(network.shapes[-1]) != 1:
            raise ValueError(f"network must read images of shape (1, 28, 28), got {network.input_shape}")
    found = find_digits(read_colours(path))
    boxes = np.array([digit.box for digit in found], int).reshape(-1, 4)
    lines = lines_of(boxes)
    order = np.lexsort([boxes[:, 1], lines])
    if not len(order):
        return Reading(boxes, np.zeros(0, int), np.zeros(0), lines)
    network = load_pretrained() if network is None else network
    p = network.predict(np.stack([frame_of(found[index].ink) for index in order]))
    return Reading(boxes[order], p.argmax(axis=1), p.max(axis=1), lines[order])


def steps_of(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return, by name, pictures of the steps from an image file to the images (28, 28) that the network gets."""
    colours, steps = read_colours(path), Steps()
    found = find_digits(colours, steps)
    frames = {f"digit {number}": frame_of(digit.ink) for number, digit in enumerate(found[:4], start=1)}
    return {"picture": colours, **steps.pictures, **frames}


def lines_of(boxes: np.ndarray) -> np.ndarray:
    """Return in which line of writing each box stands, from 0 at the top: those that overlap in height by a half."""
    lines = np.zeros(len(boxes), int)
    ends: list[tuple[float, float]] = []
    for index in np.argsort(boxes[:, 0] + boxes[:, 2], kind="stable"):
        top, bottom = boxes[index, 0], boxes[index, 2]
        if ends and min(bottom, ends[-1][1]) - max(top, ends[-1][0]) >= 0.4 * min(
            bottom - top, ends[-1][1] - ends[-1][0]
        ):
            ends[-1] = min(top, ends[-1][0]), max(bottom, ends[-1][1])
        else:
            ends.append((top, bottom))
        lines[index] = len(ends) - 1
    return lines
