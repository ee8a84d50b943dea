"""Convolutional networks from scratch, in NumPy: the library behind the book."""

from cnnlib.activations import ReLU, Sigmoid, Softmax
from cnnlib.convolution import Convolutional, col2im, im2col
from cnnlib.dense import Dense
from cnnlib.digits.datasets import DataError, DataNotFoundError, load_digits, load_fashion_mnist, load_mnist
from cnnlib.digits.mnist_frame import read_digit, to_mnist_frame
from cnnlib.digits.models import lenet5, load_pretrained
from cnnlib.digits.pad import DigitPad
from cnnlib.digits.strokes import rasterize
from cnnlib.gradients import GradientError, gradient_check
from cnnlib.layer import Layer, batch_last
from cnnlib.losses import CategoricalCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy, one_hot
from cnnlib.network import Network, accuracy
from cnnlib.optimizers import SGD, Adam, constant, cosine, one_cycle
from cnnlib.pooling import Flatten, MaxPooling

__all__ = [
    "SGD",
    "Adam",
    "CategoricalCrossEntropy",
    "Convolutional",
    "DataError",
    "DataNotFoundError",
    "Dense",
    "DigitPad",
    "Flatten",
    "GradientError",
    "Layer",
    "MaxPooling",
    "MeanSquaredError",
    "Network",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "accuracy",
    "batch_last",
    "col2im",
    "constant",
    "cosine",
    "gradient_check",
    "im2col",
    "lenet5",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "load_pretrained",
    "one_cycle",
    "one_hot",
    "rasterize",
    "read_digit",
    "to_mnist_frame",
]
