"""What the checks share: an answer passes with one line, or `WrongAnswer` says what is wrong."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import cnnlib
from cnnbook.checking import (
    WrongAnswer,
    as_array,
    as_number,
    call,
    make_layer,
    passed,
    require,
    require_array,
    require_gradients,
    require_number,
    run,
    unpack,
)

EXPECTED = np.array([[1.0, 2.0]])


def test_passed_prints_one_line(capsys):
    passed()
    passed("And more.")
    assert capsys.readouterr().out == "Right.\nRight. And more.\n"


def test_right_answers_say_nothing(capsys):
    require(True, "no")
    require_number(np.float32(1 / 3), 1 / 3, "A third.")
    require_array(EXPECTED + 1e-9, EXPECTED, "Count.")
    require_array([[1, Fraction(2)]], EXPECTED, "Count.")
    for one in (1, 1.0, True, np.float32(1), np.array([1]), np.array([[1.0]]), Fraction(1), Decimal(1), [1]):
        require_number(one, 1, "One.")
        assert isinstance(as_number(one), float)
    assert as_array([[1], [2]], "w", (2,)).tolist() == [1, 2]
    assert run(lambda x, y: x - y, 3, y=1) == 2
    require_gradients(make_layer(cnnlib.Dense, 3, outputs=2), np.ones((2, 3)))
    require_gradients(cnnlib.Dense(3, 2, rng=np.random.default_rng(0)), np.ones((2, 3)))
    assert capsys.readouterr().out == ""


def test_a_function_gets_copies():
    x = np.zeros(3)
    assert np.array_equal(call(lambda x: np.add(x, 1, out=x), x), np.ones(3))
    assert not x.any()


@pytest.mark.parametrize("answer", [(1, 2), [1, 2], np.array([1, 2]), (n for n in (1, 2)), {1: 0, 2: 0}.keys()])
def test_parts_may_come_in_anything_that_has_an_order(answer):
    assert unpack(answer, 2, "a and b") == (1, 2)


@pytest.mark.parametrize("answer", [None, 1, "ab", (1, 2, 3), {1, 2}, np.zeros((2, 3))])
def test_other_parts_are_refused(answer):
    with pytest.raises(WrongAnswer, match="expected a and b, 2 in all, got"):
        unpack(answer, 2, "a and b")


def test_in_a_notebook_it_shows_as_its_message_alone():
    assert WrongAnswer("the sign.")._render_traceback_() == ["Not yet: the sign."]


class Unscaled(cnnlib.Dense):
    def backward(self, dy):
        return 2 * super().backward(dy)


class Unnamed(cnnlib.Dense):
    def backward(self, dy):
        dx = super().backward(dy)
        del self.db
        return dx


class InPlace(cnnlib.ReLU):
    def forward(self, x):
        return super().forward(np.maximum(x, 0, out=x))


class Forgetful(cnnlib.ReLU):
    def __init__(self, slope=0.1):
        self.other = slope


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (lambda: require(False, "no."), r"^no\.$"),
        (lambda: require_number("1", 1, "One."), "expected numbers, got str"),
        (lambda: require_number(None, 1, "One."), "expected numbers, got NoneType"),
        (lambda: require_number(1j, 1, "One."), "got a complex number"),
        (lambda: require_number([1, 2], 1, "One."), "a single number, got 2"),
        (lambda: require_number(1.1, 1, "One."), r"^1\.1 is not it\. One\.$"),
        (lambda: require_number(np.nan, 1, "One."), "nan is not it"),
        (lambda: require_array([1, 2], EXPECTED, "Count."), r"the shape is \(2,\), expected \(1, 2\)"),
        (lambda: require_array([[1, None]], EXPECTED, "Count."), "expected numbers, got list"),
        (lambda: require_array([[1], [2, 3]], EXPECTED, "Count."), "expected numbers, got list"),
        (
            lambda: require_array([[3, 2]], EXPECTED, "Count.", tell=False),
            r"^the entry at \(0, 0\) is not right\. Count\.$",
        ),
        (lambda: as_array(np.ones((2, 3)), "W", (3, 2)), r"^W has the shape \(2, 3\), expected \(3, 2\)\.$"),
        (lambda: run(None), "expected a function, got NoneType"),
        (lambda: run(lambda x: x[3], [1, 2]), "stops with IndexError: list index out of range, at: "),
        (lambda: make_layer(cnnlib.Dense(3, 2)), "expected a class that is a Layer, got Dense"),
        (lambda: make_layer(cnnlib.Dense), "your code stops with TypeError"),
        (lambda: require_array(EXPECTED.T, EXPECTED, "Count."), r"the shape is \(2, 1\), expected \(1, 2\)\. Count\."),
        (lambda: require_array(2 * EXPECTED, EXPECTED, "Count."), r"the entry at \(0, 0\) is 2, expected 1\. Count\."),
        (lambda: require_gradients(Unscaled(3, 2), np.ones((2, 3))), "central differences say"),
        (lambda: require_gradients(Unnamed(3, 2), np.ones((2, 3))), "the gradient of b in self.db"),
        (lambda: require_gradients(InPlace(), -np.ones((2, 3))), "changed x"),
        (lambda: require_gradients(Forgetful(), np.ones((2, 3))), "under its own name"),
    ],
)
def test_wrong_answers_are_named(judge, message):
    with pytest.raises(WrongAnswer, match=message):
        judge()
