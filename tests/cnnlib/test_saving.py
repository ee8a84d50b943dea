"""A run that was killed, at any moment, and resumed ends with the same bits as one that was not."""

import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib import saving
from cnnlib.callbacks import describe_function
from cnnlib.digits.augmentation import Distortion

# How often the kill test kills; `make kill-test` asks for a hundred.
KILLS = int(os.environ.get("CNNLIB_KILLS", "6"))

RUN = """
import sys
import numpy as np
import cnnlib
from cnnlib.digits.augmentation import Distortion
rng = np.random.default_rng(0)
x, t = rng.integers(0, 256, (160, 28, 28), dtype=np.uint8), rng.integers(0, 10, 160)
network = cnnlib.lenet5(rng)
network.train(x, t, epochs=6, batch_size=32, optimizer=cnnlib.Adam(0.002), schedule=cnnlib.one_cycle,
              augment=Distortion(), validation=(x[:20], t[:20]), checkpoint=sys.argv[1], resume=True, progress=False)
network.save(sys.argv[2])
"""


def test_killed_at_random_moments_and_resumed(tmp_path):
    def start(*paths):
        return subprocess.Popen([sys.executable, "-c", RUN, *map(str, paths)])

    began = time.monotonic()
    assert start(tmp_path / "calm.npz", tmp_path / "expected.npz").wait() == 0
    duration = time.monotonic() - began
    expected = (tmp_path / "expected.npz").read_bytes()
    rng = random.Random(0)
    killed = 0
    while killed < KILLS:
        folder = tmp_path / f"run {killed}"
        for _ in range(2):  # each run is killed twice on its way
            process = start(folder / "checkpoint.npz", folder / "model.npz")
            time.sleep(rng.uniform(0.2, 1) * duration)
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        assert start(folder / "checkpoint.npz", folder / "model.npz").wait() == 0
        assert (folder / "model.npz").read_bytes() == expected


class Stop(Exception):
    """Raised in the middle of a run."""


def train(path, stop_in_epoch=None, **changes):
    rng = np.random.default_rng(1)
    x, t = rng.random((40, 6)), rng.integers(0, 3, 40)
    network = cnnlib.Network([cnnlib.Dense(6, 3, rng=rng), cnnlib.Softmax()], (6,))
    settings = {"optimizer": cnnlib.SGD(), "epochs": 4, "batch_size": 16, "resume": True} | changes
    if stop_in_epoch is not None:
        plain = settings["optimizer"].step

        def step(pairs, scale):
            if settings["optimizer"].steps == 3 * stop_in_epoch + 1:
                raise Stop
            plain(pairs, scale)

        settings["optimizer"].step = step
    history = network.train(x, t, checkpoint=path, progress=False, **settings)
    return network, history


@pytest.mark.parametrize("stop_in_epoch", [0, 1, 3])
def test_resumed_in_the_same_process(tmp_path, stop_in_epoch):
    expected, whole = train(tmp_path / "calm.npz")
    with pytest.raises(Stop):
        train(tmp_path / "checkpoint.npz", stop_in_epoch)
    network, history = train(tmp_path / "checkpoint.npz")
    np.testing.assert_array_equal(network.layers[0].W, expected.layers[0].W)
    assert history["batch_loss"] == whole["batch_loss"] and len(history["seconds"]) == 4


def test_a_finished_run_is_finished(tmp_path):
    expected, _ = train(tmp_path / "checkpoint.npz")
    before = (tmp_path / "checkpoint.npz").read_bytes()
    network, history = train(tmp_path / "checkpoint.npz")
    np.testing.assert_array_equal(network.layers[0].W, expected.layers[0].W)
    assert len(history["loss"]) == 4 and (tmp_path / "checkpoint.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 5}, "another epochs: it has 4, this one 5"),
        ({"seed": 1}, "another seed: it has 0, this one 1"),
        ({"optimizer": cnnlib.SGD(0.01)}, "another optimizer: it has 'SGD.*rate=0.05.*this one 'SGD.*rate=0.01"),
        ({"schedule": cnnlib.cosine}, "another schedule: it has 'constant', this one 'cosine'"),
        ({"augment": Distortion()}, "another augment: it has 'None'"),
    ],
)
def test_another_run_is_refused(tmp_path, changes, message):
    train(tmp_path / "checkpoint.npz")
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "checkpoint.npz", **changes)


