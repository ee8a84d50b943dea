"""The reader's copies of the chapters: they can be run and changed, and the project's own files stay as they are."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from pybtex.database import Entry, Person

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_ext"))
import my_notebooks  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def markdown(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


# What JupyterLab shows


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_copy_has_only_what_jupyterlab_can_show(path):
    notebook = read(path)
    copy = my_notebooks.readable(notebook)
    nbformat.validate(copy)
    assert read(path) == notebook
    text = markdown(copy)
    assert "{cite" not in text
    assert set(re.findall(r"\{eq\}`([^`]+)`", text)) <= set(my_notebooks.labels(text))
    assert my_notebooks.labels(text) == my_notebooks.labels(markdown(notebook))
    assert len(re.findall(r"^ *\$\$$", text, re.MULTILINE)) == len(my_notebooks.labels(text))  # no other has a number
    linked = re.findall(r"\]\(([\w-]+\.ipynb)\)", text)
    assert [name for name in linked if not path.with_name(name).exists()] == []
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in copy.cells if cell.cell_type == "code"] == code


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_text_of_a_solution_is_folded_and_nothing_else_is_lost(path):
    notebook = read(path)
    copy = my_notebooks.readable(notebook)
    text = markdown(copy)
    assert [cell.source for cell in copy.cells if cell.cell_type == "markdown" and "jupyter" in cell.metadata] == []
    between = r"(?s)^```\{solution-start\}.*?^```$(.*?)^```\{solution-end\}\n```$"
    whole = "\n\0\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    solutions = [part for each in re.findall(between, whole, re.MULTILINE) for part in each.split("\0") if part.strip()]
    assert "{solution-" not in text and text.count("{dropdown} Solution\n") == len(solutions)
    for cell in notebook.cells:
        cell.source = re.sub(r"^```\{solution-.*\n(:class.*\n)?```$", "", cell.source, flags=re.MULTILINE)
    fences = re.compile(r"^`{3,}(\{dropdown\} Solution)?$", re.MULTILINE)
    assert fences.sub("", text).split() == fences.sub("", markdown(my_notebooks.readable(notebook))).split()


def test_a_solution_is_folded_wherever_it_begins_and_ends():
    new = nbformat.v4
    start, end = "```{solution-start} ex-1\n:class: dropdown\n```", "```{solution-end}\n```"
    texts = [
        f"Text\n\n{start}",
        "Why.\n\n```{note}\nSo.\n```",
        f"{end}\n\nMore\n\n{start}\n\nBecause.\n\n{end}",
        "Last",
        end,
    ]
    copy = my_notebooks.readable(new.new_notebook(cells=[new.new_markdown_cell(text) for text in texts]))
    folded = "````{dropdown} Solution\nWhy.\n\n```{note}\nSo.\n```\n````"
    assert [cell.source for cell in copy.cells] == [
        "Text",
        folded,
        "More\n\n```{dropdown} Solution\nBecause.\n```",
        "Last",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_copy_tells_neither_what_is_to_be_predicted_nor_that_an_exercise_is_solved(path):
    copy = my_notebooks.readable(read(path))
    for cell in copy.cells:
        if cell.cell_type == "code":
            tags = cell.metadata.get("tags", [])
            if "hide-output" in tags or cell.source.startswith("%%solution"):
                assert cell.outputs == []
            assert cell.metadata.get("jupyter", {}).get("source_hidden", False) == (
                "hide-input" in tags or cell.source.startswith("%%solution")
            )


@pytest.mark.parametrize(
    ("names", "narrative", "expected"),
    [
        (["Goto"], False, "([Goto, 2008](https://doi.org/10.1/%281%29))"),
        (["Goto", "van de Geijn"], True, "[Goto and van de Geijn (2008)](https://doi.org/10.1/%281%29)"),
        (["LeCun", "Bottou", "Bengio"], True, "[LeCun et al. (2008)](https://doi.org/10.1/%281%29)"),
    ],
)
def test_a_citation_names_authors_and_year(names, narrative, expected, monkeypatch):
    entry = Entry("article", {"year": "2008", "doi": "10.1/(1)"}, {"author": [Person(f"{name}, A.") for name in names]})
    monkeypatch.setattr(
        my_notebooks, "works", lambda: {"a": entry, "b": Entry("book", {"year": "1999"}, entry.persons)}
    )
    assert my_notebooks.cite("a", narrative) == expected
    assert my_notebooks.cite("b,a").startswith(f"({names[0]}") and "1999; [" in my_notebooks.cite("b,a")


def test_a_work_that_is_not_in_the_list_is_an_error():
    with pytest.raises(KeyError, match="nobody"):
        my_notebooks.cite("nobody")


# The folder


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A folder with two chapters."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("07-max-pooling", "08-flatten"):
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", folder)
    return folder


def change(path: Path, text: str = "New.") -> None:
    notebook = read(path)
    notebook.cells[0].source += f"\n\n{text}"
    nbformat.write(notebook, path)


def open_and_run(path: Path) -> None:
    """Do what JupyterLab does to a notebook that is opened and run."""
    notebook = read(path)
    notebook.metadata.language_info["version"] = "3.11.7"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata["collapsed"], cell.outputs, cell.execution_count = True, [], 99
    nbformat.write(notebook, path)


def test_a_pull_renews_copies_in_which_nothing_is_written_and_no_other(book: Path, tmp_path: Path):
    mine = tmp_path / "mine"
    assert my_notebooks.update(mine, book) == []
    first, second = sorted(mine.glob("*"))
    open_and_run(first)
    change(second, "My own.")
    before = first.read_bytes(), second.read_bytes()
    assert my_notebooks.update(mine, book) == []  # nothing to renew: outputs stay
    assert (first.read_bytes(), second.read_bytes()) == before
    for path in book.glob("*"):
        change(path)
    assert my_notebooks.update(mine, book) == ["08-flatten.ipynb"]
    assert read(first).cells[0].source.endswith("New.")
    assert second.read_bytes() == before[1]
    assert my_notebooks.update(mine, book) == ["08-flatten.ipynb"]  # as long as it is so
    second.rename(mine / "08-old.ipynb")
    assert my_notebooks.update(mine, book) == []
    assert read(second).cells[0].source.endswith("New.")
    assert (mine / "08-old.ipynb").read_bytes() == before[1]


@pytest.mark.parametrize("content", ["{", "", "no notebook"])
def test_what_somebody_else_has_put_there_stays(book: Path, tmp_path: Path, content: str):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "07-max-pooling.ipynb").write_text(content)
    shutil.copy(book / "08-flatten.ipynb", mine)
    assert my_notebooks.update(mine, book) == ["07-max-pooling.ipynb", "08-flatten.ipynb"]
    assert (mine / "07-max-pooling.ipynb").read_text() == content
    assert (mine / "08-flatten.ipynb").read_bytes() == (book / "08-flatten.ipynb").read_bytes()


def test_a_reader_who_has_made_the_same_change_is_told_nothing(book: Path, tmp_path: Path):
    mine = tmp_path / "mine"
    my_notebooks.update(mine, book)
    change(mine / "08-flatten.ipynb")
    change(book / "08-flatten.ipynb")
    assert my_notebooks.update(mine, book) == []


def test_a_copy_that_is_a_link_stays_one(book: Path, tmp_path: Path):
    mine, elsewhere = tmp_path / "mine", tmp_path / "elsewhere.ipynb"
    my_notebooks.update(mine, book)
    (mine / "08-flatten.ipynb").rename(elsewhere)
    (mine / "08-flatten.ipynb").symlink_to(elsewhere)
    change(book / "08-flatten.ipynb")
    assert my_notebooks.update(mine, book) == []
    assert (mine / "08-flatten.ipynb").is_symlink()
    assert read(elsewhere).cells[0].source.endswith("New.")


def test_a_copy_is_whole_whatever_stops_its_writing(book: Path, tmp_path: Path, monkeypatch):
    mine = tmp_path / "mine"
    my_notebooks.update(mine, book)
    before = (mine / "08-flatten.ipynb").read_bytes()
    change(book / "08-flatten.ipynb")

    def stopped(notebook, path):
        Path(path).write_text("{half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(nbformat, "write", stopped)
        with pytest.raises(OSError, match="No space"):
            my_notebooks.update(mine, book)
    assert (mine / "08-flatten.ipynb").read_bytes() == before
    assert my_notebooks.update(mine, book) == []
    assert read(mine / "08-flatten.ipynb").cells[0].source.endswith("New.")
    assert sorted(path.name for path in mine.iterdir()) == sorted(path.name for path in book.iterdir())


def test_what_stops_it_is_named(book: Path, tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(SystemExit, match=f"could not be copied to {file}: .*File exists"):
        my_notebooks.main(file)
    assert file.read_text() == "mine"
    (book / "08-flatten.ipynb").write_text("<<<<<<< HEAD")
    with pytest.raises(ValueError, match=r"08-flatten\.ipynb is no notebook: .*<<<<<<< HEAD"):
        my_notebooks.update(tmp_path / "mine", book)


def test_it_says_where_the_copies_are_and_which_have_a_newer_chapter(tmp_path: Path):
    command = [sys.executable, ROOT / "book" / "_ext" / "my_notebooks.py", tmp_path / "mine"]
    said = []
    for _ in range(2):
        said.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        path = tmp_path / "mine" / "08-flatten.ipynb"
        notebook = read(path)
        notebook.cells[0].source, notebook.metadata["cnnbook"]["copied"] = "Mine.", "of an older chapter"
        nbformat.write(notebook, path)
    said.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert said[0] == f"The chapters were copied to {tmp_path / 'mine'}\n"
    assert said[2].startswith("08-flatten.ipynb has changed in the book. You have changed your copy, so it stays")
    assert said[2].endswith(f"Your copies of the chapters are in {tmp_path / 'mine'}\n")


def test_what_readers_are_told_to_run_opens_copies_that_git_ignores():
    assert "/my-notebooks/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in ("lab", "draw"):
        assert re.search(rf"^{target}: my-notebooks .*\n\t\$\(BIN\)/jupyter lab my-notebooks", makefile, re.MULTILINE)
    for page in ("README.md", "book/index.md"):
        assert "`my-notebooks`" in (ROOT / page).read_text("utf-8")


# In JupyterLab


WARNINGS = """() => [...document.querySelectorAll(".jp-Notebook [title], .jp-Notebook span, .jp-Notebook a")]
  .filter(each => /warning|text-yellow|text-red|error/.test(String(each.className)))
  .map(each => each.textContent)"""


@pytest.fixture
def jupyterlab(tmp_path: Path, chromium):
    """Return a function that opens a notebook of the folder `tmp_path` in JupyterLab, in a page of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={tmp_path}",
    ]
    command = [sys.executable, "-m", "jupyterlab", *options]
    pages = []

    def open_page(path: str, **viewport):
        pages.append(chromium.new_page(viewport=viewport))
        for _ in range(60):
            try:
                pages[-1].goto(f"http://127.0.0.1:{port}/lab/workspaces/{len(pages)}/tree/{path}")
                return pages[-1]
            except Exception:  # it has not started yet
                time.sleep(1)
        raise TimeoutError("JupyterLab has not started")

    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env={**os.environ, **folders}, stdout=log, stderr=log)
        yield open_page
        for page in pages:
            page.close()
        server.terminate()
        server.wait()


