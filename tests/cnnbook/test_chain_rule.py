"""Chapter 2: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
import pytest

import cnnlib
from cnnbook import chain_rule as chapter
from cnnbook.checking import WrongAnswer


def test_secant_names_its_error():
    chapter.draw_secant(lambda x: x**3, x=1.0, slope=3.0, h=0.1)  # the central difference is 3 + h²
    assert plt.gca().get_title() == "$h$ = 1e-01, relative error 3e-03"


@pytest.mark.parametrize("exponent", [-15.5, -8.0, -0.5])
def test_secant_is_drawn_for_every_step(exponent):
    chapter.draw_secant(np.exp, x=1.0, slope=np.e, h=10.0**exponent)
    plt.gcf().canvas.draw()


def test_the_answer_about_the_stairs_is_true():
    exponents = np.arange(-1, -15.6, -0.5)
    h = 10.0**exponents
    errors = np.abs((np.exp(1 + h) - np.exp(1 - h)) / (2 * h) / np.e - 1)
    assert -6 <= exponents[errors.argmin()] <= -4.5
    stairs = np.spacing(np.e) / h  # their height, in a window of a height of about 4 e
    assert stairs[exponents == -13] < 0.01 and stairs[exponents == -14] > 0.04


# The checks of the exercises


EPSILON = np.finfo(float).eps


def numerical_gradient(f, x, *, both_sides=True, copy=True, put_back=True, dtype=float):
    x = np.array(x, dtype=dtype) if copy else x
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        before = x[index]
        x[index] = before + 1e-5
        plus = f(x)
        x[index] = before - 1e-5 if both_sides else before
        minus = f(x)
        if put_back:
            x[index] = before
        gradient[index] = (plus - minus) / (2e-5 if both_sides else 1e-5)
    return gradient


def elementwise(slope):
    class SiLU(cnnlib.Layer):
        def forward(self, x):
            self.x, self.s = x, 1 / (1 + np.exp(-x))
            return self.x * self.s

        def backward(self, dy):
            return slope(self.x, self.s, dy)

    return SiLU


def by_rows(dx):
    class Normalize(cnnlib.Layer):
        def forward(self, x):
            self.r = np.sqrt(np.sum(x**2, axis=1, keepdims=True))
            self.y = x / self.r
            return self.y

        def backward(self, dy):
            return dx(self.y, self.r, dy)

    return Normalize


def silu_dx(x, s, dy):
    return dy * (s + x * s * (1 - s))


def normalize_dx(y, r, dy):
    return (dy - y * np.sum(dy * y, axis=1, keepdims=True)) / r


def complex_step(f, x):
    return f(x + 1e-100j).imag / 1e-100


RIGHT = [
    (chapter.check_graph, (-12, -3, 3)),
    (chapter.check_graph, (np.array([-12.0]), np.float32(-3), Fraction(3))),
    (chapter.check_batch_size, (32,)),
    (chapter.check_batch_size, (np.array([1 / (1 - 0.96875)]),)),
    (chapter.check_best_step, (2 * np.sqrt(EPSILON),)),
    (chapter.check_best_step, ([3e-8],)),
    (chapter.check_central, (numerical_gradient,)),
    (chapter.check_central, (lambda f, x: numerical_gradient(f, x).tolist(),)),
    (chapter.check_silu, (elementwise(silu_dx),)),
    (chapter.check_normalize, (by_rows(normalize_dx),)),
    (chapter.check_complex_step, (complex_step,)),
    (chapter.check_complex_step, (lambda f, x: np.array([complex_step(f, x)]),)),
]

WRONG = [
    (chapter.check_graph, (-3, -3, 3), "on two paths"),
    (chapter.check_graph, (-9, -3, 3), "on two paths"),
    (chapter.check_graph, (6, -3, 3), "wrong sign"),
    (chapter.check_graph, (27, -3, 3), "paths add"),
    (chapter.check_graph, (-12, 3, -3), "the other factor"),
    (chapter.check_graph, (-12, -3, 1), "through v"),
    (chapter.check_graph, (-12, 1, 3), "through u"),
    (chapter.check_graph, (1, -3, 3), "For dx"),
    (chapter.check_graph, (None, -3, 3), "dx: expected numbers, got NoneType"),
    (chapter.check_graph, ([-12, -3, 3], -3, 3), "dx: expected a single number"),
    (chapter.check_batch_size, (31,), "close"),
    (chapter.check_batch_size, (33,), "close"),
    (chapter.check_batch_size, (1 / 32,), "this is 1/N"),
    (chapter.check_batch_size, (1 / 0.96875,), "not 1/N"),
    (chapter.check_batch_size, (64,), "which factor"),
    (chapter.check_batch_size, ("32",), "expected numbers"),
    (chapter.check_best_step, ((3 * EPSILON) ** (1 / 3),), "central differences"),
    (chapter.check_best_step, ((4.5 * EPSILON) ** (1 / 3),), "central differences"),
    (chapter.check_best_step, (np.sqrt(2 * EPSILON),), "factor 2"),
    (chapter.check_best_step, (np.sqrt(EPSILON),), "both terms"),
    (chapter.check_best_step, (4 * EPSILON,), "a root"),
    (chapter.check_best_step, (-2 * np.sqrt(EPSILON),), "positive"),
    (chapter.check_best_step, (2 * np.sqrt(np.finfo("f").eps),), "float32"),
    (chapter.check_best_step, (1e-5,), "central differences"),
    (chapter.check_best_step, (1e-12,), "its slope is 0"),
    (chapter.check_best_step, ("small",), "expected numbers"),
    (chapter.check_central, (lambda f, x: numerical_gradient(f, x, both_sides=False),), "forward difference"),
    (chapter.check_central, (lambda f, x: numerical_gradient(f, x, put_back=False),), "not put back"),
    (
        chapter.check_central,
        (lambda f, x: numerical_gradient(f, x, copy=False, put_back=False),),
        "put each entry back",
    ),
    (chapter.check_central, (lambda f, x: numerical_gradient(f, x, dtype=None),), "integers"),
    (chapter.check_central, (lambda f, x: f(x[0]),), "expected that of x"),
    (chapter.check_central, (lambda f, x: 2 * numerical_gradient(f, x),), "divide by 2h"),
    (chapter.check_central, (lambda f, x: numerical_gradient(f, x) / 2,), "for one side"),
    (chapter.check_central, (lambda f, x: -numerical_gradient(f, x),), "the sign"),
    (chapter.check_central, (lambda f, x: numerical_gradient(f, x).T,), r"the shape is \(2, 3\)"),
    (chapter.check_central, (lambda f, x: numerical_gradient(f, x).sum(),), r"the shape is \(\)"),
    (chapter.check_central, (lambda f, x: None,), "got NoneType"),
    (chapter.check_central, (lambda f: f,), "stops with TypeError"),
    (chapter.check_silu, (elementwise(lambda x, s, dy: dy * s),), "two paths"),
    (chapter.check_silu, (elementwise(lambda x, s, dy: dy * x * s * (1 - s)),), "two paths"),
    (chapter.check_silu, (elementwise(lambda x, s, dy: dy * s * x * s * (1 - s)),), "multiplied"),
    (chapter.check_silu, (elementwise(lambda x, s, dy: dy * (s + s * (1 - s))),), "the other factor"),
    (chapter.check_silu, (elementwise(lambda x, s, dy: s + x * s * (1 - s)),), "upstream"),
    (chapter.check_silu, (elementwise(lambda x, s, dy: 2 * silu_dx(x, s, dy)),), "central differences say"),
    (chapter.check_silu, (elementwise(lambda x, s, dy: None),), "return dx"),
    (chapter.check_silu, (cnnlib.ReLU,), "forward"),
    (chapter.check_silu, (cnnlib.ReLU(),), "expected a class"),
    (chapter.check_silu, ("SiLU",), "expected a class"),
    (chapter.check_normalize, (by_rows(lambda y, r, dy: dy / r),), "r depends"),
    (chapter.check_normalize, (by_rows(lambda y, r, dy: (dy - y * dy * y) / r),), "a sum along it"),
    (chapter.check_normalize, (by_rows(lambda y, r, dy: (dy - y * np.sum(dy * y)) / r),), "not over the batch"),
    (chapter.check_normalize, (by_rows(lambda y, r, dy: normalize_dx(y, r, dy) * r),), "division by the length"),
    (chapter.check_normalize, (by_rows(lambda y, r, dy: 2 * dy / r - normalize_dx(y, r, dy)),), "a sign"),
    (chapter.check_normalize, (by_rows(lambda y, r, dy: normalize_dx(y, r, dy) - dy / r),), "direct path"),
    (chapter.check_normalize, (by_rows(lambda y, r, dy: normalize_dx(y, r, dy)[0]),), "shape"),
    (chapter.check_normalize, (by_rows(lambda y, r, dy: normalize_dx(y, r, dy) / 4),), "central differences"),
    (chapter.check_normalize, (None,), "expected a class"),
    (chapter.check_complex_step, (lambda f, x: f(x + 1e-3j).imag / 1e-3,), "as small as"),
    (chapter.check_complex_step, (lambda f, x: f(x + 1e-100j) / 1e-100,), "imaginary part"),
    (chapter.check_complex_step, (lambda f, x: (f(x + 1e-5) - f(x - 1e-5)) / 2e-5,), "Nothing is subtracted"),
    (chapter.check_complex_step, (lambda f, x: f(x + 1e-100j).imag,), "over h"),
    (chapter.check_complex_step, (lambda f, x: f(x + 1e-100j).real,), "this is f"),
    (chapter.check_complex_step, (lambda f, x: -complex_step(f, x),), "over h"),
    (chapter.check_complex_step, (lambda f, x: f"{complex_step(f, x)}",), "got str"),
    (chapter.check_complex_step, (1.0,), "expected a function"),
]


@pytest.mark.parametrize(("function", "answer"), RIGHT, ids=lambda value: getattr(value, "__name__", None))
def test_right_answer_is_accepted(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("function", "answer", "message"), WRONG)
def test_wrong_answer_is_explained(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(*answer)


def test_one_suspect_is_guilty():
    x = np.array([[0.8, -1.2], [-0.3, 2.0]])
    layers = [layer() for layer in chapter.suspects().values()]
    assert np.array_equal(*[layer.forward(x) for layer in layers])
    cnnlib.gradient_check(layers[0], x)
    with pytest.raises(cnnlib.GradientError):
        cnnlib.gradient_check(layers[1], x)
