"""Chapter 14: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnbook import looking_inside as chapter
from cnnbook.checking import WrongAnswer
from cnnlib.plots import RIGHT, WRONG


@pytest.mark.parametrize(("label", "sign", "color"), [(7, "✓", RIGHT), (3, "✗", WRONG)])
def test_an_answer_is_marked_right_or_wrong(label, sign, color):
    p = np.full(10, 0.01)
    p[7] = 0.91
    chapter.draw_answer(np.eye(28), p, label)
    left, right = plt.gcf().axes
    assert left.get_title() == f"a {label}"
    assert right.get_title() == f"{sign} read as 7"
    assert plt.matplotlib.colors.to_hex(right.patches[7].get_facecolor(), keep_alpha=False).upper() == color
    assert [text.get_text() for text in right.texts] == ["1%"] * 7 + ["91%"] + ["1%"] * 2


def test_maps_have_their_numbers_and_one_scale():
    chapter.draw_maps(np.eye(28), np.arange(6.0)[:, None, None] * np.eye(28), np.ones((16, 10, 10)))
    axes = plt.gcf().axes
    assert [axis.get_title() for axis in axes[:24]] == ["input", "", *map(str, range(6)), *map(str, range(16))]
    assert len(axes) == 26  # and a scale for each stage
    assert {axis.get_images()[0].get_clim() for axis in axes[2:8]} == {(0.0, 5.0)}


def test_looks_name_the_worst_that_a_square_does():
    paper, ink = np.full((24, 24), 0.9), np.full((24, 24), 0.8)
    paper[3, 4], ink[5, 6] = 0.25, 0.0
    chapter.draw_looks([(np.eye(28), "a 1, then 7", np.eye(28), paper, ink)])
    assert [axis.get_title() for axis in plt.gcf().axes[:4]] == [
        "a 1, then 7",
        "gradient",
        "with paper: 25%",
        "with ink: 0%",
    ]
    plt.gcf().canvas.draw()


def test_curves_are_drawn_in_percent():
    amounts, share = np.array([0, 1]), np.array([1.0, 0.5])
    chapter.draw_curves(dict.fromkeys("abcd", (amounts, share, share)))
    assert [axis.get_xlabel() for axis in plt.gcf().axes] == list("abcd")
    assert plt.gcf().axes[0].get_lines()[0].get_ydata().tolist() == [100, 50]


# The checks of the exercises


def rates(matrix):
    return matrix.diagonal() / matrix.sum(axis=1), matrix.diagonal() / matrix.sum(axis=0)


def top(p, labels, k):
    return np.mean(np.any(np.argsort(p, axis=1)[:, -k:] == labels[:, np.newaxis], axis=1))


def refuse(p, labels, threshold, strict=False, of_all=False):
    answered = p.max(axis=1) > threshold if strict else p.max(axis=1) >= threshold
    if not answered.any():
        return 0.0, np.nan
    hits = answered & (p.argmax(axis=1) == labels)
    return answered.mean(), hits.mean() if of_all else hits.sum() / answered.sum()


def strongest(maps, f):
    return np.unravel_index(maps[:, f].argmax(), maps[:, f].shape)


def paired(right_a, right_b):
    a, b = np.sum(right_a & ~right_b), np.sum(right_b & ~right_a)
    return a, b, (a - b) / np.sqrt(a + b) if a + b else 0.0


def temperature(z, labels, inverse=False, safe=True, highest=20, sign=1):
    if safe:
        z = z - z.max(axis=1, keepdims=True)
    true = z[np.arange(len(z)), labels]

    def loss(T):
        return sign * np.mean(np.log(np.exp(z / T).sum(axis=1)) - true / T)

    best = min(np.geomspace(0.05, highest, 500), key=loss)
    return 1 / best if inverse else best


def in_place(z, labels):
    z -= z.max(axis=1, keepdims=True)
    return temperature(z, labels)


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (chapter.check_rates, rates),
        (chapter.check_top, top),
        (chapter.check_refuse, refuse),
        (chapter.check_strongest, strongest),
        (chapter.check_paired, paired),
        (chapter.check_temperature, temperature),
    ],
)
def test_right(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (chapter.check_rates, lambda matrix: rates(matrix)[::-1], "exchanged"),
        (chapter.check_rates, lambda matrix: (matrix.diagonal() / matrix.sum(),) * 2, "all examples"),
        (chapter.check_rates, lambda matrix: rates(matrix)[0], "expected two arrays"),
        (chapter.check_rates, lambda matrix: (rates(matrix)[0],) * 2, "sums of the columns"),
        (chapter.check_top, lambda p, labels, k: top(-p, labels, k), r"\*lowest\* probability"),
        (chapter.check_top, lambda p, labels, k: np.mean(np.argsort(-p, axis=1)[:, k - 1] == labels), "in place 2"),
        (chapter.check_top, lambda p, labels, k: top(p, labels, 1), "is not it"),
        (chapter.check_top, lambda p, labels, k: top(p, labels, k + 1), "not 1"),
        (chapter.check_top, lambda p, labels, k: len(p) * top(p, labels, k), "number of hits"),
        (chapter.check_top, lambda p, labels, k: 1 - top(p, labels, k), "is not it|number|lowest"),
        (chapter.check_rates, lambda matrix: rates(matrix.T), "exchanged"),
        (chapter.check_rates, lambda matrix: [100 * part for part in rates(matrix)], "not a percentage"),
        (chapter.check_rates, lambda matrix: [1 - part for part in rates(matrix)], "1 minus the recall"),
        (chapter.check_rates, lambda matrix: [part.mean() for part in rates(matrix)], "the shape is"),
        (chapter.check_refuse, lambda *a: refuse(*a)[::-1], "the share comes first"),
        (chapter.check_refuse, lambda p, *a: (len(p) * refuse(p, *a)[0], refuse(p, *a)[1]), "divide by their number"),
        (chapter.check_refuse, lambda p, labels, c: refuse(p, labels, 0), "is not it"),
        (chapter.check_strongest, lambda maps, f: np.array(strongest(maps, f))[[0, 2, 1]], "exchanged"),
        (chapter.check_strongest, lambda maps, f: (f, *strongest(maps, f)[1:]), "does not give"),
        (chapter.check_strongest, lambda maps, f: np.array(strongest(maps, f)) + 1, "does not give"),
        (chapter.check_paired, lambda a, b: (np.sum(~a), np.sum(~b), 0.0), "these are mistakes"),
        (chapter.check_paired, lambda a, b: (paired(a, b)[0] / 100, paired(a, b)[1] / 100, 0.0), "counts were asked"),
        (chapter.check_paired, lambda a, b: (*paired(a, b)[:2], -paired(a, b)[2]), "the sign is wrong"),
        (chapter.check_paired, lambda a, b: (*paired(a, b)[:2], abs(paired(a, b)[2])), "with the networks exchanged"),
        (chapter.check_paired, lambda a, b: (*paired(a, b)[:2], 0.5), "count under the root"),
        (chapter.check_paired, lambda a, b: paired(a, b) if (a != b).any() else (0, 0, np.nan), "expected 0"),
        (chapter.check_temperature, lambda z, labels: temperature(z, labels, highest=2), "does not have the smallest"),
        (chapter.check_temperature, lambda z, labels: np.nan, "the answer is nan"),
        (chapter.check_refuse, lambda *arguments: refuse(*arguments, strict=True), "exactly the threshold"),
        (chapter.check_refuse, lambda *arguments: refuse(*arguments, of_all=True), r"\*answered\* examples"),
        (
            chapter.check_refuse,
            lambda p, labels, c: (1 - refuse(p, labels, c)[0], refuse(p, labels, c)[1]),
            "is refused",
        ),
        (chapter.check_refuse, lambda *arguments: np.nan_to_num(refuse(*arguments)).tolist(), r"\(0, nan\)"),
        (chapter.check_strongest, lambda maps, f: np.unravel_index(maps[f].argmax(), maps[f].shape), "second axis"),
        (chapter.check_strongest, lambda maps, f: strongest(np.abs(maps), f), "absolute value"),
        (chapter.check_strongest, lambda maps, f: maps[:, f].argmax(), "three numbers; got 1"),
        (chapter.check_strongest, lambda maps, f: strongest(-maps, f), "does not give its largest"),
        (chapter.check_paired, lambda a, b: (a.sum(), b.sum(), 0.0), r"\*only one\* of them"),
        (chapter.check_paired, lambda a, b: paired(b, a), "exchanged"),
        (chapter.check_paired, lambda a, b: (*paired(a, b)[:2], 5 / 13), "root of a [+] b"),
        (
            chapter.check_paired,
            lambda a, b: (9, 4, (9 - 4) / 13**0.5) if (a != b).any() else (0, 0, 0 // 0),
            "ZeroDivisionError",
        ),
        (chapter.check_paired, lambda a, b: (np.sum(a & b), np.sum(~a & ~b), 0.0), "which only the second"),
        (chapter.check_temperature, lambda z, labels: temperature(z, labels, inverse=True), "1/τ"),
        (chapter.check_temperature, lambda z, labels: temperature(z, labels, safe=False), "overflowed"),
        (
            chapter.check_temperature,
            lambda z, labels: temperature(z, labels, sign=-1),
            "does not have the smallest loss",
        ),
        (chapter.check_temperature, lambda z, labels: 1.0, "does not have the smallest loss"),
        (chapter.check_temperature, in_place, "work on a copy"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(answer)


NONSENSE = [None, "1", [], {}, object(), 3 + 2j, np.nan, lambda *_: None, lambda *_: "x", lambda *_: 1 / 0]


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("name", ["rates", "top", "refuse", "strongest", "paired", "temperature"])
def test_nonsense_is_refused_without_an_error(name, nonsense):
    with pytest.raises(WrongAnswer):
        getattr(chapter, f"check_{name}")(nonsense)


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (chapter.check_rates, lambda matrix: [part.tolist() for part in rates(matrix)]),
        (chapter.check_rates, lambda matrix: np.array(rates(matrix), np.float32)),
        (chapter.check_top, lambda p, labels, k: np.array(top(p, labels, k))),
        (chapter.check_refuse, lambda *arguments: list(refuse(*arguments))),
        (chapter.check_strongest, lambda maps, f: np.array(strongest(maps, f))),
        (chapter.check_paired, lambda a, b: np.array(paired(a, b))),
        (chapter.check_temperature, lambda z, labels: np.array([temperature(z, labels)])),
    ],
)
def test_other_types_are_right_as_well(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")
