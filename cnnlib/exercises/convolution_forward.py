"""Checks for chapter 5, Convolution, forward."""

from collections.abc import Callable, Sequence

import numpy as np

import cnnlib
from cnnlib.exercises import require, require_array, require_number, right


def sizes(answer: Sequence[int]) -> None:
    """Output rows of four layers on 28 rows."""
    answer = list(answer)
    require(len(answer) == 4, f"expected four numbers, got {len(answer)}.")
    require(answer != [23, 12, 13, 9], "counting starts at 0: one more fits than the division says.")
    require(answer[1] != 14, "(b): 25 / 2 is rounded down; half a step is no patch.")
    require(answer[2] != 13, "(c): the zeros are on both sides.")
    require(
        answer[3] not in (8, 28), '(d): "same" keeps the size at stride 1; in general it is H / stride, rounded up.'
    )
    for letter, number, expected in zip("abcd", answer, (24, 13, 14, 10), strict=True):
        require_number(number, expected, f"Look at ({letter}) again: floor((H + zeros - K) / stride) + 1.")
    right("24, 13, 14 and 10 rows.")


def _correlate(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    layer = cnnlib.Convolutional(1, 1, len(kernel), initializer="zeros", dtype=np.float64)
    layer.W[0, 0] = kernel
    return layer.forward(x[np.newaxis, np.newaxis])[0, 0]


def move(kernel: np.ndarray) -> None:
    """A 3x3 kernel whose cross-correlation moves the image one pixel to the right."""
    kernel = np.asarray(kernel, dtype=float)
    require(kernel.shape == (3, 3), f"expected a kernel of shape (3, 3), got {kernel.shape}.")
    x = np.random.default_rng(5).standard_normal((6, 7))
    y = _correlate(x, kernel)
    for rows, columns, where in ((0, -1, "left"), (-1, 0, "up"), (1, 0, "down"), (0, 0, "nowhere")):
        moved = np.roll(x, (rows, columns), axis=(0, 1))[1:-1, 1:-1]
        require(not np.allclose(y, moved), f"this kernel moves the image {where}.")
    require_array(y, np.roll(x, 1, axis=1)[1:-1, 1:-1], "One weight is 1, all others are 0.")
    right("With a true convolution, the 1 would stand on the other side.")


def cost(parameters: int, products: int) -> None:
    """Parameters and products of 16 filters of 5x5 on 6 channels of 14x14."""
    require(parameters != 16 * 6 * 25, "each filter has a bias, too.")
    require(parameters != 16 * 26, "a filter has a kernel for each of the 6 channels.")
    require_number(parameters, 2416, "Parameters: F (C K² + 1).")
    require(products != 16 * 14 * 14 * 150, "without padding, a 5x5 kernel has fewer than 14 x 14 positions.")
    require(products != 2400, "that is for one position; the layer has 10 x 10 of them.")
    require(products != 16 * 100 * 25, "each of the 6 channels has its own products.")
    require_number(products, 240_000, "Products: F h w outputs, with C K² each.")
    right("2,416 parameters, 240,000 products.")


def _loops_1d(x: np.ndarray, W: np.ndarray, b: np.ndarray, stride: int) -> np.ndarray:
    K = W.shape[2]
    y = np.zeros((len(x), len(W), (x.shape[2] - K) // stride + 1))
    for n, f, r in np.ndindex(y.shape):
        y[n, f, r] = b[f] + np.sum(W[f] * x[n, :, r * stride : r * stride + K])
    return y


def convolve_1d(function: Callable) -> None:
    """Convolution of signals (N, C, L) with filters (F, C, K)."""
    rng = np.random.default_rng(6)
    for length, stride in ((9, 1), (9, 2), (10, 3)):
        x, W, b = rng.standard_normal((2, 3, length)), rng.standard_normal((4, 3, 4)), rng.standard_normal(4)
        y = function(x, W, b, stride)
        expected = _loops_1d(x, W, b, stride)
        if np.shape(y) == expected.shape:
            require(not np.allclose(y, _loops_1d(x, W, 0 * b, stride)), "the bias is missing.")
            require(not np.allclose(y, _loops_1d(x, W[:, :, ::-1], b, stride)), "the kernel is flipped.")
        elif np.shape(y) == _loops_1d(x, W, b, 1).shape:
            require(False, f"the shape is {np.shape(y)} for stride {stride}: that is what stride 1 gives.")
        require_array(y, expected, f"This was length {length}, stride {stride}.")
    right("It agrees with the loops for three strides.")


def separable(function: Callable, products: int) -> None:
    """A column and then a row, in place of a K x K kernel; and the products of both passes."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((9, 8))
    p, q = rng.standard_normal((2, 4))
    y = function(x, p, q)
    if np.shape(y) == (6, 5):
        require(not np.allclose(y, _correlate(x, np.outer(q, p))), "p belongs to the rows i, q to the columns j.")
        require(not np.allclose(y, _correlate(x, np.outer(p[::-1], q[::-1]))), "p and q are flipped.")
    require_array(y, _correlate(x, np.outer(p, q)), "First the sum over i with p, then the sum over j with q.")
    require(products != 22 * 22 * 49, "that is what the 7x7 kernel needs in one pass.")
    require(products != 2 * 22 * 22 * 7, "the first pass must also compute the columns that the second looks at.")
    require_number(products, 7700, "Outputs of a pass, times 7; then add the two passes.")
    right(f"7,700 products instead of {22 * 22 * 49:,}.")


def im2col(function: Callable) -> None:
    """The columns of several images, in the order of the library's `im2col`."""
    rng = np.random.default_rng(8)
    for shape, K, stride in (((1, 1, 4, 4), 3, 1), ((2, 3, 6, 5), 2, 1), ((3, 2, 7, 8), 3, 2)):
        x = rng.standard_normal(shape)
        N, C, H, W = shape
        h, w = (H - K) // stride + 1, (W - K) // stride + 1
        expected = cnnlib.im2col(x, K, stride)
        cols = function(x, K, stride)
        require(np.shape(cols) != cnnlib.im2col(x, K).shape or stride == 1, "the stride is ignored.")
        if np.shape(cols) == expected.shape:
            axes = expected.reshape(C, K, K, h, w, N)
            for order, what in (
                ((1, 2, 0, 3, 4, 5), "the rows are in the order (i, j, c), and should be in the order (c, i, j)."),
                ((0, 2, 1, 3, 4, 5), "i and j are swapped."),
                ((0, 1, 2, 5, 3, 4), "the columns are in the order (n, r, s), and should be in the order (r, s, n)."),
            ):
                other = axes.transpose(order).reshape(expected.shape)
                require(np.allclose(other, expected) or not np.allclose(cols, other), what)
        elif np.shape(cols) == expected.T.shape:
            require(False, "patches are columns, not rows: this is the transpose.")
        require_array(cols, expected, f"This was x of shape {shape}, K = {K}, stride {stride}.")
    right("The same columns as the library's.")
