"""The checks of chapters 5 and 6 accept right answers, and say what is wrong with typical wrong ones."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from cnnlib import col2im, im2col
from cnnlib.exercises import NotYet
from cnnlib.exercises import convolution_backward as backward
from cnnlib.exercises import convolution_forward as forward


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
    (forward.sizes, [[24, 13, 14, 10]]),
    (forward.move, [np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]])]),
    (forward.cost, [2416, 240_000]),
    (forward.convolve_1d, [convolve_1d]),
    (forward.separable, [separable, 7700]),
    (forward.im2col, [im2col]),
    (backward.by_hand, [np.array([3, 7, -3]), 2, np.array([6, 0, -5, 0, 1])]),
    (backward.patches, [[1, 1, 2, 2, 2, 2, 1, 1, 0]]),
    (backward.backward_1d, [backward_1d]),
    (backward.depthwise, [depthwise]),
    (backward.dilated, [im2col_dilated, col2im_dilated]),
    (backward.transposed, [transposed, transposed_backward]),
]

WRONG = [
    (forward.sizes, [[23, 12, 13, 9]], "one more fits"),
    (forward.sizes, [[24, 14, 14, 10]], "rounded down"),
    (forward.sizes, [[24, 13, 13, 10]], "both sides"),
    (forward.sizes, [[24, 13, 14, 28]], "at stride 1"),
    (forward.sizes, [[25, 13, 14, 10]], r"\(a\)"),
    (forward.move, [np.array([[0, 0, 0], [0, 0, 1], [0, 0, 0]])], "left"),
    (forward.move, [np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]])], "down"),
    (forward.move, [np.ones((3, 3))], "One weight is 1"),
    (forward.move, [np.ones(9)], r"shape \(3, 3\)"),
    (forward.cost, [2400, 240_000], "bias"),
    (forward.cost, [416, 240_000], "6 channels"),
    (forward.cost, [2416, 470_400], "positions"),
    (forward.cost, [2416, 40_000], "own products"),
    (forward.convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W[:, :, ::-1], b, stride)], "flipped"),
    (forward.convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W, 0 * b, stride)], "bias"),
    (forward.convolve_1d, [lambda x, W, b, stride: convolve_1d(x, W, b, 1)], "what stride 1 gives"),
    (forward.separable, [lambda x, p, q: separable(x, q, p), 7700], "rows i"),
    (forward.separable, [lambda x, p, q: separable(x, p[::-1], q[::-1]), 7700], "flipped"),
    (forward.separable, [separable, 22 * 22 * 49], "one pass"),
    (forward.separable, [separable, 2 * 22 * 22 * 7], "second looks at"),
    (forward.im2col, [lambda x, K, stride: im2col(x, K)], "stride is ignored"),
    (forward.im2col, [lambda x, K, stride: im2col(x, K, stride).T], "transpose"),
    (forward.im2col, [reorder((1, 2, 0, 3, 4, 5))], r"order \(i, j, c\)"),
    (forward.im2col, [reorder((0, 1, 2, 5, 3, 4))], r"order \(n, r, s\)"),
    (forward.im2col, [reorder((0, 2, 1, 3, 4, 5))], "swapped"),
    (backward.by_hand, [np.array([1, 6, 1]), 2, np.array([6, 0, -5, 0, 1])], "stride 1"),
    (backward.by_hand, [np.array([-3, 7, 3]), 2, np.array([6, 0, -5, 0, 1])], "turned round"),
    (backward.by_hand, [np.array([3, 7, -3]), 2, np.array([6, 0, -2, 0, 1])], "add up"),
    (backward.by_hand, [np.array([3, 7, -3]), 2, np.array([-3, 0, 7, 0, -2])], "flipped"),
    (backward.patches, [[1, 1, 2, 2, 2, 2, 2, 2, 1]], "no pixel 9"),
    (backward.patches, [[1, 2, 3, 4, 4, 4, 3, 2, 0]], "was the stride used"),
    (backward.patches, [[1, 1, 2]], "nine numbers"),
    (backward.backward_1d, [lambda *a: backward_1d(*a, flip=-1)], "wrong way"),
    (backward.backward_1d, [lambda *a: backward_1d(*a, assign=True)], "all its patches"),
    (backward.backward_1d, [lambda *a: backward_1d(*a)[:2]], "dx, dW and db"),
    (backward.backward_1d, [lambda *a: (*backward_1d(*a)[:2], a[2].sum(axis=0))], "sum over batch and positions"),
    (backward.depthwise, [depthwise_mixed], "mixes the channels"),
    (backward.depthwise, [lambda *a: depthwise(*a)[0]], "dx and dW"),
    (backward.depthwise, [lambda *a: (depthwise(*a)[0], np.zeros((2, 3, 2, 2)))], "shared by all images"),
    (backward.dilated, [im2col, lambda cols, shape, K, d: col2im(cols, shape, K)], "that is a stride"),
    (
        backward.dilated,
        [im2col_dilated, lambda c, shape, K, d: 2 * col2im_dilated(c, shape, K, d)],
        "is not <x, col2im",
    ),
    (backward.dilated, [im2col_dilated, lambda cols, shape, K, d: cols], "must return"),
    (backward.transposed, [transposed_flipped, transposed_backward], "flipped"),
    (backward.transposed, [transposed, lambda *a: transposed_backward(*a)[::-1]], "dx"),
    (
        backward.transposed,
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
    with pytest.raises(NotYet, match=message):
        check(*answer)
