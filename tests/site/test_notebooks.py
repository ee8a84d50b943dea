"""A chapter and its module of `cnnbook` belong together: the one uses all that the other has, and nothing else."""

import ast
import re
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

import cnnbook

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = {
    re.sub(r"^\d+-", "", path.stem).replace("-", "_"): path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
}
MODULES = {path.stem for path in Path(cnnbook.__path__[0]).glob("*.py")} - {
    "__init__",
    "beyond",
    "checking",
    "display",
    "engine",
    "report",
}


def sources(name: str, kind: str) -> str:
    """All cells of one kind, "markdown" or "code", of a chapter."""
    cells = nbformat.read(NOTEBOOKS[name], as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == kind)


def test_every_module_is_named_as_a_notebook():
    assert MODULES - set(NOTEBOOKS) == set()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_imports_its_own_module(name):
    imports = [node for node in ast.walk(ast.parse(sources(name, "code"))) if isinstance(node, ast.ImportFrom)]
    names = [(alias.name, alias.asname) for node in imports if node.module == "cnnbook" for alias in node.names]
    assert names == [(name, "chapter")] * (name in MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_notebook_uses_what_its_module_has(name):
    used = set(re.findall(r"(?<![\w.])chapter\.(\w+)", sources(name, "code")))
    promised = set(re.findall(r"(?<![\w.])chapter\.(\w+)", sources(name, "markdown")))
    module = import_module(f"cnnbook.{name}")
    assert {attribute for attribute in used | promised if not hasattr(module, attribute)} == set()
    offered = {attribute for attribute in vars(module) if attribute.startswith(("draw_", "check_"))}
    assert offered - used == set()
