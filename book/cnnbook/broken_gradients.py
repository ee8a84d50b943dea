"""Eight layers with a fault in each, for the broken-gradients lab, and the checks that go with them.

Do not read on if you want to find the faults by yourself: the lab shows each source in its solution.
"""

import copy
import re
import textwrap

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import WrongAnswer, passed, require, run
from cnnlib import Convolutional, Dense, GradientError, Layer, MaxPooling, Network, ReLU, Sigmoid, Softmax
from cnnlib.gradient_check import gradient_check
from cnnlib.layers.convolution import col2im, crop, im2col, pad


class Broken1(ReLU):
    """Meant to be a ReLU."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.y = np.maximum(x, 0)
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * (self.y >= 0)


class Broken2(Dense):
    """Meant to be a fully connected layer."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.dW = self.x.T @ dy / len(dy)
        self.db = dy.mean(axis=0)
        return dy @ self.W.T


class Broken3(Dense):
    """Meant to be a fully connected layer."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x = self.x
        dx, self.dW = np.zeros_like(x), np.zeros_like(self.W)
        for n in range(len(x)):
            dx[n] = self.W @ dy[n]
            self.dW += np.outer(x[n], dy[n])
            self.db = dy[n]
        return dx


class Broken4(Softmax):
    """Meant to be a softmax."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        y = self.y
        return y * (dy - (dy * y).sum(axis=0, keepdims=True))


class Broken5(Convolutional):
    """Meant to be a convolutional layer."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.shape = x.shape
        return super().forward(x)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dy = np.moveaxis(dy, 0, -1).reshape(self.filters, -1)
        self.dW = (self.cols @ dy.T).T.reshape(self.W.shape)
        self.db = dy.sum(axis=1)
        dcols = self.W.reshape(self.filters, -1).T @ dy
        dx = col2im(dcols, self.padded_shape, self.kernel_size, self.stride)
        H, W = self.shape[2:]
        return dx[:, :, :H, :W]


class Broken6(Convolutional):
    """Meant to be a convolutional layer of stride 1."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        super().backward(dy)  # dW and db
        # dx is a convolution too: of dy, with a margin of K - 1 zeros, and the kernels.
        margin = self.kernel_size - 1
        cols = im2col(pad(dy, ((margin, margin), (margin, margin))), self.kernel_size)
        kernels = self.W.transpose(1, 0, 2, 3)  # (C, F, K, K)
        dx = kernels.reshape(self.channels, -1) @ cols  # (C, H * W * N), of the padded image
        dx = dx.reshape(self.channels, *self.padded_shape[2:], -1)
        return crop(np.moveaxis(dx, -1, 0), self.pad_width)


class Broken7(Sigmoid):
    """Meant to be a sigmoid."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        y = x
        np.negative(y, out=y)
        np.exp(y, out=y)
        y += 1
        np.reciprocal(y, out=y)
        self.y = y
        return y


class Broken8(MaxPooling):
    """Meant to be max pooling."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x = self.x
        dx = np.zeros_like(x, dtype=dy.dtype)
        for candidate, dcandidate in zip(self.window_views(x), self.window_views(dx), strict=True):
            dcandidate += dy * (candidate == self.y)
        return dx


# The museum: faults that have been published, each under a name that says what it does.


class ReversedKernel(Convolutional):
    """A convolution that puts dW together in the reverse order, so that each kernel's gradient is turned by 180°."""

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        dx = super().backward(dy)
        self.dW = self.dW[:, :, ::-1, ::-1].copy()
        return dx


class LastPatchOnly(Convolutional):
    """A convolution whose col2im assigns where it should add up: a pixel keeps what the last of its patches says."""

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        if super().backward(dy) is None:  # dW and db are right
            return None
        (N, F, h, w), K, stride = dy.shape, self.kernel_size, self.stride
        dcols = self.W.reshape(F, -1).T @ np.moveaxis(dy, 0, -1).reshape(F, -1)
        dcols = dcols.reshape(self.channels, K, K, h, w, N)
        dx = np.zeros(self.padded_shape, dy.dtype)
        for i, j in np.ndindex(K, K):
            rows, columns = slice(i, i + stride * h, stride), slice(j, j + stride * w, stride)
            dx[:, :, rows, columns] = np.moveaxis(dcols[:, i, j], -1, 0)  # += would be right
        return crop(dx, self.pad_width)


class MaskOfOutputs(ReLU):
    """A ReLU whose mask is taken from its outputs with >=, and so is always true."""

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * (np.maximum(self.x, 0) >= 0)


def draw_museum(curves: dict[str, tuple[list[float], float]], right: list[float]) -> None:
    """Draw the loss of each epoch with each fault, beside that of the right layers, and the accuracy at the end."""
    figure, axes = plt.subplots(1, len(curves), figsize=(8.2, 2.9), sharey=True)
    for axis, (name, (losses, share)) in zip(axes, curves.items(), strict=True):
        axis.plot(np.arange(1, len(right) + 1), right, "o-", label="right")
        axis.plot(np.arange(1, len(losses) + 1), losses, "s--", label="with the fault")
        axis.set(title=f"{name}\n{share:.0%} read", xlabel="epoch", xticks=range(1, len(right) + 1), ylim=(0, None))
    axes[0].set_ylabel("loss")
    axes[0].legend()


