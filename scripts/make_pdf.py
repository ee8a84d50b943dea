"""Print the built book as one PDF: _build/book.pdf, by Chromium.

    python scripts/make_pdf.py [--pages _build/html] [--output _build/book.pdf]

All pages become one: chapters in their order, what is folded away in the pages (hints, answers, solutions) in a last
part, links between pages as links within the document, and a table of contents with page numbers. Those are known only
once the document is printed, so it is printed twice.
"""

import argparse
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader, PdfWriter

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FOLDED = {"Hint", "The answer", "What you should see"}  # the titles of what moves to the last part
LAST = "Hints, answers and solutions"
FOOTER = (
    '<div style="width: 100%; text-align: center; font: 8px sans-serif; color: #48566b">'
    '<span class="pageNumber"></span></div>'
)
STYLE = """
:root { color-scheme: light; }
html { font-size: 10.5pt !important; }
body { background: white; max-width: none; }
article { max-width: none; padding: 0; }
h1 { break-before: page; font-size: 22pt; margin: 0 0 8mm; }
h2 { font-size: 15pt; } h3 { font-size: 12pt; }
h1, h2, h3, h4, summary, .admonition-title { break-after: avoid; }
.headerlink, button, .sd-summary-state-marker { display: none !important; }
a, a:visited { color: #0b4ba8; text-decoration: none; }
pre { font-size: 7.6pt !important; line-height: 1.35; overflow-wrap: anywhere; white-space: pre-wrap !important; }
table { font-size: 9pt; } tr, img, figure, .exercise, mjx-container[display=true] { break-inside: avoid; }
img { height: auto; max-height: 200mm; max-width: 100%; width: auto; }  /* whatever size the page gives */
mjx-container { max-width: 100%; }
p { orphans: 2; widows: 2; }
div.cell_output, div.cell_input { max-height: none; overflow: visible; }
.title-page { height: 240mm; display: flex; flex-direction: column; justify-content: center; }
.title-page h1 { break-before: avoid; font-size: 32pt; margin: 0 0 10mm; }
.title-page img { margin: 0 0 12mm; width: 30mm; }
.contents { list-style: none; margin: 0; padding: 0; }
.contents li { display: flex; gap: 2mm; }
.contents li::before { border-bottom: 1px dotted #48566b; content: ""; flex: 1; margin-bottom: 1.5mm; order: 1; }
.contents .page-number { order: 2; }
.contents .part { font-weight: 700; margin-top: 3mm; } .contents .part::before { border: 0; }
.to-answer { font-size: 9pt; margin: 0 0 4mm; }
.answer { border-left: 2px solid #c9c9c9; margin: 0 0 4mm; padding-left: 4mm; }
.answer > h3 { margin-top: 4mm; }
.question { font-weight: 600; }
"""


def pages_in_order(pages: Path) -> Iterator[tuple[str, str]]:
    """Yield ("part", caption) and ("page", name) as the side bar of the front page has them."""
    front = BeautifulSoup((pages / "book" / "index.html").read_text("utf-8"), "html.parser")
    yield "page", "book/index"
    for node in front.select("nav.bd-links .caption-text, nav.bd-links a[href]"):
        if node.name == "a":
            path = os.path.normpath(f"book/{unquote(node['href'])}")
            if node["href"] != "#":
                yield "page", path.removesuffix(".html")
        else:
            yield "part", node.get_text()


