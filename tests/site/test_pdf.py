"""The printed book: a small one of two pages, whose parts are all where they belong."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from pypdf import PdfReader

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("make_pdf", ROOT / "scripts" / "make_pdf.py")
make_pdf = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_pdf)

SIDE_BAR = """<nav class="bd-links"><p><span class="caption-text">First part</span></p>
<a href="../notebooks/01-one.html">1. One</a></nav>"""
MATH = '<script>window.MathJax = {"options": {"enableMenu": false}}</script>'
FRONT = f"""<html><head>{MATH}<link rel="stylesheet" href="../_static/book.css"></head><body>{SIDE_BAR}
<article class="bd-article"><h1>The title<a class="headerlink">#</a></h1>
<p>See <a href="../notebooks/01-one.html#eq">the equation</a>, <a href="../search.html">search</a>
and <a href="https://example.org">another place</a>.</p></article></body></html>"""
CHAPTER = r"""<html><body><article class="bd-article"><section id="one"><h1>1. One</h1>
<p id="eq"><span class="math">\(x^2\)</span></p>
<details class="admonition hide below-input"><summary>Show code cell output</summary><p>An output</p></details>
<section id="check-yourself"><h2>Check yourself</h2>
<details class="sd-dropdown"><summary><span class="sd-summary-text">Why is it so?</span></summary>
<p>Because.</p></details>
</section>
<figure class="live-figure" data-figure="x"><noscript><img alt="A still" src="../_images/still.png"></noscript></figure>
<div class="exercise" id="ex"><p class="admonition-title"><span class="caption-number">Exercise 1.1</span> (Count)</p>
<details class="sd-dropdown"><summary><span class="sd-summary-text">Hint</span></summary>
<p>With fingers.</p></details></div>
<div class="solution dropdown admonition" id="sol"><p class="admonition-title">Solution</p><p>It is seven.</p></div>
<p>After it.</p></section></article></body></html>"""


@pytest.fixture
def pages(tmp_path):
    for name, html in {"book/index": FRONT, "notebooks/01-one": CHAPTER}.items():
        path = tmp_path / f"{name}.html"
        path.parent.mkdir(exist_ok=True)
        path.write_text(html, "utf-8")
    (tmp_path / "_static").mkdir()
    for name in ("logo.svg", "book.css"):
        shutil.copy(ROOT / "book" / "_static" / name, tmp_path / "_static")
    source = importlib.util.find_spec("sphinx-mathjax-offline")
    shutil.copytree(Path(source.origin).parent / "static" / "mathjax", tmp_path / "_static" / "mathjax")
    (tmp_path / "_images").mkdir()
    shutil.copy(ROOT / "book" / "_static" / "card.png", tmp_path / "_images" / "still.png")
    return tmp_path


def test_all_pages_become_one_document(pages):
    soup = BeautifulSoup(make_pdf.Book(pages).html(), "html.parser")
    front, chapter, last = soup.select("article")
    links = {link.get_text(): link.get("href") for link in front.select("a")}
    assert links == {"the equation": "#p1-eq", "search": None, "another place": "https://example.org"}
    assert soup.find(id="p1-eq").get_text() == r"\(x^2\)"
    assert not chapter.select(".solution, details, .live-figure") and "An output" in chapter.get_text()
    assert chapter.select_one("img")["src"] == "_images/still.png"
    for gone in ("Because", "With fingers", "It is seven", "Show code cell"):
        assert gone not in chapter.get_text()
    assert "Why is it so?" in chapter.get_text() and "After it." in chapter.get_text()
    titles = [title.get_text() for title in last.select("h3")]
    assert titles == ["Why is it so?", "Hint, exercise 1.1", "Solution, exercise 1.1"]
    anchors = {tag["id"] for tag in soup.select("[id]")}
    inner = [link["href"][1:] for link in soup.select("a[href^='#']")]
    assert [anchor for anchor in inner if anchor not in anchors] == []


def test_the_document_is_printed_with_page_numbers_and_links(pages, chromium, tmp_path):
    arguments = [f"--pages={pages}", f"--output={tmp_path / 'book.pdf'}"]
    command = [sys.executable, ROOT / "scripts" / "make_pdf.py", *arguments]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    reader = PdfReader(tmp_path / "book.pdf")
    texts = [page.extract_text() for page in reader.pages]
    assert "book.pdf: 5 pages" in said and len(texts) == 5  # title, contents, front page, chapter, answers
    assert [entry.title for entry in reader.outline if not isinstance(entry, list)]
    lines = [line.split() for line in texts[1].splitlines()]
    assert ["1.", "One", "4"] in lines and lines[-2][-1] == "5"
    assert "It is seven." in texts[4] and "It is seven." not in texts[3]
    links = [link.get_object() for link in reader.pages[1]["/Annots"]]
    assert len(links) == 6 and all("/Dest" in link for link in links)
    assert not (pages / "print.html").exists()


def test_a_picture_keeps_its_shape_whatever_size_the_page_gives(pages, chromium):
    path = pages / "notebooks" / "01-one.html"
    wide = '<img alt="Wide" src="../_images/still.png" width="2400" height="1260"><p>After it.'
    path.write_text(path.read_text("utf-8").replace("<p>After it.", wide), "utf-8")
    (pages / "whole.html").write_text(make_pdf.Book(pages).html(), "utf-8")
    page = chromium.new_page(viewport={"width": 700, "height": 900})
    page.goto((pages / "whole.html").as_uri())
    shapes = page.locator("article img").evaluate_all(
        "images => images.map(image => [image.width / image.height, image.naturalWidth / image.naturalHeight])"
    )
    assert len(shapes) == 2 and all(abs(drawn / natural - 1) < 0.01 for drawn, natural in shapes)
    page.close()


def test_what_is_missing_is_said(tmp_path):
    if make_pdf.CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with pytest.raises(SystemExit, match="run `make book`"):
        make_pdf.make(tmp_path, tmp_path / "book.pdf")
