"""Bring images of digits into the frame of MNIST: 28 x 28, bright on dark, centred by mass.

MNIST's images were made from bilevel scans in two steps: each digit was scaled, keeping its aspect ratio, to fit a box
of 20 x 20 pixels, and the box was placed so that the centre of mass of the ink lies in the middle of a field of
28 x 28. A network has learned from such images only, so other digits must be prepared in exactly the same way.

A position is given in pixels from the centre of the first pixel: pixel (row i, column j) is the unit square around
x = j, y = i, and the field reaches from -0.5 to 27.5. "The middle" is pixel (14, 14): the centres of mass of the
60,000 training images all lie between 13.48 and 14.5 in x and in y.

References
----------
LeCun, Bottou, Bengio and Haffner (1998), "Gradient-based learning applied to document recognition", section III.A.
"""

import math
import os
import warnings
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from cnnlib.checks import check_images
from cnnlib.files import open_regular

if TYPE_CHECKING:
    from PIL import Image

FIELD = 28  # pixels along one side of the image
BOX = 20  # pixels along the longer side of the digit
MIDDLE = 14  # the pixel in which the centre of mass lies

# Pixels: the diameter of a pen that lays down as much ink as MNIST's writers did. The training images have, averaged
# over the ten digits, an ink sum of 103.1 pixels; 937 pen trajectories (every eighth of UCI's Pen-Based Recognition of
# Handwritten Digits, doi 10.24432/C5MG6K), rasterized, have 85.2 with a pen of 2, 103.3 with 2.5 and 120.2 with 3.
PEN_DIAMETER = 2.5

# The formats that are read. Pillow knows forty more; one of them hands files to Ghostscript.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
# What the files of HEIC, the photographs of many phones, have at byte 4; an optional package reads them.
HEIC = tuple(b"ftyp" + kind for kind in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"))
# A small file can claim to be a huge image. Within these limits, reading one takes seconds and some 300 MB at most.
MAX_PIXELS = 50_000_000
MAX_SIDE = 30_000
LARGEST = 1_280  # pixels along a side, to which a larger image is reduced
MAX_BYTES = 200_000_000
MAX_SCANS = 32  # of a JPEG; programs write up to about a dozen, and each costs time for the whole image


def to_mnist_frame(image: np.ndarray) -> np.ndarray:
    """Return an image of a digit, bright on dark and of any size, in the frame of MNIST's images.

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
        If the image does not have two dimensions, has floating-point values outside 0 to 1 (or NaN), or is of uint8 but
        has no value above 1.
    """
    from PIL import Image

    ink = _to_ink(image)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not rows.size:
        return np.zeros((FIELD, FIELD), np.float32)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(BOX * side / max(ink.shape))) for side in ink.shape)
    # Hamming is Pillow's sharpest filter that never leaves the range of the values it averages.
    scaled = Image.fromarray(ink).resize((width, height), Image.Resampling.HAMMING)
    return centre_by_mass(np.clip(np.asarray(scaled), 0, 1))


def _to_ink(image: np.ndarray) -> np.ndarray:
    """Return an image as float32 from 0 to 1, after a check of its shape, type and range."""
    image = check_images("an image", image, 2, "(height, width)")
    return image.astype(np.float32) / (255 if image.dtype == np.uint8 else 1)


def frame_of(ink: np.ndarray) -> np.ndarray:
    """Return the ink of a digit (h, w), from 0 to 1, in the frame of MNIST, as if it was drawn with MNIST's pen."""
    return to_mnist_frame(_thicken(np.where(ink > 0.5, ink, 0)))


def read_colours(path: str | os.PathLike) -> np.ndarray:
    """Return an image file as colours (H, W, 3) from 0 to 1, reduced to at most 1,280 x 1,280 pixels."""
    from PIL import ExifTags, Image, ImageOps

    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"path must be the name of a file, got {path!r}")
    name = os.fsdecode(path)
    with open_regular(name) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd but harmless things in the file
        try:
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_BYTES:
                raise ValueError(f"it has {size:,} bytes, expected at most {MAX_BYTES:,}")
            with Image.open(stream, formats=_formats_for(stream)) as file:
                if file.width * file.height > MAX_PIXELS or max(file.size) > MAX_SIDE:
                    raise ValueError(
                        f"it has {file.width:,} x {file.height:,} pixels, expected at most {MAX_PIXELS:,} in all and "
                        f"{MAX_SIDE:,} along a side"
                    )
                if file.format in ("JPEG", "MPO"):
                    _check_scans(stream)
                    file.draft(None, (LARGEST, LARGEST))  # a large photo is reduced while it is decoded
                image = _to_colours(file)
                orientation = file.getexif().get(ExifTags.Base.Orientation, 1)  # after Pillow has turned TIFF itself
                image.getexif()[ExifTags.Base.Orientation] = orientation
                image = ImageOps.exif_transpose(image)
        except Image.UnidentifiedImageError as error:
            raise ValueError(f"{name} is not an image in one of the formats {', '.join(FORMATS)}") from error
        except Exception as error:  # a damaged image makes Pillow raise nearly anything
            reason = str(error) or type(error).__name__
            raise ValueError(f"{name} is not an image that can be read: {reason}") from error
    return _shape_or_colour(np.asarray(image, np.float32) / 255)


