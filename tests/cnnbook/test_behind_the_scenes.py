"""Chapter 22's checks: right answers pass, and each wrong one is told what is wrong with it."""

import json
from importlib import resources

import numpy as np
import pytest

import cnnlib
from cnnbook import behind_the_scenes as chapter
from cnnbook.checking import WrongAnswer


class Tensor:
    """As in the chapter."""

    def __init__(self, data, parents=()):
        self.data = np.asarray(data, dtype=float)
        self.parents = parents
        self.grad = np.zeros_like(self.data)


def backward(loss):
    order, seen = [], set()

    def visit(tensor):
        if id(tensor) not in seen:
            seen.add(id(tensor))
            for parent, _ in tensor.parents:
                visit(parent)
            order.append(tensor)

    visit(loss)
    loss.grad = np.ones_like(loss.data)
    for tensor in reversed(order):
        for parent, share in tensor.parents:
            parent.grad = parent.grad + share(tensor.grad)


def test_the_example_by_differences():
    start = chapter.VALUES
    values, slopes = chapter.values_and_slopes(**start)
    assert values["L"] == 10
    for name in start:
        up, down = (chapter.values_and_slopes(**{**start, name: start[name] + h})[0]["L"] for h in (1e-6, -1e-6))
        assert slopes[name] == pytest.approx((up - down) / 2e-6)


def refused(check, *answer, message):
    with pytest.raises(WrongAnswer, match=message):
        check(*answer)


@pytest.mark.parametrize("kind", [int, float, np.float32, np.array, lambda value: np.array([value])])
def test_by_hand_accepts_any_number(kind, capsys):
    chapter.check_by_hand(kind(12), kind(21))
    assert "Right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((21, 12), "wrong places"),
        ((6, 21), "used twice"),
        ((12, 9), "also gets something from u"),
        ((12, 12), "also gets something from v"),
        ((3, 21), "First find the slope of u"),
        ((12, 15), "add what comes from both"),
        (("x", 21), "da: expected numbers, got str"),
        ((None, 21), "da: expected numbers, got NoneType"),
        ((12, [1, 2]), "db: expected a single number, got 2"),
        ((np.nan, 21), "da = nan"),
    ],
)
def test_by_hand_refuses(answer, message):
    refused(chapter.check_by_hand, *answer, message=message)


def step(forward, share):
    """A step from its formula and its share: `share(dy, x, y)`."""

    def function(a):
        y = forward(a.data)
        return Tensor(y, [(a, lambda dy: share(dy, a.data, y))])

    return function


def stable(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


SIGMOIDS = {
    "overflows": (step(lambda x: 1 / (1 + np.exp(-x)), lambda dy, x, y: dy * y * (1 - y)), "overflows"),
    "no dy": (step(stable, lambda dy, x, y: y * (1 - y)), "not the gradient|as a factor"),
    "slope of x": (step(stable, lambda dy, x, y: dy * x * (1 - x)), "not the gradient"),
    "tanh": (step(np.tanh, lambda dy, x, y: dy * (1 - y**2)), "values are not right"),
    "no parent": (lambda a: Tensor(stable(a.data)), "given its parent"),
    "an array": (lambda a: stable(a.data), "return a Tensor, not ndarray"),
    "a sum": (lambda a: Tensor(stable(a.data).sum()), "expected the shape"),
    "half": (step(stable, lambda dy, x, y: dy * y * (1 - y) / 2), "not the gradient"),
}


@pytest.mark.parametrize("name", SIGMOIDS)
def test_sigmoid_refuses(name):
    function, message = SIGMOIDS[name]
    with np.errstate(all="ignore"):
        refused(chapter.check_sigmoid, function, Tensor, backward, message=message)


def test_sigmoid_accepts(capsys):
    chapter.check_sigmoid(step(stable, lambda dy, x, y: dy * y * (1 - y)), Tensor, backward)
    assert "Right" in capsys.readouterr().out


def detach(a):
    return Tensor(a.data)


def forget(tensors):
    for tensor in tensors:
        tensor.grad = np.zeros_like(tensor.data)


def cut(a):
    a.parents = ()
    return Tensor(a.data)


def wipe(tensors):
    for tensor in tensors:
        tensor.grad = 0.0


def empty(tensors):
    for tensor in tensors:
        tensor.data = np.zeros_like(tensor.data)
        tensor.grad = np.zeros_like(tensor.data)


def with_gradient(a):
    new = Tensor(a.data)
    new.grad = a.grad
    return new


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((lambda a: a, forget), "a new tensor"),
        ((lambda a: a.data, forget), "must return a Tensor"),
        ((lambda a: Tensor(a.data, a.parents), forget), "still has parents"),
        ((cut, forget), "cut the parents off the original"),
        ((with_gradient, forget), "begins with zero"),
        ((lambda a: Tensor(a.data * 2), forget), "data of the detached tensor"),
        ((detach, lambda tensors: None), "set all gradients to zero"),
        ((detach, wipe), "keep the shape"),
        ((detach, empty), "leave the data alone"),
    ],
)
def test_detach_refuses(pair, message):
    refused(chapter.check_detach, *pair, Tensor, message=message)


