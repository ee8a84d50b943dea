"""The convolutional layer: one small set of weights, moved over the whole image."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnnlib import checks
from cnnlib.initializers import initialize
from cnnlib.layers.layer import Layer

PadWidth = tuple[tuple[int, int], tuple[int, int]]  # ((above, below), (left, right))


def pad(x: np.ndarray, pad_width: PadWidth) -> np.ndarray:
    """Surround images of shape (N, C, H, W) with zeros."""
    if pad_width == ((0, 0), (0, 0)):
        return x
    N, C, H, W = x.shape
    (above, below), (left, right) = pad_width
    padded = np.zeros((C, above + H + below, left + W + right, N), x.dtype, like=x)
    padded[:, above : above + H, left : left + W] = x.transpose(1, 2, 3, 0)
    return padded.transpose(3, 0, 1, 2)


def crop(x: np.ndarray, pad_width: PadWidth) -> np.ndarray:
    """Cut the padding off again: the transpose of `pad`, whose zeros depend on no input."""
    (above, below), (left, right) = pad_width
    return x[:, :, above : x.shape[2] - below, left : x.shape[3] - right]


def im2col(x: np.ndarray, kernel_size: int, stride: int = 1) -> np.ndarray:
    """Copy every patch that a kernel sees into a column, so that convolution becomes one matrix product.

    Parameters
    ----------
    x : ndarray of shape (N, C, H, W)
    kernel_size, stride : int
        K, and the distance between neighbouring patches.

    Returns
    -------
    ndarray of shape (C * K * K, h * w * N)
        Row ``(c, i, j)`` holds what the weight at ``(c, i, j)`` is multiplied with; column ``(r, s, n)`` holds the
        patch at row r, column s of image n. ``h = (H - K) // stride + 1``, and w likewise.

    Raises
    ------
    ValueError
        If the images are smaller than the kernel.
    """
    x = checks.as_array("x", x, ndim=4)
    (N, C, _, _), (h, w) = x.shape, count_patches(x.shape, kernel_size, stride)
    patches = sliding_window_view(x, (kernel_size, kernel_size), axis=(2, 3))[:, :, ::stride, ::stride]
    patches = patches.transpose(1, 4, 5, 2, 3, 0)  # from (n, c, r, s, i, j) to (c, i, j, r, s, n): still a view
    return patches.reshape(C * kernel_size**2, h * w * N)  # the one copy


def col2im(cols: np.ndarray, shape: tuple[int, int, int, int], kernel_size: int, stride: int = 1) -> np.ndarray:
    """Add every column back to the pixels that it was copied from: the transpose of `im2col`.

    A pixel that lies in several patches receives one contribution from each.

    Parameters
    ----------
    cols : ndarray of shape (C * K * K, h * w * N)
    shape : (N, C, H, W)
        The shape of the images to return.

    Returns
    -------
    ndarray of shape (N, C, H, W)
    """
    (N, C, H, W), (h, w) = shape, count_patches(shape, kernel_size, stride)
    cols = checks.check_columns(cols, (C * kernel_size**2, h * w * N)).reshape(C, kernel_size, kernel_size, h, w, N)
    x = np.zeros((C, H, W, N), cols.dtype, like=cols)
    for i in range(kernel_size):
        for j in range(kernel_size):
            x[:, i : i + stride * h : stride, j : j + stride * w : stride] += cols[:, i, j]
    return np.moveaxis(x, -1, 0)


def count_patches(shape: tuple[int, int, int, int], kernel_size: int, stride: int) -> tuple[int, int]:
    """Return h and w: how many patches images of that shape have; TypeError or ValueError if there are none."""
    checks.check_patches(shape, kernel_size, stride)
    return (shape[2] - kernel_size) // stride + 1, (shape[3] - kernel_size) // stride + 1


class Convolutional(Layer):
    """A layer of learned filters: each output is a small kernel's answer to one patch of the image.

    ``y[n, f, r, s] = b[f] + sum over c, i, j of W[f, c, i, j] * x[n, c, r * stride + i, s * stride + j]``

    on the padded image. Strictly speaking this is a cross-correlation (a convolution would flip the kernel); the field
    calls it convolution, and so does this book.

    Parameters
    ----------
    channels : int
        C, the channels of the input.
    filters : int
        F, the channels of the output.
    kernel_size : int
        K; kernels are square.
    stride : int
        The distance between neighbouring patches.
    padding : {"valid", "same"} or int
        Zeros around the image: none; as many as make the output ``ceil(H / stride)`` high; or that many on every side.
        Where "same" needs an odd number, the extra row and column go below and right.
    initializer : {"he", "glorot", "zeros"}
        How to draw the weights; biases start at zero.
    rng : numpy.random.Generator, optional
        The source of the initial weights.
    dtype : dtype
        float32 to train, float64 to check gradients.

    Input shape
        ``(N, C, H, W)``
    Output shape
        ``(N, F, h, w)`` with ``h = (H + padding before and after - K) // stride + 1``, and w likewise

    Attributes
    ----------
    W, dW : ndarray of shape (F, C, K, K)
    b, db : ndarray of shape (F,)

    Examples
    --------
    >>> layer = Convolutional(1, 6, kernel_size=5, padding="same", rng=0)
    >>> layer.forward(np.zeros((8, 1, 28, 28), np.float32)).shape
    (8, 6, 28, 28)
    """

    params = ("W", "b")

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel_size: int,
        stride: int = 1,
        padding: str | int = "valid",
        initializer: str = "he",
        *,
        rng=None,
        dtype=np.float32,
    ):
        self.channels = checks.check_positive_int("channels", channels)
        self.filters = checks.check_positive_int("filters", filters)
        self.kernel_size = checks.check_positive_int("kernel_size", kernel_size)
        self.stride, self.padding = checks.check_stride(stride), checks.check_padding(padding)
        self.initializer = initializer
        area = kernel_size**2
        shape = (filters, channels, kernel_size, kernel_size)
        self.W = initialize(initializer, shape, channels * area, filters * area, rng, dtype)
        self.b = np.zeros(filters, self.W.dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        _, h, w = self.output_shape(x.shape[1:])
        self.pad_width = self.compute_pad_width(*x.shape[2:])
        x = pad(x, self.pad_width)
        self.padded_shape = x.shape
        self.cols = im2col(x, self.kernel_size, self.stride)
        y = self.W.reshape(self.filters, -1) @ self.cols + self.b[:, np.newaxis]  # (F, h * w * N)
        return np.moveaxis(y.reshape(self.filters, h, w, -1), -1, 0)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        dy = np.moveaxis(dy, 0, -1).reshape(self.filters, -1)  # (F, h * w * N)
        self.dW = (self.cols @ dy.T).T.reshape(self.W.shape)  # dy @ cols.T, in the order that is faster for wide cols
        self.db = dy.sum(axis=1)
        if not self.needs_dx:
            return None
        dcols = self.W.reshape(self.filters, -1).T @ dy
        return crop(col2im(dcols, self.padded_shape, self.kernel_size, self.stride), self.pad_width)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) != 3 or input_shape[0] != self.channels:
            raise ValueError(f"{self!r} expected ({self.channels}, H, W) per example, got the shape {input_shape}")
        pad_width = self.compute_pad_width(*input_shape[1:])
        H, W = (size + sum(added) for size, added in zip(input_shape[1:], pad_width, strict=True))
        if min(H, W) < self.kernel_size:
            raise ValueError(f"{self!r}: the kernel is larger than the padded image, of shape {input_shape}")
        h, w = ((size - self.kernel_size) // self.stride + 1 for size in (H, W))
        return (self.filters, h, w)

    def compute_pad_width(self, height: int, width: int) -> PadWidth:
        """Return the zeros to add around an image of that size: ((above, below), (left, right))."""
        if self.padding == "same":
            totals = [max((-(-n // self.stride) - 1) * self.stride + self.kernel_size - n, 0) for n in (height, width)]
            return tuple((total // 2, total - total // 2) for total in totals)
        return ((0, 0), (0, 0)) if self.padding == "valid" else ((self.padding, self.padding),) * 2
