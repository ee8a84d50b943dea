"""Chapter 5, Convolution, forward: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnbook.checking import WrongAnswer, as_array, as_number, passed, require, require_array, require_number, run
from cnnlib.plots import show_array

LEFT_OVER = "#E69F00"  # hatched, too


def draw_images(images: dict[str, np.ndarray]) -> None:
    """Draw grey images side by side, each with its title."""
    figure, axes = plt.subplots(1, len(images), figsize=(2 * len(images), 2.2))
    for axis, (title, values) in zip(axes, images.items(), strict=True):
        axis.imshow(values)
        axis.set_title(title, loc="center")
        axis.axis("off")


def draw_maps(maps: dict[str, np.ndarray], limit: float | None = None, image: np.ndarray | None = None) -> None:
    """Draw feature maps side by side, purple where positive and orange where negative; a grey image before them."""
    first = {} if image is None else {"digit": image}
    figure, axes = plt.subplots(1, len(first) + len(maps), figsize=(2 * (len(first) + len(maps)), 2.3))
    for axis, (title, values) in zip(axes, (first | maps).items(), strict=True):
        if title in first:
            axis.imshow(values)
        else:
            largest = limit or abs(values).max()
            axis.imshow(values, cmap="PuOr", vmin=-largest, vmax=largest)
        axis.set_title(title, loc="center", fontsize=10)
        axis.axis("off")


def draw_channels(x: np.ndarray, kernels: np.ndarray, parts: Sequence[np.ndarray], bias: float) -> None:
    """Draw two channels, a kernel for each, what each gives, and below the sum of these outputs and the bias."""
    style = {"figsize": (4.9, 5), "width_ratios": [5, 3, 3], "height_ratios": [4, 4, 2.4]}
    figure, axes = plt.subplots(3, 3, **style)
    for c, (channel, kernel, part) in enumerate(zip(x, kernels, parts, strict=True)):
        show_array(axes[c, 0], channel, f"channel {c}")
        axes[c, 0].add_patch(plt.Rectangle((1, 0), 3, 3, fill=False, linewidth=2.5, clip_on=False))
        show_array(axes[c, 1], kernel, "its kernel")
        show_array(axes[c, 2], part, "its output", [(0, 1)])
    bottom = axes[2]
    bottom[0].axis("off")
    bottom[1].axis("off")
    words = f"the sum of both, + {bias:g}:"
    bottom[1].text(1, 0.5, words, ha="right", va="center", transform=bottom[1].transAxes)
    show_array(bottom[2], sum(parts) + bias, "$y$", [(0, 1)])


def draw_output_sizes(cases: Sequence[tuple[int, int]], K: int = 3, stride: int = 2) -> None:
    """Draw a row of H pixels for each case (H, padding), where a kernel fits below it, and what is left over."""
    figure, axes = plt.subplots(len(cases), 1, figsize=(6.4, 1.4 * len(cases)))
    for axis, (H, padding) in zip(axes, cases, strict=True):
        total = H + 2 * padding
        h = (total - K) // stride + 1
        seen = (h - 1) * stride + K
        for cell in range(total):
            zero = not padding <= cell < total - padding
            color = LEFT_OVER if cell >= seen else "white" if zero else "#D6E6F2"
            look = {"facecolor": color, "edgecolor": "black", "hatch": "//" if cell >= seen else ""}
            axis.add_patch(plt.Rectangle((cell, 0), 1, 1, **look))
            name = "0" if zero else f"$x_{cell - padding}$"
            text = axis.text(cell + 0.5, 0.5, name, ha="center", va="center")
            text.set_bbox({"facecolor": color, "edgecolor": "none", "pad": 1.5})
        for r in range(h):
            ends = [stride * r + 0.1, stride * r + K - 0.1]
            axis.plot(ends, [-0.3 - 0.35 * (r % 2)] * 2, color="C1", linewidth=4)
            axis.text(stride * r + K / 2, -1.25, f"$y_{r}$", ha="center", va="center", fontsize=10)
        axis.set(xlim=(-0.1, 10.1), ylim=(-1.6, 1.1), aspect="equal")
        axis.set_title(f"H = {H}, padding {padding}: h = {h}, {total - seen} left over", fontsize=10)
        axis.axis("off")


def draw_feature_map(padded: np.ndarray, y: np.ndarray, zeros: tuple[int, int], left_over: int) -> None:
    """Draw a padded image, the frame of the image in it and what no patch covers, and its feature map."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3.2))
    size = len(padded)
    left.imshow(padded, extent=(0, size, size, 0))
    inside = size - sum(zeros)
    if sum(zeros):
        left.add_patch(plt.Rectangle((zeros[0], zeros[0]), inside, inside, fill=False, linestyle="--", edgecolor="C0"))
    look = {"facecolor": LEFT_OVER, "edgecolor": "black", "hatch": "////", "linewidth": 0}
    if left_over:
        left.add_patch(plt.Rectangle((size - left_over, 0), left_over, size, **look))
        left.add_patch(plt.Rectangle((0, size - left_over), size, left_over, **look))
    left.set_title(f"padded image: {size} × {size}", loc="center")
    limit = abs(y).max()
    right.imshow(y, cmap="PuOr", vmin=-limit, vmax=limit)
    right.set_title(f"feature map: {y.shape[0]} × {y.shape[1]}", loc="center")
    for axis in (left, right):
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        for spine in axis.spines.values():
            spine.set_visible(True)


