"""Chapter 2, The chain rule, and how to check a gradient: its figures, then the checks of its exercises."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.broken_gradients import Broken1
from cnnbook.checking import (
    as_array,
    as_number,
    make_layer,
    passed,
    require,
    require_array,
    require_gradients,
    require_number,
    run,
)
from cnnlib import Layer, ReLU


def draw_losses(losses: dict[str, Sequence[float]]) -> None:
    """Draw two loss curves by epoch, under their names."""
    figure, axis = plt.subplots(figsize=(5.6, 3))
    for (name, values), style in zip(losses.items(), ("o-", "s--"), strict=True):
        axis.plot(np.arange(1, len(values) + 1), values, style, label=name)
    axis.set(xlabel="epoch", title="Loss", ylim=(0, None))
    axis.legend()


def draw_graph(values: dict[str, float], slopes: dict[str, float]) -> None:
    """Draw u = x w, v = u + b, L = u v as a graph, with the local slopes on the arrows and dL/d... beside the boxes."""
    places = {"x": (0, 2), "w": (0, 0.6), "b": (1.7, 0), "u": (1.7, 1.4), "v": (3.4, 0.4), "L": (5.1, 1.4)}
    local = {"xu": values["w"], "wu": values["x"], "uv": 1, "bv": 1, "uL": values["v"], "vL": values["u"]}
    arrow = {"arrowstyle": "->", "shrinkA": 26, "shrinkB": 26, "color": "0.35"}
    centred = {"ha": "center", "va": "center"}
    figure, axis = plt.subplots(figsize=(7.4, 3.6))
    for (start, end), slope in local.items():
        (x0, y0), (x1, y1) = places[start], places[end]
        axis.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
        axis.text((x0 + x1) / 2, (y0 + y1) / 2, f"×{slope:g}", backgroundcolor="white", **centred)
    for name, (across, up) in places.items():
        box = {"boxstyle": "round,pad=0.5", "fc": "#DCEBF5"}
        axis.text(across, up, f"{name} = {values[name]:g}".replace("-", "−"), bbox=box, **centred)
        paths = f"{values['v']:g} + {slopes['v']:g} = " if name == "u" else ""
        beside = up + (0.36 if name == "u" else -0.36)
        axis.text(across, beside, f"d{name} = {paths}{slopes[name]:g}", color="#B34700", weight="bold", **centred)
    axis.set(xlim=(-0.6, 5.8), ylim=(-0.6, 2.4))
    axis.set_axis_off()


def draw_errors(steps: np.ndarray, forward: np.ndarray, central: np.ndarray, single: np.ndarray) -> None:
    """Draw the relative errors of differences of exp at 1 over the step, with the lines that theory expects."""
    epsilon = np.finfo(float).eps
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True)
    left.loglog(steps, forward, "s", color="C1", label="forward")
    left.loglog(steps, central, "o", color="C0", label="central")
    left.loglog(steps, steps / 2, ":", color="C1", linewidth=1.3, label="$h/2$")
    left.loglog(steps, steps**2 / 6, "--", color="C0", linewidth=1.3, label="$h^2/6$")
    left.loglog(steps, 1.5 * epsilon / steps, "-.", color="black", linewidth=1.3, label="$1.5\\,\\varepsilon/h$")
    right.loglog(steps, np.maximum(central, 1e-16), "o", color="C0", label="central, float64")
    right.loglog(steps, single, "^", color="C2", label="central, float32")
    for axis, title in ((left, "float64"), (right, "float64 and float32")):
        axis.set(xlabel="step $h$", title=title, ylim=(1e-13, 30))
        axis.legend(fontsize=9)
    left.set(ylabel="relative error")


def draw_secant(f: Callable, x: float, slope: float, h: float) -> None:
    """Draw f as floating-point numbers have it, from x - 2h to x + 2h, with its tangent and its central difference."""
    offsets = np.linspace(-2, 2, 801)  # in units of h, as is the vertical axis
    measured = (f(x + h) - f(x - h)) / (2 * h)
    figure, axis = plt.subplots(figsize=(5.6, 3.4))
    axis.plot(offsets, (f(x + offsets * h) - f(x)) / h, label="the function as computed")
    axis.plot(offsets, slope * offsets, "--", color="black", linewidth=1.3, label=f"true slope {slope:.5f}")
    ends = np.array([-1.0, 1.0])
    chord = (f(x + ends * h) - f(x)) / h
    axis.plot(ends, chord, "s-", color="C1", label=f"central difference {measured:.5f}")
    axis.set(xlabel=f"distance from $x = {x:g}$, in steps $h$", ylabel="rise, in steps $h$")
    axis.set_title(f"$h$ = {h:.0e}, relative error {abs(measured / slope - 1):.0e}")
    axis.legend(fontsize=9)


# The checks of the exercises


class Suspect(Broken1):
    """Meant to be a ReLU."""


def suspects() -> dict[str, type[Layer]]:
    """Two activations, one of which has a wrong backward pass."""
    return {"A": ReLU, "B": Suspect}


def check_graph(dx: float, dw: float, db: float) -> None:
    """The slopes of L = u v, u = x + w, v = x b, at x = 1, w = 2, b = -3."""
    dx, dw, db = as_number(dx, "dx"), as_number(dw, "dw"), as_number(db, "db")
    require((dw, db) != (3, -3), "in a product, the slope for one factor is the other factor.")
    require_number(dw, -3, "For dw: w is on one path to L, through u. What does u meet there?")
    require_number(db, 3, "For db: b is on one path to L, through v. Multiply the slopes of its two arrows.")
    require(dx not in (-3, -9), "x reaches L on two paths, through u and through v: add what comes along each.")
    require(dx not in (-6, 6), "both paths of x have the right length, but one has the wrong sign.")
    require(dx != 27, "slopes multiply along a path, but paths add.")
    require_number(dx, -12, "For dx: two paths, one through u and one through v.")
    passed("dx = -12, dw = -3, db = 3")


def check_batch_size(count: int) -> None:
    """The N with 1 - 1/N = 0.96875."""
    count = as_number(count, "the count")
    require(not np.isclose(count, 1 / 32), "this is 1/N.")
    require(count not in (31, 33), "close: solve 1 - 1/N = 0.96875 for N once more.")
    require(not np.isclose(count, 1 / 0.96875), "this is 1 / 0.96875. The relative error is not 1/N.")
    require_number(count, 32, "Put a = n / N into the formula: which factor of the error is left?", 1e-3)
    passed("1 - 1/32 = 0.96875")


def check_best_step(h: float) -> None:
    """The minimum of h / 2 + 2 ε / h."""
    h, epsilon = as_number(h, "h"), np.finfo(float).eps
    for wrong, message in (
        (np.cbrt(3 * epsilon), "this is the best step of central differences."),
        (np.cbrt(4.5 * epsilon), "this is the best step of central differences, at x = 1."),
        (1e-5, "this is the usual step of central differences."),
        (np.sqrt(2 * epsilon), "the rounding term has a factor 2: both values are rounded."),
        (np.sqrt(epsilon), "both terms have a factor: 1/2 and 2."),
        (4 * epsilon, "this is h squared: a root is still to come."),
        (-2 * np.sqrt(epsilon), "a step is positive."),
        (2 * np.sqrt(np.finfo(np.float32).eps), "this is the answer for float32; the exercise is about float64."),
    ):
        require(abs(h - wrong) >= 0.05 * abs(wrong), message)
    right = abs(h - 2 * np.sqrt(epsilon)) < 0.05 * 2 * np.sqrt(epsilon)
    require(right, f"{h:.2g} is not it. Where the bound is lowest, its slope is 0.")
    passed(f"h = {h:.1e}: a far smaller step than for central differences, and still a larger error.")


def check_central(numerical_gradient: Callable) -> None:
    """numerical_gradient(f, x) by central differences, for an array x of any shape."""
    rng = np.random.default_rng(4)
    weights = rng.standard_normal((3, 2))

    def f(x):
        require(np.shape(x) == (3, 2), f"f was called with the shape {np.shape(x)}, expected that of x, (3, 2).")
        return np.sum(weights * np.exp(x)) + x[0, 0] * x[2, 1]

    def gradient(x):
        cross = np.zeros((3, 2))
        cross[0, 0], cross[2, 1] = x[2, 1], x[0, 0]
        return weights * np.exp(x) + cross

    x = rng.standard_normal((3, 2))
    before = x.copy()
    answer = as_array(run(numerical_gradient, f, x))
    require(np.allclose(x, before, rtol=0, atol=1e-13), "x is not what it was before: put each entry back.")
    if answer.shape == x.shape:
        for factor, message in (
            (2, "the points are 2h apart: divide by 2h, not by h."),
            (1 / 2, "for one side the distance is h, for both sides it is 2h."),
            (-1, "the sign is wrong: the upper point minus the lower one."),
        ):
            require(not np.allclose(answer, factor * gradient(before), rtol=1e-3), message)
    hint = "Move one entry at a time, to both sides, and divide by the distance."
    require_array(answer, gradient(before), hint, 1e-3)
    error = np.abs(answer - gradient(before)).max()
    require(
        error < 1e-8,
        f"close, but an error of {error:.0e} is that of a forward difference, a poor step, or of entries not put back.",
    )
    whole = np.array([[0, 1], [1, 0], [0, 2]])
    hint = "Here x holds integers: an array of integers drops a small step. Work on a copy in float64."
    require_array(run(numerical_gradient, f, whole), gradient(whole), hint, 1e-7)
    passed("It agrees with the formula, and x is left as it was.")


def check_silu(layer_class: type[Layer]) -> None:
    """A layer for y = x * sigmoid(x)."""
    x = np.random.default_rng(5).standard_normal((4, 3))
    dy = np.random.default_rng(6).standard_normal((4, 3))
    s = 1 / (1 + np.exp(-x))
    layer, dx = _run(layer_class, x, x * s, dy)
    for wrong, message in (
        (dy * s, "dx holds the path through the factor x alone. There are two paths, and they add."),
        (dy * x * s * (1 - s), "dx holds the path through the sigmoid alone. There are two paths, and they add."),
        (dy * s * x * s * (1 - s), "slopes of two paths add; here they are multiplied."),
        (s + x * s * (1 - s), "this is dy/dx. Where is the upstream gradient?"),
        (dy * (s + s * (1 - s)), "the path through the sigmoid lacks the other factor, x."),
    ):
        require(not np.allclose(dx, wrong), message)
    require_gradients(layer, x)
    passed("The gradient of SiLU agrees with central differences.")


def check_normalize(layer_class: type[Layer]) -> None:
    """A layer that divides each row by its length."""
    x = np.random.default_rng(7).standard_normal((4, 3))
    dy = np.random.default_rng(8).standard_normal((4, 3))
    r = np.sqrt(np.sum(x**2, axis=1, keepdims=True))
    y = x / r
    layer, dx = _run(layer_class, x, y, dy)
    along = np.sum(dy * y, axis=1, keepdims=True)
    for wrong, message in (
        (dy / r, "r depends on every entry of its row: a second path, from x through r to y."),
        (
            (dy - y * (dy * y)) / r,
            "y_j depends on x_i for every j of the row: the path through r needs a sum along it.",
        ),
        ((dy - y * np.sum(dy * y)) / r, "the sum must run along each row, not over the batch: give it the axis 1."),
        (dy - y * along, "the division by the length is missing."),
        ((dy + y * along) / r, "a sign is wrong: a longer row makes y smaller."),
        (-y * along / r, "the direct path is missing: x_i is also the numerator of y_i."),
    ):
        require(not np.allclose(dx, wrong), message)
    require_gradients(layer, x)
    passed("The gradient of Normalize agrees with central differences.")


def check_complex_step(derivative: Callable) -> None:
    """derivative(f, x) by a step into the complex plane."""

    def f(x):
        return np.exp(x) / np.sqrt(np.sin(x) ** 3 + np.cos(x) ** 3)

    x = 0.5
    root = np.sin(x) ** 3 + np.cos(x) ** 3
    expected = f(x) * (1 - 1.5 * np.sin(x) * np.cos(x) * (np.sin(x) - np.cos(x)) / root)
    answer = run(derivative, f, x)
    require(not np.iscomplexobj(answer), "the answer is complex: take the imaginary part.")
    answer = as_number(answer)
    require(abs(answer - f(x)) > 1e-6, "this is f(x), the real part: f' is in the imaginary part.")
    require_number(answer, expected, "In f(x + ih) = f(x) + ih f'(x) - ..., what is the imaginary part, over h?", 1e-3)
    error = abs(answer / expected - 1)
    require(error < 4e-15, f"the error is {error:.0e}. Nothing is subtracted, so h may be as small as 1e-100.")
    passed("All digits are right.")


def _run(layer_class: type[Layer], x: np.ndarray, expected: np.ndarray, dy: np.ndarray) -> tuple[Layer, np.ndarray]:
    """Return a layer, and what its `backward` says to `dy`; `WrongAnswer` if it, or `forward`, cannot be right."""
    layer = make_layer(layer_class)
    before = x.copy()
    require_array(run(layer.forward, x), expected, "This is what forward returns.")
    dx = run(layer.backward, dy.copy())
    require(np.array_equal(x, before), "forward changed its argument.")
    require(isinstance(dx, np.ndarray), "backward must return dx.")
    require(dx.shape == x.shape, f"dx has the shape {dx.shape}, expected that of x, {x.shape}.")
    return layer, dx
