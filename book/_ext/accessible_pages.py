"""Mend what the theme, Sphinx and notebooks write in a way that screen readers and keyboards trip over.

What depends on the size of the window is done by book/_static/book.js.
"""

import re
from pathlib import Path

from PIL import Image
from sphinx.application import Sphinx

PICTURE = re.compile(r'(<img [^>]*src="(?:\.\./)?_images/([^"/]+\.png)"[^>]*?) ?/>')
CHANGES = [
    # The empty corner of a table is no header.
    (re.compile(r"<th\b([^>]*)>\s*(?:<p>\s*</p>)?\s*</th>"), r"<td\1></td>"),
    # A list consists of items.
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
    # The side bar and the search are parts of the page that one can jump to.
    (
        re.compile(r'<div class="bd-sidebar-primary bd-sidebar([^"]*)">'),
        r'<div class="bd-sidebar-primary bd-sidebar\1" role="complementary" aria-label="The book">',
    ),
    (re.compile(r'<form class="bd-search'), '<form role="search" class="bd-search'),
    # What can be pressed is called what is written on it.
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    (re.compile(r'(<button class="[^"]*search-button-field[^"]*" title="Search") aria-label="Search"'), r"\1"),
]


def mend(page: str) -> str:
    for pattern, replacement in CHANGES:
        page = pattern.sub(replacement, page)
    return page


def mend_pages(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        path.write_text(with_sizes(mend(path.read_text("utf-8")), Path(app.outdir) / "_images"), "utf-8")


def with_sizes(page: str, folder: Path) -> str:
    """Tell the size of each picture: the text below does not jump when it comes, and book.css keeps it legible."""

    def with_size(match: re.Match[str]) -> str:
        with Image.open(folder / match[2]) as picture:
            width, height = picture.size
        size = f'width="{width}" height="{height}" style="--width: {width}px"'
        return f'<div class="output picture">{match[1]} {size} /></div>'

    return PICTURE.sub(with_size, page)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_js_file("book.js", loading_method="defer")
    app.connect("build-finished", mend_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
