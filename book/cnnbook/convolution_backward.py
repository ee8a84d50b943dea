"""Chapter 6, Convolution, backward: its figures, then the checks of its exercises."""

from collections.abc import Callable
from functools import partial

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnbook.checking import as_array, call, passed, require, require_array, require_number, unpack
from cnnlib.plots import show_array


def draw_paths() -> None:
    """Draw five inputs, three outputs and a kernel of size 3; all paths of one weight, and all paths of one input."""
    figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.4))
    for axis, title in zip(axes, ("all paths of $W_0$", "all paths of $x_2$"), strict=True):
        for r, i in np.ndindex(3, 3):
            on = i == 0 if axis is axes[0] else r + i == 2
            color, width = (f"C{i}", 3) if on else ("#BBBBBB", 1)
            axis.plot([r + i, r + 1], [0, 1], color=color, linewidth=width, zorder=on + 1)
            if on:
                box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
                where = (r + 0.4 * i + 0.6, 0.6)
                axis.text(*where, f"$W_{i}$", ha="center", va="center", color=color, bbox=box, zorder=3)
        for count, offset, height, name in ((5, 0, 0, "x"), (3, 1, 1, "y")):
            for index in range(count):
                box = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": "black"}
                where = (index + offset, height)
                axis.text(*where, f"${name}_{index}$", ha="center", va="center", bbox=box, zorder=4)
        axis.set(xlim=(-0.4, 4.4), ylim=(-0.25, 1.25), title=title)
        axis.axis("off")


def draw_flip() -> None:
    """Draw a flipped kernel of size 3, shifted along an upstream gradient in zeros, and the sums that it makes."""
    padded = ("0", "0", "$dy_0$", "$dy_1$", "$dy_2$", "0", "0")
    figure, axes = plt.subplots(3, 1, figsize=(4.2, 5.4))
    for u, axis in enumerate(axes):
        terms = [(i, u + i - 2) for i in range(3) if 0 <= u + i - 2 < 3]  # place in the flipped kernel, output
        for place, text in enumerate(padded):
            face = "#D8DAEB" if text != "0" else "none"
            axis.add_patch(plt.Rectangle((place, 1), 1, 1, facecolor=face, edgecolor="0.6"))
            axis.text(place + 0.5, 1.5, text, ha="center", va="center")
        for i in range(3):
            used = i in dict(terms)
            axis.add_patch(plt.Rectangle((u + i, 0), 1, 1, facecolor="#FEE0B6" if used else "none", edgecolor="0.6"))
            axis.text(u + i + 0.5, 0.5, f"$W_{2 - i}$", ha="center", va="center")
        axis.add_patch(plt.Rectangle((u, 0), 3, 2, fill=False, edgecolor="black", linewidth=2, zorder=3))
        total = " + ".join(f"W_{2 - i}\\, dy_{r}" for i, r in terms)
        axis.text(0, 2.5, f"$dx_{u} = {total}$", va="center")
        axis.set(xlim=(-0.1, 7.1), ylim=(-0.15, 3))
        axis.axis("off")


def draw_flow(dy: np.ndarray, kernel: np.ndarray, dx: np.ndarray, padding: int) -> None:
    """Draw an upstream gradient with a single 1, the kernel, and the gradient of the padded image.

    A thick frame is around the 1, and a dashed one around the pixels that are left when the margins are cropped.
    """
    sizes = [len(dy), len(kernel), len(dx)]
    figure, axes = plt.subplots(1, 3, figsize=(7, 3.2), width_ratios=sizes)
    show_array(axes[0], dy, "$dy$", list(zip(*np.nonzero(dy), strict=True)))
    show_array(axes[1], kernel, "$W$")
    show_array(axes[2], dx, r"$d\tilde{x}$")
    inside = len(dx) - 2 * padding
    look = {"fill": False, "linewidth": 2, "linestyle": "--", "edgecolor": "black", "clip_on": False, "zorder": 3}
    axes[2].add_patch(plt.Rectangle((padding, padding), inside, inside, **look))


