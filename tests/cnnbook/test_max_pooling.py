"""Chapter 7: the checks of its exercises accept right answers, and name what is wrong with others."""

import inspect
from collections import Counter

import numpy as np
import pytest

from cnnbook import max_pooling as chapter
from cnnbook.checking import WrongAnswer
from cnnlib.layers import loops


def field(layers):
    field, step = 1, 1
    for size, stride in layers:
        field += (size - 1) * step
        step *= stride
    return field


def field_without_strides(layers):
    return 1 + sum(size - 1 for size, _ in layers)


def field_stride_first(layers):
    field, step = 1, 1
    for size, stride in layers:
        step *= stride
        field += (size - 1) * step
    return field


def mean(x, size):
    N, C, H, W = x.shape
    return x.reshape(N, C, H // size, size, W // size, size).mean(axis=(3, 5))


def spread(dy, size):
    return dy.repeat(size, axis=2).repeat(size, axis=3)


def pay(rule):
    """Return a backward pass that pays a window's gradient out by ``rule(mask of the winners)``."""

    def backward(x, dy, size, stride):
        dx = np.zeros_like(x)
        for n, c, r, s in np.ndindex(dy.shape):
            rows, columns = slice(r * stride, r * stride + size), slice(s * stride, s * stride + size)
            window = x[n, c, rows, columns]
            dx[n, c, rows, columns] += dy[n, c, r, s] * rule(window == window.max())
        return dx

    return backward


def overwriting(x, dy, size, stride):
    dx = np.zeros_like(x)
    for n, c, r, s in np.ndindex(dy.shape):
        rows, columns = slice(r * stride, r * stride + size), slice(s * stride, s * stride + size)
        winners = x[n, c, rows, columns] == x[n, c, rows, columns].max()
        dx[n, c, rows, columns] = np.where(winners, dy[n, c, r, s] / winners.sum(), dx[n, c, rows, columns])
    return dx


def share(winners):
    return winners / winners.sum()


def one_share_for_all(x, dy, size, stride):
    """Divide by the number of pixels that equal the largest one of the whole image."""
    return pay(lambda winners: winners / max(1, np.sum(x == x.max())))(x, dy, size, stride)


def nonzero_only(x, dy, size, stride):
    return pay(share)(x, dy, size, stride) * (x > 0)


RIGHT = [
    (chapter.check_forward, (np.array([[5, 8], [9, 4]]),)),
    (chapter.check_forward, ([[5, 8], [9, 4]],)),
    (chapter.check_sizes, ([14, 6, 3],)),
    (chapter.check_sizes, (np.array([14.0, 6.0, 3.0]),)),
    (chapter.check_backward, ([[0, 0, 2], [0, 5, 0], [3, 0, 0]],)),
    (chapter.check_receptive_field, (field,)),
    (chapter.check_receptive_field, (lambda layers: np.array([field(layers)]),)),
    (chapter.check_mean_pooling, (mean, lambda dy, size: spread(dy, size) / size**2)),
    (chapter.check_shares, (pay(share),)),
]

WRONG = [
    (chapter.check_forward, ([[5, 8, 8], [7, 8, 8], [9, 9, 4]],), "stride 1"),
    (chapter.check_forward, ([[3.25, 4], [4.5, 2.5]],), "mean of each window"),
    (chapter.check_forward, ([[5, 8], [9, 3]],), r"entry at \(1, 1\) is not right"),
    (chapter.check_forward, ([5, 8, 9, 4],), "2x2 array"),
    (chapter.check_forward, ([[5, 9], [8, 4]],), r"entry at \(0, 1\)"),
    (chapter.check_forward, ([[1, 0], [0, 1]],), r"entry at \(0, 0\)"),
    (chapter.check_sizes, ([14, 6],), "expected 3 heights"),
    (chapter.check_sizes, ([13, 5, 2],), "the windows are one more"),
    (chapter.check_sizes, ([14, 6, 4],), "round down"),
    (chapter.check_sizes, ([14, 7, 3],), "H = 13.*is not it"),
    (chapter.check_sizes, ([14, 6, 3.33],), "H = 10.*is not it"),
    (chapter.check_sizes, ([27, 11, 8],), "H = 28.*is not it"),
    (chapter.check_backward, ([[0, 0, 2], [0, 4, 0], [3, 0, 0]],), "overwrote"),
    (chapter.check_backward, ([[0, 0, 2], [0, 1, 0], [3, 0, 0]],), "two windows"),
    (chapter.check_backward, ([[1, 2], [3, 4]],), "shape of x"),
    (chapter.check_backward, ([[0, 0, 3], [0, 5, 0], [2, 0, 0]],), "largest pixel of each"),
    (chapter.check_backward, ([[0, 0, 5], [0, 4, 0], [6, 0, 0]],), "overwrote|winners"),
    (chapter.check_backward, ([[1, 3, 2], [4, 10, 6], [3, 7, 4]],), "largest pixel of each"),
    (chapter.check_receptive_field, (field_without_strides,), "ignores the strides"),
    (chapter.check_receptive_field, (field_stride_first,), "own stride"),
    (chapter.check_receptive_field, (lambda layers: field(layers) - 1,), "is not it"),
    (chapter.check_receptive_field, (lambda layers: field(layers[::-1]),), "is not it"),
    (chapter.check_receptive_field, (lambda layers: np.prod([size for size, _ in layers]),), "is not it"),
    (
        chapter.check_receptive_field,
        (lambda layers: field([(size, min(stride, 2)) for size, stride in layers]),),
        "not",
    ),
    (chapter.check_receptive_field, (lambda layers: print(end=""),), "got NoneType"),
    (chapter.check_mean_pooling, (lambda x, size: mean(x, size) * size**2, spread), "4 times too large"),
    (chapter.check_mean_pooling, (lambda x, size: loops.max_pool(x, size, size), spread), "the mean of the size"),
    (chapter.check_mean_pooling, (mean, spread), "dx is 4 times too large"),
    (chapter.check_mean_pooling, (mean, lambda dy, size: dy), "the shape is"),
    (chapter.check_mean_pooling, (mean, lambda dy, size: spread(dy, size) / 4), "every pixel"),
    (chapter.check_mean_pooling, (mean, lambda dy, size: spread(dy, size) / size), "every pixel"),
    (chapter.check_mean_pooling, (lambda x, size: mean(x, size).round(1), spread), "y is the mean"),
    (chapter.check_mean_pooling, (mean, lambda dy, size: np.tile(dy, (1, 1, size, size)) / size**2), "every pixel"),
    (chapter.check_shares, (pay(lambda winners: winners),), "four times dy"),
    (chapter.check_shares, (loops.max_pool_backward,), "the first pixel took it all"),
    (chapter.check_shares, (pay(lambda winners: winners / winners.size),), "without ties"),
    (chapter.check_shares, (overwriting,), "without ties"),
    (chapter.check_shares, (one_share_for_all,), "the entry at"),
    (chapter.check_shares, (nonzero_only,), "take a quarter|without ties"),
    (chapter.check_shares, (lambda x, dy, size, stride: pay(share)(x, dy, size, stride)[:, :, ::-1],), "without ties"),
    (chapter.check_shares, (lambda *a: None,), "got NoneType"),
]


@pytest.mark.parametrize(("function", "answer"), RIGHT)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("function", "answer", "message"), WRONG)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(*answer)


def test_every_check_is_tried_with_six_wrong_answers():
    tried = Counter(check.__name__ for check, *_ in WRONG)
    assert set(tried) == {name for name in vars(chapter) if name.startswith("check_")}
    assert min(tried.values()) >= 6


@pytest.mark.parametrize("nonsense", [None, "text", 7, [], {}, np.nan])
@pytest.mark.parametrize("check", dict.fromkeys(check for check, _ in RIGHT), ids=lambda check: check.__name__)
def test_nonsense_is_refused(check, nonsense):
    with pytest.raises(WrongAnswer):
        check(*[nonsense] * len(inspect.signature(check).parameters))
