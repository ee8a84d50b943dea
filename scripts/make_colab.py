"""Write the notebooks for Colab: a first cell installs cnnlib and the book's own Python.

    python scripts/make_colab.py FOLDER ADDRESS

ADDRESS is that of the repository. Colab has Jupyter, but neither the repository nor what it holds.
"""

import argparse
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "book" / "_ext"))
from my_notebooks import NOTEBOOKS, readable  # noqa: E402


def with_installation(notebook: nbformat.NotebookNode, address: str) -> nbformat.NotebookNode:
    """Return a copy whose first cell installs the library."""
    source = f'# Colab only: install the library of this book.\n%pip install --quiet "cnnlib @ git+{address}"'
    cell = nbformat.v4.new_code_cell(id="install", source=source)
    return nbformat.from_dict({**notebook, "cells": [cell, *notebook.cells]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("address")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = with_installation(readable(nbformat.read(path, as_version=4)), arguments.address)
        nbformat.write(notebook, arguments.folder / path.name)
    print(f"The notebooks for Colab are in {arguments.folder}")


if __name__ == "__main__":
    main()