def test_detach_accepts(capsys):
    chapter.check_detach(detach, forget, Tensor)
    assert "Right" in capsys.readouterr().out


def first(dy, x, y):
    dx = np.zeros_like(x)
    np.put_along_axis(dx, x.argmax(axis=1, keepdims=True), dy, axis=1)
    return dx


def last(dy, x, y):
    return first(dy, x[:, ::-1], y)[:, ::-1]


def row_maximum(x):
    return x.max(axis=1, keepdims=True)


LARGEST = {
    "all winners": (step(row_maximum, lambda dy, x, y: dy * (x == y)), "more than once"),
    "shared": (step(row_maximum, lambda dy, x, y: dy * (x == y) / (x == y).sum(axis=1, keepdims=True)), "share the"),
    "the last": (step(row_maximum, last), "the first shall get"),
    "everywhere": (step(row_maximum, lambda dy, x, y: dy * np.ones_like(x)), "not the gradient"),
    "columns": (step(lambda x: x.max(axis=0, keepdims=True).T, first), "expected the shape"),
    "flat": (step(lambda x: x.max(axis=1), first), "expected the shape"),
    "smallest": (step(lambda x: x.min(axis=1, keepdims=True), first), "values are not right"),
    "no parent": (lambda a: Tensor(row_maximum(a.data)), "given its parent"),
}


@pytest.mark.parametrize("name", LARGEST)
def test_largest_refuses(name):
    function, message = LARGEST[name]
    refused(chapter.check_largest, function, Tensor, backward, message=message)


def test_largest_accepts(capsys):
    chapter.check_largest(step(row_maximum, first), Tensor, backward)
    assert "Right" in capsys.readouterr().out


def normal(x, ddof=0, epsilon=1e-5):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0, ddof=ddof) + epsilon)


def through(dy, x, y):
    layer = cnnlib.BatchNormalization(x.shape[1]).astype(np.float64)
    layer.training = True
    layer.forward(x)
    return layer.backward(dy)


NORMALIZED = {
    "N - 1": (step(lambda x: normal(x, ddof=1), through), "not by N - 1"),
    "no root": (step(lambda x: (x - x.mean(axis=0)) / x.var(axis=0), through), "variance 1"),
    "no mean": (step(lambda x: x / np.sqrt(x.var(axis=0)), through), "mean 0"),
    "rows": (step(lambda x: normal(x.T).T, through), "mean 0"),
    "constants": (step(normal, lambda dy, x, y: dy / np.sqrt(x.var(axis=0) + 1e-5)), "depend on x"),
    "only the mean": (
        step(normal, lambda dy, x, y: (dy - dy.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)),
        "a path of the gradient is missing",
    ),
    "large epsilon": (step(lambda x: normal(x, epsilon=0.1), through), "variance 1"),
}


@pytest.mark.parametrize("name", NORMALIZED)
def test_normalize_refuses(name):
    function, message = NORMALIZED[name]
    refused(chapter.check_normalize, function, Tensor, backward, message=message)


def test_normalize_accepts(capsys):
    chapter.check_normalize(step(normal, through), Tensor, backward)
    assert "Right" in capsys.readouterr().out


def test_the_stored_losses_are_the_library_s():
    stored = json.loads((resources.files("cnnbook") / "results" / "torch.json").read_text())["losses"]
    np.testing.assert_allclose(chapter.our_steps(steps=5), stored[:5], rtol=1e-9)


def test_onnx_is_compared():
    pytest.importorskip("onnxruntime")
    difference, text = chapter.compare_with_onnx(cnnlib.load_pretrained(), cnnlib.load_digits())
    assert 0 < difference < 1e-6 and text.endswith("1e-6: True")