@pytest.mark.timed
def test_jupyterlab_shows_a_copy_without_a_warning(tmp_path: Path, jupyterlab):
    """And the original with many, so that this test would see one."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "original", ignore=shutil.ignore_patterns("[!a]*"))
    my_notebooks.update(tmp_path / "mine")
    found = {}
    for folder in ("mine", "original"):
        page = jupyterlab(f"{folder}/all-gradients.ipynb", width=1300, height=3000)
        page.locator(".jp-Notebook .katex").first.wait_for(timeout=60_000)
        page.wait_for_timeout(2000)
        found[folder] = page.evaluate(WARNINGS)
    assert found["mine"] == []
    assert "eq-dense-matrix-3" in " ".join(found["original"])


# What the pad shows from the moment of a click on: milliseconds, message, answer, and how many buttons are locked.
WATCH = """() => {
  const pad = document.querySelector(".cnnlib-pad");
  window.shown = [];
  let start = 0, last = "";
  const look = () => {
    const state = [pad.querySelector("[role=alert]").textContent, pad.querySelector(".answer").textContent,
      pad.querySelectorAll("button:disabled").length];
    if (String(state) !== last) window.shown.push([performance.now() - start, ...state]);
    last = String(state);
  };
  new MutationObserver(look).observe(pad, { subtree: true, childList: true, attributes: true });
  pad.addEventListener("click", () => { start = performance.now(); window.shown = []; }, true);
}"""


@pytest.mark.timed
def test_in_jupyterlab_the_pad_says_at_once_that_it_learns(tmp_path: Path, jupyterlab):
    """Even beside two busy loops: within half a second it says so, and soon its buttons are locked."""
    code = (
        "import cnnlib\nfrom cnnlib.digits.sample_drawings import sample_drawings\n"
        "pad = cnnlib.DigitPad()\npad.draw(sample_drawings()[0][0])\npad"
    )
    new = nbformat.v4
    nbformat.write(new.new_notebook(cells=[new.new_code_cell(code)]), tmp_path / "pad.ipynb")
    page = jupyterlab("pad.ipynb", width=1280, height=900)
    page.get_by_role("button", name="Select").click(timeout=60_000)
    page.locator(".jp-Notebook .cm-content").first.click(timeout=60_000)
    page.keyboard.press("Shift+Enter")
    page.locator(".cnnlib-pad canvas").wait_for(timeout=60_000)
    page.get_by_text("It reads a 0").wait_for()
    page.evaluate(WATCH)
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        page.locator(".cnnlib-pad button", has_text="8").click()
        page.get_by_text("Learned in").wait_for(timeout=60_000)
        page.locator(".cnnlib-pad button:disabled").first.wait_for(state="detached")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    shown = page.evaluate("window.shown")
    assert shown[0][0] < 500 and shown[0][1] == "Learning that this is an 8 ..."
    learning = [answer for _, message, answer, _ in shown if message.startswith("Learning")]
    assert "? learning ..." in learning
    assert next(locked for _, message, _, locked in reversed(shown) if message.startswith("Learning")) == 17
    assert shown[-1][2].startswith("8 ") and shown[-1][3] == 0
