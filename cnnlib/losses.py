"""Losses: one number that says how wrong a batch of predictions is, and its gradient.

Each is a mean over the N examples of the batch. The 1/N stands here and nowhere else: layers only sum. Predictions and
targets may be images, too, with M numbers for every pixel: a loss is then a mean over all pixels of all examples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cnnlib import checks
from cnnlib.config import Configured
from cnnlib.layers.activations import Sigmoid, Softmax


class Loss(Configured):
    """A function of predictions and targets, without state.

    The methods of a subclass are nothing but formulas: `check` is called, for every subclass, before they run.
    """

    targets_are_distributions: bool = False
    predictions_are_distributions: bool = False
    targets_are_shares: bool = False  # each by itself, from 0 to 1
    has_accuracy: bool = True  # whether the largest number of a target says which of the predictions should be largest

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        checks.wrap_methods(cls, checks.LOSS_METHODS)

    def value(self, y: np.ndarray, t: np.ndarray) -> float:
        """Return the mean loss of the batch."""
        raise NotImplementedError

    def gradient(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return dL/dy, of the shape of `y`."""
        raise NotImplementedError

    check = checks.check_predictions


class MeanSquaredError(Loss):
    """``L = 1/(N M) * sum over n, m of (y - t)^2``, for predictions and targets of shape ``(N, M)``.

    Of images, it is the mean over all numbers of all pixels.

    Examples
    --------
    >>> y, t = np.array([[1.0], [4.0]]), np.array([[1.0], [2.0]])
    >>> MeanSquaredError().value(y, t)
    2.0
    >>> MeanSquaredError().gradient(y, t)
    array([[0.],
           [2.]])
    """

    def value(self, y: np.ndarray, t: np.ndarray) -> float:
        return float(np.mean((y - t) ** 2))

    def gradient(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        return 2 * (y - t) / y.size


class CategoricalCrossEntropy(Loss):
    """``L = -1/N * sum over n, m of t log(p)``, for probabilities and one-hot targets of shape ``(N, M)``.

    A probability that has been rounded to zero is replaced by the smallest normal number of its dtype, so that the loss
    stays finite; the gradient ``-t / (N p)`` is then of little use. `SoftmaxCrossEntropy` has no such weakness.
    """

    targets_are_distributions = predictions_are_distributions = True

    def value(self, p: np.ndarray, t: np.ndarray) -> float:
        return float(-np.sum(t * np.log(np.maximum(p, np.finfo(p.dtype).tiny))) / count(p))

    def gradient(self, p: np.ndarray, t: np.ndarray) -> np.ndarray:
        return -t / np.maximum(p, np.finfo(p.dtype).tiny) / count(p)


class SoftmaxCrossEntropy(Loss):
    """Softmax and categorical cross-entropy in one, for scores ``z`` and one-hot targets of shape ``(N, M)``.

    ``L = 1/N * sum over n, m of t (log(sum over j of exp(z_j)) - z)`` and ``dL/dz = (p - t) / N``: no division by a
    probability, and no logarithm of one, hence exact however sure and however wrong the scores are.
    `Network` trains with it when its last layer is a `Softmax` and the loss is `CategoricalCrossEntropy`.

    Parameters
    ----------
    weights : sequence of M floats, optional
        How much an example, or a pixel, of each class counts: 1 by default.
    """

    targets_are_distributions = True

    def __init__(self, weights: Sequence[float] | None = None):
        self.weights = checks.check_class_weights(weights)

    def value(self, z: np.ndarray, t: np.ndarray) -> float:
        z = z - z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return float(-np.sum(self.weigh(t) * log_p) / count(z))

    def gradient(self, z: np.ndarray, t: np.ndarray) -> np.ndarray:
        p, t = Softmax().forward(z), self.weigh(t)
        return (p * t.sum(axis=1, keepdims=True) - t) / count(z)  # the sum is 1, or the weight

    def weigh(self, t: np.ndarray) -> np.ndarray:
        """Return the targets, each entry multiplied with the weight of its class."""
        if self.weights is None:
            return t
        checks.check_classes(self.weights, t)
        return t * np.array(self.weights, t.dtype, like=t).reshape(-1, *[1] * (t.ndim - 2))


class SigmoidCrossEntropy(Loss):
    """Sigmoid and binary cross-entropy in one, for scores ``z`` and targets from 0 to 1 of shape ``(N, M)``.

    ``L = 1/(N M) * sum over n, m of log(1 + exp(z)) - t z`` and ``dL/dz = (sigmoid(z) - t) / (N M)``: M questions
    that are answered by yes or no, each for itself. Of images, it is the mean over all numbers of all pixels.
    """

    targets_are_shares = True

    def value(self, z: np.ndarray, t: np.ndarray) -> float:
        return float(np.mean(np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))) - t * z))

    def gradient(self, z: np.ndarray, t: np.ndarray) -> np.ndarray:
        return (Sigmoid().forward(z) - t) / z.size


