"""The checks of chapter 11's exercises accept right answers and say what is wrong with typical wrong ones."""

import numpy as np
import pytest

import cnnlib
from cnnlib.exercises import NotYet
from cnnlib.exercises import network as check


def test_count(capsys):
    check.count(104 + 296 + 2010)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "message"),
    [(2388, "biases"), (2194, "all 4 channels"), (3290, "rounded down"), (8410, "stride 2"), (2411, "each layer")],
)
def test_count_refuses(number, message):
    with pytest.raises(NotYet, match=message):
        check.count(number)


def judge(p, labels, mean=np.mean, log=np.log, sign=-1, right=lambda p, labels: p.argmax(axis=1) == labels):
    return sign * mean(log(p[np.arange(len(p)), labels])), np.mean(right(p, labels))


def test_judge(capsys):
    check.judge(judge)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda p, labels: judge(p, labels, mean=np.sum), "sum over the examples"),
        (lambda p, labels: judge(p, labels, log=np.log10), "natural logarithm"),
        (lambda p, labels: judge(p, labels, sign=1), "minus sign"),
        (lambda p, labels: judge(p, labels, mean=lambda v: np.sum(v) / p.size), "entries of p"),
        (lambda p, labels: judge(p, labels, right=lambda p, t: p[np.arange(len(p)), t] > 0.5), "below 1/2"),
        (lambda p, labels: judge(p, labels)[0], "return loss, accuracy"),
        (lambda p, labels: (judge(p, labels, mean=lambda v: v), 1.0), "must be one number"),
    ],
)
def test_judge_refuses(wrong, message):
    with pytest.raises(NotYet, match=message):
        check.judge(wrong)


class LeakyReLU(cnnlib.Layer):
    def __init__(self, slope=0.01):
        self.slope = slope

    def forward(self, x):
        self.x = self.accept(x)
        return np.where(self.x > 0, self.x, self.slope * self.x)

    def backward(self, dy):
        return np.where(self.kept("x") > 0, dy, self.slope * dy)


class BlocksBackward(LeakyReLU):
    def backward(self, dy):
        return dy * (self.x > 0)


class ForgetsUpstream(LeakyReLU):
    def backward(self, dy):
        return np.where(self.x > 0, 1, self.slope)


class Overwrites(LeakyReLU):
    def forward(self, x):
        self.x = x.copy()
        x[x < 0] *= self.slope
        return x


class WidensBackward(LeakyReLU):
    def backward(self, dy):
        return dy * np.where(self.x > 0, 1, self.slope)


class OtherName(cnnlib.Layer):
    def __init__(self, slope=0.01):
        self.alpha = slope

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.alpha * x)

    def backward(self, dy):
        return np.where(self.x > 0, dy, self.alpha * dy)


def test_layer(capsys):
    check.layer(LeakyReLU)
    assert "LeakyReLU(slope=0.3)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (BlocksBackward, "backward blocks"),
        (ForgetsUpstream, "multiplies it by dy"),
        (Overwrites, "forward changed its argument"),
        (WidensBackward, "backward turns float32 into float64"),
        (OtherName, "self.slope = slope"),
        (LeakyReLU(), "the class itself"),
        (type("Plain", (LeakyReLU,), {"forward": lambda self, x: np.maximum(x, 0)}), "should leak"),
    ],
)
def test_layer_refuses(wrong, message):
    with pytest.raises(NotYet, match=message):
        check.layer(wrong)


def accumulate(network, x, t, loss, size, weight=lambda count, whole: count / whole):
    total = {name: np.zeros_like(array) for name, array in network.parameters().items()}
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        y = network.forward(x[part])
        network.backward(loss.gradient(y, t[part]))
        for name, gradient in network.gradients().items():
            total[name] += gradient * weight(len(y), len(x))
    return total


def last_part(network, x, t, loss, size):
    accumulate(network, x, t, loss, size)
    return network.gradients()


def test_accumulation(capsys):
    check.accumulation(accumulate)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (last_part, "last part alone"),
        (lambda *a: accumulate(*a, weight=lambda count, whole: 1), "mean over its own examples"),
        (lambda n, x, t, loss, size: accumulate(n, x, t, loss, size, lambda c, w: 1 / -(-w // size)), "plain mean"),
        (lambda n, x, t, loss, size: accumulate(n, x, t, loss, len(x)), "a part had 7 examples"),
        (lambda n, x, t, loss, size: accumulate(n, x[:-1], t[:-1], loss, size), "the batch has 7"),
        (lambda *a: accumulate(*a)["W0"], "dictionary"),
    ],
)
def test_accumulation_refuses(wrong, message):
    with pytest.raises(NotYet, match=message):
        check.accumulation(wrong)


def stopper(copy=True, restore=True, one_optimizer=True, seeds=True, late=0, first=1):
    """Return early stopping, right or with one thing wrong."""

    def fit(network, x, t, validation, patience, epochs):
        optimizer, lowest, best = cnnlib.SGD(), np.inf, 0
        for epoch in range(1, epochs + 1):
            history = network.train(
                x,
                t,
                optimizer=optimizer if one_optimizer else cnnlib.SGD(),
                validation=validation,
                seed=epoch if seeds else 0,
            )
            if history["validation_loss"][0] < lowest:
                lowest, best = history["validation_loss"][0], epoch
                kept = {name: array.copy() if copy else array for name, array in network.parameters().items()}
            elif epoch - best >= patience + late:
                break
        if restore:
            for name, array in network.parameters().items():
                array[...] = kept[name]
        return best - 1 + first

    return fit


def test_stopping(capsys):
    check.stopping(stopper())
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"copy": False}, "arrays themselves"),
        ({"restore": False}, "of the last epoch"),
        ({"one_optimizer": False}, "its own optimizer"),
        ({"seeds": False}, "same seed"),
        ({"late": 1}, "went on to epoch 5"),
        ({"late": -1}, "stopped after epoch 3"),
        ({"first": 0}, "counted from 1"),
    ],
)
def test_stopping_refuses(wrong, message):
    with pytest.raises(NotYet, match=message):
        check.stopping(stopper(**wrong))


class Dropout(cnnlib.Layer):
    scale, shared, remember, rest = True, False, True, True

    def __init__(self, rate=0.5, *, rng=None):
        self.rate, self.rng, self.active = rate, np.random.default_rng(rng), True

    def draw(self, x):
        kept = self.rng.random(x.shape[1:] if self.shared else x.shape) >= self.rate
        return (kept / (1 - self.rate if self.scale else 1)).astype(x.dtype)

    def forward(self, x):
        self.factor = self.draw(x) if self.active or not self.rest else np.ones_like(x)
        return x * self.factor

    def backward(self, dy):
        return dy * (self.factor if self.remember else self.draw(dy))


def test_dropout(capsys):
    check.dropout(Dropout)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": False}, "divide by 1 - rate"),
        ({"shared": True}, "every example loses the same"),
        ({"remember": False}, "backward drops other entries"),
        ({"rest": False}, "although `active` is False"),
        (
            {"draw": lambda self, x: ((self.rng.random(x.shape) < self.rate) / self.rate).astype(x.dtype)},
            "not that stays",
        ),
        ({"backward": lambda self, dy: dy * (self.factor > 0)}, "forgets the factor"),
    ],
)
def test_dropout_refuses(changes, message):
    with pytest.raises(NotYet, match=message):
        check.dropout(type("Dropout", (Dropout,), changes))