def draw_matrices(im2col: np.ndarray, col2im: np.ndarray) -> None:
    """Draw the matrices of im2col and of col2im; their ones are purple."""
    figure, axes = plt.subplots(1, 2, figsize=(6.8, 4.1), width_ratios=[9, 16])
    panels = (("im2col", im2col, "entry of cols", "pixel"), ("col2im", col2im, "pixel", "entry of cols"))
    for axis, (title, matrix, down, across) in zip(axes, panels, strict=True):
        axis.imshow(matrix, cmap="PuOr", vmin=-1.2, vmax=1.2)
        axis.set(title=title, ylabel=down, xlabel=across)
        axis.set_xticks(np.arange(matrix.shape[1]) - 0.5, [])
        axis.set_yticks(np.arange(matrix.shape[0]) - 0.5, [])


def gradient_examples() -> dict[str, dict]:
    """Return small examples for the reader's gradients: two images of one channel, a kernel, two upstream gradients.

    Their numbers are chosen so that every known mistake gives another wrong answer.
    """
    W = np.array([[1, 2, -1], [3, -2, 4], [0, 5, -3]])
    x = np.array(
        [[[2, 1, 0, 3, 1], [1, 0, 2, 1, 4], [0, 3, 1, 2, 0]], [[1, 0, 2, 1, 3], [2, 1, 1, 0, 2], [3, 1, 0, 4, 1]]]
    )
    dy = np.array([[[2, -1, 3, 2]], [[3, 5, -1, 4]]])
    examples = {"stride 1": (x, 1, 0), "stride 2": (x, 2, 0), "stride 1, padding 1": (x[:, :1, :4], 1, 1)}
    result = {}
    for name, (images, stride, padding) in examples.items():
        _, h, w = cnnlib.Convolutional(1, 1, 3, stride, padding).output_shape((1, *images.shape[1:]))
        result[name] = {"x": images, "W": W, "dy": dy[:, :h, :w], "stride": stride, "padding": padding}
    return result


def draw_task(x: np.ndarray, W: np.ndarray, dy: np.ndarray, **settings: int) -> None:
    """Draw one of these examples, and empty cells for the gradient of its first image."""
    parts = {"x[0]": x[0], "x[1]": x[1], "W": W, "dy[0]": dy[0], "dy[1]": dy[1]}
    figure, axes = plt.subplots(2, 3, figsize=(6, 3))
    for axis, (name, values) in zip(axes.flat, parts.items(), strict=False):
        show_array(axis, values, name)
    show_array(axes[1, 2], np.zeros(x[0].shape), "your dx[0]", form="")
    for text in axes[1, 2].texts:
        text.set_visible(False)
    axes[1, 2].grid(color="0.6")


# The checks of the exercises


