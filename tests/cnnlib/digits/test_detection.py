"""Detection: targets, boxes, suppression and average precision, by hand and against plain loops."""

import numpy as np
import pytest

from cnnlib.digits.datasets import load_digits
from cnnlib.digits.detection import (
    CENTRE,
    CLASS,
    LOG_SIZE,
    OBJECT,
    average_precision,
    decode,
    encode,
    iou,
    mean_average_precision,
    suppress,
)
from cnnlib.digits.scenes import SIZE, Scenes, make_scenes


def scenes_of(*examples) -> Scenes:
    """Scenes without ink: for each example its boxes and labels."""
    images = np.zeros((len(examples), SIZE, SIZE), np.uint8)
    boxes = [np.array(boxes, np.float32).reshape(-1, 4) for boxes, _ in examples]
    return Scenes(images, boxes, [np.array(labels, int) for _, labels in examples], images)


def found_of(boxes, labels, scores):
    return np.array(boxes, float).reshape(-1, 4), np.array(labels, int), np.array(scores, float)


def sure(t: np.ndarray) -> np.ndarray:
    """Targets as the scores of a detector that is sure of them."""
    y = t.astype(float)
    y[:, 0] = 60 * t[:, 0] - 30
    y[:, 5:] *= 60
    return y


# Targets, and back


def test_each_channel_is_of_one_kind():
    channels = range(15)
    kinds = [list(channels[kind]) for kind in (OBJECT, CENTRE, LOG_SIZE, CLASS)]
    assert kinds == [[0], [1, 2], [3, 4], list(range(5, 15))]


def test_encode_by_hand():
    t = encode(scenes_of(([(10, 20, 30, 36)], [7]), ([], [])))
    assert t.shape == (2, 15, 8, 8) and t.dtype == np.float32
    expected = [1, 0.5, 0.5, 0, np.log(0.8), *np.eye(10)[7]]
    assert np.allclose(t[0, :, 2, 3], expected)
    t[0, :, 2, 3] = 0
    assert not t.any()


def test_a_digit_at_the_very_edge_stays_in_the_grid():
    t = encode(scenes_of(([(60, 60, 68, 68)], [1])))  # its centre is the corner of the scene
    assert t[0, 0, 7, 7] == 1 and t[0, 1:3, 7, 7].tolist() == [1, 1]


def test_of_two_digits_in_one_cell_the_last_stays():
    t = encode(scenes_of(([(0, 0, 14, 14), (2, 2, 12, 12)], [3, 4])))
    assert t[0, 0].sum() == 1 and t[0, 5:, 0, 0].tolist() == np.eye(10)[4].tolist()


def test_decode_undoes_encode():
    digits = load_digits()
    scenes = make_scenes(digits.test_images, digits.test_labels, 60, np.random.default_rng(0))
    for (boxes, labels, scores), truth, classes in zip(
        decode(sure(encode(scenes)), max_iou=1.0), scenes.boxes, scenes.labels, strict=True
    ):
        centres = ((truth[:, :2] + truth[:, 2:]) // 16).tolist()
        if len({tuple(centre) for centre in centres}) < len(centres):
            continue  # two digits share a cell
        order, other = np.lexsort(boxes.round(2).T), np.lexsort(truth.T)
        assert np.allclose(boxes[order], truth[other], atol=1e-4)
        assert sorted(labels) == sorted(classes) and scores.min() > 0.99


def test_decode_by_hand():
    y = np.full((1, 15, 8, 8), -30.0)
    y[0, :, 1, 2] = [np.log(3), 0.5, 0.25, np.log(0.5), np.log(1.5), *[0] * 9, np.log(9)]  # 3/4, and class 9: 9 in 18
    (boxes, labels, scores), *_ = decode(y, threshold=0.37)
    assert labels.tolist() == [9] and scores == pytest.approx([0.375])
    assert np.allclose(boxes, [[12 - 5, 18 - 15, 12 + 5, 18 + 15]])
    assert len(decode(y, threshold=0.38)[0][0]) == 0


def test_decode_is_sorted_clipped_and_finite():
    y = np.random.default_rng(1).normal(0, 100, (4, 15, 8, 8))
    for boxes, labels, scores in decode(y, 0.0):
        assert (np.diff(scores) <= 0).all() and np.isfinite(boxes).all()
        assert boxes.min() >= 0 and boxes.max() <= SIZE and set(labels) <= set(range(10))


@pytest.mark.parametrize(
    ("y", "limits", "error", "message"),
    [
        (np.zeros((1, 15, 8, 8)), {"threshold": 1.5}, ValueError, "threshold"),
        (np.zeros((1, 15, 8, 8)), {"threshold": "high"}, TypeError, "threshold"),
        (np.zeros((1, 15, 8, 8)), {"max_iou": -1}, ValueError, "max_iou"),
        (np.zeros((1, 14, 8, 8)), {}, ValueError, r"\(N, 15, 8, 8\), got .* \(1, 14, 8, 8\)"),
        (np.zeros((15, 8, 8)), {}, ValueError, "expected the output of a detector"),
        (np.full((1, 15, 8, 8), np.nan), {}, ValueError, "finite"),
        (np.full((1, 15, 8, 8), np.inf), {}, ValueError, "finite"),
        ("scores", {}, (TypeError, ValueError), "y"),
    ],
)
def test_decode_refuses(y, limits, error, message):
    with pytest.raises(error, match=message):
        decode(y, **limits)


def test_decode_of_no_images_and_of_nothing_found():
    assert decode(np.zeros((0, 15, 8, 8))) == []
    ((boxes, labels, scores),) = decode(np.full((1, 15, 8, 8), -9.0))
    assert boxes.shape == (0, 4) and labels.shape == scores.shape == (0,)


# Boxes


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1),
        ((0, 0, 10, 10), (0, 5, 10, 15), 1 / 3),
        ((0, 0, 10, 10), (5, 5, 15, 15), 25 / 175),
        ((0, 0, 10, 10), (2, 2, 4, 4), 4 / 100),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0),  # they touch
        ((0, 0, 10, 10), (20, 20, 30, 30), 0),  # apart in both directions: the product of two negatives is no area
        ((5, 5, 5, 5), (5, 5, 5, 5), 0),  # empty: no division by zero
    ],
)
def test_iou_by_hand(a, b, expected):
    assert iou([a], [b])[0, 0] == iou([b], [a])[0, 0] == pytest.approx(expected)


