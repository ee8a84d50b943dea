"""New examples from old ones: the same digit, written a little differently.

A digit stays what it is when it is turned a little, slanted, stretched, bent, or written with another pen. Training on
such variants, new ones in each epoch, tells the network so.
"""

from dataclasses import dataclass

import numpy as np

# Bends are smooth surfaces over the image, from a coarse grid of GRID x GRID heights.
GRID = 5


def _spline_weights(pixels: int) -> np.ndarray:
    """Return the weights (pixels, GRID) of uniform cubic B-splines whose centres span the image."""
    position = np.linspace(0.5, GRID - 1.5, pixels)[:, np.newaxis]
    distance = np.abs(position - np.arange(GRID))
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


@dataclass(frozen=True)
class Distortion:
    """Change every image of a batch by a random affine map, a random smooth bend, and a random pen.

    An instance is what `Network.train` takes as ``augment``. All draws are uniform, within plus and minus the limits.

    Parameters
    ----------
    rotation : float
        Degrees.
    shear : float
        How far the top leans to one side, as a part of the height.
    scale : float
        Relative change of size, drawn for width and height separately: 0.2 means a factor from 1/1.2 to 1.2.
    shift : float
        Pixels, in both directions.
    bend : float
        Pixels: the standard deviation of the displacements of a 5x5 grid of points, between which the image is bent
        smoothly (an elastic distortion).
    pen : float
        At 1, strokes become thinner or thicker by up to about one pixel on each side; at 0 they stay.

    References
    ----------
    Simard, Steinkraus and Platt (2003), "Best practices for convolutional neural networks applied to visual document
    analysis".
    """

    rotation: float = 12.0
    shear: float = 0.2
    scale: float = 0.15
    shift: float = 1.5
    bend: float = 1.0
    pen: float = 0.6

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return changed copies of images (N, H, W), uint8 from 0 to 255 or float from 0 to 1; float32 from 0 to 1."""
        images = np.asarray(images)
        if images.ndim != 3:
            raise ValueError(f"expected images (N, H, W), got an array of shape {images.shape}")
        if images.dtype == np.uint8:
            images = images / np.float32(255)
        images = self.change_pen(images.astype(np.float32, copy=False), rng)
        return sample(images, *self.sources(*images.shape, rng))

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
        if self.bend:
            heights = rng.normal(0, self.bend, (2, N, GRID, GRID)).astype(np.float32)
            bent = _spline_weights(H) @ heights @ _spline_weights(W).T
            rows, columns = rows + bent[0], columns + bent[1]
        return rows + (H - 1) / 2 + draw(self.shift), columns + (W - 1) / 2 + draw(self.shift)

    def change_pen(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Blend every image with one of thicker strokes, or of thinner ones."""
        if not self.pen:
            return images
        amount = rng.uniform(-self.pen, self.pen, (len(images), 1, 1)).astype(np.float32)
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
        neighbours = [padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]]
        thick = np.maximum.reduce([images, *neighbours])
        thin = np.minimum.reduce([images, *neighbours])
        return np.where(amount > 0, images + amount * (thick - images), images - amount * (thin - images))


def sample(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Read images (N, H, W) between their pixels, by bilinear interpolation; zero outside.

    Parameters
    ----------
    rows, columns : ndarray of shape (N, h, w)
        Positions; (0, 0) is the centre of the first pixel.
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
