"""Write the notebooks without their solutions, for a class: an empty cell stands where each solution was.

    python scripts/make_student.py FOLDER

They run and check as the others do, wherever cnnlib is installed.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "book" / "_ext"))
from my_notebooks import NOTEBOOKS, readable  # noqa: E402

START, END = re.compile(r"^```\{solution-start\} (\S+)$", re.M), re.compile(r"^```\{solution-end\}\n```\n*", re.M)


def without_solutions(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a copy in which each solution is an empty cell; ValueError if one has a beginning and no end."""
    kept, label = [], None
    for cell in notebook.cells:
        text = cell.source
        if label is not None:
            end = END.search(text) if cell.cell_type == "markdown" else None
            if end is None:
                continue
            kept.append(nbformat.v4.new_code_cell(id=f"{label}-yours"[:64], source="# Your solution"))
            text, label = text[end.end() :], None
        start = START.search(text) if cell.cell_type == "markdown" else None
        if start is not None:
            label, text = start[1], text[: start.start()]
            if END.search(cell.source, cell.source.index(start[0])):
                raise ValueError(f"solution {label} has no cell of its own")
        if text.strip():
            kept.append(nbformat.from_dict({**cell, "source": text.rstrip("\n")}))
    if label is not None:
        raise ValueError(f"solution {label} has no end")
    return nbformat.from_dict({**notebook, "cells": kept})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        nbformat.write(readable(without_solutions(nbformat.read(path, as_version=4))), folder / path.name)
    print(f"The notebooks without solutions are in {folder}")


if __name__ == "__main__":
    main()