PATCH_COLORS = ("#56B4E9", "#E69F00", "#7CCFB6", "#DFA6C4")


def _cell(axis, row: float, column: float, text, color: str) -> None:
    """Draw one cell of a grid, with a text in it."""
    axis.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=color, edgecolor="black", linewidth=0.8))
    axis.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9)


def draw_patches(image: np.ndarray) -> None:
    """Draw the four 3x3 patches of a 4x4 image, each in its colour, and beside them the columns that im2col makes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 4.2), width_ratios=[10, 6])
    for patch, color in enumerate(PATCH_COLORS):
        r, s = divmod(patch, 2)
        name = "ABCD"[patch]
        left.text(5.6 * s, 5.8 * r - 0.25, f"patch {name}: $r={r}$, $s={s}$", fontsize=9)
        for u, v in np.ndindex(4, 4):
            inside = r <= u < r + 3 and s <= v < s + 3
            _cell(left, 5.8 * r + u, 5.6 * s + v, image[u, v], color if inside else "white")
        right.text(patch + 0.5, -0.25, name, ha="center", fontsize=9, fontweight="bold")
        for i, j in np.ndindex(3, 3):
            _cell(right, 3 * i + j, patch, image[r + i, s + j], color)
    for i, j in np.ndindex(3, 3):
        right.text(-0.2, 3 * i + j + 0.5, f"$({i},{j})$", ha="right", va="center", fontsize=9)
    left.set(xlim=(-0.1, 9.8), ylim=(10, -1), aspect="equal", title="the image, and its patches")
    right.set(xlim=(-1.5, 4.2), ylim=(9.2, -1), aspect="equal", title="columns")
    for axis in (left, right):
        axis.axis("off")


# The checks of the exercises


def check_sizes(answer: Sequence[int]) -> None:
    """Output rows of four layers on 28 rows."""
    answer = as_array(answer, "the answer", (4,)).tolist()
    require(answer != [23, 12, 13, 9], "counting starts at 0: one more fits than the division says.")
    require(all(number == np.floor(number) for number in answer), "rows are whole numbers: round down, or up for (d).")
    require(answer[0] != 28, '(a): "valid" means no zeros, so a 5x5 kernel has fewer positions.')
    require(answer[1] != 14, "(b): 25 / 2 is rounded down; half a step is no patch.")
    require(answer[2] not in (13, 12), "(c): the zeros are on both sides.")
    require(
        answer[3] not in (8, 9, 28), '(d): "same" keeps the size at stride 1; in general it is H / stride, rounded up.'
    )
    for letter, number, expected in zip("abcd", answer, (24, 13, 14, 10), strict=True):
        require_number(number, expected, f"Look at ({letter}) again: floor((H + zeros - K) / stride) + 1.")
    passed("24, 13, 14 and 10 rows.")


def _correlate(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    layer = cnnlib.Convolutional(1, 1, len(kernel), initializer="zeros", dtype=np.float64)
    layer.W[0, 0] = kernel
    return layer.forward(x[np.newaxis, np.newaxis])[0, 0]


def check_move(kernel: np.ndarray) -> None:
    """A 3x3 kernel whose cross-correlation moves the image one pixel to the right."""
    kernel = as_array(kernel, "the kernel")
    require(kernel.shape == (3, 3), f"expected a kernel of shape (3, 3), got {kernel.shape}.")
    x = np.random.default_rng(5).standard_normal((6, 7))
    y = _correlate(x, kernel)
    require(y.any(), "with these weights all outputs are 0.")
    for rows, columns, where in ((0, -1, "left"), (-1, 0, "up"), (1, 0, "down"), (0, 0, "nowhere")):
        moved = np.roll(x, (rows, columns), axis=(0, 1))[1:-1, 1:-1]
        require(not np.allclose(y, moved), f"this kernel moves the image {where}.")
    right = np.roll(x, 1, axis=1)[1:-1, 1:-1]
    require(not np.allclose(y, -right), "the image moves to the right, but its sign changes.")
    factor = np.sum(y * right) / np.sum(right**2)
    multiple = np.allclose(y, factor * right, atol=1e-6) and not np.allclose(factor, 1)
    require(not multiple, f"the image moves to the right, but it is multiplied by {factor:.3g}.")
    require_array(y, right, "How many pixels does each output depend on?")
    passed("With a true convolution, the 1 would stand on the other side.")


def check_cost(parameters: int, products: int) -> None:
    """Parameters and products of 16 filters of 5x5 on 6 channels of 14x14."""
    parameters, products = as_number(parameters, "parameters"), as_number(products, "products")
    for wrong, message in (
        (16 * 6 * 25, "each filter has a bias, too."),
        (16 * 26, "a filter has a kernel for each of the 6 channels."),
        (16 * 6 * 26, "a filter has one bias, not one for each channel."),
        (6 * 25 + 1, "that is one filter; there are 16."),
        (16 * (6 * 5 + 1), "a kernel has 5 x 5 weights."),
        (16 * 100 * 151, "all positions share the same weights."),
    ):
        require(parameters != wrong, message)
    require_number(parameters, 2416, "Parameters: count the weights of a filter, and its bias.", 1e-9)
    for wrong, message in (
        (16 * 14 * 14 * 150, "without padding, a 5x5 kernel has fewer than 14 x 14 positions."),
        (2400, "that is for one position; the layer has many of them."),
        (16 * 100 * 25, "each of the 6 channels has its own products."),
        (16 * 100 * 151, "a bias is added; it is no product."),
        (100 * 150, "that is for one filter; there are 16."),
        (16 * 81 * 150, "14 - 5 is one less than the number of positions."),
    ):
        require(products != wrong, message)
    require_number(products, 240_000, "Products: how many outputs are there, and how many products has each?", 1e-9)
    passed("2,416 parameters, 240,000 products.")


def _loops_1d(x: np.ndarray, W: np.ndarray, b: np.ndarray, stride: int) -> np.ndarray:
    K = W.shape[2]
    y = np.zeros((len(x), len(W), (x.shape[2] - K) // stride + 1))
    for n, f, r in np.ndindex(y.shape):
        y[n, f, r] = b[f] + np.sum(W[f] * x[n, :, r * stride : r * stride + K])
    return y


def check_convolve_1d(function: Callable) -> None:
    """Convolution of signals (N, C, L) with filters (F, C, K)."""
    rng = np.random.default_rng(6)
    for length, stride in ((9, 1), (9, 2), (10, 3)):
        x, W, b = rng.standard_normal((2, 3, length)), rng.standard_normal((4, 3, 4)), rng.standard_normal(4)
        y = as_array(run(function, x.copy(), W.copy(), b.copy(), stride), "y")
        expected = _loops_1d(x, W, b, stride)
        if y.shape == expected.shape:
            require(not np.allclose(y, _loops_1d(x, W, 0 * b, stride)), "the bias is missing.")
            require(not np.allclose(y, _loops_1d(x, W[:, :, ::-1], b, stride)), "the kernel is flipped.")
            one = _loops_1d(x[:, :1], W[:, :1], b, stride)
            require(not np.allclose(y, one), "only the first channel is used: sum over all.")
            thrice = expected + 2 * b[:, np.newaxis]
            require(not np.allclose(y, thrice), "the bias is added for each channel; it belongs to the filter.")
        elif y.shape == _loops_1d(x, W, b, 1).shape:
            require(False, f"the shape is {y.shape} for stride {stride}: that is what stride 1 gives.")
        require_array(y, expected, f"This was length {length}, stride {stride}.")
    passed("It agrees with the loops for three strides.")


class _Counted:
    """A number that counts how often such numbers are multiplied."""

    count = 0

    def __init__(self, value: float):
        self.value = float(value)

    def __float__(self) -> float:
        return self.value

    def __add__(self, other) -> "_Counted":
        return _Counted(self.value + float(other))

    def __mul__(self, other) -> "_Counted":
        _Counted.count += 1
        return _Counted(self.value * float(other))

    __radd__, __rmul__ = __add__, __mul__


def _count_products(function: Callable, *arrays: np.ndarray) -> int:
    """Return how many products a function computes, or 0 if it cannot work with numbers that count."""
    _Counted.count = 0
    try:
        run(function, *[np.vectorize(_Counted, otypes=[object])(array) for array in arrays])
    except WrongAnswer:
        return 0
    return _Counted.count


def check_separable(function: Callable, products: int) -> None:
    """A column and then a row, in place of a K x K kernel; and the products of both passes."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((9, 8))
    p, q = rng.standard_normal((2, 4))
    y = as_array(run(function, x.copy(), p.copy(), q.copy()), "y")
    if y.shape == (6, 5):
        require(not np.allclose(y, _correlate(x, np.outer(q, p))), "p belongs to the rows i, q to the columns j.")
        require(not np.allclose(y, _correlate(x, np.outer(p[::-1], q[::-1]))), "p and q are flipped.")
    require_array(y, _correlate(x, np.outer(p, q)), "First the sum over i with p, then the sum over j with q.")
    # The weights of the full kernel are beyond all numbers here, those of both passes are not.
    far = as_array(run(function, 1e-250 * x, 1e200 * p, 1e200 * q), "y")
    full = "it multiplies with the whole kernel p_i q_j: make two passes, each with a list of K weights."
    require(np.allclose(far, 1e150 * y, rtol=1e-6, atol=0), full)
    require(_count_products(function, x, p, q) <= 6 * 8 * 4 + 9 * 5 * 4, full)
    products = as_number(products, "products")
    for wrong, message in (
        (22 * 22 * 49, "that is what the 7x7 kernel needs in one pass."),
        (2 * 22 * 22 * 7, "the first pass must also compute the columns that the second looks at."),
        (2 * 22 * 28 * 7, "the second pass has fewer outputs than the first."),
        (22 * 28 * 7, "that is the first pass; the second comes on top."),
        (22 * 22 * 7, "that is the second pass; the first comes on top."),
        (22 * 28 * 7 * 22 * 22 * 7, "the passes come one after the other: their products add up."),
        (22 * 28 + 22 * 22, "these are the outputs; each needs several products."),
    ):
        require(products != wrong, message)
    require_number(products, 7700, "Outputs of a pass, times 7; then add the two passes.", 1e-9)
    passed(f"7,700 products instead of {22 * 22 * 49:,}.")


