"""Two processes take each step together: each computes the gradient of half of the batch. This is data parallelism.

The loss is a mean over the examples, and so is its gradient: that of a batch is the sum of those of its halves, each
weighted with its share of the examples. Nothing is approximated; only the order of some additions changes.

*Why a second process, and not a thread?* Of the threads of a process, only one runs Python at any time. To pass that
right on, and to wake who waits for it, takes longer than many of a step's small array operations. Two processes have a
Python each.

*How do they talk?* The numbers lie in a file that both have mapped into their memory: what one writes there, the other
reads. A pipe each way carries a few bytes that say when: "your half of the batch is there", "my gradients are there".
A pipe that ends says that the other process is gone.

*Who does what?* The second process can do one thing only: turn parameters and examples into gradients. Optimizer,
random numbers, checkpoints and progress stay in the first. Until the second has started, which takes some tenths of a
second, and should it ever end too soon, the first computes both halves: no bit of the result depends on who did what.
"""

import contextlib
import math
import mmap
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import ThreadpoolController

from cnnlib.convolution import Convolutional
from cnnlib.losses import CategoricalCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from cnnlib.optimizers import Optimizer

if TYPE_CHECKING:
    from cnnlib.network import Network

BLAS = ThreadpoolController().select(user_api="blas")  # NumPy's matrix products: how many threads they may use
LOSSES = (CategoricalCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy)
TASK = struct.Struct("4q")  # which loss, whether pixels, how many examples, and how many in the whole batch
ANSWER = struct.Struct("d")  # the loss
PATIENCE = 1e-3  # seconds to wait for the other process without going to sleep, from which it takes long to wake


def threads() -> int:
    """How many threads a matrix product may use: what `threadpoolctl` or the environment allows, else one a core."""
    return max((library["num_threads"] for library in BLAS.info()), default=1)


def pays(network: "Network", loss: Loss, batch_size: int, steps: int) -> bool:
    """Whether `DataParallel` can train this network, and is faster.

    It can with the layers and losses of the library (not with yours, nor with a method that you have replaced), where a
    pipe can be waited for, which is not so on Windows. It is faster if there is a core to spare, enough steps to make
    up for the start, and enough to do in each: convolutions, and as many numbers as in 32 images of MNIST.
    """
    from cnnlib.network import LAYERS, Network

    ours = type(network) is Network and all(type(layer) in LAYERS.values() for layer in network.layers)
    methods = [method for layer in network.layers for method in (layer.forward, layer.backward)]
    ours = ours and all(method.__module__.startswith("cnnlib.") for method in methods)
    able = ours and type(loss) in LOSSES and hasattr(select, "poll")
    large = batch_size * math.prod(network.input_shape) >= 32 * 28 * 28
    large = large and any(isinstance(layer, Convolutional) for layer in network.layers)
    return able and large and steps >= 500 and threads() > 1


def trainer(network: "Network", loss: Loss, batch_size: int, steps: int) -> AbstractContextManager:
    """Return, for a ``with`` statement, what takes the training steps: a `DataParallel`, or a fused network alone."""
    if pays(network, loss, batch_size, steps):
        try:
            return DataParallel(network, batch_size)
        except OSError as error:  # no folder for the shared memory, or no process to be had
            warnings.warn(f"there is no second process, so training is slower: {error}", RuntimeWarning, stacklevel=3)
    return contextlib.nullcontext(network.fused(needs_dx=False))