class Book:
    """The one document that all pages become."""

    def __init__(self, pages: Path):
        self.pages = pages
        self.order = list(pages_in_order(pages))
        self.names = [name for kind, name in self.order if kind == "page"]
        self.keys = {name: f"p{number}" for number, name in enumerate(self.names)}
        self.scripts: dict[str, None] = {}  # in the order of loading
        self.answers = 0

    def key(self, name: str, anchor: str = "") -> str:
        """Return the anchor that a place of a page has in the document."""
        return f"{self.keys[name]}-{re.sub(r'[^A-Za-z0-9-]', '_', anchor)}" if anchor else self.keys[name]

    def html(self) -> str:
        """Return the document; its addresses are relative to the folder of the pages."""
        soup = BeautifulSoup((self.pages / "book" / "index.html").read_text("utf-8"), "html.parser")
        title = soup.select_one("h1").find(string=True)
        styles = [self.relative("book/index", link["href"]) for link in soup.select("link[rel=stylesheet]")]
        styles += ["_static/live-figure.css"]
        math = next(script for script in soup.select("script") if "window.MathJax" in (script.string or ""))
        articles, answers, contents = [], [], []
        for kind, name in self.order:
            if kind == "part":
                contents.append(f'<li class="part"><span>{escape(name)}</span></li>')
                continue
            article, moved = self.page(name)
            heading = article.select_one("h1")
            if name == "book/index":
                heading.string = "About this book"
            text = " ".join(heading.get_text().replace("#", "").split())
            articles.append(str(article))
            contents.append(self.entry(self.key(name), text))
            if moved:
                answers.append(f'<h2><a href="#{self.key(name)}">{escape(text)}</a></h2>{"".join(moved)}')
        contents.append(self.entry("last", LAST))
        sheets = "".join(f'<link rel="stylesheet" href="{address}">' for address in dict.fromkeys(styles))
        scripts = "".join(f'<script defer src="{address}"></script>' for address in self.scripts)
        return (
            f'<!doctype html><html lang="en" data-theme="light" data-mode="light"><meta charset="utf-8">'
            f"<title>{escape(title)}</title>{sheets}<style>{STYLE}</style>{math}"
            "<script>Object.assign(window.MathJax.options, {enableAssistiveMml: false});</script>"
            f'<script defer src="_static/mathjax/tex-chtml.js"></script>{scripts}<body class="bd-content">'
            f'<div class="title-page"><img src="_static/logo.svg" alt=""><h1>{escape(title)}</h1>{imprint()}</div>'
            f'<h1>Contents</h1><ol class="contents">{"".join(contents)}</ol>'
            f'{"".join(articles)}<article class="bd-article"><h1 id="last">{LAST}</h1>{"".join(answers)}</article>'
        )

    def entry(self, key: str, text: str) -> str:
        return (
            f'<li><a href="#{key}">{escape(text)}</a><a class="page-number" data-of="{key}" href="#{key}">000</a></li>'
        )

    def relative(self, name: str, address: str) -> str:
        """Return an address that a page uses, from the folder of all pages."""
        return os.path.normpath(f"{Path(name).parent}/{urlsplit(address).path}").replace(os.sep, "/")

    def page(self, name: str) -> tuple[Tag, list[str]]:
        """Return the article of a page as it is printed, and what moves to the last part."""
        soup = BeautifulSoup((self.pages / f"{name}.html").read_text("utf-8"), "html.parser")
        article = soup.select_one("article.bd-article")
        for tag in article.select("script:not(.live-figure script), .digit-pad, .headerlink"):
            tag.decompose()
        self.still_figures(name, soup, article)
        for tag in article.select("[src]"):
            if not tag["src"].startswith("data:"):
                tag["src"] = self.relative(name, tag["src"])
        for tag in article.select("[id]"):
            if not tag.find_parent("svg"):
                tag["id"] = self.key(name, tag["id"])
        for link in article.select("a[href]"):
            self.redirect(name, link)
        article.select_one("h1")["id"] = self.key(name)
        moved = [self.move(name, tag) for tag in list(self.folded(article))]
        for details in article.select("details"):
            details["open"] = ""
            if "hide" in details.get("class", []):  # a cell's input or output: its words are for who can fold
                details.summary.decompose()
                details.unwrap()
        return article, moved

    def still_figures(self, name: str, soup: BeautifulSoup, article: Tag) -> None:
        """Put the still picture of a live figure in its place; one that has none draws itself, before printing."""
        figures = article.select(".live-figure")
        for figure in figures:
            if picture := figure.select_one("noscript img"):
                figure.replace_with(picture.extract())
        if article.select(".live-figure"):
            for script in soup.select("script[defer][src]"):
                address = self.relative(name, script["src"])
                if re.search(r"_static/(cnnlib|digits|live-figure|figures/[\w-]+)\.js$", address):
                    self.scripts[address] = None

    def redirect(self, name: str, link: Tag) -> None:
        """Let a link between pages lead to its place in the document, and keep one to another host."""
        if urlsplit(link["href"]).scheme:
            return
        path, anchor = urldefrag(link["href"])
        target = self.relative(name, unquote(path)).removesuffix(".html") if path else name
        if target in self.keys:
            link["href"] = f"#{self.key(target, unquote(anchor))}"
        else:
            del link["href"]  # such as the search, which paper has not

    def folded(self, article: Tag) -> Iterator[Tag]:
        """Yield what moves to the last part."""
        for tag in article.select(".solution, details.sd-dropdown"):
            if tag.find_parent(class_="solution"):
                continue  # moves with it
            section = tag.find_parent("section")
            is_question = section is not None and "check-yourself" in section.get("id", "")
            if "solution" in tag["class"] or title_of(tag) in FOLDED or is_question:
                yield tag

    def move(self, name: str, tag: Tag) -> str:
        """Take something folded out of a page, leave a link there, and return what the last part has of it."""
        self.answers += 1
        here, there = f"from-{self.answers}", f"to-{self.answers}"
        exercise = (
            tag.find_previous(class_="exercise") if "solution" in tag["class"] else tag.find_parent(class_="exercise")
        )
        title = title_of(tag)
        of_exercise = exercise is not None
        kind = title if title in FOLDED or "solution" in tag["class"] else "Answer"
        if of_exercise:
            number = exercise.select_one(".caption-number")
            heading = f"{kind}, {number.get_text().strip().lower() if number else 'exercise'}"
        elif title in FOLDED:
            section = tag.find_parent("section")
            heading = f"{kind}: {' '.join(section.find(re.compile('^h[1-4]$')).get_text().split())}"
        else:
            heading = tag.summary.select_one(".sd-summary-text").decode_contents()
        content = [child for child in tag.children if child.name != "summary" and not is_title(child)]
        question = "" if of_exercise or title in FOLDED else f'<p class="question">{heading}</p>'
        left = f'<div id="{here}">{question}<p class="to-answer"><a href="#{there}">{kind}</a></p></div>'
        moved = "".join(map(str, content))
        if tag["class"] and "solution" in tag["class"]:
            moved = f'<div id="{tag["id"]}">{moved}</div>'
        tag.replace_with(BeautifulSoup(left, "html.parser"))
        return f'<div class="answer"><h3 id="{there}"><a href="#{here}">{heading}</a></h3>{moved}</div>'


