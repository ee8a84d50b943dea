"""What holds for every live figure of the book, whoever wrote it: light, fast, usable by everyone, from the disk alone.

A figure takes part as soon as a notebook's stored outputs contain it. That every script error, and everything that a
page asks of another host, fails a test is part of `open_figure`.
"""

import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

import cnnlib
from cnnlib.digits.confidence import load_rejecter

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS, STATIC = ROOT / "notebooks", ROOT / "book" / "_static"
sys.path.append(str(ROOT / "book" / "_ext"))
WIDTHS = (1280, 390)


# What it weighs


@pytest.mark.parametrize("file", sorted(STATIC.glob("figures/*.js")), ids=lambda path: path.stem)
def test_a_figure_s_script_is_small(file):
    assert file.stat().st_size <= 40_000


@pytest.mark.parametrize(("name", "most"), [("cnnlib.js", 60_000), ("digits.js", 40_000), ("live-figure.js", 40_000)])
def test_what_figures_share_is_small(name, most):
    assert (STATIC / name).stat().st_size <= most


def test_every_script_has_its_figure(markup):
    assert {name for _, name in markup} == {path.stem for path in STATIC.glob("figures/*.js")}


def test_the_data_of_a_notebook_are_small(markup):
    """Those of its figures, and of the pad, together."""
    import digit_pad

    pad = len(digit_pad.script(cnnlib.load_pretrained(), load_rejecter()))
    cells = {path.stem: path.read_text("utf-8") for path in NOTEBOOKS.glob("*.ipynb")}
    size = {notebook: pad if ":class: digit-pad" in cells[notebook] else 0 for notebook, _ in markup}
    assert [notebook for notebook, bytes_ in size.items() if bytes_] == ["15-draw"]
    for (notebook, _), html in markup.items():
        size[notebook] += len(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])
    assert {notebook: bytes_ for notebook, bytes_ in size.items() if bytes_ > 400_000} == {}


# How fast it is

# Build the figure that the page has anew, from the markup that it came with.
START = """() => {
  const old = document.querySelector(".live-figure");
  const figure = document.createRange().createContextualFragment(MARKUP).firstChild;
  old.replaceWith(figure);
  const script = document.querySelector("script[src*=figures]");
  return new Promise(done => {
    const again = document.createElement("script");
    again.onload = done;
    again.src = script.src;
    document.head.append(again);
  });
}"""


def test_it_starts_at_once(open_figure, live_figure, markup, work):
    """All that a figure does until it can be used, and its script to read, in less than 100 ms."""
    page = open_figure(*live_figure)
    page.evaluate("markup => { window.MARKUP = markup; }", markup[live_figure])
    assert work(page, START, times=5) < 100


# Move a slider far, and back.
DRAG = """(k, slider) => {
  const [low, high, step] = [+slider.min, +slider.max, +slider.step || 1];
  const share = k % 2 ? k / 11 : 1 - k / 11;
  slider.value = low + Math.round((high - low) * share / step) * step;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}"""


def test_a_drag_answers_within_a_frame(open_figure, live_figure, work):
    page = open_figure(*live_figure)
    slow = {}
    for slider in page.locator(".live-figure input[type=range]:enabled:visible").all():
        if (took := work(page, DRAG, slider.element_handle())) >= 16:
            slow[slider.evaluate("slider => slider.labels[0]?.textContent")] = took
    assert slow == {}


# Where it stands


HEIGHTS = """figure => {
  const reserved = parseFloat(getComputedStyle(figure).minHeight);
  figure.style.minHeight = 0;
  const needed = figure.getBoundingClientRect().height;
  figure.style.minHeight = "";
  return [reserved, needed];
}"""


# Build the figure anew, with a text below it, and return how far what the browser shows has shifted meanwhile.
SHIFTS = f"""async () => {{
  let sum = 0;
  const frames = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  document.querySelector("main").insertAdjacentHTML("beforeend", "<p>What stands below.</p>".repeat(40));
  document.querySelector("main").insertAdjacentHTML("afterbegin", "<p>What stands above.</p>");
  await frames();
  new PerformanceObserver(list => {{ for (const entry of list.getEntries()) sum += entry.value; }})
    .observe({{ type: "layout-shift", buffered: false }});
  await ({START})();
  await frames();
  await new Promise(done => setTimeout(done, 200));
  return sum;
}}"""


def test_nothing_shifts(open_figure, live_figure, markup):
    """The height that is kept free is what the figure needs, so that what stands below stays where it is.

    Then Chromium sees no layout shift, either, when the figure starts between two texts.
    """
    wrong = []
    for width in WIDTHS:
        page = open_figure(*live_figure, width=width)
        reserved, needed = page.locator("figure.live-figure").evaluate(HEIGHTS)
        if not -24 <= reserved - needed <= 120:
            wrong.append(f"in a window of {width} pixels it needs {needed:.0f}; {reserved:.0f} are kept free")
        page.evaluate("markup => { window.MARKUP = markup; }", markup[live_figure])
        if (shift := page.evaluate(SHIFTS)) > 0.01:
            wrong.append(f"in a window of {width} pixels it shifts the page by {shift:.3f}")
    assert wrong == []


def test_a_shift_would_be_seen(open_figure, markup):
    live_figure = ("07-max-pooling", "max-pooling")
    page = open_figure(*live_figure, width=390)
    page.evaluate("markup => { window.MARKUP = markup; }", markup[live_figure].replace("--lf-height", "--lf-none"))
    assert page.evaluate(SHIFTS) > 0.01


OVERFLOW = "document.documentElement.scrollWidth - innerWidth"


