"""Layers without parameters that change an image's shape: max pooling, and flattening."""

import math

import numpy as np

from cnnlib.layer import Layer
from cnnlib.validation import positive


class MaxPooling(Layer):
    """Keep the largest value of every window.

    ``y[n, c, r, s] = max over 0 <= i, j < size of x[n, c, r * stride + i, s * stride + j]``

    On the way back, the gradient goes to the pixel that was the largest, and to no other. Where several are equally
    large, the first (row by row) takes it all: giving it to each of them would count it more than once.

    Parameters
    ----------
    size : int
        The height and width of a window.
    stride : int, optional
        The distance between neighbouring windows; by default `size`, so that they tile the image. Rows and columns
        that fill no whole window at the right and at the bottom are left out.

    Input shape
        ``(N, C, H, W)``
    Output shape
        ``(N, C, h, w)`` with ``h = (H - size) // stride + 1``, and w likewise
    """

    def __init__(self, size: int = 2, stride: int | None = None):
        self.size = positive("size", size)
        self.stride = self.size if stride is None else positive("stride", stride)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = self.accept(x)
        first, *others = self.candidates(self.x)
        self.y = first.copy(order="K")
        for candidate in others:
            np.maximum(self.y, candidate, out=self.y)
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x = self.kept("x")
        dx = np.zeros_like(x, dtype=dy.dtype)
        free = np.ones_like(self.y, dtype=bool)  # windows whose gradient nobody has taken yet
        for candidate, dcandidate in zip(self.candidates(x), self.candidates(dx), strict=True):
            taken = free & (candidate == self.y)
            dcandidate += dy * taken
            free &= ~taken
        return dx

    def candidates(self, x: np.ndarray) -> list[np.ndarray]:
        """Return size * size views of `x`: the first pixel of every window, the second of every window, and so on."""
        _, h, w = self.output_shape(x.shape[1:])
        rows, columns = self.stride * (h - 1) + 1, self.stride * (w - 1) + 1
        return [
            x[:, :, i : i + rows : self.stride, j : j + columns : self.stride]
            for i in range(self.size)
            for j in range(self.size)
        ]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) != 3:
            raise ValueError(f"{self!r} expected images (C, H, W), got the shape {tuple(input_shape)}")
        if min(input_shape[1:]) < self.size:
            raise ValueError(f"{self!r}: the window is larger than the image, of shape {tuple(input_shape)}")
        channels, *sizes = input_shape
        return (channels, *((n - self.size) // self.stride + 1 for n in sizes))


class Flatten(Layer):
    """Lay the numbers of each example out in one row, channel by channel, row by row.

    Input shape
        ``(N, C, H, W)``, or any other ``(N, ...)``
    Output shape
        ``(N, C * H * W)``
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        x = self.accept(x)
        self.shape = x.shape
        return x.reshape(len(x), *self.output_shape(x.shape[1:]))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy.reshape(self.kept("shape"))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (math.prod(input_shape),)
