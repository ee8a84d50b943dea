"""Bring digits into the frame that a network trained on MNIST knows: 28 x 28, bright on dark, centred by mass.

MNIST's images were made from bilevel scans in two steps: each digit was scaled, keeping its aspect ratio, to fit a box
of 20 x 20 pixels, and the box was placed so that the centre of mass of the ink lies in the middle of a field of
28 x 28. A network sees only what it was trained on, so other digits must be prepared in exactly that way.

A position is given in pixels from the centre of the first pixel: pixel (row i, column j) is the unit square around
x = j, y = i, and the field reaches from -0.5 to 27.5. "The middle" is pixel (14, 14): the centres of mass of the
60,000 training images all lie between 13.48 and 14.5 in x and in y.

References
----------
LeCun, Bottou, Bengio and Haffner (1998), "Gradient-based learning applied to document recognition", section III.A.
"""

import math
import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageFilter, ImageOps

FIELD = 28  # pixels along one side of the image
BOX = 20  # pixels along the longer side of the digit
MIDDLE = 14  # the pixel in which the centre of mass lies


def to_mnist_frame(image: np.ndarray) -> np.ndarray:
    """Return a digit, bright on dark and of any size, as MNIST would have shown it.

    The image is cropped to its ink, scaled so that its longer side is 20 pixels (aspect ratio kept; each new pixel
    averages the pixels that it covers), and placed, by whole pixels, so that its centre of mass is as near as possible
    to the middle, but never so that ink is cut off. MNIST's own images come back unchanged (all but 15 of the 60,000
    training images; 13 of these are smaller than the box).

    Parameters
    ----------
    image : ndarray of shape (height, width)
        uint8 from 0 to 255, bool, or floating point from 0 to 1. The background must be exactly 0, since every other
        pixel counts as ink: set a noisy background to 0 first.

    Returns
    -------
    ndarray of shape (28, 28), float32
        From 0 to 1; all zeros if there is no ink.

    Raises
    ------
    TypeError
        If the values are of another type.
    ValueError
        If the image has not two dimensions, or floating-point values outside 0 to 1 (or NaN).
    """
    image = np.asarray(image)
    if image.ndim != 2:
        raise ValueError(f"expected an image of shape (height, width), got shape {image.shape}")
    if image.dtype == np.uint8:
        ink = image.astype(np.float32) / 255
    elif image.dtype == bool or np.issubdtype(image.dtype, np.floating):
        if not ((image >= 0) & (image <= 1)).all():
            raise ValueError("expected floating-point values from 0 to 1; divide an image of 0 to 255 by 255 first")
        ink = image.astype(np.float32)
    else:
        raise TypeError(f"expected an image of uint8, bool or floating point, got {image.dtype}")

    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not rows.size:
        return np.zeros((FIELD, FIELD), np.float32)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(BOX * side / max(ink.shape))) for side in ink.shape)
    # Hamming is Pillow's sharpest filter that never leaves the range of the values it averages.
    scaled = Image.fromarray(ink).resize((width, height), Image.Resampling.HAMMING)
    return _place(np.clip(np.asarray(scaled), 0, 1))


