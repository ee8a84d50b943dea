"""Chapter 10: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import inspect
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnbook import gradient_descent as chapter
from cnnbook.checking import WrongAnswer


def labels() -> list[str]:
    return [text.get_text() for text in plt.gca().get_legend().get_texts()]


def test_valley_names_the_distance_from_the_minimum():
    chapter.draw_valley({0: np.array([[-3, 0.5], [0.03, 0.04]]), 0.8: np.array([[-3, 0.5], [3e4, 4e4]])})
    assert labels() == ["momentum 0: ends 0.050 away", "momentum 0.8: ends 5e+04 away"]
    plt.gcf().canvas.draw()


def test_best_rate_is_where_the_lines_cross():
    rates = np.linspace(0.01, 0.055, 451)
    chapter.draw_factors(rates, np.abs(1 - np.outer([1, 40], rates)))
    assert labels() == ["λ = 1", "λ = 40", "best rate 0.049"]
    plt.gcf().canvas.draw()


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_signal_is_drawn_for_every_factor(factor):
    sizes = factor ** np.arange(1.0, 20)
    chapter.draw_signal({factor: sizes})
    low, high = plt.gca().get_ylim()
    assert low < sizes.min() <= sizes.max() < high
    assert labels() == [f"{factor:g} × He:\nends at {sizes[-1]:.2g}"]
    plt.gcf().canvas.draw()


# The checks of the exercises


RIGHT = {"A": "labels shuffled", "B": "dead units", "C": "pixels 0 to 255", "D": "healthy", "E": "zero weights"}


def accumulate(weight):
    """Return a function that sums the gradients of all batches, each times ``weight(size, N, number of batches)``."""

    def function(network, loss, batches):
        N, total = sum(len(x) for x, _ in batches), {}
        for x, t in batches:
            network.backward(loss.gradient(network.forward(x), t))
            for name, gradient in network.gradients().items():
                total[name] = total.get(name, 0) + gradient * weight(len(x), N, len(batches))
        return total

    return function


def last_batch(network, loss, batches):
    x, t = batches[-1]
    network.backward(loss.gradient(network.forward(x), t))
    return network.gradients()


def glued(network, loss, batches):
    x, t = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    network.backward(loss.gradient(network.forward(x), t))
    return network.gradients()


def glued_in_a_new_network(network, loss, batches):
    return glued(type(network)(network.layers, network.input_shape), loss, batches)


def sorted_names(function):
    return lambda *arguments: {name.lower(): value for name, value in function(*arguments).items()}


weighed = accumulate(lambda size, N, parts: size / N)

RIGHT_ANSWERS = [
    (chapter.check_bound, (0.25, 10)),
    (chapter.check_bound, (np.array([0.25]), np.float64(10))),
    (chapter.check_effective_rate, (0.02 / (1 - 0.95),)),
    (chapter.check_effective_rate, ([0.4],)),
    (chapter.check_adam, ([-0.1, -0.02663],)),
    (chapter.check_adam, (np.array([-0.1, -0.0266]),)),
    (chapter.check_he, ([np.sqrt(2 / 150), np.sqrt(2 / 400)],)),
    (chapter.check_he, ((0.1155, 0.0707),)),
    (chapter.check_accumulate, (weighed,)),
    (chapter.check_diagnose, (RIGHT,)),
]

WRONG = [
    (chapter.check_bound, (1 / 8, 10), "one step"),
    (chapter.check_bound, (16, 10), "2 λ"),
    (chapter.check_bound, (0.25, 9), "0.0101"),
    (chapter.check_bound, (0.25, 12), "0.6"),
    (chapter.check_bound, (0.25, 11), "one too many"),
    (chapter.check_bound, (0.5, 10), "must stay above -1"),
    (chapter.check_effective_rate, (0.02 / 0.95,), "not by μ"),
    (chapter.check_effective_rate, (0.02 * (1 - 0.95),), "longer"),
    (chapter.check_effective_rate, (0.02,), "constant gradient"),
    (chapter.check_effective_rate, (20,), "constant gradient"),
    (chapter.check_effective_rate, (0.02 / 1.95,), "sum of the series"),
    (chapter.check_effective_rate, (-0.4,), "constant gradient"),
    (chapter.check_adam, ([-0.3162, -0.1132],), "bias correction"),
    (chapter.check_adam, ([0.1, 0.02663],), "uphill"),
    (chapter.check_adam, ([-0.1, 0.1],), "depends on the first gradient"),
    (chapter.check_adam, ([-0.1, -0.05],), r"entry at \(1,\)"),
    (chapter.check_adam, ([-0.1, -0.1266],), "alone"),
    (chapter.check_adam, ([-0.4, 0.2],), r"entry at \(0,\)"),
    (chapter.check_adam, (-0.1,), "two numbers"),
    (chapter.check_he, ([2 / 150, 2 / 400],), "variance"),
    (chapter.check_he, ([np.sqrt(2 / 400), np.sqrt(2 / 400)],), "outputs of one input"),
    (chapter.check_he, ([np.sqrt(1 / 150), np.sqrt(1 / 400)],), "the 2"),
    (chapter.check_he, ([np.sqrt(2 / 6), np.sqrt(2 / 400)],), "5x5 pixels"),
    (chapter.check_he, ([np.sqrt(2 / 150), 0.2],), r"Dense\(400, 120\): 0.2 is not it"),
    (chapter.check_he, ([np.sqrt(2 / 550), np.sqrt(2 / 520)],), "Glorot"),
    (chapter.check_he, ([np.sqrt(2 / 25), np.sqrt(2 / 400)],), "is not it"),
    (chapter.check_he, ([0.1],), "two numbers"),
    (chapter.check_accumulate, (accumulate(lambda size, N, parts: 1),), "sum of the means"),
    (chapter.check_accumulate, (accumulate(lambda size, N, parts: 1 / parts),), "three|3 examples like 8"),
    (chapter.check_accumulate, (last_batch,), "share of the examples"),
    (chapter.check_accumulate, (lambda network, loss, batches: None,), "a dict"),
    (chapter.check_accumulate, (glued,), "do not fit into memory"),
    (chapter.check_accumulate, (glued_in_a_new_network,), "do not fit into memory"),
    (chapter.check_accumulate, (accumulate(lambda size, N, parts: size / 16),), "share of the examples"),
    (chapter.check_accumulate, (accumulate(lambda size, N, parts: size),), "share of the examples"),
    (chapter.check_accumulate, (sorted_names(weighed),), "expected the names"),
    (chapter.check_accumulate, (lambda *a: {name: -value for name, value in weighed(*a).items()},), "share of the"),
    (chapter.check_diagnose, (RIGHT | {"A": "healthy"},), "A is not a case of 'healthy': it learns ten"),
    (chapter.check_diagnose, (RIGHT | {"E": "dead units"},), "E is not a case of 'dead units': look at its parameters"),
    (chapter.check_diagnose, (RIGHT | {"B": "zero weights"},), "B is not"),
    (chapter.check_diagnose, (RIGHT | {"C": "healthy"},), "C is not"),
    (chapter.check_diagnose, (RIGHT | {"D": "labels shuffled"},), "D is not"),
    (chapter.check_diagnose, (RIGHT | {"D": "fine"},), "is none of"),
    (chapter.check_diagnose, (RIGHT | {"D": None},), "is none of"),
    (chapter.check_diagnose, ({"A": "healthy"},), "expected the patients"),
]


@pytest.mark.parametrize(("function", "answer"), RIGHT_ANSWERS)
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


@pytest.mark.parametrize("nonsense", [None, "text", 7, [], {}, np.nan])
@pytest.mark.parametrize("check", dict.fromkeys(check for check, _ in RIGHT_ANSWERS), ids=lambda check: check.__name__)
def test_nonsense_is_refused(check, nonsense):
    with pytest.raises(WrongAnswer):
        check(*[nonsense] * len(inspect.signature(check).parameters))


def test_each_patient_has_what_the_answer_says():
    patients = chapter.patients()
    silent = {name: bool((network.layers[0].forward(x) <= 0).all()) for name, (network, x, _) in patients.items()}
    assert silent == {"A": False, "B": True, "C": False, "D": False, "E": True}
    assert {name for name, (_, x, _) in patients.items() if x.max() > 1} == {"C"}
    assert {name for name, (network, _, _) in patients.items() if not network.layers[0].W.any()} == {"E"}
    agreement = {name: np.mean((t == patients["D"][2]).all(axis=1)) for name, (_, _, t) in patients.items()}
    assert agreement.pop("A") < 0.2
    assert set(agreement.values()) == {1.0}
