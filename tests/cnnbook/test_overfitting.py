"""Chapter 16: its recipes; the checks of its exercises accept right answers, and name what is wrong with others."""

import numpy as np
import pytest

import cnnlib
from cnnbook import overfitting as chapter
from cnnbook.checking import WrongAnswer


def test_split_keeps_training_and_validation_apart():
    data = cnnlib.load_digits()
    numbered = data._replace(train_labels=np.arange(len(data.train_labels)))
    (x, t), (validation_x, validation_t) = chapter.split(numbered, 900, seed=3)
    assert len(x) == len(t) == 900 and len(validation_x) == len(validation_t) == 499
    assert not set(t) & set(validation_t)
    (_, more), (_, same) = chapter.split(numbered, 998, seed=3)
    assert set(t) < set(more) and np.array_equal(same, validation_t)


def test_dropout_stands_before_the_last_two_dense_layers():
    network = chapter.with_dropout(np.random.default_rng(0))
    kinds = [type(layer).__name__ for layer in network]
    assert kinds[7:] == ["Dense", "ReLU", "Dropout", "Dense", "ReLU", "Dropout", "Dense", "Softmax"]
    assert network.parameter_count == cnnlib.lenet5().parameter_count


def train(points, units, weight_decay=0.0, dropout=0.0, steps=3_000):
    """Train as the live figure does; return the training loss, the validation loss, and its lowest value."""
    data = chapter.figure_data()
    x, t, vx, vt = (np.array(data[part][name])[:, None] for part in ("training", "validation") for name in "xt")
    network, optimizer = chapter.curve_network(units, dropout), cnnlib.Adam(0.001, weight_decay=weight_decay)
    fast, loss, lowest = network.fused(training=True, rng=np.random.default_rng(0)), cnnlib.MeanSquaredError(), np.inf
    for step in range(steps):
        fast.train_step(x[:points], t[:points], optimizer, loss)
        if step % 20 == 19:
            lowest = min(lowest, network.evaluate(vx, vt, loss)[0])
    return network.evaluate(x[:points], t[:points], loss)[0], network.evaluate(vx, vt, loss)[0], lowest


def test_the_answer_below_the_live_figure():
    training, validation, lowest = train(20, 64)
    assert training < 0.05 and validation > 1.5 * lowest  # it overfits
    for change in ({"weight_decay": 1}, {"dropout": 0.2}, {"points": 100}, {"units": 4}):
        remedied = train(**({"points": 20, "units": 64} | change))
        assert remedied[1] < 0.75 * validation
        assert remedied[0] > training
    under = train(20, 4, weight_decay=3)
    assert min(under[:2]) > 0.5


def folds(n, k, rng, shuffle=True, overlap=False, forget=False, uneven=False):
    order = rng.permutation(n) if shuffle else np.arange(n)
    parts = np.array_split(order, [1] if uneven else k)
    parts = parts if not uneven else [*([part] for part in order[: k - 1]), order[k - 1 :]]
    pairs = [(np.concatenate([*parts[:i], *parts[i + 1 :]]), np.asarray(parts[i])) for i in range(len(parts))]
    if overlap:
        return [(order, validation) for _, validation in pairs]
    if forget:
        return [(training[:-1], validation) for training, validation in pairs]
    return pairs


class ChannelDropout(cnnlib.Dropout):
    def draw_mask(self, x):
        return super().draw_mask(x[:, :, :1, :1])


class OneFateForAll(cnnlib.Dropout):
    def draw_mask(self, x):
        return super().draw_mask(x[:1, :, :1, :1])


class WholeExamples(cnnlib.Dropout):
    def draw_mask(self, x):
        return super().draw_mask(x[:, :1, :1, :1])


class Unscaled(ChannelDropout):
    def draw_mask(self, x):
        return super().draw_mask(x) * (1 - self.rate)


class WrongShare(cnnlib.Dropout):
    def draw_mask(self, x):
        return (self.rng.random((*x.shape[:2], 1, 1)) < self.rate) / (1 - self.rate)