class _Recorded(np.ndarray):
    """An array that keeps how its entries were read."""

    reads: ClassVar[list] = []

    def __getitem__(self, key):
        parts = key if isinstance(key, tuple) else (key,)
        arrays = sum(isinstance(part, np.ndarray) and part.ndim > 0 for part in parts)
        _Recorded.reads.append(arrays)
        return np.asarray(self)[key]


def check_im2col(function: Callable) -> None:
    """The columns of several images, in the order of the library's `im2col`, by arrays of indices."""
    rng = np.random.default_rng(8)
    for shape, K, stride in (((1, 1, 4, 4), 3, 1), ((2, 3, 6, 5), 2, 1), ((3, 2, 7, 8), 3, 2)):
        x = rng.standard_normal(shape)
        N, C, H, W = shape
        h, w = (H - K) // stride + 1, (W - K) // stride + 1
        expected = cnnlib.im2col(x, K, stride)
        _Recorded.reads.clear()
        cols = as_array(run(function, x.copy().view(_Recorded), K, stride), "the columns")
        require(cols.shape != cnnlib.im2col(x, K).shape or stride == 1, "the stride is ignored.")
        if cols.shape == expected.shape:
            axes = expected.reshape(C, K, K, h, w, N)
            for order, what in (
                ((1, 2, 0, 3, 4, 5), "the rows are in the order (i, j, c), and should be in the order (c, i, j)."),
                ((0, 2, 1, 3, 4, 5), "i and j are swapped."),
                ((0, 1, 2, 5, 3, 4), "the columns are in the order (n, r, s), and should be in the order (r, s, n)."),
                ((0, 1, 2, 4, 3, 5), "r and s are swapped."),
            ):
                other = axes.transpose(order).reshape(expected.shape)
                require(np.allclose(other, expected) or not np.allclose(cols, other), what)
        elif cols.shape == expected.T.shape:
            require(False, "patches are columns, not rows: this is the transpose.")
        require_array(cols, expected, f"This was x of shape {shape}, K = {K}, stride {stride}.")
    by_arrays = max(_Recorded.reads, default=0) > 1
    require(by_arrays, "the columns are right, but not from x[...] with arrays of indices, x being as it came.")
    require(len(_Recorded.reads) == 1, f"x is read {len(_Recorded.reads)} times; one expression is enough.")
    passed("The same columns as the library's.")
