"""Upsampling: every pixel becomes a block of pixels."""

import numpy as np

from cnnlib.checks import check_int
from cnnlib.layers.layer import Layer

MAX_SIZE = 100  # more is a slip of the keyboard, or a file that means harm


class Upsampling(Layer):
    """Repeat every pixel in a block of ``size * size`` pixels.

    ``y[n, c, r, s] = x[n, c, r // size, s // size]``

    On the way back, a pixel gets the sum over its block: it has reached the loss through each of them.

    Parameters
    ----------
    size : int
        The height and width of a block.

    Input shape
        ``(N, C, H, W)``
    Output shape
        ``(N, C, H * size, W * size)``
    """

    def __init__(self, size: int = 2):
        self.size = check_int("size", size, 1, MAX_SIZE)

    def forward(self, x: np.ndarray) -> np.ndarray:
        N, C, H, W = x.shape
        y = np.empty((C, H, self.size, W, self.size, N), x.dtype, like=x)
        y[...] = x.transpose(1, 2, 3, 0)[:, :, np.newaxis, :, np.newaxis]
        return np.moveaxis(y.reshape(C, H * self.size, W * self.size, N), -1, 0)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return sum(dy[:, :, i :: self.size, j :: self.size] for i in range(self.size) for j in range(self.size))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) != 3:
            raise ValueError(f"{self!r} expected images (C, H, W), got the shape {input_shape}")
        return (input_shape[0], *(self.size * n for n in input_shape[1:]))
