"""The built book's front page: what the book is, for whom and at what cost, and a pad that reads a digit at once."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup

import cnnlib
from cnnlib.digits.confidence import calibrate
from cnnlib.digits.sample_drawings import sample_drawings

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "_build" / "html" / "book" / "index.html"
SCREENS = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(params=SCREENS)
def page(chromium, request):
    """The page, opened from the disk; whatever it asks of another host fails the test."""
    if not PAGE.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("the book is not built: run `make book`")
    phone = request.param == "phone"
    context = chromium.new_context(viewport=SCREENS[request.param], has_touch=phone, reduced_motion="reduce")
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # What is still on its way when the page is loaded anew, or closed, is given up; that is no failure.
    page.on("requestfailed", lambda it: it.failure == "net::ERR_ABORTED" or wrong.append(f"{it.url}: {it.failure}"))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or wrong.append(request.url))
    page.goto(PAGE.as_uri(), wait_until="domcontentloaded")
    page.touch = phone
    yield page
    assert wrong == []  # before the page is closed, which ends requests that are still on their way
    context.close()


def draw(page, strokes) -> None:
    """Draw with mouse or finger, in units of the pad's 280 pixels."""
    left, top, size = page.locator(".dp-canvas").evaluate(
        "c => { const box = c.getBoundingClientRect(); return [box.left + c.clientLeft, box.top + c.clientTop,"
        " c.clientWidth]; }"
    )
    client = page.context.new_cdp_session(page)
    for stroke in strokes:
        points = [(left + x * size / 280, top + y * size / 280) for x, y in np.asarray(stroke, float).tolist()]
        if page.touch:
            kinds = ["touchStart"] + ["touchMove"] * (len(points) - 1)
            for kind, (x, y) in zip(kinds, points, strict=True):
                client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
            client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        else:
            page.mouse.move(*points[0])
            page.mouse.down()
            for point in points[1:]:
                page.mouse.move(*point)
            page.mouse.up()


def test_a_digit_is_read_within_five_seconds(page):
    """On the first screen, without scrolling; the answer and its probability are the library's.

    The seconds are those that the page computes, of which a busy machine has no more than a quiet one; drawing a digit
    takes a reader another two or three.
    """
    network = cnnlib.load_pretrained()
    drawings, labels = sample_drawings()
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.reload(wait_until="domcontentloaded")
    box = page.locator(".digit-pad").bounding_box()
    assert box["y"] + box["height"] <= page.viewport_size["height"]
    assert box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"]
    for digit in (7, 3):
        page.get_by_role("button", name="Clear").click()
        draw(page, drawings[int((labels == digit).argmax())])
        assert page.locator(".dp-answer").inner_text() == str(digit)
        if digit == 7:
            metrics = {one["name"]: one["value"] for one in client.send("Performance.getMetrics")["metrics"]}
            assert 0 < metrics["TaskDuration"] < 2
        strokes = [np.array(stroke) for stroke in page.evaluate("digitPad.pads[0].strokes")]
        p = calibrate(network.predict(cnnlib.rasterize(strokes)[np.newaxis]))[0]
        assert p.argmax() == digit
        shown = page.locator(".dp-bars i").evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
        assert np.abs(np.array(shown) - 100 * p).max() < 0.1
        assert f"a {digit}, " in page.locator(".dp-status").inner_text()


def test_the_pad_works_by_keyboard(page):
    for digit in (0, 9):
        page.get_by_role("button", name=f"Draw a sample {digit}").focus()
        page.keyboard.press("Enter")
        assert page.locator(".dp-answer").inner_text() == str(digit)
    page.get_by_role("button", name="Clear").focus()
    page.keyboard.press("Space")
    assert page.locator(".dp-answer").inner_text() == "?"


def test_nothing_shifts_and_nothing_overflows(page):
    """The pad's place is kept free; and what it does not need is not seen."""
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    pad = page.locator(".digit-pad")
    height = pad.bounding_box()["height"]
    assert height == pad.evaluate("pad => parseFloat(getComputedStyle(pad).minHeight)")
    page.get_by_role("button", name="Draw a sample 8").click()
    assert pad.bounding_box()["height"] == height
    assert not page.locator(".dp-steps, .dp-maps, .dp-pen, .dp-undo").locator("visible=true").count()
    for button in pad.get_by_role("button").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_the_sentence_beside_it(page):
    """What the book is, for whom, and what it costs: the hours are those that its chapters say."""
    sentence = page.locator(".welcome > p").inner_text()
    assert "free book" in sentence and "Python" in sentence
    hours = [0.0, 0.0]
    for path in sorted((ROOT / "notebooks").glob("[01]*.ipynb"))[:15]:
        minutes = re.search(r"\*\*Time:\*\* (\d+)\D+?(\d+) to do", path.read_text("utf-8").replace('\\n",\n    "', " "))
        hours = [hour + int(part) / 60 for hour, part in zip(hours, minutes.groups(), strict=True)]
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    read, do = (words[round(hour)] for hour in hours)
    assert f"about {read} hours to read, and {do} more" in sentence, f"{hours} hours"


def test_where_to_go_from_here(page):
    """One link to begin with, one to what is wanted at once; there, each step from nothing to a citation."""
    begin = page.locator("p", has_text="Begin with chapter 1")
    assert page.touch or begin.bounding_box()["y"] + begin.bounding_box()["height"] <= page.viewport_size["height"]
    hrefs = begin.get_by_role("link").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert hrefs == ["../notebooks/01-fundamental-concepts.html", "what-you-can-do.html"]
    begin.get_by_role("link").last.click()
    text = page.locator("article").inner_text()
    steps = ["cnnlib train", "cnnlib predict my-digit.png --model models/lenet5.npz", "A photograph", "@misc{"]
    assert sorted(steps, key=text.index) == steps
    way = page.get_by_role("link", name="as the front page says")
    way.click()
    assert page.url.endswith("book/index.html#how-to-run-it")
    assert "make lab" in page.locator("#how-to-run-it").inner_text()


def test_only_pages_with_a_pad_load_the_network(page):
    loads = sorted(
        path.relative_to(ROOT / "_build" / "html").as_posix()
        for path in (ROOT / "_build" / "html").rglob("*.html")
        if "digit-pad-network.js" in path.read_text("utf-8")
    )
    assert loads == ["book/index.html", "notebooks/15-draw.html"]
    scripts = BeautifulSoup(PAGE.read_text("utf-8"), "html.parser").select(
        "script[src*=digit-pad], script[src*=cnnlib]"
    )
    assert len(scripts) == 3
    assert all(script.get("defer") is not None for script in scripts)


def test_without_scripts_the_text_says_what_would_stand_there(chromium):
    if not PAGE.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("the book is not built: run `make book`")
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(PAGE.as_uri())
    assert "you draw a digit" in page.locator(".digit-pad noscript").inner_text()
    context.close()
