"""Chapter 18: how it draws and transfers; the checks of its exercises judge right and wrong answers."""

import base64

import numpy as np
import pytest

import cnnlib
from cnnbook import transfer_learning as chapter
from cnnbook.checking import WrongAnswer

DENSE = 401 * 120 + 121 * 84 + 85 * 5


def test_only_neighbouring_classes_counted_from_zero():
    digits = cnnlib.load_digits()
    half = chapter.only(digits, range(5, 10))
    assert half.classes == ("5", "6", "7", "8", "9")
    assert set(half.train_labels) == set(half.test_labels) == set(range(5))
    assert np.array_equal(half.test_images[0], digits.test_images[digits.test_labels >= 5][0])


def test_few_of_each_class():
    labels = np.random.default_rng(0).integers(0, 4, 200)
    places = chapter.few(labels, 10, seed=1)
    assert len(set(places)) == 40 and np.array_equal(np.bincount(labels[places]), [10] * 4)
    assert set(places) <= set(chapter.few(labels, 20, seed=1))  # more examples: the same, and others
    assert set(places) != set(chapter.few(labels, 10, seed=2))


@pytest.mark.parametrize("way", chapter.WAYS)
def test_what_each_way_changes(way):
    digits = chapter.only(cnnlib.load_digits(), range(5, 10))
    places = chapter.few(digits.train_labels, 2, 0)
    base = cnnlib.lenet5(np.random.default_rng(7))
    before = {name: array.copy() for name, array in base.parameters().items()}
    network = chapter.learn(way, base, digits.train_images[places], digits.train_labels[places], 0, 5, steps=4)
    assert all(np.array_equal(before[name], array) for name, array in base.parameters().items())
    kept = [name for name, array in network.parameters().items() if np.array_equal(array, before[name])]
    assert kept == (["W0", "b0", "W3", "b3"] if way == "frozen" else [])


def test_begin_with_copies_all_but_the_last_layer():
    base = cnnlib.lenet5(np.random.default_rng(7))
    for classes in (5, 10):
        network = chapter.begin_with(base, classes, 0)
        for name, array in network.parameters().items():
            same = array.shape == base.parameters()[name].shape and np.array_equal(array, base.parameters()[name])
            assert same == (not name.startswith("W11")) or name == "b11"


def test_the_answer_below_the_live_figure():
    found = chapter.figure_data()
    labels = found["labels"]
    for order in found["orders"]:
        places = np.concatenate([order[labels["train"][order] == label][:10] for label in range(5)])
        shares = {}
        for name, kind in found["features"].items():
            train, test = (
                np.frombuffer(base64.b64decode(kind[part]), np.uint8).reshape(-1, kind["size"]) * kind["scale"]
                for part in ("train", "test")
            )
            layer = cnnlib.Dense(kind["size"], 5, "zeros", dtype=np.float64)
            network = cnnlib.Network([layer, cnnlib.Softmax()], (kind["size"],))
            optimizer, loss = cnnlib.SGD(found["learning_rate"]), cnnlib.CategoricalCrossEntropy()
            for _ in range(found["steps"]):
                network.train_step(train[places], labels["train"][places], optimizer, loss)
            shares[name] = network.evaluate(test, labels["test"])[1]
        assert shares["early"] > shares["pixels"] > shares["late"]


def few(labels, count, rng):
    places = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.concatenate([rng.choice(each, count, replace=False) for each in places])


def few_with_repetition(labels, count, rng):
    return np.concatenate([rng.choice(np.flatnonzero(labels == label), count) for label in np.unique(labels)])


def few_always_first(labels, count, rng):
    return np.concatenate([np.flatnonzero(labels == label)[:count] for label in np.unique(labels)])


def few_of_first_four(labels, count, rng):
    return np.concatenate([rng.permutation(np.flatnonzero(labels == c)[:3])[:count] for c in np.unique(labels)])


