"""Chapter 24: more machines."""

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import as_array, as_number, call, passed, require, run, unpack
from cnnlib import Callback

# LeNet-5 in float32, with the loss and the accuracy, which are added up along with the gradients; one step on one core
# takes FIXED seconds and PER_IMAGE more for each image: see scripts/measure_hosts.py.
SIZE, FIXED, PER_IMAGE = 4 * (61_706 + 2), 0.0005, 40e-6
MEMORY = {"latency": 1.6e-6, "bandwidth": 15e9}  # two processes on one machine, from the stored run
OFFICE = {"latency": 0.0005, "bandwidth": 12.5e6}  # 100 megabits a second
CLUSTER = {"latency": 5e-6, "bandwidth": 12.5e9}  # 100 gigabits a second
WAYS = ("all to the first", "ring", "halves")


# The model of the time of a step


def allreduce_time(P: int, size: float, latency: float, bandwidth: float, way: str = "halves") -> float:
    """Return the seconds in which P processes add up arrays of `size` bytes."""
    rounds = {"all to the first": 2 * (P - 1), "ring": 2 * (P - 1), "halves": 2 * np.ceil(np.log2(P))}[way]
    sent = {"all to the first": 2 * (P - 1), "ring": 2 * (P - 1) / P, "halves": 2 * (P - 1) / P}[way] * size
    return float(rounds * latency + sent / bandwidth)


def step_time(P: int, N: int, latency: float, bandwidth: float, way: str = "halves") -> float:
    """Return the seconds of a step of LeNet-5 with a batch of N images, shared by P processes."""
    return FIXED + PER_IMAGE * N / P + allreduce_time(P, SIZE, latency, bandwidth, way)


def stored(name: str) -> dict:
    """Return the results that a script has stored."""
    return json.loads((resources.files("cnnbook") / "results" / f"{name}.json").read_text())


def rows_of_hosts(N: int) -> list[tuple[float, float, int, float, float]]:
    """Return latency, bandwidth, processes, the milliseconds measured, and those of the model, for the stored runs.

    A large message takes two latencies here, as measured; probably the receiver first says that it is ready.
    """
    results, rows = stored("hosts"), []
    for P, found in results["machine"].items():
        rows.append((MEMORY["latency"], MEMORY["bandwidth"], int(P), found[f"pause {N}"][0]))
    for found in results["hosts"]:
        rows.append((2 * found["latency"], found["bandwidth"], found["processes"], found[f"pause {N}"][0]))
    return [(*row[:3], 1000 * row[3], 1000 * step_time(row[2], N, *row[:2])) for row in rows]


# Figures


def draw_shares() -> None:
    """Draw how a batch of six examples goes through two processes."""
    _, axis = plt.subplots(figsize=(7.5, 3.2))
    axis.set_axis_off()
    axis.set(xlim=(0, 10), ylim=(0, 4))
    boxes = [(0.9, 3, "examples\n1, 2, 3, 4"), (0.9, 1, "examples\n5, 6")]
    boxes += [(3.6, y, f"process {r}\nall weights") for r, y in ((0, 3), (1, 1))]
    boxes += [(6.2, 3, "gradient\nof 4"), (6.2, 1, "gradient\nof 2"), (9, 2, "sum,\nfor both")]
    for x, y, text in boxes:
        colour = "#f7ecd9" if "examples" in text else "#dceaf7"
        axis.text(x, y, text, ha="center", va="center", bbox={"boxstyle": "round", "facecolor": colour})
    arrow = {"arrowstyle": "-|>", "color": "0.4", "shrinkA": 34, "shrinkB": 38}
    for y in (3, 1):
        for x0, x1 in ((0.9, 3.6), (3.6, 6.2)):
            axis.annotate("", (x1, y), (x0, y), arrowprops=arrow)
        axis.annotate("", (9, 2), (6.2, y), arrowprops=arrow)
        axis.text(7.7, 3 if y == 3 else 1, "× 4/6" if y == 3 else "× 2/6", ha="center", va="center")


def draw_timeline() -> None:
    """Draw the steps of one process and of four, on a slow network."""
    _, axis = plt.subplots(figsize=(7.5, 2.6))
    whole = 1000 * step_time(1, 512, **OFFICE)
    compute, together = 1000 * (FIXED + PER_IMAGE * 128), 1000 * allreduce_time(4, SIZE, **OFFICE)
    axis.barh([0], [whole], color="#4a78b5", label="computing")
    axis.barh([1, 2, 3, 4], compute, color="#4a78b5")
    axis.barh([1, 2, 3, 4], together, left=compute, color="#e0a83c", hatch="//", label="adding up")
    axis.set(yticks=range(5), yticklabels=["alone", "0", "1", "2", "3"], xlabel="milliseconds", ylabel="process")
    axis.invert_yaxis()
    axis.legend(loc="upper right")


