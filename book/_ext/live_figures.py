"""Load what live figures need on the pages that have one: the engine, what figures share, and each figure's file.

`cnnbook.display.live_figure` puts the figure itself into the page. All are classic scripts, which also run where a page
is opened from the disk, and are loaded in this order.
"""

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

sys.path.append(str(Path(__file__).resolve().parents[1]))  # an extension loads before the book's build adds it

from cnnbook.display import scripts_of

FIGURE = re.compile(r'<figure class="live-figure" data-figure="([\w-]+)"')


def add_files(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    names = list(dict.fromkeys(FIGURE.findall(context.get("body", ""))))
    if not names:
        return
    app.add_css_file("live-figure.css")
    for script in dict.fromkeys(script for name in names for script in scripts_of(name)):
        app.add_js_file(f"{script}.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
