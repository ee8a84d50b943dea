"""Chapter 8: the checks of its exercises accept right answers, and name what is wrong with others."""

import numpy as np
import pytest

from cnnbook import flatten as chapter
from cnnbook.checking import WrongAnswer


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
        (chapter.check_index, (48,)),
        (chapter.check_place, ((1, 3, 2),)),
        (chapter.check_views, ([True, False, False, True, True],)),
        (chapter.check_channels_last, (forward, backward)),
        (chapter.check_convert, (convert,)),
        (chapter.check_independent, (each_alone,)),
    ],
)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (chapter.check_index, (26,), "the channel comes first"),
        (chapter.check_index, (41,), "channel run fastest"),
        (chapter.check_index, (49,), "counts from 1"),
        (chapter.check_index, (50,), "2 whole channels"),
        (chapter.check_place, ((1, 3),), "three numbers"),
        (chapter.check_place, ((2, 3, 1),), "Divide by 20"),
        (chapter.check_place, ((1, 2, 7),), "outside"),
        (chapter.check_views, ([True, True, False, True, True],), r"\(b\) is a copy"),
        (chapter.check_views, ([True, False, False, True, False],), r"\(e\) is a view"),
        (chapter.check_views, ([True],), "expected 5 answers"),
        (chapter.check_channels_last, (lambda x: x.reshape(len(x), -1), backward), "channel, row, column"),
        (chapter.check_channels_last, (lambda x: x.reshape(-1, len(x)).T, backward), "y\\[n\\] lists"),
        (chapter.check_channels_last, (forward, lambda dy, shape: dy.reshape(shape)), "undo the steps"),
        (
            chapter.check_channels_last,
            (forward, lambda dy, shape: dy.reshape(shape[0], *shape[2:], shape[1])),
            "still to be",
        ),
        (chapter.check_convert, (lambda W, shape: W,), "unchanged"),
        (chapter.check_convert, (convert_back,), "the way back"),
        (chapter.check_convert, (lambda W, shape: convert(W, shape).T,), "only the order of the rows"),
        (chapter.check_convert, (lambda W, shape: W[:, ::-1],), "whole rows"),
        (chapter.check_independent, (second_alone,), "the last example changes"),
        (chapter.check_independent, (shape_only,), "like cards"),
        (chapter.check_independent, (lambda layer, x: False,), "denies"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(*answer)
