"""Live figures, each on a page of its own: as a notebook has stored it, with the scripts of the book, from the disk."""

import json
import os
import re
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Error, sync_playwright

import cnnlib
from cnnbook.display import scripts_of

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "book" / "_static"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LOCAL = ("file:", "data:", "blob:", "about:")  # what a page may open

# What tests call in a page: the one visible grid whose name holds the label, and its texts. Much quicker than
# page.get_by_role("grid"), and all of a grid in one go.
GRIDS = """
window.gridOf = label => {
  const has = table => table.getAttribute("aria-label").toLowerCase().includes(label.toLowerCase());
  const [table, ...others] = [...document.querySelectorAll("[role=grid]")].filter(t => t.checkVisibility() && has(t));
  if (!table || others.length) throw new Error(`${others.length} more grids than one: ${label}`);
  return table;
};
window.gridTexts = label =>
  [...gridOf(label).rows].map(row => [...row.cells].map(cell => cell.textContent.replaceAll("−", "-")));
"""

# What the theme defines, in light and dark, as far as figures use it.
THEME = """
html { --pst-color-text-base: #14181e; --pst-color-text-muted: #48566b; --pst-color-border: #c9c9c9;
  --pst-color-primary: #1260cc; --pst-color-surface: #f5f5f5; --pst-color-background: #fff;
  background: var(--pst-color-background); color: var(--pst-color-text-base); font: 16px/1.6 sans-serif; }
html[data-theme=dark] { --pst-color-text-base: #ced6dd; --pst-color-text-muted: #9ca4af; --pst-color-border: #48566b;
  --pst-color-primary: #79abef; --pst-color-surface: #29313d; --pst-color-background: #121212; }
main { max-width: 760px; margin: auto; }
"""


def stored_figures(notebook: str) -> dict[str, str]:
    """The markup of every live figure in a notebook's stored outputs, by name."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text("utf-8"))["cells"]
    outputs = (
        "".join(output.get("data", {}).get("text/html", "")) for cell in cells for output in cell.get("outputs", [])
    )
    named = ((re.search(r'data-figure="([\w-]+)"', html), html) for html in outputs)
    return {match[1]: html for match, html in named if match}


def every_figure() -> list[tuple[str, str]]:
    """The notebook and the name of every live figure of the book."""
    notebooks = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    return [(notebook, name) for notebook in notebooks for name in stored_figures(notebook)]


def page_of(notebook: str, name: str, theme: str = "light", head: str = "") -> str:
    """The page of one figure; `head` comes before its scripts."""
    scripts = "".join(
        f'<script defer src="{(STATIC / f"{script}.js").as_uri()}"></script>' for script in scripts_of(name)
    )
    return (
        f'<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{THEME}</style>'
        f'<link rel="stylesheet" href="{(STATIC / "live-figure.css").as_uri()}">{head}{scripts}'
        f"<body><main><h1>{name}</h1>{stored_figures(notebook)[name]}</main>"
    )


@pytest.fixture
def network():
    """The network that comes with the package, with its parameters as pages have them, in float16."""
    network = cnnlib.load_pretrained()
    for array in network.parameters().values():
        array[...] = array.astype(np.float16)
    return network


class Mulberry(np.random.Generator):
    """The generator of the page's engine, mulberry32, for the library: as much of it as fine-tuning needs."""

    def __init__(self, seed: int):
        super().__init__(np.random.PCG64(seed))
        self.seed, self.count = seed, 0

    def numbers(self, shape) -> np.ndarray:
        """The next uniform numbers, from 0 to below 1."""
        places = np.arange(self.count + 1, self.count + 1 + np.prod(shape, dtype=int), dtype=np.uint64)
        self.count += len(places)
        state = (np.uint64(self.seed) + places * np.uint64(0x6D2B79F5)).astype(np.uint32)
        z = (state ^ (state >> np.uint32(15))) * (state | np.uint32(1))
        z ^= z + (z ^ (z >> np.uint32(7))) * (z | np.uint32(61))
        return np.reshape((z ^ (z >> np.uint32(14))) / 2**32, shape)

    def uniform(self, low, high, size):
        return low + (high - low) * self.numbers(size)

    def normal(self, loc, scale, size):
        pairs = self.numbers((*size, 2))
        return loc + scale * np.sqrt(-2 * np.log(1 - pairs[..., 0])) * np.cos(2 * np.pi * pairs[..., 1])

    def integers(self, high, size):
        return np.floor(self.numbers(size) * high).astype(int)

    def permutation(self, x):
        return np.argsort(self.numbers(x), kind="stable")


@pytest.fixture
def mulberry(monkeypatch):
    """The library draws the numbers that the page draws, wherever a seed is given."""
    monkeypatch.setattr(np.random, "default_rng", Mulberry)
    return Mulberry


