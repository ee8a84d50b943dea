"""The site and the notebooks for a class, as `make student` has written them: no solution is in any file of them.

`make test-all` builds them first. They are a folder to hand out, so everything in it is looked through.
"""

import asyncio
import html
import json
import re
import runpy
import sys
import zlib
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import snowballstemmer
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STUDENT = ROOT / "_build" / "student"
SITE = STUDENT / "site"
make_student = SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "make_student.py")))

pytestmark = pytest.mark.timed  # the site takes some minutes to build


def squeeze(text: str) -> str:
    """The words of a text, without anything between them: pages and notebooks write that in different ways."""
    return " ".join(re.findall(r"\w+", text))


def parts(path: Path) -> tuple[list[nbformat.NotebookNode], list[str]]:
    """The cells of the solutions of a notebook, without their first and last lines, and the texts of all else."""
    solutions, others, inside = [], [], False
    for cell in nbformat.read(path, as_version=4).cells:
        text = cell.source
        if inside and cell.cell_type == "markdown" and (end := make_student.END.search(text)):
            solutions.append(nbformat.from_dict({**cell, "source": text[: end.start()]}))
            text, inside = text[end.end() :], False
        if inside:
            solutions.append(nbformat.from_dict({**cell, "source": text.removeprefix("%%solution\n")}))
        elif cell.cell_type == "markdown" and (start := make_student.START.search(text)):
            others.append(text[: start.start()])
            solutions.append(nbformat.from_dict({**cell, "source": text[start.end() :].split("```", 1)[-1]}))
            inside = True
        else:
            others.append(text)
    return solutions, others


@cache
def all_else() -> str:
    """What may be in the site: the text around the solutions, and the library, which chapters show."""
    texts = [text for path in NOTEBOOKS for text in parts(path)[1]]
    sources = [*(ROOT / "book").glob("*.md"), *(ROOT / "book" / "_static").rglob("*.js")]
    sources += [path for folder in ("cnnlib", "book/cnnbook") for path in (ROOT / folder).rglob("*.py")]
    return squeeze("\n".join([*texts, *(path.read_text("utf-8") for path in sources)]))


@cache
def lines_of_solutions(path: Path) -> list[str]:
    """Lines of code and sentences that only the solutions of a notebook have, long enough to be told from others."""
    found = []
    for cell in parts(path)[0]:
        is_code = cell.cell_type == "code"
        pieces = cell.source.splitlines() if is_code else re.split(r"(?<=[.:?!])\s+|\n\n", cell.source)
        for piece in pieces:  # a reference, such as {eq}`loss`, is another word on the page
            found += [squeeze(text) for text in re.split(r"\{[\w:-]+\}`[^`]*`", piece)]
    return [text for text in dict.fromkeys(found) if len(text) >= 25 and text not in all_else()]


def readable(path: Path) -> str:
    """What a reader finds in a file."""
    text = path.read_bytes().decode("utf-8", "ignore")
    if path.suffix == ".html":
        return html.unescape(re.sub(r"<[^>]+>", "", text))
    if path.suffix == ".ipynb":
        return "\n".join(text for text in strings(json.loads(text)))
    if path.suffix == ".inv":
        return zlib.decompress(path.read_bytes().split(b"\n", 4)[4]).decode("utf-8")
    return text


