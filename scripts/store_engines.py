"""Store what the engines of chapter 24 return, for machines without MPI or ipyparallel. Run it where they are."""

import json
from pathlib import Path

import matplotlib as mpl
import nbformat

from cnnbook import more_machines as chapter

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "book" / "cnnbook" / "results" / "engines.json"
results: dict[str, list] = {}


class Recording(chapter.Engines):
    """Engines that note what each function has returned, in the order of the calls."""

    def noted(self, function, value):
        results.setdefault(function.__name__, []).append(value)
        return value

    def run(self, function, *arguments):
        return self.noted(function, super().run(function, *arguments))

    def share_out(self, function, tasks):
        return self.noted(function, super().share_out(function, tasks))

    def errors(self, function, *arguments):
        before = {name: list(values) for name, values in results.items()}
        found = super().errors(function, *arguments)
        results.clear()
        results.update(before)
        return self.noted(function, found)


if __name__ == "__main__":
    mpl.use("agg")
    chapter.Engines = Recording
    names: dict = {"__name__": "__main__"}
    for cell in nbformat.read(ROOT / "notebooks" / "24-more-machines.ipynb", as_version=4).cells:
        if cell.cell_type == "code" and not cell.source.startswith("%%solution"):
            exec(cell.source, names)
    TARGET.write_text(json.dumps(results, indent=1) + "\n")
    print(f"{sum(map(len, results.values()))} results in {TARGET.name}")
