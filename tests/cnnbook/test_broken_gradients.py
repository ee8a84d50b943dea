"""The broken layers of the lab: each is caught where its fault shows, and the right layer passes there."""

import numpy as np
import pytest

import cnnlib
from cnnbook import broken_gradients as chapter
from cnnbook.checking import WrongAnswer

NUMBERS = range(1, 9)

every_layer = pytest.mark.parametrize(("number", "layer"), list(enumerate(chapter.BROKEN, 1)))


def rng():
    return np.random.default_rng(0)


def normal(*shape):
    return np.random.default_rng(1).standard_normal(shape)


@every_layer
def test_the_fault_is_caught(number, layer):
    assert layer.__name__ == f"Broken{number}"
    with pytest.raises(cnnlib.GradientError, match="central differences say"):
        cnnlib.gradient_check(*chapter.build(number, layer))
    with pytest.raises(WrongAnswer, match="central differences say"):
        chapter.check_repaired(number, layer)


@every_layer
def test_the_right_layer_passes(number, layer, capsys):
    chapter.check_repaired(number, layer.__base__)
    assert capsys.readouterr().out.startswith("Right.")


@every_layer
def test_forward_is_right(number, layer):
    (faulty, x), (right, _) = chapter.build(number, layer), chapter.build(number, layer.__base__)
    np.testing.assert_allclose(faulty.forward(x.copy()), right.forward(x.copy()), rtol=1e-13)


def symmetric(layer):
    layer.W += layer.W[:, :, ::-1, ::-1].copy()
    return layer


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (chapter.Broken1(), np.abs(normal(3, 4))),
        (chapter.Broken2(3, 2, rng=rng()), normal(1, 3)),
        (chapter.Broken3(3, 2, rng=rng()), normal(1, 3)),
        (chapter.Broken5(1, 2, 3, rng=rng()), normal(2, 1, 5, 4)),
        (chapter.Broken5(1, 2, 1, padding="same", rng=rng()), normal(2, 1, 5, 4)),
        (symmetric(chapter.Broken6(1, 2, 3, rng=rng())), normal(2, 1, 5, 4)),
        (cnnlib.Network([cnnlib.Dense(3, 4, rng=rng()), chapter.Broken7()], (3,)), normal(2, 3)),
        (chapter.Broken8(2), normal(2, 1, 4, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_lab_tells_the_truth_about_inputs_that_hide_a_fault(function, x):
    cnnlib.gradient_check(function, x)


@pytest.mark.parametrize(
    ("number", "wrong"),
    [(1, {"dx"}), (2, {"dW", "db"}), (3, {"db"}), (4, {"dx"}), (5, {"dx"}), (6, {"dx"}), (7, {"dx"}), (8, {"db0"})],
)
def test_the_lab_tells_the_truth_about_the_arrays(number, wrong):
    errors = cnnlib.gradient_check(*chapter.build(number, chapter.BROKEN[number - 1]), tolerance=np.inf)
    assert {name for name, error in errors.items() if error > 1e-7} == wrong


def test_examine_prints_the_message_in_short(capsys):
    chapter.examine(chapter.Broken1(), np.array([[0.8, -1.2]]))
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("Broken1(): dx[0, 1] is -0.1321, but central differences say 0 (relative error 1.0e+00")
    chapter.examine(cnnlib.ReLU(), np.array([[0.8, -1.2]]))
    assert capsys.readouterr().out == "passes\n"


@pytest.mark.parametrize("name", ["dx", "dW", "db"])
def test_both_agree_for_a_right_layer(name):
    layer, x = cnnlib.Dense(3, 2, rng=rng()), normal(4, 3)
    analytic, numerical = chapter.both(layer, x, name)
    np.testing.assert_allclose(analytic, numerical, rtol=1e-7, atol=1e-9)
    assert layer.W.dtype == np.float32 and not hasattr(layer, "dW")


def test_both_shows_the_fault():
    analytic, numerical = chapter.both(chapter.Broken2(3, 2, rng=rng()), normal(4, 3), "dW")
    np.testing.assert_allclose(analytic / numerical, 1 / 4, rtol=1e-6)


@pytest.mark.parametrize("number", NUMBERS)
def test_verdict(number, capsys):
    for suspect in chapter.SUSPECTS:
        if suspect == chapter.FAULTS[number - 1]:
            chapter.check_verdict(number, suspect)
            assert capsys.readouterr().out.startswith("Right.")
        else:
            with pytest.raises(WrongAnswer, match="Is that what you see"):
                chapter.check_verdict(number, suspect)
    assert sorted(chapter.FAULTS) == sorted(chapter.SUSPECTS)


class OtherForward(cnnlib.ReLU):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: chapter.check_verdict(1, "gremlins"), '"axis", "batch sum"'),
        (lambda: chapter.check_verdict(9, "mask"), "1 to 8, got 9"),
        (lambda: chapter.check_repaired(0, cnnlib.ReLU), "1 to 8, got 0"),
        (lambda: chapter.check_repaired(1, cnnlib.ReLU()), "the class itself"),
        (lambda: chapter.check_repaired(1, OtherForward), "forward no longer"),
        (lambda: chapter.check_repaired(1, cnnlib.Sigmoid), "forward no longer"),
    ],
)
def test_a_useless_answer_is_explained(call, message):
    with pytest.raises(WrongAnswer, match=message):
        call()


