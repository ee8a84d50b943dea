"""The drawings of chapter 22 say what the library computes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import cnnlib
from cnnlib.figures import speed
from cnnlib.fused import FusedConvolution


def texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


@pytest.mark.parametrize("K", [3, 5])
def test_wide_kernels_are_those_of_the_layer(K):
    layer = cnnlib.Convolutional(1, 1, K)
    layer.W = np.ones_like(layer.W)
    speed.draw_wide_kernels(K)
    for axis, kernel in zip(plt.gcf().axes[1:], FusedConvolution(layer).kernels(), strict=True):
        assert texts(axis) == ["$W$" if weight else "0" for weight in kernel.ravel()]


@pytest.mark.parametrize(("shape", "K"), [((4, 6), 3), ((5, 8), 3), ((5, 8), 2)])
def test_strips_are_those_of_the_layer(shape, K):
    image = np.arange(np.prod(shape)).reshape(shape)
    layer = FusedConvolution(cnnlib.Convolutional(1, 1, K))
    layer.forward(image[np.newaxis, np.newaxis])
    speed.draw_strips(image, K)
    right = plt.gcf().axes[1]
    numbers = [int(text) for text in texts(right) if text.isdigit()]
    columns = layer.cols.shape[2]
    for r, matrix in enumerate(layer.cols):
        start = r * (K + 1) * columns
        assert numbers[start : start + matrix.size] == matrix.ravel().tolist()
        low, high = sorted(right.lines[r].get_ydata()[[0, -1]])  # a bracket
        assert (round(low), round(high)) == (r * (K + 1), (r + K) * (K + 1))
    assert len(right.lines) == shape[0] - K + 1


def test_roofline_bends_where_both_limits_meet():
    speed.draw_roofline({"slow": (0.1, 1e9), "fast": (10, 5e10), "other": (20, 9e10)}, peak=1e11, bandwidth=5e10)
    line, *points = plt.gca().lines
    assert line.get_ydata().max() == 100
    assert line.get_xdata()[line.get_ydata() < 100].max() < 2
    assert [point.get_ydata()[0] for point in points] == [1, 50, 90]
    plt.gcf().canvas.draw()


def test_ladder_says_how_long_each_rung_takes():
    speed.draw_ladder({"loops": 30_000.0, "fused": 2.5}, line=4.0)
    assert texts(plt.gca()) == ["30,000", "2.5"]
    assert [text.get_text() for text in plt.gca().get_legend().get_texts()] == ["PyTorch, stored: 4.0", "the bound"]
    plt.gcf().canvas.draw()
