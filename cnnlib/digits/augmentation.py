"""Distort images of digits at random: the same digit, written slightly differently.

A digit keeps its meaning when it is slightly rotated, slanted, stretched or bent, or written with another pen. A
network learns this from distorted images, new ones in each epoch.
"""

from dataclasses import dataclass

import numpy as np

from cnnlib.checks import check_images, check_number, check_rng
from cnnlib.digits.mnist_frame import FIELD, to_mnist_frame
from cnnlib.digits.strokes import draw_segments

GRID = 5  # an elastic distortion is a smooth interpolation of displacements at GRID x GRID points

# The largest settings that make sense; each begins at 0.
LIMITS = {"rotation": 180, "shear": 10, "scale": 10, "shift": 1_000, "elastic": 1_000, "stroke_width": 1}


def _spline_weights(pixels: int) -> np.ndarray:
    """Return the weights (pixels, GRID) of uniform cubic B-splines whose centres span the image."""
    position = np.linspace(0.5, GRID - 1.5, pixels)[:, np.newaxis]
    distance = np.abs(position - np.arange(GRID))
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


@dataclass(frozen=True)
class Distortion:
    """Change every image of a batch by a random affine map, a random elastic distortion and a random stroke width.

    Pass an instance to `Network.train` as ``augment``. All random numbers are uniform between minus and plus the limit
    given, except for the elastic distortion.

    Parameters
    ----------
    rotation : float
        Degrees.
    shear : float
        How far the top leans to one side, as a fraction of the height.
    scale : float
        Relative change of size, drawn for width and height separately: 0.2 means a factor from 1/1.2 to 1.2.
    shift : float
        Pixels, in both directions.
    elastic : float
        Pixels: the standard deviation of the normally distributed displacements of a 5x5 grid of points, between which
        the image is bent smoothly.
    stroke_width : float
        At 1, strokes become thinner or thicker by up to about one pixel on each side; at 0 they keep their width.

    Raises
    ------
    TypeError
        If a setting is not a number.
    ValueError
        If it is below 0, or above what makes sense: 180 degrees, 10 for shear and scale, 1000 pixels, a stroke width of
        1.

    References
    ----------
    Simard, Steinkraus and Platt (2003), "Best practices for convolutional neural networks applied to visual document
    analysis".
    """

    rotation: float = 8.0
    shear: float = 0.15
    scale: float = 0.15
    shift: float = 1.0
    elastic: float = 1.2
    stroke_width: float = 0.6

    def __post_init__(self) -> None:
        for name, maximum in LIMITS.items():
            check_number(name, getattr(self, name), f"[0, {maximum}]")

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return changed copies of images (N, H, W), uint8 from 0 to 255 or float from 0 to 1; float32 from 0 to 1."""
        images = check_images("images", images, 3, "(N, H, W)")
        check_rng(rng)
        if images.dtype == np.uint8:
            images = images / np.float32(255)
        images = self.change_stroke_width(images.astype(np.float32, copy=False), rng)
        N, H, W = images.shape
        return bilinear_sample(images, *self.sources(N, H, W, rng))

    def sources(self, N: int, H: int, W: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return where each pixel of the new images comes from: rows and columns, both (N, H, W)."""

        def draw(limit: float) -> np.ndarray:
            return rng.uniform(-limit, limit, (N, 1, 1)).astype(np.float32)

        angle, shear = np.deg2rad(draw(self.rotation)), draw(self.shear)
        tall, wide = np.exp(draw(np.log1p(self.scale))), np.exp(draw(np.log1p(self.scale)))
        r = (np.arange(H, dtype=np.float32) - (H - 1) / 2)[:, np.newaxis]
        s = np.arange(W, dtype=np.float32) - (W - 1) / 2
        rows = (np.cos(angle) * r - np.sin(angle) * s) * tall
        columns = (np.sin(angle) * r + np.cos(angle) * s) * wide + shear * r
        if self.elastic:
            displacements = rng.normal(0, self.elastic, (2, N, GRID, GRID)).astype(np.float32)
            smooth = _spline_weights(H) @ displacements @ _spline_weights(W).T
            rows, columns = rows + smooth[0], columns + smooth[1]
        return rows + (H - 1) / 2 + draw(self.shift), columns + (W - 1) / 2 + draw(self.shift)

    def change_stroke_width(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Blend every image with one of thicker strokes, or of thinner ones."""
        if not self.stroke_width:
            return images
        amount = rng.uniform(-self.stroke_width, self.stroke_width, (len(images), 1, 1)).astype(np.float32)
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
        neighbours = [padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]]
        thick = np.maximum.reduce([images, *neighbours])
        thin = np.minimum.reduce([images, *neighbours])
        return np.where(amount > 0, images + amount * (thick - images), images - amount * (thin - images))


def bilinear_sample(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the values of images (N, H, W) between their pixels, by bilinear interpolation; zero outside of them.

    Parameters
    ----------
    rows, columns : ndarray of shape (N, h, w)
        Positions; (0, 0) is the centre of the first pixel.

    Returns
    -------
    ndarray of shape (N, h, w)
    """
    N, H, W = images.shape
    padded = np.zeros((N, H + 2, W + 2), images.dtype)
    padded[:, 1:-1, 1:-1] = images
    rows, columns = np.clip(rows + 1, 0, H + 0.999), np.clip(columns + 1, 0, W + 0.999)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    down, right = (rows - top).astype(images.dtype), (columns - left).astype(images.dtype)
    corner = (np.arange(N)[:, np.newaxis, np.newaxis] * (H + 2) + top) * (W + 2) + left
    pixels = padded.ravel()
    upper = pixels[corner] * (1 - right) + pixels[corner + 1] * right
    lower = pixels[corner + W + 2] * (1 - right) + pixels[corner + W + 3] * right
    return upper * (1 - down) + lower * down


def flagged_one(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the upstroke that many Europeans give a 1: from the top of the stem, down to the left."""
    row, column = _end_of_stroke(image, top=True)
    angle, length = np.deg2rad(rng.uniform(25, 65)), rng.uniform(5, 12)
    bow = rng.uniform(-1, 1)
    along = np.linspace(0, 1, 5)
    rows = row + along * length * np.cos(angle) + bow * np.sin(np.pi * along) * np.sin(angle)
    columns = column - along * length * np.sin(angle) + bow * np.sin(np.pi * along) * np.cos(angle)
    return _with_stroke(image, rows, columns, rng.uniform(1.8, 3))


def crossed_seven(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the short bar that many Europeans draw through the stem of a 7."""
    rows = np.flatnonzero(image.any(axis=1))
    row = rows[0] + rng.uniform(0.4, 0.75) * np.ptp(rows)
    ink = image[round(row)].astype(float)
    column = ink @ np.arange(len(ink)) / max(ink.sum(), 1e-9)
    half_length, slope, offset = rng.uniform(3, 6.5), rng.uniform(-0.3, 0.2), rng.uniform(-1.5, 2)
    along = np.array([-half_length, half_length]) + offset
    return _with_stroke(image, row + slope * along, column + along, rng.uniform(1.8, 3))


def hooked_nine(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bend the tail of a 9 to the left, in an arc."""
    row, column = _end_of_stroke(image, top=False)
    radius, angle = rng.uniform(3, 6.5), np.linspace(0, np.deg2rad(rng.uniform(80, 170)), 9)
    rows = row + rng.uniform(0.6, 1.1) * radius * np.sin(angle)
    columns = column - radius * (1 - np.cos(angle))
    return _with_stroke(image, rows, columns, rng.uniform(1.8, 3))


def variants(
    images: np.ndarray, labels: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return digits in ways that MNIST's American writers rarely use: ones, sevens and nines with a stroke added.

    Parameters
    ----------
    images : ndarray of shape (N, 28, 28), uint8
    labels : ndarray of shape (N,)
    share : float
        The fraction of the ones, sevens and nines to vary, from 0 to 1. Images without ink stay as they are.

    Returns
    -------
    tuple of ndarray
        The new images (n, 28, 28), uint8, and their labels (n,).
    """
    images, labels = check_images("images", images, 3, "(N, 28, 28)"), np.asarray(labels)
    if images.dtype != np.uint8 or images.shape[1:] != (FIELD, FIELD) or labels.shape != images.shape[:1]:
        raise ValueError(
            f"expected images (N, 28, 28) of uint8 and labels (N,), got {images.dtype} of shape {images.shape} and "
            f"labels of shape {labels.shape}"
        )
    check_number("share", share, "[0, 1]")
    check_rng(rng)
    new = []
    for label, vary in ((1, flagged_one), (7, crossed_seven), (9, hooked_nine)):
        chosen = np.flatnonzero((labels == label) & images.any(axis=(1, 2)))
        chosen = rng.permutation(chosen)[: round(share * len(chosen))]
        new += [(vary(images[n], rng), label) for n in chosen]
    if not new:
        return images[:0], labels[:0]
    return np.stack([image for image, _ in new]), np.array([label for _, label in new], labels.dtype)


def _end_of_stroke(image: np.ndarray, top: bool) -> tuple[float, float]:
    """Return row and column of the highest, or the lowest, ink, one pixel inside its edge."""
    dark = image > min(127, image.max() - 1)  # also in faint images
    rows = np.flatnonzero(dark.any(axis=1))
    row = min(rows[0] + 1, rows[-1]) if top else max(rows[-1] - 1, rows[0])
    if not image[row].any():  # between two separate pieces of ink
        row = rows[0] if top else rows[-1]
    ink = image[row].astype(float)
    return float(row), float(ink @ np.arange(len(ink)) / ink.sum())


def _with_stroke(image: np.ndarray, rows: np.ndarray, columns: np.ndarray, pen: float) -> np.ndarray:
    """Draw a line through points over an image, and bring the result back into MNIST's frame."""
    margin = 14
    canvas = np.pad(image, margin) / 255
    start = np.stack([columns, rows], axis=1)[:-1] + margin
    end = np.stack([columns, rows], axis=1)[1:] + margin
    drawn = draw_segments(start, end, pen, len(canvas))
    return np.round(255 * to_mnist_frame(np.maximum(canvas, drawn))).astype(np.uint8)
