"""Checks for chapter 22, Where the time goes."""

from collections.abc import Callable

import numpy as np

import cnnlib
from cnnlib.exercises import require, require_array, require_number, right


def flop(count: float) -> None:
    """A training step of LeNet-5's second convolution, for one image."""
    products = 16 * 10 * 10 * 6 * 25
    require(count != 2 * products, "that is the forward pass alone; dW and dx need as many products each.")
    require(count != 3 * products, "those are the products; each also has an addition.")
    require(count != 4 * products, "this layer is not the first one: it computes dx, too.")
    require_number(count, 6 * products, "Three times the products of the forward pass, two operations for each.")
    right(f"{count:,} operations")


def intensity(function: Callable) -> None:
    """The operations for each byte of a matrix product (m, k) @ (k, n) in float32."""
    for m, k, n in ((24, 36, 12_544), (64, 216, 1600), (1000, 1000, 1000)):
        answer, size = function(m, k, n), m * k + k * n + m * n
        require(not np.isclose(answer, 2 * m * k * n / size), "a float32 has 4 bytes.")
        require(not np.isclose(answer, m * k * n / size / 4), "a product and an addition are two operations.")
        require(not np.isclose(answer, m * k * n / (2 * (m * k + k * n))), "the result is written, too.")
        require_number(answer, m * k * n / (2 * size), f"For m={m}, k={k}, n={n}: operations / bytes.")
    right("Large matrices have a lot to do for each number that they fetch.")


def fusing(costs: Callable) -> None:
    """Factors of multiplications and of copied numbers, fused against plain, if a piece serves `size` outputs."""
    for K, size in ((5, 2), (3, 2), (7, 3)):
        piece = K + size - 1
        answer, case = costs(K, size), f"For K={K}, size={size}: "
        require(np.shape(answer) == (2,), "return two numbers: multiplications, copied numbers.")
        products, copies = answer
        expected = piece / K, piece / (size * K**2)
        require(not np.isclose(products, (K + size) / K), f"the piece of K={K}, size={size} is {piece} wide.")
        require(not np.isclose(products, (piece / K) ** 2), "the kernel becomes wider only; it stays K rows high.")
        require(not np.isclose(copies, 1 / expected[1]), "the second factor is fused / plain as well: below 1 here.")
        require(not np.isclose(copies, piece / K**2), f"im2col copies K * K numbers for each of the {size} outputs.")
        require(
            not np.isclose(copies, piece / (size * K)),
            "a piece is one row high: no pixel is copied for each of K rows.",
        )
        require_number(products, expected[0], f"{case}a kernel of {K}x{piece} takes the place of one of {K}x{K}.")
        require_number(copies, expected[1], f"{case}one piece, for {size} patches before.")
    right("A 3x3 kernel gains less: a third more multiplications, and 4 copies instead of 18.")


def counterexample(function: Callable) -> None:
    """An elementwise function that must not be moved behind max pooling."""
    z = np.linspace(-3, 3, 61)
    y = np.asarray(function(z))
    require(y.shape == z.shape, f"the function must work entry by entry; it made {y.shape} of {z.shape}.")
    require(np.isfinite(y).all(), "the function must be finite from -3 to 3.")
    require(np.allclose(y, [function(np.array([value]))[0] for value in z]), "each entry must depend on itself only.")
    falls = np.flatnonzero(np.diff(y) < 0)
    require(len(falls) > 0, "this function never falls, so that the largest input always has the largest output.")
    a, b = z[falls[0]], z[falls[0] + 1]
    right(f"Of {a:.1f} and {b:.1f} the second is larger, but the function says the opposite.")


def average(merge: Callable) -> None:
    """Convolution and 2x2 average pooling as one convolution of stride 2."""
    rng = np.random.default_rng(4)
    for K in (1, 3, 4):
        layer = cnnlib.Convolutional(2, 3, K, rng=rng, dtype=np.float64)
        W = merge(layer.W.copy())
        shape = (3, 2, K + 1, K + 1)
        require(np.shape(W) == shape, f"for kernels of {K}x{K}, expected the shape {shape}, got {np.shape(W)}.")
        x = rng.standard_normal((2, 2, 9, 9))
        y = layer.forward(x)
        h = y.shape[2] // 2 * 2
        expected = (y[:, :, :h:2, :h:2] + y[:, :, 1:h:2, :h:2] + y[:, :, :h:2, 1:h:2] + y[:, :, 1:h:2, 1:h:2]) / 4
        merged = cnnlib.Convolutional(2, 3, K + 1, stride=2, dtype=np.float64)
        merged.W = np.asarray(W, dtype=float)
        answer = merged.forward(x)[:, :, : h // 2, : h // 2]
        require(not np.allclose(answer, 4 * expected), "this is the sum of the four; the mean is a quarter of it.")
        corner = np.zeros(shape)
        corner[:, :, :K, :K] = layer.W
        require(not np.allclose(W, corner), "that is the kernel in one corner; all four outputs count.")
        require_array(answer, expected, "Put W into each of the four places, and take the mean.")
    right("A mean is linear, so that the four kernels themselves can be averaged. A maximum is not.")
