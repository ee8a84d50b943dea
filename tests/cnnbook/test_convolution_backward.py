"""Chapter 6: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnbook import convolution_backward as chapter
from cnnbook.checking import WrongAnswer
from cnnlib import col2im, im2col


def test_dashed_frame_is_what_crop_leaves():
    dy = np.zeros((3, 3))
    dy[0, 2] = 1
    chapter.draw_flow(dy, np.ones((3, 3)), np.ones((8, 8)), padding=1)
    (frame,) = [patch for patch in plt.gcf().axes[2].patches if patch.get_linestyle() == "--"]
    assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (1, 1, 6, 6)


# The checks of the exercises


def backward_1d(x, W, dy, stride, flip=1, assign=False):
    dx, dW, K = np.zeros_like(x), np.zeros_like(W), W.shape[2]
    for r in range(dy.shape[2]):
        patch = slice(r * stride, r * stride + K)
        dW += np.einsum("nf,nck->fck", dy[:, :, r], x[:, :, patch])
        share = np.einsum("nf,fck->nck", dy[:, :, r], W[:, :, ::flip])
        dx[:, :, patch] = share if assign else dx[:, :, patch] + share
    return dx, dW, dy.sum(axis=(0, 2))


def depthwise(x, W, dy):
    dx, dW, (h, w) = np.zeros_like(x), np.zeros_like(W), dy.shape[2:]
    for i, j in np.ndindex(W.shape[1:]):
        seen = np.s_[:, :, i : i + h, j : j + w]
        dW[:, i, j] = (dy * x[seen]).sum(axis=(0, 2, 3))
        dx[seen] += dy * W[:, i, j, np.newaxis, np.newaxis]
    return dx, dW


def depthwise_mixed(x, W, dy):
    dx, dW = depthwise(x, W, dy)
    return dx.sum(axis=1, keepdims=True).repeat(x.shape[1], axis=1), dW


def im2col_dilated(x, K, d):
    C, E = x.shape[1], d * (K - 1) + 1
    return im2col(x, E).reshape(C, E, E, -1)[:, ::d, ::d].reshape(C * K * K, -1)


def col2im_dilated(cols, shape, K, d):
    C, E = shape[1], d * (K - 1) + 1
    everything = np.zeros((C, E, E, cols.shape[1]))
    everything[:, ::d, ::d] = cols.reshape(C, K, K, -1)
    return col2im(everything.reshape(C * E * E, -1), shape, E)


def matrix(x):
    return np.moveaxis(x, 0, -1).reshape(x.shape[1], -1)


def transposed(x, W, stride):
    (N, F, h, w), (_, C, K, _) = x.shape, W.shape
    shape = (N, C, (h - 1) * stride + K, (w - 1) * stride + K)
    return col2im(W.reshape(F, -1).T @ matrix(x), shape, K, stride)


def transposed_flipped(x, W, stride):
    return transposed(x, np.ascontiguousarray(W[:, :, ::-1, ::-1]), stride)


def transposed_backward(x, W, dy, stride):
    (N, F, h, w), dcols = x.shape, im2col(dy, W.shape[2], stride)
    dx = (W.reshape(F, -1) @ dcols).reshape(F, h, w, N)
    return np.moveaxis(dx, -1, 0), (matrix(x) @ dcols.T).reshape(W.shape)


RIGHT = [
    (chapter.check_by_hand, [np.array([3, 7, -3]), 2, np.array([6, 0, -5, 0, 1])]),
    (chapter.check_patches, [[1, 1, 2, 2, 2, 2, 1, 1, 0]]),
    (chapter.check_backward_1d, [backward_1d]),
    (chapter.check_depthwise, [depthwise]),
    (chapter.check_dilated, [im2col_dilated, col2im_dilated]),
    (chapter.check_transposed, [transposed, transposed_backward]),
]

WRONG = [
    (chapter.check_by_hand, [np.array([1, 6, 1]), 2, np.array([6, 0, -5, 0, 1])], "stride 1"),
    (chapter.check_by_hand, [np.array([-3, 7, 3]), 2, np.array([6, 0, -5, 0, 1])], "turned round"),
    (chapter.check_by_hand, [np.array([3, 7, -3]), 2, np.array([6, 0, -2, 0, 1])], "add up"),
    (chapter.check_by_hand, [np.array([3, 7, -3]), 2, np.array([-3, 0, 7, 0, -2])], "flipped"),
    (chapter.check_patches, [[1, 1, 2, 2, 2, 2, 2, 2, 1]], "no pixel 9"),
    (chapter.check_patches, [[1, 2, 3, 4, 4, 4, 3, 2, 0]], "was the stride used"),
    (chapter.check_patches, [[1, 1, 2]], "nine numbers"),
    (chapter.check_backward_1d, [lambda *a: backward_1d(*a, flip=-1)], "wrong way"),
    (chapter.check_backward_1d, [lambda *a: backward_1d(*a, assign=True)], "all its patches"),
    (chapter.check_backward_1d, [lambda *a: backward_1d(*a)[:2]], "dx, dW and db"),
    (chapter.check_backward_1d, [lambda *a: (*backward_1d(*a)[:2], a[2].sum(axis=0))], "sum over batch and positions"),
    (chapter.check_depthwise, [depthwise_mixed], "mixes the channels"),
    (chapter.check_depthwise, [lambda *a: depthwise(*a)[0]], "dx and dW"),
    (chapter.check_depthwise, [lambda *a: (depthwise(*a)[0], np.zeros((2, 3, 2, 2)))], "shared by all images"),
    (chapter.check_dilated, [im2col, lambda cols, shape, K, d: col2im(cols, shape, K)], "that is a stride"),
    (
        chapter.check_dilated,
        [im2col_dilated, lambda c, shape, K, d: 2 * col2im_dilated(c, shape, K, d)],
        "is not <x, col2im",
    ),
    (chapter.check_dilated, [im2col_dilated, lambda cols, shape, K, d: cols], "must return"),
    (chapter.check_transposed, [transposed_flipped, transposed_backward], "flipped"),
    (chapter.check_transposed, [transposed, lambda *a: transposed_backward(*a)[::-1]], "dx"),
    (
        chapter.check_transposed,
        [transposed, lambda x, W, dy, stride: (transposed_backward(x, W, dy, stride)[0], W)],
        "over batch and positions",
    ),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT, ids=lambda value: getattr(value, "__name__", None))
def test_right_answers_pass(check, answer, capsys):
    check(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("check", "answer", "message"), WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_wrong_answers_are_named(check, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        check(*answer)