def read_digit(path: str | os.PathLike) -> np.ndarray:
    """Read an image file with one digit on it, dark on light or light on dark, and bring it into MNIST's frame.

    The border tells what the background is. Slow changes of brightness (a shadow on the paper) are subtracted, what is
    fainter than half of the strokes counts as background, and strokes that would be thinner than a pen of `PEN` pixels
    in the 20x20 box are thickened, so that a thin line does not fade when it is made small.

    Parameters
    ----------
    path : path
        PNG, JPEG or whatever else Pillow reads; transparency is taken as white.

    Returns
    -------
    ndarray of shape (28, 28), float32
        From 0 to 1, bright on dark.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no image, or nothing is to be seen on it.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGBA")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{os.fspath(path)} is not an image that can be read: {error}") from error
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("L")
    image.thumbnail((200, 200), Image.Resampling.BOX)
    grey = np.asarray(image, np.float32) / 255
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    if np.median(border) > 0.5 * (grey.min() + grey.max()):
        grey = 1 - grey  # now bright on dark

    # The background alone, in few pixels: strokes vanish under a minimum over an area wider than they are.
    few = Image.fromarray((grey * 255).astype(np.uint8)).resize((48, 48), Image.Resampling.BOX)
    flat = few.filter(ImageFilter.MinFilter(13)).filter(ImageFilter.BoxBlur(6)).resize(image.size)
    ink = np.maximum(grey - np.asarray(flat, np.float32) / 255, 0)
    peak = np.quantile(ink, 0.995)
    if peak < 0.1:
        raise ValueError(f"{os.fspath(path)} shows nothing that stands out from its background")
    ink = np.clip(ink / peak, 0, 1)
    strokes = ink > 0.5
    rows, columns = np.flatnonzero(strokes.any(axis=1)), np.flatnonzero(strokes.any(axis=0))
    size = max(np.ptp(rows), np.ptp(columns)) + 1
    # A long stroke of width d has the area length * d, and the perimeter 2 * length.
    perimeter = sum(np.abs(np.diff(np.pad(strokes, 1).astype(int), axis=axis)).sum() for axis in (0, 1))
    width = 2 * strokes.sum() / perimeter
    missing = round((PEN / BOX * size - width) / 2)
    ink = np.pad(np.where(strokes, ink, 0), max(missing, 0))
    if missing > 0:
        thick = Image.fromarray((ink * 255).astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * missing + 1))
        ink = np.asarray(thick, np.float32) / 255
    return to_mnist_frame(ink)


def enlarge(images: np.ndarray) -> np.ndarray:
    """Return 8x8 digits of the Optdigits set in MNIST's frame.

    The 8x8 image, whose digits fill it from top to bottom, is enlarged to the 20x20 box by cubic convolution (Keys
    1981, a = -1/2; beyond the border, the border's value goes on). The contrast is raised by a half around the middle
    grey, v -> 1.5 v - 0.25, limited to 0..1: strokes get flanks about as steep as MNIST's. Then the box is placed by
    its centre of mass. Everything is computed in whole numbers, so the result is the same on every machine.

    Parameters
    ----------
    images : ndarray of shape (N, 8, 8)
        Whole numbers from 0 to 16.

    Returns
    -------
    ndarray of shape (N, 28, 28), uint8

    Raises
    ------
    ValueError
        If shape or range is another.

    References
    ----------
    Keys (1981), "Cubic convolution interpolation for digital image processing".
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.shape[1:] != (8, 8):
        raise ValueError(f"expected images of shape (N, 8, 8), got {images.shape}")
    if not np.issubdtype(images.dtype, np.integer) or (images.size and not 0 <= images.min() <= images.max() <= 16):
        raise ValueError("expected images of whole numbers from 0 to 16")

    # The centre of new pixel i lies at old position (i + 1/2) 8/20 - 1/2 = (4i - 3) / 10: k tenths after old pixel j.
    # The weights of the old pixels j - 1 .. j + 2 are cubics in k / 10, whole numbers when multiplied by 2000.
    weights = np.zeros((BOX, 8), np.int64)
    for i in range(BOX):
        j, k = divmod(4 * i - 3, 10)
        for offset, weight in (
            (-1, -100 * k + 20 * k**2 - k**3),
            (0, 2000 - 50 * k**2 + 3 * k**3),
            (1, 100 * k + 40 * k**2 - 3 * k**3),
            (2, -10 * k**2 + k**3),
        ):
            weights[i, min(max(j + offset, 0), 7)] += weight
    boxes = weights @ images.astype(np.int64) @ weights.T
    white = 16 * 2000**2
    # 255 (1.5 v - 0.25) with v = boxes / white, rounded to the nearest whole number
    boxes = np.clip((255 * (6 * boxes - white) + 2 * white) // (4 * white), 0, 255).astype(np.uint8)
    return np.stack([_place(box) for box in boxes]) if len(boxes) else np.zeros((0, FIELD, FIELD), np.uint8)


def _place(box: np.ndarray) -> np.ndarray:
    """Return a field of 28 x 28 with `box` in it, moved by whole pixels so that its centre of mass is in the middle."""
    field = np.zeros((FIELD, FIELD), box.dtype)
    mass = box.sum(dtype=np.float64)
    if mass == 0:
        return field
    corner = []
    for axis in (0, 1):
        centre = box.sum(axis=1 - axis, dtype=np.float64) @ np.arange(box.shape[axis]) / mass
        corner.append(min(max(math.floor(MIDDLE - centre + 0.5), 0), FIELD - box.shape[axis]))
    top, left = corner
    field[top : top + box.shape[0], left : left + box.shape[1]] = box
    return field


# The pen's diameter that lays down as much ink as MNIST's writers did. The training images have, averaged over the ten
# digits, an ink sum of 103.1 pixels; 937 pen trajectories (every eighth of UCI's Pen-Based Recognition of Handwritten
# Digits, doi 10.24432/C5MG6K), rasterized, have 85.2 with a pen of 2, 103.3 with 2.5 and 120.2 with 3.
PEN = 2.5


def rasterize(strokes: Iterable[ArrayLike], pen: float = PEN) -> np.ndarray:
    """Draw pen strokes as MNIST would have shown them.

    1. Shift and scale all points together so that the longer side of their bounding box is 20 - pen: with the width of
       the pen, the ink fills 20 pixels. Put the middle of the bounding box at (13.5, 13.5), the middle of the field.
    2. Draw: a stroke is the line segments between consecutive points (a stroke of one point is a segment of length 0);
       a pixel whose centre lies at distance d from the nearest segment of all has the value
       clip(pen / 2 - d + 1/2, 0, 1), which is how much of the pixel a round pen covers if its edge is taken as straight
       within the pixel.
    3. Compute the centre of mass of that image, and move the points by its distance from (14, 14), in x and in y, but
       only so far that the ink stays within the field, -0.5 to 27.5. Draw again, as in 2.

    The points move by fractions of a pixel, so the image changes smoothly while a stroke grows. It does not depend on
    position and size of the drawing.

    Parameters
    ----------
    strokes : iterable of array_like of shape (n, 2)
        Points (x, y) of each stroke, x to the right, y down, in any unit. Strokes without points are left out.
    pen : float
        Diameter of the pen in pixels of the result, from 1 to 10.

    Returns
    -------
    ndarray of shape (28, 28), float32
        From 0 to 1. Without any point: all zeros. If all points are the same: one dot of the pen's diameter, centred on
        pixel (14, 14).

    Raises
    ------
    ValueError
        If a stroke has another shape, if a coordinate is not finite or so far from the others that their difference is
        not, or if `pen` is out of range.
    """
    if not 1 <= pen <= 10:
        raise ValueError(f"pen must be a diameter from 1 to 10 pixels, got {pen!r}")
    paths = []
    for number, stroke in enumerate(strokes):
        try:
            points = np.asarray(stroke, np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"strokes[{number}] must be an array of numbers of shape (n, 2): {error}") from None
        if points.size == 0:
            continue
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"strokes[{number}] must have shape (n, 2), got {points.shape}")
        if not np.isfinite(points).all():
            raise ValueError(f"strokes[{number}] has coordinates that are not finite")
        paths.append(points)
    if not paths:
        return np.zeros((FIELD, FIELD), np.float32)

    start = np.concatenate([path[:-1] if len(path) > 1 else path for path in paths])
    end = np.concatenate([path[1:] if len(path) > 1 else path for path in paths])
    # Every point is the start or the end of a segment.
    low, high = np.minimum(start, end).min(axis=0), np.maximum(start, end).max(axis=0)
    with np.errstate(over="ignore"):
        extent = (high - low).max()
    if not np.isfinite(extent):
        raise ValueError("the strokes' points are too far apart for floating-point numbers")
    # Dividing first keeps every number in range; the points of a dot are all 0, whatever they are divided by.
    start, end, size = ((BOX - pen) * (vector / (extent or 1.0)) for vector in (start - low, end - low, high - low))
    corner = (FIELD - 1) / 2 - size / 2
    image = draw_segments(start + corner, end + corner, pen)

    pixels = np.arange(FIELD)
    centre = np.array([image.sum(axis=0) @ pixels, image.sum(axis=1) @ pixels]) / image.sum()
    margin = corner - (pen / 2 - 0.5)  # from the ink to the field's border: as much on either side
    corner = corner + np.clip(MIDDLE - centre, -margin, margin)
    return draw_segments(start + corner, end + corner, pen).astype(np.float32)


def draw_segments(start: np.ndarray, end: np.ndarray, pen: float, field: int = FIELD) -> np.ndarray:
    """Return the image (field, field), float64, of the S segments from start to end, both (S, 2), by a round pen.

    The point of a segment nearest to a pixel p is start + t (end - start), where t is (p - start) . (end - start) /
    |end - start|^2, limited to 0..1.
    """
    pixels = np.arange(field)
    nearest = np.full((field, field), np.inf)  # squared distance to the nearest segment
    for first in range(0, len(start), 256):  # some at a time, so that a long drawing needs no more memory
        a, along = start[first : first + 256], (end - start)[first : first + 256]
        squared_length = (along**2).sum(axis=1)
        step = along / np.where(squared_length > 0, squared_length, 1)[:, None]
        x, y = pixels - a[:, :1], pixels - a[:, 1:]  # (S, field) each: from the segments' starts to columns and rows
        t = np.clip((x * step[:, :1])[:, None, :] + (y * step[:, 1:])[:, :, None], 0, 1)  # (S, field, field)
        dx = x[:, None, :] - t * along[:, 0, None, None]
        dy = y[:, :, None] - t * along[:, 1, None, None]
        nearest = np.minimum(nearest, (dx * dx + dy * dy).min(axis=0))
    return np.clip(pen / 2 - np.sqrt(nearest) + 0.5, 0, 1)
