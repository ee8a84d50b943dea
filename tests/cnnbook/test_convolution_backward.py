"""Chapter 6: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import inspect
import re
from collections import Counter

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


def test_flipped_kernel_makes_the_sums_beside_it():
    chapter.draw_flip()
    dy, W, dx = [1, -2, 3], [1, -1, 2], np.convolve([1, -2, 3], [1, -1, 2])
    for u, axis in enumerate(plt.gcf().axes):
        left, _, right = axis.texts[-1].get_text().strip("$").partition(" = ")
        assert left == f"dx_{u}"
        terms = [re.fullmatch(r"W_(\d)\\, dy_(\d)", term).groups() for term in right.split(" + ")]
        assert sum(W[int(i)] * dy[int(r)] for i, r in terms) == dx[u]
    plt.gcf().canvas.draw()


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


def without_db(*arguments):
    return backward_1d(*arguments)[:2]


def replaced(function, index, change):
    """Return a function whose result is that of the other, but for one part, which is ``change(part, *arguments)``."""

    def wrong(*arguments):
        parts = list(function(*arguments))
        parts[index] = change(parts[index], *arguments)
        return tuple(parts)

    return wrong


def depthwise_with_batch(x, W, dy):
    h, w = dy.shape[2:]
    dW = [(dy * x[:, :, i : i + h, j : j + w]).sum(axis=(2, 3)) for i, j in np.ndindex(W.shape[1:])]
    return depthwise(x, W, dy)[0], np.stack(dW, axis=-1).reshape(len(x), *W.shape)


def depthwise_assigning(x, W, dy):
    dx, (h, w) = np.zeros_like(x), dy.shape[2:]
    for i, j in np.ndindex(W.shape[1:]):
        dx[:, :, i : i + h, j : j + w] = dy * W[:, i, j, np.newaxis, np.newaxis]
    return dx, depthwise(x, W, dy)[1]


def col2im_assigning(cols, shape, K, d):
    (N, C, H, W), x = shape, np.zeros(shape)
    cols = cols.reshape(C, K, K, H - d * (K - 1), W - d * (K - 1), N)
    for c, i, j, r, s, n in np.ndindex(cols.shape):
        x[n, c, r + d * i, s + d * j] = cols[c, i, j, r, s, n]
    return x


def col2im_turned(cols, shape, K, d):
    turned = cols.reshape(shape[1], K, K, -1).swapaxes(1, 2).reshape(cols.shape)
    return col2im_dilated(turned, shape, K, d)


def image_last(x, K, d):
    C, N = x.shape[1], len(x)
    return im2col_dilated(x, K, d).reshape(C * K * K, -1, N).swapaxes(1, 2).reshape(C * K * K, -1)


def transposed_assigning(x, W, stride):
    y, K = np.zeros_like(transposed(x, W, stride)), W.shape[2]
    for r, s in np.ndindex(x.shape[2:]):
        y[:, :, r * stride : r * stride + K, s * stride : s * stride + K] = np.einsum("nf,fcij->ncij", x[:, :, r, s], W)
    return y


HAND = [np.array([3, 7, -3]), 2, np.array([6, 0, -5, 0, 1])]

RIGHT = [
    (chapter.check_by_hand, HAND),
    (chapter.check_by_hand, [[3.0, 7.0, -3.0], np.array([2.0]), (6, 0, -5, 0, 1)]),
    (chapter.check_patches, [[1, 1, 2, 2, 2, 2, 1, 1, 0]]),
    (chapter.check_patches, [np.array([1.0, 1, 2, 2, 2, 2, 1, 1, 0])]),
    (chapter.check_backward_1d, [backward_1d]),
    (chapter.check_backward_1d, [lambda *a: list(backward_1d(*a))]),
    (chapter.check_depthwise, [depthwise]),
    (chapter.check_dilated, [im2col_dilated, col2im_dilated]),
    (chapter.check_transposed, [transposed, transposed_backward]),
]

WRONG = [
    (chapter.check_by_hand, [np.array([1, 6, 1]), *HAND[1:]], "stride 1"),
    (chapter.check_by_hand, [np.array([-3, 7, 3]), *HAND[1:]], "turned round"),
    (chapter.check_by_hand, [[3, 7], *HAND[1:]], r"shape is \(2,\)"),
    (chapter.check_by_hand, [HAND[0], 3, HAND[2]], "does the bias occur"),
    (chapter.check_by_hand, [HAND[0], [3, -1], HAND[2]], "expected a single number"),
    (chapter.check_by_hand, [*HAND[:2], np.array([6, 0, -2, 0, 1])], "add up"),
    (chapter.check_by_hand, [*HAND[:2], np.array([-3, 0, 7, 0, -2])], "flipped"),
    (chapter.check_by_hand, [*HAND[:2], np.array([6, -2, -3, 1, 0])], "dx for stride 1"),
    (chapter.check_by_hand, [*HAND[:2], np.array([6, 0, -5, 0, -1])], r"entry at \(4,\) is not right"),
    (chapter.check_patches, [[1, 1, 2, 2, 2, 2, 2, 2, 1]], "no pixel 9"),
    (chapter.check_patches, [[1, 2, 3, 4, 4, 4, 3, 2, 0]], "was the stride used"),
    (chapter.check_patches, [[1, 1, 2]], "nine numbers"),
    (chapter.check_patches, [[1, 1, 2, 1, 1, 2, 1, 1, 0]], "one pixel too few"),
    (chapter.check_patches, [[2, 2, 2, 2, 2, 2, 2, 2, 0]], r"entry at \(0,\)"),
    (chapter.check_patches, [[1, 1, 2, 2, 1, 1, 0, 0, 0]], r"entry at \(4,\)"),
    (chapter.check_patches, [3], "nine numbers"),
    (chapter.check_backward_1d, [lambda *a: backward_1d(*a, flip=-1)], "wrong way"),
    (chapter.check_backward_1d, [lambda *a: backward_1d(*a, assign=True)], "all its patches"),
    (chapter.check_backward_1d, [without_db], "dx, dW and db"),
    (chapter.check_backward_1d, [replaced(backward_1d, 2, lambda db, x, W, dy, stride: dy.sum(axis=0))], "batch and"),
    (chapter.check_backward_1d, [replaced(backward_1d, 1, lambda dW, x, W, dy, stride: dW / len(x))], "^the entry.*dW"),
    (chapter.check_backward_1d, [replaced(backward_1d, 2, lambda db, x, *_: db / len(x))], "^the entry.*db"),
    (chapter.check_backward_1d, [lambda x, W, dy, stride: backward_1d(x[..., :7], W, dy, 1)], "the shape|wrong way"),
    (chapter.check_backward_1d, [replaced(backward_1d, 0, lambda dx, x, *_: dx.sum(axis=0))], "the shape is"),
    (chapter.check_depthwise, [depthwise_mixed], "mixes the channels"),
    (chapter.check_depthwise, [lambda *a: depthwise(*a)[0]], "dx and dW"),
    (chapter.check_depthwise, [depthwise_with_batch], "shared by all images"),
    (chapter.check_depthwise, [depthwise_assigning], r"\+= for each offset"),
    (chapter.check_depthwise, [lambda x, W, dy: (depthwise(x, W[:, ::-1, ::-1], dy)[0], W)], "the wrong way"),
    (chapter.check_depthwise, [replaced(depthwise, 1, lambda dW, *_: dW.sum(axis=0))], "dW"),
    (chapter.check_depthwise, [replaced(depthwise, 1, lambda dW, x, *_: dW / len(x))], "dW"),
    (chapter.check_depthwise, [lambda *a: depthwise(*a)[::-1]], "the shape is|dW still"),
    (chapter.check_dilated, [im2col, lambda cols, shape, K, d: col2im(cols, shape, K)], "that is a stride"),
    (chapter.check_dilated, [im2col_dilated, lambda *a: 2 * col2im_dilated(*a)], "is not <x, col2im"),
    (chapter.check_dilated, [im2col_dilated, col2im_assigning], "is not <x, col2im"),
    (chapter.check_dilated, [im2col_dilated, lambda cols, shape, K, d: cols], "must return"),
    (chapter.check_dilated, [im2col_dilated, col2im_turned], "is not <x, col2im"),
    (chapter.check_dilated, [image_last, col2im_dilated], "im2col_dilated"),
    (chapter.check_dilated, [lambda x, K, d: im2col(x, K), col2im_dilated], "the shape is"),
    (chapter.check_dilated, [im2col_dilated, lambda *a: None], "got NoneType"),
    (chapter.check_transposed, [transposed_flipped, transposed_backward], "flipped"),
    (chapter.check_transposed, [transposed_assigning, transposed_backward], "Each x adds"),
    (chapter.check_transposed, [lambda x, W, stride: transposed(x, W, 1), transposed_backward], "the shape is"),
    (chapter.check_transposed, [transposed, lambda *a: transposed_backward(*a)[::-1]], "dx"),
    (chapter.check_transposed, [transposed, lambda *a: transposed_backward(*a)[0]], "dx and dW"),
    (
        chapter.check_transposed,
        [transposed, replaced(transposed_backward, 1, lambda dW, x, W, *_: W)],
        "over batch and",
    ),
    (chapter.check_transposed, [transposed, replaced(transposed_backward, 1, lambda dW, x, *_: dW / len(x))], "dW"),
    (chapter.check_transposed, [transposed, replaced(transposed_backward, 0, lambda dx, *_: -dx)], "dx"),
]


def test_every_check_is_tried_with_six_wrong_answers():
    tried = Counter(check.__name__ for check, *_ in WRONG)
    assert set(tried) == {name for name in vars(chapter) if name.startswith("check_")}
    assert min(tried.values()) >= 6


@pytest.mark.parametrize("nonsense", [None, "text", 7, [], {}, np.nan])
@pytest.mark.parametrize("check", dict.fromkeys(check for check, _ in RIGHT), ids=lambda check: check.__name__)
def test_nonsense_is_refused(check, nonsense):
    with pytest.raises(WrongAnswer):
        check(*[nonsense] * len(inspect.signature(check).parameters))


@pytest.mark.parametrize(("check", "answer"), RIGHT, ids=lambda value: getattr(value, "__name__", None))
def test_right_answers_pass(check, answer, capsys):
    check(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("check", "answer", "message"), WRONG, ids=lambda value: getattr(value, "__name__", None))
def test_wrong_answers_are_named(check, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        check(*answer)