class DataParallel:
    """A network that takes its training steps together with a second process.

    Use it in a ``with`` statement, at whose end the second process ends, too.

    Parameters
    ----------
    network : Network
        It is trained in place. Its layers must be of the library: the other process does not know your classes.
    batch_size : int
        The size of the largest batch.
    """

    def __init__(self, network: "Network", batch_size: int):
        self.network = network.fused(needs_dx=False)
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cnnlib-")))
            network.save(folder / "network.npz", size=batch_size // 2)
            self.shared = SharedArrays(folder / "arrays", network, batch_size // 2)
            # Not by `multiprocessing`, which would run the script that trains once more, if it is not made for that.
            command = "import sys; from cnnlib.parallel import serve; serve(sys.argv[1])"
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", command, folder],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the first process, which then ends the second
            )
            self.process = stack.enter_context(process)
            stack.callback(process.kill)
            stack.enter_context(BLAS.limit(limits=threads()))  # brought back even if a step is interrupted
            self.end = stack.pop_all().close
        self.pipe = Pipe(process.stdout.fileno(), process.stdin.fileno())
        self.ready = self.gone = False  # what is known of the other process

    def __enter__(self) -> "DataParallel":
        return self

    def __exit__(self, *error) -> None:
        self.end()

    def train_step(
        self, x: np.ndarray, t: np.ndarray, optimizer: Optimizer, loss: Loss, factor: float = 1.0
    ) -> tuple[float, np.ndarray]:
        """Do what `Network.train_step` does."""
        network, shared, N = self.network, self.shared, len(x)
        x = network.examples(x)
        half = N - N // 2
        if half == N:  # a single example
            return network.train_step(x, t, optimizer, loss, factor)
        with BLAS.limit(limits=1):  # matrix products on one core: the other process has the other
            asked = self.ask(x[half:], t[half:], loss, N)
            value, y = network.backpropagate(x[:half], t[:half], loss, half / N)
            if asked and (answer := self.hear()):
                (other_value,), other_y, other_gradients = ANSWER.unpack(answer), shared.y[: N - half], shared.gradients
            else:
                other_gradients = network.gradients().values()  # of the first half, for now come those of the second
                other_value, other_y = network.backpropagate(x[half:], t[half:], loss, (N - half) / N)
            parameters, gradients = network.parameters(), network.gradients()
            for gradient, other in zip(gradients.values(), other_gradients, strict=True):
                gradient += other
            optimizer.step([(parameters[name], gradients[name]) for name in parameters], factor)
        return value + other_value, np.concatenate([y, other_y])

    def ask(self, x: np.ndarray, t: np.ndarray, loss: Loss, N: int) -> bool:
        """Ask for the gradients of `x`, a part of a batch of `N`; return whether somebody is there to answer."""
        if self.pipe.poll(0):  # it has started, or ended
            self.wait()
        if not self.ready or type(loss) not in LOSSES:
            return False
        shared, pixels = self.shared, x.dtype == np.uint8  # a quarter of the bytes, and divided by 255 over there
        target = shared.pixels if pixels else shared.x
        target[: x.size].reshape(x.shape)[...] = x
        shared.t[: len(t)] = t
        for array, parameter in zip(shared.parameters, self.network.parameters().values(), strict=True):
            array[...] = parameter
        self.pipe.write(TASK.pack(LOSSES.index(type(loss)), pixels, len(x), N))
        return True

    def wait(self) -> None:
        """Wait until the other process has started. There is no need to: steps can be taken in the meantime."""
        if not self.ready and not self.gone:
            self.ready = bool(self.hear())

    def hear(self) -> bytes:
        """Wait for word from the other process, and return it; nothing if there will be none."""
        message = self.pipe.read(ANSWER.size)
        if not message:
            self.ready, self.gone = False, True
            warnings.warn("the second process has ended: training goes on without it", RuntimeWarning, stacklevel=2)
        return message


def serve(folder: str) -> None:
    """Compute gradients as long as there are tasks: what `DataParallel` lets the second process do."""
    from cnnlib.network import Network

    network = Network.load(Path(folder, "network.npz"))
    shared = SharedArrays(Path(folder, "arrays"), network, network.notes["size"])
    shutil.rmtree(folder)  # the memory stays, as long as somebody uses it
    arrays = iter(shared.parameters)  # the layers read them there, where the first process writes
    for layer in network.layers:
        for name in layer.params:
            setattr(layer, name, next(arrays))
    network = network.fused(needs_dx=False)
    pipe = Pipe(0, 1)  # standard input and output
    pipe.write(ANSWER.pack(0))  # ready
    with BLAS.limit(limits=1), np.errstate(over="ignore", invalid="ignore"):
        while task := pipe.read(TASK.size):
            loss, pixels, count, N = TASK.unpack(task)
            numbers = shared.pixels if pixels else shared.x
            x = numbers[: count * math.prod(network.input_shape)].reshape(count, *network.input_shape)
            value, shared.y[:count] = network.backpropagate(x, shared.t[:count], LOSSES[loss](), count / N)
            for array, gradient in zip(shared.gradients, network.gradients().values(), strict=True):
                array[...] = gradient
            pipe.write(ANSWER.pack(value))


class SharedArrays:
    """Arrays in a file that several processes have mapped into their memory.

    Attributes
    ----------
    x, pixels : ndarray
        The examples, one after the other, as numbers of the network's dtype or of dtype uint8, in the same place.
    t, y : ndarray of shape (size, *output_shape)
        Their targets, and the scores of the network.
    parameters, gradients : list of ndarray
        In the order of `Network.parameters`.
    """

    def __init__(self, path: Path, network: "Network", size: int):
        parameters = [array.shape for array in network.parameters().values()]
        output = (size, *network.output_shape)
        shapes = [(size * math.prod(network.input_shape),), output, output, *parameters, *parameters]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        if not path.exists():
            np.zeros(ends[-1], network.dtype).tofile(path)
        with path.open("r+b") as file:
            numbers = np.frombuffer(mmap.mmap(file.fileno(), 0), network.dtype)
        parts = zip(np.split(numbers, ends[:-1]), shapes, strict=True)
        self.x, self.t, self.y, *arrays = [part.reshape(shape) for part, shape in parts]
        self.pixels = self.x.view(np.uint8)
        self.parameters, self.gradients = arrays[: len(parameters)], arrays[len(parameters) :]


class Pipe:
    """Two file descriptors: what comes from the other process, and what goes to it."""

    def __init__(self, source: int, target: int):
        self.source, self.target = source, target
        poller = select.poll()
        poller.register(source, select.POLLIN)
        self.poll = poller.poll  # poll(0) tells at once whether there is something to read, even if only the end

    def read(self, size: int) -> bytes:
        """Wait for a message; empty bytes say that there will be none, ever."""
        limit = time.perf_counter() + PATIENCE
        while not self.poll(0) and time.perf_counter() < limit:
            pass
        return os.read(self.source, size)

    def write(self, message: bytes) -> None:
        """Send a message. If nobody is there, `read` will tell."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.target, message)
