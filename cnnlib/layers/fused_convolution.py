"""Convolution, ReLU and 2x2 max pooling in one layer: the same numbers, in half the time.

`im2col` copies a pixel once for every place in the kernel, 25 times for a 5x5 kernel. Four ideas save most of the work.

*Copy along the rows only.* One row of outputs looks at K neighbouring rows of the image. So each row of the image is
cut into its patches of one row's height, and these strips are laid one after the other. Those of K neighbouring rows
are then, as they lie there, the matrix of one row of outputs; one row on begins the matrix of the next. The matrices
overlap in memory, and a pixel is copied K times, not K * K times [1]_.

*Two neighbouring outputs, one patch.* Of two outputs side by side, pooling keeps one. Both look at a patch that is only
one column wider than the kernel: 5x6 pixels for a 5x5 kernel. With the kernel once at its left and once at its right
end, and a column of zeros at the other, one matrix product gives both. That is 1.2 times the multiplications, and three
copies of a pixel instead of five.

*Pool first.* Adding the bias and ReLU never change which of two numbers is larger. So they can wait until pooling has
left one number of four.

*Keep the memory.* Every step makes the same large arrays and drops them again. Above a certain size, C libraries hand
freed memory back to the system, which then has to provide it anew, page by page, in the next step. That of Linux takes
the largest block that it has seen freed as a measure for how much to keep: so we show it a large one, once. No page of
it is ever touched.

References
----------
.. [1] Cho and Brand (2017), "MEC: memory-efficient convolution for deep neural network".
"""

import numpy as np

from cnnlib.layers.activations import ReLU
from cnnlib.layers.convolution import Convolutional, crop, pad
from cnnlib.layers.layer import Layer, Sequential, all_layers, copy_layer
from cnnlib.layers.pooling import MaxPooling

np.empty(31 * 2**20, np.uint8)  # made and freed; blocks of more than 32 MiB do not count


