"""Notebooks for Colab install the library first, and are otherwise the same."""

import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
with_installation = runpy.run_path(str(ROOT / "scripts" / "make_colab.py"))["with_installation"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_installs_and_the_others_stay(path):
    notebook = nbformat.read(path, as_version=4)
    made = with_installation(notebook, "https://github.com/ada/cnn")
    nbformat.validate(made)
    assert made.cells[0].source.endswith('%pip install --quiet "cnnlib @ git+https://github.com/ada/cnn"')
    assert made.cells[1:] == notebook.cells
