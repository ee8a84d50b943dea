"""Chapter 5: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import cnnlib
from cnnbook import convolution_forward as chapter
from cnnbook.checking import WrongAnswer
from cnnlib import im2col


def texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


def test_output_sizes_are_those_of_the_layer():
    cases = [(7, 0), (8, 0), (8, 1)]
    chapter.draw_output_sizes(cases, K=3, stride=2)
    for axis, (H, padding) in zip(plt.gcf().axes, cases, strict=True):
        _, h, _ = cnnlib.Convolutional(1, 1, 3, 2, padding).output_shape((1, H, H))
        assert f": h = {h}," in axis.get_title(loc="left") + axis.get_title()
        assert [text for text in texts(axis) if text.startswith("$y")] == [f"$y_{r}$" for r in range(h)]


def test_columns_are_those_of_im2col():
    image = np.arange(16).reshape(4, 4)
    chapter.draw_patches(image)
    numbers = [int(text) for text in texts(plt.gcf().axes[1]) if text.isdigit()]  # column by column
    assert numbers == cnnlib.im2col(image[np.newaxis, np.newaxis], 3).T.ravel().tolist()


def test_left_over_rows_and_columns_are_hatched():
    chapter.draw_feature_map(np.zeros((32, 32)), np.ones((10, 10)), (2, 2), left_over=2)
    hatched = [patch for patch in plt.gcf().axes[0].patches if patch.get_hatch()]
    boxes = sorted((*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in hatched)
    assert boxes == [(0, 30, 32, 2), (30, 0, 2, 32)]


# The checks of the exercises


def convolve_1d(x, W, b, stride):
    return np.einsum("nclk,fck->nfl", sliding_window_view(x, W.shape[2], axis=2)[:, :, ::stride], W) + b[:, np.newaxis]


def separable(x, p, q):
    return sliding_window_view(sliding_window_view(x, len(p), axis=0) @ p, len(q), axis=1) @ q


def reorder(order):
    """Return an im2col whose result has its axes (C, K, K, h, w, N) in another order."""

    def function(x, K, stride):
        N, C, H, W = x.shape
        h, w = (H - K) // stride + 1, (W - K) // stride + 1
        cols = im2col(x, K, stride).reshape(C, K, K, h, w, N).transpose(order)
        return cols.reshape(C * K * K, -1)

    return function


RIGHT = [
    (chapter.check_sizes, [[24, 13, 14, 10]]),
    (chapter.check_move, [np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]])]),
    (chapter.check_cost, [2416, 240_000]),
    (chapter.check_convolve_1d, [convolve_1d]),
    (chapter.check_separable, [separable, 7700]),
    (chapter.check_im2col, [im2col]),
]

WRONG = [
    (chapter.check_sizes, [[23, 12, 13, 9]], "one more fits"),
    (chapter.check_sizes, [[24, 14, 14, 10]], "rounded down"),
    (chapter.check_sizes, [[24, 13, 13, 10]], "both sides"),
    (chapter.check_sizes, [[24, 13, 14, 28]], "at stride 1"),
    (chapter.check_sizes, [[25, 13, 14, 10]], r"\(a\)"),
    (chapter.check_move, [np.array([[0, 0, 0], [0, 0, 1], [0, 0, 0]])], "left"),
    (chapter.check_move, [np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]])], "down"),
    (chapter.check_move, [np.ones((3, 3))], "One weight is 1"),
    (chapter.check_move, [np.ones(9)], r"shape \(3, 3\)"),
    (chapter.check_cost, [2400, 240_000], "bias"),
    (chapter.check_cost, [416, 240_000], "6 channels"),
    (chapter.check_cost, [2416, 470_400], "positions"),
    (chapter.check_cost, [2416, 40_000], "own products"),
    (chapter.check_convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W[:, :, ::-1], b, stride)], "flipped"),
    (chapter.check_convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W, 0 * b, stride)], "bias"),
    (chapter.check_convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W, b, 1)], "what stride 1 gives"),
    (chapter.check_separable, [lambda x, p, q: separable(x, q, p), 7700], "rows i"),
    (chapter.check_separable, [lambda x, p, q: separable(x, p[::-1], q[::-1]), 7700], "flipped"),
    (chapter.check_separable, [separable, 22 * 22 * 49], "one pass"),
    (chapter.check_separable, [separable, 2 * 22 * 22 * 7], "second looks at"),
    (chapter.check_im2col, [lambda x, K, stride: im2col(x, K)], "stride is ignored"),
    (chapter.check_im2col, [lambda x, K, stride: im2col(x, K, stride).T], "transpose"),
    (chapter.check_im2col, [reorder((1, 2, 0, 3, 4, 5))], r"order \(i, j, c\)"),
    (chapter.check_im2col, [reorder((0, 1, 2, 5, 3, 4))], r"order \(n, r, s\)"),
    (chapter.check_im2col, [reorder((0, 2, 1, 3, 4, 5))], "swapped"),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT, ids=lambda value: getattr(value, "__name__", None))
def test_right_answers_pass(check, answer, capsys):
    check(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("check", "answer", "message"), WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_wrong_answers_are_named(check, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        check(*answer)
