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
    [
        (2388, "biases"),
        (2194, "all 4 channels"),
        (3290, "rounded down"),
        (8410, "stride 2"),
        (2411, "each layer"),
        (2410.5, "whole"),
        (None, "numbers"),
    ],
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
        (lambda p, labels: judge(p, labels)[0], "expected two numbers"),
        (lambda p, labels: (judge(p, labels, mean=lambda v: v)[0], 1.0), "a single number"),
        (lambda p, labels: judge(p, labels)[::-1], "the loss comes first"),
        (lambda p, labels: judge(p, labels, log=np.log2), "natural logarithm"),
        (lambda p, labels: judge(p, labels, log=lambda q: np.log(q + 1e-8)), "a tiny probability was changed"),
        (lambda p, labels: judge(p, labels, log=lambda q: np.log(q.clip(1e-7))), "a tiny probability was changed"),
        (lambda p, labels: judge(p, p.argmax(axis=1)), "not the largest one"),
        (lambda p, labels: (-np.log(p).mean(), 0.5), "only the probability of the right class"),
        (lambda p, labels: (-np.log(p[np.arange(len(p)), labels].mean()), 0.5), "then the mean"),
        (lambda p, labels: (judge(p, labels)[0], np.sum(p.argmax(axis=1) == labels)), "the number of right answers"),
        (lambda p, labels: (judge(p, labels)[0], 100 * judge(p, labels)[1]), "a percentage"),
        (lambda p, labels: (judge(p, labels)[0], 1 - judge(p, labels)[1]), "share of wrong"),
        (lambda p, labels: (judge(p, labels)[0], p[np.arange(len(p)), labels].mean()), "a mean probability"),
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
        ([], "a list"),
        ([2.5, 3], "whole number"),
        (["2"], "expected numbers"),
        ("2345", "a list"),
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
    with pytest.raises(WrongAnswer, match="a class that is a Layer"):
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


def judge_as_list(p, labels):
    return [np.float32(judge(p, labels)[0]), judge(p, labels)[1]]


@pytest.mark.parametrize("answer", [judge_as_list, lambda p, labels: np.array(judge(p, labels))])
def test_judge_accepts_any_type(answer, capsys):
    chapter.check_judge(answer)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize(
    "sizes", [range(2, 6), {2, 3, 4, 5}, np.array([5, 4, 3, 2]), (2.0, 3.0, 4.0, 5.0), [2, 2, 3, 4, 5]]
)
def test_fits_accepts_any_type(sizes, capsys):
    chapter.check_fits(sizes)
    assert "Right." in capsys.readouterr().out


@pytest.mark.parametrize("nonsense", [None, "2410", [], {}, object(), 3 + 2j, np.nan, lambda *_: None, lambda *_: "x"])
@pytest.mark.parametrize("name", ["count", "judge", "fits", "shortcut", "dropout"])
def test_nonsense_is_refused_without_an_error(name, nonsense):
    with pytest.raises(WrongAnswer):
        getattr(chapter, f"check_{name}")(nonsense)


@pytest.mark.parametrize("nonsense", [None, "a", lambda: None, lambda *_: 1 / 0])
def test_a_snapshot_that_stops_is_refused_without_an_error(nonsense):
    with pytest.raises(WrongAnswer):
        chapter.check_snapshot(nonsense, nonsense)
    with pytest.raises(WrongAnswer):
        chapter.check_snapshot(take, nonsense)


def test_two_hidden_units_can_learn_xor_and_eight_do():
    """What chapter 11 says of the seeds from 0 to 9."""
    x, labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0])

    def learns(hidden, seed):
        rng = np.random.default_rng(seed)
        layers = [cnnlib.Dense(2, hidden, rng=rng), cnnlib.ReLU(), cnnlib.Dense(hidden, 2, rng=rng), cnnlib.Softmax()]
        network = cnnlib.Network(layers, input_shape=(2,))
        network.train(x, labels, epochs=100, batch_size=2, progress=False, optimizer=cnnlib.SGD(0.1))
        return (network.predict(x).argmax(axis=1) == labels).all()

    assert sum(learns(2, seed) for seed in range(10)) == 1
    assert sum(learns(8, seed) for seed in range(10)) == 10


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


def rows_at_once(self, x):
    kept = self.rng.random((*x.shape[:-1], 1)) >= self.rate
    return (np.broadcast_to(kept, x.shape) / (1 - self.rate)).astype(x.dtype)


def equally_many(self, x):
    order = self.rng.random((len(x), x[0].size)).argsort(axis=1).argsort(axis=1)
    kept = (order >= round(self.rate * x[0].size)).reshape(x.shape)
    return (kept / (1 - self.rate)).astype(x.dtype)


def twice_the_same(self, x):
    kept = np.resize(self.rng.random((-(-len(x) // 2), *x.shape[1:])) >= self.rate, x.shape)
    return (kept / (1 - self.rate)).astype(x.dtype)


def from_a_seed_of_its_own(self, x):
    self.chance = getattr(self, "chance", np.random.default_rng(0))
    return ((self.chance.random(x.shape) >= self.rate) / (1 - self.rate)).astype(x.dtype)


def from_elsewhere(self, x):
    kept = np.random.default_rng().random(x.shape) >= self.rate
    return (kept / (1 - self.rate)).astype(x.dtype)


def drop_in_place(self, x):
    self.factor = self.draw(x)
    x *= self.factor
    return x


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
        ({"draw": rows_at_once}, "whole rows"),
        ({"draw": equally_many}, "equally many"),
        ({"draw": from_elsewhere}, "handed over"),
        ({"draw": from_a_seed_of_its_own}, "handed over"),
        ({"draw": twice_the_same}, "some examples lose the same"),
        ({"draw": lambda self, x: x * 0 + 1}, "loses the same entries"),
        ({"draw": lambda self, x: Dropout.draw(self, x).astype(float)}, "turns float32 into float64"),
        ({"forward": drop_in_place}, "changed its argument"),
        ({"config": {"rate": 0.2, "rng": None}}, "config is"),
        ({"forward": lambda self, x: 1 / 0}, "ZeroDivisionError"),
    ],
)
def test_dropout_refuses(changes, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_dropout(type("Dropout", (Dropout,), changes))
