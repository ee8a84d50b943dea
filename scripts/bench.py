"""How fast is cnnlib, next to PyTorch on the same cores? `make bench` runs this and prints a table.

Every engine lives in a process of its own, or in two, and does the same work on the same numbers. The engines take
turns, a moment of work each, again and again: what disturbs the machine for a while disturbs all of them. Nothing is
measured before all of them have computed the same gradients, and the same parameters after some steps. Engines whose
packages are not installed are left out.
"""

import importlib.util
import itertools
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import click
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits
from tqdm import tqdm

import cnnlib
from cnnbook import detection, segmentation
from cnnlib.data_parallel import Communicator
from cnnlib.digits.detection import encode
from cnnlib.digits.scenes import make_scenes
from cnnlib.files import atomic_write
from cnnlib.layers.layer import all_layers
from cnnlib.losses import Loss, SoftmaxCrossEntropy

BATCHES = (32, 64, 128)
TASKS = {"detector": 32, "U-Net": 16}  # the networks of chapters 19 and 20, with their batch sizes
LEARNING_RATE, MOMENTUM = 0.05, 0.9
TOLERANCE = 1e-5  # of gradients and parameters, relative to the largest entry of each array
TASK_TOLERANCE = 1e-9  # the same of the networks of chapters 19 and 20, in float64: in float32 rounding decides kinks


def lenet5_flop() -> int:
    """Return the floating-point operations of one training step of LeNet-5, per image.

    A multiplication and an addition for each product of the forward pass, again for each that dW needs, and again for
    each that dx needs, which the first layer does not compute. All else is small, and left out.
    """
    network = cnnlib.lenet5()
    products = []
    for layer, shape in zip(network.layers, network.shapes, strict=True):
        if isinstance(layer, cnnlib.Convolutional):
            products.append(layer.W.size * shape[1] * shape[2])
        elif isinstance(layer, cnnlib.Dense):
            products.append(layer.W.size)
    return 2 * (3 * sum(products) - products[0])


def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 28, 28) and labels (N,) of MNIST's size and dtype, but of noise: no time depends on values."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), rng.integers(0, 10, count, dtype=np.uint8)


def task(name: str, count: int, dtype: type = np.float32) -> tuple[cnnlib.Network, np.ndarray, np.ndarray, Loss]:
    """Return the network of a chapter, images of noise (N, 1, 64, 64), targets of as many scenes, and loss."""
    digits, rng = cnnlib.load_digits(), np.random.default_rng(0)
    rules = segmentation.RULES if name == "U-Net" else {}
    scenes = make_scenes(digits.train_images, digits.train_labels, count, rng, **rules)
    images = rng.random((count, 1, 64, 64), dtype=np.float32).astype(dtype)
    if name == "detector":
        network, t, loss = detection.build_detector(), encode(scenes), detection.detector_loss()
    else:
        network, t = segmentation.build_unet(), cnnlib.one_hot(scenes.classes, segmentation.CLASSES)
        loss = SoftmaxCrossEntropy(segmentation.class_weights())
    for layer in all_layers(network):
        for array in (*layer.params, *layer.statistics):
            setattr(layer, array, getattr(layer, array).astype(dtype))
    return network, images, t.astype(dtype), loss


def shuffled(count: int, steps: int, batch_size: int, seed: int) -> np.ndarray:
    """Return the numbers from 0 to count - 1 in random order, a row (batch_size,) for each step, as often as needed."""
    return np.resize(np.random.default_rng(seed).permutation(count), (steps, batch_size))


class Times(NamedTuple):
    """The seconds that calls of the same work took, one after the other."""

    median: float
    best: float


def measure_calls(work: Callable[[int], object], count: int) -> Times:
    """Call `work` with 0 to count - 1, each timed, after one call that is not."""
    work(0)
    times = []
    for index in range(count):
        start = time.perf_counter()
        work(index)
        times.append(time.perf_counter() - start)
    return Times(float(np.median(times)), min(times))


