"""Batch normalization: every channel is brought to the mean and the spread that training chooses for it."""

import numpy as np

from cnnlib.checks import check_dtype, check_int, check_number
from cnnlib.layers.layer import Layer

MAX_CHANNELS = 1_000_000  # more is a slip of the keyboard, or a file that means harm


class BatchNormalization(Layer):
    """Bring each channel to mean zero and variance one over the batch, then scale and shift it.

    ``x̂ = (x - mean) / sqrt(variance + epsilon)`` and ``y = gamma * x̂ + beta``, for each channel

    In training, mean and variance are those of the batch, over all m numbers of a channel: N examples times H * W
    pixels. Both depend on x, so the gradient has three paths, which add up to
    ``dx = gamma / sqrt(variance + epsilon) * (dy - sum(dy) / m - x̂ * sum(dy * x̂) / m)``. In prediction, they are the
    running means of those of training, so that the answer to one example does not depend on the others.

    Where several processes train together, the sums are over the examples of all of them.

    Parameters
    ----------
    channels : int
        C of images, or D of features.
    momentum : float
        How much of the running means each step of training keeps.
    epsilon : float
        Keeps a channel of constant value from a division by zero.
    dtype : dtype
        float32 to train, float64 to check gradients.

    Input shape
        ``(N, C, H, W)`` or ``(N, D)``
    Output shape
        the same

    Attributes
    ----------
    gamma, dgamma, beta, dbeta : ndarray of shape (C,)
    running_mean, running_variance : ndarray of shape (C,)
        Changed by training, but not by the optimizer; saved with the parameters.

    References
    ----------
    Ioffe and Szegedy (2015), "Batch normalization: accelerating deep network training by reducing internal covariate
    shift".
    """

    params = ("gamma", "beta")
    statistics = ("running_mean", "running_variance")

    def __init__(self, channels: int, momentum: float = 0.9, epsilon: float = 1e-5, *, dtype=np.float32):
        self.channels = check_int("channels", channels, 1, MAX_CHANNELS)
        self.momentum = check_number("momentum", momentum, "[0, 1)")
        self.epsilon = check_number("epsilon", epsilon, "(0, inf)")
        self.gamma, self.running_variance = np.ones((2, channels), check_dtype(dtype))
        self.beta, self.running_mean = np.zeros((2, channels), check_dtype(dtype))

    def forward(self, x: np.ndarray) -> np.ndarray:
        rows = as_rows(x)  # (C, m)
        self.m = self.total(rows.shape[1])
        mean = self.total(rows.sum(axis=1)) / self.m if self.training else self.running_mean
        variance = self.running_variance
        self.x_hat = rows - mean[:, np.newaxis]
        if self.training:
            variance = self.total(row_dots(self.x_hat, self.x_hat)) / self.m
            self.update_statistics(mean, variance)
        self.scale = 1 / np.sqrt(variance + self.epsilon)
        self.x_hat *= self.scale[:, np.newaxis]
        return from_rows(self.gamma[:, np.newaxis] * self.x_hat + self.beta[:, np.newaxis], x.shape)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        shape, dy = dy.shape, as_rows(dy)
        self.dgamma, self.dbeta = row_dots(dy, self.x_hat), dy.sum(axis=1)
        if self.training:  # the paths through the variance and through the mean
            through_variance = self.x_hat * (self.total(self.dgamma) / self.m)[:, np.newaxis]
            dy = dy - through_variance - (self.total(self.dbeta) / self.m)[:, np.newaxis]
        return from_rows((self.gamma * self.scale)[:, np.newaxis] * dy, shape)

    def total(self, array):
        """Return the sum of what all processes that train together have computed; without others, the array itself."""
        return array if self.communicator is None else self.communicator.sum(array)

    def update_statistics(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Move the running means a little towards those of this batch; they share the variance of a *sample*."""
        unbiased = variance * (self.m / max(self.m - 1, 1))
        self.running_mean += (1 - self.momentum) * (mean - self.running_mean)
        self.running_variance += (1 - self.momentum) * (unbiased - self.running_variance)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) not in (1, 3) or input_shape[0] != self.channels:
            expected = f"({self.channels}, H, W) or ({self.channels},)"
            raise ValueError(f"{self!r} expected {expected} per example, got the shape {input_shape}")
        return input_shape


def row_dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the dot product of each row of x (C, m) with that of y."""
    return (x[:, np.newaxis] @ y[:, :, np.newaxis])[:, 0, 0]  # as np.vecdot, which CuPy lacks


def as_rows(x: np.ndarray) -> np.ndarray:
    """Return images (N, C, H, W) or features (N, C) as (C, m), a row for each channel; batch-last images are viewed."""
    return np.moveaxis(x, 0, -1).reshape(x.shape[1], -1)


def from_rows(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return rows (C, m) as images or features of that shape, batch last in memory."""
    return np.moveaxis(rows.reshape(*shape[1:], shape[0]), -1, 0)
