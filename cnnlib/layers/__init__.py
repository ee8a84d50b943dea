"""The layers. What is imported here is the list of them: it can be saved, and is tested, reported and documented."""

from cnnlib.layers.activations import ReLU, Sigmoid, Softmax
from cnnlib.layers.batch_normalization import BatchNormalization
from cnnlib.layers.convolution import Convolutional, col2im, im2col
from cnnlib.layers.dense import Dense
from cnnlib.layers.dropout import Dropout
from cnnlib.layers.flatten import Flatten
from cnnlib.layers.layer import Layer, Residual, Sequential, Skip, batch_last
from cnnlib.layers.pooling import AveragePooling, MaxPooling
from cnnlib.layers.transposed_convolution import TransposedConvolution
from cnnlib.layers.upsampling import Upsampling

LAYERS: dict[str, type[Layer]] = {
    name: value
    for name, value in sorted(globals().items())
    if isinstance(value, type) and issubclass(value, Layer) and value is not Layer
}

__all__ = ["LAYERS", "Layer", "batch_last", "col2im", "im2col", *LAYERS]
