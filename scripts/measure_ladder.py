"""How long does a training step take, from plain loops to the fused layers? Chapter 23 talks about what this stores.

    python scripts/measure_ladder.py

One thread. The rungs take turns, round after round, and the best of each counts: what disturbs the machine for a while
disturbs all of them. Nothing is measured before all rungs have computed the same gradients.
"""

import json
from pathlib import Path

import click
import numpy as np
from bench import machine, rounded
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import cnnlib
from cnnbook import where_the_time_goes as chapter
from cnnlib.files import atomic_write

RESULT = Path(__file__).resolve().parents[1] / "book" / "cnnbook" / "results" / "ladder.json"
BATCH = 64
SINGLE = ("loops",)  # rungs that take a single image: more would take minutes


def measure(rounds: int, repeat: int) -> dict:
    """Return everything that the chapter shows of the reference run, times in seconds."""
    rng = np.random.default_rng(2)
    network = cnnlib.lenet5(np.random.default_rng(0))
    x = network.to_input(rng.random((BATCH, 28, 28), dtype=np.float32))
    dy = rng.standard_normal((BATCH, 10), dtype=np.float32)
    networks = chapter.rungs(network)
    for name, each in networks.items():
        count = 1 if name in SINGLE else BATCH
        plain = chapter.step(networks["im2col, batch last"], x[:count], dy[:count])
        if not chapter.same_gradients(chapter.step(each, x[:count], dy[:count]), plain):
            raise RuntimeError(f"{name}: other gradients than those of the plain layers")

    parts = {part: {} for part in ("machine", "order", "lines", "profile")}
    times, points = {name: [] for name in networks}, {}
    for _ in tqdm(range(rounds), unit="round", desc="Measuring"):
        for name, each in networks.items():
            if name not in SINGLE:
                took = chapter.seconds(lambda each=each: chapter.step(each, x, dy), repeat)
                times[name].append(took / BATCH)
        keep(parts["machine"], chapter.measure_machine(), max)
        keep(parts["order"], chapter.measure_order(), min)
        keep(parts["lines"], chapter.measure_lines(), min)
        keep(parts["profile"], chapter.measure_profile(networks["fused"], x, dy), min)
        for name, (intensity, speed) in chapter.measure_points().items():
            points[name] = intensity, max(speed, points.get(name, (0, 0))[1])
    for name in SINGLE:
        times[name] = [chapter.seconds(lambda name=name: chapter.step(networks[name], x[:1], dy[:1]), 1) for _ in "ab"]
    found = {key: rounded(value) for key, value in parts.pop("machine").items()}
    found |= {part: {key: rounded(value) for key, value in values.items()} for part, values in parts.items()}
    return {
        "machine": machine(),
        "rounds": rounds,
        "batch": BATCH,
        "an image": {name: rounded(min(each)) for name, each in times.items()},
        "points": {name: [rounded(value) for value in point] for name, point in points.items()},
        **found,
    }


def keep(known: dict[str, float], new: dict[str, float], better) -> None:
    """Keep the better of two values for each name."""
    for name, value in new.items():
        known[name] = better(value, known.get(name, value))


@click.command()
@click.option("--rounds", default=11, show_default=True, type=click.IntRange(1), help="How often to measure each.")
@click.option("--repeat", default=40, show_default=True, type=click.IntRange(1), help="Steps of a rung in a round.")
@click.option(
    "--output",
    default=RESULT,
    type=click.Path(path_type=Path),
    help="Where to store it; by default where chapter 23 reads it.",
)
def main(rounds: int, repeat: int, output: Path) -> None:
    """Measure the ladder of chapter 23, print it, and write a JSON file."""
    with threadpool_limits(1):
        result = measure(rounds, repeat)
    for name, took in result["an image"].items():
        print(f"{name:22}{60_000 * took:12,.1f} s an epoch")
    print(f"{result['peak'] / 1e9:.0f} GFLOP and {result['bandwidth'] / 1e9:.0f} GB a second")
    with atomic_write(output) as file:
        file.write((json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
