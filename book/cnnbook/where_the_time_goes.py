"""Chapter 23, Where the time goes: the ladder's rungs, its figures, then the checks of its exercises."""

import json
import math
import time
from collections.abc import Callable
from importlib import resources
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import cnnlib
from cnnbook.checking import as_number, passed, require, require_number, run
from cnnlib.layers import loops
from cnnlib.layers.convolution import crop, pad

LABELS = {"separate": "layer by layer", "columns": "with im2col", "fused": "fused"}
COLORS = ("#D55E00", "#E69F00", "#56B4E9", "#0072B2")


# The rungs of the ladder


class LoopConvolutional(cnnlib.Convolutional):
    """A convolution in plain loops."""

    def forward(self, x):
        self.pad_width = self.compute_pad_width(*x.shape[2:])
        self.x = pad(x, self.pad_width)
        return loops.convolve(self.x, self.W, self.b, self.stride)

    def backward(self, dy):
        arguments = self.x, self.W, dy, self.stride
        dx, self.dW, self.db = loops.convolve_backward(*arguments)
        return crop(dx, self.pad_width)


class LoopPooling(cnnlib.MaxPooling):
    """Max pooling in plain loops."""

    def forward(self, x):
        self.x = x
        return loops.max_pool(x, self.size, self.stride)

    def backward(self, dy):
        return loops.max_pool_backward(self.x, dy, self.size, self.stride)


class LoopDense(cnnlib.Dense):
    """A dense layer in plain loops."""

    def forward(self, x):
        self.x = x
        return loops.dense(x, self.W, self.b)

    def backward(self, dy):
        dx, self.dW, self.db = loops.dense_backward(self.x, self.W, dy)
        return dx


class BatchFirst(cnnlib.Convolutional):
    """A convolution of stride 1 by `im2col`, image after image: a stack of N matrix products."""

    def forward(self, x):
        self.pad_width = self.compute_pad_width(*x.shape[2:])
        x, K = np.ascontiguousarray(pad(x, self.pad_width)), self.kernel_size
        self.padded_shape = x.shape
        patches = sliding_window_view(x, (K, K), axis=(2, 3))
        N, C, h, w, _, _ = patches.shape
        patches = patches.transpose(0, 1, 4, 5, 2, 3)  # (N, C, K, K, h, w)
        self.cols = patches.reshape(N, C * K * K, h * w)  # a copy
        W = self.W.reshape(self.filters, -1)
        y = W @ self.cols + self.b[:, np.newaxis]  # N products
        return y.reshape(N, self.filters, h, w)

    def backward(self, dy):
        N, F, h, w = dy.shape
        dy = np.ascontiguousarray(dy).reshape(N, F, h * w)
        dW = (dy @ self.cols.transpose(0, 2, 1)).sum(axis=0)
        self.dW, self.db = dW.reshape(self.W.shape), dy.sum(axis=(0, 2))
        if not self.needs_dx:
            return None
        K = self.kernel_size
        dcols = (self.W.reshape(F, -1).T @ dy).reshape(N, -1, K, K, h, w)
        dx = np.zeros(self.padded_shape, dy.dtype)
        for i, j in np.ndindex(K, K):
            dx[:, :, i : i + h, j : j + w] += dcols[:, :, i, j]
        return crop(dx, self.pad_width)


def rebuild(network: cnnlib.Network, classes: dict[type, type]) -> cnnlib.Network:
    """Return a network of other classes with the same parameter arrays, without the softmax at its end."""
    layers = []
    for layer in network.layers[:-1]:
        new = classes.get(type(layer), type(layer))(**layer.config)
        for name, parameter in layer.parameters().items():
            setattr(new, name, parameter)
        layers.append(new)
    return cnnlib.Network(layers, input_shape=(1, 28, 28))


