"""Make the built pages complete in themselves, on a server, without a network, and opened from the disk."""

import importlib.util
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

MATHJAX = [
    "tex-chtml.js",  # TeX in, HTML out, with MathML for screen readers
    "output/chtml/fonts/woff-v2/*.woff",
    "input/tex/extensions/[!a]*.js",  # loaded when a formula uses them, such as \cancel or \boldsymbol
    "input/tex/extensions/a[!l]*.js",  # but not all-packages.js, which holds all of them once more
]


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Serve formulas from the book.

    The package sphinx-mathjax-offline carries all of MathJax, 29 MB. Pages need TeX input, HTML output and fonts, 2 MB.
    """
    if exception or app.builder.format != "html":
        return
    source = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    for pattern in MATHJAX:
        for file in source.glob(pattern):
            target = Path(app.outdir) / "_static" / "mathjax" / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


SUPERFLUOUS = [
    r'<link rel="preload" as="font"[^>]*>\n?',  # a hint that browsers refuse, with an error, for pages from the disk
    r'<script src="[^"]*/fontawesome/[^"]*"></script>\n?',  # the icons as a script of 543 kB; they are there as fonts
]


def remove_superfluous(app: Sphinx, exception: Exception | None) -> None:
    """Take out what the theme puts into every page and no page needs."""
    if exception or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text("utf-8")
        page.write_text(re.sub("|".join(SUPERFLUOUS), "", text), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", remove_superfluous)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
