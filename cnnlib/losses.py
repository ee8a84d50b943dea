"""Losses: one number that says how wrong a batch of predictions is, and its gradient.

Each is a mean over the N examples of the batch. The 1/N stands here and nowhere else: layers only sum.
"""

import functools
from collections.abc import Callable

import numpy as np

from cnnlib.config import Configured, as_array, as_float_array, check_finite, check_int, shown
from cnnlib.layers.activations import Softmax


class Loss(Configured):
    """A function of predictions and targets, without state.

    The methods of a subclass are nothing but formulas: `check` is called, for every subclass, before they run.
    """

    targets_are_distributions: bool = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in ("value", "gradient"):
            if name in vars(cls):
                setattr(cls, name, _checked(vars(cls)[name]))

    def value(self, y: np.ndarray, t: np.ndarray) -> float:
        """Return the mean loss of the batch."""
        raise NotImplementedError

    def gradient(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return dL/dy, of the shape of `y`."""
        raise NotImplementedError

    def check(self, y: np.typing.ArrayLike, t: np.typing.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions and targets as floating-point arrays.

        Raises
        ------
        TypeError
            If they are not real numbers.
        ValueError
            Unless both are (N, M), with N > 0 and M > 0, and the targets are finite; and, for a cross-entropy, every
            row of `t` is a distribution.
        """
        y, t = as_float_array("predictions", y), check_finite("targets", as_float_array("targets", t))
        if y.ndim != 2 or y.shape != t.shape:
            raise ValueError(f"a loss expects predictions and targets of one shape (N, M), got {y.shape} and {t.shape}")
        if y.size == 0:
            raise ValueError(f"a loss is a mean over the batch, and this batch is empty: its targets are {t.shape}")
        wrong = (np.abs(t.sum(axis=1) - 1) > 1e-3) | (t.min(axis=1) < 0)
        if self.targets_are_distributions and wrong.any():
            raise ValueError(
                "targets of a cross-entropy must be one-hot, or probabilities: every row must sum to 1, and no entry "
                f"may be negative; got {shown(t[wrong][0].tolist())} in row {wrong.argmax()}"
            )
        return y, t


def _checked(method: Callable) -> Callable:
    @functools.wraps(method)
    def checked(self: Loss, y: np.typing.ArrayLike, t: np.typing.ArrayLike):
        return method(self, *self.check(y, t))

    return checked


class MeanSquaredError(Loss):
    """``L = 1/(N M) * sum over n, m of (y - t)^2``, for predictions and targets of shape ``(N, M)``."""

    def value(self, y: np.ndarray, t: np.ndarray) -> float:
        return float(np.mean((y - t) ** 2))

    def gradient(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        return 2 * (y - t) / y.size


class CategoricalCrossEntropy(Loss):
    """``L = -1/N * sum over n, m of t log(p)``, for probabilities and one-hot targets of shape ``(N, M)``.

    A probability that has been rounded to zero is replaced by the smallest normal number of its dtype, so that the loss
    stays finite; the gradient ``-t / (N p)`` is then of little use. `SoftmaxCrossEntropy` has no such weakness.
    """

    targets_are_distributions = True

    def value(self, p: np.ndarray, t: np.ndarray) -> float:
        return float(-np.sum(t * np.log(np.maximum(p, np.finfo(p.dtype).tiny))) / len(p))

    def gradient(self, p: np.ndarray, t: np.ndarray) -> np.ndarray:
        return -t / np.maximum(p, np.finfo(p.dtype).tiny) / len(p)


class SoftmaxCrossEntropy(Loss):
    """Softmax and categorical cross-entropy in one, for scores ``z`` and one-hot targets of shape ``(N, M)``.

    ``L = 1/N * sum over n, m of t (log(sum over j of exp(z_j)) - z)`` and ``dL/dz = (p - t) / N``: no division by a
    probability, and no logarithm of one, hence exact however sure and however wrong the scores are.
    `Network` trains with it when its last layer is a `Softmax` and the loss is `CategoricalCrossEntropy`.
    """

    targets_are_distributions = True

    def value(self, z: np.ndarray, t: np.ndarray) -> float:
        z = z - z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return float(-np.sum(t * log_p) / len(z))

    def gradient(self, z: np.ndarray, t: np.ndarray) -> np.ndarray:
        return (Softmax().forward(z) - t) / len(z)


MAX_CLASSES = 10**6  # more would be a slip of the keyboard


def one_hot(labels: np.ndarray, classes: int, dtype: np.typing.DTypeLike = np.float32) -> np.ndarray:
    """Turn class numbers (N,) into rows (N, classes) that are 1 at the class and 0 elsewhere.

    Raises
    ------
    TypeError, ValueError
        If a label is not a whole number from 0 to ``classes - 1``; if there are more than a million classes.
    """
    labels, classes = as_array("labels", labels), check_int("classes", classes, 1, MAX_CLASSES)
    if labels.size == 0:
        labels = labels.astype(int)  # an empty list has no whole numbers, but no others either
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers (N,), got {labels.dtype} of shape {labels.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels must be from 0 to {classes - 1}, got {labels.min()} to {labels.max()}")
    try:
        t = np.zeros((len(labels), classes), dtype)
    except TypeError:
        raise TypeError(f"dtype must be one of numbers, such as np.float32, got {shown(dtype)}") from None
    t[np.arange(len(labels)), labels] = 1
    return t
