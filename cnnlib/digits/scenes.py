"""Scenes: several handwritten digits, of different sizes, in one image; for detection and segmentation.

The rules are few. The heights are uniform between two limits, and so are the positions within the frame. A digit that
overlaps another one too much is drawn again, and so is a scene in which no place is left. Ink lies over ink as the
maximum of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cnnlib.checks import (
    as_array,
    check_images,
    check_instance,
    check_int,
    check_number,
    check_rng,
    check_shape,
    shown,
)

SIZE = 64  # pixels of a side
INK = 64  # of 255: what a pixel needs at least to belong to a digit
BACKGROUND = 10  # the class of the other pixels
ATTEMPTS = 1_000  # to place a digit
SCENE_ATTEMPTS = 20
MAX_SCENES = 1_000_000


@dataclass(frozen=True)
class Scenes:
    """Images of several digits, and where each digit is.

    Attributes
    ----------
    images : ndarray of shape (N, 64, 64), uint8
        255 is full ink.
    boxes : list of N ndarrays of shape (k, 4), float32
        Of each of the k digits of an image: top, left, bottom, right, in pixels; bottom and right lie outside.
    labels : list of N ndarrays of shape (k,), int
    classes : ndarray of shape (N, 64, 64), uint8
        For each pixel the digit that it belongs to, 0 to 9, or 10 for the background.
    """

    images: np.ndarray
    boxes: list[np.ndarray]
    labels: list[np.ndarray]
    classes: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice) -> "Scenes":
        check_instance("index", index, slice, "a slice, such as scenes[:10]")
        return Scenes(self.images[index], self.boxes[index], self.labels[index], self.classes[index])


def make_scenes(
    images: np.ndarray,
    labels: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    digits: tuple[int, int] = (1, 5),
    heights: tuple[float, float] = (12, 30),
    max_overlap: float = 0.15,
) -> Scenes:
    """Draw scenes from images of single digits.

    Parameters
    ----------
    images : ndarray of shape (M, H, W)
        uint8, where 255 is full ink; bool; or floating point from 0 to 1. Each digit is cut out by its ink, and scaled.
    labels : ndarray of shape (M,), int
        From 0 to 9.
    count : int
        N, how many scenes to draw.
    rng : numpy.random.Generator
        Same state, same scenes.
    digits : (int, int)
        The least and the largest number of digits in a scene.
    heights : (float, float)
        The least and the largest height of a digit, in pixels of the scene.
    max_overlap : float
        How much of the smaller of two boxes may be covered by the other one, from 0 to 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as it must be; if digits of these sizes do not fit into a scene.
    """
    images, rng = check_images("images", images, 3, "(M, H, W)"), check_rng(rng)
    if images.dtype != np.uint8:
        images = np.rint(images * np.float32(255)).astype(np.uint8)  # bool, or from 0 to 1
    labels = as_array("labels", labels, 1)
    if len(labels) != len(images) or not np.isin(labels, range(BACKGROUND)).all():
        raise ValueError(f"labels must be a digit, 0 to 9, for each of {len(images)} images, got {shown(labels)}")
    least, most = check_pair("digits", check_shape("digits", digits, minimum=1))
    check_instance("heights", heights, Sequence, "a pair of numbers, such as (12, 30)")
    low, high = check_pair("heights", [check_number("heights", height, f"[1, {SIZE}]") for height in heights])
    check_number("max_overlap", max_overlap, "[0, 1]")
    scenes = Scenes(
        np.zeros((check_int("count", count, 1, MAX_SCENES), SIZE, SIZE), np.uint8),
        [],
        [],
        np.full((count, SIZE, SIZE), BACKGROUND, np.uint8),
    )
    for image, classes in zip(scenes.images, scenes.classes, strict=True):
        count = rng.integers(least, most + 1)
        boxes, chosen = [], []
        for index, ink, box in place_all(images, count, rng, (low, high), max_overlap):
            rows, columns = slice(box[0], box[2]), slice(box[1], box[3])
            more = ink > image[rows, columns]  # an overlapped pixel belongs to the digit with more ink
            classes[rows, columns][more & (ink >= INK)] = labels[index]
            image[rows, columns][more] = ink[more]
            boxes.append(box)
            chosen.append(labels[index])
        scenes.boxes.append(np.array(boxes, np.float32))
        scenes.labels.append(np.array(chosen, np.int64))
    return scenes


def check_pair(name: str, pair: Sequence) -> Sequence:
    """Return two numbers, the lower limit first, or raise a ValueError."""
    check_instance(name, pair, tuple | list, "a tuple of two numbers")
    if len(pair) != 2 or pair[0] > pair[1]:
        raise ValueError(f"{name} must be two numbers, the smaller first, got {shown(tuple(pair))}")
    return pair


Box = tuple[int, int, int, int]


def place_all(
    images: np.ndarray, count: int, rng: np.random.Generator, heights: tuple[float, float], max_overlap: float
) -> list[tuple[int, np.ndarray, Box]]:
    """Choose digits and find their places; return the number, the ink and the box of each.

    Digits that leave no place for the next one are rare, if all can fit at all: then all of them are drawn again.
    """
    for _ in range(SCENE_ATTEMPTS):
        placed: list[tuple[int, np.ndarray, Box]] = []
        while len(placed) < count:
            index = rng.integers(len(images))
            found = place(images[index], [box for *_, box in placed], rng, heights, max_overlap)
            if found is None:
                break
            placed.append((int(index), *found))
        else:
            return placed
    raise ValueError(f"found no places for {count} digits of heights {heights} in {SIZE} x {SIZE} pixels")


def place(
    digit: np.ndarray, boxes: list[Box], rng: np.random.Generator, heights: tuple[float, float], max_overlap: float
) -> tuple[np.ndarray, Box] | None:
    """Scale a digit and find a place for it that overlaps none of the boxes too much; return its ink and its box."""
    rows, columns = (np.flatnonzero((digit >= INK).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise ValueError("an image holds no digit: it has no pixel with enough ink")
    cut = Image.fromarray(digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    for _ in range(ATTEMPTS):
        height = round(rng.uniform(*heights))
        width = max(1, min(SIZE, round(height * cut.width / cut.height)))
        top, left = rng.integers(SIZE - height + 1), rng.integers(SIZE - width + 1)
        box = (int(top), int(left), int(top + height), int(left + width))
        if all(overlap(box, other) <= max_overlap for other in boxes):
            return np.asarray(cut.resize((width, height), Image.Resampling.BILINEAR)), box
    return None


def overlap(a: Box, b: Box) -> float:
    """Return how much of the smaller of two boxes is covered by the other one."""
    height, width = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return max(height, 0) * max(width, 0) / min(areas)
