"""The checks of chapter 10 accept a right answer, and say what is wrong with the usual wrong ones."""

import numpy as np
import pytest

from cnnlib.exercises import NotYet
from cnnlib.exercises import gradient_descent as check

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


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (check.bound, (0.25, 10)),
        (check.effective_rate, (0.02 / (1 - 0.95),)),
        (check.adam, ([-0.1, -0.02663],)),
        (check.he, ([np.sqrt(2 / 150), np.sqrt(2 / 400)],)),
        (check.accumulate, (accumulate(lambda size, N, parts: size / N),)),
        (check.diagnose, (RIGHT,)),
    ],
)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (check.bound, (1 / 8, 10), "one step"),
        (check.bound, (16, 10), "2 λ"),
        (check.bound, (0.25, 9), "0.0101"),
        (check.bound, (0.25, 12), "0.6"),
        (check.effective_rate, (0.02 / 0.95,), "not by μ"),
        (check.effective_rate, (0.02 * (1 - 0.95),), "longer"),
        (check.effective_rate, (0.02,), "constant gradient"),
        (check.adam, ([-0.3162, -0.1132],), "bias correction"),
        (check.adam, ([0.1, 0.02663],), "uphill"),
        (check.adam, ([-0.1, 0.1],), "remembers"),
        (check.adam, ([-0.1, -0.05],), r"entry at \(1,\)"),
        (check.adam, (-0.1,), "two numbers"),
        (check.he, ([2 / 150, 2 / 400],), "variance"),
        (check.he, ([np.sqrt(2 / 400), np.sqrt(2 / 400)],), "outputs of one input"),
        (check.he, ([np.sqrt(1 / 150), np.sqrt(1 / 400)],), "the 2"),
        (check.he, ([np.sqrt(2 / 6), np.sqrt(2 / 400)],), "5x5 pixels"),
        (check.he, ([np.sqrt(2 / 150), 0.2],), r"Dense\(400, 120\): 0.2 is not it"),
        (check.he, ([0.1],), "two numbers"),
        (check.accumulate, (accumulate(lambda size, N, parts: 1),), "sum of the means"),
        (check.accumulate, (accumulate(lambda size, N, parts: 1 / parts),), "three examples like eight"),
        (check.accumulate, (last_batch,), "share of the examples"),
        (check.accumulate, (lambda network, loss, batches: None,), "a dict"),
        (check.diagnose, (RIGHT | {"A": "healthy"},), "A is not a case of 'healthy': it learns ten"),
        (check.diagnose, (RIGHT | {"E": "dead units"},), "E is not a case of 'dead units': look at its parameters"),
        (check.diagnose, (RIGHT | {"D": "fine"},), "is none of"),
        (check.diagnose, ({"A": "healthy"},), "expected the patients"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(NotYet, match=message):
        function(*answer)


def test_each_patient_has_what_the_answer_says():
    patients = check.patients()
    silent = {name: bool((network.layers[0].forward(x) <= 0).all()) for name, (network, x, _) in patients.items()}
    assert silent == {"A": False, "B": True, "C": False, "D": False, "E": True}
    assert {name for name, (_, x, _) in patients.items() if x.max() > 1} == {"C"}
    assert {name for name, (network, _, _) in patients.items() if not network.layers[0].W.any()} == {"E"}
    agreement = {name: np.mean((t == patients["D"][2]).all(axis=1)) for name, (_, _, t) in patients.items()}
    assert agreement.pop("A") < 0.2
    assert set(agreement.values()) == {1.0}