def changed(network, k, x):
    network[0].W += 1
    network[0].W -= 1
    network[0].W *= 1.5
    return network[:k].predict(x)


class Rates:
    sign, use_scale, in_place, same = -1, True, True, False

    def __init__(self, rates):
        self.rates = [rates[1]] * len(rates) if self.same else rates

    def step(self, pairs, scale=1.0):
        for rate, (parameter, gradient) in zip(self.rates, pairs, strict=True):
            move = self.sign * rate * (scale if self.use_scale else 1) * gradient
            if self.in_place:
                parameter += move
            else:
                parameter = parameter + move


class Uphill(Rates):
    sign = 1


class NoScale(Rates):
    use_scale = False


class NotInPlace(Rates):
    in_place = False


class OneRate(Rates):
    same = True


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (chapter.check_trained_count, (DENSE,)),
        (chapter.check_gap, (3.7 / 14.3,)),
        (chapter.check_gap, (0.26,)),
        (chapter.check_few, (few,)),
        (chapter.check_few, (lambda labels, count, rng: few(labels, count, rng).tolist(),)),
        (chapter.check_frozen, (lambda network, k, x: network[:k].predict(x),)),
        (chapter.check_rates, (Rates,)),
    ],
)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (chapter.check_trained_count, (61_706,), "ten classes"),
        (chapter.check_trained_count, (DENSE + 156 + 2_416,), "stay as they are"),
        (chapter.check_trained_count, (DENSE + 425,), "five outputs"),
        (chapter.check_trained_count, (425,), "last layer only"),
        (chapter.check_trained_count, (400 * 120 + 120 * 84 + 84 * 5,), "a bias, too"),
        (chapter.check_trained_count, (1,), "Three dense layers"),
        (chapter.check_gap, (3.7,), "percentage points"),
        (chapter.check_gap, (3.7 / 85.7,), "take the mistakes"),
        (chapter.check_gap, (10.6 / 14.3,), "is left"),
        (chapter.check_gap, (3.7 / 10.6,), "not by those after"),
        (chapter.check_gap, (25.9,), "from 0 to 1"),
        (chapter.check_gap, (0.5,), "14.3 mistakes"),
        (chapter.check_few, (few_with_repetition,), "taken twice"),
        (chapter.check_few, (few_always_first,), "always the same"),
        (chapter.check_few, (few_of_first_four,), "never drawn"),
        (chapter.check_few, (lambda labels, count, rng: rng.permutation(12)[: 3 * count],), "occur"),
        (chapter.check_few, (lambda labels, count, rng: few(labels, count, rng)[:-1],), "expected 3 positions"),
        (chapter.check_few, (lambda labels, count, rng: labels == 0,), "array of positions"),
        (chapter.check_frozen, (lambda network, k, x: network[: k + 1].predict(x),), "too many"),
        (chapter.check_frozen, (lambda network, k, x: network[: max(k - 1, 1)].predict(x),), "too few|the shape"),
        (chapter.check_frozen, (lambda network, k, x: network[k:].predict(network[:k].predict(x)),), "the shape"),
        (chapter.check_frozen, (lambda network, k, x: network[:k].predict(x / 2550),), "divided by 255"),
        (chapter.check_frozen, (lambda network, k, x: None,), "return an array"),
        (chapter.check_frozen, (lambda network, k, x: network[:k].predict(x[:3]),), "of 7 examples"),
        (chapter.check_frozen, (changed,), "divided by 255|have changed"),
        (chapter.check_rates, (Uphill,), "downhill"),
        (chapter.check_rates, (NoScale,), "schedule's scale"),
        (chapter.check_rates, (NotInPlace,), "in place"),
        (chapter.check_rates, (OneRate,), "must not move"),
        (chapter.check_rates, (lambda rates: cnnlib.SGD(0.1, momentum=0),), "must not move"),
        (chapter.check_rates, (lambda rates: None,), "method step"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(*answer)
