"""Convolutional networks from scratch, in NumPy: the library behind the book.

What needs Pillow, ipywidgets or other large packages is imported when it is first used: `import cnnlib` takes no longer
than its core.
"""

import importlib
from typing import TYPE_CHECKING

from cnnlib.callbacks import Callback, CSVLogger, EarlyStopping
from cnnlib.gradient_check import GradientError, gradient_check
from cnnlib.layers import *
from cnnlib.layers import LAYERS
from cnnlib.losses import (
    CategoricalCrossEntropy,
    LossPart,
    MeanSquaredError,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    SumOfLosses,
    one_hot,
)
from cnnlib.network import Network
from cnnlib.optimizers import SGD, Adam
from cnnlib.schedules import constant, cosine, one_cycle
from cnnlib.training import accuracy

if TYPE_CHECKING:
    from cnnlib.digits.confidence import looks_like_digit
    from cnnlib.digits.datasets import DataError, DataNotFoundError, load_digits, load_fashion_mnist, load_mnist
    from cnnlib.digits.mnist_frame import to_mnist_frame
    from cnnlib.digits.models import lenet5, load_pretrained
    from cnnlib.digits.own_data import load_own_data
    from cnnlib.digits.pad import DigitPad
    from cnnlib.digits.reading import read_digit, read_digits
    from cnnlib.digits.strokes import rasterize

__version__ = "0.2.0"

# Where the names are that are imported on first use.
_ON_FIRST_USE = {
    "DataError": "datasets",
    "DataNotFoundError": "datasets",
    "DigitPad": "pad",
    "lenet5": "models",
    "load_digits": "datasets",
    "load_fashion_mnist": "datasets",
    "load_mnist": "datasets",
    "load_own_data": "own_data",
    "load_pretrained": "models",
    "looks_like_digit": "confidence",
    "rasterize": "strokes",
    "read_digit": "reading",
    "read_digits": "reading",
    "to_mnist_frame": "mnist_frame",
}


def __getattr__(name: str):
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'cnnlib' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cnnlib.digits.{_ON_FIRST_USE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_FIRST_USE})


__all__ = [
    "SGD",
    "Adam",
    "CSVLogger",
    "Callback",
    "CategoricalCrossEntropy",
    "EarlyStopping",
    "GradientError",
    "Layer",
    "LossPart",
    "MeanSquaredError",
    "Network",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "SumOfLosses",
    "accuracy",
    "batch_last",
    "col2im",
    "constant",
    "cosine",
    "gradient_check",
    "im2col",
    "one_cycle",
    "one_hot",
    *LAYERS,
    *_ON_FIRST_USE,
]
