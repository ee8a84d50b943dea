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


def test_channels_add_up():
    parts = np.arange(6).reshape(2, 3), 10 * np.ones((2, 3))
    chapter.draw_channels(np.zeros((2, 4, 5)), np.ones((2, 3, 3)), parts, bias=2)
    assert texts(plt.gcf().axes[-1]) == ["12", "13", "14", "15", "16", "17"]


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


def im2col_by_index(x, kernel_size, stride):
    (N, C, H, W), K = x.shape, kernel_size
    c, i, j, r, s, n = np.ogrid[:C, :K, :K, : (H - K) // stride + 1, : (W - K) // stride + 1, :N]
    return x[n, c, r * stride + i, s * stride + j].reshape(C * K * K, -1)


def im2col_loops(x, K, stride):
    N, C, H, W = x.shape
    h, w = (H - K) // stride + 1, (W - K) // stride + 1
    cols = np.zeros((C, K, K, h, w, N))
    for c, i, j, r, s, n in np.ndindex(cols.shape):
        cols[c, i, j, r, s, n] = x[n, c, r * stride + i, s * stride + j]
    return cols.reshape(C * K * K, -1)


def by_offsets(x, K, stride):
    """One slice for each of the K * K offsets."""
    N, C, H, W = x.shape
    h, w = (H - K) // stride + 1, (W - K) // stride + 1
    cols = np.stack([x[:, :, i : i + stride * h : stride, j : j + stride * w : stride] for i, j in np.ndindex(K, K)])
    return cols.transpose(2, 0, 3, 4, 1).reshape(C * K * K, -1)


def correlate(x, kernel):
    K = len(kernel)
    y = np.zeros((x.shape[0] - K + 1, x.shape[1] - K + 1))
    for r, s in np.ndindex(y.shape):
        y[r, s] = np.sum(kernel * x[r : r + K, s : s + K])
    return y


def rows_first(x, p, q):
    return sliding_window_view(sliding_window_view(x, len(q), axis=1) @ q, len(p), axis=0) @ p


def in_loops(x, p, q):
    K = len(p)
    first = [[sum(p[i] * x[r + i, v] for i in range(K)) for v in range(x.shape[1])] for r in range(len(x) - K + 1)]
    return [[sum(q[j] * row[s + j] for j in range(K)) for s in range(x.shape[1] - K + 1)] for row in first]


def by_convolve(x, p, q):
    columns = np.apply_along_axis(np.correlate, 0, x, p, "valid")
    return np.apply_along_axis(np.correlate, 1, columns, q, "valid")


def three_factors(x, p, q):
    return np.einsum("rsij,i,j->rs", sliding_window_view(x, (len(p), len(q))), p, q)


def full_loops(x, p, q):
    K = len(p)
    y = np.zeros((len(x) - K + 1, x.shape[1] - K + 1))
    for r, s in np.ndindex(y.shape):
        y[r, s] = sum(p[i] * (q[j] * x[r + i, s + j]) for i in range(K) for j in range(K))
    return y


MOVE = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]])

RIGHT = [
    (chapter.check_sizes, [[24, 13, 14, 10]]),
    (chapter.check_sizes, [np.array([24.0, 13, 14, 10])]),
    (chapter.check_move, [MOVE]),
    (chapter.check_move, [MOVE.tolist()]),
    (chapter.check_cost, [2416, 240_000]),
    (chapter.check_cost, [np.array([2416]), 240_000.0]),
    (chapter.check_convolve_1d, [convolve_1d]),
    (chapter.check_convolve_1d, [lambda *a: convolve_1d(*a).tolist()]),
    (chapter.check_separable, [separable, 7700]),
    (chapter.check_separable, [rows_first, [7700]]),
    (chapter.check_separable, [in_loops, 7700]),
    (chapter.check_separable, [by_convolve, 7700]),
    (chapter.check_im2col, [im2col_by_index]),
]

