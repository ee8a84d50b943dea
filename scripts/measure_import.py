"""How much processor time does `import cnnlib` cost, beside that of NumPy? `make measure` runs this.

Every import has an interpreter of its own, and they take turns; of each the best counts, for what else the machine does
only adds to it. The first round, in which Python compiles all modules, is not counted.
"""

import os
import resource
import subprocess
import sys
import tempfile

IMPORTS = ("import numpy", "import cnnlib")
ROUNDS = 20
GOAL = 0.060  # seconds


def processor_seconds(code: str, environment: dict[str, str]) -> float:
    """Return the processor time that a new interpreter takes to run `code`, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    times = {code: [] for code in IMPORTS}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        for number in range(ROUNDS + 1):
            for code in IMPORTS:
                seconds = processor_seconds(code, environment)
                if number:
                    times[code].append(seconds)
    for code, seconds in times.items():
        print(f"{code:<14} {min(seconds) * 1e3:.0f} ms of processor time")
    numpy, cnnlib = (min(seconds) for seconds in times.values())
    print(f"{'difference':<14} {(cnnlib - numpy) * 1e3:.0f} ms; the goal is at most {GOAL * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
