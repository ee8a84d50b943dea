"""Activations: the functions between the linear layers, without which any depth would be one linear layer."""

import numpy as np

from cnnlib.layers.layer import Layer


class ReLU(Layer):
    """The rectified linear unit, ``y = max(x, 0)``, elementwise.

    Its slope is 1 where the input is positive and 0 elsewhere, at zero itself too (any value between 0 and 1 would be
    a valid subgradient there).

    Input shape
        any
    Output shape
        the same

    Examples
    --------
    >>> ReLU().forward(np.array([[-1.0, 0.0, 2.0]]))
    array([[0., 0., 2.]])
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * (self.x > 0)


class Sigmoid(Layer):
    """The logistic function, ``y = 1 / (1 + exp(-x))``, elementwise; its slope is ``y (1 - y)``.

    Input shape
        any
    Output shape
        the same
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        e = np.exp(-np.abs(x))  # at most 1: exp of a large number would overflow
        self.y = np.where(x >= 0, 1, e) / (1 + e)
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self.y * (1 - self.y)


class Softmax(Layer):
    """Turn scores into probabilities, ``y_i = exp(x_i) / sum_j exp(x_j)``, for each example, or each of its pixels.

    Every output depends on every input: the Jacobian is ``dy_i/dx_j = y_i (δ_ij - y_j)``. With the upstream gradient,
    the sum over i collapses to one line, so that the (M, M) matrix is never built.

    Input shape
        ``(N, M)``, or ``(N, M, H, W)`` for scores of every pixel
    Output shape
        the same; the M numbers are positive and sum to 1

    Examples
    --------
    >>> Softmax().forward(np.log([[1.0, 3.0]])).round(3)
    array([[0.25, 0.75]])
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        e = np.exp(x - x.max(axis=1, keepdims=True))  # the shift cancels in the ratio, and nothing overflows
        self.y = e / e.sum(axis=1, keepdims=True)
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return self.y * (dy - (dy * self.y).sum(axis=1, keepdims=True))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) not in (1, 3) or min(input_shape) < 1:
            raise ValueError(f"{self!r} expected scores (M,) or (M, H, W) per example, got the shape {input_shape}")
        return input_shape