def rungs(network: cnnlib.Network) -> dict[str, cnnlib.Network]:
    """Return the same network four times: in loops, by matrix products in two orders of memory, and fused."""
    plain = rebuild(network, {})
    in_loops = {cnnlib.Convolutional: LoopConvolutional, cnnlib.MaxPooling: LoopPooling, cnnlib.Dense: LoopDense}
    return {
        "loops": rebuild(network, in_loops),
        "im2col, batch first": rebuild(network, {cnnlib.Convolutional: BatchFirst}),
        "im2col, batch last": plain,
        "fused": plain.fused(),
    }


def step(network: cnnlib.Network, x: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
    """Go forward and backward; return the gradients of all parameters."""
    network.layers[0].needs_dx = False
    network.forward(x)
    network.backward(dy)
    return list(network.gradients().values())


def same_gradients(ours: list[np.ndarray], others: list[np.ndarray]) -> bool:
    """Say whether no entry differs by more than 1e-5 of the largest of its array."""
    pairs = zip(ours, others, strict=True)
    return all(np.abs(a - b).max() <= 1e-5 * np.abs(b).max() for a, b in pairs)


# Counting


def products_of(network: cnnlib.Network) -> dict[str, int]:
    """Return the products that each layer with weights needs for one image, forward."""
    names = {cnnlib.Convolutional: "convolution", cnnlib.Dense: "dense"}
    products, counts = {}, dict.fromkeys(names, 0)
    for layer, shape in zip(network.layers, network.shapes, strict=True):
        if type(layer) in names:
            counts[type(layer)] += 1
            positions = math.prod(shape[1:])  # h * w of a convolution
            products[f"{names[type(layer)]} {counts[type(layer)]}"] = layer.W.size * positions
    return products


class Work(NamedTuple):
    """What a piece of the forward pass has to do: for each image, but `constant` for each batch."""

    name: str
    operations: int
    numbers: int  # read or written
    constant: int  # parameters, read once


def work_of(network: cnnlib.Network, way: str) -> list[Work]:
    """Return the pieces of a forward pass.

    Parameters
    ----------
    way : {"separate", "columns", "fused"}
        Layer by layer; with the columns of `im2col` written and read; or with convolution, ReLU and pooling in one.
    """
    pieces, counts = [], {}
    shape, layers = (1, 28, 28), list(zip(network.layers, network.shapes, strict=True))

    def add(kind: str, operations: int, numbers: int, constant: int = 0) -> None:
        counts[kind] = counts.get(kind, 0) + 1
        pieces.append(Work(f"{kind} {counts[kind]}", operations, numbers, constant))

    for index, (layer, output) in enumerate(layers):
        before, after = math.prod(shape), math.prod(output)
        if isinstance(layer, cnnlib.Convolutional):
            K, constant = layer.kernel_size, layer.W.size + layer.b.size
            operations, columns = 2 * layer.W.size * math.prod(output[1:]), shape[0] * K * K * math.prod(output[1:])
            if way == "separate":
                add("convolution", operations, before + after, constant)
            elif way == "columns":
                add("im2col", 0, before + columns)
                add("product", operations, columns + after, constant)
            else:
                pooled = math.prod(layers[index + 2][1])
                add("fused", operations * (K + 1) // K + 5 * pooled, before + pooled, constant)
        elif isinstance(layer, cnnlib.Dense):
            add("dense", 2 * layer.W.size, before + after, layer.W.size + layer.b.size)
        elif isinstance(layer, cnnlib.MaxPooling) and way != "fused":
            add("pooling", 3 * after, before + after)
        elif isinstance(layer, cnnlib.ReLU) and (way != "fused" or len(output) == 1):
            add("ReLU", after, before + after)
        shape = output
    return pieces


def bound_of(work: Work, batch: int, peak: float, bandwidth: float) -> dict[str, float]:
    """Return operations, bytes, intensity, and the least seconds for computing and for moving, for a batch."""
    operations, moved = work.operations * batch, 4 * (work.numbers * batch + work.constant)
    seconds = {"computing": operations / peak, "moving": moved / bandwidth}
    return {"operations": operations, "bytes": moved, "intensity": operations / moved, **seconds}


def figure_data(network: cnnlib.Network, stored: dict) -> dict:
    """Return what the live figure starts with: the pieces of LeNet-5, and the ladder of the stored reference run."""
    ladder = [
        {"name": name, "seconds": seconds, "operations": operations_of(network, name) * 60_000}
        for name, seconds in epochs(stored).items()
    ]
    ways = {way: [work._asdict() for work in work_of(network, way)] for way in LABELS}
    machine = {name: round(stored[name] / 1e9) for name in ("peak", "bandwidth")}  # GFLOP/s and GB/s
    return {"ways": ways, "labels": LABELS, "ladder": ladder, **machine}


def operations_of(network: cnnlib.Network, rung: str) -> int:
    """Return the operations of a training step for one image; the fused kernels are (K + 1)/K times as wide."""
    products = products_of(network)
    if rung == "fused":
        products = {name: count * 6 // 5 if "conv" in name else count for name, count in products.items()}
    first, *_ = products.values()
    return 2 * (3 * sum(products.values()) - first)


# Measuring


def seconds(work: Callable[[], object], repeat: int = 5) -> float:
    """Return the best of some runs: what disturbs a run only makes it longer."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def measure_machine() -> dict[str, float]:
    """Return the operations a second of a large matrix product, and the bytes a second of a large array."""
    a = np.random.default_rng(1).standard_normal((512, 512), dtype=np.float32)
    large = np.ones(16_000_000, np.float32)
    negative = seconds(lambda: np.negative(large, out=large), 10)
    return {"peak": 2 * 512**3 / seconds(lambda: a @ a, 30), "bandwidth": 2 * large.nbytes / negative}


def measure_order() -> dict[str, float]:
    """Return the seconds of `im2col` for one batch in two orders of memory."""
    images = np.random.default_rng(3).standard_normal((64, 6, 14, 14), dtype=np.float32)
    last = cnnlib.batch_last(images)
    return {
        "im2col, batch first": seconds(lambda: cnnlib.im2col(images, 5), 30),
        "im2col, batch last": seconds(lambda: cnnlib.im2col(last, 5), 30),
    }


def measure_lines() -> dict[str, float]:
    """Return the seconds to change the sign of all numbers of a large array, and of every sixteenth."""
    large = np.ones(16_000_000, np.float32)
    some = large[::16]
    return {
        "all numbers": seconds(lambda: np.negative(large, out=large), 10),
        "every 16th": seconds(lambda: np.negative(some, out=some), 10),
    }


def measure_points() -> dict[str, tuple[float, float]]:
    """Return intensity and operations a second of some code, from an addition to a large matrix product."""
    rng = np.random.default_rng(4)
    one, other = np.ones((2, 8_000_000), np.float32)
    points = {"addition": (1 / 12, len(one) / seconds(lambda: np.add(one, other, out=other), 10))}
    shapes = {
        "matrix times vector": (4096, 4096, 1),
        "product 1": (6, 25, 28 * 28 * 64),
        "product 2": (16, 150, 10 * 10 * 64),
        "large product": (512, 512, 512),
    }
    for name, (m, k, n) in shapes.items():
        a, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((m, k), (k, n)))
        took = seconds(lambda a=a, b=b: a @ b, 20)
        points[name] = (2 * m * k * n / (4 * (m * k + k * n + m * n)), 2 * m * k * n / took)
    return points


def measure_profile(network: cnnlib.Network, x: np.ndarray, dy: np.ndarray) -> dict[str, float]:
    """Return the seconds of every layer, forward and backward together."""
    times = {}
    names = [f"{index} {type(layer).__name__}" for index, layer in enumerate(network.layers)]
    for name, layer in zip(names, network.layers, strict=True):
        times[name] = seconds(lambda layer=layer, x=x: layer.forward(x), 20)
        x = layer.forward(x)
    for name, layer in reversed(list(zip(names, network.layers, strict=True))):
        times[name] += seconds(lambda layer=layer, dy=dy: layer.backward(dy), 20)
        dy = layer.backward(dy)
    return times


# The reference run


def reference(name: str = "ladder") -> dict:
    """Return what was measured once and is stored with the book: `scripts/measure_ladder.py`, or `scripts/bench.py`."""
    return json.loads((resources.files("cnnbook") / "results" / f"{name}.json").read_text("utf-8"))


def epochs(stored: dict) -> dict[str, float]:
    """Return the seconds of an epoch of 60,000 images on every rung."""
    return {name: 60_000 * took for name, took in stored["an image"].items()}


def beside(stored: dict[str, float], now: dict[str, float], unit: float = 1, name: str = "s") -> None:
    """Print numbers of the reference run and those of this machine in two columns."""
    print(f"{'':22}{'reference run':>16}{'this machine, now':>20}")
    for key, value in stored.items():
        columns = (f"{number / unit:,.{2 if number < 10 * unit else 0}f} {name}" for number in (value, now[key]))
        print("{:22}{:>16}{:>20}".format(key, *columns))


# A machine that can be disturbed at will


class Machine:
    """A simulated machine: work takes its time, but more when it is cold, disturbed, or when the machine has slowed.

    Parameters
    ----------
    seed : int
        What disturbs it is drawn from this.
    drift : float
        By how much of the first speed each call slows all later ones: a processor that gets warm.
    """

    def __init__(self, seed: int = 0, drift: float = 0.01):
        self.rng, self.drift = np.random.default_rng(seed), drift
        self.now, self.calls = 0.0, []

    def clock(self) -> float:
        """Return the simulated time in seconds, as `time.perf_counter` would."""
        return self.now

    def work(self, name: str, takes: float) -> Callable[[], None]:
        """Return a function that takes so many seconds on a quiet machine."""

        def work() -> None:
            cold = 6 if name not in self.calls else 1
            disturbed = 1 + self.rng.exponential(2) if self.rng.random() < 0.2 else 1
            self.now += takes * cold * disturbed * (1 + self.drift * len(self.calls))
            self.calls.append(name)

        return work


# Figures


def draw_operations(products: dict[str, int]) -> None:
    """Draw the operations of a training step for one image: forward, dW and dx of every layer."""
    _, axis = plt.subplots(figsize=(5, 2.5))
    left = np.zeros(len(products))
    for index, (label, color) in enumerate(zip(("forward", "$dW$", "$dx$"), COLORS[1:], strict=True)):
        widths = 2e-6 * np.array(list(products.values()))
        widths[0] *= index < 2  # the first layer computes no dx
        look = {"color": color, "edgecolor": "black", "linewidth": 0.6, "hatch": ("", "//", "..")[index]}
        axis.barh(list(products), widths, left=left, label=label, **look)
        left += widths
    axis.invert_yaxis()
    axis.set(xlabel="million operations for one image")
    axis.legend(loc="lower right")


def draw_orders(N: int = 3, w: int = 4) -> None:
    """Draw one row of pixels of every image as it lies in memory, in two orders.

    Marked is what `im2col` copies for the weight at (0, i, 0) and one row of three outputs: pixels 0 to 2.
    """
    figure, axes = plt.subplots(2, 1, figsize=(5, 1.9))
    first = list(np.ndindex(N, w))
    orders = {"batch first": first, "batch last": sorted(first, key=lambda place: place[::-1])}
    for axis, (title, order) in zip(axes, orders.items(), strict=True):
        for at, (n, s) in enumerate(order):
            color = COLORS[2] if s < w - 1 else "white"
            axis.add_patch(plt.Rectangle((at, 0), 1, 1, facecolor=color, edgecolor="black", linewidth=0.8))
            axis.text(at + 0.5, 0.5, f"{n},{s}", ha="center", va="center", fontsize=11, color="black")
        axis.set(xlim=(-0.1, len(order) + 0.1), ylim=(-0.1, 1.1), aspect="equal")
        axis.set_title(title, loc="left")
        axis.axis("off")


def draw_ladder(stored: dict[str, float], now: dict[str, float], bounds: tuple[float, float]) -> None:
    """Draw the seconds of an epoch on every rung, of the reference run and of this machine, and the two bounds."""
    figure, axes = plt.subplots(2, 1, figsize=(5, 4.8), sharex=True)
    titles = ("reference run", "this machine, now")
    for axis, title, times, bound in zip(axes, titles, (stored, now), bounds, strict=True):
        axis.barh(list(times), times.values(), color=COLORS, edgecolor="black", linewidth=0.6)
        look = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        for row, value in enumerate(times.values()):
            text = f"{value:.1f} s" if value < 3600 else f"{value / 3600:.0f} hours"
            axis.text(value * 1.2, row, text, va="center", fontsize=10, color="black", bbox=look, zorder=5)
        axis.axvline(bound, color="grey", linestyle="--", label=f"bound: {bound:.2f} s")
        axis.set(xscale="log", xlim=(0.3, max(*stored.values(), *now.values()) * 60))
        axis.set_title(title)
        axis.legend(loc="lower right")
        axis.invert_yaxis()
    axes[1].set(xlabel="seconds an epoch")


def draw_roofline(stored: dict, now: dict) -> None:
    """Draw rooflines and pieces of code below them, of the reference run and of this machine.

    Parameters
    ----------
    stored, now : dict
        ``peak`` and ``bandwidth``, and ``points``: intensity and operations a second by name.
    """
    figure, axes = plt.subplots(2, 1, figsize=(5, 6.4), sharex=True, sharey=True)
    intensity = np.geomspace(0.03, 300, 200)
    for axis, title, machine in zip(axes, ("reference run", "this machine, now"), (stored, now), strict=True):
        roof = np.minimum(machine["peak"], intensity * machine["bandwidth"]) / 1e9
        axis.loglog(intensity, roof, color="black", label="roofline")
        for (name, (i, speed)), marker in zip(
            machine["points"].items(), "osD^v"[: len(machine["points"])], strict=True
        ):
            axis.plot(i, speed / 1e9, marker, markersize=8, label=name, linestyle="none")
        axis.set(ylabel="GFLOP a second")
        axis.set_title(title)
    axes[1].set(xlabel="operations for each byte")
    axes[0].legend(loc="lower right")


def draw_pieces(network: cnnlib.Network, stored: dict) -> None:
    """Draw the roofline of the reference run, and on it the pieces of a forward pass of 64 images, layer by layer."""
    _, axis = plt.subplots(figsize=(5, 3.4))
    intensity = np.geomspace(0.05, 200, 200)
    axis.loglog(intensity, np.minimum(stored["peak"], intensity * stored["bandwidth"]) / 1e9, color="black")
    markers = {"convolution": "o", "dense": "s", "ReLU": "D", "pooling": "^"}
    for kind, marker in markers.items():
        found = [work for work in work_of(network, "separate") if work.name.startswith(kind)]
        bounds = [bound_of(work, 64, stored["peak"], stored["bandwidth"]) for work in found]
        speeds = [each["operations"] / max(each["computing"], each["moving"]) / 1e9 for each in bounds]
        look = {"marker": marker, "markersize": 8, "linestyle": "none", "label": kind}
        axis.plot([each["intensity"] for each in bounds], speeds, **look)
    axis.set(xlabel="operations for each byte", ylabel="GFLOP a second, at most")
    axis.legend(loc="lower right")


def draw_turns(together: dict[str, list[float]], turns: dict[str, list[float]]) -> None:
    """Draw the times of two functions, called one after the other and by turns, in the order of the calls."""
    figure, axes = plt.subplots(2, 1, figsize=(5, 5), sharex=True, sharey=True)
    count = len(together["A"])
    orders = {"first all of A, then all of B": (range(count), range(count, 2 * count))}
    orders["by turns"] = (range(0, 2 * count, 2), range(1, 2 * count, 2))
    for axis, times, (title, places) in zip(axes, (together, turns), orders.items(), strict=True):
        for name, marker, at in zip("AB", "os", places, strict=True):
            axis.plot(at, times[name], marker, label=name, linestyle="none", markersize=6)
        axis.set(ylabel="seconds", yscale="log")
        axis.set_title(title)
    axes[1].set(xlabel="number of the call")
    axes[0].legend(loc="upper right")


# The checks of the exercises


def check_flop(count: float) -> None:
    """A training step of LeNet-5's second convolution, for one image."""
    products, count = 16 * 10 * 10 * 6 * 25, as_number(count)
    require(count != 2 * products, "that is the forward pass alone; dW and dx need as many products each.")
    require(count != 3 * products, "those are the products; each also has an addition.")
    require(count != 4 * products, "this layer is not the first one: it computes dx, too.")
    require(count != products, "those are the products of the forward pass; there is more to a training step.")
    require(count != 6 * 16 * 14 * 14 * 6 * 25, "without padding the output is smaller than the input.")
    require_number(count, 6 * products, "Three times the products of the forward pass, two operations for each.")
    passed(f"{count:,.0f} operations")


def check_intensity(function: Callable) -> None:
    """The operations for each byte of a matrix product (m, k) @ (k, n) in float32."""
    for m, k, n in ((24, 36, 12_544), (64, 216, 1600), (1000, 1000, 1000)):
        answer, size = as_number(run(function, m, k, n)), m * k + k * n + m * n
        require(not np.isclose(answer, 2 * m * k * n / size), "a float32 has 4 bytes.")
        require(not np.isclose(answer, m * k * n / size / 4), "a product and an addition are two operations.")
        require(not np.isclose(answer, m * k * n / (2 * (m * k + k * n))), "the result is written, too.")
        require(not np.isclose(answer, 2 * size / (m * k * n)), "that is the bytes for each operation.")
        require(not np.isclose(answer, 2 * m * k * n / (8 * size)), "a float32 has 4 bytes, not 8.")
        require_number(answer, m * k * n / (2 * size), f"For m={m}, k={k}, n={n}: operations / bytes.")
    passed("Large matrices have a lot to do for each number that they fetch.")


def check_images(function: Callable) -> None:
    """The smallest batch for which the forward pass of a dense layer reaches the roof, or None."""
    for D, M, ridge in ((400, 120, 4), (120, 84, 10), (84, 10, 8), (1000, 1000, 50), (400, 120, 60)):
        answer = run(function, D, M, 1e9 * ridge, 1e9)
        case = f"For D={D}, M={M} and a roof that begins at {ridge} operations a byte: "
        gain, fixed = 2 * D * M - 4 * ridge * (D + M), 4 * ridge * (D * M + M)
        if gain <= 0:
            require(answer is None, f"{case}no batch is large enough; return None.")
            continue
        require(answer is not None, f"{case}there is such a batch.")
        answer, expected = as_number(answer), math.ceil(fixed / gain)
        if answer == expected:
            continue
        require(answer != expected - 1, f"{case}with {answer:g} images it does not quite reach the roof; round up.")
        require(np.isfinite(answer) and answer == int(answer), f"{case}{answer:g} images? Round up to a whole number.")
        halves = D * M - 4 * ridge * (D + M)
        message = "a product and an addition are two operations, and a float32 has 4 bytes."
        require(halves <= 0 or answer != math.ceil(fixed / halves), f"{case}{message}")
        require(answer != math.ceil(fixed / (2 * D * M)), f"{case}each image is read, and its output written.")
        require_number(answer, expected, f"{case}compare the intensity of N images with peak / bandwidth.")
    passed("The weights are read once for all images, so that more images make more of them.")


def check_threads(predict: Callable) -> None:
    """The time with n threads, from those with one and with two, by Amdahl's law."""
    for one, two, n in ((10.0, 7.0, 4), (3.0, 2.4, 16), (8.0, 4.0, 8)):
        answer, s = as_number(run(predict, one, two, n)), 2 * (1 - two / one)
        expected, case = one * (1 - s + s / n), f"For {one:g} s, {two:g} s and {n} threads: "
        if np.isclose(answer, expected):
            continue
        require(not np.isclose(answer, one / n), f"{case}a part of the work stays on one thread.")
        require(not np.isclose(answer, s), "that is the share s; the time was wanted.")
        require(not np.isclose(answer, one / expected), "that is the speedup; the time was wanted.")
        half = 1 - two / one
        require(
            not np.isclose(answer, one * (1 - half + half / n)),
            f"{case}two threads leave half of the share s, so that 1 - two / one is s / 2.",
        )
        require(answer > 0, f"{case}a time below zero? What is not shared does not get shorter.")
        require(not np.isclose(answer, one * (1 - s)), f"{case}that would be the time with endless threads.")
        require(not np.isclose(answer, two * 2 / n), f"{case}twice the threads do not halve the time once more.")
        require_number(answer, expected, f"{case}solve equation 23.3 for s, then put n in.")
    passed("And measure it nevertheless: threads also cost something.")


def check_ratio(ratio: Callable) -> None:
    """How many times as long B takes as A, on a machine that is cold, disturbed and slows down."""
    for seed, true in enumerate((1.25, 0.8, 1.0, 2.0, 1.5, 1.1)):
        machine = Machine(seed)
        a, b = machine.work("A", 1.0), machine.work("B", true)
        answer = as_number(run(ratio, a, b, machine.clock))
        calls = "".join(machine.calls)
        require({"A", "B"} <= set(calls), "call both functions, and look at the clock before and after.")
        require(min(calls.count("A"), calls.count("B")) > 2, "few calls say little: the first is slow, others may be.")
        switches = calls.count("AB") + calls.count("BA")
        require(switches > 3, "first all of A, then all of B: meanwhile the machine has changed. Take turns.")
        if not np.isclose(true, 1):
            inverse = abs(answer * true - 1) <= 0.05
            require(not inverse, "it is the other way round: how many times as long does B take?")
        require(
            abs(answer / true - 1) <= 0.05,
            f"it says {answer:.3g}, but B takes {true:g} times as long. Is there a slow call in what you compare? "
            "A mean keeps all of them; the best call, or the median of the ratios, does not.",
        )
    passed("Neither cold starts nor disturbances nor a machine that slows down have fooled it.")


def check_tiles(function: Callable) -> None:
    """The intensity of a matrix product (n, n) @ (n, n) in tiles of b by b."""
    for n, b in ((96, 8), (512, 64), (1024, 16), (128, 128)):
        answer, case = as_number(run(function, n, b)), f"For n={n} and b={b}: "
        reads, work = 2 * n**3 / b, 2 * n**3
        wrong = {
            reads / 2 + n**2: "both factors have a tile to read for each product of tiles.",
            reads: "the result is written, too.",
            2 * reads + n**2: "a tile of the result stays in the cache while its sum grows; it is written once.",
            reads / b + n**2: "there are (n / b)^3 products of tiles, and a tile has b * b numbers.",
            2 * n**3 + n**2: "in a tile, a number is read once and used b times.",
        }
        for moved, message in wrong.items():
            if not np.isclose(moved, reads + n**2):
                require(not np.isclose(answer, work / (4 * moved)), f"{case}{message}")
        if b != n:
            require(not np.isclose(answer, work / (12 * n**2)), f"{case}the whole matrices do not fit into the cache.")
        require(not np.isclose(answer, work / (reads + n**2)), "a float32 has 4 bytes.")
        require(not np.isclose(answer, work / (8 * (reads + n**2))), "count a product and an addition, and 4 bytes.")
        require_number(answer, work / (4 * (reads + n**2)), f"{case}operations / bytes.")
    passed("About b / 4: with tiles that are large enough, a product leaves the slope for good.")