def test_iou_counts_pixels():
    rng = np.random.default_rng(2)
    corner, size = rng.integers(0, 40, (2, 30, 2)), rng.integers(1, 24, (2, 30, 2))
    a, b = np.concatenate([corner, corner + size], axis=-1)
    masks = np.zeros((2, 30, SIZE, SIZE), bool)
    for kind, boxes in enumerate((a, b)):
        for mask, (top, left, bottom, right) in zip(masks[kind], boxes, strict=True):
            mask[top:bottom, left:right] = True
    both = (masks[0][:, None] & masks[1]).sum(axis=(2, 3))
    either = (masks[0][:, None] | masks[1]).sum(axis=(2, 3))
    assert np.allclose(iou(a, b), both / either)
    assert iou(a, b[:0]).shape == (30, 0)


def test_suppress_by_hand():
    boxes = np.array([[0, 0, 20, 20], [0, 2, 20, 22], [0, 14, 20, 34]])
    assert suppress(boxes, np.array([0.8, 0.9, 0.6]), 0.45).tolist() == [1, 2]
    assert suppress(boxes, np.array([0.8, 0.9, 0.6]), 0.2).tolist() == [1]
    assert suppress(boxes, np.array([0.8, 0.9, 0.6]), 1.0).tolist() == [1, 0, 2]
    assert suppress(boxes[:0], np.zeros(0), 0.5).tolist() == []


