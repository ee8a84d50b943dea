"""Two processes take each step together: each computes the gradient of half of the batch. This is data parallelism.

The loss is a mean over the examples, and so is its gradient: that of a batch is the sum of those of its halves, each
weighted with its share of the examples. Nothing is approximated; only the order of some additions changes.

*Why a second process, and not a thread?* Of the threads of a process, only one runs Python at any time. To pass that
right on, and to wake who waits for it, takes longer than many of a step's small array operations. Two processes have a
Python each.

*How do they talk?* The numbers lie in a file that both have mapped into their memory: what one writes there, the other
reads. A pipe, which goes both ways, carries a few bytes that say when: "your half of the batch is there", "my gradients
are there". A pipe that ends says that the other process is gone.

*Who does what?* The second process can do one thing only: turn parameters and examples into gradients. Optimizer,
random numbers, checkpoints and progress stay in the first. Until the second has started, which takes some tenths of a
second, and should it ever end too soon, the first computes both halves: no bit of the result depends on who did what.
"""

import contextlib
import json
import math
import mmap
import os
import select
import socket
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
TASK = struct.Struct("5q")  # its number, which loss, whether pixels, how many examples, and how many in the whole batch
ANSWER = struct.Struct("qd")  # the number of the task, 0 for "ready", and the loss
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
    methods += [method for loss_ in LOSSES for method in (loss_.value, loss_.gradient)]
    files = [getattr(getattr(method, "__code__", None), "co_filename", "") for method in methods]
    ours = ours and all(Path(file).parent == Path(__file__).parent for file in files)
    able = ours and type(loss) in LOSSES and network.dtype in (np.float32, np.float64) and hasattr(select, "poll")
    large = batch_size > 1 and batch_size * math.prod(network.input_shape) >= 32 * 28 * 28
    large = large and any(isinstance(layer, Convolutional) for layer in network.layers)
    return able and large and steps >= 500 and threads() > 1


def trainer(network: "Network", loss: Loss, batch_size: int, steps: int) -> AbstractContextManager:
    """Return, for a ``with`` statement, what takes the training steps: a `DataParallel`, or a fused network alone."""
    if pays(network, loss, batch_size, steps):
        return DataParallel(network, batch_size)
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
        self.ready = self.gone = False  # what is known of the other process
        self.number = 0  # of the last task
        with contextlib.ExitStack() as stack:
            try:
                self.start(network, int(batch_size) // 2, stack)
            except OSError as error:  # no room for the shared memory, or no process to be had
                self.gone = True
                warnings.warn(f"there is no second process, so training is slower: {error}", RuntimeWarning, 4)
            stack.enter_context(BLAS.limit(limits=threads()))  # brought back even if a step is interrupted
            self.end = stack.pop_all().close

    def start(self, network: "Network", size: int, stack: contextlib.ExitStack) -> None:
        """Start the other process, which gets at most `size` examples at a time; let `stack` end it."""
        shapes, output = {"x": (size * math.prod(network.input_shape),)}, (size, *network.output_shape)
        shapes |= {"t": output, "y": output}
        for name, parameter in network.parameters().items():
            shapes[name] = shapes[f"d{name}"] = parameter.shape
        # A file without a name: nothing is left over, whatever happens.
        memory = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        memory.write(bytes(sum(map(math.prod, shapes.values())) * network.dtype.itemsize))
        memory.flush()
        self.shared = shared_arrays(memory.fileno(), shapes, network.dtype)
        self.parameters = [self.shared[name] for name in network.parameters()]
        self.gradients = [self.shared[f"d{name}"] for name in network.parameters()]
        mine, theirs = map(stack.enter_context, socket.socketpair())
        self.pipe = Pipe(mine)
        descriptors = memory.fileno(), theirs.fileno()
        folders = os.pathsep.join(folder for folder in sys.path if folder and isinstance(folder, str))
        # Not by `multiprocessing`, which would run the script that trains once more, if it is not made for that.
        command = "import sys; from cnnlib.parallel import serve; serve(*sys.argv[1:])"
        settings = json.dumps({"network": network.config, "shapes": shapes}, default=int)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", command, *map(str, descriptors), settings],
            env=os.environ | {"PYTHONPATH": folders},
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C is for the first process, which then ends the second
        )
        stack.enter_context(self.process)
        stack.callback(self.process.kill)
        theirs.close()

    def __enter__(self) -> "DataParallel":
        return self

    def __exit__(self, *error) -> None:
        self.end()

    def train_step(
        self, x: np.ndarray, t: np.ndarray, optimizer: Optimizer, loss: Loss, factor: float = 1.0
    ) -> tuple[float, np.ndarray]:
        """Do what `Network.train_step` does."""
        network = self.network
        x = network.examples(x)
        N, half = len(x), len(x) - len(x) // 2
        if half == N or len(t) != N:  # one example only, or an error
            return network.train_step(x, t, optimizer, loss, factor)
        with BLAS.limit(limits=1):  # the other process has the other core
            asked = self.ask(x[half:], t[half:], loss, N)
            value, y = network.backpropagate(x[:half], t[:half], loss, half / N)
            other_value = self.hear() if asked else None
            if other_value is not None:
                other_y, other_gradients = self.shared["y"][: N - half], self.gradients
            else:
                # Those of the first half, as those of the second come now.
                other_gradients = network.gradients().values()
                other_value, other_y = network.backpropagate(x[half:], t[half:], loss, (N - half) / N)
            parameters, gradients = network.parameters(), network.gradients()
            for gradient, other in zip(gradients.values(), other_gradients, strict=True):
                gradient += other
            optimizer.step([(parameters[name], gradients[name]) for name in parameters], factor)
        return value + other_value, np.concatenate([y, other_y])

    def ask(self, x: np.ndarray, t: np.ndarray, loss: Loss, N: int) -> bool:
        """Ask for the gradients of `x`, a part of a batch of `N`; return whether somebody is there to answer."""
        if not self.ready and not self.gone and self.pipe.poll(0):
            self.wait()
        if not self.ready or type(loss) not in LOSSES:
            return False
        pixels = x.dtype == np.uint8  # a quarter of the bytes, and divided by 255 over there
        target = self.shared["x"].view(np.uint8) if pixels else self.shared["x"]
        target[: x.size].reshape(x.shape)[...] = x
        self.shared["t"][: len(t)] = t
        for array, parameter in zip(self.parameters, self.network.parameters().values(), strict=True):
            array[...] = parameter
        self.number += 1
        self.pipe.write(TASK.pack(self.number, LOSSES.index(type(loss)), pixels, len(x), N))
        return True

    def wait(self) -> None:
        """Wait until the other process has started. There is no need to: steps can be taken in the meantime."""
        if not self.ready and not self.gone:
            self.ready = self.hear() is not None

    def hear(self) -> float | None:
        """Wait for the answer to the last task, and return the loss; None if there will be no answer."""
        while message := self.pipe.read(ANSWER.size):
            number, value = ANSWER.unpack(message)
            if number == self.number:  # and not to a task whose step was interrupted
                return value
        self.ready, self.gone = False, True
        warnings.warn("the second process has ended: training goes on without it", RuntimeWarning, stacklevel=2)
        return None


