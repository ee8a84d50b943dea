"""The built book: every page is there, complete, needs no other host, and can be read by everyone.

`make test` builds the book before it comes here. The second half looks at the pages in Chromium.
"""

import gzip
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup, Tag
from PIL import Image
from playwright.sync_api import Browser, Page, Request
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book" / "_ext"))
import execution  # noqa: E402
import my_notebooks  # noqa: E402

from cnnbook.display import scripts_of  # noqa: E402

BOOK = ROOT / "_build" / "html"
PAGES = sorted(parse_toc_yaml(ROOT / "_toc.yml"))
NOTEBOOKS = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]
EVERY_PAGE = [*PAGES, "search", "genindex", "404"]
ARTICLE = "article.bd-article, .bd-search-container"


@pytest.fixture(scope="session", autouse=True)
def book(missing) -> None:
    if not (BOOK / "index.html").exists():
        missing("the book is not built: run `make book`")


def parse_anew(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


parse = cache(parse_anew)


def article(page: str) -> Tag:
    """What the page itself says, without the bars around it."""
    return parse(BOOK / f"{page}.html").select_one(ARTICLE)


# The files


def test_every_chapter_is_in_the_table_of_contents():
    on_disk = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert on_disk == {page for page in PAGES if page.startswith("notebooks/")}


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_page_is_built(page: str):
    assert article(page).get_text().strip()
    assert parse(BOOK / f"{page}.html").html["lang"] == "en"


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_outputs_are_there(page: str):
    """Every code cell whose stored form has an output shows one in the page."""
    notebook = nbformat.read(ROOT / f"{page}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and not tags(cell) & {"remove-cell"}]
    shown = article(page).select("div.cell")
    assert len(shown) == len(cells)
    for cell, div in zip(cells, shown, strict=True):
        if cell.outputs and not tags(cell) & {"remove-output"}:
            output = div.select_one(".cell_output")
            assert output is not None, f"no output below\n{cell.source}"
            assert output.get_text().strip() or output.select("img, svg, canvas, iframe"), f"empty:\n{cell.source}"


def tags(cell: nbformat.NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_stored_form_is_canonical(page: str):
    """Notebooks are stored by `make notebooks`, so that git shows changes of content only."""
    notebook = nbformat.read(ROOT / f"{page}.ipynb", as_version=4)
    assert notebook == execution.canonical(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_no_traceback_and_no_dead_widget(page: str):
    allowed = [
        cell for cell in nbformat.read(ROOT / f"{page}.ipynb", as_version=4).cells if "raises-exception" in tags(cell)
    ]
    assert len(article(page).select(".cell_output .traceback")) == len(allowed)
    assert not article(page).select("script[type*='jupyter.widget']")
    assert "(children=(" not in article(page).get_text()  # what a widget looks like as text


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_nothing_comes_from_another_host(page: str):
    """Links for the reader to follow may lead away; what the browser fetches by itself may not."""
    tags_that_fetch = ["script", "link", "img", "iframe", "source", "video", "audio", "object", "embed"]
    fetched = [
        tag[attribute]
        for tag in parse(BOOK / f"{page}.html").find_all(tags_that_fetch)
        for attribute in ("src", "href", "srcset", "data")
        if tag.get(attribute)
    ]
    assert [url for url in fetched if urlsplit(url).scheme not in ("", "data") or urlsplit(url).netloc] == []


LIVE = "cnnlib.js", "digits.js", "live-figure.js", "digit-pad.js", "digit-pad-network.js"


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_live_scripts_are_loaded_where_they_are_used_and_nowhere_else(page: str):
    """The engine, what figures share, and each figure's file, in this order, once; a pad has its own."""
    soup = parse(BOOK / f"{page}.html")
    sources = [script["src"].partition("?")[0].partition("_static/")[2] for script in soup.select("script[src]")]
    loaded = [source for source in sources if source in LIVE or source.startswith("figures/")]
    names = [figure["data-figure"] for figure in article(page).select("figure.live-figure")]
    figures = [f"{script}.js" for name in names for script in scripts_of(name)]
    pad = [*LIVE[:2], "digit-pad-network.js", "digit-pad.js"] if article(page).select(".digit-pad") else []
    assert sorted(loaded) == sorted({*figures, *pad})
    for group in (pad, *([f"{script}.js" for script in scripts_of(name)] for name in names)):
        assert sorted(group, key=loaded.index) == group
    styles = {Path(urlsplit(link["href"]).path).name for link in soup.select("link[rel=stylesheet]")}
    assert ("live-figure.css" in styles, "digit-pad.css" in styles) == (bool(names), bool(pad))


@pytest.mark.parametrize("page", PAGES)
def test_images_have_alternative_text(page: str):
    assert [image["src"] for image in article(page).select("img") if not image.get("alt", "").strip()] == []
    without = [svg for svg in article(page).select("svg[role=img]") if not (svg.get("aria-label") or svg.find("title"))]
    assert without == []


CHAPTERS = {page: str(int(page.split("/")[1][:2])) for page in NOTEBOOKS if page.split("/")[1][:2].isdigit()}
NUMBERS = CHAPTERS | {"notebooks/all-gradients": "B", "notebooks/broken-gradients": "C", "notebooks/how-we-know": "E"}
NUMBERS["notebooks/fused-convolution"] = "F"


@pytest.mark.parametrize("page", NUMBERS)
def test_a_page_has_the_number_by_which_it_is_called(page: str):
    """On top, in its equations and in its exercises."""
    assert article(page).select_one("h1 .section-number").get_text().strip(" .\u00a0") == NUMBERS[page]
    labels = [number.get_text() for number in article(page).select(".eqno")]
    labels += [
        title.get_text().replace("Exercise ", "(") for title in article(page).select(".exercise .caption-number")
    ]
    assert [label for label in labels if not label.startswith(f"({NUMBERS[page]}.")] == []


@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_raw_markdown(page: str):
    """No table of pipes, no asterisks and no backticks stand in the text, be it written or put out by a cell."""
    found = []
    for text in article(page).find_all(string=True):
        if text.find_parent(["code", "script", "style", "noscript"]) or text.find_parent(class_=["math", "sig"]):
            continue
        table = re.search(r"^\s*\|.*\|\s*$", text, re.MULTILINE)
        in_words = not text.find_parent("pre") and re.search(r"\*\*|`|\]\(", text)
        if table or in_words:
            found.append(text.strip()[:200])
    assert found == []


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\u00a0", " ")).strip()


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_a_notebook_to_download_reads_in_jupyterlab_as_its_page(page: str):
    """It has the same citations and the same numbers of equations, and nothing that only Sphinx understands."""
    notebook = nbformat.read(BOOK / "_sources" / f"{page}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "{cite" not in text and set(re.findall(r"\{eq\}`([^`]+)`", text)) <= set(my_notebooks.labels(text))
    stored = "\n".join(
        cell.source
        for cell in nbformat.read(ROOT / f"{page}.ipynb", as_version=4).cells
        if cell.cell_type == "markdown"
    )
    keys = [key for keys in re.findall(r"\{cite(?::t)?\}`([^`]+)`", stored) for key in keys.split(",")]
    spans = [plain(span.get_text()) for span in article(page).select(".bibtex-citation")]
    cited = [work for span in spans for work in re.split(r"(?<=\d{4}), ", span.replace(" [", ", ").strip("[]"))]
    assert sorted(cited) == sorted(re.match(r"\(\[?(.*?)[\])]", my_notebooks.cite(key))[1] for key in keys)
    numbers = {
        label: plain(article(page).select_one(f"#equation-{label} .eqno").get_text()).strip("()# ¶")
        for label in my_notebooks.labels(text)
    }
    assert numbers == {
        label: f"{NUMBERS[page]}.{number}" for number, label in enumerate(my_notebooks.labels(text), start=1)
    }


@pytest.mark.parametrize("page", PAGES)
def test_ids_are_unique(page: str):
    ids = [tag["id"] for tag in article(page).select("[id]")]
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_links_lead_somewhere(page: str):
    here = BOOK / f"{page}.html"
    broken = []
    for link in parse(here).select("a[href]"):
        url, anchor = urldefrag(link["href"])
        if urlsplit(url).scheme:
            continue
        target = (here.parent / unquote(url)).resolve() if url else here
        if not target.is_file() or (anchor and target.suffix == ".html" and not has_anchor(target, unquote(anchor))):
            broken.append(link["href"])
    assert broken == []


def has_anchor(page: Path, anchor: str) -> bool:
    return parse(page).find(id=anchor) is not None


# What it says to search engines, messengers, and those who cite it


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_page_describes_itself(page: str):
    """In one or two sentences, which are about this page alone."""
    head = parse(BOOK / f"{page}.html").head
    (description,) = (tag["content"] for tag in head.select("meta[name=description]"))
    assert 40 < len(description) <= 204
    assert not re.search(r"[$\\`*]|\s[.,;:]|\[", description.removesuffix(" ..."))
    icon = head.select_one("link[rel=icon]")["href"]
    assert (BOOK / f"{page}.html").parent.joinpath(icon).exists()
    if page in NOTEBOOKS:
        assert description.split(".")[0] in " ".join(article(page).get_text().split())


def test_the_card_is_of_the_size_that_messengers_show():
    with Image.open(BOOK / "_static" / "card.png") as card:
        assert card.size == (1200, 630)
    assert (BOOK / "_static" / "card.png").stat().st_size < 100_000


ADDRESS = "https://github.com/Ada/cnn"
PAGES_ADDRESS = "https://ada.github.io/cnn/"


def traces(page: BeautifulSoup) -> Iterator[str]:
    """What on a page comes from the repository's address."""
    yield from (tag["content"] for tag in page.select("meta[property], meta[name^=twitter]"))
    yield from (tag["href"] for tag in page.select("link[rel=canonical], base"))
    yield from (
        link["href"] for link in page.select(".article-header-buttons a[href^=http], .header-article a[href^=http]")
    )
    yield from (
        block.get_text() for block in page.select("pre") if "git" in block.get_text() or "url" in block.get_text()
    )


FRONT = """# A page

This page is here to be described, and says so.

```{clone-command}
```

```{install-command}
```

```{how-to-cite}
:chapter: 1 A page
```"""


@pytest.mark.parametrize("address", ["", ADDRESS])
def test_one_setting_holds_the_address(tiny: Path, address: str):
    shutil.copy(ROOT / "CITATION.cff", tiny)
    config = (tiny / "_config.yml").read_text("utf-8")
    config, count = re.subn(r'(?m)^(repository:\n  url: )".*"$', rf'\1"{address}"', config)
    assert count == 1
    (tiny / "_config.yml").write_text(config, "utf-8")
    (tiny / "_toc.yml").write_text("{format: jb-book, root: page, chapters: [{file: front}]}")
    (tiny / "front.md").write_text(FRONT, "utf-8")
    result = build(tiny, "print(6 * 7)")
    assert result.returncode == 0, result.stderr
    html = tiny / "_build" / "html"
    page, front, missing = (parse_anew(html / f"{name}.html") for name in ("page", "front", "404"))
    text = front.select_one(ARTICLE).get_text()
    assert "note   = {Version" in text and "chapter 1: A page}" in text
    assert front.select_one("meta[name=description]")["content"] == "This page is here to be described, and says so."
    if not address:
        assert [*traces(page), *traces(front), *traces(missing)] == []
        assert "pip install . jupyterlab" in text
        assert not (html / "sitemap.xml").exists()
        return
    assert f"git clone {ADDRESS}.git\ncd cnn" in text
    assert f'pip install "cnnlib @ git+{ADDRESS}"' in text and f"url    = {{{PAGES_ADDRESS}}}" in text
    found = list(traces(page))
    for start in (
        "https://mybinder.org/v2/gh/Ada/cnn/main?urlpath=lab/tree/page.ipynb",
        "https://colab.research.google.com/github/Ada/cnn/blob/colab/page.ipynb",
        f"{ADDRESS}/edit/main/page.ipynb",
        f"{ADDRESS}/issues/new",
    ):
        assert any(link.startswith(start) for link in found), (start, found)
    assert page.select_one("link[rel=canonical]")["href"] == f"{PAGES_ADDRESS}page.html"
    assert page.select_one("meta[property='og:url']")["content"] == f"{PAGES_ADDRESS}page.html"
    assert page.select_one("meta[property='og:image']")["content"] == f"{PAGES_ADDRESS}_static/card.png"
    assert (html / "_static" / "card.png").exists()
    assert missing.select_one("base")["href"] == PAGES_ADDRESS  # for it stands in for pages in all folders
    sitemap = (html / "sitemap.xml").read_text("utf-8")
    assert re.findall("<loc>(.*)</loc>", sitemap) == [f"{PAGES_ADDRESS}front.html", f"{PAGES_ADDRESS}page.html"]


# How it is built


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A book of one page with one exercise, built as this one is."""
    for folder in ("book", "cnnlib"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("_config.yml", "requirements.txt"):
        shutil.copy(ROOT / file, tmp_path)
    (tmp_path / "_toc.yml").write_text("{format: jb-book, root: page}")
    return tmp_path


PAGE = """# A page
```{exercise} Why?
:label: why
Say why.
```
| ask | a good answer |
|---|---|
| Is it so? | It never is. |
```{solution-start} why
:class: dropdown
```
Because of"""


def build(root: Path, code: str, anew: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Build a page on which `code` is part of the exercise's solution, as `make book` does."""
    if anew:
        shutil.rmtree(root / "_build" / "html", ignore_errors=True)
    new = nbformat.v4
    cells = [new.new_markdown_cell(PAGE), new.new_code_cell(code), new.new_markdown_cell("```{solution-end}\n```")]
    nbformat.write(new.new_notebook(cells=cells), root / "page.ipynb")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--all", "-W", "-n", "--keep-going"]
    environment = {**os.environ, "CNNLIB_OFFLINE": "1", **environment}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def shown(root: Path) -> str:
    return parse_anew(root / "_build" / "html" / "page.html").select_one(ARTICLE).get_text()


@pytest.mark.parametrize("folder", ["cnnlib", "book/cnnbook"])
def test_outputs_follow_the_code(tiny: Path, folder: str):
    """An output that could have changed is computed again, and no other."""
    package = Path(folder).name
    code = f"import time, {package}\nprint(time.time_ns(), getattr({package}, 'ANSWER', 0))"
    assert build(tiny, code).returncode == 0
    first = shown(tiny)
    build(tiny, code)
    assert shown(tiny) == first
    with (tiny / folder / "__init__.py").open("a") as file:
        file.write("ANSWER = 42\n")
    build(tiny, code)
    assert " 42" in shown(tiny)


def test_solutions_can_be_left_out(tiny: Path):
    code = "print(6 * 7)"
    assert build(tiny, code).returncode == 0
    for text in ("Because", "42", "It never is."):
        assert text in shown(tiny)
    assert build(tiny, code, anew=False, SOLUTIONS="0").returncode == 0  # over the pages that have them
    built = [path for path in (tiny / "_build" / "html").rglob("page*") if path.is_file()]
    for text in ("Because", "6 * 7", "It never is."):
        assert [path for path in built if text in path.read_text("utf-8")] == []
    assert "Say why" in shown(tiny) and "Is it so?" in shown(tiny)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print(1 / 0)", "ZeroDivisionError: division by zero"),
        (
            "from ipywidgets import interact\ninteract(lambda a: 1 / (a - a), a=(0, 3));",
            "a function with sliders failed: ZeroDivisionError: division by zero",
        ),
        ("import sys\nprint('something is odd', file=sys.stderr)", "stderr was found in the cell outputs of cell 2"),
    ],
)
def test_what_goes_wrong_in_a_notebook_fails_the_build(tiny: Path, code: str, message: str):
    result = build(tiny, code)
    assert result.returncode != 0
    assert message in re.sub(r"\x1b\[[\d;]*m", "", result.stdout + result.stderr)


# The pages in a browser


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server():
    handler = partial(QuietHandler, directory=BOOK)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def open_page(chromium: Browser, url: str) -> Page:
    """Open a page, wait until it is set, and note in `page.wrong` what went wrong."""
    page = chromium.new_page(viewport=DESKTOP, color_scheme="light")
    page.wrong, page.fetched = [], []

    def note_foreign(request: Request) -> None:
        page.fetched.append(request.url)
        if urlsplit(request.url).scheme not in ("data", "blob") and urlsplit(request.url)[:2] != urlsplit(url)[:2]:
            page.wrong.append(f"asked for {request.url}")

    page.on("request", note_foreign)
    page.on("requestfailed", lambda request: page.wrong.append(f"failed: {request.url}"))
    page.on("response", lambda answer: answer.ok or page.wrong.append(f"{answer.status}: {answer.url}"))
    page.on("pageerror", lambda error: page.wrong.append(f"script error: {error}"))
    page.on("console", lambda message: message.type == "error" and page.wrong.append(f"console: {message.text}"))
    page.goto(url, wait_until="load")
    page.wait_for_function("!document.querySelector('.math') || window.MathJax?.startup?.promise")
    page.evaluate("Promise.all([window.MathJax?.startup?.promise, document.fonts.ready])")
    return page


DESKTOP = {"width": 1400, "height": 900}
PHONE = {"width": 375, "height": 667}


@pytest.fixture(scope="module", params=EVERY_PAGE)
def page(chromium: Browser, request):
    """Each page of the book, opened once for all tests that only look.

    From the disk, where browsers allow pages less than from a server.
    """
    page = open_page(chromium, (BOOK / f"{request.param}.html").as_uri())
    yield page
    page.close()


def check(page: Page) -> None:
    """Expect no request to another host, no failed request, no script error, and every formula set."""
    assert page.wrong == []
    assert page.locator(".math mjx-container").count() == page.locator(".math").count()
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    assert page.evaluate("[...document.fonts].filter(font => font.status === 'error').map(font => font.family)") == []


def test_page_works(page: Page):
    check(page)


WEIGHT = 1_500_000  # bytes


def over_the_wire(path: Path) -> int:
    """How much of a file a server sends that compresses; pictures, which may also stand within a page, do not count."""
    if path.suffix in (".png", ".svg", ".ico"):
        return 0
    content = path.read_bytes()
    if path.suffix == ".html":
        content = re.sub(rb"data:image/[^\"]*", b"", content)
    return len(content) if path.suffix in (".woff", ".woff2") else len(gzip.compress(content, 6))


def test_no_page_is_heavy(page: Page):
    """With the scripts, styles and fonts that it asks for, in a browser that has seen no page before."""
    paths = {Path(unquote(urlsplit(url).path)) for url in page.fetched if url.startswith("file:")}
    weights = sorted(((over_the_wire(path), path.name) for path in paths), reverse=True)
    assert len(paths) > 10
    assert sum(weight for weight, _ in weights) < WEIGHT, weights[:5]


# The text of a page, less what may hold a dollar sign or a backslash as itself: code, and formulas that are set.
RAW_TEXT = """article => {
  const copy = document.querySelector(article).cloneNode(true);
  copy.querySelectorAll('pre, code, script, style, mjx-container').forEach(element => element.remove());
  return copy.textContent;
}"""


def test_no_raw_markup_is_left(page: Page):
    text = page.evaluate(RAW_TEXT, ARTICLE)
    marks = ("$", "\\(", "\\[", "\\begin", "```", ":::", "{ref}", "{eq}", "{numref}", "{term}", "{cite")
    assert [mark for mark in marks if mark in text] == []


# Everything that sticks out of the window, less what scrolls or is cut off within a box that does not stick out.
STICKING_OUT = """article => {
  const inside = element => {
    for (let box = element.parentElement; box && !box.matches(article); box = box.parentElement)
      if (getComputedStyle(box).overflowX !== 'visible' && box.getBoundingClientRect().right <= innerWidth + 1)
        return true;
    return false;
  };
  return [...document.querySelector(article).querySelectorAll('*')]
    .filter(element => element.getBoundingClientRect().right > innerWidth + 1 && !inside(element))
    .map(element => `${element.tagName}.${element.className}`);
}"""


# The display equations that are wider than so many pixels, with their widths.
WIDE_EQUATIONS = """limit => [...document.querySelectorAll("mjx-container[display=true]")]
  .map(box => [Math.round(box.querySelector("mjx-math").getBoundingClientRect().width), box])
  .filter(([width]) => width > limit)
  .map(([width, box]) => `${width}: ${box.querySelector("mjx-assistive-mml")?.textContent.slice(0, 80)}`)"""


def test_equations_fit_a_phone(page: Page):
    page.set_viewport_size(PHONE)
    try:
        page.wait_for_timeout(300)
        assert page.evaluate(WIDE_EQUATIONS, 360) == []
    finally:
        page.set_viewport_size(DESKTOP)


def test_pictures_are_legible_on_a_phone(page: Page):
    """The numbers on their axes, of 18 pixels, keep 7.5; and the text below does not jump when a picture comes."""
    page.set_viewport_size(PHONE)
    try:
        pictures = page.locator(f":is({ARTICLE}) .picture img:visible").evaluate_all(
            "images => images.map(image => [image.offsetWidth, image.naturalWidth, image.offsetHeight / "
            "image.offsetWidth - image.getAttribute('height') / image.getAttribute('width')])"
        )
        assert page.locator("img[src*='_images']:not(.picture img)").count() == 0
        for width, natural, stretched in pictures:
            assert width >= 0.42 * natural - 1 and abs(stretched) < 0.01
    finally:
        page.set_viewport_size(DESKTOP)


def test_no_code_scrolls_on_a_desktop(page: Page):
    wide = (
        "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.textContent.slice(0, 200))"
    )
    assert page.locator("article.bd-article pre").evaluate_all(wide) == []


def test_page_fits_a_phone(page: Page):
    page.set_viewport_size(PHONE)
    try:
        page.wait_for_timeout(300)  # wide formulas now scroll
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate(STICKING_OUT, ARTICLE) == []
    finally:
        page.set_viewport_size(DESKTOP)


# Each piece of text whose contrast with its background is below what WCAG 2.2, level AA, asks for: 4.5, or 3 if large.
FAINT_TEXT = """article => {
  const numbers = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const luminance = colour => {
    const [r, g, b] = colour.map(v => (v /= 255, v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (top, bottom) => {
    const alpha = top[3] ?? 1;
    return [0, 1, 2].map(i => alpha * top[i] + (1 - alpha) * bottom[i]);
  };
  const background = element => {
    if (!element) return [255, 255, 255];
    const colour = numbers(getComputedStyle(element).backgroundColor);
    return (colour[3] ?? 1) === 1 ? colour : over(colour, background(element.parentElement));
  };
  const faint = new Set();
  const walker = document.createTreeWalker(document.querySelector(article), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility({visibilityProperty: true})) continue;
    if (element.closest('mjx-assistive-mml, script, style, svg, a.headerlink')) continue;
    const style = getComputedStyle(element);
    const behind = background(element);
    const [a, b] = [luminance(over(numbers(style.color), behind)), luminance(behind)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const text = walker.currentNode.textContent.trim();
    if (ratio < (large ? 3 : 4.5)) faint.add(`${ratio.toFixed(1)} ${element.tagName}.${element.className}: ${text}`);
  }
  return [...faint];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_can_be_read(page: Page, scheme: str):
    """The page follows the system's colours, text stands out from its background, and so do figures."""
    page.emulate_media(color_scheme=scheme)
    page.add_style_tag(content="* { transition: none !important }")
    page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme, timeout=5000)
    # Live figures mix their colours, which this measure cannot read: axe looks at those, by make test-all.
    hide = "shown => document.querySelectorAll('.live-figure').forEach(figure => { figure.style.display = shown; })"
    page.evaluate(hide, "none")
    faint = page.evaluate(FAINT_TEXT, ARTICLE)
    page.evaluate(hide, "")
    assert faint == []
    filters = page.evaluate(
        "[...document.querySelectorAll('.cell_output img:not(.as-is)')].map(image => getComputedStyle(image).filter)"
    )
    assert set(filters) <= ({"none"} if scheme == "light" else {"invert(0.93) hue-rotate(180deg)"})


AXE = {
    "preload": False,  # it would ask for the style sheets, which a page from the disk may not
    "resultTypes": ["violations"],
    "rules": {"label-content-name-mismatch": {"enabled": True}},
}


# A page of each kind: `make test` looks at these, and `make test-all` at every page.
KINDS = ["book/index", "notebooks/06-convolution-backward", "book/notation", "book/api", "book/references", "search"]
VIEWS = [("light", 1280), ("dark", 390), ("light", 390), ("dark", 1280)]


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_axe_finds_nothing(page: Page, request, scheme: str, width: int):
    """No violation of any impact. What is drawn of a formula is left out: screen readers get its MathML instead."""
    name = request.node.callspec.params["page"]
    if os.environ.get("CNNLIB_TIMES") != "1" and (name not in KINDS or (scheme, width) not in VIEWS[:2]):
        pytest.skip("make test-all looks at every page in every view: CNNLIB_TIMES=1 asks for it")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    try:
        page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
        page.wait_for_timeout(500)  # what scrolls at this width can now be focused
        violations = Axe().run(page, context={"exclude": ["mjx-math"]}, options=AXE).response["violations"]
        found = [(each["id"], each["help"], [node["html"][:200] for node in each["nodes"]]) for each in violations]
        assert found == []
    finally:
        page.set_viewport_size(DESKTOP)


# What scrolls sideways; and which of it the Tab key reaches.
SCROLLING = """article => [...document.querySelectorAll(`${article} *`)]
  .filter(box => box.clientWidth && box.scrollWidth > box.clientWidth + 1)
  .filter(box => /auto|scroll/.test(getComputedStyle(box).overflowX))
  .map(box => [
    box.tabIndex >= 0 || box.querySelector("a[href], button, input, [tabindex='0']") !== null,
    box.outerHTML.slice(0, 100),
  ])
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_what_scrolls_scrolls_by_keyboard_and_nothing_else_takes_the_focus(page: Page, width: int):
    page.set_viewport_size({"width": width, "height": 900})
    try:
        page.wait_for_timeout(500)
        assert [html for reached, html in page.evaluate(SCROLLING, "article.bd-article") if not reached] == []
        idle = "boxes => boxes.filter(box => box.scrollWidth <= box.clientWidth + 1).map(box => box.outerHTML)"
        assert page.locator("[data-scrolls]").evaluate_all(idle) == []
    finally:
        page.set_viewport_size(DESKTOP)


def test_theme_button_changes_the_theme(chromium: Browser, server: str):
    page = open_page(chromium, f"{server}/{PAGES[0]}.html")
    backgrounds = set()
    for _ in range(3):  # from the system's theme to light, dark and back
        page.locator(".theme-switch-button:visible").first.click()
        backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2
    check(page)
    page.close()


def test_solutions_open_by_keyboard(chromium: Browser, server: str):
    name = next((name for name in NOTEBOOKS if article(name).select_one(".solution")), None)
    if name is None:
        pytest.skip("the book is built without solutions")
    page = open_page(chromium, f"{server}/{name}.html")
    solution = page.locator(".solution.dropdown").first
    content = solution.locator("> :nth-child(2)")
    assert not content.is_visible()
    solution.locator("button").first.focus()
    page.keyboard.press("Enter")
    content.wait_for(state="visible")
    check(page)
    page.close()


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("convolution", "Convolution, forward: from loops to im2col"),
        ("max pooling", "Max pooling"),
        ("softmax", "Activations: ReLU, Sigmoid, Softmax"),
        ("dropout", "Glossary: dropout"),
    ],
)
def test_search_finds_a_chapter(chromium: Browser, server: str, query: str, first: str):
    """The chapter about it first, or the glossary; with an excerpt of its text, and not of the buttons around it."""
    page = open_page(chromium, f"{server}/search.html?q={query.replace(' ', '+')}")
    page.wait_for_selector("#search-results li p.context")
    page.wait_for_function("document.querySelector('.search-summary')?.textContent.includes('found')")
    links = page.locator("#search-results li a").all_inner_texts()
    assert re.sub(r"^\d+\. ", "", links[0]) == first
    assert len(links) == len(set(links)) and "D. Glossary" not in links[:5]
    assert [link for link in links if re.search(r"\. (.+) > \1$", link)] == []
    page.wait_for_timeout(500)
    excerpts = page.locator("#search-results li p.context").all_inner_texts()
    assert len(excerpts) > 5 and [text for text in excerpts if ".pdf" in text or "Contents" in text] == []
    typed = page.locator(".bd-search-container input[type=search]")
    glass = page.locator(".bd-search-container .fa-magnifying-glass").bounding_box()
    padding = typed.evaluate("box => parseFloat(getComputedStyle(box).paddingLeft)")
    assert glass["x"] + glass["width"] <= typed.bounding_box()["x"] + padding
    check(page)
    page.close()


def test_front_page_leads_into_the_book(chromium: Browser, server: str):
    page = open_page(chromium, f"{server}/index.html")
    page.wait_for_selector("article h1")
    page.close()


def test_a_page_prints_without_what_paper_cannot_do(chromium: Browser, server: str):
    """No button, no bar, and code that wraps; a live figure is as it stands, without its controls."""
    page = open_page(chromium, f"{server}/notebooks/07-max-pooling.html")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 900})
    shown = "boxes => boxes.filter(box => box.checkVisibility()).map(box => box.outerHTML.slice(0, 80))"
    bars = ".headerlink, .copybtn, .toggle-button, .prev-next-footer, .bd-header-article, .bd-sidebar, .lf-control"
    assert page.locator(bars).evaluate_all(shown) == []
    assert page.locator(".live-figure").first.is_visible()
    wide = (
        "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.textContent.slice(0, 80))"
    )
    assert page.locator("article.bd-article pre:visible").evaluate_all(wide) == []
    page.close()


def test_paper_is_white_and_shows_what_was_folded(chromium: Browser, server: str):
    """Printed from the dark, too; afterwards all is as it was."""
    page = open_page(chromium, f"{server}/notebooks/07-max-pooling.html")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    state = (
        "[document.documentElement.dataset.theme, document.querySelectorAll('main details:not([open])').length, "
        "document.querySelectorAll('main .toggle-hidden').length]"
    )
    before = page.evaluate(state)
    assert before[0] == "dark" and before[1] > 5
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = {state}; }})")
    page.pdf()
    assert page.evaluate("window.printed") == ["light", 0, 0]
    assert page.evaluate(state) == before
    for event in ("beforeprint", "beforeprint", "afterprint", "afterprint"):  # twice, as some browsers say it
        page.evaluate(f"dispatchEvent(new Event('{event}'))")
    assert page.evaluate(state) == before
    page.emulate_media(media="print")
    assert page.locator("article h1").first.is_visible() and not page.locator("#jb-print-docs-body").is_visible()
    page.close()


def test_all_gradients_print_on_two_sheets(chromium: Browser, server: str):
    page = open_page(chromium, f"{server}/notebooks/all-gradients.html")
    margins = dict.fromkeys(("top", "bottom", "left", "right"), "10mm")
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4", margin=margins))) <= 2
    page.close()
