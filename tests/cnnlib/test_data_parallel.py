"""Several processes, one network: the same gradients, the same files, and no process that waits for ever."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib.data_parallel import started_by_mpiexec

pytest.importorskip("mpi4py")

MPIEXEC = Path(sys.executable).parent / "mpiexec"
GRADIENTS = """
import json, sys
import numpy as np
from mpi4py import MPI
import cnnlib
from cnnlib.data_parallel import Communicator

communicator = Communicator(MPI.COMM_WORLD)
network = cnnlib.lenet5(np.random.default_rng(0)).astype(np.float64)
rng = np.random.default_rng(1)
results = {}
targets = {
    cnnlib.CategoricalCrossEntropy(): np.eye(10)[rng.integers(0, 10, 33)],
    cnnlib.MeanSquaredError(): rng.random((33, 10)),
}
for loss, t in targets.items():
    for N in (33, 8, 3, 1):
        x = np.random.default_rng(N).random((N, 28, 28))
        (value, share), gradients = communicator.backpropagate(network.fused(needs_dx=False), x, t[:N], loss)
        results[f"{type(loss).__name__} {N} result"] = np.array([value, share])
        results |= {f"{type(loss).__name__} {N} {name}": array for name, array in gradients.items()}
if communicator.rank == communicator.size - 1:
    np.savez(sys.argv[1], **results)
"""


def mpiexec(processes, *arguments, **options):
    command = [str(MPIEXEC), "-n", str(processes), sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CNNLIB_OFFLINE", "1")
    monkeypatch.delenv("CNNLIB_DATA", raising=False)
    monkeypatch.delenv("TQDM_DISABLE")
    return tmp_path


def test_gradients_do_not_depend_on_the_number_of_processes(tmp_path):
    """Uneven shares, and batches smaller than the number of processes, included."""
    for processes in (1, 2, 3, 4):
        result = mpiexec(processes, "-c", GRADIENTS, tmp_path / f"{processes}.npz")
        assert result.returncode == 0, result.stderr
    network = cnnlib.lenet5(np.random.default_rng(0)).astype(np.float64)
    with np.load(tmp_path / "1.npz") as one:
        assert len(one.files) == 2 * 4 * 11
        t = np.eye(10)[np.random.default_rng(1).integers(0, 10, 33)]
        x = np.random.default_rng(8).random((8, 28, 28))
        result = network.backpropagate(x, t[:8], cnnlib.CategoricalCrossEntropy())
        np.testing.assert_allclose(one["CategoricalCrossEntropy 8 result"], result, rtol=1e-12)
        for processes in (2, 3, 4):
            with np.load(tmp_path / f"{processes}.npz") as several:
                for name in one.files:
                    scale = np.abs(one[name]).max() or 1
                    assert np.abs(several[name] - one[name]).max() <= 1e-12 * scale, (processes, name)


TRAIN = ["-m", "cnnlib", "train", "--data", "digits", "--architecture", "dense", "--epochs", "3"]


def test_two_processes_train_as_one_network(folder):
    result = mpiexec(2, *TRAIN)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Validation accuracy") == 1 and result.stdout.count("61,671 parameters") == 1
    bars = {line.split(":")[0] for line in result.stderr.replace("\r", "\n").splitlines() if "step" in line}
    assert bars <= {"", "Epoch 1/3", "Epoch 2/3", "Epoch 3/3", "  0%|          | 0/66 [00"}
    assert result.stderr.count("66/66") <= 2
    assert sorted(path.name for path in (folder / "models").iterdir()) == ["dense.csv", "dense.npz"]
    assert not list((folder / "checkpoints").iterdir())
    alone = subprocess.run([sys.executable, *TRAIN, "--output", "alone.npz"], capture_output=True, text=True)
    assert alone.returncode == 0
    one, two = cnnlib.Network.load("alone.npz"), cnnlib.Network.load("models/dense.npz")
    for name, array in one.parameters().items():
        np.testing.assert_allclose(two.parameters()[name], array, atol=1e-3)
    again = mpiexec(2, *TRAIN, "--output", "again.npz")
    assert again.returncode == 0
    assert (folder / "again.npz").read_bytes() == (folder / "models" / "dense.npz").read_bytes()


SLOW = """
import os, signal, sys, time
import cnnlib.callbacks
from cnnlib.__main__ import start

def on_step_end(self, run):
    if run.epoch == 1 and run.step == 5 and run.communicator.rank == int(os.environ["VICTIM"]):
        if os.environ["HOW"] == "raise":
            raise ZeroDivisionError("a bug in one process")
        os.kill(os.getpid(), signal.SIGKILL)

if "VICTIM" in os.environ:
    cnnlib.callbacks.History.on_step_end, plain = on_step_end, cnnlib.callbacks.History.on_step_end
    cnnlib.callbacks.History.on_step_end = lambda self, run: (plain(self, run), on_step_end(self, run))
sys.argv[0] = "cnnlib"
start()
"""


NORMALIZED = """
import sys
import numpy as np
from mpi4py import MPI
import cnnlib
from cnnlib.data_parallel import Communicator

