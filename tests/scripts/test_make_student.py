"""Notebooks for a class hold no solution, and all else."""

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
make_student = SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "make_student.py")))


def solutions(notebook):
    """The sources of all cells of solutions, and the exercises that they belong to."""
    inside, found, labels = False, [], []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if "{solution-end}" in cell.source:
                inside = False
            if match := make_student.START.search(cell.source):
                inside = True
                labels.append(match[1])
        elif inside:
            found.append(cell.source)
    return found, labels


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_solution_is_left_and_nothing_else_is_lost(path):
    notebook = nbformat.read(path, as_version=4)
    code, labels = solutions(notebook)
    student = make_student.without_solutions(notebook)
    nbformat.validate(student)
    sources = [cell.source for cell in student.cells]
    assert sources.count("# Your solution") == len(labels)
    for solution in code:
        assert solution not in sources
    text = "\n".join(sources)
    assert "{solution" not in text
    for label in labels:
        assert f":label: {label}" in text
    others = [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.source not in code]
    assert [source for source in sources if source in others] == others
    headings = [line for cell in notebook.cells for line in cell.source.splitlines() if line.startswith("## ")]
    assert [line for line in text.splitlines() if line.startswith("## ")] == headings


def test_no_button_leads_to_a_notebook_with_solutions(tmp_path, monkeypatch):
    """Neither that for the download nor, where the repository's address is known, those of Colab and Binder."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    config["repository"] = {"url": "https://github.com/someone/somewhere", "branch": "main"}
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "_ext").symlink_to(ROOT / "book" / "_ext")
    ours = {"publishing": "book/_ext", "solutions": "book/_ext"}
    config["sphinx"] = {"local_extensions": ours, "config": {"html_baseurl": ""}}
    config = {name: config[name] for name in ("title", "author", "repository", "sphinx")}
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config), "utf-8")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: one\n", "utf-8")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One\n\nA page.")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "one.ipynb")
    build = [Path(sys.executable).with_name("jupyter-book"), "build", tmp_path, "--all", "-q"]
    for solutions, buttons in (("1", True), ("0", False)):
        monkeypatch.setenv("SOLUTIONS", solutions)
        subprocess.run(build, check=True, capture_output=True)
        page = (tmp_path / "_build" / "html" / "one.html").read_text("utf-8")
        offered = [word in page for word in ("colab.research", "mybinder", "_sources/one.ipynb")]
        assert offered == [buttons] * 3


def test_a_solution_without_an_end_is_an_error():
    cells = [nbformat.v4.new_markdown_cell("Text\n\n```{solution-start} ex-1\n:class: dropdown\n```")]
    with pytest.raises(ValueError, match="ex-1 has no end"):
        make_student.without_solutions(nbformat.v4.new_notebook(cells=cells))