def draw_speedup() -> None:
    """Draw the speed-up over the number of processes, for a fixed batch and for one that grows."""
    _, axes = plt.subplots(1, 2, figsize=(7.5, 3.4), sharey=True)
    P = 2 ** np.arange(7)
    for axis, each, title in zip(axes, (0, 512), ("batch 512 for all", "512 for each process"), strict=True):
        for (name, network), style in zip(
            (("100 Gbit/s, 5 µs", CLUSTER), ("100 Mbit/s, 0.5 ms", OFFICE)), ("-o", "--s"), strict=True
        ):
            axis.plot(P, [speedup(p, each * p or 512, **network) for p in P], style, label=name)
        axis.plot(P, P, ":", color="0.5", label="ideal")
        axis.set(xscale="log", yscale="log", xlabel="processes", title=title)
        axis.set_xticks(P, P)
        axis.minorticks_off()
        axis.set_yticks([0.5, 1, 4, 16, 64], ["0.5", "1", "4", "16", "64"])
    axes[0].set_ylabel("speed-up")
    axes[0].legend()


def speedup(P: int, N: int, latency: float, bandwidth: float) -> float:
    """Return how many times as fast P processes go through the examples as one does, with batches of N."""
    return step_time(1, N, latency, bandwidth) / step_time(P, N, latency, bandwidth)


def draw_batches() -> None:
    """Draw the accuracies of the stored runs over the size of the batch, one mark a seed."""
    _, axis = plt.subplots(figsize=(7.5, 3.6))
    for k, (way, found) in enumerate(stored("batches")["accuracies"].items()):
        for N, accuracies in found.items():
            label = way if N == "256" else None
            axis.plot([int(N) * 1.13 ** (k - 1.5)] * 3, accuracies, "osv^"[k], color=f"C{k}", alpha=0.8, label=label)
    axis.set(xscale="log", xlabel="batch", ylabel="accuracy (%)", ylim=(0, 103))
    axis.set_xticks([64, 256, 1024, 4096], ["64", "256", "1,024", "4,096"])
    axis.minorticks_off()
    axis.legend(loc="lower left")


# Engines: processes in which a notebook's functions run


class Engines:
    """Processes that MPI connects with each other, and ipyparallel with the notebook."""

    def __init__(self, n: int):
        import ipyparallel

        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.cluster = ipyparallel.Cluster(engines="mpi", n=n, profile_dir=self.folder.name, log_level=40)
        self.cluster.start_cluster_sync()
        self.client = self.cluster.connect_client_sync()
        self.client.wait_for_engines(n, interactive=False, timeout=120)

    def run(self, function: Callable, *arguments) -> list:
        """Run a function in every process at once; return what each has returned."""
        return self.client[:].apply_sync(function, *arguments)

    def share_out(self, function: Callable, tasks: list) -> list:
        """Run a function once for each task, always in a process that has nothing else to do."""
        return list(self.client.load_balanced_view().map_sync(function, tasks))

    def errors(self, function: Callable, *arguments) -> list[str]:
        """Run a function in every process; return what the notebook is told, without the number of the task."""
        from ipyparallel.error import CompositeError

        try:
            self.run(function, *arguments)
        except CompositeError as error:
            return [f"{kind}: {text.split(' task')[0]}" for kind, text, *_ in error.elist]
        return []

    def stop(self) -> None:
        """End the processes."""
        self.client.close()
        self.cluster.stop_cluster_sync()
        self.folder.cleanup()


class StoredEngines:
    """What `Engines` have returned where the book was written, for machines without MPI or ipyparallel."""

    def __init__(self):
        self.results = stored("engines")

    def run(self, function: Callable, *arguments) -> list:
        """Return what a function of that name has returned, called in its turn."""
        return self.results[function.__name__].pop(0)

    share_out = errors = run

    def stop(self) -> None:
        """Do nothing: there is nothing to end."""