def test_what_was_suppressed_suppresses_nothing():
    """0 drops 1; 1 would drop 2, but is gone."""
    boxes = np.array([[0, 0, 10, 10], [0, 4, 10, 14], [0, 8, 10, 18]])
    assert iou(boxes, boxes)[0, 1] > 0.4 < iou(boxes, boxes)[1, 2]
    assert suppress(boxes, np.array([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


def test_of_equal_scores_the_first_stays():
    assert suppress(np.array([[0, 0, 9, 9]] * 3), np.ones(3), 0.5).tolist() == [0]


# Average precision

A, B, C = (0, 0, 10, 10), (20, 20, 30, 30), (40, 40, 50, 50)


def test_average_precision_by_hand():
    """Three digits of class 1. Surest first: right, wrong, right; the third is never found."""
    scenes = scenes_of(([A, B], [1, 1]), ([C], [1]))
    found = [found_of([A, C, B], [1, 1, 1], [0.9, 0.8, 0.7]), found_of([], [], [])]
    assert average_precision(found, scenes, 1) == pytest.approx((1 + 2 / 3) / 3)


def test_the_best_precision_at_a_recall_or_a_higher_one():
    """Wrong, right, right: precision 0, 1/2, 2/3; at both recalls the best is 2/3."""
    scenes = scenes_of(([A, B], [1, 1]))
    found = [found_of([C, A, B], [1, 1, 1], [0.9, 0.8, 0.7])]
    assert average_precision(found, scenes, 1) == pytest.approx(2 / 3)


def test_a_digit_is_claimed_once():
    scenes = scenes_of(([A, B], [1, 1]))
    twice = [found_of([A, A, B], [1, 1, 1], [0.9, 0.8, 0.7])]
    assert average_precision(twice, scenes, 1) == pytest.approx((1 + 2 / 3) / 2)


def test_the_order_is_that_of_the_scores_over_all_images():
    scenes = scenes_of(([A], [1]), ([A], [1]))
    wrong_first = [found_of([A], [1], [0.3]), found_of([C, A], [1, 1], [0.9, 0.2])]
    assert average_precision(wrong_first, scenes, 1) == pytest.approx(2 / 3)
    wrong_last = [found_of([A], [1], [0.3]), found_of([A, C], [1, 1], [0.2, 0.1])]
    assert average_precision(wrong_last, scenes, 1) == 1


def test_the_least_iou_decides():
    scenes = scenes_of(([A], [1]))
    moved = [found_of([(0, 0, 10, 6)], [1], [0.9])]  # IoU 0.6
    assert average_precision(moved, scenes, 1, 0.6 - 1e-9) == 1
    assert average_precision(moved, scenes, 1, 0.61) == 0


def test_the_class_decides():
    scenes = scenes_of(([A, B], [1, 2]))
    found = [found_of([A, B], [1, 3], [0.9, 0.9])]
    assert average_precision(found, scenes, 1) == 1 and average_precision(found, scenes, 2) == 0
    assert np.isnan(average_precision(found, scenes, 3))  # there is none to be found
    assert mean_average_precision(found, scenes) == 0.5  # over the classes that occur


def test_nothing_found():
    scenes = scenes_of(([A], [1]), ([], []))
    assert average_precision([found_of([], [], [])] * 2, scenes, 1) == 0


def test_all_of_it_found_in_the_targets():
    digits = load_digits()
    scenes = make_scenes(digits.test_images, digits.test_labels, 50, np.random.default_rng(4), digits=(1, 2))
    found = decode(sure(encode(scenes)))
    assert mean_average_precision(found, scenes, 0.95) > 0.97  # but for digits that share a cell


@pytest.mark.parametrize("boxes", [None, "x", np.zeros(3), [[1, 2, 3]], [[0, 0, np.nan, 1]], np.array([object()])])
def test_what_are_no_boxes(boxes):
    for function in (iou, lambda a, b: suppress(a, np.zeros(1), 0.5)):
        with pytest.raises((TypeError, ValueError), match="boxes"):
            function(boxes, boxes)


def test_what_are_no_scenes():
    for call in (encode, lambda scenes: average_precision([], scenes, 0)):
        for scenes in (None, "x", np.zeros(3)):
            with pytest.raises(TypeError, match="scenes must be a Scenes"):
                call(scenes)


def test_what_holds_by_default():
    """Sure by a half, overlapping by 0.45 at most, and right from an overlap of a half."""
    y = np.full((1, 15, 8, 8), -30.0)
    y[0, :, 2, 2] = [np.log(0.6 / 0.4), 0.5, 0.5, 0, 0, 60, *[0] * 9]
    y[0, :, 2, 3] = [np.log(0.52 / 0.48), 0, 0, 0, 0, 60, *[0] * 9]  # 4 pixels up and to the right
    for shift, kept in ((0.0, 1), (0.25, 2)):
        y[0, 2, 2, 3] = shift
        first, second = decode(y, 0.5, 1.0)[0][0]
        assert (iou([first], [second])[0, 0] > 0.45) == (kept == 1)
        assert len(decode(y)[0][0]) == kept
    y[0, 0, 2, 3] = np.log(0.49 / 0.51)
    assert len(decode(y)[0][0]) == 1
    scenes = scenes_of(([(0, 0, 10, 10)], [3]))
    for height, right in ((20, 1), (20.1, 0)):
        assert average_precision([found_of([(0, 0, height, 10)], [3], [1])], scenes, 3) == right
        assert mean_average_precision([found_of([(0, 0, height, 10)], [3], [1])], scenes) == right


def test_the_mean_is_over_the_classes_that_occur():
    scenes = scenes_of(([(0, 0, 10, 10), (20, 20, 30, 30)], [0, 9]))
    found = [found_of([(0, 0, 10, 10), (40, 40, 50, 50)], [0, 4], [0.9, 0.8])]
    assert mean_average_precision(found, scenes) == 0.5
    assert np.isnan(average_precision(found, scenes, 4))


@pytest.mark.parametrize("found", [None, (), [], [1, 2, 3]])
def test_errors_word_by_word(found):
    message = "found must be a list with an entry for each of 2 scenes, as decode returns"
    with pytest.raises(ValueError, match=f"^{message}$"):
        average_precision(found, scenes_of(([], []), ([], [])), 0)
    for call in (lambda: encode(3), lambda: average_precision([], None, 0)):
        with pytest.raises(TypeError, match="^scenes must be a Scenes, as make_scenes returns, got "):
            call()
    with pytest.raises(ValueError, match=r"^boxes must be of shape \(k, 4\), got \(1, 3\)$"):
        iou([[1, 2, 3]], np.zeros((1, 4)))
    message = r"^expected the output of a detector, \(N, 15, 8, 8\), got an array of shape \(1, 15, 8, 7\)$"
    with pytest.raises(ValueError, match=message):
        decode(np.zeros((1, 15, 8, 7)))
    for name in ("threshold", "max_iou"):
        with pytest.raises(ValueError, match=rf"^{name} must be a number in \[0, 1\], got 1.5"):
            decode(np.zeros((1, 15, 8, 8)), **{name: 1.5})
