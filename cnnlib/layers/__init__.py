"""The layers. `LAYERS` is the one list of them: what it names can be saved, and is tested, reported and documented."""

from cnnlib.layers.activations import ReLU, Sigmoid, Softmax
from cnnlib.layers.convolution import Convolutional, col2im, im2col
from cnnlib.layers.dense import Dense
from cnnlib.layers.flatten import Flatten
from cnnlib.layers.layer import Layer, Residual, Sequential, Skip, batch_last
from cnnlib.layers.pooling import MaxPooling

LAYERS: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        Convolutional,
        Dense,
        Flatten,
        MaxPooling,
        ReLU,
        Residual,
        Sequential,
        Sigmoid,
        Skip,
        Softmax,
    )
}

__all__ = [*LAYERS, "LAYERS", "Layer", "batch_last", "col2im", "im2col"]
