"""Chapter 11: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import copy
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest

import cnnlib
from cnnbook import network as chapter
from cnnbook.checking import WrongAnswer


def test_chain_has_an_arrow_there_and_one_back_at_each_gap():
    chapter.draw_chain(["Dense", "ReLU", "loss"])
    arrows = [text for text in plt.gca().texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arrows) == 2 * 3  # before the first box, too
    plt.gcf().canvas.draw()


@pytest.mark.parametrize("losses", [[0.8, 0.1], [5.0, 2.0]])
def test_loss_shows_what_knowing_nothing_costs(losses):
    chapter.draw_loss(losses, classes=2)
    line = plt.gca().get_lines()[1].get_ydata()
    assert np.allclose(line, np.log(2))
    assert plt.gca().get_ylim()[1] > max(losses)


# The checks of the exercises


def test_count(capsys):
    chapter.check_count(104 + 296 + 2010)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "message"),
    [(2388, "biases"), (2194, "all 4 channels"), (3290, "rounded down"), (8410, "stride 2"), (2411, "each layer")],
)
def test_count_refuses(number, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_count(number)


def judge(p, labels, mean=np.mean, log=np.log, sign=-1, right=lambda p, labels: p.argmax(axis=1) == labels):
    return sign * mean(log(p[np.arange(len(p)), labels])), np.mean(right(p, labels))


def test_judge(capsys):
    chapter.check_judge(judge)
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
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_judge(wrong)


def test_fits(capsys):
    chapter.check_fits([5, 2, 4, 3])
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([5], "not alone"),
        ([3, 5], "odd"),
        ([4, 5], "more than these 2"),
        ([2, 3, 4, 5, 6], "K = 6 leaves 12 maps of 4x4, that is 192"),
        ([1, 2, 3, 4, 5], "K = 1 leaves 12 maps of 6x6, that is 432"),
        ([29], "does not lie"),
        ([24], "too little"),
        (5, "a list"),
    ],
)
def test_fits_refuses(sizes, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_fits(sizes)


def test_fits_is_what_the_constructor_says():
    def build(K):
        layers = [cnnlib.Convolutional(1, 6, K), cnnlib.MaxPooling(2), cnnlib.Convolutional(6, 12, 3)]
        return cnnlib.Network([*layers, cnnlib.MaxPooling(2), cnnlib.Flatten(), cnnlib.Dense(300, 10)], (1, 28, 28))

    for K in range(1, 29):
        if 2 <= K <= 5:
            build(K)
        else:
            with pytest.raises(ValueError, match="does not fit"):
                build(K)


class Shortcut(cnnlib.Layer):
    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return x + self.inner.forward(x)

    def backward(self, dy):
        return dy + self.inner.backward(dy)

    def parameters(self):
        return self.inner.parameters()

    def gradients(self):
        return self.inner.gradients()

    def astype(self, dtype):
        self.inner.astype(dtype)
        return self


def add_to_output(self, x):
    y = self.inner.forward(x)
    y += x
    return y


def add_to_input(self, x):
    x += self.inner.forward(x)
    return x


def add_to_dy(self, dy):
    dy += self.inner.backward(dy)
    return dy


class ShortcutOfLayers(cnnlib.Layer):
    def __init__(self, inner):
        self.inner = inner
        self.layers = [inner]

    def forward(self, x):
        return x + self.inner.forward(x)

    def backward(self, dy):
        return dy + self.inner.backward(dy)


@pytest.mark.parametrize("answer", [Shortcut, ShortcutOfLayers])
def test_shortcut(answer, capsys):
    chapter.check_shortcut(answer)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forward": lambda self, x: self.inner.forward(x)}, "alone"),
        ({"forward": lambda self, x: x * self.inner.forward(x)}, "y = x"),
        ({"forward": add_to_input}, "forward changed its argument"),
        ({"forward": add_to_output}, "which its last layer still needs"),
        ({"backward": lambda self, dy: self.inner.backward(dy)}, "add dy"),
        ({"backward": lambda self, dy: dy}, "must go through `inner`"),
        ({"backward": lambda self, dy: dy * self.inner.backward(dy)}, "Two paths"),
        ({"backward": add_to_dy}, "backward changed its argument"),
        ({"parameters": cnnlib.Layer.parameters}, "names no trainable arrays"),
        ({"parameters": lambda self: {n: a.copy() for n, a in self.inner.parameters().items()}}, "copies"),
        ({"parameters": lambda self: {"W": self.inner.layers[0].W}}, "expected 4 arrays"),
        ({"gradients": cnnlib.Layer.gradients}, "names of `parameters`"),
        ({"astype": cnnlib.Layer.astype}, "must convert"),
    ],
)
def test_shortcut_refuses(changes, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_shortcut(type("Wrong", (Shortcut,), changes))


def test_shortcut_refuses_what_is_no_layer():
    with pytest.raises(WrongAnswer, match="a class made from"):
        chapter.check_shortcut(Shortcut(cnnlib.Network([cnnlib.ReLU()], (2,))))


def take(network, optimizer, rng):
    return copy.deepcopy((network.parameters(), optimizer.steps, optimizer.state, rng.bit_generator.state))


def go_back(network, optimizer, rng, state, leave=(), deep=True):
    arrays, steps, memory, numbers = copy.deepcopy(state) if deep else state
    if "parameters" not in leave:
        for name, array in network.parameters().items():
            array[...] = arrays[name]
    if "steps" not in leave:
        optimizer.steps = steps
    if "memory" not in leave:
        optimizer.state = memory
    if "numbers" not in leave:
        rng.bit_generator.state = numbers


def take_without_copies(network, optimizer, rng):
    return network.parameters(), optimizer.steps, optimizer.state, rng.bit_generator.state


def take_and_draw(network, optimizer, rng):
    rng.random()
    return take(network, optimizer, rng)


def zero_memory(network, optimizer, rng, state):
    go_back(network, optimizer, rng, state)
    for arrays in optimizer.state.values():
        for array in arrays:
            array[...] = 0


def test_snapshot(capsys):
    chapter.check_snapshot(take, go_back)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong_take", "wrong_go_back", "message"),
    [
        (take_without_copies, go_back, "the parameters: as after the last step. Training changes it in place"),
        (take_and_draw, go_back, "changed the run"),
        (take, partial(go_back, leave=["parameters"]), "the parameters: as after"),
        (take, partial(go_back, leave=["memory"]), "the optimizer's memory: as after the last step. Training"),
        (take, zero_memory, "the optimizer's memory: not as in the snapshot"),
        (take, partial(go_back, leave=["steps"]), "count of steps: as after the last step. Keep it"),
        (take, partial(go_back, leave=["numbers"]), "random numbers still to come: as after"),
        (take, partial(go_back, deep=False), "not again: the optimizer's memory changed within the snapshot"),
    ],
)
def test_snapshot_refuses(wrong_take, wrong_go_back, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_snapshot(wrong_take, wrong_go_back)


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
    chapter.check_dropout(Dropout)
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
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_dropout(type("Dropout", (Dropout,), changes))
