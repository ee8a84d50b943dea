"""Build the book without its solutions where the environment variable SOLUTIONS is 0, for use in a class.

sphinx-exercise has an option for this, but it leaves the code cells of a solution standing.
"""

import os
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx_exercise.nodes import solution_node

ANSWERS = "a good answer"  # the heading of a column that answers the questions beside it


def shown() -> bool:
    value = os.environ.get("SOLUTIONS", "1")
    if value not in ("0", "1"):
        raise ValueError(f"the environment variable SOLUTIONS must be 0 or 1, got {value!r}")
    return value == "1"


def remove_solutions(app: Sphinx, doctree: nodes.document) -> None:
    if not shown():
        for solution in list(doctree.findall(solution_node)):
            solution.parent.remove(solution)
        for group in doctree.findall(nodes.tgroup):
            remove_answers(group)


def remove_answers(group: nodes.tgroup) -> None:
    """Remove the last column of a table if its heading says that it holds answers."""
    rows = list(group.findall(nodes.row))
    if rows[0].children[-1].astext() == ANSWERS:
        columns = list(group.findall(nodes.colspec))
        for last in (columns[-1], *(row.children[-1] for row in rows)):
            last.parent.remove(last)
        group["cols"] -= 1


def unwrap_contents(app: Sphinx, doctree: nodes.document) -> None:
    """sphinx-exercise makes sections that all have the same id; an id must be unique in its page."""
    for section in list(doctree.findall(nodes.section)):
        if section["ids"] in (["exercise-content"], ["solution-content"]):
            section["ids"] = []  # else replace_self() would hand it on
            section.replace_self(section.children)


def keep_sources_back(app: Sphinx, config) -> None:
    """The notebooks that a page offers, to download or to launch, contain the solutions as well."""
    if not shown():
        config.html_copy_source = False
        config.html_theme_options["use_download_button"] = False
        config.html_theme_options["launch_buttons"] = {}


def remove_old_sources(app: Sphinx) -> None:
    """A build over an older one with solutions would leave the notebooks that were offered there."""
    if not shown() and app.builder.format == "html":
        shutil.rmtree(Path(app.outdir) / "_sources", ignore_errors=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", keep_sources_back, priority=900)  # after `publishing`, which has the buttons
    app.connect("builder-inited", remove_old_sources)
    # Before Sphinx collects labels, headings and images.
    app.connect("doctree-read", remove_solutions, priority=100)
    app.connect("doctree-read", unwrap_contents, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
