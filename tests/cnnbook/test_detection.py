"""Chapter 19: its network and figures; the checks accept right answers, and name what is wrong with others."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnbook import detection as chapter
from cnnbook.checking import WrongAnswer
from cnnlib.digits.detection import encode, iou, suppress
from cnnlib.digits.scenes import Scenes


def test_the_network_is_small_and_begins_with_no():
    network = chapter.build_detector(0)
    assert network.parameter_count <= 220_000 and network.shapes[-1] == (15, 8, 8)
    y = network.predict(chapter.split("validation", 4).images)
    assert y[:, 0].mean() < -1.5
    assert not np.array_equal(network[0].W, chapter.build_detector(1)[0].W)


def test_no_digit_is_in_two_parts():
    data = chapter.cnnlib.load_mnist(fallback=True)
    kept_back = min(chapter.VALIDATION, len(data.train_images) // 5)
    assert 0 < kept_back < len(data.train_images)
    three = [chapter.split(part, 3) for part in ("training", "validation", "test")]
    assert len({scenes.images.tobytes() for scenes in three}) == 3
    assert np.array_equal(chapter.split("test", 3).images, three[2].images)  # the same each time
    with pytest.raises(KeyError):
        chapter.split("all", 3)


def test_short_training_lowers_the_loss():
    network, scenes = chapter.build_detector(0), chapter.split("training", 256)
    history = chapter.train_detector(network, scenes, 1)
    assert np.mean(history["batch_loss"][-2:]) < np.mean(history["batch_loss"][:2])


def test_the_figure_s_data():
    data = chapter.figure_data(chapter.build_detector(0))
    assert len(data["stamps"]) == 10
    for stamp in data["stamps"]:
        assert len(stamp["pixels"]) == 2 * stamp["height"] * stamp["width"]


# What became of each digit

A, B, C = (0, 0, 10, 10), (20, 20, 30, 30), (40, 40, 50, 50)


def scene(boxes, labels):
    images = np.zeros((1, 64, 64), np.uint8)
    return Scenes(images, [np.array(boxes, np.float32)], [np.array(labels)], images)


def found_of(boxes, labels):
    return [(np.array(boxes, float).reshape(-1, 4), np.array(labels, int), np.linspace(0.9, 0.8, len(labels)))]


@pytest.mark.parametrize(
    ("boxes", "labels", "expected"),
    [
        ([A, B], [1, 2], (2, 0, 0, 0, 0)),
        ([A, B], [1, 3], (1, 1, 0, 0, 0)),
        ([A, (20, 20, 30, 24)], [1, 2], (1, 0, 1, 0, 0)),
        ([A], [1], (1, 0, 0, 1, 0)),
        ([A, B, C], [1, 2, 2], (2, 0, 0, 0, 1)),
        ([A, A, B], [1, 1, 2], (2, 0, 0, 0, 1)),
        ([A, A, B], [3, 1, 2], (2, 0, 0, 0, 1)),  # the right one counts, though it is less sure
        ([], [], (0, 0, 0, 2, 0)),
    ],
)
def test_errors_are_counted(boxes, labels, expected):
    counts = chapter.count_errors(found_of(boxes, labels), scene([A, B], [1, 2]))
    assert tuple(counts.values()) == expected


def test_hits():
    hits = chapter.hits_of(found_of([A, A, C, B], [1, 1, 1, 2]), scene([A, B], [1, 2]), 0.5)
    assert hits[0].tolist() == [True, False, False, True]


def test_figures_are_drawn():
    scenes = chapter.split("validation", 4)
    found = [(boxes, labels, np.ones(len(labels))) for boxes, labels in zip(scenes.boxes, scenes.labels, strict=True)]
    chapter.draw_scenes(scenes)
    assert [len(axis.patches) for axis in plt.gcf().axes] == [len(boxes) for boxes in scenes.boxes]
    chapter.draw_targets(scenes.images[0], scenes.boxes[0], encode(scenes)[0])
    chapter.draw_precision_recall(found, scenes, (0.5, 0.75, 0.9))
    for line in plt.gcf().axes[0].get_lines():
        assert line.get_ydata()[-1] == line.get_xdata()[-1] == 1
    chapter.draw_errors(found, scenes)
    plt.gcf().canvas.draw()


# The checks of the exercises

TARGET = (3, 1, 0.5, 0.75, np.log(1.2), np.log(0.6))


def by_class(boxes, labels, scores, max_iou, same=True):
    overlaps, kept = iou(boxes, boxes), []
    for index in np.argsort(-scores, kind="stable"):
        if all(overlaps[index, k] <= max_iou for k in kept if (labels[k] == labels[index]) == same):
            kept.append(index)
    return kept


def precision(right, total):
    right = np.array(right, bool)
    values = np.cumsum(right) / np.arange(1, len(right) + 1)
    return np.maximum.accumulate(values[::-1])[::-1][right].sum() / total


def plain_precision(right, total):
    return (np.cumsum(right) / np.arange(1, len(right) + 1))[np.array(right, bool)].sum() / total


def best(right):
    values = np.cumsum(right) / np.arange(1, len(right) + 1)
    return np.maximum.accumulate(values[::-1])[::-1]


def lost(boxes, cell):
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return len(boxes) - len({tuple(c) for c in (centres // cell).tolist()})


def pairs(boxes, cell):
    cells = [tuple(c) for c in ((boxes[:, :2] + boxes[:, 2:]) / 2 // cell).tolist()]
    return sum(cells[i] == cells[j] for i in range(len(cells)) for j in range(i))


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (chapter.check_target, TARGET),
        (chapter.check_target, np.array(TARGET, np.float32)),
        (chapter.check_target, [3, 1, 0.5, 0.75, 0.1823, -0.5108]),
        (chapter.check_iou, 1 / 7),
        (chapter.check_iou, np.float32(0.143)),
        (chapter.check_suppress, by_class),
        (chapter.check_suppress, lambda *arguments: np.array(by_class(*arguments), int)),
        (chapter.check_average_precision, precision),
        (chapter.check_lost, lost),
    ],
)
def test_right(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (chapter.check_target, TARGET[:5], "six numbers"),
        (chapter.check_target, (1, 3, *TARGET[2:]), "row and column are swapped"),
        (chapter.check_target, (2, 1, *TARGET[2:]), "cell of the corner"),
        (chapter.check_target, (4, 1, *TARGET[2:]), "centre is not in cell"),
        (chapter.check_target, (3, 1, 0.75, 0.5, *TARGET[4:]), "down comes first"),
        (chapter.check_target, (3, 1, 4, 6, *TARGET[4:]), "pixels"),
        (chapter.check_target, (3, 1, 3.5, 1.75, *TARGET[4:]), "corner of the cell"),
        (chapter.check_target, (*TARGET[:4], np.log(24), np.log(12)), "typical size"),
        (chapter.check_target, (*TARGET[:4], 1.2, 0.6), "logarithm"),
        (chapter.check_target, (*TARGET[:4], TARGET[5], TARGET[4]), "height comes first"),
        (chapter.check_target, (*TARGET[:4], 1, 1), "24 pixels high"),
        (chapter.check_iou, 50, "area"),
        (chapter.check_iou, 0.25, "share of one box"),
        (chapter.check_iou, 0.125, "counted twice"),
        (chapter.check_iou, 7.0, "divide the intersection"),
        (chapter.check_iou, 66 / 396, "lie outside"),
        (chapter.check_iou, 0.2, "is not it"),
        (chapter.check_iou, "1/7", "expected a number"),
        (
            chapter.check_suppress,
            lambda boxes, labels, scores, most: suppress(boxes, scores, most),
            "suppressed by a 3",
        ),
        (chapter.check_suppress, lambda boxes, labels, scores, most: np.argsort(-scores), "both were kept"),
        (chapter.check_suppress, lambda *given: np.sort(by_class(*given)), "surest first"),
        (chapter.check_suppress, lambda boxes, *rest: np.ones(len(boxes), bool), "not a mask|once"),
        (chapter.check_suppress, lambda *given: by_class(*given)[::-1], "expected"),
        (chapter.check_suppress, lambda boxes, labels, scores, most: by_class(boxes, labels, scores, 0.45), "0.3"),
        (chapter.check_suppress, lambda *given: by_class(*given) * 2, "once"),
        (chapter.check_average_precision, plain_precision, "best at that recall"),
        (chapter.check_average_precision, lambda right, total: precision(right, max(sum(right), 1)), "never found"),
        (chapter.check_average_precision, lambda right, total: best(right).mean() if len(right) else 0, "only hits"),
        (chapter.check_average_precision, lambda right, total: np.mean(right), "is not it|number"),
        (chapter.check_average_precision, lambda right, total: sum(right) / total, "is not it"),
        (chapter.check_average_precision, lambda right, total: best(right), "expected a number"),
        (chapter.check_lost, pairs, "pairs"),
        (chapter.check_lost, lambda boxes, cell: len(boxes) - lost(boxes, cell), "do have a target"),
        (chapter.check_lost, lambda b, cell: lost(np.hstack([b[:, :2], b[:, :2]]), cell), "corners"),
        (chapter.check_lost, lambda boxes, cell: 0, "is not it"),
        (chapter.check_lost, lambda boxes, cell: lost(boxes, 8), "is not it|corners"),
        (chapter.check_lost, lambda boxes, cell: lost(boxes, cell) if len(boxes) else 1, "empty scene"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(answer)