class NewMaskBack(ChannelDropout):
    def backward(self, dy):
        return dy * self.draw_mask(dy)


class AlwaysOn(ChannelDropout):
    def forward(self, x):
        self.mask = self.draw_mask(x)
        return x * self.mask


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (chapter.check_masked, ([2, 0, 0, 8], np.array([2, 0, 0, 2]))),
        (chapter.check_shrink, (0.999**1000,)),
        (chapter.check_shrink, (0.3677,)),
        (chapter.check_standard_error, (0.69,)),
        (chapter.check_folds, (folds,)),
        (chapter.check_channel_dropout, (ChannelDropout,)),
    ],
)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (chapter.check_masked, ([2, 8], [2, 2]), "four numbers"),
        (chapter.check_masked, ([1, 0, 0, 4], [2, 0, 0, 2]), "scaled up"),
        (chapter.check_masked, ([0, 4, 6, 0], [0, 2, 2, 0]), "were dropped"),
        (chapter.check_masked, ([0.5, 0, 0, 2], [2, 0, 0, 2]), "do not multiply"),
        (chapter.check_masked, ([2, 4, 6, 8], [2, 0, 0, 2]), "mask is 0 or"),
        (chapter.check_masked, ([2, 0, 0, 8], [1, 0, 0, 1]), "with its scale"),
        (chapter.check_masked, ([2, 0, 0, 8], [1, 1, 1, 1]), "no influence"),
        (chapter.check_masked, ([2, 0, 0, 8], [2, 0, 0, 8]), "does not contain x"),
        (chapter.check_masked, ([2, 0, 0, 8], [2, 2, 2, 2]), "of the forward pass"),
        (chapter.check_shrink, (0,), "never reaches 0"),
        (chapter.check_shrink, (0.9**1000,), "never reaches 0"),
        (chapter.check_shrink, (0.99**1000,), "multiplied by the learning rate"),
        (chapter.check_shrink, (1 - 0.999**1000,), "what has gone"),
        (chapter.check_shrink, (0.999,), "after one step"),
        (chapter.check_shrink, (0.5,), "same number"),
        (chapter.check_standard_error, (0.0069,), "in per cent"),
        (chapter.check_standard_error, (0.00475,), "take its root"),
        (chapter.check_standard_error, (21.8,), "one example"),
        (chapter.check_standard_error, (3.16,), r"p \(1 - p\), not 1"),
        (chapter.check_standard_error, (1.378,), "two standard errors"),
        (chapter.check_standard_error, (5,), "variance of a mean"),
        (chapter.check_folds, (lambda *given: folds(*given, shuffle=False),), "shuffle first"),
        (chapter.check_folds, (lambda *given: folds(*given, overlap=True),), "trained on and validated on"),
        (chapter.check_folds, (lambda *given: folds(*given, forget=True),), "a fold uses"),
        (chapter.check_folds, (lambda *given: folds(*given, uneven=True),), "differ by more than one"),
        (chapter.check_folds, (lambda *given: folds(*given)[:-1],), "expected 5 pairs"),
        (chapter.check_folds, (lambda *given: folds(*given)[:1] * given[1],), "exactly once"),
        (chapter.check_folds, (lambda n, k, rng: folds(n, k, np.random.default_rng(0)),), "rng that is passed"),
        (chapter.check_channel_dropout, (cnnlib.ReLU,), "a subclass"),
        (chapter.check_channel_dropout, (cnnlib.Dropout,), "share one fate"),
        (chapter.check_channel_dropout, (OneFateForAll,), "channels of its own"),
        (chapter.check_channel_dropout, (WholeExamples,), "drawn by itself"),
        (chapter.check_channel_dropout, (Unscaled,), "scaled by"),
        (chapter.check_channel_dropout, (WrongShare,), "a share of"),
        (chapter.check_channel_dropout, (NewMaskBack,), "mask of the last"),
        (chapter.check_channel_dropout, (AlwaysOn,), "in prediction"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(*answer)
