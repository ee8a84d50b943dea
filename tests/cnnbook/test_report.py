"""The page "How we know it is right" cannot be built when something on it is wrong or missing."""

import numpy as np
import pytest

import cnnlib
from cnnbook.report import Report, ReportError, reference_cases, relative_error, required
from cnnlib.layers import LAYERS


class Flipped(cnnlib.Dense):
    def backward(self, dy):
        return -super().backward(dy)


def test_a_flipped_sign_raises():
    with pytest.raises(cnnlib.GradientError, match="Flipped.*dx"):
        Report().differences(Flipped(3, 2), np.ones((2, 3)), "any")


@pytest.mark.parametrize(
    ("ours", "message"),
    [
        ([1.0, 2.0 + 1e-11], r"Dense, loops: the relative error of dx is 5.0e-12, allowed is 1e-12"),
        ([1.0, np.nan], "the relative error of dx is nan"),
        ([1.0, np.inf], "the relative error of dx is inf"),
        ([[1.0, 2.0]], r"dx: ours has the shape \(1, 2\), theirs \(2,\)"),
    ],
)
def test_what_is_not_right_raises(ours, message):
    report = Report()
    with pytest.raises(ReportError, match=message):
        report.compare("loops", cnnlib.Dense, [("y", 1.0, 1.0), ("dx", ours, [1.0, 2.0])], "any")
    assert report.rows == []


def test_what_compares_nothing_raises():
    with pytest.raises(ReportError, match="nothing was compared"):
        Report().loops(cnnlib.Dense, lambda: [], "any")


def test_the_largest_error_counts():
    assert relative_error([1.0, 3.0], [1.0, 4.0]) == 0.25
    assert relative_error([0.0], [0.0]) == 0
    assert relative_error([1e-300], [0.0]) > 1
    report = Report()
    report.loops(cnnlib.ReLU, lambda: [("y", 1.5, 1), ("y", 1, 1)], "any", allowed=0.5)
    assert report.rows[0].errors == {"y": 0.5}
    assert "| ReLU | any; 30 times | y\u00a05e\u201101 | 5e\u201101 |" in report.table().data
    assert report.table().data.count("\n") == 1  # shown already


def full_report(without=()):
    report = Report()
    for subject, arrays in required().items():
        for array, witnesses in arrays.items():
            for witness in witnesses:
                if without != (subject, array, witness):
                    report.compare(witness, subject, [(array, 1.0, 1.0)], "any")
    return report


def test_a_check_that_is_missing_raises():
    assert "| FusedConvolution | dW | 0 | 0 |  |" in full_report().summary().data
    for subject, array, witness in (("Dense", "db", "reference"), ("MeanSquaredError", "value", "loops")):
        with pytest.raises(ReportError, match=f"{array} of {subject} was not checked: {witness}"):
            full_report((subject, array, witness)).summary()


def test_everything_of_the_library_is_required():
    layers = {*LAYERS, "FusedConvolution", "RowConvolution"}
    losses = {"MeanSquaredError", "CategoricalCrossEntropy", "SoftmaxCrossEntropy"}
    losses |= {"SigmoidCrossEntropy", "SumOfLosses"}
    assert set(required()) == layers | losses | {"SGD", "Adam"}
    assert set(required()["Convolutional"]) == {"y", "dx", "dW", "db"}


def test_reference_cases_name_all_that_they_compare():
    names = {type(function).__name__: {name for name, _, _ in pairs} for function, _, pairs in reference_cases()}
    assert names["Dense"] == {"y", "dx", "dW", "db"} and names["MeanSquaredError"] == {"value", "gradient"}
    assert names["Adam"] == {"parameters"}


def test_a_missing_reference_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match="reference.npz"):
        next(reference_cases(tmp_path / "reference.npz"))
