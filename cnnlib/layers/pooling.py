"""Max pooling: of every window, keep the largest value."""

import numpy as np

from cnnlib.checks import check_positive_int
from cnnlib.layers.layer import Layer


class MaxPooling(Layer):
    """Keep the largest value of every window.

    ``y[n, c, r, s] = max over 0 <= i, j < size of x[n, c, r * stride + i, s * stride + j]``

    On the way back, the gradient goes to the pixel that was the largest, and to no other. Where several are equally
    large, the first (row by row) takes it all: giving it to each of them would count it more than once.

    Parameters
    ----------
    size : int
        The height and width of a window.
    stride : int, optional
        The distance between neighbouring windows; by default `size`, so that they tile the image. Rows and columns
        that fill no whole window at the right and at the bottom are left out.

    Input shape
        ``(N, C, H, W)``
    Output shape
        ``(N, C, h, w)`` with ``h = (H - size) // stride + 1``, and w likewise

    Examples
    --------
    >>> x = np.array([[[[1.0, 5.0], [2.0, 3.0]]]])
    >>> layer = MaxPooling(2)
    >>> layer.forward(x).item()
    5.0
    >>> layer.backward(np.ones((1, 1, 1, 1)))[0, 0]
    array([[0., 1.],
           [0., 0.]])
    """

    def __init__(self, size: int = 2, stride: int | None = None):
        self.size = check_positive_int("size", size)
        self.stride = self.size if stride is None else check_positive_int("stride", stride)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        first, *others = self.window_views(x)
        self.y = first.copy(order="K")
        for view in others:
            np.maximum(self.y, view, out=self.y)
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx = np.zeros_like(self.x, dtype=dy.dtype)
        unassigned = np.ones_like(self.y, dtype=bool)  # windows whose gradient no pixel has received yet
        for view, dview in zip(self.window_views(self.x), self.window_views(dx), strict=True):
            is_max = unassigned & (view == self.y)
            dview += dy * is_max
            unassigned &= ~is_max
        return dx

    def window_views(self, x: np.ndarray) -> list[np.ndarray]:
        """Return size * size views of `x`: the first pixel of every window, the second of every window, and so on."""
        _, h, w = self.output_shape(x.shape[1:])
        rows, columns = self.stride * (h - 1) + 1, self.stride * (w - 1) + 1
        return [
            x[:, :, i : i + rows : self.stride, j : j + columns : self.stride]
            for i in range(self.size)
            for j in range(self.size)
        ]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) != 3:
            raise ValueError(f"{self!r} expected images (C, H, W), got the shape {input_shape}")
        if min(input_shape[1:]) < self.size:
            raise ValueError(f"{self!r}: the window is larger than the image, of shape {input_shape}")
        channels, *sizes = input_shape
        return (channels, *((n - self.size) // self.stride + 1 for n in sizes))


class AveragePooling(Layer):
    """Replace every window by its mean.

    ``y[n, c, r, s] = mean over 0 <= i, j < size of x[n, c, r * size + i, s * size + j]``

    On the way back, every pixel of a window gets ``dy / size²``. Rows and columns that fill no whole window at the
    right and at the bottom are left out.

    Parameters
    ----------
    size : int, optional
        The height and width of a window; by default, one window is the whole image.

    Input shape
        ``(N, C, H, W)``
    Output shape
        ``(N, C, H // size, W // size)``, or ``(N, C)`` where a window is the whole image
    """

    def __init__(self, size: int | None = None):
        self.size = None if size is None else check_positive_int("size", size)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x_shape = x.shape
        if self.size is None:
            return x.mean(axis=(2, 3))
        return sum(self.window_views(x)) / self.size**2

    def backward(self, dy: np.ndarray) -> np.ndarray:
        N, C, H, W = self.x_shape
        dx = np.moveaxis(np.zeros((C, H, W, N), dy.dtype, like=dy), -1, 0)
        if self.size is None:
            dx += dy[:, :, np.newaxis, np.newaxis] / (H * W)
            return dx
        for dview in self.window_views(dx):
            dview += dy / self.size**2
        return dx

    def window_views(self, x: np.ndarray) -> list[np.ndarray]:
        """Return size * size views of `x`: the first pixel of every window, the second of every window, and so on."""
        _, h, w = self.output_shape(x.shape[1:])
        x = x[:, :, : h * self.size, : w * self.size]
        return [x[:, :, i :: self.size, j :: self.size] for i in range(self.size) for j in range(self.size)]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) != 3 or min(input_shape) < 1:
            raise ValueError(f"{self!r} expected images (C, H, W), got the shape {input_shape}")
        if self.size is None:
            return input_shape[:1]
        if min(input_shape[1:]) < self.size:
            raise ValueError(f"{self!r}: the window is larger than the image, of shape {input_shape}")
        return (input_shape[0], *(n // self.size for n in input_shape[1:]))
