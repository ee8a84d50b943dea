"""Forty drawings of digits that come with the package: pen strokes to try things on when nobody is there to draw.

They are made by rule. `PATHS` holds four ways to write each digit, as points on the path of the pen. For a drawing, the
points of one path are moved slightly and joined by a smooth curve, which is placed on a canvas at random, with a random
size and slant. The drawings are tidier than people's, so they show what goes wrong, but not how often it does.
"""

import numpy as np

from cnnlib.checks import check_int, check_positive_int
from cnnlib.digits.strokes import CANVAS

POINTS_PER_PIECE = 8  # of the smooth curve, from one point of the path to the next

# Points "x,y" in a box of 100 x 100, y down; strokes are separated by a bar, and a point given twice is a corner.
PATHS: tuple[tuple[str, ...], ...] = (
    (  # 0
        "50,5 25,15 12,50 25,85 50,95 75,85 88,50 75,15 50,5",
        "65,8 45,5 28,30 25,65 40,95 60,90 74,60 72,25 60,8",
        "45,10 22,30 18,65 38,94 66,90 82,60 78,28 55,8 38,14",
        "40,8 65,6 82,35 80,72 58,95 32,90 18,60 22,25 42,8",
    ),
    (  # 1
        "50,5 50,95",
        "60,5 40,95",
        "30,30 55,5 55,5 55,95",
        "32,28 52,6 52,6 52,94 | 28,94 76,94",
    ),
    (  # 2
        "20,28 30,10 55,5 75,20 70,42 45,68 18,94 18,94 82,94",
        "22,25 40,6 66,10 72,35 50,65 25,88 15,85 25,76 48,88 68,94 84,84",
        "25,15 50,5 74,15 74,38 50,62 22,92 22,92 52,88 80,92",
        "24,22 45,8 70,18 66,45 40,72 22,92 22,92 84,96",
    ),
    (  # 3
        "22,15 45,5 70,12 70,35 45,47 45,47 74,55 78,80 50,96 20,85",
        "22,8 76,8 76,8 45,42 45,42 72,52 78,75 55,95 22,88",
        "28,14 55,4 72,20 60,40 42,46 68,52 80,72 62,92 34,95 20,84",
        "25,12 60,5 68,25 48,44 38,46 38,46 66,48 74,70 60,90 25,94",
    ),
    (  # 4
        "30,8 25,35 22,58 22,58 78,56 | 66,10 64,95",
        "68,95 68,5 68,5 18,66 18,66 88,66",
        "62,5 38,35 15,65 15,65 88,63 | 62,5 62,96",
        "35,10 20,50 45,56 80,50 | 72,15 58,95",
    ),
    (  # 5
        "78,8 32,8 32,8 26,45 26,45 55,38 78,58 72,84 48,96 20,86",
        "34,10 28,44 58,40 78,62 66,90 38,95 20,86 | 34,10 80,8",
        "72,6 36,10 36,10 30,42 62,44 74,66 58,90 24,92",
        "35,6 28,42 28,42 62,42 76,65 62,92 30,94 | 35,7 75,4",
    ),
    (  # 6
        "68,6 40,25 22,60 30,90 58,95 74,75 60,55 35,60 24,75",
        "58,4 30,40 24,74 44,96 70,84 66,62 44,58 26,72",
        "75,12 50,10 26,40 22,75 45,95 72,85 72,62 50,54 28,66",
        "52,4 34,42 26,72 38,94 62,92 70,72 54,60 32,70",
    ),
    (  # 7
        "18,10 80,10 80,10 60,45 42,95",
        "20,10 80,10 80,10 45,95 | 34,52 72,50",
        "20,25 22,10 22,10 80,12 80,12 55,55 45,95",
        "18,12 50,6 78,12 64,48 52,95",
    ),
    (  # 8
        "68,18 45,5 28,20 42,42 66,58 74,80 50,96 27,82 36,60 62,42 72,20 60,8",
        "50,5 30,15 30,36 50,47 70,36 70,15 50,5 | 50,47 26,60 25,84 50,96 75,84 74,60 50,47",
        "72,12 50,6 32,18 44,40 68,60 68,84 46,95 28,82 40,58 66,34 74,14",
        "60,10 42,8 36,24 50,44 64,66 58,90 40,92 34,72 50,46 64,24 58,8",
    ),
    (  # 9
        "74,25 50,5 26,22 34,46 60,46 74,25 74,25 70,95",
        "72,28 55,6 30,14 26,38 48,50 70,36 73,20 72,60 58,90 30,94",
        "70,15 45,6 26,25 38,45 62,40 72,15 72,15 62,95",
        "68,20 50,8 34,18 34,38 54,46 68,30 70,18 70,55 60,80 42,96",
    ),
)


def sample_drawings(each: int = 1, seed: int = 0) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """Return drawings of digits on a canvas of 280 x 280, the same drawings for the same seed.

    Parameters
    ----------
    each : int
        How often each of the forty paths is drawn.
    seed : int
        Of the random numbers.

    Returns
    -------
    tuple of list and ndarray
        ``40 * each`` drawings, each a list of strokes (n, 2) of points x and y, in pixels of the canvas, y down; and
        their labels (40 * each,).
    """
    check_positive_int("each", each)
    rng = np.random.default_rng(check_int("seed", seed, minimum=0))
    drawings, labels = [], []
    for _ in range(each):
        for label, paths in enumerate(PATHS):
            for path in paths:
                drawings.append(_draw(path, rng))
                labels.append(label)
    return drawings, np.array(labels, np.int64)


def _draw(path: str, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the strokes of one path: points moved slightly, joined, rotated, slanted, stretched, and placed."""
    strokes = []
    for text in path.split("|"):
        points = np.array([point.split(",") for point in text.split()], float)
        corner = np.append(False, (points[1:] == points[:-1]).all(axis=1))
        moves = rng.normal(0, 2, points.shape)
        moves[corner] = moves[np.flatnonzero(corner) - 1]  # a corner remains a corner
        strokes.append(_curve(points + moves))
    angle, slant = np.deg2rad(rng.uniform(-8, 8)), rng.uniform(-0.2, 0.2)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[1, 0], [slant, 1]]) @ np.diag(rng.uniform(0.85, 1.15, 2))
    strokes = [stroke @ matrix for stroke in strokes]
    points = np.concatenate(strokes)
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    size = rng.uniform(0.45, 0.9) * CANVAS / extent.max()
    corner = rng.uniform(0.03 * CANVAS, 0.97 * CANVAS - size * extent)
    return [np.round((stroke - low) * size + corner, 1) for stroke in strokes]


def _curve(points: np.ndarray) -> np.ndarray:
    """Return a smooth curve through points (n, 2): cubic pieces, whose slope at a point is its neighbours' chord's.

    References
    ----------
    Catmull and Rom (1974), "A class of local interpolating splines".
    """
    padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.arange(POINTS_PER_PIECE)[:, np.newaxis] / POINTS_PER_PIECE
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        if (b != c).any():
            pieces.append(
                b + (c - a) / 2 * t + (2 * a - 5 * b + 4 * c - d) / 2 * t**2 + (3 * b - a - 3 * c + d) / 2 * t**3
            )
    return np.concatenate([*pieces, points[-1:]])
