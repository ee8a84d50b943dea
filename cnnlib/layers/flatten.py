"""Flattening: from maps to one row of features."""

import math

import numpy as np

from cnnlib.layers.layer import Layer


class Flatten(Layer):
    """Lay the numbers of each example out in one row, channel by channel, row by row.

    Input shape
        ``(N, C, H, W)``, or any other ``(N, ...)``
    Output shape
        ``(N, C * H * W)``

    Examples
    --------
    >>> Flatten().forward(np.zeros((64, 16, 5, 5))).shape
    (64, 400)
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x_shape = x.shape
        return x.reshape(len(x), *self.output_shape(x.shape[1:]))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy.reshape(self.x_shape)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (math.prod(input_shape),)
