"""Two processes compute what one does, whoever is late or dies; and nothing of the second one is left over."""

import functools
import os
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import cnnlib
from cnnlib.parallel import BLAS, DataParallel, pays, threads

LOSSES = [cnnlib.CategoricalCrossEntropy(), cnnlib.MeanSquaredError()]


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2):
        yield


def small_network(dtype=np.float64):
    rng = np.random.default_rng(0)
    layers = [
        cnnlib.Convolutional(1, 3, 3, rng=rng),
        cnnlib.ReLU(),
        cnnlib.MaxPooling(2),
        cnnlib.Flatten(),
        cnnlib.Dense(48, 4, rng=rng),
        cnnlib.Softmax(),
    ]
    return cnnlib.Network(layers, (1, 10, 10)).astype(dtype)


def examples(kind, count, dtype=np.float64):
    rng = np.random.default_rng(count)
    t = cnnlib.one_hot(rng.integers(0, 4, count), 4, dtype)
    if kind == "pixels":
        return rng.integers(0, 256, (count, 10, 10), dtype=np.uint8), t
    return rng.standard_normal((count, 1, 10, 10)).astype(dtype), t


class Process(DataParallel):
    """One that the tests can ask for how often the other process has answered."""

    answers = 0

    def hear(self):
        heard = super().hear()
        self.answers += heard is not None
        return heard


@pytest.mark.parametrize("kind", ["pixels", "numbers"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_two_processes_compute_what_one_does(kind, loss):
    with Process(small_network(), batch_size=9) as both:
        both.wait()
        for count in (9, 8, 3, 2, 1):
            x, t = examples(kind, count)
            alone = cnnlib.Network(both.network.layers, (1, 10, 10))
            expected_value, expected_y = alone.backpropagate(x, t, loss)
            expected = alone.gradients()
            before = {name: parameter.copy() for name, parameter in both.network.parameters().items()}
            value, y = both.train_step(x, t, cnnlib.SGD(0.1, momentum=0), loss)
            assert value == pytest.approx(expected_value, rel=1e-12)
            np.testing.assert_allclose(y, expected_y, rtol=1e-12)
            for name, parameter in both.network.parameters().items():
                np.testing.assert_allclose(both.network.gradients()[name], expected[name], rtol=1e-9, atol=1e-12)
                np.testing.assert_allclose(parameter, before[name] - 0.1 * expected[name], rtol=1e-9, atol=1e-12)
        assert both.answers == 5  # that it has started, and the halves of all batches but the last


def run(network, help):
    """Return the parameters and losses after 12 steps, with or without help, or until it dies."""
    x, t = examples("pixels", 12 * 19, network.dtype)
    losses, optimizer = [], cnnlib.Adam(0.01)
    with Process(network, batch_size=19) as both:
        both.wait()
        both.ready = help != "never"
        both.pipe.poll = both.pipe.poll if help != "never" else lambda _: []
        for step in range(12):
            if step == 5 and help == "it dies":
                both.process.kill()
                both.process.wait()
            batch = slice(19 * step, 19 * step + 19)
            losses.append(both.train_step(x[batch], t[batch], optimizer, LOSSES[0])[0])
        return *network.parameters().values(), np.array(losses), both.answers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_bit_depends_on_who_did_what(dtype):
    *expected, answers = run(small_network(dtype), "always")
    assert answers == 13
    *never, answers = run(small_network(dtype), "never")
    assert answers == 1
    with pytest.warns(RuntimeWarning, match="the second process has ended"):
        *died, answers = run(small_network(dtype), "it dies")
    assert answers == 6
    for a, b, c in zip(expected, never, died, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


class Own(cnnlib.ReLU):
    """A layer that no other process knows."""


class OwnLoss(cnnlib.MeanSquaredError):
    """A loss that no other process knows."""


class OwnNetwork(cnnlib.Network):
    """A network that no other process knows."""


def with_own_layer():
    network = cnnlib.lenet5()
    network.layers[1] = Own()
    return network


def with_own_method(method):
    network = cnnlib.lenet5()
    network.layers[1].backward = method
    return network


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"batch_size": 31}, False),
        ({"steps": 499}, False),
        ({"loss": OwnLoss()}, False),
        ({"network": with_own_layer()}, False),
        ({"network": with_own_method(lambda dy: dy)}, False),
        ({"network": with_own_method(functools.wraps(cnnlib.ReLU.backward)(lambda dy: dy))}, False),
        ({"network": with_own_method([].append)}, False),
        ({"network": cnnlib.lenet5().astype(np.float16)}, False),
        ({"network": OwnNetwork(cnnlib.lenet5().layers, (1, 28, 28))}, False),
        ({"network": small_network()}, False),
        ({"network": cnnlib.Network([cnnlib.Dense(784, 10)], (784,)), "batch_size": 1000}, False),
    ],
)
def test_when_it_pays(changes, expected):
    settings = {"network": cnnlib.lenet5(), "loss": LOSSES[0], "batch_size": 32, "steps": 500} | changes
    assert pays(**settings) is expected
    with threadpool_limits(1):
        assert not pays(**settings)


