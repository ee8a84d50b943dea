"""The checks of chapter 8 accept a right answer, and say what is wrong with the usual wrong ones."""

import numpy as np
import pytest

from cnnlib.exercises import NotYet
from cnnlib.exercises import flatten as check


def forward(x):
    return x.transpose(0, 2, 3, 1).reshape(len(x), -1)


def backward(dy, shape):
    N, C, H, W = shape
    return dy.reshape(N, H, W, C).transpose(0, 3, 1, 2)


def convert(W, shape):
    return W.reshape(*shape, -1).transpose(1, 2, 0, 3).reshape(W.shape)


def convert_back(W, shape):
    C, H, width = shape
    return W.reshape(H, width, C, -1).transpose(2, 0, 1, 3).reshape(W.shape)


def each_alone(layer, x):
    return np.allclose(layer.forward(x), [layer.forward(x[n : n + 1])[0] for n in range(len(x))])


def second_alone(layer, x):
    changed = x.copy()
    changed[1] += 1
    return np.array_equal(layer.forward(x)[0], layer.forward(changed)[0])


def shape_only(layer, x):
    return layer.forward(x).shape[0] == len(x)


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (check.index, (48,)),
        (check.place, ((1, 3, 2),)),
        (check.views, ([True, False, False, True, True],)),
        (check.channels_last, (forward, backward)),
        (check.convert, (convert,)),
        (check.independent, (each_alone,)),
    ],
)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (check.index, (26,), "the channel comes first"),
        (check.index, (41,), "channel run fastest"),
        (check.index, (49,), "counts from 1"),
        (check.index, (50,), "2 whole channels"),
        (check.place, ((1, 3),), "three numbers"),
        (check.place, ((2, 3, 1),), "Divide by 20"),
        (check.place, ((1, 2, 7),), "outside"),
        (check.views, ([True, True, False, True, True],), r"\(b\) is a copy"),
        (check.views, ([True, False, False, True, False],), r"\(e\) is a view"),
        (check.views, ([True],), "expected 5 answers"),
        (check.channels_last, (lambda x: x.reshape(len(x), -1), backward), "channel, row, column"),
        (check.channels_last, (lambda x: x.reshape(-1, len(x)).T, backward), "y\\[n\\] lists"),
        (check.channels_last, (forward, lambda dy, shape: dy.reshape(shape)), "undo the steps"),
        (
            check.channels_last,
            (forward, lambda dy, shape: dy.reshape(shape[0], *shape[2:], shape[1])),
            "still to be",
        ),
        (check.convert, (lambda W, shape: W,), "unchanged"),
        (check.convert, (convert_back,), "the way back"),
        (check.convert, (lambda W, shape: convert(W, shape).T,), "only the order of the rows"),
        (check.convert, (lambda W, shape: W[:, ::-1],), "whole rows"),
        (check.independent, (second_alone,), "the last example changes"),
        (check.independent, (shape_only,), "like cards"),
        (check.independent, (lambda layer, x: False,), "denies"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(NotYet, match=message):
        function(*answer)
