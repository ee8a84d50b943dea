"""The same mathematics in plain loops: slow, obvious, and the oracle that the fast versions are tested against.

Every function is its formula, index by index. ``x`` are images (N, C, H, W), ``W`` filters (F, C, K, K).
"""

import numpy as np


def convolve(x: np.ndarray, W: np.ndarray, b: np.ndarray, stride: int = 1) -> np.ndarray:
    """Cross-correlate images, padded already, with filters; returns (N, F, h, w)."""
    N, _, H, width = x.shape
    F, _, K, _ = W.shape
    y = np.zeros((N, F, (H - K) // stride + 1, (width - K) // stride + 1), x.dtype)
    for n, f, r, s in np.ndindex(y.shape):
        y[n, f, r, s] = b[f]
        for c, i, j in np.ndindex(W.shape[1:]):
            y[n, f, r, s] += W[f, c, i, j] * x[n, c, r * stride + i, s * stride + j]
    return y


def convolve_backward(
    x: np.ndarray, W: np.ndarray, dy: np.ndarray, stride: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx, dW and db of `convolve`: every product of the forward pass hands dy on to both of its factors."""
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros(len(W), W.dtype)
    for n, f, r, s in np.ndindex(dy.shape):
        db[f] += dy[n, f, r, s]
        for c, i, j in np.ndindex(W.shape[1:]):
            dW[f, c, i, j] += dy[n, f, r, s] * x[n, c, r * stride + i, s * stride + j]
            dx[n, c, r * stride + i, s * stride + j] += dy[n, f, r, s] * W[f, c, i, j]
    return dx, dW, db


def max_pool(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Take the largest value of every window; returns (N, C, h, w)."""
    N, C, H, width = x.shape
    y = np.zeros((N, C, (H - size) // stride + 1, (width - size) // stride + 1), x.dtype)
    for n, c, r, s in np.ndindex(y.shape):
        y[n, c, r, s] = x[n, c, r * stride : r * stride + size, s * stride : s * stride + size].max()
    return y


def max_pool_backward(x: np.ndarray, dy: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Return dx of `max_pool`: dy goes to the first largest pixel of each window."""
    dx = np.zeros_like(x)
    for n, c, r, s in np.ndindex(dy.shape):
        window = x[n, c, r * stride : r * stride + size, s * stride : s * stride + size]
        i, j = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, r * stride + i, s * stride + j] += dy[n, c, r, s]
    return dx


def dense(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``x @ W + b`` for x (N, D), W (D, M) and b (M,)."""
    y = np.zeros((len(x), W.shape[1]), x.dtype)
    for n, m in np.ndindex(y.shape):
        y[n, m] = b[m]
        for d in range(x.shape[1]):
            y[n, m] += x[n, d] * W[d, m]
    return y


def dense_backward(x: np.ndarray, W: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx, dW and db of `dense`."""
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros(W.shape[1], W.dtype)
    for n, m in np.ndindex(dy.shape):
        db[m] += dy[n, m]
        for d in range(x.shape[1]):
            dx[n, d] += dy[n, m] * W[d, m]
            dW[d, m] += dy[n, m] * x[n, d]
    return dx, dW, db


def softmax_jacobian(z: np.ndarray) -> np.ndarray:
    """Return the matrix ``dp_i/dz_j = p_i (δ_ij - p_j)`` for one example's scores z (M,)."""
    e = [np.exp(value - max(z)) for value in z]
    p = [value / sum(e) for value in e]
    return np.array([[p[i] * ((i == j) - p[j]) for j in range(len(z))] for i in range(len(z))])


def transposed_convolve(x: np.ndarray, W: np.ndarray, b: np.ndarray, stride: int = 1) -> np.ndarray:
    """Add to the output, for each pixel of x (N, C, H, W), a kernel of W (C, F, K, K) times its value."""
    N, _, H, width = x.shape
    _, F, K, _ = W.shape
    y = np.zeros((N, F, (H - 1) * stride + K, (width - 1) * stride + K), x.dtype) + b[:, np.newaxis, np.newaxis]
    for n, c, u, v in np.ndindex(x.shape):
        for f, i, j in np.ndindex(W.shape[1:]):
            y[n, f, u * stride + i, v * stride + j] += W[c, f, i, j] * x[n, c, u, v]
    return y


def average_pool(x: np.ndarray, size: int) -> np.ndarray:
    """Take the mean of every window; returns (N, C, h, w)."""
    N, C, H, width = x.shape
    y = np.zeros((N, C, H // size, width // size), x.dtype)
    for n, c, r, s in np.ndindex(y.shape):
        for i, j in np.ndindex(size, size):
            y[n, c, r, s] += x[n, c, r * size + i, s * size + j] / size**2
    return y


def upsample(x: np.ndarray, size: int) -> np.ndarray:
    """Repeat every pixel in a block of ``size * size``."""
    N, C, H, width = x.shape
    y = np.zeros((N, C, H * size, width * size), x.dtype)
    for n, c, r, s in np.ndindex(y.shape):
        y[n, c, r, s] = x[n, c, r // size, s // size]
    return y


def batch_normalize(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    """Normalize images (N, C, H, W) channel by channel over the batch, as in training."""
    N, C, H, width = x.shape
    m, y = N * H * width, np.zeros_like(x)
    for c in range(C):
        mean = sum(x[n, c, r, s] for n, r, s in np.ndindex(N, H, width)) / m
        variance = sum((x[n, c, r, s] - mean) ** 2 for n, r, s in np.ndindex(N, H, width)) / m
        for n, r, s in np.ndindex(N, H, width):
            y[n, c, r, s] = gamma[c] * (x[n, c, r, s] - mean) / np.sqrt(variance + epsilon) + beta[c]
    return y
