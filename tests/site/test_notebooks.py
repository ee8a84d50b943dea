"""A chapter and its module of `cnnbook` belong together: the one uses all that the other has, and nothing else."""

import ast
import os
import re
import shutil
import subprocess
import sys
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
    return "\n".join(cell.source.removeprefix("%%solution\n") for cell in cells if cell.cell_type == kind)


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
    own = {name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    offered = {attribute for attribute in own if attribute.startswith(("draw_", "check_"))}
    assert offered and offered - used == set()


# Solutions


def solutions(name: str) -> list[nbformat.NotebookNode]:
    """The cells between the start and the end of a solution."""
    found, inside = [], False
    for cell in nbformat.read(NOTEBOOKS[name], as_version=4).cells:
        starts, ends = cell.source.rfind("{solution-start}"), cell.source.rfind("{solution-end}")
        if starts == ends == -1 and inside:
            found.append(cell)
        elif cell.cell_type == "markdown":
            inside = starts > ends
    return found


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_run_all_leaves_out_solutions(name):
    code = [cell.source for cell in solutions(name) if cell.cell_type == "code"]
    assert [source for source in code if not source.startswith("%%solution\n")] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_solutions_are_folded_as_a_whole(name):
    assert [cell.source for cell in solutions(name) if not cell.metadata.get("jupyter", {}).get("source_hidden")] == []
    cells = nbformat.read(NOTEBOOKS[name], as_version=4).cells
    with_start = [cell.source for cell in cells if "{solution-start}" in cell.source]
    assert [source for source in with_start if not source.rstrip().endswith("\n:class: dropdown\n```")] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_cell_needs_a_solution(name):
    """Whoever has not solved an exercise can run everything else."""
    hidden = {cell.id for cell in solutions(name)}
    known_by_solutions: set[str] = set()
    for cell in nbformat.read(NOTEBOOKS[name], as_version=4).cells:
        if cell.cell_type != "code":
            continue
        tree = list(ast.walk(ast.parse(cell.source.removeprefix("%%solution\n"))))
        used = {node.id for node in tree if isinstance(node, ast.Name)}
        made = {node.id for node in tree if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        made |= {node.arg for node in tree if isinstance(node, ast.arg)}
        made |= {node.name for node in tree if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        if cell.id in hidden:
            known_by_solutions |= made
        else:
            assert used & known_by_solutions - made == set(), cell.source
            known_by_solutions -= made


@pytest.mark.parametrize("page", ["", "1"])
def test_a_solution_runs_for_the_page_only(page, monkeypatch):
    monkeypatch.setenv("CNNBOOK_PAGE", page)
    assert cnnbook.leave_out_solution(["x = 1\n"]) == ["x = 1\n"]
    lines = cnnbook.leave_out_solution(["%%solution\n", "x = 1\n"])
    assert lines == (["x = 1\n"] if page else [f"print({cnnbook.NOT_RUN!r})\n"])


def test_solutions_are_checked_and_formatted_like_other_code(tmp_path):
    """Ruff passes over cells that begin with a magic, so it gets them without."""
    for path in NOTEBOOKS.values():
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.source = cell.source.removeprefix("%%solution\n")
        nbformat.write(notebook, tmp_path / path.name)
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", ROOT / "notebooks" / "ruff.toml", tmp_path]
        result = subprocess.run(ruff, cwd=ROOT / "notebooks", capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


# Questions


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if NOTEBOOKS[name].stem[:2].isdigit()])
def test_a_question_has_a_folded_answer(name):
    """Below "Try it" and "Run it" an answer is folded; what is predicted at the end of a cell is folded as well."""
    cells = nbformat.read(NOTEBOOKS[name], as_version=4).cells
    for index, cell in enumerate(cells):
        if cell.cell_type != "markdown":
            continue
        asked = re.search(r"^\*\*(Try|Run) it:", cell.source, flags=re.MULTILINE)
        if asked:
            below = [cell.source[asked.start() :], *(other.source for other in cells[index + 1 : index + 3])]
            assert any("{dropdown}" in text for text in below), cell.source
        if not re.search(r"\b(Predict|Guess)\b[^.]*[?:]$", cell.source.strip().split("\n\n")[-1]):
            continue
        after = [cell for cell in cells[index + 1 :] if cell.get("outputs") or cell.cell_type == "markdown"]
        if after[0].cell_type == "code" and 'judge(network, "before")' not in after[0].source:  # the start is no answer
            assert "hide-output" in after[0].metadata.get("tags", []), cell.source


# Alone: what a reader does with a chapter away from the book


def test_a_chapter_becomes_a_script_that_runs_and_a_page(tmp_path):
    """By nbconvert. The script runs, leaves solutions out as "Run All" does, and the page has its pictures in it."""
    path = NOTEBOOKS["flatten"]
    for kind in ("script", "html"):
        command = [sys.executable, "-m", "nbconvert", f"--to={kind}", "--log-level=ERROR", f"--output-dir={tmp_path}"]
        subprocess.run([*command, path], check=True)
    script, page = tmp_path / f"{path.stem}.py", tmp_path / f"{path.stem}.html"
    environment = {name: value for name, value in os.environ.items() if name != "CNNBOOK_PAGE"}
    command = [sys.executable, "-m", "IPython", script]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(cnnbook.NOT_RUN) == sum(cell.cell_type == "code" for cell in solutions("flatten"))
    text = page.read_text("utf-8")
    assert "<h1" in text and "{solution-start}" in text
    assert len(re.findall(r'<img\b[^>]*src="(?!data:)', text)) == 0


def imported(name: str) -> set[str]:
    """The packages that the code of a chapter imports."""
    nodes = list(ast.walk(ast.parse(sources(name, "code"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


ALWAYS = {
    "IPython",
    "cnnbook",
    "cnnlib",
    "ipywidgets",
    "matplotlib",
    "numpy",
    "PIL",
    "scipy",
    "skimage",
    "threadpoolctl",
}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_chapter_needs_nothing_but_the_library(name):
    """What it imports comes with `pip install cnnlib`, or is only used where it is found."""
    tried = {"behind_the_scenes": {"torch"}, "more_machines": {"mpi4py"}}.get(name, set())
    assert imported(name) - ALWAYS - tried == set()


def test_chapters_run_away_from_the_repository(tmp_path):
    """On a wheel of the library, in a folder of their own: two of them; CNNLIB_ALONE names others, or "all"."""
    chosen = os.environ.get("CNNLIB_ALONE", "flatten broken_gradients").split()
    chosen = list(NOTEBOOKS) if chosen == ["all"] else chosen
    source, installed, away = (tmp_path / name for name in ("source", "installed", "away"))
    keep_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("cnnlib", "book/cnnbook", "book/_static"):
        shutil.copytree(ROOT / folder, source / folder, ignore=keep_out)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-build-isolation", f"--target={installed}", source], check=True)
    away.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CNNBOOK_")}
    environment["PYTHONPATH"] = str(installed)
    for name in chosen:
        notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
        where = f"import cnnlib, cnnbook\nassert cnnlib.__file__.startswith({str(installed)!r}), cnnlib.__file__"
        notebook.cells.insert(0, nbformat.v4.new_code_cell(where))
        nbformat.write(notebook, away / f"{name}.ipynb")
        command = [sys.executable, "-m", "jupyter", "execute", "--timeout=900", f"{name}.ipynb"]
        result = subprocess.run(command, cwd=away, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{name}\n{result.stderr[-3000:]}"
