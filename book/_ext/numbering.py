"""Number chapters as their files, and appendices by letters, so that "chapter 23" has 23 on top and in its equations.

Sphinx would count pages from 1. The table of contents says which parts are numbered; a page there whose name begins
with a number is the chapter of that number, and the others are appendices A, B and so on. Headings, equations,
exercises and links follow.
"""

import re
from collections.abc import Callable, Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles as TocTreeCollector


def names(pages: list[str]) -> Iterator[int | str]:
    """Return what each page is called in numbers: 23, or "A"."""
    letters = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for page in pages:
        number = re.match(r"\d+", page.rpartition("/")[2])
        yield int(number[0]) if number else next(letters)


def renumber(env: BuildEnvironment) -> None:
    """Replace the first number of every section of every numbered page."""
    for page, name in zip(env.toc_secnumbers, names(list(env.toc_secnumbers)), strict=True):
        sections = env.toc_secnumbers[page]
        for anchor, number in sections.items():
            sections[anchor] = (name, *number[1:]) if number else number
        links = list(env.tocs[page].findall(nodes.reference))
        for node in (*links, env.titles[page]):
            if node.get("secnumber"):
                node["secnumber"] = [name, *node["secnumber"][1:]]


def wrap(assign: Callable) -> Callable:
    def assign_section_numbers(self: TocTreeCollector, env: BuildEnvironment) -> list[str]:
        before = env.toc_secnumbers
        assign(self, env)
        renumber(env)
        return [page for page in env.toc_secnumbers if env.toc_secnumbers[page] != before.get(page)]

    return assign_section_numbers


def setup(app: Sphinx) -> dict[str, bool]:
    # After all extensions are loaded, for the table of contents has its own way to count through the parts.
    def wrap_once(app: Sphinx) -> None:
        TocTreeCollector.assign_section_numbers = wrap(TocTreeCollector.assign_section_numbers)

    app.connect("builder-inited", wrap_once)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
