"""Copy the chapters for a reader to run and change, so that the project's own files stay as they are.

    python book/_ext/my_notebooks.py [FOLDER]

The copies are in the folder my-notebooks. A copy in which the reader has written something is never overwritten; one
that was only opened or run follows its chapter when that changes. The notebooks that pages offer for download, and
those for a class, are made readable in the same way: JupyterLab knows neither the list of references nor the other
chapters, numbers every equation, shows at once what the book folds away for those who want to predict it, and unfolds
the text of the solutions when all cells are run.
"""

import hashlib
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import nbformat
from pybtex.database import Entry, parse_file
from pybtex.richtext import Text

if TYPE_CHECKING:  # the notebooks for Colab are made where Sphinx is not installed
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
DISPLAYED = re.compile(r"^( *)\$\$\n(.*?)\n *\$\$( \(([\w-]+)\))?$", re.MULTILINE | re.DOTALL)
MARKER = re.compile(r"\n*^(`{3,})\{solution-(start|end)\}.*\n(?::.*\n)*\1$\n*", re.MULTILINE)
KEPT = """{name} has changed in the book. You have changed your copy, so it stays as it is.
For the new one, rename yours, and run this again."""


# What JupyterLab shows


def readable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a copy that reads in JupyterLab as the page does in the book."""
    notebook = nbformat.from_dict(notebook)
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    own = {label for text in texts for label in labels(text)}
    fold_solutions(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"\{cite(:t)?\}`([^`]+)`", lambda role: cite(role[2], narrative=bool(role[1])), cell.source)
            text = re.sub(r"\{eq\}`([\w-]+)`", lambda role: role[0] if role[1] in own else equations()[role[1]], text)
            cell.source = DISPLAYED.sub(unnumbered, text)
            continue
        tags = cell.metadata.get("tags", [])
        if "hide-input" in tags:
            cell.metadata["jupyter"] = {"source_hidden": True}
        if "hide-output" in tags or cell.source.startswith("%%solution\n"):
            # Of a folded output JupyterLab shows the first line, which tells what is to be predicted, or says "Right".
            cell.outputs, cell.execution_count = [], None
    return notebook


def fold_solutions(notebook: nbformat.NotebookNode) -> None:
    """Fold the text of each solution; what marks its beginning and its end folds nothing here, and goes."""
    inside = False
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        parts = MARKER.split(cell.source)  # text, fence, kind, text, fence, kind, text, ...
        texts, kinds = parts[::3], parts[2::3]
        for number, text in enumerate(texts):
            inside = kinds[number - 1] == "start" if number else inside
            if inside and text.strip():
                fence = "`" * (1 + max([2, *map(len, re.findall("`+", text))]))
                texts[number] = f"{fence}{{dropdown}} Solution\n{text.strip()}\n{fence}"
                cell.metadata.pop("jupyter", None)  # a folded cell shows its first line, and unfolds when all are run
        cell.source = "\n\n".join(text for text in texts if text.strip())
    notebook.cells = [cell for cell in notebook.cells if cell.source or cell.cell_type != "markdown"]


@cache
def works() -> dict[str, Entry]:
    return dict(parse_file(ROOT / "book" / "references.bib", "bibtex").entries)


def cite(keys: str, narrative: bool = False) -> str:
    """Return authors and year of works, each a link to where it can be read.

    >>> cite("lecun1998")
    '([LeCun et al., 1998](https://doi.org/10.1109/5.726791))'
    """
    found = []
    for key in keys.split(","):
        entry = works()[key.strip()]
        names = [
            str(Text.from_latex(" ".join(person.prelast_names + person.last_names)))
            for person in entry.persons["author"]
        ]
        authors = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
        year = entry.fields["year"]
        text = f"{authors} ({year})" if narrative else f"{authors}, {year}"
        address = f"https://doi.org/{entry.fields['doi']}" if "doi" in entry.fields else entry.fields.get("url")
        found.append(f"[{text}]({quote(address, safe=':/?=&#%~,;')})" if address else text)
    return "; ".join(found) if narrative else f"({'; '.join(found)})"


def labels(text: str) -> list[str]:
    """The labels of the displayed equations, in their order, by which the book numbers them."""
    return [match[4] for match in DISPLAYED.finditer(text) if match[4]]


@cache
def equations() -> dict[str, str]:
    """What stands for each numbered equation of a chapter in another: its number in the book, a link to its chapter."""
    links = {}
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        for number, label in enumerate(labels(text), start=1):
            links[label] = f"[({int(path.name[:2])}.{number})]({path.name})"
    return links


def unnumbered(match: re.Match) -> str:
    """Take the number from an equation that has none in the book, so that the others have the book's."""
    indent, formula, label = match[1], match[2], match[4]
    if label:
        return match[0]
    return f"{indent}\\begin{{equation*}}\n{formula}\n{indent}\\end{{equation*}}"


# The reader's folder


def fingerprint(notebook: nbformat.NotebookNode) -> str:
    """What somebody wrote in a notebook. Outputs do not count: JupyterLab changes a notebook that is only opened."""
    content = json.dumps([[cell.cell_type, cell.source] for cell in notebook.cells])
    return hashlib.sha256(content.encode()).hexdigest()


def update(folder: Path, source: Path = NOTEBOOKS) -> list[str]:
    """Copy what is new; return the names of the chapters that have changed in the book and in the copy.

    Each copy is whole, whatever stops this on the way. A copy that is a link is written where the link leads.

    Raises
    ------
    OSError
        If there can be no such folder, or nothing can be written to it.
    ValueError
        If a chapter is no notebook, as after a merge with conflicts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for path in sorted(source.glob("*.ipynb")):
        try:
            chapter = nbformat.read(path, as_version=4)
        except Exception as error:
            raise ValueError(f"{path} is no notebook: {error!s:.100}") from error
        copy = readable(chapter)
        copy.metadata["cnnbook"] = {"copied": fingerprint(copy)}
        target = (folder / path.name).resolve()
        if target.exists():
            try:
                present = nbformat.read(target, as_version=4)
                copied, written = present.metadata.get("cnnbook", {}).get("copied"), fingerprint(present)
            except Exception:  # whatever it is, it is the reader's
                copied, written = None, ""
            if fingerprint(copy) in (copied, written):
                continue
            if copied != written:
                kept.append(path.name)
                continue
        part = target.with_suffix(".part")
        nbformat.write(copy, part)
        part.replace(target)
    return kept


def main(folder: Path) -> None:
    is_new = not folder.exists()
    try:
        kept = update(folder)
    except (OSError, ValueError) as error:
        raise SystemExit(f"The chapters could not be copied to {folder}: {error}") from error
    for name in kept:
        print(KEPT.format(name=name))
    print(f"{'The chapters were copied to' if is_new else 'Your copies of the chapters are in'} {folder}")


# The notebooks that pages offer


def rewrite_downloads(app: "Sphinx", exception: Exception | None) -> None:
    if exception or app.builder.format != "html":
        return
    for path in sorted((Path(app.outdir) / "_sources").rglob("*.ipynb")):
        nbformat.write(readable(nbformat.read(path, as_version=4)), path)


def setup(app: "Sphinx") -> dict[str, bool]:
    app.connect("build-finished", rewrite_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "my-notebooks")
