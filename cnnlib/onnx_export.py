"""Export to ONNX, a file format for networks that phones, browsers and most frameworks can run.

A network becomes a graph: a node for each layer, with the names and the conventions of ONNX; the arrays of the layers
are stored beside it. The input is ``x``, float32 of shape (N, *input_shape): images are scaled from 0 to 1. The output
is ``y``.
"""

import os
from collections.abc import Callable

import numpy as np

from cnnlib.checks import check_instance, check_path, shown, to_numpy
from cnnlib.files import atomic_write
from cnnlib.layers import (
    AveragePooling,
    BatchNormalization,
    Convolutional,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPooling,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Skip,
    Softmax,
    TransposedConvolution,
    Upsampling,
)
from cnnlib.network import Network

OPSET, IR_VERSION = 17, 8  # of 2022: old enough for everything that is in use


def export_onnx(path: str | os.PathLike, network: Network) -> None:
    """Write a network to an ONNX file, whole or not at all. It needs the package `onnx`.

    Raises
    ------
    TypeError
        If `network` is no `Network`, or has a layer that is not one of `cnnlib.LAYERS`, of which nobody knows the
        formula.
    """
    from onnx import TensorProto, checker, helper

    path = check_path("path", path)
    check_instance("network", network, Network, "a Network")
    graph = _Graph()
    y = graph.add(network, "x", network.input_shape)
    graph.nodes.append(helper.make_node("Identity", [y], ["y"]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        for name, shape in (("x", network.input_shape), ("y", network.shapes[-1]))
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "cnnlib", ends[:1], ends[1:], graph.arrays),
        producer_name="cnnlib",
        doc_string="x: float32; images are scaled from 0 to 1.",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model, full_check=True)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


class _Graph:
    """Nodes and arrays, and names for what runs between the nodes."""

    def __init__(self):
        self.nodes, self.arrays = [], []

    def add(self, layer: Layer, x: str, shape: tuple[int, ...]) -> str:
        """Add the nodes of a layer that is given `x`, examples of that shape; return the name of its output."""
        kind = type(layer)
        if kind in (Sequential, Network, Residual, Skip):
            y, inner_shape = x, shape
            for inner in layer:  # type: ignore[attr-defined]
                y, inner_shape = self.add(inner, y, inner_shape), inner.output_shape(inner_shape)
            if kind is Residual:
                return self.node("Add", [x, y])
            return self.node("Concat", [x, y], axis=1) if kind is Skip else y
        if kind not in _NODES:
            raise TypeError(f"{layer!r} cannot be exported: ONNX has no node for a {shown(kind.__name__)}")
        operation, arrays, attributes = _NODES[kind](layer, shape)
        return self.node(
            operation, [x, *("" if array is None else self.array(array) for array in arrays)], **attributes
        )

    def node(self, operation: str, inputs: list[str], **attributes) -> str:
        """Add a node, and return the name of its output."""
        from onnx import helper

        name = f"y{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [name], **attributes))
        return name

    def array(self, array: np.ndarray) -> str:
        """Store an array, and return its name."""
        from onnx import numpy_helper

        name = f"array{len(self.arrays)}"
        self.arrays.append(numpy_helper.from_array(np.ascontiguousarray(to_numpy(array), np.float32), name))
        return name


def _convolution(layer: Convolutional, shape: tuple[int, ...]) -> tuple:
    (above, below), (left, right) = layer.compute_pad_width(*shape[1:])
    return "Conv", [layer.W, layer.b], {"pads": [above, left, below, right], "strides": [layer.stride] * 2}


def _transposed_convolution(layer: TransposedConvolution, shape: tuple[int, ...]) -> tuple:
    attributes = {"pads": [layer.padding] * 4, "strides": [layer.stride] * 2}
    return "ConvTranspose", [layer.W, layer.b], attributes


def _average_pooling(layer: AveragePooling, shape: tuple[int, ...]) -> tuple:
    if layer.size is None:
        return "ReduceMean", [], {"axes": [2, 3], "keepdims": 0}
    return "AveragePool", [], {"kernel_shape": [layer.size] * 2, "strides": [layer.size] * 2}


def _max_pooling(layer: MaxPooling, shape: tuple[int, ...]) -> tuple:
    return "MaxPool", [], {"kernel_shape": [layer.size] * 2, "strides": [layer.stride] * 2}


def _batch_normalization(layer: BatchNormalization, shape: tuple[int, ...]) -> tuple:
    arrays = [layer.gamma, layer.beta, layer.running_mean, layer.running_variance]
    return "BatchNormalization", arrays, {"epsilon": layer.epsilon}


def _upsampling(layer: Upsampling, shape: tuple[int, ...]) -> tuple:
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return "Resize", [None, np.array([1, 1, layer.size, layer.size])], how


# For each layer: the name of the node, its arrays, and its attributes.
_NODES: dict[type[Layer], Callable[..., tuple]] = {
    AveragePooling: _average_pooling,
    BatchNormalization: _batch_normalization,
    Convolutional: _convolution,
    Dense: lambda layer, shape: ("Gemm", [layer.W, layer.b], {}),
    Dropout: lambda layer, shape: ("Identity", [], {}),
    Flatten: lambda layer, shape: ("Flatten", [], {}),
    MaxPooling: _max_pooling,
    ReLU: lambda layer, shape: ("Relu", [], {}),
    Sigmoid: lambda layer, shape: ("Sigmoid", [], {}),
    Softmax: lambda layer, shape: ("Softmax", [], {"axis": 1}),
    TransposedConvolution: _transposed_convolution,
    Upsampling: _upsampling,
}