BROKEN = (Broken1, Broken2, Broken3, Broken4, Broken5, Broken6, Broken7, Broken8)

# What each fault would do: the answer to a wrong suspicion, to hold against the message of the check.
SUSPECTS = {
    "axis": "A sum along the wrong axis mixes the examples: dx of one would change with dy of another.",
    "batch sum": "A missing sum over the batch leaves dx right, and makes dW or db the gradient of one example only.",
    "flip": "A kernel that is turned round leaves dW and db right, and spoils dx unless K is 1.",
    "in place": "An array that is overwritten makes two calls of forward with the same x differ.",
    "mask": "A mask that is always true lets dy through where the output does not move: there the difference is 0.",
    "mean": "A second 1/N makes every entry of a parameter's gradient too small, by the same factor: the batch size.",
    "padding": "A forgotten margin moves dx by as many pixels as the margin is wide; without padding nothing is wrong.",
    "ties": "A gradient that goes to all ties is right until several pixels of one window are exactly equal.",
}
FAULTS = ("mask", "mean", "batch sum", "axis", "padding", "flip", "in place", "ties")


def examine(function: Layer | Network, x: np.ndarray) -> None:
    """Run `gradient_check` and print what it says, with numbers of four digits: "passes", or the message."""
    try:
        gradient_check(function, x)
    except (GradientError, RuntimeError) as error:
        message = re.sub(r"-?\d+\.\d{4,}(e[+-]\d+)?", lambda number: f"{float(number[0]):.4g}", str(error))
        print(textwrap.fill(message, 80, subsequent_indent="  ", break_long_words=False))
    else:
        print("passes")


def both(function: Layer | Network, x: np.ndarray, name: str = "dx") -> tuple[np.ndarray, np.ndarray]:
    """Return one gradient twice: what `backward` says, and what central differences say.

    Both are in float64 and for the same random upstream gradient, as in `gradient_check`.

    Parameters
    ----------
    name : str
        Which gradient: "dx", "dW", ...
    """
    function = copy.deepcopy(function).astype(np.float64)
    x = np.array(x, dtype=np.float64)
    dy = np.random.default_rng(0).standard_normal(function.forward(x).shape)
    dx = function.backward(dy)
    array = x if name == "dx" else function.parameters()[name[1:]]
    analytic = (dx if name == "dx" else function.gradients()[name[1:]]).copy()
    numerical, step = np.zeros(array.shape), 1e-5
    for index in np.ndindex(array.shape):
        before = array[index]
        array[index] = before + step
        plus = function.forward(x).copy()
        array[index] = before - step
        minus = function.forward(x).copy()
        array[index] = before
        numerical[index] = np.sum(dy * (plus - minus)) / (2 * step)
    return analytic, numerical


def check_verdict(number: int, suspect: str) -> None:
    """Say whether the layer of that number has the fault of that name."""
    require(number in range(1, 9), f"the layers have the numbers 1 to 8, got {number!r}.")
    names = ", ".join(f'"{name}"' for name in SUSPECTS)
    require(isinstance(suspect, str) and suspect in SUSPECTS, f"the suspects are {names}; got {suspect!r}.")
    require(suspect == FAULTS[number - 1], f"{SUSPECTS[suspect]} Is that what you see?")
    passed("Now repair it, or open the solution.")


def build(number: int, layer: type[Layer]) -> tuple[Layer | Network, np.ndarray]:
    """Return what to check, made with a class that is meant to be right, and an input that shows its fault if not."""
    rng = np.random.default_rng(number)
    if number in (2, 3):
        return layer(3, 2, rng=rng), rng.standard_normal((4, 3))
    if number in (5, 6):
        return layer(2, 3, 3, padding="same", rng=rng), rng.standard_normal((2, 2, 5, 4))
    if number == 8:
        # Where the kernel sees nothing but padding, the outputs are all equal to the bias: ties that stay ties.
        network = Network([Convolutional(1, 2, 3, padding=4, rng=rng), layer(2)], (1, 6, 6))
        return network, rng.standard_normal((2, 1, 6, 6))
    return layer(), rng.standard_normal((4, 3))


def check_repaired(number: int, layer: type[Layer]) -> None:
    """Check a class that is meant to be the layer of that number without its fault."""
    require(number in range(1, 9), f"the layers have the numbers 1 to 8, got {number!r}.")
    is_layer = isinstance(layer, type) and issubclass(layer, Layer)
    require(is_layer, f"expected the class of a layer, the class itself, got {layer!r:.60}.")
    original = BROKEN[number - 1].__base__
    function, x = run(build, number, layer)
    expected = build(number, original)[0].forward(x.copy())
    y = run(function.forward, x.copy())
    require(np.shape(y) == expected.shape and np.allclose(y, expected), "forward no longer returns what it should.")
    for some in (x, x[:1]):
        try:
            run(gradient_check, function, some)
        except WrongAnswer as error:
            raise WrongAnswer(str(error.__cause__ or error)) from None
    passed(f"Every gradient of {layer.__name__} is right.")