USED = ".live-figure :is(button, select, input:is([type=range], [type=checkbox], [type=radio]))"
USE = """element => {
  const tell = () => ["input", "change"].forEach(kind => element.dispatchEvent(new Event(kind, { bubbles: true })));
  if (element.matches("select")) {
    for (const option of [...element.options].reverse()) { element.value = option.value; tell(); }
  } else if (element.matches("[type=range]")) {
    for (const end of [element.min, element.max]) { element.value = end; tell(); }
  } else element.click();
  return new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => resolve(
    element.labels?.[0]?.textContent ?? element.textContent))));
}"""


def test_it_fits_whatever_is_pressed(open_figure, live_figure):
    """Each control is used, at both ends: nothing breaks, nothing is wider than the page, no number is missing."""
    for width in WIDTHS:
        page = open_figure(*live_figure, width=width, calm=True)
        assert page.evaluate(OVERFLOW) <= 0
        for number in range(page.locator(USED).count()):
            control = page.locator(USED).nth(number)
            if not (control.count() and control.is_visible() and control.is_enabled()):
                continue  # another control has put it away
            what = control.evaluate(USE)
            assert page.evaluate(OVERFLOW) <= 0, f"too wide after {what!r}, in a window of {width}"
            text = page.locator(".live-figure .lf-root").inner_text()
            assert re.findall(r"\bundefined\b|\bNaN\b|\[object", text) == [], f"after {what!r}"


# For everyone


def test_without_scripts_there_is_a_picture_and_its_text(open_figure, live_figure):
    page = open_figure(*live_figure, javascript=False)
    still = page.locator("figure.live-figure noscript")
    text = page.locator("figure.live-figure").get_attribute("aria-label")
    assert len(text) > 20
    assert still.locator("p").is_visible() and still.locator("p").text_content() == text
    (image,) = still.locator("img").all()
    assert image.get_attribute("alt") == text
    box = image.bounding_box()
    assert box["width"] > 150 and box["height"] > 40
    assert page.evaluate(OVERFLOW) <= 0


# Without `preload`, axe would ask for the style sheets, which a page from the disk may not.
AXE = {
    "preload": False,
    "resultTypes": ["violations"],
    "rules": {"label-content-name-mismatch": {"enabled": True}},
}


@pytest.mark.timed
def test_axe_finds_nothing(open_figure, live_figure):
    """In light and dark, wide and narrow, nothing that axe-core knows of: no violation of any impact."""
    found = []
    for theme, width in zip(("light", "dark"), WIDTHS, strict=True):
        page = open_figure(*live_figure, theme=theme, width=width)
        for violation in Axe().run(page, options=AXE).response["violations"]:
            places = [node["html"][:200] for node in violation["nodes"]]
            found.append((theme, width, violation["id"], violation["help"], places))
    assert found == []


# The roles that a reader operates, as the browser tells them to a screen reader, and what it calls each.
ROLES = {"button", "slider", "spinbutton", "combobox", "checkbox", "radio", "textbox", "grid", "application", "tab"}


def test_every_control_has_a_name(open_figure, live_figure):
    page = open_figure(*live_figure)
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    roles = [node for node in nodes if not node["ignored"] and node["role"]["value"] in ROLES]
    assert roles, "the figure has nothing to take in hand"
    assert [node for node in roles if not node.get("name", {}).get("value", "").strip()] == []


# Every element that the Tab key must reach, in the order of the document; of buttons to choose one, the chosen.
REACHABLE = """() =>
  [...document.querySelectorAll(".live-figure :is(a[href], button, select, summary, input, [tabindex])")]
  .filter(element => element.tabIndex >= 0 && !element.disabled)
  .filter(element => element.checkVisibility({ visibilityProperty: true }))
  .filter(element => element.type !== "radio" || element.checked)
  .map(element => element.outerHTML.slice(0, 150))"""
FOCUSED = """() => {
  const element = document.activeElement;
  if (!element.closest(".live-figure")) return null;
  const [box, style] = [element.getBoundingClientRect(), getComputedStyle(element)];
  return {
    html: element.outerHTML.slice(0, 150), tabindex: element.tabIndex,
    left: box.left, right: box.right, top: box.top + scrollY, bottom: box.bottom + scrollY,
    seen: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none",
  };
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_tab_leads_through_every_control(open_figure, live_figure, width):
    """In the order of the document, down the page or to the right, each with a visible focus."""
    page = open_figure(*live_figure, width=width, fresh=True)
    expected = page.evaluate(REACHABLE)
    reached = []
    for _ in range(len(expected) + 1):
        page.keyboard.press("Tab")
        if (focused := page.evaluate(FOCUSED)) is None:
            break
        reached.append(focused)
    assert [focused["html"] for focused in reached] == expected
    assert [focused["html"] for focused in reached if not focused["seen"] or focused["tabindex"] > 0] == []
    backward = [
        (first["html"], then["html"])
        for first, then in pairwise(reached)
        if then["bottom"] <= first["top"] and then["left"] < first["right"]
    ]
    assert backward == []


def test_nothing_moves_for_those_who_asked_for_none(open_figure, live_figure):
    page = open_figure(*live_figure, calm=True)
    assert page.evaluate("liveFigure && document.querySelector('.live-figure').liveFigure.calm") is True
    changes = """() => new Promise(resolve => {
      let count = 0;
      new MutationObserver(list => { count += list.filter(one => !one.target.closest?.(".lf-voice")).length; })
        .observe(document.querySelector(".lf-root"), { subtree: true, childList: true, attributes: true });
      setTimeout(() => resolve([count, document.getAnimations().length]), 500);
    })"""
    # What a figure computes once, after its start, may still come in the first of these half seconds.
    assert [0, 0] in (page.evaluate(changes) for _ in range(4))