def can_start() -> bool:
    """Whether engines can be started here: MPI and ipyparallel are installed."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys(os.pathsep.join(folders).split(os.pathsep)))
    return shutil.which("mpiexec") is not None and all(map(importlib.util.find_spec, ("ipyparallel", "mpi4py")))


def start_engines(n: int) -> tuple[Engines | StoredEngines, str]:
    """Start n engines, or fall back on what is stored; and say which."""
    if can_start():
        return Engines(n), f"{n} processes, started now"
    return STORED, "stored results: mpiexec or ipyparallel is not installed here"


class Accident(Callback):
    """Kill this process in the second epoch, if it is the victim."""

    def __init__(self, victim: int | None):
        self.victim = victim

    def on_step_end(self, run) -> None:
        if run.epoch == 1 and run.communicator.rank == self.victim:
            os.kill(os.getpid(), signal.SIGKILL)


def digest(network) -> str:
    """Return a number that any other bit in any weight would change."""
    return hashlib.sha256(b"".join(array.tobytes() for array in network.parameters().values())).hexdigest()


def new_folder() -> tempfile.TemporaryDirectory:
    """Return a folder for checkpoints, which goes when it is no longer needed."""
    return tempfile.TemporaryDirectory()


STORED = StoredEngines() if (resources.files("cnnbook") / "results" / "engines.json").is_file() else None


# The checks of the exercises


def check_by_hand(gradient, wrong) -> None:
    """The gradients 2, 4 and 9 of three examples: the mean of all, and the mean of the means of (2, 4) and (9)."""
    gradient, wrong = as_number(gradient, "gradient"), as_number(wrong, "wrong")
    require((gradient, wrong) != (6, 5), "these are the right numbers in the wrong places: the gradient comes first.")
    require(gradient != 15, "the loss is a mean: divide the sum by the number of examples.")
    require(gradient != 7.5, "divide by the number of examples, not by that of the processes.")
    require(gradient != 6, "this is what comes of counting both processes alike, though one has more examples.")
    require(gradient == 5, f"gradient = {gradient:g} is not it. Weight each share with its part of the examples.")
    require(wrong != 5, "this is the right gradient; the second number is what equal weights would give.")
    require(wrong != 12, "this is the sum of both means, not their mean.")
    require(wrong == 6, f"wrong = {wrong:g} is not it. Take the mean of each process, and then the mean of both.")
    passed("The share of the examples is the weight.")


def check_share(share: Callable) -> None:
    """Which of N examples are those of process `rank` of `size`: a slice."""
    for N, size in ((12, 3), (10, 4), (64, 64), (7, 2), (5, 1), (100, 7)):
        parts = [call(share, N, rank, size) for rank in range(size)]
        require(all(isinstance(part, slice) for part in parts), f"return a slice, not {type(parts[0]).__name__}.")
        ends = [end for part in parts for end in (part.start, part.stop, part.step) if end is not None]
        require(all(isinstance(end, int | np.integer) for end in ends), "the ends of a slice must be integers: use //.")
        counts = [len(range(N)[part]) for part in parts]
        taken = [n for part in parts for n in range(N)[part]]
        of = f"of {N} examples and {size} processes: "
        require(len(set(taken)) == len(taken), f"{of}some example belongs to two processes.")
        require(len(taken) == N, f"{of}{N - len(taken)} belong to nobody.")
        require(
            max(counts) - min(counts) <= 1, f"{of}one has {max(counts)}, another {min(counts)}; all wait for the first."
        )
        require(taken == sorted(taken), f"{of}the first process shall have the first examples, and so on.")
    passed("Nobody has more than one example more than another.")


def check_add_up(add_up: Callable) -> None:
    """The gradient of a batch from those of its shares, of which each is a mean over that share."""
    rng = np.random.default_rng(0)
    counts, names = [5, 3, 1], {"W": (2, 3), "b": (3,)}
    parts = [{name: rng.standard_normal(shape) for name, shape in names.items()} for _ in counts]
    before = [{name: array.copy() for name, array in part.items()} for part in parts]

    total = run(add_up, parts, counts)
    require(isinstance(total, dict), f"return a dictionary, not {type(total).__name__}.")
    require(set(total) == set(names), f"expected the names {sorted(names)}, got {sorted(map(str, total))}.")
    same = all(np.array_equal(a[name], b[name]) for a, b in zip(parts, before, strict=True) for name in names)
    require(same, "the gradients of the first process were changed; write the sum into a new array.")
    for name, shape in names.items():
        array = as_array(total[name], name)
        require(array.shape == shape, f"{name} has the shape {array.shape}, expected {shape}.")
        plain = sum(part[name] for part in parts)
        require(not np.allclose(array, plain), "each share needs its weight.")
        require(not np.allclose(array, plain / 3), "shares of 5, 3 and 1 examples must not count alike.")
        weighted = sum(n * part[name] for n, part in zip(counts, parts, strict=True))
        require(not np.allclose(array, weighted), "the weights must add up to 1.")
        require(np.allclose(array, weighted / sum(counts)), f"the values of {name} are not right yet.")
    passed("This is what the library sends through the network.")


def check_best(best_workers: Callable) -> None:
    """The number of processes, up to `most`, with the shortest step, and its seconds."""
    slow = {"latency": 1e-3, "bandwidth": 1e8}
    for N, network in ((512, OFFICE), (4096, slow), (4096, CLUSTER), (64, OFFICE)):

        def time(P, N=N, network=network):
            return step_time(P, N, **network, way="ring")

        times = [time(P) for P in range(1, 65)]
        P, seconds = unpack(call(best_workers, time, 64), 2, "a number of processes and its seconds")
        P, seconds = as_number(P, "processes"), as_number(seconds, "seconds")
        best = int(np.argmin(times)) + 1
        require(best - 1 != P, "one process less than the best: counting begins at 1, and `most` itself is allowed.")
        require(int(np.argmax(times)) + 1 != P, "these take longest.")
        require(best == P, f"{P:g} processes are not the fastest of 1 to 64.")
        require(
            np.isclose(seconds, times[best - 1]), "the number is right; the second value must be the time of its step."
        )
    P, _ = unpack(call(best_workers, lambda P: 1 / P, 8), 2, "a number of processes and its seconds")
    require(as_number(P) == 8, "the number `most` itself is allowed, too.")
    passed("More than that would cost time.")


def check_warm_up(warm_up: Callable) -> None:
    """A schedule: a straight line from 1/8 to 1 in the first fifth, then half a cosine wave down to 0."""

    def right(p):
        line = 1 / 8 + (1 - 1 / 8) * p / 0.2
        return line if p < 0.2 else 0.5 * (1 + np.cos(np.pi * (p - 0.2) / 0.8))

    values = {p: as_number(run(warm_up, p)) for p in (0, 0.05, 0.1, 0.1999, 0.2, 0.4, 0.6, 0.999, 1)}
    require(not np.isclose(values[0], 0), "it begins at 1/8: with the rate 0 the first step would do nothing.")
    require(not np.isclose(values[0], 1), "at the beginning the rate must be low.")
    require(np.isclose(values[0], 1 / 8), "it begins at 1/8 of the full rate.")
    require(np.isclose(values[0.1999], 1, atol=0.01), "after a fifth of the run the full rate must be reached.")
    require(
        np.isclose(values[0.1], right(0.1)) and np.isclose(values[0.05], right(0.05)), "the rise is no straight line."
    )
    require(np.isclose(values[1], 0, atol=1e-9), "at the end the scale must be 0.")
    require(np.isclose(values[0.2], 1), "the wave must begin at 1, where the line ends.")
    others = [np.isclose(values[p], right(p), atol=1e-9) for p in (0.4, 0.6, 0.999)]
    require(all(others), "the wave must begin at a fifth of the run, and end with it.")
    passed("Twice as many processes, half the start.")


def check_butterfly(butterfly: Callable) -> None:
    """All sums after each round: in round k, process i adds what process i XOR 2**k has."""
    rng = np.random.default_rng(1)
    for P in (2, 4, 8):
        arrays = list(rng.standard_normal((P, 3)))
        before = [array.copy() for array in arrays]

        rounds = run(butterfly, arrays)
        require(all(map(np.array_equal, arrays, before)), "the arrays of the processes were changed; make new ones.")
        require(isinstance(rounds, list | tuple), f"return a list of rounds, not {type(rounds).__name__}.")
        require(
            P == 2 or len(rounds) != P - 1,
            "this is a ring, with a round for each other process; a butterfly has log2(P).",
        )
        require(len(rounds) == int(np.log2(P)), f"{P} processes need {int(np.log2(P))} rounds, not {len(rounds)}.")
        now = before
        for k, found in enumerate(rounds):
            now = [now[i] + now[i ^ 2**k] for i in range(P)]
            require(len(found) == P, f"round {k} has {len(found)} arrays, expected {P}.")
            found = [as_array(array, f"round {k}") for array in found]
            require(all(array.shape == (3,) for array in found), f"round {k}: an array has changed its shape.")
            close = [np.allclose(a, b) for a, b in zip(found, now, strict=True)]
            require(any(close), f"round {k}: no process has the sum with its partner's numbers.")
            require(all(close), f"round {k}: process {np.argmin(close)} is not right. All read before any writes.")
    passed("After log2(P) rounds everybody has the whole sum.")