def serve(memory: str, pipe: str, settings: str) -> None:
    """Compute gradients as long as there are tasks: what `DataParallel` lets the second process do."""
    from cnnlib.network import from_config

    settings = json.loads(settings)
    shared = shared_arrays(int(memory), settings["shapes"], settings["network"]["dtype"])
    names = [name for name in shared if f"d{name}" in shared]
    # The layers read their parameters where the first process writes them.
    network = from_config(settings["network"], {name: shared[name] for name in names}).fused(needs_dx=False)
    pipe = Pipe(socket.socket(fileno=int(pipe)))
    pipe.write(ANSWER.pack(0, 0))
    with BLAS.limit(limits=1), np.errstate(over="ignore", invalid="ignore"):
        while task := pipe.read(TASK.size):
            number, loss, pixels, count, N = TASK.unpack(task)
            numbers = shared["x"].view(np.uint8) if pixels else shared["x"]
            x = numbers[: count * math.prod(network.input_shape)].reshape(count, *network.input_shape)
            value, y = network.backpropagate(x, shared["t"][:count], LOSSES[loss](), count / N)
            shared["y"][:count] = y
            for name, gradient in zip(names, network.gradients().values(), strict=True):
                shared[f"d{name}"][...] = gradient
            pipe.write(ANSWER.pack(number, value))


def shared_arrays(memory: int, shapes: dict[str, tuple[int, ...]], dtype: np.typing.DTypeLike) -> dict[str, np.ndarray]:
    """Return arrays of those names and shapes, in a file that all its processes have mapped into their memory."""
    numbers = np.frombuffer(mmap.mmap(memory, 0), dtype)
    parts = np.split(numbers, np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1])
    return {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}


class Pipe:
    """This process's end of a pipe that goes both ways."""

    def __init__(self, end: socket.socket):
        self.end = end
        poller = select.poll()
        poller.register(end, select.POLLIN)
        self.poll = poller.poll  # poll(0) tells at once whether there is something to read, even if only the end

    def read(self, size: int) -> bytes:
        """Wait for a message; empty bytes say that there will be none, ever."""
        limit = time.perf_counter() + PATIENCE
        while not self.poll(0) and time.perf_counter() < limit:
            pass
        with contextlib.suppress(ConnectionError):
            return self.end.recv(size)
        return b""

    def write(self, message: bytes) -> None:
        """Send a message. If nobody is there, `read` will tell."""
        with contextlib.suppress(ConnectionError):
            self.end.sendall(message)