def peak_memory() -> int:
    """Return the peak of this process's resident memory, in bytes."""
    for line in lines("/proc/self/status"):  # what getrusage says there may be that of the process that started it
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class NumPyEngine:
    """What cnnlib does when `train` and `predict` are called; of several processes, each has one."""

    def __init__(self, group: Communicator | None, threads: int | None = None):
        threadpool_limits(threads)
        self.group, self.seconds = group, []
        if group is not None:
            mpi = group.communicator
            group.communicator = SimpleNamespace(Allreduce=partial(self.allreduce, mpi.Allreduce), Abort=mpi.Abort)
            self.gather = mpi.allgather
        self.plain = cnnlib.lenet5(np.random.default_rng(0))
        self.network = self.plain.fused(needs_dx=False, training=True)
        self.optimizer = cnnlib.SGD(LEARNING_RATE, MOMENTUM)
        self.loss = cnnlib.CategoricalCrossEntropy()
        self.tasks = {}

    def allreduce(self, allreduce: Callable, *arrays: np.ndarray) -> None:
        """Do what the communicator does, and note how long it takes."""
        start = time.perf_counter()
        allreduce(*arrays)
        self.seconds.append(time.perf_counter() - start)

    def load(self, count: int) -> None:
        """Make the training examples."""
        self.images, labels = examples(count)
        self.targets = cnnlib.one_hot(labels, 10)
        self.image = self.plain.to_input(self.images[:1])

    def step(self, batch: np.ndarray) -> None:
        """Gather a batch; forward, loss, backward, update."""
        x, t = self.images[batch], self.targets[batch]
        self.network.train_step(x, t, self.optimizer, self.loss, communicator=self.group)

    def check(self, size: int, steps: int) -> list[list]:
        """Return the gradients of one step on the first `size` images, and the parameters after some steps."""
        batch = self.images[:size], self.targets[:size], self.loss
        if self.group is None:
            self.network.backpropagate(*batch)
            gradients = self.network.gradients()
        else:
            _, gradients = self.group.backpropagate(self.network, *batch)
        arrays = [array.tolist() for array in gradients.values()]
        for _ in range(steps):
            self.step(np.arange(size))
        return arrays + [array.tolist() for array in self.network.parameters().values()]

    def train(self, batch_size: int, steps: int, seed: int) -> Times:
        """Return the seconds of a training step."""
        batches = shuffled(len(self.images), steps, batch_size, seed)
        self.seconds.clear()
        return measure_calls(lambda i: self.step(batches[i]), steps)

    def check_task(self, name: str, size: int) -> list[list]:
        """Take up a network of chapter 19 or 20, and return its gradients in float64, on a batch of that size."""
        network, x, t, loss = task(name, 64)
        self.tasks[name] = network.fused(needs_dx=False, training=True), x, t, cnnlib.Adam(3e-3), loss
        network, x, t, loss = task(name, size, np.float64)
        network = network.fused(needs_dx=False, training=True)
        network.backpropagate(x, t, loss)
        return [array.tolist() for array in network.gradients().values()]

    def train_task(self, name: str, batch_size: int, steps: int, seed: int) -> Times:
        """Return the seconds of a training step of that network."""
        network, x, t, *how = self.tasks[name]
        batches = shuffled(len(x), steps, batch_size, seed)
        return measure_calls(lambda i: network.train_step(x[batches[i]], t[batches[i]], *how), steps)

    def communication(self, waiting: bool) -> Times:
        """Return the seconds of the last steps' Allreduce: the sum itself, or what it takes the process that waits.

        The process that comes last does not wait, so its time is that of the sum.
        """
        seconds = np.array(self.gather(self.seconds[1:]))  # (processes, steps)
        seconds = seconds.max(axis=0) if waiting else seconds.min(axis=0)
        return Times(float(np.median(seconds)), float(seconds.min()))

    def predict(self, count: int) -> Times:
        """Return the seconds to predict the first `count` images, in batches of 128."""
        return measure_calls(lambda _: self.plain.predict(self.images[:count]), 3)

    def predict_one(self, repetitions: int) -> Times:
        """Return the seconds to predict one image."""
        return measure_calls(lambda _: self.plain.predict(self.image), repetitions)

    def peak(self, size: int) -> float:
        """Return the most floating-point operations a second that a large matrix product reaches."""
        a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
        return 2 * size**3 / measure_calls(lambda _: a @ a, 50).best

    def memory(self, count: int) -> int:
        """Train for an epoch, evaluate, and return the peak of resident memory in bytes, of all processes together."""
        images, labels = examples(count + count // 6)
        validation = images[count:], labels[count:]
        self.plain.train(images[:count], labels[:count], validation=validation, progress=False, communicator=self.group)
        return peak_memory() if self.group is None else sum(self.gather(peak_memory()))


class TorchEngine:
    """The same in PyTorch's eager mode; of several processes, each has one, within `DistributedDataParallel`."""

    def __init__(self, group: Communicator | None, threads: int | None = None, channels_last: bool = False):
        import torch

        self.torch, self.group = torch, group
        if threads:
            torch.set_num_threads(threads)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        nn = torch.nn
        self.model = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        self.parameters = list(self.model.parameters())
        with torch.no_grad():
            start = cnnlib.lenet5(np.random.default_rng(0)).parameters().values()
            for parameter, array in zip(self.parameters, start, strict=True):
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(self.turn(array))))
        self.model = self.model.to(memory_format=self.format)
        if group is not None:
            meeting = f"file://{tempfile.gettempdir()}/bench-{group.broadcast(os.getpid())}"
            torch.distributed.init_process_group("gloo", meeting, rank=group.rank, world_size=group.size)
            self.model = nn.parallel.DistributedDataParallel(self.model)
        self.optimizer = torch.optim.SGD(self.parameters, LEARNING_RATE, MOMENTUM)
        self.classifier = nn.Sequential(self.model, nn.Softmax(dim=1))
        self.tasks = {}

    @staticmethod
    def turn(array: np.ndarray) -> np.ndarray:
        """Turn the weights of a dense layer, (D, M) in cnnlib, into (M, D) or back; leave all others alone."""
        return array.T if array.ndim == 2 else array

    def load(self, count: int) -> None:
        images, labels = examples(count)
        self.images, self.labels = self.torch.from_numpy(images), self.torch.from_numpy(labels).long()
        self.image = self.to_input(self.images[:1])

    def to_input(self, images):
        """Return uint8 images (N, 28, 28) as a batch (N, 1, 28, 28) of numbers from 0 to 1."""
        return images.unsqueeze(1).float().div_(255).contiguous(memory_format=self.format)

    def step(self, batch) -> None:
        if self.group is not None:
            batch = batch[self.group.share(len(batch))]
        self.optimizer.zero_grad()
        scores = self.model(self.to_input(self.images[batch]))
        loss = self.torch.nn.functional.cross_entropy(scores, self.labels[batch])
        loss.backward()
        self.optimizer.step()
        loss.item()

    def check(self, size: int, steps: int) -> list[list]:
        batch = self.torch.arange(size)
        self.step(batch)
        arrays = [self.turn(parameter.grad.numpy()).tolist() for parameter in self.parameters]
        for _ in range(steps - 1):
            self.step(batch)
        return arrays + [self.turn(parameter.detach().numpy()).tolist() for parameter in self.parameters]

    def train(self, batch_size: int, steps: int, seed: int) -> Times:
        batches = self.torch.from_numpy(shuffled(len(self.images), steps, batch_size, seed))
        return measure_calls(lambda i: self.step(batches[i]), steps)

    def check_task(self, name: str, size: int) -> list[list]:
        self.tasks[name] = self.torch_task(name, 64, np.float32)
        model, x, t, _, loss = self.torch_task(name, size, np.float64)
        loss(model(x), t).backward()
        return [parameter.grad.tolist() for parameter in model.parameters()]

    def torch_task(self, name: str, count: int, dtype: type) -> tuple:
        """Return what `task` does as a model, images, targets, optimizer and loss for PyTorch."""
        torch = self.torch
        network, x, t, _ = task(name, count, dtype)
        x, t = torch.from_numpy(x).contiguous(memory_format=self.format), torch.from_numpy(np.ascontiguousarray(t))
        model = torch_module(network).to(memory_format=self.format)
        loss = partial(torch_detector_loss, torch)
        if name == "U-Net":
            t, loss = t.argmax(dim=1), partial(torch_pixel_loss, torch)
        return model, x, t, torch.optim.Adam(model.parameters(), 3e-3), loss

    def train_task(self, name: str, batch_size: int, steps: int, seed: int) -> Times:
        model, x, t, optimizer, loss = self.tasks[name]
        batches = self.torch.from_numpy(shuffled(len(x), steps, batch_size, seed))

        def step(batch) -> None:
            optimizer.zero_grad()
            value = loss(model(x[batch]), t[batch])
            value.backward()
            optimizer.step()
            value.item()

        return measure_calls(lambda i: step(batches[i]), steps)

    def predict(self, count: int) -> Times:
        with self.torch.inference_mode():
            batches = self.images[:count].split(128)
            return measure_calls(lambda _: [self.classifier(self.to_input(batch)) for batch in batches], 3)

    def predict_one(self, repetitions: int) -> Times:
        with self.torch.inference_mode():
            return measure_calls(lambda _: self.classifier(self.image), repetitions)

    def memory(self, count: int) -> int:
        self.load(count + count // 6)
        for batch in self.torch.randperm(count).split(64):
            self.step(batch)
        with self.torch.inference_mode():
            for batch in self.images[count:].split(128):
                self.classifier(self.to_input(batch))
        return peak_memory()


def torch_module(layer):
    """Return the same layer, with the same weights, for PyTorch: of the layers of chapters 19 and 20."""
    from torch import cat, from_numpy, nn, no_grad

    class Skip(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return cat([x, self.inner(x)], dim=1)

    match layer:
        case cnnlib.Skip():
            return Skip(nn.Sequential(*map(torch_module, layer.layers)))
        case cnnlib.Sequential():
            return nn.Sequential(*map(torch_module, layer.layers))
        case cnnlib.MaxPooling():
            return nn.MaxPool2d(layer.size)
        case cnnlib.Upsampling():
            return nn.Upsample(scale_factor=layer.size)
        case cnnlib.ReLU():
            return nn.ReLU()
        case cnnlib.BatchNormalization():
            module = nn.BatchNorm2d(layer.channels, eps=layer.epsilon, momentum=1 - layer.momentum)
        case cnnlib.Convolutional():
            F, C, K, _ = layer.W.shape
            module = nn.Conv2d(C, F, K, stride=layer.stride, padding=K // 2)
    weights = [from_numpy(np.ascontiguousarray(getattr(layer, name))) for name in layer.params]
    module.to(weights[0].dtype)
    with no_grad():
        for parameter, array in zip(module.parameters(), weights, strict=True):
            parameter.copy_(array)
    return module


def torch_detector_loss(torch, y, t):
    """Return the loss of chapter 19, in PyTorch: sums over the cells where it counts, divided by the scenes."""
    functional, where = torch.nn.functional, t[:, 0] > 0.5
    y_there, t_there = y.movedim(1, -1)[where], t.movedim(1, -1)[where]
    presence = functional.binary_cross_entropy_with_logits(y[:, 0], t[:, 0], reduction="sum")
    place = functional.mse_loss(y_there[:, 1:5], t_there[:, 1:5]) * len(t_there)
    kind = functional.cross_entropy(y_there[:, 5:], t_there[:, 5:].argmax(dim=1), reduction="sum")
    return (presence + 5 * place + kind) / len(t)


def torch_pixel_loss(torch, y, t):
    """Return the loss of chapter 20, in PyTorch: a mean over all pixels, not over their weights."""
    weights = torch.tensor(segmentation.class_weights(), dtype=y.dtype)
    return torch.nn.functional.cross_entropy(y, t, weights, reduction="sum") / t.numel()


# Without a number of threads, both libraries take as many as there are cores. (The method `train` of cnnlib takes one.)
ENGINES = {
    "cnnlib": partial(NumPyEngine),
    "cnnlib, 1 thread": partial(NumPyEngine, threads=1),
    "cnnlib, 2 processes": partial(NumPyEngine, threads=1),
    "PyTorch": partial(TorchEngine),
    "PyTorch, 1 thread": partial(TorchEngine, threads=1),
    "PyTorch, channels_last": partial(TorchEngine, channels_last=True),
    "PyTorch, channels_last, 1 thread": partial(TorchEngine, channels_last=True, threads=1),
    "PyTorch, 2 processes": partial(TorchEngine, threads=1),
}


def missing(name: str) -> list[str]:
    """Return the packages that an engine needs and that are not installed."""
    needed = ["torch"] * ("PyTorch" in name) + ["mpi4py"] * ("processes" in name)
    absent = [package for package in needed if not importlib.util.find_spec(package)]
    return absent + ["mpiexec"] * ("processes" in name and mpiexec() is None)


def mpiexec() -> str | None:
    """Return the program that starts several processes: that of this environment, or that of the system."""
    return shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


class Worker:
    """An engine in a process of its own, or in two: what is called here runs there."""

    def __init__(self, name: str):
        self.name = name
        command = [sys.executable, __file__, "--serve", name]
        if "processes" in name:
            command = [mpiexec(), "-n", "2", *command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, method: str, **arguments):
        print(json.dumps([method, arguments]), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name}: the process ended in {method}, see above")
        time.sleep(0.02)  # threads that wait for more work keep a core busy for a moment
        return json.loads(answer)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def serve(name: str) -> None:
    """Build an engine and do what the lines of stdin say, until it is closed; this is the process of a `Worker`."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    group = None
    if "processes" in name:
        from mpi4py import MPI

        group = Communicator(MPI.COMM_WORLD)
    engine = ENGINES[name](group)
    for method, arguments in map(json.loads, requests(group and MPI.COMM_WORLD)):
        answer = getattr(engine, method)(**arguments)
        if group is None or group.rank == 0:
            print(json.dumps(answer), file=answers, flush=True)


def requests(mpi) -> Iterator[str]:
    """Yield the lines of stdin; of several processes only the first gets them, and tells the others."""
    if mpi is None:
        yield from sys.stdin
    elif mpi.rank == 0:
        for line in itertools.chain(sys.stdin, [""]):
            for rank in range(1, mpi.size):
                mpi.send(line, rank)
            if line:
                yield line
    else:
        while True:
            while not mpi.iprobe(source=0):
                time.sleep(0.002)  # a process that waits in `recv` keeps a core busy
            line = mpi.recv(source=0)
            if not line:
                return
            yield line


def check_equal(workers: list[Worker]) -> float:
    """Return the largest relative difference of gradients and parameters; RuntimeError if it is too large."""
    names = cnnlib.lenet5().parameters()
    names = [f"the gradient of {name}" for name in names] + [f"{name} after three steps" for name in names]
    return compare(workers, names, TOLERANCE, "check", size=128, steps=3)


def check_task(workers: list[Worker], name: str) -> float:
    """Let engines take up the network of a chapter; return the largest relative difference of its gradients."""
    names = [f"the gradient of {parameter}, of the {name}," for parameter in task(name, 1)[0].parameters()]
    return compare(workers, names, TASK_TOLERANCE, "check_task", name=name, size=TASKS[name])


def compare(workers: list[Worker], names: list[str], tolerance: float, method: str, **arguments) -> float:
    """Return the largest relative difference of what engines compute; RuntimeError if it is too large.

    It is relative to the largest entry of an array, or to a thousandth of the largest of all: the gradient of a bias
    in front of a batch normalization is 0, and rounding is all that remains of it.
    """
    first, *others = ([np.array(array) for array in worker(method, **arguments)] for worker in workers)
    least, largest = 1e-3 * max(np.abs(array).max() for array in first), 0.0
    for worker, arrays in zip(workers[1:], others, strict=True):
        for name, a, b in zip(names, first, arrays, strict=True):
            difference = float(np.abs(a - b).max() / max(least, np.abs(b).max()))
            if not difference <= tolerance:
                raise RuntimeError(
                    f"{workers[0].name} and {worker.name} do not compute the same: {name} differs by {difference:.1e}, "
                    f"relative to its largest entry; allowed is {tolerance:.0e}. Nothing was measured."
                )
            largest = max(largest, difference)
    return largest


def measure(rounds: int, images: int, names: list[str]) -> dict:
    """Run everything with the engines of those names and return the result, which `table` prints."""
    workers = {name: Worker(name) for name in names}
    for worker in workers.values():
        worker("load", count=images)
    result = {"machine": machine(), "rounds": rounds, "flop": lenet5_flop()}
    result |= {"difference": check_equal(list(workers.values())), "median": {}, "best": {}, "memory": {}}

    # Each measurement: its name, the method, its arguments, and the engines that do it.
    count, single = min(10_000, images), [name for name in names if "processes" not in name]
    plan = []
    for n in BATCHES:
        plan.append((f"training, {n}", "train", {"batch_size": n, "steps": 2048 // n}, names))
        group = [name for name in names if name == "cnnlib, 2 processes"]
        plan.append((f"allreduce, {n}", "communication", {"waiting": False}, group))
        plan.append((f"allreduce and waiting, {n}", "communication", {"waiting": True}, group))
    plan.append((f"{count:,} images", "predict", {"count": count}, single))
    plan.append(("one image", "predict_one", {"repetitions": 300}, single))
    one_thread = [name for name in single if "1 thread" in name]
    for network in TASKS:
        check_task([workers[name] for name in one_thread], network)
    for network, n in TASKS.items():
        plan.append((f"{network}, {n}", "train_task", {"name": network, "batch_size": n, "steps": 3}, one_thread))
    result["timed"] = [what for what, method, *_ in plan if method not in ("communication", "train_task")]
    values = {what: {name: [] for name in able} for what, _, _, able in plan}
    peaks = {name: [] for name in single if name.startswith("cnnlib")}
    for number in tqdm(range(rounds), unit="round", desc="Measuring"):
        for what, method, arguments, able in plan:
            seed = {"seed": number} if method in ("train", "train_task") else {}
            for name in able:
                values[what][name].append(Times(*workers[name](method, **arguments, **seed)))
        for name in peaks:
            peaks[name].append(workers[name]("peak", size=512))
    for worker in workers.values():
        worker.close()
    result["peak"] = {name: max(rates) for name, rates in peaks.items()}
    for what, row in values.items():
        result["median"][what] = {name: [rounded(times.median) for times in rounds] for name, rounds in row.items()}
        result["best"][what] = {name: rounded(min(times.best for times in rounds)) for name, rounds in row.items()}
    for name in ("cnnlib", "cnnlib, 2 processes", "PyTorch"):
        if name in names:
            worker = Worker(name)
            result["memory"][name] = worker("memory", count=images * 6 // 7)
            worker.close()
    return result


def machine() -> dict[str, str | int]:
    """Describe the processor and the software, without saying whose they are."""
    names = [line.split(":")[1].strip() for line in lines("/proc/cpuinfo") if line.startswith("model name")]
    blas = next(info for info in threadpool_info() if info["user_api"] == "blas")
    described = {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS": f"{blas['internal_api']} {blas['version']}",
    }
    if importlib.util.find_spec("torch"):
        described["PyTorch"] = version("torch")
    return described


def lines(path: str) -> list[str]:
    """Return the lines of a file, or none if it is not there."""
    return Path(path).read_text().splitlines() if os.path.exists(path) else []


def rounded(value: float) -> float:
    """Return a number with four digits: more would be noise."""
    return float(f"{value:.4g}")


def table(result: dict) -> str:
    """Return the result as text: everywhere the median over the rounds, and in brackets the best."""
    medians, best, timed = result["median"], result["best"], result["timed"]
    engines, widths = list(medians[timed[0]]), (34, 20)

    def pair(what: str, name: str, unit: float = 1e-3) -> str:
        return f"{np.median(medians[what][name]) / unit:.3g} ({best[what][name] / unit:.3g})"

    def ratio(what: str, name: str, base: str, scale: float = 1.0) -> str:
        median = np.median(np.divide(medians[what][name], medians[what][base]))
        return f"{scale * median:.2f} ({scale * best[what][name] / best[what][base]:.2f})"

    def rows(title: str, cell: Callable[..., str], *arguments) -> list[str]:
        lines = [[title, *timed]]
        for name in engines:
            lines.append([name, *(cell(what, name, *arguments) if name in best[what] else "-" for what in timed)])
        return ["", *(line[0].ljust(widths[0]) + "".join(text.rjust(widths[1]) for text in line[1:]) for line in lines)]

    out = [", ".join(f"{name} {value}" for name, value in result["machine"].items())]
    out += [f"{result['rounds']} rounds; gradients and parameters agree to {result['difference']:.0e}, relative"]
    out += rows("Milliseconds: median (best)", pair)
    if "PyTorch" in engines:
        out += rows("Divided by PyTorch", ratio, "PyTorch")
    for network, n in TASKS.items():
        what, mine, *others = f"{network}, {n}", *(name for name in engines if "1 thread" in name)
        ratios = [f"{ratio(what, mine, other)} of {other}" for other in others]
        out += ["", f"{what}: a step takes {mine} {pair(what, mine)} ms" + "".join(f", {text}" for text in ratios)]
    out += ["", "Without a number, an engine has its default threads. The method `train` of cnnlib uses one."]
    if "cnnlib, 2 processes" in engines:
        for n in BATCHES:
            what, one, two = f"training, {n}", "cnnlib, 1 thread", "cnnlib, 2 processes"
            costs = pair(f"allreduce, {n}", two), pair(f"allreduce and waiting, {n}", two)
            out.append(
                f"Two processes, batch {n}: efficiency {ratio(what, one, two, 0.5)}; of {pair(what, two)} ms, "
                f"Allreduce takes {costs[0]} ms, and {costs[1]} ms in the process that has to wait for the other"
            )
    for name, peak in result["peak"].items():
        possible = [result["flop"] * n / peak for n in BATCHES]
        shares = [100 * time / best[f"training, {n}"][name] for n, time in zip(BATCHES, possible, strict=True)]
        text = ", ".join(f"{share:.0f} % at batch {n}" for n, share in zip(BATCHES, shares, strict=True))
        out.append(f"{name}: matrix products peak at {peak / 1e9:.0f} GFLOP/s; the best steps reach {text}")
    out.append(f"An epoch of LeNet-5 on 60,000 images is {result['flop'] * 60_000 / 1e9:.1f} GFLOP")
    memory = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in result["memory"].items())
    out.append(f"Peak resident memory of a training run: {memory}")
    return "\n".join(out)


@click.command()
@click.option("--rounds", default=11, show_default=True, type=click.IntRange(1), help="How often to measure each.")
@click.option("--images", default=70_000, show_default=True, type=click.IntRange(1000), help="How many there are.")
@click.option("--alone", is_flag=True, help="Leave PyTorch out, even if it is installed.")
@click.option("--output", default="_build/bench.json", show_default=True, type=click.Path(path_type=Path))
@click.option("--serve", "engine", type=click.Choice(list(ENGINES)), hidden=True)
def main(rounds: int, images: int, alone: bool, output: Path, engine: str | None) -> None:
    """Measure cnnlib, and PyTorch if it is installed; print a table and write a JSON file."""
    if engine:
        return serve(engine)
    names = [name for name in ENGINES if name.startswith("cnnlib") or not alone]
    for name in names:
        if missing(name):
            print(f"{name}: left out, for want of {' and '.join(missing(name))} (`make bench` installs what it needs)")
    result = measure(rounds, images, [name for name in names if not missing(name)])
    print(table(result))
    with atomic_write(output) as file:
        file.write((json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