def is_title(node) -> bool:
    return isinstance(node, Tag) and "admonition-title" in node.get("class", [])


def title_of(tag: Tag) -> str:
    """Return what is written on something that is folded away."""
    title = tag.select_one("summary .sd-summary-text, summary, .admonition-title")
    return " ".join(title.get_text().split()) if title else ""


def imprint() -> str:
    """Return what the title page says below the title."""
    import cnnlib

    return (
        f"<p>Version {cnnlib.__version__}</p><p>Every number and every figure in this book was computed by the code"
        " beside it. The pages in a browser can do more: figures can be taken in hand, and digits drawn.</p>"
        "<p>The code is under the MIT licence, text and figures are under CC BY 4.0.</p>"
    )


def print_pdf(page: Page) -> bytes:
    margin = {"top": "18mm", "bottom": "18mm", "left": "18mm", "right": "18mm"}
    return page.pdf(
        format="A4",
        margin=margin,
        print_background=True,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=FOOTER,
        outline=True,
        tagged=True,
    )


def make(pages: Path, output: Path) -> int:
    """Print the pages to a file, and return the number of sheets."""
    if CHROMIUM is None:
        sys.exit("Error: printing needs Chromium or Chrome, which is not installed here")
    if not (pages / "book" / "index.html").exists():
        sys.exit(f"Error: there is no book in {pages}: run `make book`")
    document = pages / "print.html"
    document.write_text(Book(pages).html(), "utf-8")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"]
            )
            page = browser.new_page(viewport={"width": 720, "height": 1000})
            page.set_default_timeout(600_000)
            page.goto(document.as_uri(), wait_until="load")
            page.wait_for_function("window.MathJax?.startup?.promise")
            page.evaluate("Promise.all([window.MathJax.startup.promise, document.fonts.ready])")
            first = PdfReader(io.BytesIO(print_pdf(page)))
            numbers = {
                name.lstrip("/"): first.get_destination_page_number(place) + 1
                for name, place in first.named_destinations.items()
            }
            page.evaluate(
                "numbers => document.querySelectorAll('.page-number').forEach(link => {"
                " link.textContent = numbers[link.dataset.of]; })",
                numbers,
            )
            printed = print_pdf(page)
            browser.close()
    finally:
        document.unlink()
    writer = PdfWriter(clone_from=io.BytesIO(printed))
    writer.page_mode = "/UseOutlines"
    output.parent.mkdir(parents=True, exist_ok=True)
    writer.write(output)
    return len(writer.pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--output", type=Path, default=ROOT / "_build" / "book.pdf")
    arguments = parser.parse_args()
    sheets = make(arguments.pages.resolve(), arguments.output)
    print(f"The book is in {arguments.output}: {sheets} pages, {arguments.output.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
