"""Live figures in a running notebook: each in a frame of its own, with everything in it, also from a wheel."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from cnnbook.display import live_figure as show

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def frame_of(markup, monkeypatch):
    """Return a function from (notebook, name) to what a notebook shows where no page of the book is made."""
    monkeypatch.delenv("CNNBOOK_PAGE", raising=False)

    def frame(live_figure) -> str:
        html = markup[live_figure]
        data = re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1]
        heights = [int(px) for px in re.search(r"--lf-height: (\d+)px; --lf-height-phone: (\d+)px", html).groups()]
        alt = re.search(r'aria-label="([^"]*)"', html)[1]
        return show(live_figure[1], json.loads(data), alt=alt, height=tuple(heights))._repr_html_()

    return frame


@pytest.fixture
def notebook_page(chromium, tmp_path):
    """Return a function that opens a page that contains a frame, as a notebook does; an error fails the test."""
    contexts, wrong = [], []

    def open_page(frame: str, body: str = "", scheme: str = "light", width: int = 900):
        path = tmp_path / "notebook.html"
        path.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>A notebook</title>'
            f'<meta name="viewport" content="width=device-width"><body {body}><main><h1>A notebook</h1>{frame}</main>',
            "utf-8",
        )
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: request.url == path.as_uri() or foreign(request.url))
        page.goto(path.as_uri())
        page.frame_locator("iframe").locator("figure[data-started]").wait_for()
        return page

    def foreign(url: str) -> None:
        if not url.startswith(("data:", "blob:", "about:")):
            wrong.append(f"asked for {url}")

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.mark.parametrize("width", [900, 390])
def test_a_frame_works(notebook_page, frame_of, live_figure, width):
    """It starts, with the numbers of the page, is as high as what it shows, and asks for no file."""
    page = notebook_page(frame_of(live_figure), width=width)
    inner = page.frames[1]
    assert inner.locator(".lf-root").inner_text().strip()
    page.wait_for_function(
        "() => { const frame = document.querySelector('iframe');"
        " return Math.abs(frame.clientHeight - frame.contentDocument.body.offsetHeight) <= 2; }"
    )
    assert inner.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert inner.evaluate("document.documentElement.scrollHeight <= innerHeight")


THEMES = [  # what JupyterLab says, what the system says, and what it shall be
    ('data-jp-theme-light="false"', "light", "dark"),
    ('data-jp-theme-light="true"', "dark", "light"),
    ("", "dark", "dark"),
    ("", "light", "light"),
]


@pytest.mark.parametrize(("body", "scheme", "theme"), THEMES)
def test_its_colours_are_those_around_it(notebook_page, frame_of, markup, body, scheme, theme):
    page = notebook_page(frame_of(next(iter(markup))), body, scheme)
    root = "document.documentElement"
    assert page.frames[1].evaluate(f"{root}.dataset.theme") == theme
    background = page.frames[1].evaluate(f"getComputedStyle({root}).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 18, 18)"}[theme]
    found = Axe().run(page, options={"preload": False}).response["violations"]
    assert [(each["id"], [node["html"][:150] for node in each["nodes"]]) for each in found] == []
    if body:
        other = "light" if theme == "dark" else "dark"
        page.evaluate("light => { document.body.dataset.jpThemeLight = light; }", str(other == "light").lower())
        page.frames[1].wait_for_function(f"{root}.dataset.theme === '{other}'")


def test_a_sandbox_only_takes_the_height_away(notebook_page, frame_of, markup):
    """Where a notebook lets no frame look outside, the system's colours and the height that was kept free remain."""
    frame = frame_of(next(iter(markup))).replace("<iframe", '<iframe sandbox="allow-scripts"')
    page = notebook_page(frame, 'data-jp-theme-light="false"', "light")
    assert page.frames[1].evaluate("document.documentElement.dataset.theme") == "light"


def scripts(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.suffix in (".js", ".css")}


def test_a_wheel_contains_every_figure(notebook_page, tmp_path, markup):
    """Installed from a wheel, away from this repository, `live_figure` finds the scripts and shows a working frame."""
    source, installed = tmp_path / "source", tmp_path / "installed"
    for folder in ("cnnlib", "book/cnnbook", "book/_static"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, f"--wheel-dir={tmp_path}", "."], cwd=source, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    assert scripts(installed / "cnnbook" / "static") == scripts(ROOT / "book" / "_static") != set()
    notebook, name = next(iter(markup))
    data = re.search(r'<script type="application/json">(.*?)</script>', markup[notebook, name], re.DOTALL)[1]
    code = (
        "import json, sys; from cnnbook import display; "
        f"assert str(display.static_folder()).startswith({str(installed)!r}), display.static_folder(); "
        f"print(display.live_figure({name!r}, json.loads(sys.stdin.read()), alt='A figure')._repr_html_())"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "CNNBOOK_PAGE")}
    environment["PYTHONPATH"] = str(installed)
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, input=data, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    page = notebook_page(answer.stdout)
    assert page.frames[1].locator(".lf-root").inner_text().strip()
