"""Detection: which digits are in an image, and where. From boxes to a grid of targets, and back.

A box is ``(top, left, bottom, right)`` in pixels; bottom and right lie outside of it.
"""

import numpy as np

from cnnlib.checks import as_float_array, check_finite, check_instance, check_int, check_number
from cnnlib.digits.scenes import SIZE, Scenes
from cnnlib.layers import Sigmoid, Softmax
from cnnlib.losses import one_hot

CELL = 8  # pixels of a side; each cell of the grid answers for the digit whose centre lies in it
GRID = SIZE // CELL
TYPICAL = 20.0  # pixels, the size whose logarithm is 0
OBJECT, CENTRE, LOG_SIZE, CLASS = slice(0, 1), slice(1, 3), slice(3, 5), slice(5, 15)


def encode(scenes: Scenes) -> np.ndarray:
    """Return the targets (N, 15, 8, 8) of a detector for these scenes.

    For every cell: 1 if the centre of a digit lies in it; where in the cell it lies, down and right, from 0 to 1; the
    logarithms of height and width, divided by `TYPICAL`; and ten numbers, of which that of its class is 1.
    """
    check_instance("scenes", scenes, Scenes, "a Scenes, as make_scenes returns")
    t = np.zeros((len(scenes), 15, GRID, GRID), np.float32)
    for target, boxes, labels in zip(t, scenes.boxes, scenes.labels, strict=True):
        sizes = boxes[:, 2:] - boxes[:, :2]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / CELL
        cells = np.minimum(centres.astype(int), GRID - 1)
        for (row, column), centre, size, label in zip(cells, centres, sizes, labels, strict=True):
            place = np.concatenate([centre - (row, column), np.log(size / TYPICAL)])
            target[:, row, column] = [1, *place, *one_hot(np.array([label]), 10)[0]]
    return t


def decode(y: np.ndarray, threshold: float = 0.5, max_iou: float = 0.45) -> list[tuple[np.ndarray, ...]]:
    """Return what a detector has found, from its output (N, 15, 8, 8).

    Returns
    -------
    list of N tuples (boxes, labels, scores)
        Arrays (k, 4), (k,) and (k,), surest first. A score is the probability that there is a digit, times that of its
        class.

    Raises
    ------
    TypeError, ValueError
        If the output is not of that shape, or not finite; if a limit is not from 0 to 1.
    """
    check_number("threshold", threshold, "[0, 1]")
    check_number("max_iou", max_iou, "[0, 1]")
    y = check_finite("y", as_float_array("y", y, np.float64))
    if y.ndim != 4 or y.shape[1:] != (15, GRID, GRID):
        raise ValueError(f"expected the output of a detector, (N, 15, {GRID}, {GRID}), got an array of shape {y.shape}")
    found = []
    rows, columns = np.indices((GRID, GRID))
    for example in y:
        p = Softmax().forward(example[np.newaxis, CLASS])[0]
        scores = Sigmoid().forward(example[np.newaxis, OBJECT])[0, 0] * p.max(axis=0)
        at = scores >= threshold
        centres = CELL * (example[CENTRE] + [rows, columns])[:, at]
        sizes = TYPICAL * np.exp(np.minimum(example[LOG_SIZE], 3.0))[:, at]
        boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2]).T.clip(0, SIZE)
        kept = suppress(boxes, scores[at], max_iou)
        found.append((boxes[kept], p.argmax(axis=0)[at][kept], scores[at][kept]))
    return found


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every box of `a` (A, 4) with every box of `b` (B, 4): (A, B)."""
    a, b = as_boxes(a)[:, np.newaxis], as_boxes(b)[np.newaxis]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.maximum(sides, 0).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - intersection
    return intersection / np.maximum(union, np.finfo(float).tiny)


def as_boxes(boxes: np.typing.ArrayLike) -> np.ndarray:
    """Return boxes as an array (k, 4) of float64; TypeError or ValueError if they are none."""
    boxes = check_finite("boxes", as_float_array("boxes", boxes, np.float64))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must be of shape (k, 4), got {boxes.shape}")
    return boxes


def as_scores(scores: np.typing.ArrayLike, boxes: np.typing.ArrayLike) -> np.ndarray:
    """Return a score for each box as an array (k,) of float64; TypeError or ValueError if they are none."""
    scores = check_finite("scores", as_float_array("scores", scores, np.float64))
    if scores.shape != (len(as_boxes(boxes)),):
        raise ValueError(f"scores must be a number for each of {len(as_boxes(boxes))} boxes, got {scores.shape}")
    return scores


def suppress(boxes: np.ndarray, scores: np.ndarray, max_iou: float) -> np.ndarray:
    """Non-maximum suppression: of boxes that overlap by more than `max_iou`, keep the one with the highest score.

    Returns
    -------
    ndarray of int
        Which boxes are kept, surest first.
    """
    check_number("max_iou", max_iou, "[0, 1]")
    order, kept = np.argsort(-as_scores(scores, boxes), kind="stable"), []
    overlaps = iou(boxes, boxes)
    for index in order:
        if all(overlaps[index, other] <= max_iou for other in kept):
            kept.append(index)
    return np.array(kept, int)


def average_precision(found: list, scenes: Scenes, label: int, min_iou: float = 0.5) -> float:
    """Return the area under the curve of precision over recall for one class.

    What is found is sorted by its score, over all images. It is right if it overlaps a digit of the class by at least
    `min_iou` which no surer box has claimed. The precision at a recall is the best one at that recall or a higher one.

    References
    ----------
    Everingham, Van Gool, Williams, Winn and Zisserman (2010), "The Pascal visual object classes (VOC) challenge".
    """
    check_instance("scenes", scenes, Scenes, "a Scenes, as make_scenes returns")
    check_int("label", label, 0, 9)
    check_number("min_iou", min_iou, "[0, 1]")
    if not isinstance(found, list) or len(found) != len(scenes):
        raise ValueError(f"found must be a list with an entry for each of {len(scenes)} scenes, as decode returns")
    entries = [
        (score, index, box)
        for index, (boxes, labels, scores) in enumerate(found)
        for box, score in zip(boxes[labels == label], scores[labels == label], strict=True)
    ]
    truth = [boxes[labels == label] for boxes, labels in zip(scenes.boxes, scenes.labels, strict=True)]
    claimed = [np.zeros(len(boxes), bool) for boxes in truth]
    total = sum(map(len, truth))
    if not total:
        return np.nan
    right = []
    for _, index, box in sorted(entries, key=lambda entry: -entry[0]):
        overlaps = np.where(claimed[index], 0, iou([box], truth[index])[0]) if len(truth[index]) else np.zeros(1)
        best = overlaps.argmax()
        right.append(overlaps[best] >= min_iou)
        if right[-1]:
            claimed[index][best] = True
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(hits) + 1)
    best_precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(best_precision[np.array(right, bool)]) / total)


def mean_average_precision(found: list, scenes: Scenes, min_iou: float = 0.5) -> float:
    """Return the mean of `average_precision` over the classes that occur in the scenes."""
    return float(np.nanmean([average_precision(found, scenes, label, min_iou) for label in range(10)]))
