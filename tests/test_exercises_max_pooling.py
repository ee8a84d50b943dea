"""The checks of chapter 7 accept a right answer, and say what is wrong with the usual wrong ones."""

import numpy as np
import pytest

from cnnlib import naive
from cnnlib.exercises import NotYet
from cnnlib.exercises import max_pooling as check


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


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (check.forward, (np.array([[5, 8], [9, 4]]),)),
        (check.forward, ([[5, 8], [9, 4]],)),
        (check.sizes, ([14, 6, 3],)),
        (check.backward, ([[0, 0, 2], [0, 5, 0], [3, 0, 0]],)),
        (check.receptive_field, (field,)),
        (check.mean_pooling, (mean, lambda dy, size: spread(dy, size) / size**2)),
        (check.shares, (pay(lambda winners: winners / winners.sum()),)),
    ],
)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (check.forward, ([[5, 8, 8], [7, 8, 8], [9, 9, 4]],), "stride 1"),
        (check.forward, ([[3.25, 4], [4.5, 2.5]],), "mean of each window"),
        (check.forward, ([[5, 8], [9, 3]],), r"entry at \(1, 1\)"),
        (check.forward, ([5, 8, 9, 4],), "2x2 array"),
        (check.sizes, ([14, 6],), "expected 3 heights"),
        (check.sizes, ([13, 5, 2],), "the windows are one more"),
        (check.sizes, ([14, 6, 4],), "round down"),
        (check.sizes, ([14, 7, 3],), "H = 13.*is not it"),
        (check.backward, ([[0, 0, 2], [0, 4, 0], [3, 0, 0]],), "overwrote"),
        (check.backward, ([[0, 0, 2], [0, 1, 0], [3, 0, 0]],), "two windows"),
        (check.backward, ([[1, 2], [3, 4]],), "shape of x"),
        (check.backward, ([[0, 0, 3], [0, 5, 0], [2, 0, 0]],), "largest pixel of each"),
        (check.receptive_field, (field_without_strides,), "ignores the strides"),
        (check.receptive_field, (field_stride_first,), "own stride"),
        (check.receptive_field, (lambda layers: field(layers) - 1,), "is not it"),
        (check.mean_pooling, (lambda x, size: mean(x, size) * size**2, spread), "4 times too large"),
        (check.mean_pooling, (lambda x, size: naive.max_pool(x, size, size), spread), "the mean of the size"),
        (check.mean_pooling, (mean, spread), "dx is 4 times too large"),
        (check.mean_pooling, (mean, lambda dy, size: dy), "the shape is"),
        (check.shares, (pay(lambda winners: winners),), "four times dy"),
        (check.shares, (naive.max_pool_backward,), "the first pixel took it all"),
        (check.shares, (pay(lambda winners: winners / winners.size),), "without ties"),
        (check.shares, (overwriting,), "without ties"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(NotYet, match=message):
        function(*answer)