def _formats_for(stream: BinaryIO) -> tuple[str, ...]:
    """Return the formats in which a file may be read: HEIC only if it is such a file."""
    is_heic = stream.read(12)[4:] in HEIC
    stream.seek(0)
    if not is_heic:
        return FORMATS
    try:
        import pillow_heif
    except ImportError:
        raise ValueError(
            "it is a HEIC photograph, which Pillow cannot read. Save it as JPEG (on an iPhone: Settings, Camera, "
            "Formats, Most Compatible), or install the reader: pip install 'cnnlib[heic]'"
        ) from None
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _shape_or_colour(image: np.ndarray) -> np.ndarray:
    """Return colours (H, W, 3) of an image with opacity (H, W, 4): on white, or the opacity itself if it is the shape.

    It is the shape if all that is opaque has nearly one colour, as ink that was cut out has.
    """
    colours, alpha = image[..., :3], image[..., 3:]
    opaque = alpha[..., 0] > 0.5
    if (
        opaque.any()
        and not opaque.all()
        and np.ptp(np.quantile(colours[opaque], (0.05, 0.95), axis=0), axis=0).max() < 0.2
    ):
        return np.repeat(1 - alpha, 3, axis=2)
    return colours * alpha + 1 - alpha


def _check_scans(stream: BinaryIO) -> None:
    """Raise a ValueError if a JPEG has very many scans; within its compressed data, 0xFF is never followed by 0xDA."""
    place = stream.tell()
    stream.seek(0)
    scans = stream.read().count(b"\xff\xda")
    stream.seek(place)
    if scans > MAX_SCANS:
        raise ValueError(f"it is a JPEG of {scans} scans, expected at most {MAX_SCANS}")


def _to_colours(image: "Image.Image") -> "Image.Image":
    """Return an image of any mode as RGBA, reduced by a whole factor to at most `LARGEST` pixels along a side.

    Values of more than 8 bits have no common scale, so they are stretched from their lowest to their highest.
    """
    from PIL import Image

    image.load()
    factor = -(-max(image.size) // LARGEST)
    rows = factor * (4_000_000 // image.width // factor)  # strips need less memory than the whole
    boxes = [(0, top, image.width, min(top + rows, image.height)) for top in range(0, image.height, rows)]
    deep = image.mode[0] in "IF"
    if deep:
        ranges = [(strip.min(), strip.max()) for strip in (np.asarray(image.crop(box)) for box in boxes)]
        low, high = np.float64(np.min(ranges)), np.float64(np.max(ranges))
        if not np.isfinite([low, high]).all():
            raise ValueError("it has values that are not finite")
    reduced = Image.new("RGBA", (-(-image.width // factor), -(-image.height // factor)))
    for box in boxes:
        strip = image.crop(box)
        if deep:
            values = (np.asarray(strip) - low) * (255 / max(high - low, 1e-300))
            strip = Image.fromarray(values.astype(np.uint8))
        reduced.paste(strip.convert("RGBA").reduce(factor), (0, box[1] // factor))
    return reduced


def _thicken(ink: np.ndarray) -> np.ndarray:
    """Return the image with its strokes at least as thick as a pen of `PEN_DIAMETER` would draw them in the box."""
    from PIL import Image, ImageFilter

    strokes = ink > 0
    if not strokes.any():
        return ink
    rows, columns = np.flatnonzero(strokes.any(axis=1)), np.flatnonzero(strokes.any(axis=0))
    size = max(np.ptp(rows), np.ptp(columns)) + 1
    # A long stroke of width d has the area length * d, and the perimeter 2 * length.
    perimeter = sum(np.abs(np.diff(np.pad(strokes, 1).astype(int), axis=axis)).sum() for axis in (0, 1))
    width = 2 * strokes.sum() / perimeter
    missing = round((PEN_DIAMETER / BOX * size - width) / 2)  # pixels on each side
    if missing <= 0:
        return ink
    padded = Image.fromarray((np.pad(ink, missing) * 255).astype(np.uint8))
    return np.asarray(padded.filter(ImageFilter.MaxFilter(2 * missing + 1)), np.float32) / 255


def upscale(images: np.ndarray) -> np.ndarray:
    """Return 8x8 digits of the Optdigits set in MNIST's frame.

    The digits fill the 8x8 image from top to bottom, so the image is scaled up to the 20x20 box by cubic convolution
    (Keys 1981, a = -1/2; beyond the border, the border's value is repeated). The contrast is raised by a half around
    the middle grey, v -> 1.5 v - 0.25, limited to 0..1, which makes the edges of strokes about as steep as MNIST's.
    Then the box is centred by mass. Everything is computed in whole numbers, so the result is the same on every
    machine.

    Parameters
    ----------
    images : ndarray of shape (N, 8, 8)
        Integers from 0 to 16.

    Returns
    -------
    ndarray of shape (N, 28, 28), uint8

    Raises
    ------
    ValueError
        If the shape or the range is different.

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
    return np.stack([centre_by_mass(box) for box in boxes]) if len(boxes) else np.zeros((0, FIELD, FIELD), np.uint8)


def centre_by_mass(box: np.ndarray) -> np.ndarray:
    """Return a field of 28 x 28 that holds `box`, at most that large, with its centre of mass in the middle.

    The box is moved by whole pixels, and only so far that it stays inside the field.
    """
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
