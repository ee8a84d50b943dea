"""Transposed convolution: the backward pass of a convolution, used as a forward pass."""

import numpy as np

from cnnlib.checks import MAX_PADDING, MAX_WEIGHTS, check_int, check_stride
from cnnlib.initializers import initialize
from cnnlib.layers.convolution import col2im, crop, im2col, pad
from cnnlib.layers.layer import Layer


class TransposedConvolution(Layer):
    """Each pixel adds a kernel, times its value, to the output: what `Convolutional` does with dy to compute dx.

    ``y[n, f, r, s] = b[f] + sum of W[c, f, i, j] * x[n, c, u, v]``, over all c, i, j, u and v with
    ``u * stride + i - padding = r`` and ``v * stride + j - padding = s``

    With a stride above 1 it enlarges images, with weights that are learned.

    Parameters
    ----------
    channels : int
        C, the channels of the input.
    filters : int
        F, the channels of the output.
    kernel_size : int
        K; kernels are square.
    stride : int
        How far the kernels of neighbouring pixels are apart.
    padding : int
        Rows and columns to cut off on every side.
    initializer : {"he", "glorot", "zeros"}
        How to draw the weights; biases start at zero.
    rng : numpy.random.Generator, optional
        The source of the initial weights.
    dtype : dtype
        float32 to train, float64 to check gradients.

    Input shape
        ``(N, C, H, W)``
    Output shape
        ``(N, F, h, w)`` with ``h = (H - 1) * stride + K - 2 * padding``, and w likewise

    Attributes
    ----------
    W, dW : ndarray of shape (C, F, K, K)
    b, db : ndarray of shape (F,)

    References
    ----------
    Dumoulin and Visin (2016), "A guide to convolution arithmetic for deep learning".
    """

    params = ("W", "b")

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        initializer: str = "he",
        *,
        rng=None,
        dtype=np.float32,
    ):
        self.channels = check_int("channels", channels, 1, MAX_WEIGHTS)
        self.filters = check_int("filters", filters, 1, MAX_WEIGHTS)
        self.kernel_size = check_int("kernel_size", kernel_size, 1, MAX_WEIGHTS)
        self.stride = check_stride(stride)
        self.padding = check_int("padding", padding, 0, MAX_PADDING)
        self.initializer = initializer
        area = kernel_size**2 / stride**2  # how many kernels cover a pixel of the output, on average
        shape = (channels, filters, kernel_size, kernel_size)
        self.W = initialize(initializer, shape, channels * area, filters * kernel_size**2, rng, dtype)
        self.b = np.zeros(filters, self.W.dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        N, C, H, W = x.shape
        self.x = np.moveaxis(x, 0, -1).reshape(C, H * W * N)
        sizes = [(size - 1) * self.stride + self.kernel_size for size in (H, W)]
        cols = self.W.reshape(C, -1).T @ self.x  # (F * K * K, H * W * N)
        y = col2im(cols, (N, self.filters, *sizes), self.kernel_size, self.stride)
        return crop(y, self.pad_width) + self.b[:, np.newaxis, np.newaxis]

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.db = dy.sum(axis=(0, 2, 3))
        dcols = im2col(pad(dy, self.pad_width), self.kernel_size, self.stride)
        self.dW = (self.x @ dcols.T).reshape(self.W.shape)
        dx = self.W.reshape(self.channels, -1) @ dcols  # (C, H * W * N)
        H, W = ((size + 2 * self.padding - self.kernel_size) // self.stride + 1 for size in dy.shape[2:])
        return np.moveaxis(dx.reshape(self.channels, H, W, -1), -1, 0)

    @property
    def pad_width(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """What is cut off the output: ((above, below), (left, right))."""
        return ((self.padding, self.padding),) * 2

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) != 3 or input_shape[0] != self.channels or min(input_shape) < 1:
            raise ValueError(f"{self!r} expected ({self.channels}, H, W) per example, got the shape {input_shape}")
        sizes = [(size - 1) * self.stride + self.kernel_size - 2 * self.padding for size in input_shape[1:]]
        if min(sizes) < 1:
            raise ValueError(f"{self!r}: the padding cuts everything off, for the shape {input_shape}")
        return (self.filters, *sizes)
