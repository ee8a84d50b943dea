"""The fully connected layer: every output depends on every input."""

import numpy as np

from cnnlib.checks import check_positive_int
from cnnlib.initializers import initialize
from cnnlib.layers.layer import Layer


class Dense(Layer):
    """A fully connected layer, ``y = x @ W + b``.

    Parameters
    ----------
    inputs, outputs : int
        The number of features of one example, before (D) and after (M).
    initializer : {"he", "glorot", "zeros"}
        How to draw the weights; biases start at zero.
    rng : numpy.random.Generator, optional
        The source of the initial weights.
    dtype : dtype
        float32 to train, float64 to check gradients.

    Input shape
        ``(N, D)``
    Output shape
        ``(N, M)``

    Attributes
    ----------
    W, dW : ndarray of shape (D, M)
    b, db : ndarray of shape (M,)

    Examples
    --------
    >>> layer = Dense(3, 2, rng=0)
    >>> layer.forward(np.ones((4, 3), np.float32)).shape
    (4, 2)
    >>> layer.backward(np.ones((4, 2), np.float32)).shape
    (4, 3)
    >>> layer.dW.shape, layer.db
    ((3, 2), array([4., 4.], dtype=float32))
    """

    params = ("W", "b")

    def __init__(self, inputs: int, outputs: int, initializer: str = "he", *, rng=None, dtype=np.float32):
        self.inputs = check_positive_int("inputs", inputs)
        self.outputs = check_positive_int("outputs", outputs)
        self.initializer = initializer
        self.W = initialize(initializer, (inputs, outputs), inputs, outputs, rng, dtype)
        self.b = np.zeros(outputs, self.W.dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.dW = self.x.T @ dy
        self.db = dy.sum(axis=0)
        return dy @ self.W.T

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if input_shape != (self.inputs,):
            raise ValueError(f"{self!r} expected {self.inputs} features per example, got shape {input_shape}")
        return (self.outputs,)
