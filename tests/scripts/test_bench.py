"""The benchmark runs, counts right, and refuses to compare what does not compute the same. No time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnnlib

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import bench

    return bench


def test_cnnlib_alone(bench, tmp_path):
    output = tmp_path / "new folder" / "bench.json"
    command = [SCRIPTS / "bench.py", "--alone", "--rounds=1", "--images=1400", f"--output={output}"]
    run = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, timeout=100)
    result = json.loads(output.read_text())
    engines = ["cnnlib", "cnnlib, 1 thread"] + ["cnnlib, 2 processes"] * (not bench.missing("cnnlib, 2 processes"))
    assert list(result["median"]["training, 64"]) == engines
    assert all(len(times) == 1 and times[0] > 0 for row in result["median"].values() for times in row.values())
    assert all(
        0 < time <= row[name][0]
        for what, row in result["median"].items()
        for name, time in result["best"][what].items()
    )
    assert all(result["memory"][name] > 10e6 for name in engines if name != "cnnlib, 1 thread")
    assert all(name in run.stdout for name in engines) and "PyTorch, " not in run.stdout
    assert list(result["median"]["U-Net, 16"]) == list(result["best"]["detector, 32"]) == ["cnnlib, 1 thread"]
    assert "U-Net, 16: a step takes cnnlib, 1 thread" in run.stdout
    assert ("Allreduce takes" in run.stdout) == (len(engines) == 3)
    assert str(Path.home()) not in output.read_text()


def test_the_operations_of_an_epoch(bench):
    products = 6 * 28 * 28 * 25, 16 * 10 * 10 * 150, 400 * 120, 120 * 84, 84 * 10
    assert bench.lenet5_flop() == 2 * (3 * sum(products) - products[0])
    assert round(bench.lenet5_flop() * 60_000 / 1e9, 1) == 135.8


def test_what_is_not_installed_is_left_out(bench, monkeypatch):
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(bench, "mpiexec", lambda: None)
    assert bench.missing("cnnlib, 1 thread") == []
    assert bench.missing("PyTorch") == ["torch"]
    assert bench.missing("PyTorch, 2 processes") == ["torch", "mpi4py", "mpiexec"]


class Fake:
    def __init__(self, name, arrays):
        self.name, self.arrays = name, arrays

    def __call__(self, method, **arguments):
        return self.arrays


@pytest.mark.parametrize("wrong", [1e-3, np.nan])
def test_different_gradients_are_refused(bench, wrong):
    parameters = list(cnnlib.lenet5(np.random.default_rng(0)).parameters().values())
    arrays = [array + 1 for array in parameters + parameters]
    assert bench.check_equal([Fake("A", arrays), Fake("B", [array + 1e-6 for array in arrays])]) < 1e-5
    other = [array.copy() for array in arrays]
    other[2][0, 0, 0, 0] += wrong
    with pytest.raises(RuntimeError, match="A and B do not compute the same: the gradient of W3"):
        bench.check_equal([Fake("A", arrays), Fake("B", other)])


@pytest.mark.parametrize("name", ["detector", "U-Net"])
def test_the_networks_of_the_chapters_have_a_gradient_in_float64(bench, name):
    gradients = bench.NumPyEngine(None, 1).check_task(name, 2)
    names = bench.task(name, 1)[0].parameters()
    assert len(gradients) == len(names) > 20
    wrong = [np.array(gradient) for gradient in gradients]
    wrong[-2][0, 0] += 1
    with pytest.raises(RuntimeError, match=f"A and B do not compute the same: the gradient of {list(names)[-2]}, of"):
        bench.check_task([Fake("A", gradients), Fake("B", wrong)], name)
