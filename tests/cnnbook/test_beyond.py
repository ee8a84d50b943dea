"""The long runs: what is stored is what was measured, and belongs to a network that can be built and filled."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnbook import beyond

EXPERIMENTS = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "beyond.py"))["experiments"]()
RESULTS = Path(beyond.__file__).parent / "results"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(beyond, "_path", lambda name: tmp_path / name)
    return tmp_path


def build(seed):
    rng = np.random.default_rng(seed)
    return {"net": cnnlib.Network([cnnlib.Dense(3, 2, rng=rng), cnnlib.BatchNormalization(2)], (3,))}


def train(networks, seed):
    networks["net"][0].W += seed + 1
    networks["net"][1].running_mean += 0.5


def measure(networks):
    return {"mean_weight": float(networks["net"][0].W.mean())}


def test_a_run_is_stored_and_loaded(folder):
    experiment = beyond.Experiment(build, train, measure)
    first = experiment.run("tiny", 0)
    assert beyond.seeds("tiny") == [0]
    assert np.isnan(beyond.results("tiny")["mean_weight"][1])
    assert beyond.summary("tiny") == f"mean_weight: {first['mean_weight']:.3f}, one seed"
    loaded = experiment.load("tiny")["net"]
    assert measure({"net": loaded})["mean_weight"] == pytest.approx(first["mean_weight"], abs=1e-3)
    np.testing.assert_array_equal(loaded[1].running_mean, [0.5, 0.5])
    second = experiment.run("tiny", 2)
    mean, spread = beyond.results("tiny")["mean_weight"]
    assert mean == pytest.approx((first["mean_weight"] + second["mean_weight"]) / 2)
    assert spread == pytest.approx(abs(first["mean_weight"] - second["mean_weight"]) / 2)
    assert beyond.summary("tiny").endswith(f"± {spread:.3f}, 2 seeds")
    assert set(json.loads((folder / "tiny.json").read_text())) == {"0", "2"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_long_run_is_stored_with_its_network(name):
    assert 0 in beyond.seeds(name)
    networks = EXPERIMENTS[name].load(name)
    for network in networks.values():
        arrays = network.saved_arrays().values()
        assert all(np.isfinite(array).all() for array in arrays) and any(np.ptp(array) > 0 for array in arrays)


def test_the_repository_stays_small():
    assert sum(path.stat().st_size for path in RESULTS.iterdir()) < 5_000_000