@dataclass(frozen=True)
class LossPart:
    """A part of the output with a loss of its own, for `SumOfLosses`.

    Attributes
    ----------
    channels : slice
        Which of the M numbers it is about.
    loss : Loss
    scale : float
        How much it counts.
    where : int, optional
        The number, from 0 to M - 1, of the target that says where this part counts: only there, where it is above 0.5.
    """

    channels: slice
    loss: Loss
    scale: float = 1.0
    where: int | None = None


class SumOfLosses(Loss):
    """Losses of several parts of the output, added up: what a network needs that answers several questions at once.

    ``L = 1/N * sum over parts and positions of scale * loss``, where a position is a pixel of one example.

    Parameters
    ----------
    parts : sequence of LossPart
    """

    has_accuracy = False

    def __init__(self, parts: Sequence[LossPart]):
        self.parts = checks.check_parts(parts, LossPart, Loss)

    def value(self, y: np.ndarray, t: np.ndarray) -> float:
        rows = [(part, y[at], t[at]) for part, at, y, t in self.positions(y, t)]
        return sum(part.scale * part.loss.value(y, t) * len(y) for part, y, t in rows if len(y)) / len(t)

    def gradient(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        dy = np.zeros_like(y)
        parts = zip(self.positions(y, t), self.positions(dy, t), strict=True)
        for (part, at, y_part, t_part), (_, _, dy_part, _) in parts:
            if at.any():
                dy_part[at] += part.loss.gradient(y_part[at], t_part[at]) * (part.scale * at.sum() / len(t))
        return dy

    def positions(self, y: np.ndarray, t: np.ndarray) -> Iterator[tuple]:
        """Yield each part, a mask (N, ...) of where it counts, and its channels, as views (N, ..., M)."""
        checks.check_channels(self.parts, t.shape[1])
        y, t = np.moveaxis(y, 1, -1), np.moveaxis(t, 1, -1)
        for part in self.parts:
            at = np.ones(t.shape[:-1], bool, like=t) if part.where is None else t[..., part.where] > 0.5
            yield part, at, y[..., part.channels], t[..., part.channels]


def count(y: np.ndarray) -> int:
    """Return over how many examples, or pixels of examples, a loss is a mean: (N, M) or (N, M, H, W) without the M."""
    return y.size // y.shape[1]


def one_hot(labels: np.ndarray, classes: int, dtype: np.typing.DTypeLike = np.float32) -> np.ndarray:
    """Turn class numbers (N,) into rows (N, classes) that are 1 at the class and 0 elsewhere.

    Maps of class numbers (N, H, W) become images (N, classes, H, W), batch last in memory.

    Raises
    ------
    TypeError, ValueError
        If a label is not a whole number from 0 to ``classes - 1``; if there are more than a million classes.

    Examples
    --------
    >>> one_hot(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    labels, dtype = checks.check_labels(labels, classes), checks.check_number_dtype(dtype)
    if labels.ndim == 1:
        t = np.zeros((len(labels), classes), dtype, like=labels)
    else:
        t = np.moveaxis(np.zeros((classes, *labels.shape[1:], len(labels)), dtype, like=labels), -1, 0)
    np.put_along_axis(t, labels[:, np.newaxis].astype(np.intp), 1, axis=1)
    return t
