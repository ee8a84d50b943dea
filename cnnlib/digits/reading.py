"""Read the digit in a picture or a drawing, or all of them, from left to right, line by line."""

import os
from typing import NamedTuple

import numpy as np

from cnnlib.checks import check_instance
from cnnlib.digits.confidence import calibrate, looks_like_digit
from cnnlib.digits.mnist_frame import PEN_DIAMETER, frame_of, read_colours
from cnnlib.digits.models import load_pretrained
from cnnlib.digits.pictures import Steps, find_digits
from cnnlib.digits.strokes import check_strokes, rasterize
from cnnlib.network import Network

# Of drawings: the share of the narrower stroke's width by which strokes of one digit overlap, at least, and the share
# of the tallest stroke's height by which they are apart, at most.
OVERLAP, APART = 0.1, 0.3


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


def read_digit(path: str | os.PathLike, *, reject: bool = True) -> np.ndarray:
    """Read an image file with one digit on it, dark on light or light on dark, and bring it into MNIST's frame.

    How the ink is found is in `cnnlib.digits.pictures`. Of several digits, the largest is read; `read_digits` reads
    all of them. Strokes that would be thinner than `PEN_DIAMETER` pixels in the 20x20 box are thickened, so that a thin
    line does not fade when the image is reduced.

    Parameters
    ----------
    path : path
        PNG, JPEG, GIF, BMP, TIFF or WebP (with `pillow-heif`, HEIC, too), of at most 50 megapixels and 200 MB, whatever
        its name ends in. Where all that is opaque has one colour, it is the ink; else transparent pixels count as
        white. Of several images in one file, the first is read.
    reject : bool
        Whether to refuse what does not look like a digit (see `looks_like_digit`), such as a letter or a cat.

    Returns
    -------
    ndarray of shape (28, 28), float32
        From 0 to 1, bright on dark.

    Raises
    ------
    TypeError
        If `path` is not a path, or `reject` not a truth value.
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be opened for another reason.
    ValueError
        If it is not such an image, is larger than that, shows nothing but background, or nothing that looks like a
        digit.
    """
    check_instance("reject", reject, bool, "True or False")
    found = sorted(find_digits(read_colours(path)), key=lambda digit: -digit.ink.size)
    if not found:
        raise ValueError(f"{os.fsdecode(path)} shows nothing that stands out from its background")
    if not reject:
        return frame_of(found[0].ink)
    images = np.stack([frame_of(digit.ink) for digit in found])
    accepted = looks_like_digit(images)
    if not accepted.any():
        raise ValueError(
            f"{os.fsdecode(path)} shows nothing that looks like a digit; to read it nevertheless, pass reject=False"
        )
    return images[accepted.argmax()]


def read_digits(path: str | os.PathLike, network: Network | None = None, *, reject: bool = True) -> Reading:
    """Read all digits in an image file, from left to right, line by line.

    Parameters
    ----------
    path : path
        As for `read_digit`.
    network : Network, optional
        From images (1, 28, 28) to ten classes; by default, the one that comes with the package, with probabilities as
        `calibrate` makes them.
    reject : bool
        Whether to leave out what does not look like a digit (see `looks_like_digit`), such as a letter or a cat. In a
        number of at least three digits, one may look odd if two thirds do not.

    Returns
    -------
    Reading
        Named fields `boxes`, `digits`, `probabilities` and `lines`.

    Raises
    ------
    TypeError, OSError, ValueError
        As `read_digit`; but a picture without a digit is no error.
    """
    check_instance("reject", reject, bool, "True or False")
    if network is not None:
        check_instance("network", network, Network, "a Network")
        if network.input_shape != (1, 28, 28) or len(network.shapes[-1]) != 1:
            raise ValueError(f"network must read images of shape (1, 28, 28), got {network.input_shape}")
    found = find_digits(read_colours(path))
    boxes = np.array([digit.box for digit in found], int).reshape(-1, 4)
    lines, images = lines_of(boxes), np.array([frame_of(digit.ink) for digit in found])
    order = np.lexsort([boxes[:, 1], lines])
    if reject and len(order):
        order = order[kept_in_lines(looks_like_digit(images[order]), lines[order])]
    lines = np.unique(lines[order], return_inverse=True)[1]  # lines without a digit are none
    if not len(order):
        return Reading(boxes[order], np.zeros(0, int), np.zeros(0), lines)
    p = calibrate(load_pretrained().predict(images[order])) if network is None else network.predict(images[order])
    return Reading(boxes[order], p.argmax(axis=1), p.max(axis=1), lines)


