"""What every layer is: something that goes forward, and then backward."""

import numpy as np

from cnnlib.config import Configured


class Layer(Configured):
    """A differentiable function ``y = f(x)`` with, perhaps, trainable arrays.

    A subclass writes two methods. ``forward(x)`` returns ``y`` and keeps, in plain attributes, what the way back needs.
    ``backward(dy)`` takes dL/dy, stores the gradient of each trainable array beside it (``W`` and ``dW``, ``b`` and
    ``db``), and returns dL/dx. Both take and return whole batches; the first axis counts the examples.

    Attributes
    ----------
    params : tuple of str
        The names of the trainable arrays. Optimizers, saving and gradient checks all walk this one list.
    needs_dx : bool
        Whether anybody asks for dL/dx. `Network.train` says no for its first layer, where it would be the gradient of
        the data; a layer for which it is dear then returns None.
    """

    params: tuple[str, ...] = ()
    needs_dx: bool = True

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return ``y = f(x)``."""
        raise NotImplementedError

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Store dL/dparameter for every parameter, and return dL/dx."""
        raise NotImplementedError

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one output example, given that of one input example; ValueError if they do not fit."""
        return input_shape

    def parameters(self) -> dict[str, np.ndarray]:
        """The trainable arrays by name. They are the arrays themselves: changing one changes the layer."""
        return {name: getattr(self, name) for name in self.params}

    def gradients(self) -> dict[str, np.ndarray]:
        """The gradients that the last `backward` left, under the names of their parameters."""
        return {name: self.kept(f"d{name}") for name in self.params}

    def astype(self, dtype: np.typing.DTypeLike) -> "Layer":
        """Convert the parameters, in place, and with them everything that the layer computes; return the layer."""
        for name in self.params:
            setattr(self, name, getattr(self, name).astype(dtype))
        return self

    def accept(self, x: np.ndarray) -> np.ndarray:
        """Return `x` in the dtype of the parameters, or raise a ValueError that says why its shape does not fit."""
        x = np.asarray(x)
        if x.ndim < 2:
            raise ValueError(f"{self!r} expected a batch of examples (N, ...), got an array of shape {x.shape}")
        self.output_shape(x.shape[1:])
        return x.astype(getattr(self, self.params[0]).dtype, copy=False) if self.params else x

    def kept(self, name: str) -> np.ndarray:
        """Return what a pass kept under `name`, or raise a RuntimeError if nothing is there yet."""
        if not hasattr(self, name):
            raise RuntimeError(f"{self!r} has no {name} yet: forward comes before backward, backward before gradients")
        return getattr(self, name)


def batch_last(x: np.ndarray) -> np.ndarray:
    """Return `x`, of the same shape, laid out in memory so that neighbours in the batch are neighbours in memory.

    Images keep the shape ``(N, C, H, W)``, but lie in memory as ``(C, H, W, N)``: the same pixel of all N images side
    by side. A layer does the same thing to every image, so this order makes each of NumPy's inner loops N long and
    without gaps, whatever the size of the image. Every layer is right for any order, and fast for this one. (PyTorch
    calls such a thing a memory format; its `channels_last` is another.)
    """
    last = np.ascontiguousarray(x.transpose(*range(1, x.ndim), 0))
    return last.transpose(-1, *range(x.ndim - 1))
