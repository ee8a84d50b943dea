"""Does cnnlib stay fast on a busy machine? `make measure` runs this.

Each program runs alone, and then beside twice as many busy loops as there are cores: with default settings, and with
the matrix products limited to one thread from outside. Beside the loops, default settings shall take at most 1.5 times
as long as that.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import click

GOAL = 1.5
TRAIN = """
import cnnlib
digits = cnnlib.load_digits()
test = digits.test_images, digits.test_labels
cnnlib.lenet5().train(digits.train_images, digits.train_labels, epochs=2, validation=test, progress=False)
"""
FINE_TUNE = """
import cnnlib
from cnnlib.digits.fine_tuning import FineTuner
digits = cnnlib.load_digits()
FineTuner(cnnlib.load_pretrained()).fine_tune(digits.test_images[:3], digits.test_labels[:3])
"""
PROGRAMS = {
    "network.train": ["-c", TRAIN],
    "python -m cnnlib train": ["-m", "cnnlib", "train", "--data=digits", "--epochs=2", "--output=model.npz"],
    "FineTuner": ["-c", FINE_TUNE],
}
SETTINGS = {"default": {}, "one thread": {"OPENBLAS_NUM_THREADS": "1"}}
# It also ends if the process that started it, whose number it is given, is no more.
BUSY_LOOP = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    for _ in range(10_000):\n        pass"


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[list[subprocess.Popen]]:
    """Keep so many cores busy within a context."""
    with contextlib.ExitStack() as stack:
        loops = []
        for _ in range(count):
            loops.append(stack.enter_context(subprocess.Popen([sys.executable, "-c", BUSY_LOOP, str(os.getpid())])))
            stack.callback(loops[-1].kill)
        yield loops


def seconds(program: list[str], setting: dict[str, str]) -> float:
    """Return how long a program runs, from its start to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {"TQDM_DISABLE": "1", **setting}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, *program], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often to run each.")
def main(rounds: int) -> None:
    """Print the seconds that training takes on a quiet and on a busy machine: of each the median."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{cores} cores; beside {2 * cores} busy loops default settings shall take {GOAL} times one thread at most")
    for name, program in PROGRAMS.items():
        times = {}
        for loops in (0, 2 * cores):
            with busy_loops(loops):
                runs = [[seconds(program, setting) for setting in SETTINGS.values()] for _ in range(rounds)]
            times[loops] = [sorted(column)[rounds // 2] for column in zip(*runs, strict=True)]
            where = f"beside {loops} loops" if loops else "alone"
            texts = [f"{setting} {time:.1f} s" for setting, time in zip(SETTINGS, times[loops], strict=True)]
            print(f"{name:<24} {where:<16} {', '.join(texts)}: ratio {times[loops][0] / times[loops][1]:.2f}")


if __name__ == "__main__":
    main()
