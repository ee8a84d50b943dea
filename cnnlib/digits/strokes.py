"""Draw pen strokes in the frame of MNIST.

A stroke is an array (n, 2) of the points x, y that a pen passed, x to the right, y down. `rasterize` makes of strokes
what MNIST's images show. `PREPARATIONS` has other ways, each with one step left out or wrong, to see what that costs.
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike

from cnnlib.checks import as_float_array, check_number
from cnnlib.digits.mnist_frame import BOX, FIELD, MIDDLE, PEN_DIAMETER

CANVAS = 280  # width and height of the canvas that people draw on, in its pixels
SEGMENTS_AT_ONCE = 256  # so that a long drawing needs no more memory than a short one


def rasterize(strokes: Iterable[ArrayLike], pen: float = PEN_DIAMETER) -> np.ndarray:
    """Draw pen strokes as MNIST would have shown them.

    1. Shift and scale all points together so that the longer side of their bounding box is 20 - pen: with the width of
       the pen, the ink fills 20 pixels. Put the middle of the bounding box at (13.5, 13.5), the middle of the field.
    2. Draw: a stroke is the line segments between consecutive points (a stroke of one point is a segment of length 0);
       a pixel whose centre lies at distance d from the nearest segment has the value clip(pen / 2 - d + 1/2, 0, 1),
       which is how much of the pixel a round pen covers if its edge is taken as straight within the pixel.
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
    TypeError
        If `pen` is not a number, or `strokes` is nothing that has strokes.
    ValueError
        If a stroke has another shape or is not of real numbers, if a coordinate is not finite or so far from the others
        that their difference is not, or if `pen` is out of range.
    """
    check_number("pen", pen, "[1, 10]")
    strokes = _drawn(strokes)
    if not strokes:
        return np.zeros((FIELD, FIELD), np.float32)

    start, end = _segments(strokes)
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
    margin = corner - (pen / 2 - 0.5)  # from the ink to the field's border, the same on both sides
    corner = corner + np.clip(MIDDLE - centre, -margin, margin)
    return draw_segments(start + corner, end + corner, pen).astype(np.float32)


def draw_segments(start: np.ndarray, end: np.ndarray, pen: float, field: int = FIELD) -> np.ndarray:
    """Return the image (field, field), float64, of the S segments from start to end, both (S, 2), by a round pen.

    The point of a segment nearest to a pixel p is start + t (end - start), where t is (p - start) . (end - start) /
    |end - start|^2, limited to 0..1.
    """
    pixels = np.arange(field)
    nearest = np.full((field, field), np.inf)  # squared distances
    for first in range(0, len(start), SEGMENTS_AT_ONCE):
        chunk = slice(first, first + SEGMENTS_AT_ONCE)
        a, along = start[chunk], (end - start)[chunk]
        squared_length = (along**2).sum(axis=1)
        step = along / np.where(squared_length > 0, squared_length, 1)[:, None]
        # From the segments' starts to the columns and to the rows: (S, field)
        x, y = pixels - a[:, :1], pixels - a[:, 1:]
        t = (x * step[:, :1])[:, None, :] + (y * step[:, 1:])[:, :, None]
        t = np.clip(t, 0, 1)  # (S, field, field), as the next ones
        dx = x[:, None, :] - t * along[:, 0, None, None]
        dy = y[:, :, None] - t * along[:, 1, None, None]
        nearest = np.minimum(nearest, (dx * dx + dy * dy).min(axis=0))
    return np.clip(pen / 2 - np.sqrt(nearest) + 0.5, 0, 1)


def centre_by_box(strokes: list[np.ndarray], size: float = BOX, keep_aspect: bool = True) -> np.ndarray:
    """Draw strokes with their bounding box, instead of their mass, in the middle of the field.

    Parameters
    ----------
    strokes : list of ndarray of shape (n, 2)
    size : float
        Of the longer side of the ink, in pixels.
    keep_aspect : bool
        If false, both sides become that long.

    Returns
    -------
    ndarray of shape (28, 28), float32
    """
    strokes = _drawn(strokes)
    if not strokes:
        return np.zeros((FIELD, FIELD), np.float32)
    points = np.concatenate(strokes)
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    scale = (size - PEN_DIAMETER) / np.maximum(extent.max() if keep_aspect else extent, 1e-9)
    return _draw([(stroke - low - extent / 2) * scale + (FIELD - 1) / 2 for stroke in strokes])


def shrink_canvas(strokes: list[np.ndarray]) -> np.ndarray:
    """Draw strokes where and as small as they are when the whole canvas of 280 x 280 is reduced to 28 x 28."""
    strokes = _drawn(strokes)
    if not strokes:
        return np.zeros((FIELD, FIELD), np.float32)
    return _draw([stroke * (FIELD / CANVAS) - 0.5 for stroke in strokes])


# From strokes on the canvas to an image (28, 28): MNIST's way first, then each with one step left out or wrong.
PREPARATIONS: dict[str, Callable[[list[np.ndarray]], np.ndarray]] = {
    "as MNIST does it": rasterize,
    "box in the middle, not the mass": centre_by_box,
    "filling all 28 pixels, not 20": lambda strokes: centre_by_box(strokes, FIELD),
    "stretched to a square": lambda strokes: centre_by_box(strokes, keep_aspect=False),
    "the canvas made small, as it is": shrink_canvas,
    "a pen of 1 pixel": lambda strokes: rasterize(strokes, 1),
    "a pen of 5 pixels": lambda strokes: rasterize(strokes, 5),
    "dark on bright": lambda strokes: 1 - rasterize(strokes),
}


def check_strokes(strokes: Iterable[ArrayLike]) -> list[np.ndarray]:
    """Return strokes as arrays (n, 2) of float64; TypeError or ValueError if they are none."""
    if isinstance(strokes, str | bytes | dict) or not np.iterable(strokes):
        raise TypeError(f"strokes must be a list of arrays of shape (n, 2), got {strokes!r}")
    checked = []
    for number, stroke in enumerate(strokes):
        try:
            points = as_float_array(f"strokes[{number}]", stroke, np.float64)
        except TypeError as error:
            raise ValueError(f"{error}, expected shape (n, 2)") from None
        if points.size and (points.ndim != 2 or points.shape[1] != 2):
            raise ValueError(f"strokes[{number}] must have shape (n, 2), got {points.shape}")
        if not np.isfinite(points).all():
            raise ValueError(f"strokes[{number}] has coordinates that are not finite")
        checked.append(points.reshape(-1, 2))
    return checked


def _drawn(strokes: Iterable[ArrayLike]) -> list[np.ndarray]:
    """Return strokes as arrays (n, 2) of float64, without those that have no points."""
    return [points for points in check_strokes(strokes) if len(points)]


def _segments(strokes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and ends, both (S, 2), of all strokes' segments; a stroke of one point is a segment of length 0."""
    start = np.concatenate([stroke[:-1] if len(stroke) > 1 else stroke for stroke in strokes])
    end = np.concatenate([stroke[1:] if len(stroke) > 1 else stroke for stroke in strokes])
    return start, end


def _draw(strokes: list[np.ndarray]) -> np.ndarray:
    return draw_segments(*_segments(strokes), PEN_DIAMETER).astype(np.float32)