def kept_in_lines(accepted: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Return which parts are kept: those that look like digits, and those between enough of them on a line."""
    kept = accepted.copy()
    for line in np.unique(lines):
        parts = lines == line
        if parts.sum() >= 3 and 3 * accepted[parts].sum() >= 2 * parts.sum():
            kept |= parts
    return kept


def steps_of(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return, by name, pictures of the steps from an image file to the images (28, 28) of four possible digits."""
    colours, steps = read_colours(path), Steps()
    found = find_digits(colours, steps)
    frames = {f"part {number}": frame_of(digit.ink) for number, digit in enumerate(found[:4], start=1)}
    return {"picture": colours, **steps.pictures, **frames}


def lines_of(boxes: np.ndarray) -> np.ndarray:
    """Return in which line of writing each box stands, from 0 at the top: they overlap in height by two fifths."""
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


def split_strokes(strokes: list[np.ndarray]) -> list[list[int]]:
    """Return which strokes, by number, make up each part of a drawing, line by line, from left to right.

    Strokes belong together where their boxes overlap in width, by `OVERLAP` of the narrower one, and are not further
    apart in height than `APART` of the tallest stroke: the hat of a 5 stands above it, the next digit beside it.

    Parameters
    ----------
    strokes : list of ndarray of shape (n, 2)
        Points (x, y), at least one in each stroke.

    Returns
    -------
    list of list of int

    Raises
    ------
    TypeError, ValueError
        As `rasterize`, and if a stroke has no point.
    """
    strokes = check_strokes(strokes)
    if empty := [number for number, stroke in enumerate(strokes) if not len(stroke)]:
        raise ValueError(f"strokes[{empty[0]}] must have at least one point, got none")
    parts = [[number] for number in range(len(strokes))]
    # Left, top, right, bottom. Far-off points, as large as numbers can be, must not make a difference infinite.
    boxes = np.array([[*stroke.min(axis=0), *stroke.max(axis=0)] for stroke in strokes]).reshape(-1, 4) / 4
    tall = (boxes[:, 3] - boxes[:, 1]).max(initial=0)
    first = 0
    while first < len(parts):
        a, b = boxes[first], boxes[first + 1 :].T
        narrow = np.minimum(a[2] - a[0], b[2] - b[0])
        wide = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]) >= OVERLAP * narrow
        near = np.maximum(a[1], b[1]) - np.minimum(a[3], b[3]) <= APART * tall
        if not (joined := wide & near).any():
            first += 1
            continue
        second = first + 1 + joined.argmax()
        boxes[first] = *np.minimum(a, boxes[second])[:2], *np.maximum(a, boxes[second])[2:]
        parts[first] += parts.pop(second)
        boxes, first = np.delete(boxes, second, axis=0), 0  # the larger part may reach others
    order = np.lexsort([boxes[:, 0], lines_of(boxes[:, [1, 0, 3, 2]])])
    return [sorted(parts[number]) for number in order]


def digits_of(strokes: list[np.ndarray], pen: float = PEN_DIAMETER, unfinished: bool = False) -> list[list[int]]:
    """Return which strokes, by number, make up each digit of a drawing; all of them, unless it is a number.

    It is a number if its parts, as `split_strokes` finds them, look like digits (see `looks_like_digit` and
    `kept_in_lines`). Else it is one digit, such as a 5 whose hat stands apart, or none. Of an unfinished drawing, the
    part with the last stroke may look like anything.

    Parameters
    ----------
    strokes : list of ndarray of shape (n, 2)
        Points (x, y), at least one in each stroke.
    pen : float
        As for `rasterize`.
    unfinished : bool

    Returns
    -------
    list of list of int
        Line by line, from left to right.

    Raises
    ------
    TypeError, ValueError
        As `split_strokes`.
    """
    parts = split_strokes(strokes)
    if len(parts) > 1:
        images = np.stack([rasterize([strokes[number] for number in part], pen) for part in parts])
        accepted = looks_like_digit(images)
        if unfinished:
            accepted |= [len(strokes) - 1 in part for part in parts]
        if kept_in_lines(accepted, np.zeros(len(parts), int)).all():
            return parts
    return [list(range(len(strokes)))] if strokes else []