WRONG = [
    (chapter.check_sizes, [[23, 12, 13, 9]], "one more fits"),
    (chapter.check_sizes, [[24, 14, 14, 10]], "rounded down"),
    (chapter.check_sizes, [[24, 13, 13, 10]], "both sides"),
    (chapter.check_sizes, [[24, 13, 14, 28]], "at stride 1"),
    (chapter.check_sizes, [[24, 13, 14, 9]], "at stride 1"),
    (chapter.check_sizes, [[28, 13, 14, 10]], "no zeros"),
    (chapter.check_sizes, [[24, 13.5, 14, 10]], "whole numbers"),
    (chapter.check_sizes, [[np.nan] * 4], "whole numbers"),
    (chapter.check_sizes, [[25, 13, 14, 10]], r"\(a\)"),
    (chapter.check_sizes, [[24, 13, 14]], r"shape \(3,\)"),
    (chapter.check_sizes, [24], r"shape \(\)"),
    (chapter.check_sizes, ["24, 13, 14, 10"], "expected numbers"),
    (chapter.check_move, [np.fliplr(MOVE)], "left"),
    (chapter.check_move, [MOVE.T], "down"),
    (chapter.check_move, [np.flipud(MOVE.T)], "up"),
    (chapter.check_move, [np.diag([0, 1, 0])], "nowhere"),
    (chapter.check_move, [-MOVE], "its sign changes"),
    (chapter.check_move, [2 * MOVE], "multiplied by 2"),
    (chapter.check_move, [0 * MOVE], "all outputs are 0"),
    (chapter.check_move, [np.ones((3, 3))], "How many pixels"),
    (chapter.check_move, [np.ones(9)], r"shape \(3, 3\)"),
    (chapter.check_move, [None], "expected numbers"),
    (chapter.check_cost, [2400, 240_000], "bias"),
    (chapter.check_cost, [416, 240_000], "6 channels"),
    (chapter.check_cost, [2496, 240_000], "one bias"),
    (chapter.check_cost, [151, 240_000], "one filter"),
    (chapter.check_cost, [241_600, 240_000], "share"),
    (chapter.check_cost, [2417, 240_000], "count the weights"),
    (chapter.check_cost, [2416, 470_400], "positions"),
    (chapter.check_cost, [2416, 40_000], "own products"),
    (chapter.check_cost, [2416, 2400], "one position"),
    (chapter.check_cost, [2416, 241_600], "no product"),
    (chapter.check_cost, [2416, 15_000], "one filter"),
    (chapter.check_cost, [2416, 194_400], "one less"),
    (chapter.check_cost, [2416, "240,000"], "expected numbers"),
    (chapter.check_convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W[:, :, ::-1], b, stride)], "flipped"),
    (chapter.check_convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W, 0 * b, stride)], "bias"),
    (chapter.check_convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W, 3 * b, stride)], "for each channel"),
    (chapter.check_convolve_1d, [lambda x, W, b, stride: convolve_1d(x[:, :1], W[:, :1], b, stride)], "first channel"),
    (chapter.check_convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W, b, 1)], "what stride 1 gives"),
    (chapter.check_convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W, b, stride)[:, :, :-1]], "the shape is"),
    (chapter.check_convolve_1d, [lambda x, W, b, stride: -convolve_1d(x, W, b, stride)], "This was length 9"),
    (chapter.check_convolve_1d, [lambda x, W, b: convolve_1d(x, W, b, 1)], "stops with TypeError"),
    (chapter.check_convolve_1d, [None], "expected a function"),
    (chapter.check_separable, [lambda x, p, q: separable(x, q, p), 7700], "rows i"),
    (chapter.check_separable, [lambda x, p, q: separable(x, p[::-1], q[::-1]), 7700], "flipped"),
    (chapter.check_separable, [lambda x, p, q: correlate(x, np.outer(p, q)), 7700], "whole kernel"),
    (chapter.check_separable, [three_factors, 7700], "whole kernel"),
    (chapter.check_separable, [full_loops, 7700], "whole kernel"),
    (chapter.check_separable, [lambda x, p, q: separable(x, p, p), 7700], "First the sum"),
    (chapter.check_separable, [lambda x, p, q: separable(x, p, q)[1:], 7700], "the shape is"),
    (chapter.check_separable, [None, 7700], "expected a function"),
    (chapter.check_separable, [separable, 22 * 22 * 49], "one pass"),
    (chapter.check_separable, [separable, 2 * 22 * 22 * 7], "second looks at"),
    (chapter.check_separable, [separable, 2 * 22 * 28 * 7], "fewer outputs"),
    (chapter.check_separable, [separable, 22 * 28 * 7], "the first pass"),
    (chapter.check_separable, [separable, 22 * 28 + 22 * 22], "the outputs"),
    (chapter.check_separable, [separable, None], "expected numbers"),
    (chapter.check_im2col, [lambda x, K, stride: im2col(x, K)], "stride is ignored"),
    (chapter.check_im2col, [lambda x, K, stride: im2col_by_index(x, K, 1)], "stride is ignored"),
    (chapter.check_im2col, [im2col], "but not from x"),
    (chapter.check_im2col, [lambda x, K, stride: im2col(np.array(x), K, stride)], "but not from x"),
    (chapter.check_im2col, [im2col_loops], "but not from x"),
    (chapter.check_im2col, [by_offsets], "but not from x"),
    (chapter.check_im2col, [lambda x, K, stride: im2col(x, K, stride).T], "transpose"),
    (chapter.check_im2col, [reorder((1, 2, 0, 3, 4, 5))], r"order \(i, j, c\)"),
    (chapter.check_im2col, [reorder((0, 1, 2, 5, 3, 4))], r"order \(n, r, s\)"),
    (chapter.check_im2col, [reorder((0, 2, 1, 3, 4, 5))], "swapped"),
    (chapter.check_im2col, [reorder((0, 1, 2, 4, 3, 5))], "r and s are swapped"),
    (chapter.check_im2col, [lambda x, K, stride: im2col_by_index(x, K, stride)[::-1]], "the entry at"),
    (chapter.check_im2col, [lambda x, K: x], "stops with TypeError"),
    (chapter.check_im2col, ["im2col"], "expected a function"),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT, ids=lambda value: getattr(value, "__name__", None))
def test_right_answers_pass(check, answer, capsys):
    check(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("check", "answer", "message"), WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_wrong_answers_are_named(check, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        check(*answer)
