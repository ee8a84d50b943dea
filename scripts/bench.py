"""How fast is cnnlib, next to PyTorch on the same cores? `make bench` runs this and prints a table.

Every engine lives in a process of its own and does the same work on the same numbers. The engines take turns, a moment
of work each, again and again: what disturbs the machine for a while disturbs all of them. Nothing is measured before
all of them have computed the same gradients, and the same parameters after some steps. Without PyTorch, cnnlib is
measured alone.
"""

import importlib.util
import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from cnnlib.parallel import DataParallel, trainer
from threadpoolctl import threadpool_info, threadpool_limits
from tqdm import tqdm

import cnnlib

BATCHES = (32, 64, 128)
RATE, MOMENTUM = 0.05, 0.9
TOLERANCE = 1e-5  # of gradients and parameters, relative to the largest entry of each array


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


class NumPyEngine:
    """What cnnlib does when `train` and `predict` are called."""

    def __init__(self, threads: int | None):
        threadpool_limits(threads)
        self.plain = cnnlib.lenet5(np.random.default_rng(0))
        self.optimizer = cnnlib.SGD(RATE, MOMENTUM)
        self.loss = cnnlib.CategoricalCrossEntropy()

    def load(self, count: int) -> None:
        """Make the training examples, and what takes the steps in `train`."""
        self.images, labels = examples(count)
        self.targets = cnnlib.one_hot(labels, 10)
        self.some = self.plain.to_input(self.images[:1])
        self.trainer = trainer(self.plain, self.loss, max(BATCHES), steps=10_000).__enter__()  # to the process's end
        self.network = self.trainer
        if isinstance(self.trainer, DataParallel):
            self.trainer.wait()
            self.network = self.trainer.network

    def step(self, batch: np.ndarray) -> None:
        """Gather a batch; forward, loss, backward, update."""
        self.trainer.train_step(self.images[batch], self.targets[batch], self.optimizer, self.loss)

    def check(self, batch: np.ndarray, steps: int) -> list[np.ndarray]:
        """Return the gradients of one step, and the parameters after some steps."""
        self.step(batch)
        gradients = [gradient.copy() for gradient in self.network.gradients().values()]
        for _ in range(steps - 1):
            self.step(batch)
        return gradients + [parameter.copy() for parameter in self.network.parameters().values()]

    def train(self, batch_size: int, steps: int, seed: int) -> Times:
        """Return the seconds of a training step."""
        batches = shuffled(len(self.images), steps, batch_size, seed)
        return measure_calls(lambda i: self.step(batches[i]), steps)

    def infer(self, count: int) -> Times:
        """Return the seconds to predict the first `count` images, in batches of 128."""
        return measure_calls(lambda _: self.plain.predict(self.images[:count]), 3)

    def single(self, repetitions: int) -> Times:
        """Return the seconds to predict one image."""
        return measure_calls(lambda _: self.plain.predict(self.some), repetitions)

    def peak(self, size: int) -> float:
        """Return the most floating-point operations a second that a large matrix product reaches."""
        a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
        return 2 * size**3 / measure_calls(lambda _: a @ a, 50).best

    def grow(self, filters: int, images: int) -> Times:
        """Return the seconds of forward and backward through a convolution, ReLU and pooling like LeNet-5's second."""
        layers = [cnnlib.Convolutional(6, filters, 5), cnnlib.ReLU(), cnnlib.MaxPooling(2)]
        network = cnnlib.Network(layers, input_shape=(6, 14, 14)).fused()
        x = network.to_input(np.random.default_rng(0).standard_normal((images, 6, 14, 14)))
        return measure_calls(lambda _: network.backward(network.forward(x)), 5)

    def run(self, count: int) -> int:
        """Train for an epoch, evaluate, and return the peak of resident memory in bytes, of all processes together."""
        cnnlib.parallel.DataParallel = MeasuredDataParallel
        images, labels = examples(count + count // 6)
        train, test = slice(None, count), slice(count, None)
        self.plain.train(
            images[train],
            labels[train],
            optimizer=self.optimizer,
            validation=(images[test], labels[test]),
            progress=False,
        )
        return peak_memory() + MeasuredDataParallel.peak


class TorchEngine:
    """The same in PyTorch's eager mode."""

    def __init__(self, threads: int | None, channels_last: bool = False):
        import torch

        self.torch = torch
        if threads:
            torch.set_num_threads(threads)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        nn = torch.nn
        self.model = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        parameters = list(self.model.parameters())
        with torch.no_grad():
            start = cnnlib.lenet5(np.random.default_rng(0)).parameters().values()
            for parameter, array in zip(parameters, map(self.turn, start), strict=True):
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
        self.model = self.model.to(memory_format=self.format)
        self.optimizer = torch.optim.SGD(parameters, RATE, MOMENTUM)
        self.classifier = nn.Sequential(self.model, nn.Softmax(dim=1))

    @staticmethod
    def turn(array: np.ndarray) -> np.ndarray:
        """Turn the weights of a dense layer, (D, M) in cnnlib, into (M, D) or back; leave all others alone."""
        return array.T if array.ndim == 2 else array

    def load(self, count: int) -> None:
        images, labels = examples(count)
        self.images, self.labels = self.torch.from_numpy(images), self.torch.from_numpy(labels).long()
        self.some = self.to_input(self.images[:1])

    def prepare(self, images):
        """Return uint8 images (N, 28, 28) as a batch (N, 1, 28, 28) of numbers from 0 to 1."""
        return images.unsqueeze(1).float().div_(255).contiguous(memory_format=self.format)

    def step(self, batch) -> None:
        self.optimizer.zero_grad()
        scores = self.model(self.to_input(self.images[batch]))
        loss = self.torch.nn.functional.cross_entropy(scores, self.labels[batch])
        loss.backward()
        self.optimizer.step()
        loss.item()

    def check(self, batch: np.ndarray, steps: int) -> list[np.ndarray]:
        self.step(self.torch.from_numpy(batch))
        parameters = list(self.model.parameters())
        gradients = [self.turn(parameter.grad.numpy().copy()) for parameter in parameters]
        for _ in range(steps - 1):
            self.step(self.torch.from_numpy(batch))
        return gradients + [self.turn(parameter.detach().numpy().copy()) for parameter in parameters]

    def train(self, batch_size: int, steps: int, seed: int) -> Times:
        batches = self.torch.from_numpy(shuffled(len(self.images), steps, batch_size, seed))
        return measure_calls(lambda i: self.step(batches[i]), steps)

    def infer(self, count: int) -> Times:
        with self.torch.inference_mode():
            batches = self.images[:count].split(128)
            return measure_calls(lambda _: [self.classifier(self.to_input(batch)) for batch in batches], 3)

    def single(self, repetitions: int) -> Times:
        with self.torch.inference_mode():
            return measure_calls(lambda _: self.classifier(self.some), repetitions)

    def run(self, count: int) -> int:
        self.load(count + count // 6)
        for batch in self.torch.randperm(count).split(64):
            self.step(batch)
        with self.torch.inference_mode():
            for batch in self.images[count:].split(128):
                self.classifier(self.to_input(batch))
        return peak_memory()


def peak_memory(pid: int | str = "self") -> int:
    """Return the peak of a process's resident memory, in bytes; where there is no /proc, only this one is known."""
    for line in lines(f"/proc/{pid}/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class MeasuredDataParallel(DataParallel):
    """One that remembers, at its end, the most memory that its second process had."""

    peak = 0

    def __exit__(self, *error) -> None:
        MeasuredDataParallel.peak = peak_memory(self.process.pid)
        super().__exit__(*error)


# What is measured: with all cores, and on one.
ENGINES = {
    "cnnlib": (NumPyEngine, {"threads": None}),
    "cnnlib, 1 thread": (NumPyEngine, {"threads": 1}),
    "PyTorch": (TorchEngine, {"threads": None}),
    "PyTorch, 1 thread": (TorchEngine, {"threads": 1}),
    "PyTorch, channels_last": (TorchEngine, {"threads": None, "channels_last": True}),
    "PyTorch, channels_last, 1 thread": (TorchEngine, {"threads": 1, "channels_last": True}),
}


class Worker:
    """An engine in a process of its own: what is called here runs there."""

    def __init__(self, name: str):
        self.name = name
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, name), daemon=True)
        self.process.start()
        theirs.close()

    def __call__(self, method: str, **arguments):
        self.connection.send((method, arguments))
        try:
            answer = self.connection.recv()
        except EOFError:
            raise RuntimeError(f"{self.name}: the process ended in {method}, see above") from None
        time.sleep(0.02)  # threads that wait for more work keep a core busy for a moment
        return answer

    def close(self) -> None:
        self.connection.close()
        self.process.join()


def serve(connection, name: str) -> None:
    """Build an engine and do what comes through the pipe, until it is closed."""
    engine, arguments = ENGINES[name]
    engine = engine(**arguments)
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        connection.send(getattr(engine, method)(**arguments))


def check_equal(workers: list[Worker]) -> float:
    """Return the largest relative difference of gradients and parameters; RuntimeError if it is too large."""
    arguments = {"batch": np.arange(128), "steps": 3}
    first, *others = (worker("check", **arguments) for worker in workers)
    names = cnnlib.lenet5().parameters()
    names = [f"the gradient of {name}" for name in names] + [f"{name} after three steps" for name in names]
    largest = 0.0
    for worker, arrays in zip(workers[1:], others, strict=True):
        for name, a, b in zip(names, first, arrays, strict=True):
            difference = float(np.abs(a - b).max() / np.abs(b).max())
            if not difference <= TOLERANCE:
                raise RuntimeError(
                    f"{workers[0].name} and {worker.name} do not compute the same: {name} differs by {difference:.1e}, "
                    f"relative to its largest entry; allowed is {TOLERANCE:.0e}. Nothing was measured."
                )
            largest = max(largest, difference)
    return largest


def measure(rounds: int, images: int, names: list[str]) -> dict:
    """Run everything with the engines of those names and return the result, which `table` prints."""
    workers = [Worker(name) for name in names]
    for worker in workers:
        worker("load", count=images)
    result = {"machine": machine(), "rounds": rounds, "flop": lenet5_flop(), "difference": check_equal(workers)}

    # Each measurement: its name, the method, its arguments, and the engines that can do it.
    ours = [worker for worker in workers if worker.name.startswith("cnnlib")]
    plan = [(f"training, {n}", "train", {"batch_size": n, "steps": 2048 // n}, workers) for n in BATCHES]
    count = min(10_000, images)
    plan.append((f"{count:,} images", "infer", {"count": count}, workers))
    plan.append(("one image", "single", {"repetitions": 300}, workers))
    result["timed"] = [what for what, *_ in plan]  # in all engines
    plan.append(("peak", "peak", {"size": 512}, ours))
    plan += [(f"{n}x filters", "grow", {"filters": 16 * n, "images": 64}, ours[1:]) for n in (1, 2, 4)]
    plan += [(f"{n}x images", "grow", {"filters": 16, "images": 64 * n}, ours[1:]) for n in (1, 2, 4)]
    values = {what: {worker.name: [] for worker in able} for what, _, _, able in plan}
    for number in tqdm(range(rounds), unit="round", desc="Measuring"):
        for what, method, arguments, able in plan:
            seed = {"seed": number} if method == "train" else {}
            for worker in able[number % len(able) :] + able[: number % len(able)]:  # nobody is always the first
                values[what][worker.name].append(worker(method, **arguments, **seed))
    for worker in workers:
        worker.close()
    result["peak"] = {name: max(speeds) for name, speeds in values.pop("peak").items()}
    result["median"] = {
        what: {name: [rounded(times.median) for times in rounds] for name, rounds in row.items()}
        for what, row in values.items()
    }
    result["best"] = {
        what: {name: rounded(min(times.best for times in rounds)) for name, rounds in row.items()}
        for what, row in values.items()
    }
    result["memory"] = {}
    for name in ("cnnlib", "PyTorch"):
        if name in names:
            worker = Worker(name)
            result["memory"][name] = worker("run", count=images * 6 // 7)
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
        from importlib.metadata import version

        described["PyTorch"] = version("torch")
    return described


def lines(path: str) -> list[str]:
    """Return the lines of a file, or none if it is not there."""
    return Path(path).read_text().splitlines() if os.path.exists(path) else []


def rounded(value: float) -> float:
    """Return a number with four digits: more would be noise."""
    return float(f"{value:.4g}")


def table(result: dict) -> str:
    """Return the result as text."""
    medians, best = result["median"], result["best"]
    timed, engines = result["timed"], list(medians["one image"])

    def row(name: str, cells) -> str:
        return f"{name:<34}" + "".join(f"{cell:>20}" for cell in cells)

    out = [", ".join(f"{name} {value}" for name, value in result["machine"].items())]
    out += [f"{result['rounds']} rounds; gradients and parameters agree to {result['difference']:.0e}, relative", ""]
    out.append(row("Milliseconds: median (best)", timed))
    for name in engines:
        out.append(
            row(name, (f"{np.median(medians[what][name]) * 1e3:.3g} ({best[what][name] * 1e3:.3g})" for what in timed))
        )
    if len(engines) > 2:
        out += ["", "Time of cnnlib / time of PyTorch: median of the rounds' ratios (ratio of the bests)"]
        for theirs in engines[2:]:
            ours = "cnnlib, 1 thread" if "1 thread" in theirs else "cnnlib"
            ratios = {what: np.median(np.divide(medians[what][ours], medians[what][theirs])) for what in timed}
            bests = {what: best[what][ours] / best[what][theirs] for what in timed}
            out.append(row(theirs, (f"{ratios[what]:.2f} ({bests[what]:.2f})" for what in timed)))
    out.append("")
    for name, peak in result["peak"].items():
        shares = []
        for n in BATCHES:
            what, possible = f"training, {n}", result["flop"] * n / peak
            usual, at_best = possible / np.median(medians[what][name]), possible / best[what][name]
            shares.append(f"{usual:.0%} ({at_best:.0%}) at batch {n}")
        out.append(f"{name}: matrix products peak at {peak / 1e9:.0f} GFLOP/s; training reaches {', '.join(shares)}")
    out += [f"An epoch of LeNet-5 on 60,000 images is {result['flop'] * 60_000 / 1e9:.1f} GFLOP", ""]
    for kind in ("filters", "images"):
        times = [np.median(medians[f"{n}x {kind}"]["cnnlib, 1 thread"]) for n in (1, 2, 4)]
        cells = ", ".join(f"{n}x: {t * 1e3:.2f} ms ({t / times[0]:.2f})" for n, t in zip((1, 2, 4), times, strict=True))
        out.append(f"Convolution, forward and backward, 1 thread, {kind}: {cells}")
    memory = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in result["memory"].items())
    out.append(f"Peak resident memory of a training run: {memory}")
    return "\n".join(out)


@click.command()
@click.option("--rounds", default=11, show_default=True, type=click.IntRange(1), help="How often to measure each.")
@click.option("--images", default=70_000, show_default=True, type=click.IntRange(1000), help="How many there are.")
@click.option("--alone", is_flag=True, help="Leave PyTorch out, even if it is installed.")
@click.option("--output", default="_build/bench.json", show_default=True, type=click.Path(path_type=Path))
def main(rounds: int, images: int, alone: bool, output: Path) -> None:
    """Measure cnnlib, and PyTorch if it is installed; print a table and write a JSON file."""
    installed = importlib.util.find_spec("torch") is not None
    if not installed and not alone:
        print("PyTorch is not installed (`make bench` does that), so cnnlib is measured alone.")
    names = [name for name in ENGINES if name.startswith("cnnlib") or (installed and not alone)]
    result = measure(rounds, images, names)
    print(table(result))
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.replace(output)


if __name__ == "__main__":
    main()