def test_replaced_losses_are_not_computed_elsewhere(monkeypatch):
    monkeypatch.setattr(cnnlib.SoftmaxCrossEntropy, "gradient", lambda self, y, t: 0 * y)
    assert not pays(cnnlib.lenet5(), LOSSES[0], 32, 500)


def always(*arguments):
    return True


@pytest.fixture
def helped(monkeypatch):
    """Let `train` always use two processes, and return a list of them."""
    made = []

    class Recorded(Process):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)
            self.wait()

    monkeypatch.setattr(cnnlib.parallel, "pays", always)
    monkeypatch.setattr(cnnlib.parallel, "DataParallel", Recorded)
    return made


def test_train_takes_its_steps_together(helped, monkeypatch):
    network, alone = small_network(), small_network()
    x, t = examples("pixels", 50)
    settings = {"epochs": 2, "batch_size": np.int64(16), "validation": (x, t), "progress": False}
    history = network.train(x, t, **settings)
    (both,) = helped
    assert both.answers == 1 + 2 * 4 and both.process.returncode is not None
    monkeypatch.undo()
    expected = alone.train(x, t, **settings)
    for name, parameter in network.parameters().items():
        np.testing.assert_allclose(parameter, alone.parameters()[name], rtol=1e-9)
    for name in set(history) - {"seconds"}:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-9)


def test_an_error_ends_the_second_process(helped, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    x, t = examples("pixels", 50)
    with pytest.raises(ValueError, match=r"expected a batch of examples of shape .*, got .*\(16, 1, 9, 10\)"):
        small_network().train(x, t, batch_size=16, augment=lambda x, rng: x[:, 1:], progress=False)
    (both,) = helped
    assert both.process.returncode is not None and not list(tmp_path.iterdir())


def test_an_interrupted_step_does_not_cost_a_thread():
    with DataParallel(small_network(), batch_size=4):
        BLAS.limit(limits=1)  # and then an interrupt, so that it is not undone
    assert threads() == 2


def test_where_no_second_process_can_be_had_the_bits_are_the_same(helped, monkeypatch, tmp_path):
    x, t = examples("pixels", 50)
    expected, network = small_network(), small_network()
    expected.train(x, t, progress=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.warns(RuntimeWarning, match=r"there is no second process, so training is slower: .*missing"):
        network.train(x, t, progress=False)
    assert [both.answers for both in helped] == [2, 0]
    for name, parameter in network.parameters().items():
        np.testing.assert_array_equal(parameter, expected.parameters()[name])


def interrupt(*arguments):
    raise KeyboardInterrupt


def test_an_answer_to_an_interrupted_step_is_not_taken_for_the_next(monkeypatch):
    network, (x, t) = small_network(), examples("pixels", 18)
    with Process(network, batch_size=9) as both:
        both.wait()
        with monkeypatch.context() as patch:
            patch.setattr(both.network, "backpropagate", interrupt, raising=False)
            with pytest.raises(KeyboardInterrupt):
                both.train_step(x[:9], t[:9], cnnlib.SGD(), LOSSES[0])
        expected, _ = network.backpropagate(x[9:], t[9:], LOSSES[0])
        assert both.train_step(x[9:], t[9:], cnnlib.SGD(), LOSSES[0])[0] == pytest.approx(expected, rel=1e-12)


SCRIPT = """
import sys
import numpy as np
import cnnlib

print("A script without a guard runs once.")
cnnlib.parallel.pays = lambda *arguments: True
if sys.argv[2] == "prompt":
    cnnlib.parallel.DataParallel.__enter__ = lambda self: self.wait() or self
network = cnnlib.lenet5(np.random.default_rng(0))
x, t = np.zeros((64, 28, 28), np.uint8), np.zeros(64, int)
network.train(x, t, epochs=int(sys.argv[1]), augment=lambda x, rng: print("step", flush=True) or x, progress=False)
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def test_a_script_runs_once(script, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "random.py").write_text("raise ImportError('not the random that is meant')")
    command = [sys.executable, script, "2", "prompt"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "A script without a guard runs once.\nstep\nstep\n" and run.stderr == ""


def test_what_the_second_process_prints_is_no_answer(script, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('x' * 64, flush=True)")
    command, paths = [sys.executable, script, "2", "prompt"], {"PYTHONPATH": str(tmp_path)}
    run = subprocess.run(command, env=os.environ | paths, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.count("x" * 64) == 2 and run.stdout.count("step") == 2 and run.stderr == ""


@pytest.mark.parametrize("moment", [1, 500], ids=["while it starts", "in the middle"])
def test_nothing_is_left_of_a_run_that_was_killed(script, tmp_path, moment):
    folder = tmp_path / "temporary"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, script, "100000", "late"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    for _ in range(1 + moment):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    # The end of its standard error comes when nobody has it open any more: the second process has inherited it.
    output, errors = process.communicate(timeout=30)
    assert errors == b"" and list(folder.iterdir()) == []