class FusedConvolution(Layer):
    """The layers ``convolution``, ``ReLU()`` and ``MaxPooling(2)``, one after the other, computed in one go.

    Its parameters are the arrays of the convolution, not copies. Where several outputs of a window are equally large,
    the first takes the gradient, as in `MaxPooling`.

    Parameters
    ----------
    convolution : Convolutional

    Input shape
        that of the convolution
    Output shape
        that of the pooling
    """

    params = ("W", "b")

    def __init__(self, convolution: Convolutional):
        self.convolution = convolution
        self.pooling = MaxPooling(2)
        self.W, self.b = convolution.W, convolution.b

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.pad_width = self.convolution.compute_pad_width(*x.shape[2:])
        x = np.ascontiguousarray(pad(x, self.pad_width).transpose(1, 2, 3, 0))  # copies only what is not batch-last yet
        self.padded_shape = C, H, W, N = x.shape
        F, _, K, _ = self.W.shape
        stride = self.convolution.stride
        h, w = (((size - K) // stride + 1) // 2 for size in (H, W))
        channel, row, column, image = x.strides
        strips = view(x, (H, C, K + stride, w, N), (row, channel, column, 2 * stride * column, image))
        strips = np.ascontiguousarray(strips).reshape(H, C * (K + stride), w * N)  # the one copy
        # For each row of outputs, the K rows of the image that it looks at, one below the other: overlapping views.
        row, place, column = strips.strides
        self.cols = view(strips, (2 * h, K * C * (K + stride), w * N), (stride * row, place, column))
        self.z = (self.kernels().reshape(2 * F, -1) @ self.cols).reshape(2 * h, 2, F, w * N)
        self.larger = np.maximum(self.z[:, 0], self.z[:, 1]).reshape(h, 2, F, w * N)
        self.y = np.empty((F, h, w * N), x.dtype)
        np.maximum(self.larger[:, 0], self.larger[:, 1], out=self.y.transpose(1, 0, 2))
        self.y += self.b[:, np.newaxis, np.newaxis]
        np.maximum(self.y, 0, out=self.y)
        return self.y.reshape(F, h, w, N).transpose(3, 0, 1, 2)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        F, C, K, _ = self.W.shape
        stride = self.convolution.stride
        dy = dy.transpose(1, 2, 3, 0).reshape(self.y.shape) * (self.y > 0)  # (F, h, w * N)
        self.db = dy.sum(axis=(1, 2))
        dlarger = maximum_backward(dy.transpose(1, 0, 2), self.larger)
        dz = maximum_backward(dlarger.reshape(-1, *dlarger.shape[2:]), self.z)
        dz = dz.reshape(len(self.z), 2 * F, -1)  # (2 * h, 2 * F, w * N)
        dkernels = (self.cols @ dz.transpose(0, 2, 1)).sum(axis=0).reshape(K, C, K + stride, 2, F)
        dW = dkernels[:, :, :K, 0] + dkernels[:, :, stride:, 1]  # (K, C, K, F)
        self.dW = np.ascontiguousarray(dW.transpose(3, 1, 0, 2))
        if not self.needs_dx:
            return None
        kernels = self.kernels()[:, :, ::-1].transpose(3, 4, 2, 0, 1)
        return gradient_of_input(self, kernels.reshape(C, K + stride, K, 2 * F), dz, 2 * stride)

    def kernels(self) -> np.ndarray:
        """Return each kernel twice, at the left and at the right end of a wider one: (2, F, K, C, K + stride)."""
        F, C, K, _ = self.W.shape
        stride = self.convolution.stride
        kernels = np.zeros((2, F, K, C, K + stride), self.W.dtype)
        kernels[0, ..., :K] = kernels[1, ..., stride:] = self.W.transpose(0, 2, 1, 3)
        return kernels

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.pooling.output_shape(self.convolution.output_shape(input_shape))


class RowConvolution(Layer):
    """A convolution, and the ``ReLU()`` after it if there is one, with `im2col` along the rows only.

    Parameters
    ----------
    convolution : Convolutional
    relu : bool

    Input shape
        that of the convolution
    Output shape
        that of the convolution
    """

    params = ("W", "b")

    def __init__(self, convolution: Convolutional, relu: bool):
        self.convolution, self.relu = convolution, relu
        self.W, self.b = convolution.W, convolution.b

    def forward(self, x: np.ndarray) -> np.ndarray:
        _, h, w = self.output_shape(x.shape[1:])
        self.pad_width = self.convolution.compute_pad_width(*x.shape[2:])
        x = np.ascontiguousarray(pad(x, self.pad_width).transpose(1, 2, 3, 0))
        self.padded_shape = C, H, W, N = x.shape
        F, _, K, _ = self.W.shape
        channel, row, column, image = x.strides
        strips = view(x, (H, C, K, w, N), (row, channel, column, self.convolution.stride * column, image))
        strips = np.ascontiguousarray(strips).reshape(H, C * K, w * N)
        row, place, column = strips.strides
        self.cols = view(strips, (h, K * C * K, w * N), (self.convolution.stride * row, place, column))
        self.y = np.empty((F, h, w * N), x.dtype)
        np.matmul(self.W.transpose(0, 2, 1, 3).reshape(F, -1), self.cols, out=self.y.transpose(1, 0, 2))
        self.y += self.b[:, np.newaxis, np.newaxis]
        if self.relu:
            np.maximum(self.y, 0, out=self.y)
        return self.y.reshape(F, h, w, N).transpose(3, 0, 1, 2)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        F, C, K, _ = self.W.shape
        dy = dy.transpose(1, 2, 3, 0).reshape(self.y.shape)
        if self.relu:
            dy = dy * (self.y > 0)
        self.db = dy.sum(axis=(1, 2))
        dz = np.ascontiguousarray(dy.transpose(1, 0, 2))  # (h, F, w * N)
        dkernels = (self.cols @ dz.transpose(0, 2, 1)).sum(axis=0).reshape(K, C, K, F)
        self.dW = np.ascontiguousarray(dkernels.transpose(3, 1, 0, 2))
        if not self.needs_dx:
            return None
        return gradient_of_input(self, self.W[:, :, ::-1].transpose(1, 3, 2, 0), dz, self.convolution.stride)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.convolution.output_shape(input_shape)


def gradient_of_input(layer, kernels: np.ndarray, dz: np.ndarray, step: int) -> np.ndarray:
    """Return dx: the gradient of the strips, of `kernels` (C, width, K, F), added up column by column, `step` apart."""
    C, H, W, N = layer.padded_shape
    dstrips = strip_gradients(kernels, dz, H, layer.convolution.stride).reshape(H, C, kernels.shape[1], -1, N)
    dx = np.zeros((C, H, W, N), dz.dtype)
    for j in range(dstrips.shape[2]):
        dx[:, :, j : j + step * dstrips.shape[3] : step] += dstrips[:, :, j].transpose(1, 0, 2, 3)
    return crop(dx.transpose(3, 0, 1, 2), layer.pad_width)


def strip_gradients(kernels: np.ndarray, dz: np.ndarray, H: int, stride: int) -> np.ndarray:
    """Return the gradient of the strips (H, C * width, w * N) from that of the rows of outputs (h, F, w * N).

    A row of outputs below looks at a row of the image with a row of the kernel above. So the `kernels`, of shape
    (C, width, K, F), have their K rows in reverse order.
    """
    C, width, K, _ = kernels.shape
    kernels = np.ascontiguousarray(kernels).reshape(C * width, K, -1)
    dstrips = np.empty((H, C * width, dz.shape[2]), dz.dtype)
    for row in range(H):
        first = max(0, -(-(row - K + 1) // stride))
        last = max(first, min(len(dz), row // stride + 1))
        start = first * stride + K - 1 - row
        row_kernels = kernels[:, start : start + (last - first) * stride : stride].reshape(len(kernels), -1)
        np.matmul(row_kernels, dz[first:last].reshape(-1, dz.shape[2]), out=dstrips[row])
    return dstrips


def view(x: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """Return the numbers of a contiguous array in another order, without a copy: `as_strided`, but within bounds."""
    return np.ndarray(shape, x.dtype, x, 0, strides)


def maximum_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return dL/dx of ``y = np.maximum(x[:, 0], x[:, 1])``: to the larger goes all of `dy`, to the first if equal."""
    dx = np.empty_like(x)
    np.multiply(dy, x[:, 0] >= x[:, 1], out=dx[:, 0])
    np.subtract(dy, dx[:, 0], out=dx[:, 1])
    return dx


def fuse(layer: Layer) -> Layer:
    """Return a copy that computes the same with the same parameter arrays, fused wherever that is exact, at any depth.

    What is fused is each run of precisely `Convolutional`, `ReLU` and ``MaxPooling(2)``, or the beginning of one (no
    subclasses: they may do something else), in a `Sequential`. The copy keeps to itself what it computes, see
    `copy_layer`.
    """
    twin = copy_layer(layer)
    for each in [twin, *all_layers(twin)]:
        if isinstance(each, Sequential):
            each.layers = _fuse_runs(each.layers)
    return twin


def _fuse_runs(layers: list) -> list[Layer]:
    fused, rest = [], list(layers)
    while rest:
        kinds = [type(layer) for layer in rest[:3]]
        if kinds[0] is not Convolutional:
            fused.append(rest.pop(0))
        elif kinds == [Convolutional, ReLU, MaxPooling] and rest[2].size == rest[2].stride == 2:
            fused.append(FusedConvolution(rest[0]))
            del rest[:3]
        else:
            relu = kinds[1:2] == [ReLU]
            fused.append(RowConvolution(rest[0], relu))
            del rest[: 1 + relu]
    return fused