def ramp(progress, start=1.0):
    return start * (1 - progress)


class Scaled:
    """An object that augments, and is printed with its address in memory."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x, rng):
        return self.factor * x

    def halved(self, x, rng):
        return self.factor * x / 2


MADE = {
    "function": (lambda: ramp, lambda: functools.partial(ramp, start=0.5)),
    "partial": (lambda: functools.partial(ramp, start=0.5), lambda: functools.partial(ramp, start=0.25)),
    "partial of ours": (lambda: functools.partial(cnnlib.one_cycle, warmup=0.2), lambda: cnnlib.one_cycle),
    "lambda": (lambda: lambda progress: 1.0, lambda: lambda progress: 0.5),
    "set": (lambda: lambda progress: "x" in {"a", "b", "x"}, lambda: lambda progress: "x" in {"a", "b", "c", "x"}),
    "inner": (lambda: lambda progress: sum(s for s in [0.5]), lambda: lambda progress: sum(-s for s in [0.5])),
    "default": (lambda: lambda progress, a=1.0: a, lambda: lambda progress, a=0.5: a),
    "object": (lambda: Scaled(1), lambda: Distortion()),
    "settings": (lambda: Distortion(), lambda: Distortion(shift=2)),
    "method": (lambda: Scaled(1).halved, lambda: Scaled(1).__call__),
}


@pytest.mark.parametrize("name", MADE)
def test_functions_are_told_apart_and_known_again(name):
    one, other = MADE[name]
    assert describe_function(one()) == describe_function(one()) != describe_function(other())
    assert "0x" not in describe_function(one())


def test_what_a_function_counts_does_not_keep_a_run_from_being_resumed(tmp_path):
    calls, path = [], tmp_path / "checkpoint.npz"

    def counted(stop):
        def schedule(progress):
            calls.append(progress)
            if len(calls) == stop:
                raise Stop
            return 1.0

        return schedule

    with pytest.raises(Stop):
        train(path, schedule=counted(8))
    network, _ = train(path, schedule=counted(None))
    np.testing.assert_array_equal(network[0].W, train(tmp_path / "whole.npz")[0][0].W)


def test_functions_are_known_again_in_another_process():
    code = f"import {Path(__file__).stem} as it\nfor one, _ in it.MADE.values(): print(it.describe_function(one()))"
    command, texts = [sys.executable, "-c", code], []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        texts.append(subprocess.check_output(command, cwd=Path(__file__).parent, env=environment, text=True))
    assert texts[0] == texts[1] and len(texts[0].splitlines()) == len(MADE)


def test_a_run_with_a_schedule_of_ones_own_is_resumed_by_its_like_alone(tmp_path):
    path = tmp_path / "checkpoint.npz"
    train(path, schedule=MADE["partial"][0]())
    train(path, schedule=MADE["partial"][0]())
    with pytest.raises(ValueError, match="belongs to a run with another schedule"):
        train(path, schedule=MADE["partial"][1]())


class Keeps(cnnlib.Callback):
    """Keeps something for which no place is foreseen."""

    def __init__(self, keep):
        self.on_epoch_end = keep


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (
            lambda run: run.arrays.update({"keeps.epoch": np.array([run.epoch])}),
            "keeps.epoch must be an array of fl.*i",
        ),
        (
            lambda run: run.arrays.update({"keeps.epoch": 3}),
            "keeps.epoch must be an array of float32, float64, .* got 3",
        ),
        (
            lambda run: run.arrays.update({"keeps.nan": np.full(1, np.nan)}),
            "keeps.nan holds numbers that are not finit",
        ),
        (lambda run: run.arrays.update({"epoch": np.zeros(1)}), "epoch does not belong there"),
        (lambda run: run.history["loss"].append(np.float32(1)), "its history does not fit"),
        (lambda run: run.history.update(mine=[object()]), "its mine must be a list of 1 numbers"),
    ],
)
def test_a_checkpoint_that_could_not_be_resumed_is_not_written(keep, message, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(ValueError, match=f"nobody could resume it: {message}"):
        train(path, callbacks=[Keeps(keep)])
    train(path)  # from the one that was there before


def test_a_callback_may_add_to_the_history(tmp_path):
    def note(run):
        run.history.setdefault("mine", []).append(run.epoch)
        if run.epoch == 2 and len(run.history["mine"]) == 2 and not stopped:
            stopped.append(True)
            raise Stop

    stopped = []
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(Stop):
        train(path, callbacks=[Keeps(note)])
    _, history = train(path, callbacks=[Keeps(note)])
    assert history["mine"] == [1, 2, 3, 4]


def test_an_existing_checkpoint_is_not_overwritten(tmp_path):
    train(tmp_path / "checkpoint.npz")
    with pytest.raises(FileExistsError, match="pass resume=True"):
        train(tmp_path / "checkpoint.npz", resume=False)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    train(path)[0].save(path)
    with pytest.raises(ValueError, match="is not a readable cnnlib file: its format is 'cnnlib network 1'"):
        train(path)
    Path(path).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable cnnlib file"):
        train(path)


@pytest.mark.parametrize("what", ["x", "t", "validation"])
def test_other_data_of_the_same_size_are_refused(tmp_path, what):
    rng = np.random.default_rng(3)
    data = {"x": rng.random((6, 4)), "t": np.arange(6) % 3, "validation": (rng.random((3, 4)), [0, 1, 2])}

    def resume(**changes):
        network = cnnlib.Network([cnnlib.Dense(4, 3, rng=0), cnnlib.Softmax()], (4,))
        network.train(**data | changes, checkpoint=tmp_path / "checkpoint.npz", resume=True, progress=False)

    resume()
    other = {"x": data["x"][::-1], "t": data["t"][::-1], "validation": (data["validation"][0], [0, 1, 1])}
    with pytest.raises(ValueError, match="belongs to a run with another data"):
        resume(**{what: other[what]})


def test_a_used_optimizer_begins_no_run_with_a_checkpoint(tmp_path):
    optimizer = cnnlib.SGD()
    train(tmp_path / "a.npz", optimizer=optimizer)
    with pytest.raises(ValueError, match="has taken 12 steps already"):
        train(tmp_path / "b.npz", optimizer=optimizer)


class Noted(cnnlib.Callback):
    """Keeps an array of its own in checkpoints."""

    def on_epoch_end(self, run):
        run.arrays["noted.sum"] = run.arrays.get("noted.sum", np.zeros(1)) + 1
        if run.epoch == 2 and not self.again:
            raise Stop

    def __init__(self, again):
        self.again = again


def test_arrays_of_a_callback_are_resumed(tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(Stop):
        train(path, callbacks=[Noted(False)])
    train(path, callbacks=[Noted(True)])
    with np.load(path) as stored:
        assert stored["noted.sum"] == 4


@pytest.mark.parametrize("what", ["best.W0", "velocity.b0", "steps", "history", "rng"])
def test_a_damaged_checkpoint_changes_nothing(tmp_path, what):
    path = tmp_path / "checkpoint.npz"
    train(path, callbacks=[cnnlib.EarlyStopping(9, "loss")])
    arrays, description = saving.read_arrays(path, saving.CHECKPOINT)
    if what in arrays:
        arrays[what] = np.zeros((1, 1), np.float32)  # would be broadcast
    else:
        description[what] = {"steps": -1, "history": {"loss": ["x"]}, "rng": {"state": "x"}}[what]
    saving.write_arrays(path, arrays, description)
    network = cnnlib.Network([cnnlib.Dense(6, 3, rng=1), cnnlib.Softmax()], (6,))
    before, rng = network[0].W.copy(), np.random.default_rng(1)
    with pytest.raises(ValueError, match="checkpoint.npz is not a checkpoint of this run"):
        network.train(
            *(rng.random((40, 6)), rng.integers(0, 3, 40)),
            **{"epochs": 4, "batch_size": 16, "checkpoint": path, "resume": True, "progress": False},
        )
    np.testing.assert_array_equal(network[0].W, before)


def normalized(seed=0):
    rng = np.random.default_rng(seed)
    layers = [cnnlib.Dense(6, 8, rng=rng), cnnlib.BatchNormalization(8), cnnlib.ReLU(), cnnlib.Dropout(0.4)]
    return cnnlib.Network([*layers, cnnlib.Residual([cnnlib.Dense(8, 8, rng=rng)]), cnnlib.Dense(8, 3, rng=rng)], (6,))


def test_statistics_are_saved_and_resumed_to_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((40, 6)).astype(np.float32), rng.standard_normal((40, 3)).astype(np.float32)
    options = {"epochs": 4, "batch_size": 8, "loss": cnnlib.MeanSquaredError(), "progress": False}
    whole, cut = normalized(), normalized()
    whole.train(x, t, **options)
    assert np.ptp(whole[1].running_mean) > 0 and not any(layer.training for layer in whole)

    class Stop(cnnlib.Callback):
        def on_step_end(self, run):
            if run.epoch == 2:
                raise KeyboardInterrupt

    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        cut.train(x, t, checkpoint=path, callbacks=[Stop()], **options)
    again = normalized(seed=1)
    with pytest.raises(KeyboardInterrupt):
        again.train(x, t, checkpoint=path, resume=True, callbacks=[Stop()], **options)
    again.train(x, t, checkpoint=path, resume=True, **options)
    for name, array in whole.saved_arrays().items():
        np.testing.assert_array_equal(again.saved_arrays()[name], array, err_msg=name)
    whole.save(tmp_path / "model.npz")
    loaded = cnnlib.Network.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict(x), whole.predict(x))
    with np.load(tmp_path / "model.npz") as stored:
        assert {"running_mean1", "running_variance1"} <= set(stored.files)


def test_the_formats_have_their_names(tmp_path):
    """They stand in files that others have: changing one makes those unreadable."""
    assert (saving.MODEL, saving.CHECKPOINT) == ("cnnlib network 1", "cnnlib checkpoint 2")


@pytest.mark.parametrize("name", ["loss", "batch_loss", "seconds", "learning_rate"])
def test_a_history_with_a_number_of_400_digits_is_refused(tmp_path, name):
    """The fuzzer found it: Python reads such a number from JSON, and cannot make a float of it."""
    path = tmp_path / "checkpoint.npz"
    train(path)
    arrays, description = saving.read_arrays(path, saving.CHECKPOINT)
    for number in (10**400, -(10**400)):
        description["history"][name][1] = number
        saving.write_arrays(path, arrays, description)
        with pytest.raises(ValueError, match=f"checkpoint.npz is not a checkpoint of this run: its {name} holds a num"):
            train(path)


def test_a_variance_below_zero_is_neither_saved_nor_loaded(tmp_path):
    """Its root would be NaN in every answer."""
    network = cnnlib.Network([cnnlib.Dense(2, 3), cnnlib.BatchNormalization(3)], (2,))
    network[1].running_variance[1] = -0.5
    message = r"running_variance.* holds negative numbers, such as -0\.5: a variance is 0 or more"
    with pytest.raises(ValueError, match=message):
        network.save(tmp_path / "model.npz")
    assert not (tmp_path / "model.npz").exists()
    network[1].running_variance[1] = 0.5
    network.save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as stored:
        arrays = dict(stored)
    arrays["running_variance1"][1] = -0.5
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        cnnlib.Network.load(tmp_path / "model.npz")