def _slope(evaluate: Callable[[], np.ndarray], dy: np.ndarray, array: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Return the gradient of ``sum(dy * evaluate())`` with respect to `array`, by central differences."""
    slope = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        before = array[index]
        array[index] = before + h
        plus = evaluate().copy()
        array[index] = before - h
        slope[index] = np.sum(dy * (plus - evaluate())) / (2 * h)
        array[index] = before
    return slope


def check_by_hand(dW: np.ndarray, db: float, dx: np.ndarray) -> None:
    """x = (1, 2, 0, -1, 3), W = (2, 0, -1), dy = (3, -1), stride 2."""
    dW, dx = as_array(dW), as_array(dx)
    require(not np.array_equal(dW, [3, 7, -3][::-1]), "dW is turned round; only in dx does the kernel run backwards.")
    require(not np.array_equal(dW, [1, 6, 1]), "this is dW for stride 1: the second patch begins at x2.")
    require_array(
        dW,
        np.array([3.0, 7.0, -3.0]),
        "In dW, W_i collects dy times the pixel that it meets in each patch.",
        tell=False,
    )
    require_number(db, 2, "In which outputs does the bias occur, and with which factor?")
    if dx.shape == (5,):
        require(not np.array_equal(dx, [6, -2, -3, 1, 0]), "this is dx for stride 1: the second patch begins at x2.")
        require(dx[2] not in (-3, -2), "x2 lies in both patches: its two contributions add up.")
        require(not np.array_equal(dx, [-3, 0, 7, 0, -2]), "the kernel is flipped: W_0 goes to a patch's first pixel.")
    require_array(
        dx, np.array([6.0, 0.0, -5.0, 0.0, 1.0]), "In dx, each dy adds its multiple of W to its own patch.", tell=False
    )
    passed("dW = (3, 7, -3), db = 2, dx = (6, 0, -5, 0, 1).")


def check_patches(counts: np.ndarray) -> None:
    """In how many patches each of 9 pixels lies, for K = 4 and stride 2."""
    counts = as_array(counts)
    require(counts.shape == (9,), f"expected nine numbers, got an array of shape {counts.shape}.")
    require(counts[8] == 0, "a patch at 6 would need the pixels 6 to 9, and there is no pixel 9.")
    require(counts.max() < 4, "that is more than K / stride patches for one pixel; was the stride used?")
    require(
        not np.array_equal(counts, [1, 1, 2, 1, 1, 2, 1, 1, 0]),
        "one pixel too few in each patch: K = 4 pixels belong to it.",
    )
    require_array(
        counts,
        np.array([1.0, 1, 2, 2, 2, 2, 1, 1, 0]),
        "Write down which pixels each patch covers.",
        tell=False,
    )
    passed("The last pixel is left over; its gradient is zero.")


def _forward_1d(x: np.ndarray, W: np.ndarray, stride: int) -> np.ndarray:
    K = W.shape[2]
    positions = range(0, x.shape[2] - K + 1, stride)
    return np.stack([np.einsum("nck,fck->nf", x[:, :, r : r + K], W) for r in positions], axis=2)


def check_backward_1d(function: Callable) -> None:
    """dx, dW and db of a convolution of signals (N, C, L) with filters (F, C, K)."""
    rng = np.random.default_rng(61)
    for N, C, length, F, K, stride in ((2, 3, 7, 4, 3, 1), (1, 2, 8, 3, 4, 2), (3, 1, 9, 2, 2, 3)):
        x, W = rng.standard_normal((N, C, length)), rng.standard_normal((F, C, K))
        forward = partial(_forward_1d, x, W, stride)
        dy = rng.standard_normal(forward().shape)
        dx, dW, db = unpack(call(function, x, W, dy, stride), 3, "dx, dW and db")
        where = f"This was x of shape {x.shape}, W of shape {W.shape}, stride {stride}."
        if np.shape(dx) == x.shape:
            flipped = _slope(partial(_forward_1d, x, W[:, :, ::-1], stride), dy, x)
            require(not np.allclose(as_array(dx), flipped), "in dx the kernel runs the wrong way.")
        require_array(dx, _slope(forward, dy, x), f"dx: does a pixel collect from all its patches? {where}", 1e-7)
        require_array(dW, _slope(forward, dy, W), f"dW: is the sum over batch and positions there? {where}", 1e-7)
        require_array(db, dy.sum(axis=(0, 2)), f"db: the sum over batch and positions. {where}", 1e-7)
    passed("All three gradients agree with central differences, for three strides.")


def check_depthwise(function: Callable) -> None:
    """dx and dW of a convolution in which each channel has a kernel of its own."""
    rng = np.random.default_rng(62)
    for shape, K in (((2, 3, 5, 6), 2), ((1, 2, 6, 4), 3)):
        x, W = rng.standard_normal(shape), rng.standard_normal((shape[1], K, K))

        def forward(x: np.ndarray = x, W: np.ndarray = W, K: int = K) -> np.ndarray:
            windows = np.lib.stride_tricks.sliding_window_view(x, (K, K), axis=(2, 3))
            return np.einsum("nchwij,cij->nchw", windows, W)

        dy = rng.standard_normal(forward().shape)
        dx, dW = unpack(call(function, x, W, dy), 2, "dx and dW")
        require(
            np.shape(dW) != (len(x), *W.shape),
            "dW still has an axis for the batch; the weights are shared by all images.",
        )
        expected = _slope(forward, dy, x)
        if np.shape(dx) == x.shape:
            mixed = expected.sum(axis=1, keepdims=True).repeat(shape[1], axis=1)
            require(not np.allclose(as_array(dx), mixed), "dx mixes the channels.")
            flipped = _slope(partial(forward, W=W[:, ::-1, ::-1]), dy, x)
            require(not np.allclose(as_array(dx), flipped), "in dx the kernel runs the wrong way.")
        require_array(dx, expected, "dx: += for each offset, since patches overlap; channels stay apart.", 1e-7)
        require_array(dW, _slope(forward, dy, W), "dW: the sum over batch and positions, for each channel.", 1e-7)
    passed("Both gradients agree with central differences.")


def check_dilated(forward: Callable, backward: Callable) -> None:
    """im2col with a distance between the kernel's pixels, and its transpose."""
    rng = np.random.default_rng(63)
    for shape, K, d in (((2, 2, 5, 6), 3, 1), ((1, 3, 7, 6), 3, 2), ((2, 1, 9, 8), 2, 3)):
        N, C, H, W = shape
        h, w = H - d * (K - 1), W - d * (K - 1)
        x = rng.standard_normal(shape)
        expected = np.empty((C, K, K, h, w, N))
        for c, i, j, r, s, n in np.ndindex(expected.shape):
            expected[c, i, j, r, s, n] = x[n, c, r + d * i, s + d * j]
        cols = as_array(call(forward, x, K, d))
        where = f"This was x of shape {shape}, K = {K}, d = {d}."
        strided = cnnlib.im2col(x, K, d)
        if d > 1 and cols.shape == strided.shape:
            require(not np.array_equal(cols, strided), "that is a stride: the kernel itself is spread, and moves by 1.")
        require_array(cols, expected.reshape(C * K * K, -1), f"im2col_dilated: {where}")
        c = rng.standard_normal(cols.shape)
        image = as_array(call(backward, c, shape, K, d))
        require(image.shape == shape, f"col2im_dilated must return {shape}.")
        left, other = np.sum(cols * c), np.sum(x * image)
        require(abs(left - other) < 1e-9 * np.abs(cols * c).sum(), f"<im2col(x), c> is not <x, col2im(c)>. {where}")
    passed("The inner products agree: one is the transpose of the other.")


def _transposed(x: np.ndarray, W: np.ndarray, stride: int) -> np.ndarray:
    (N, _, h, w), (_, C, K, _) = x.shape, W.shape
    y = np.zeros((N, C, (h - 1) * stride + K, (w - 1) * stride + K))
    for r, s in np.ndindex(h, w):
        patch = np.s_[:, :, r * stride : r * stride + K, s * stride : s * stride + K]
        y[patch] += np.einsum("nf,fcij->ncij", x[:, :, r, s], W)
    return y


def check_transposed(forward: Callable, backward: Callable) -> None:
    """A layer that does forward what the backward pass of a convolution does to dy."""
    rng = np.random.default_rng(64)
    for N, F, C, K, stride in ((2, 4, 2, 3, 1), (1, 3, 2, 2, 2), (2, 1, 3, 4, 3), (3, 2, 1, 3, 2)):
        x, W = rng.standard_normal((N, F, 2, 3)), rng.standard_normal((F, C, K, K))
        layer = partial(_transposed, x, W, stride)
        expected, turned = layer(), _transposed(x, W[:, :, ::-1, ::-1], stride)
        where = f"This was x of shape {x.shape}, W of shape {W.shape}, stride {stride}."
        y = as_array(call(forward, x, W, stride))
        require(y.shape != turned.shape or not np.allclose(y, turned), "the kernel is flipped: each x adds W as it is.")
        require_array(y, expected, f"Each x adds x * W to a patch of the output. {where}")
        dy = rng.standard_normal(expected.shape)
        dx, dW = unpack(call(backward, x, W, dy, stride), 2, "dx and dW")
        require_array(dx, _slope(layer, dy, x), f"dx: an ordinary convolution of dy with W. {where}", 1e-7)
        require_array(dW, _slope(layer, dy, W), f"dW: each W collects x * dy over batch and positions. {where}", 1e-7)
    passed("It agrees with its definition, its gradients with central differences.")
