"""Data parallelism: several processes train one network, each on its share of every batch.

The loss is a mean over the examples, and so is its gradient: that of a batch is the sum of those of its parts, each
weighted with its share of the examples. Nothing is approximated; only the order of some additions changes.

Every process runs the same program with the same seed. So all begin with the same weights, draw the same batches, and
take the same steps; the gradients are all that they exchange, by MPI, the standard for programs of many processes on
one machine or a thousand::

    mpiexec -n 4 python -m cnnlib train
"""

import os
import sys
import time
import traceback

import numpy as np

from cnnlib.blas import one_blas_thread
from cnnlib.config import Configured
from cnnlib.losses import Loss


class Communicator(Configured):
    """This process's connection to the others: pass it to `Network.train`.

    If the program ends by an uncaught exception, in any process, all processes end.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm
        Such as ``MPI.COMM_WORLD``.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and how many there are. The process 0 prints and writes.
    """

    def __init__(self, communicator):
        self.communicator = communicator
        self.rank, self.size = communicator.Get_rank(), communicator.Get_size()
        self.batch_size = 0  # of the whole batch that is being worked on
        if self.size > 1:
            sys.excepthook = self.abort

    def share(self, N: int) -> slice:
        """Return which of N examples are this process's: as many as everyone else's, or one less; all if N < size."""
        if self.size > N:
            return slice(N)
        return slice(N * self.rank // self.size, N * (self.rank + 1) // self.size)

    def backpropagate(
        self, network, x: np.ndarray, t: np.ndarray, loss: Loss
    ) -> tuple[tuple[float, float], dict[str, np.ndarray]]:
        """Compute loss, accuracy and gradients of a whole batch: go through the own share, and add up everyone's."""
        self.batch_size = len(x)
        if len(x) < self.size:  # too few to share: every process goes through all of them, and adds nothing up
            return network.backpropagate(x, t, loss), network.gradients()
        parameters, share = network.parameters(), self.share(len(x))
        result = network.backpropagate(x[share], t[share], loss, weight=(share.stop - share.start) / len(x))
        gradients = network.gradients()
        flat = np.concatenate([*(array.ravel() for array in gradients.values()), result], dtype=network.dtype)
        total = np.empty_like(flat)
        self.communicator.Allreduce(flat, total)
        parts = np.split(total, np.cumsum([array.size for array in gradients.values()]))
        sums = {name: part.reshape(parameters[name].shape) for name, part in zip(gradients, parts, strict=False)}
        return (float(parts[-1][0]), float(parts[-1][1])), sums

    def evaluate(self, network, x: np.ndarray, t: np.ndarray, loss: Loss) -> tuple[float, float]:
        """Do what `Network.evaluate` does, each process on its share."""
        if len(x) < self.size:
            return network.evaluate(x, t, loss)
        share = self.share(len(x))
        with one_blas_thread():  # the other cores are busy with the other shares
            result = np.array(network.evaluate(x[share], t[share], loss))
        result *= (share.stop - share.start) / len(x)
        total = np.empty_like(result)
        self.communicator.Allreduce(result, total)
        return float(total[0]), float(total[1])

    def sum(self, array):
        """Return the sum of the arrays, or numbers, of all processes: for statistics of the whole batch."""
        return array if self.batch_size < self.size else self.communicator.allreduce(array)

    def broadcast(self, value):
        """Return, in every process, the value that process 0 has given."""
        return self.communicator.bcast(value, root=0)

    def abort(self, kind: type, error: BaseException, trace) -> None:
        """Print an exception, and end all processes: the others would wait for this one for ever."""
        traceback.print_exception(kind, error, trace)
        self.end(1)

    def end(self, status: int) -> None:
        """End all processes, with that exit status."""
        sys.stderr.flush()
        time.sleep(0.5)  # mpiexec drops what it has not passed on by the time a process aborts
        self.communicator.Abort(status)


def started_by_mpiexec() -> bool:
    """Whether this process is one of several that ``mpiexec`` has started (MPICH, Intel MPI, Slurm; Open MPI)."""
    return any(os.environ.get(name, "1") != "1" for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"))
