"""What a process does with its share, without MPI: the other processes are threads of this one."""

import itertools
import sys
import threading

import numpy as np
import pytest

import cnnlib
from cnnlib import data_parallel
from cnnlib.data_parallel import Communicator


class Threads:
    """What `Communicator` uses of MPI, for `size` threads that do the same calls in the same order."""

    def __init__(self, size):
        self.size, self.barrier, self.slots, self.aborted = size, threading.Barrier(size), [None] * size, []
        self.local = threading.local()

    def Get_rank(self):
        return self.local.rank

    def Get_size(self):
        return self.size

    def gather(self, value):
        self.slots[self.local.rank] = value
        self.barrier.wait(20)
        values = list(self.slots)
        self.barrier.wait(20)
        return values

    def Allreduce(self, array, total):
        total[...] = sum(self.gather(array.copy()))

    def allreduce(self, array):
        return sum(self.gather(array))

    def bcast(self, value, root):
        return self.gather(value)[root]

    def Abort(self, status):
        self.aborted.append(status)

    def run(self, work):
        """Return what `work(communicator)` returns in each thread."""
        results, errors = [None] * self.size, []

        def thread(rank):
            self.local.rank = rank
            try:
                results[rank] = work(Communicator(self))
            except BaseException as error:
                errors.append(error)
                self.barrier.abort()

        threads = [threading.Thread(target=thread, args=(rank,)) for rank in range(self.size)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        if errors:
            raise errors[0]
        return results


@pytest.fixture(autouse=True)
def excepthook(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def network(seed=0):
    rng = np.random.default_rng(seed)
    layers = [cnnlib.Dense(5, 6, rng=rng), cnnlib.BatchNormalization(6), cnnlib.ReLU(), cnnlib.Dropout(0.3)]
    return cnnlib.Network([*layers, cnnlib.Dense(6, 3, rng=rng), cnnlib.Softmax()], (5,)).astype(np.float64)


def examples(N):
    rng = np.random.default_rng(1)
    return rng.standard_normal((N, 5)), rng.integers(0, 3, N)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shares_are_whole_and_nearly_equal(size):
    for N in (1, 2, 3, 4, 5, 6, 7, 11, 30):
        shares = Threads(size).run(lambda communicator, N=N: communicator.share(N))
        if size > N:
            assert shares == [slice(0, N)] * size or shares == [slice(N)] * size
            continue
        counts = [share.stop - share.start for share in shares]
        assert shares[0].start == 0 and shares[-1].stop == N and max(counts) - min(counts) <= 1 and min(counts) >= 1
        assert all(one.stop == other.start for one, other in itertools.pairwise(shares))


@pytest.mark.parametrize("loss", [cnnlib.CategoricalCrossEntropy(), cnnlib.SoftmaxCrossEntropy([1, 2, 3])], ids=repr)
@pytest.mark.parametrize("N", [1, 2, 3, 4, 8])
def test_the_gradients_are_those_of_one_process(N, loss):
    x, t = examples(N)
    net = cnnlib.Network([cnnlib.Dense(5, 4, rng=0), cnnlib.Sigmoid(), cnnlib.Dense(4, 3, rng=1)], (5,)).astype(float)
    if isinstance(loss, cnnlib.CategoricalCrossEntropy):
        net = cnnlib.Network([*net.layers, cnnlib.Softmax()], (5,))
    alone = net.fused()
    expected = alone.backpropagate(x, t, loss)
    single = cnnlib.Network(net.layers, (5,)).fused().astype(np.float32)
    for _, gradients in Threads(2).run(lambda c: c.backpropagate(single.fused(), x, t, loss)) if N > 1 else ():
        assert {gradient.dtype for gradient in gradients.values()} == {np.dtype(np.float32)}
    net = net.astype(np.float64)
    for size in (2, 3):
        for result, gradients in Threads(size).run(lambda c: c.backpropagate(net.fused(), x, t, loss)):
            assert all(type(number) is float for number in result)
            np.testing.assert_allclose(result, expected, rtol=1e-12)
            assert list(gradients) == list(net.parameters())
            for name, gradient in alone.gradients().items():
                np.testing.assert_allclose(gradients[name], gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("N", [2, 3, 7, 9])
def test_evaluation_is_that_of_one_process(N):
    x, t = examples(N)
    net, loss = network(), cnnlib.CategoricalCrossEntropy()
    for size in (1, 3):
        for result in Threads(size).run(lambda c: c.evaluate(network(), x, t, loss)):
            assert all(type(number) is float for number in result)
            np.testing.assert_allclose(result, net.evaluate(x, t, loss), rtol=1e-12)


def test_training_is_that_of_one_process():
    """Statistics and dropout included; the last batch of two examples is too small to be shared by three."""
    x, t = examples(20)
    options = {"epochs": 2, "batch_size": 6, "validation": (x[:7], t[:7]), "progress": False}
    alone = network()
    history = alone.train(x, t, **options)

    def work(communicator):
        net = network()
        return net.train(x, t, communicator=communicator, **options), net.saved_arrays()

    for size in (2, 3):
        for other, arrays in Threads(size).run(work):
            for name in ("loss", "accuracy", "validation_loss", "validation_accuracy", "batch_loss"):
                np.testing.assert_allclose(other[name], history[name], rtol=1e-10, err_msg=name)
            for name, array in alone.saved_arrays().items():
                np.testing.assert_allclose(arrays[name], array, rtol=1e-10, atol=1e-12, err_msg=name)


def test_what_process_0_says_is_said_in_all():
    def work(communicator):
        assert communicator.size == 3
        assert communicator.sum(communicator.rank) == communicator.rank  # no batch is being worked on
        communicator.batch_size = 3
        return communicator.broadcast(communicator.rank + 5), communicator.sum(communicator.rank + 1)

    assert Threads(3).run(work) == [(5, 6)] * 3


def test_an_uncaught_error_ends_all_processes(monkeypatch, capsys):
    monkeypatch.setattr(data_parallel.time, "sleep", lambda seconds: waited.append(seconds))
    waited, threads = [], Threads(2)
    before = sys.excepthook
    threads.local.rank = 1
    communicator = Communicator(threads)
    assert sys.excepthook == communicator.abort and (communicator.rank, communicator.batch_size) == (1, 0)
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    assert threads.aborted == [1] and waited == [0.5] and "ZeroDivisionError: a bug" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "flush", lambda: waited.append("flushed"))
    communicator.end(7)
    assert threads.aborted == [1, 7] and waited[-2:] == ["flushed", 0.5]
    sys.excepthook = before
    one = Threads(1)
    one.local.rank = 0
    Communicator(one)
    assert sys.excepthook == before


def test_a_communicator_is_printed():
    threads = Threads(1)
    threads.local.rank = 0
    assert repr(Communicator(threads)) == f"Communicator(communicator={threads!r})"


def test_no_process_was_started_by_mpiexec(monkeypatch):
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert data_parallel.started_by_mpiexec() is False
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"):
        for value, answer in (("1", False), ("2", True)):
            monkeypatch.setenv(name, value)
            assert data_parallel.started_by_mpiexec() is answer
        monkeypatch.delenv(name)
