"""Chapter 8: the checks of its exercises accept right answers, and name what is wrong with others."""

import inspect
from collections import Counter

import numpy as np
import pytest

import cnnlib
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


def first_row_only(layer, x):
    """The test of the chapter, which looks at row 0 alone."""
    changed = x.copy()
    changed[1:] = 0
    return np.array_equal(layer.forward(x)[0], layer.forward(changed)[0])


def each_changed(layer, x):
    y = layer.forward(x)
    for n in range(len(x)):
        changed = x.copy()
        changed[n] += 1
        if not np.array_equal(np.delete(layer.forward(changed), n, axis=0), np.delete(y, n, axis=0)):
            return False
    return True


def in_pairs(layer, x):
    """Compare the whole batch with batches of two."""
    pairs = [layer.forward(x[n : n + 2]) for n in range(0, len(x), 2)]
    return np.allclose(layer.forward(x), np.concatenate(pairs))


def from_the_front(layer, x):
    """Compare the first n rows with those of a batch that ends there."""
    y = layer.forward(x)
    return all(np.allclose(layer.forward(x[: n + 1])[n], y[n]) for n in range(len(x)))


def convert_channels(W, shape):
    return W.reshape(*shape, -1)[::-1].reshape(W.shape)


def convert_transposed(W, shape):
    return W.reshape(*shape, -1).transpose(2, 1, 0, 3).reshape(W.shape)


RIGHT = [
    (chapter.check_index, (48,)),
    (chapter.check_index, (np.array([48.0]),)),
    (chapter.check_place, ((1, 3, 2),)),
    (chapter.check_place, (np.array([1.0, 3.0, 2.0]),)),
    (chapter.check_views, ([True, False, False, True, True],)),
    (chapter.check_views, (np.array([1, 0, 0, 1, 1]),)),
    (chapter.check_channels_last, (forward, backward)),
    (chapter.check_convert, (convert,)),
    (chapter.check_independent, (each_alone,)),
    (chapter.check_independent, (each_changed,)),
]

WRONG = [
    (chapter.check_index, (26,), "the channel comes first"),
    (chapter.check_index, (41,), "channel run fastest"),
    (chapter.check_index, (49,), "counts from 1"),
    (chapter.check_index, (47,), "exchanged"),
    (chapter.check_index, (50,), "whole channels"),
    (chapter.check_index, (6,), "whole channels"),
    (chapter.check_index, ((2, 1, 3),), "expected a single number"),
    (chapter.check_place, ((1, 3),), "three numbers"),
    (chapter.check_place, ((2, 3, 1),), "goes to d = 56"),
    (chapter.check_place, ((1, 2, 7),), "outside"),
    (chapter.check_place, ((1, 3, 1),), "counts d from 1"),
    (chapter.check_place, ((1.85, 3.4, 2),), "round down"),
    (chapter.check_place, ((2, 0, 1),), "goes to d = 41"),
    (chapter.check_place, ((0, 3, 2),), "goes to d = 17"),
    (chapter.check_views, ([True, True, False, True, True],), r"\(b\)"),
    (chapter.check_views, ([True, False, False, True, False],), r"\(e\)"),
    (chapter.check_views, ([True],), "expected 5 answers"),
    (chapter.check_views, ([False, True, True, False, False],), r"\(a\)"),
    (chapter.check_views, ([True, False, True, True, True],), r"\(c\)"),
    (chapter.check_views, ([True, False, False, False, True],), r"\(d\)"),
    (chapter.check_views, (["view", "copy", "copy", "view", "view"],), "expected numbers"),
    (chapter.check_views, ([1, 0, 0, 1, 2],), "True or False"),
    (chapter.check_channels_last, (lambda x: x.reshape(len(x), -1), backward), "channel, row, column"),
    (chapter.check_channels_last, (lambda x: x.reshape(-1, len(x)).T, backward), "y\\[n\\] lists"),
    (chapter.check_channels_last, (lambda x: x.transpose(0, 3, 2, 1).reshape(len(x), -1), backward), "y\\[n\\] lists"),
    (chapter.check_channels_last, (lambda x: x.transpose(0, 2, 3, 1), backward), "the shape is"),
    (chapter.check_channels_last, (forward, lambda dy, shape: dy.reshape(shape)), "undo the steps"),
    (
        chapter.check_channels_last,
        (forward, lambda dy, shape: dy.reshape(shape[0], *shape[2:], shape[1])),
        "still to be",
    ),
    (
        chapter.check_channels_last,
        (forward, lambda dy, shape: dy.reshape(shape[0], *shape[:0:-1]).transpose(0, 3, 2, 1)),
        "must put every number",
    ),
    (chapter.check_convert, (lambda W, shape: W,), "unchanged"),
    (chapter.check_convert, (convert_back,), "the way back"),
    (chapter.check_convert, (lambda W, shape: convert(W, shape).T,), "only the order of the rows"),
    (chapter.check_convert, (lambda W, shape: W[:, ::-1],), "whole rows"),
    (chapter.check_convert, (convert_channels,), "must not change"),
    (chapter.check_convert, (convert_transposed,), "must not change"),
    (chapter.check_convert, (lambda W, shape: convert(W, (3, 2, 5)) if len(W) == 30 else W,), "unchanged"),
    (chapter.check_independent, (second_alone,), "one example change the row of one other"),
    (chapter.check_independent, (first_row_only,), "one example change the row of one other"),
    (chapter.check_independent, (from_the_front,), "one example change the row of one other"),
    (chapter.check_independent, (in_pairs,), "adds every second example"),
    (chapter.check_independent, (shape_only,), "in turn"),
    (chapter.check_independent, (lambda layer, x: False,), "says no"),
    (chapter.check_independent, (lambda layer, x: isinstance(layer, cnnlib.Flatten),), "MaxPooling keeps"),
    (chapter.check_independent, (lambda layer, x: type(layer).__module__.startswith("cnnlib"),), "reversing"),
    (chapter.check_independent, (lambda layer, x: np.array_equal(layer.forward(x), layer.forward(x)),), "in turn"),
]


@pytest.mark.parametrize(("function", "answer"), RIGHT)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("function", "answer", "message"), WRONG)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(*answer)


def test_every_check_is_tried_with_six_wrong_answers():
    tried = Counter(check.__name__ for check, *_ in WRONG)
    assert set(tried) == {name for name in vars(chapter) if name.startswith("check_")}
    assert min(tried.values()) >= 6


@pytest.mark.parametrize("nonsense", [None, "text", 7.5, [], {}, np.nan])
@pytest.mark.parametrize("check", dict.fromkeys(check for check, _ in RIGHT), ids=lambda check: check.__name__)
def test_nonsense_is_refused(check, nonsense):
    with pytest.raises(WrongAnswer):
        check(*[nonsense] * len(inspect.signature(check).parameters))