# The museum

MUSEUM = [
    (chapter.ReversedKernel, {"dW"}, (2, 3, 3)),
    (chapter.LastPatchOnly, {"dx"}, (2, 3, 3)),
    (chapter.MaskOfOutputs, {"dx"}, ()),
]


@pytest.mark.parametrize(("fault", "wrong", "arguments"), MUSEUM)
def test_a_fault_of_the_museum_is_caught(fault, wrong, arguments):
    layer = fault(*arguments, rng=rng()) if arguments else fault()
    with pytest.raises(cnnlib.GradientError, match="central differences say"):
        cnnlib.gradient_check(layer, normal(2, 2, 5, 4))
    errors = cnnlib.gradient_check(layer, normal(2, 2, 5, 4), tolerance=np.inf)
    assert {name for name, error in errors.items() if error > 1e-7} == wrong


@pytest.mark.parametrize(
    "layer",
    [
        chapter.ReversedKernel(2, 3, 1, rng=rng()),
        chapter.LastPatchOnly(2, 3, 2, 2, rng=rng()),
        chapter.LastPatchOnly(2, 3, 1, rng=rng()),
    ],
)
def test_where_a_fault_of_the_museum_hides(layer):
    cnnlib.gradient_check(layer, normal(2, 2, 6, 4))


def test_museum_shows_the_right_curve_beside_each():
    chapter.draw_museum({"a": ([2.0, 1.0], 0.5), "b": ([2.0, 0.5], 0.75)}, [1.5, 0.4])
    axes = chapter.plt.gcf().axes
    assert [axis.get_title() for axis in axes] == ["a\n50% read", "b\n75% read"]
    assert [axis.get_lines()[0].get_ydata().tolist() for axis in axes] == [[1.5, 0.4]] * 2


NONSENSE = [None, "1", [], {}, object(), np.nan, lambda *_: None, 3 + 2j]


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_is_refused_without_an_error(nonsense):
    for call in (chapter.check_verdict, chapter.check_repaired):
        with pytest.raises(WrongAnswer):
            call(nonsense, "mask")
        with pytest.raises(WrongAnswer):
            call(1, nonsense)


class NoBackward(cnnlib.ReLU):
    def backward(self, dy):
        return None


class StopsForward(cnnlib.ReLU):
    def forward(self, x):
        raise IndexError("off by one")


class WrongSign(cnnlib.ReLU):
    def backward(self, dy):
        return -super().backward(dy)


class HalfSlope(cnnlib.ReLU):
    def backward(self, dy):
        return dy * np.where(self.x > 0, 1, 0.5)


class OtherShape(cnnlib.ReLU):
    def backward(self, dy):
        return super().backward(dy)[0]


@pytest.mark.parametrize(
    ("repaired", "message"),
    [
        (NoBackward, "dx|NoneType|backward"),
        (StopsForward, "IndexError: off by one"),
        (WrongSign, "central differences say"),
        (HalfSlope, "central differences say"),
        (OtherShape, "shape"),
        (cnnlib.Dense, "TypeError"),
        (int, "the class itself"),
    ],
)
def test_what_is_not_repaired_is_refused(repaired, message):
    with pytest.raises(WrongAnswer, match=message):
        chapter.check_repaired(1, repaired)