rng = np.random.default_rng(0)
layers = [cnnlib.Convolutional(1, 3, 3, rng=rng), cnnlib.BatchNormalization(3), cnnlib.ReLU(), cnnlib.Flatten()]
layers += [cnnlib.Dropout(0.3), cnnlib.Dense(75, 4, rng=rng), cnnlib.Softmax()]
network = cnnlib.Network(layers, (1, 7, 7)).astype(np.float64)
x, labels = rng.random((21, 7, 7)), rng.integers(0, 4, 21)
communicator = Communicator(MPI.COMM_WORLD)
history = network.train(x, labels, epochs=2, batch_size=6, progress=False, communicator=communicator)
if communicator.rank == communicator.size - 1:
    np.savez(sys.argv[1], loss=history["batch_loss"], **network.saved_arrays())
"""


def test_statistics_and_dropout_do_not_depend_on_the_number_of_processes(tmp_path):
    """21 examples in batches of 6: the last one is of three, fewer than four processes."""
    results = []
    for processes in (1, 2, 4):
        path = tmp_path / f"{processes}.npz"
        result = mpiexec(processes, "-c", NORMALIZED, path)
        assert result.returncode == 0, result.stderr
        with np.load(path) as stored:
            results.append(dict(stored))
    for result in results[1:]:
        for name, expected in results[0].items():
            np.testing.assert_allclose(result[name], expected, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("how", ["raise", "kill"])
def test_if_one_fails_all_end_and_the_run_can_be_resumed(folder, victim, how):
    arguments = ["-c", SLOW, *TRAIN[2:]]
    expected = mpiexec(2, *arguments, "--output", "expected.npz")
    assert expected.returncode == 0, expected.stderr
    began = time.monotonic()
    failed = mpiexec(2, *arguments, env=os.environ | {"VICTIM": str(victim), "HOW": how})
    assert time.monotonic() - began < 10 + 10  # ten seconds to end, and some to start
    assert failed.returncode != 0 and ("ZeroDivisionError" in failed.stderr) == (how == "raise")
    # The lock's file may stay; nobody holds it.
    assert [path.name for path in (folder / "checkpoints").glob("*.npz")] == ["dense-digits-0.npz"]
    assert "holds a run that was stopped" in mpiexec(2, *arguments).stderr
    resumed = mpiexec(2, *arguments, "--resume", "--output", "resumed.npz")
    assert resumed.returncode == 0, resumed.stderr
    assert (folder / "resumed.npz").read_bytes() == (folder / "expected.npz").read_bytes()


def test_an_error_of_all_is_told_once(folder):
    result = mpiexec(2, *TRAIN, "--learning-rate", "1e30")
    assert result.returncode != 0
    assert result.stderr.count("no longer finite") + result.stderr.count("the loss became") == 1
    assert "--learning-rate 0.05 --restart" in result.stderr


@pytest.mark.parametrize("arguments", [["info"], ["data", "--data", "digits"], ["train", "--help"]])
def test_other_commands_speak_once(folder, arguments):
    result = mpiexec(2, "-m", "cnnlib", *arguments)
    alone = subprocess.run([sys.executable, "-m", "cnnlib", *arguments], capture_output=True, text=True)
    assert result.returncode == alone.returncode == 0 and result.stdout == alone.stdout


@pytest.mark.parametrize(("name", "value"), [("PMI_SIZE", "2"), ("OMPI_COMM_WORLD_SIZE", "4")])
def test_a_process_knows_whether_it_is_alone(monkeypatch, name, value):
    assert not started_by_mpiexec()
    monkeypatch.setenv(name, "1")
    assert not started_by_mpiexec()
    monkeypatch.setenv(name, value)
    assert started_by_mpiexec()


NOTEBOOK = """
import sys
import ipyparallel

def train():
    import numpy as np
    from mpi4py import MPI
    import cnnlib
    from cnnlib.data_parallel import Communicator

    rng = np.random.default_rng(0)
    network = cnnlib.lenet5(rng)
    x, t = rng.integers(0, 256, (40, 28, 28), dtype=np.uint8), rng.integers(0, 10, 40)
    communicator = Communicator(MPI.COMM_WORLD) if MPI.COMM_WORLD.size > 1 else None
    history = network.train(x, t, epochs=2, batch_size=16, validation=(x, t), communicator=communicator, progress=False)
    return MPI.COMM_WORLD.size, history["loss"], history["validation_loss"]

with ipyparallel.Cluster(engines="mpi", n=2, log_level=40) as clients:
    first, second = clients[:].apply_sync(train)
alone = train()
assert (first[0], second[0], alone[0]) == (2, 2, 1) and first == second, (first, second)
for ours, theirs in zip(first[1] + first[2], alone[1] + alone[2], strict=True):
    assert abs(ours - theirs) <= 1e-4 * theirs, (first, alone)
"""


def test_engines_of_a_notebook_train_as_one_process(tmp_path):
    """`ipyparallel` starts the engines with MPI, as a notebook does."""
    pytest.importorskip("ipyparallel")
    environment = os.environ | {
        "PATH": os.pathsep.join([str(MPIEXEC.parent), os.environ["PATH"]]),
        "IPYTHONDIR": str(tmp_path),
    }
    result = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