def strings(value) -> list[str]:
    """All texts within a notebook, those in lines put together."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        if value and all(isinstance(item, str) for item in value):
            return ["".join(value)]
        return [text for item in value for text in strings(item)]
    return [text for item in value.values() for text in strings(item)] if isinstance(value, dict) else []


@pytest.fixture(scope="module", autouse=True)
def student():
    assert (SITE / "index.html").is_file(), "there is no site for a class: make student"


def test_solutions_are_found_where_they_are():
    """Else it would say nothing that they are not found elsewhere."""
    with_solutions = [path for path in NOTEBOOKS if parts(path)[0]]
    assert len(with_solutions) >= 25
    for path in with_solutions:
        words = squeeze(readable(path))
        assert lines_of_solutions(path) and all(line in words for line in lines_of_solutions(path)), path.name


def test_no_file_holds_a_line_of_a_solution():
    lines = {line for path in NOTEBOOKS for line in lines_of_solutions(path)}
    files = [path for path in STUDENT.rglob("*") if path.is_file()]
    assert len(files) > 100 and len(lines) > 400
    found = {}
    for path in files:
        if path.suffix not in (".png", ".woff", ".woff2", ".ttf"):
            words = squeeze(readable(path))
            if leaks := [line for line in lines if line in words]:
                found[str(path.relative_to(STUDENT))] = leaks
    assert found == {}


def test_the_questions_for_a_class_stand_there_without_their_answers():
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", (ROOT / "book" / "for-teachers.md").read_text("utf-8"), re.M)
    rows = [row for row in rows if row[1].endswith("?")]
    page = readable(SITE / "book" / "for-teachers.html")
    questions, answers = ([squeeze(row[column]) for row in rows if "$" not in row[column]] for column in (1, 2))
    assert len(questions) >= 20 and len(answers) >= 20
    assert [text for text in questions if text not in squeeze(page)] == []
    assert [text for text in answers if text in squeeze(page)] == [] and "a good answer" not in page


def test_only_what_is_for_the_class_is_in_its_folder():
    """What Sphinx keeps for itself holds the solutions, and must not be handed out with the pages."""
    assert sorted(path.name for path in STUDENT.iterdir()) == ["notebooks", "site"]
    assert [path for name in ("_sources", ".doctrees", "jupyter_execute") for path in STUDENT.rglob(name)] == []
    assert sorted(path.name for path in (STUDENT / "notebooks").iterdir()) == [path.name for path in NOTEBOOKS]
    assert sorted(path.stem for path in (SITE / "notebooks").glob("*.html")) == [path.stem for path in NOTEBOOKS]


def test_the_search_does_not_lead_to_a_solution():
    """No page is found by a word that stands on it in a solution alone."""
    stem = snowballstemmer.stemmer("porter").stemWord  # as Sphinx does
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", (SITE / "searchindex.js").read_text("utf-8"))[1])
    pages: dict[str, set[int]] = {
        term: {number} if isinstance(number, int) else set(number) for term, number in index["terms"].items()
    }
    count = 0
    for path in NOTEBOOKS:
        number = index["docnames"].index(f"notebooks/{path.stem}")
        texts = " ".join(cell.source for cell in parts(path)[0] if cell.cell_type == "markdown")
        shown = readable(SITE / "notebooks" / f"{path.stem}.html")
        words, others = ({stem(word) for word in re.findall(r"[a-z]+", text.lower())} for text in (texts, shown))
        count += len(words - others)
        assert [word for word in words - others if number in pages.get(word, set())] == [], path.name
    assert count > 50
    assert [title for title in index["alltitles"] if title.startswith("Solution")] == []


def test_no_picture_of_a_solution_is_left():
    pages = "".join(path.read_text("utf-8") for path in SITE.rglob("*.html"))
    assert [path.name for path in (SITE / "_images").iterdir() if path.name not in pages] == []


def test_no_page_offers_a_notebook_with_solutions():
    for path in SITE.rglob("*.html"):
        links = re.findall(r'href="([^"]+)"', path.read_text("utf-8"))
        assert [link for link in links if ".ipynb" in link] == [], path.name


def execute(notebook: nbformat.NotebookNode, folder: Path) -> str:
    """Run all cells of a notebook; return what they print."""
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    asyncio.run(client.async_execute())
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "\n".join(output.get("text", "") for output in outputs)


@pytest.mark.parametrize("answer", ["none", "right", "wrong"])
def test_a_student_s_notebook_runs_and_checks(answer, tmp_path, monkeypatch):
    """Away from the project: as it is handed out, with the right answer of an exercise, and with a wrong one."""
    monkeypatch.delenv("CNNBOOK_PAGE", raising=False)
    if sys.platform == "win32":
        pytest.skip("the kernel needs another event loop there")
    notebook = nbformat.read(STUDENT / "notebooks" / "08-flatten.ipynb", as_version=4)
    text = "chapter.check_index"
    (solution,) = (cell for cell in parts(ROOT / "notebooks" / "08-flatten.ipynb")[0] if text in cell.source)
    (yours,) = (cell for cell in notebook.cells if cell.id == "ex-8-index-yours")
    assert yours.source == "# Your solution"
    if answer == "none":
        assert "Right" not in execute(notebook, tmp_path)
    elif answer == "right":
        yours.source = solution.source
        assert "Right" in execute(notebook, tmp_path)
    else:
        yours.source = re.sub(r"check_index\(.*", "check_index(0)", solution.source)
        with pytest.raises(CellExecutionError, match="Not yet: 0 is not it"):
            execute(notebook, tmp_path)
