"""The appendix on the fused convolution: its figures are those of the layer, and what its checks accept and refuse."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import cnnlib
from cnnbook import fused_convolution as chapter
from cnnbook.checking import WrongAnswer
from cnnlib.layers.fused_convolution import FusedConvolution


def texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


@pytest.mark.parametrize("K", [3, 5])
def test_wide_kernels_are_those_of_the_layer(K):
    layer = cnnlib.Convolutional(1, 1, K)
    layer.W = np.ones_like(layer.W)
    chapter.draw_wide_kernels(K)
    for axis, kernel in zip(plt.gcf().axes[1:], FusedConvolution(layer).kernels(), strict=True):
        assert texts(axis) == ["$W$" if weight else "0" for weight in kernel.ravel()]


@pytest.mark.parametrize(("shape", "K"), [((4, 6), 3), ((5, 8), 3), ((5, 8), 2)])
def test_strips_are_those_of_the_layer(shape, K):
    image = np.arange(np.prod(shape)).reshape(shape)
    layer = FusedConvolution(cnnlib.Convolutional(1, 1, K))
    layer.forward(image[np.newaxis, np.newaxis])
    chapter.draw_strips(image, K)
    right = plt.gcf().axes[1]
    numbers = [int(text) for text in texts(right) if text.isdigit()]
    columns = layer.cols.shape[2]
    for r, matrix in enumerate(layer.cols):
        start = r * (K + 1) * columns
        assert numbers[start : start + matrix.size] == matrix.ravel().tolist()
        low, high = sorted(right.lines[r].get_ydata()[[0, -1]])  # a bracket
        assert (round(low), round(high)) == (r * (K + 1), (r + K) * (K + 1))
    assert len(right.lines) == shape[0] - K + 1


# The checks of the exercises


def fusing(K, size):
    piece = K + size - 1
    return piece / K, piece / (size * K**2)


def merge(W):
    F, C, K, _ = W.shape
    merged = np.zeros((F, C, K + 1, K + 1))
    for i, j in np.ndindex(2, 2):
        merged[:, :, i : i + K, j : j + K] += W / 4
    return merged


def one_corner(W):
    return np.pad(W, ((0, 0), (0, 0), (0, 1), (0, 1)))


RIGHT = [
    (chapter.check_fusing, fusing),
    (chapter.check_counterexample, np.abs),
    (chapter.check_counterexample, lambda z: -z),
    (chapter.check_average, merge),
]

WRONG = [
    (chapter.check_fusing, lambda K, size: (fusing(K, size)[0], 1 / fusing(K, size)[1]), "below 1"),
    (chapter.check_fusing, lambda K, size: ((K + size) / K, 1), "6 wide"),
    (chapter.check_fusing, lambda K, size: (fusing(K, size)[0] ** 2, 1), "K rows high"),
    (chapter.check_fusing, lambda K, size: (fusing(K, size)[0], size * fusing(K, size)[1]), "each of the 2 outputs"),
    (chapter.check_fusing, lambda K, size: (fusing(K, size)[0], K * fusing(K, size)[1]), "one row high"),
    (chapter.check_fusing, lambda K, size: (1, fusing(K, size)[1]), "takes the place"),
    (chapter.check_fusing, lambda K, size: (fusing(K, size)[0], 1), "2 patches before"),
    (chapter.check_fusing, lambda K, size: 1, "two numbers"),
    (chapter.check_counterexample, np.tanh, "never falls"),
    (chapter.check_counterexample, lambda z: z.max(), "entry by entry"),
    (chapter.check_counterexample, lambda z: z - z.mean(), "itself only"),
    (chapter.check_average, lambda W: 4 * merge(W), "a quarter"),
    (chapter.check_average, one_corner, "one corner"),
    (chapter.check_average, lambda W: W, "expected the shape"),
    (chapter.check_average, lambda W: merge(W[:, :, ::-1]), "each of the four"),
]


@pytest.mark.parametrize(("function", "answer"), RIGHT)
def test_right_answers_pass(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("function", "answer", "message"), WRONG)
def test_wrong_answers_are_named(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(answer)
