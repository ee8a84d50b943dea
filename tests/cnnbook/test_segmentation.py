"""Chapter 20: its networks and figures; the checks accept right answers, and name what is wrong with others."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnbook import segmentation as chapter
from cnnbook.checking import WrongAnswer
from cnnlib import SoftmaxCrossEntropy
from cnnlib.digits.scenes import BACKGROUND


def test_the_networks_are_as_large_as_they_should_be():
    unet = chapter.build_unet(0)
    assert unet.parameter_count <= 300_000 and unet.shapes[-1] == (11, 64, 64)
    pair = chapter.EXPERIMENTS["segmentation_bridges"].build(0)
    counts = [network.parameter_count for network in pair.values()]
    assert abs(counts[0] / counts[1] - 1) < 0.01


def test_class_iou_is_that_of_loops():
    rng = np.random.default_rng(0)
    predicted, classes = rng.integers(0, 10, (2, 3, 8, 9))  # class 10 does not occur
    found = chapter.class_iou(predicted, classes.astype(np.uint8))
    for label in range(10):
        said, true = predicted == label, classes == label
        assert found[label] == pytest.approx((said & true).sum() / (said | true).sum())
    assert np.isnan(found[10])
    assert np.nanmin(chapter.class_iou(classes, classes)) == 1


def test_the_correction_undoes_the_weights():
    """A network that has learned shares under the weights answers, corrected, by the shares."""
    q = np.array([0.2, *[0.01] * 8, 0.02, 0.7])
    weights = np.array(chapter.class_weights())
    p = q * weights / np.sum(q * weights)
    z, t = np.log(p)[np.newaxis], np.eye(11)
    mean = sum(
        share * SoftmaxCrossEntropy(weights.tolist()).gradient(z, one[np.newaxis])
        for share, one in zip(q, t, strict=True)
    )
    assert np.abs(mean).max() < 1e-12  # it is the minimum

    class Fixed:
        def predict(self, images):
            return np.broadcast_to(z[..., np.newaxis, np.newaxis], (len(images), 11, 2, 2))

    assert (chapter.predict_classes(Fixed(), np.zeros((130, 2, 2))) == BACKGROUND).all()
    digit = np.array([0.6, *[0.01] * 8, 0.02, 0.3])
    z = np.log(digit * weights)[np.newaxis]
    assert (chapter.predict_classes(Fixed(), np.zeros((1, 2, 2))) == 0).all()


def test_edges_by_hand():
    classes = np.full((1, 3, 4), BACKGROUND)
    classes[0, 1, 1] = 5
    expected = [[0, 1, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0]]
    assert chapter.edges(classes)[0].astype(int).tolist() == expected


def test_wrong_pixels_are_counted():
    scenes = chapter.scenes_of("validation", 6)
    right = chapter.wrong_pixels(scenes.classes, scenes)
    assert [wrong for _, wrong in right.values()] == [0] * 4
    lazy = chapter.wrong_pixels(np.full_like(scenes.classes, BACKGROUND), scenes)
    assert lazy["within a digit"][1] == 1 and lazy["background, away from edges"][1] == 0
    assert sum(share for share, _ in list(right.values())[:3]) == pytest.approx(1)


def test_figures_are_drawn():
    scenes = chapter.scenes_of("validation", 5)
    chapter.draw_maps(scenes.images[:3], scenes.classes[:3], scenes.classes[:3])
    axes = plt.gcf().axes
    assert len(axes) == 9
    written = {int(text.get_text()) for axis in axes for text in axis.texts}
    assert written <= {int(label) for labels in scenes.labels[:3] for label in labels}
    chapter.draw_worst(scenes.classes, scenes)
    chapter.draw_ious(np.linspace(0.5, 1, 11))
    assert [text.get_text() for text in plt.gcf().axes[0].texts][:2] == ["0.50", "0.55"]
    chapter.draw_covers({2: np.ones((4, 4)), 3: np.ones((5, 5))})
    plt.gcf().canvas.draw()
    data = chapter.figure_data(chapter.build_unet(0, 2))
    assert len(data["image"]) == 2 * 64 * 64 and len(data["colors"]) == 10


# The checks of the exercises

DX = np.array([[10, 4], [2, 8]])


def ious(predicted, classes, count, absent=None, union=True):
    values = []
    for label in range(count):
        said, true = predicted == label, classes == label
        if (said | true).any():
            values.append((said & true).sum() / ((said | true).sum() if union else max(true.sum(), 1)))
        elif absent is not None:
            values.append(absent)
    return np.mean(values)


def correct(p, weights):
    q = p / np.reshape(weights, (1, -1, 1, 1))
    return q / q.sum(axis=1, keepdims=True)


def in_place(p, weights):
    p /= np.reshape(weights, (1, -1, 1, 1))
    p /= p.sum(axis=1, keepdims=True)
    return p


def coverage(H, K, stride, length=None):
    count = np.zeros((H - 1) * stride + K, int)
    for u in range(H):
        count[u * stride : u * stride + (length or K)] += 1
    return count


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (chapter.check_upsampling, DX),
        (chapter.check_upsampling, DX.tolist()),
        (chapter.check_sizes, [16, 16, 13]),
        (chapter.check_sizes, np.array([16, 16, 13])),
        (chapter.check_mean_iou, ious),
        (chapter.check_correct, correct),
        (chapter.check_coverage, coverage),
        (chapter.check_coverage, lambda *given: coverage(*given).tolist()),
    ],
)
def test_right(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (chapter.check_upsampling, np.ones((4, 4)), "quarter of the pixels"),
        (chapter.check_upsampling, [10, 4, 2, 8], "2x2 array"),
        (chapter.check_upsampling, DX / 4, "mean of each block"),
        (chapter.check_upsampling, [[4, 3], [1, 2]], "largest"),
        (chapter.check_upsampling, [[1, 0], [0, 2]], "one copy"),
        (chapter.check_upsampling, [[3, 8], [7, 6]], "lie together|entry"),
        (chapter.check_upsampling, DX.T, "swapped"),
        (chapter.check_upsampling, [[10, 4], [2, 7]], "entry"),
        (chapter.check_sizes, [16, 16], "expected 3 heights"),
        (chapter.check_sizes, [4, 4, 4], "a convolution"),
        (chapter.check_sizes, [16, 18, 15], "both sides"),
        (chapter.check_sizes, [16, 17, 14], "not on one"),
        (chapter.check_sizes, [18, 18, 15], "H - 1 steps"),
        (chapter.check_sizes, [16, 16, 14], "H = 7"),
        (chapter.check_sizes, [16, 16, 12], "is not it"),
        (chapter.check_mean_iou, lambda said, true, count: (said == true).mean(), "accuracy"),
        (chapter.check_mean_iou, lambda *given: ious(*given, absent=0), "counts as 0"),
        (chapter.check_mean_iou, lambda *given: ious(*given, absent=1), "counts as 1"),
        (chapter.check_mean_iou, lambda *given: ious(*given, absent=np.nan), "left out"),
        (chapter.check_mean_iou, lambda *given: ious(*given, union=False), "pixels of the class"),
        (chapter.check_mean_iou, lambda said, true, count: np.zeros(count), "one number"),
        (chapter.check_mean_iou, lambda said, true, count: 0.5, "is not it"),
        (
            chapter.check_mean_iou,
            lambda s, t, count: np.mean([ious(a, b, count) for a, b in zip(s, t, strict=True)]),
            "is",
        ),
        (chapter.check_correct, lambda p, weights: p.copy(), "nothing has changed"),
        (chapter.check_correct, lambda p, weights: correct(p, 1 / np.array(weights)), "once more"),
        (chapter.check_correct, lambda p, weights: p / np.reshape(weights, (1, -1, 1, 1)), "sum to 1 again"),
        (chapter.check_correct, lambda p, weights: p - np.log(np.reshape(weights, (1, -1, 1, 1))), "logarithm"),
        (chapter.check_correct, in_place, "changed p"),
        (chapter.check_correct, lambda p, weights: correct(p, weights)[:1], "shape"),
        (chapter.check_correct, lambda p, weights: correct(p, np.sqrt(weights)), "proportional"),
        (chapter.check_coverage, lambda H, K, stride: coverage(H, K, stride)[:-2], "numbers, got the shape"),
        (chapter.check_coverage, lambda H, K, stride: np.ones(H * stride), "last kernel begins"),
        (chapter.check_coverage, lambda H, K, stride: np.ones((H - 1) * stride + K), "overlap add"),
        (chapter.check_coverage, lambda H, K, stride: np.full((H - 1) * stride + K, K), "not all kernels"),
        (chapter.check_coverage, lambda H, K, stride: coverage(H, K, stride, stride), "overlap add|covered by"),
        (chapter.check_coverage, lambda H, K, stride: coverage(H, K, stride) + 1, "covered by"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(answer)
