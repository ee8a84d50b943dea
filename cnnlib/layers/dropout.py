"""Dropout: in training, some of the numbers are left out, so that nothing can rely on any one of them."""

import numpy as np

from cnnlib import checks, devices
from cnnlib.layers.layer import Layer


class Dropout(Layer):
    """In training, set each number to zero with the probability `rate`, and scale the others up by ``1 / (1 - rate)``.

    ``y = x * mask`` and ``dx = dy * mask``, where mask is 0 or ``1 / (1 - rate)``, drawn anew for each pass

    The scale keeps the expected value the same, so prediction has nothing to do: there, ``y = x``.

    Parameters
    ----------
    rate : float
        The share of numbers to drop, from 0 to less than 1.
    rng : numpy.random.Generator, optional
        Draws the mask. `Network.train` uses that of its run, whose `seed` decides everything that is drawn.

    Input shape
        any
    Output shape
        the same

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), "Dropout: a simple way to prevent neural
    networks from overfitting".
    """

    def __init__(self, rate: float = 0.5, *, rng=None):
        self.rate = checks.check_number("rate", rate, "[0, 1)")
        self.rng = checks.as_rng(rng)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.mask = self.draw_mask(x) if self.training else 1
        return x * self.mask

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self.mask

    def draw_mask(self, x: np.ndarray) -> np.ndarray:
        """Draw the mask for a batch; each of several processes draws that for all examples, and keeps its share."""
        N, *shape = x.shape
        share = slice(N)
        if self.communicator is not None:
            N, share = self.communicator.batch_size, self.communicator.share(self.communicator.batch_size)
        kept = self.rng.random((N, *shape), np.float32) >= self.rate
        return devices.move(kept[share], x).astype(x.dtype) / x.dtype.type(1 - self.rate)