@pytest.fixture
def work():
    """Return a function that measures the work of a page's own thread: scripts, styles and layout, in milliseconds.

    It is the processor's time, without waiting, so that it hardly depends on what else the machine does. `use` is a
    JavaScript function, of a number that counts and of `argument`; the result is the median over several calls, each
    with the two frames that follow it.
    """

    def measure(page, use, argument=None, *, times=11):
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def spent():
            metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
            return 1000 * sum(metrics[name] for name in ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration"))

        found = []
        for k in range(times):
            before = spent()
            page.evaluate(
                f"""async ([k, argument]) => {{
                  await ({use})(k, argument);
                  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
                }}""",
                [k, argument],
            )
            found.append(spent() - before)
        return statistics.median(found)

    return measure


@pytest.fixture
def figure_page():
    """The function that writes the page of one figure, for tests in other browsers."""
    return page_of


def pytest_generate_tests(metafunc):
    """Run a test that has the argument `live_figure` for every one of them: (notebook, name)."""
    if "live_figure" in metafunc.fixturenames:
        metafunc.parametrize("live_figure", every_figure(), ids=[name for _, name in every_figure()])


@pytest.fixture(scope="session")
def markup():
    """The stored markup of every live figure of the book, by (notebook, name)."""
    return {(notebook, name): stored_figures(notebook)[name] for notebook, name in every_figure()}


@pytest.fixture(scope="session")
def playwright():
    """What starts browsers: there can be one at a time, and it takes a second to start."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def missing():
    """Return a function that skips, but not where skipping would hide that nothing was checked."""
    return pytest.fail if os.environ.get("CI") else pytest.skip


@pytest.fixture(scope="session")
def chromium(playwright, missing):
    if CHROMIUM is None:
        missing("Chromium is not installed")
    arguments = [
        "--no-sandbox",  # as root, in a container, Chromium does not start otherwise
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # there is no other host
    ]
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    yield browser
    browser.close()


class Pages:
    """Pages that are used again, one test after the other, since a new one takes twice as long as what it shows.

    Each has a context of its own; those with the same settings are alike, once they have left what they showed.
    """

    def __init__(self, browser):
        self.browser, self.free, self.used = browser, {}, {}
        self.wrong = []  # what has gone wrong in any page, since the last release

    def take(self, touch: bool, calm: bool, javascript: bool, before: str, fresh: bool):
        settings = touch, calm, javascript, before
        page = self.free[settings].pop() if self.free.get(settings) and not fresh else self.new(*settings)
        self.used[page] = None if fresh else settings
        return page

    def new(self, touch: bool, calm: bool, javascript: bool, before: str):
        context = self.browser.new_context(
            has_touch=touch,
            reduced_motion="reduce" if calm else "no-preference",
            java_script_enabled=javascript,
        )
        context.route(lambda url: not url.startswith(LOCAL), lambda route: route.abort())
        page = context.new_page()
        page.add_init_script(GRIDS + before)
        page.on("request", self.note_foreign)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        return page

    def note_foreign(self, request):
        if not request.url.startswith(LOCAL):
            self.wrong.append(f"asked for {request.url}")

    def release(self) -> list[str]:
        """Empty the pages of a test, and return what has gone wrong in them."""
        wrong = [*self.wrong]
        for page, settings in self.used.items():
            if settings is None:
                page.context.close()
                continue
            try:
                page.goto("about:blank", timeout=5000)
                page.mouse.up()
                page.mouse.move(0, 0)
                self.free.setdefault(settings, []).append(page)
            except Error:  # closed, or busy for ever
                page.context.close()
        self.used = {}
        self.wrong.clear()
        return wrong

    def close(self):
        for page in (*self.used, *(page for pages in self.free.values() for page in pages)):
            page.context.close()


@pytest.fixture(scope="module")
def pages(chromium):
    pages = Pages(chromium)
    yield pages
    pages.close()


@pytest.fixture
def open_figure(pages, tmp_path):
    """Return a function that opens a figure of a notebook: a Playwright page, on which an error fails the test.

    So does whatever the page asks of another host: figures work from the disk, without a network. `before` is a script
    that runs before those of the page. `changes`, for a shorter run, and `open_figure.faults`, for a wrong one, have by
    script a text and what is served in its place. A `fresh` page was not used before: its Tab key begins at the top.

    ``open_figure("07-max-pooling", "max-pooling", width=390, theme="dark", touch=True)``
    """

    def open_page(
        notebook,
        name,
        *,
        width=900,
        height=900,
        theme="light",
        touch=False,
        calm=False,
        javascript=True,
        before="",
        changes=(),
        fresh=False,
    ):
        path = tmp_path / f"{name}.html"
        html = page_of(notebook, name, theme)
        for number, (script, (old, new)) in enumerate([*changes, *open_page.faults.items()]):
            served = (STATIC / f"{script}.js").as_uri()
            source = (STATIC / f"{script}.js").read_text("utf-8")
            if source.count(old) != 1 or served not in html:
                raise ValueError(f"{script}.js, with {source.count(old)} times {old!r}, or not on this page")
            (tmp_path / f"changed-{number}.js").write_text(source.replace(old, new), "utf-8")
            html = html.replace(served, (tmp_path / f"changed-{number}.js").as_uri())
        path.write_text(html, "utf-8")
        page = pages.take(touch, calm, javascript, before, fresh)
        page.set_default_timeout(5000 if open_page.faults else 30_000)  # what a fault prevents is waited for in vain
        page.set_viewport_size({"width": width, "height": height})
        page.goto(path.as_uri())
        return page

    open_page.faults = {}
    yield open_page
    wrong = pages.release()
    assert wrong == [] or open_page.faults
