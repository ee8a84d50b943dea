"""The two pads in a real browser: JupyterLab with real mouse paths, and the built page, opened from the disk.

Strokes are those of real writers where CNNLIB_DATA has them (pendigits/strokes.json.gz), else the book's own samples.
"""

import base64
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page

import cnnlib
from cnnbook.engine import mixed
from cnnlib.digits.confidence import calibrate, load_rejecter
from cnnlib.digits.sample_drawings import sample_drawings

ROOT = Path(__file__).resolve().parents[2]
REAL_STROKES = Path(os.environ.get("CNNLIB_DATA", "")) / "pendigits" / "strokes.json.gz"
NETWORK = mixed(cnnlib.load_pretrained())  # with the weights that the page has


def drawings(count: int) -> list[list[np.ndarray]]:
    """Return drawings on the canvas of 280 x 280, in whole pixels, as a mouse moves."""
    if REAL_STROKES.is_file():
        with gzip.open(REAL_STROKES) as file:
            records = json.load(file)[:count]
        found = [[np.array(stroke) * 200 + 40 for stroke in record["strokes"]] for record in records]
    else:
        found = sample_drawings(-(-count // 40))[0][:count]
    return [[np.round(stroke) for stroke in drawing] for drawing in found]


def move(page: Page, canvas: Locator, strokes: list[np.ndarray], lift: bool = True) -> None:
    """Draw with the mouse, each point a move."""
    left, top = canvas.evaluate(
        "c => { const box = c.getBoundingClientRect(); return [box.left + c.clientLeft, box.top + c.clientTop]; }"
    )
    for (x, y), *rest in [np.asarray(stroke, float).tolist() for stroke in strokes]:
        page.mouse.move(left + x, top + y)
        page.mouse.down()
        for x, y in rest:
            page.mouse.move(left + x, top + y)
        if lift:
            page.mouse.up()


def touch(page: Page, canvas: Locator, strokes: list[np.ndarray]) -> None:
    """Draw with a finger."""
    box = canvas.bounding_box()
    client = page.context.new_cdp_session(page)

    def send(kind: str, *points: np.ndarray) -> None:
        places = [{"x": box["x"] + float(x), "y": box["y"] + float(y)} for x, y in points]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    for first, *rest in strokes:
        send("touchStart", first)
        for point in rest:
            send("touchMove", point)
        send("touchEnd")


# For every move of the pen, how long it took until the bars changed.
LATENCY = """([canvas, bars]) => {
  let moves = [];
  window.latencies = [];
  for (const kind of ["mousemove", "pointermove"])
    canvas.addEventListener(kind, event => event.buttons && moves.push(performance.now()), true);
  new MutationObserver(() => {
    window.latencies.push(...moves.map(moved => performance.now() - moved));
    moves = [];
  }).observe(bars, {subtree: true, childList: true, characterData: true, attributes: true});
}"""


# The page


@pytest.fixture(scope="module")
def url(missing) -> str:
    path = ROOT / "_build" / "html" / "notebooks" / "15-draw.html"
    if not path.exists():
        missing("the book is not built: run `make book`")
    return path.as_uri()


@pytest.fixture
def page(chromium, url):
    page = chromium.new_page(viewport={"width": 1200, "height": 1000}, reduced_motion="reduce", has_touch=True)
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("requestfailed", lambda request: page.wrong.append(request.url))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or page.wrong.append(request.url))
    page.goto(url)
    page.locator(".dp-canvas").scroll_into_view_if_needed()
    yield page
    assert page.wrong == []
    page.close()


def shown(page: Page) -> tuple[str, list[float]]:
    """Return the page's answer, and what its bars are wide."""
    widths = page.eval_on_selector_all(".dp-bars i", "bars => bars.map(bar => parseFloat(bar.style.width))")
    return page.locator(".dp-answer").inner_text(), widths


def expected(strokes) -> tuple[str, np.ndarray]:
    """Return the digit, and the percentages, of a drawing that looks like a digit."""
    image = cnnlib.rasterize(strokes)[np.newaxis]
    assert cnnlib.looks_like_digit(image).all()
    p = calibrate(NETWORK.predict(image))[0]
    return str(p.argmax()), 100 * p


WAVE = [np.stack([np.arange(40, 240, 4), 140 + 40 * np.sin(np.arange(50))], axis=1)]


def test_page_and_library_agree(page):
    """Images to the last bit, probabilities within 1e-5, and whether it is a digit, for every drawing and pen.

    What is no digit are strokes of several drawings, one over the other, and without their first half.
    """
    strokes = drawings(400)
    strokes = [
        *strokes,
        *[a + [stroke[::-1] for stroke in b] for a, b in zip(strokes[:100], strokes[100:200], strict=True)],
        *[[stroke[len(stroke) // 2 :] for stroke in drawing] for drawing in strokes[:100]],
        WAVE,
        [np.array([[5.0, 5.0]])],
        [np.array([[1.0, 1.0], [1.0, 200.0]]), np.array([[90.0, 3.0]])],
    ]
    pens = [1, 2.5, 2.5, 5]
    code = """([all, pens]) => all.map((strokes, n) => {
      const {image} = cnnlib.digits.preparation(strokes, pens[n % pens.length]);
      const numbers = Float32Array.from([...image, ...digitPad.forward(image).at(-1).data, digitPad.isDigit(image)]);
      return btoa(String.fromCharCode(...new Uint8Array(numbers.buffer)));
    })"""
    answers = page.evaluate(code, [[[stroke.tolist() for stroke in drawing] for drawing in strokes], pens])
    theirs = np.stack([np.frombuffer(base64.b64decode(answer), "<f4") for answer in answers])
    images = np.stack([cnnlib.rasterize(drawing, pens[n % len(pens)]) for n, drawing in enumerate(strokes)])
    assert np.abs(theirs[:, :784].reshape(images.shape) - images).max() <= 1e-6
    assert np.abs(theirs[:, 784:-1] - NETWORK.predict(images)).max() <= 1e-5
    p, threshold = mixed(load_rejecter()).predict(images)[:, 1], load_rejecter().notes["threshold"]
    certain = np.abs(p - threshold) > 1e-5
    assert certain.mean() > 0.99
    assert np.array_equal(theirs[certain, -1], p[certain] >= threshold)
    assert 0.1 < theirs[:, -1].mean() < 0.9
    assert page.evaluate("Math.max(...cnnlib.digits.preparation([], 2.5).image)") == 0


def test_page_reads_what_is_drawn(page):
    canvas = page.locator(".dp-canvas")
    for drawing in drawings(5):
        page.locator(".dp-clear").click()
        move(page, canvas, drawing)
        answer, widths = shown(page)
        assert np.array_equal(np.concatenate(page.evaluate("digitPad.pads[0].strokes")), np.concatenate(drawing))
        assert answer == expected(drawing)[0]
        assert np.abs(np.array(widths) - expected(drawing)[1]).max() < 0.1
        assert f" {answer}, " in page.locator(".dp-status").inner_text()


def test_page_says_that_it_is_no_digit(page):
    assert not cnnlib.looks_like_digit(cnnlib.rasterize(WAVE)[np.newaxis])[0]
    move(page, page.locator(".dp-canvas"), WAVE, lift=False)
    assert "no digit" not in shown(page)[0]  # which is said of finished drawings only
    page.mouse.up()
    assert shown(page)[0] == "? no digit"
    assert page.locator(".dp-status").inner_text().startswith("This does not look like a digit. The most similar one")
    page.locator(".dp-clear").click()
    assert shown(page)[0] == "?"


def test_page_clear_and_undo(page):
    canvas = page.locator(".dp-canvas")
    move(page, canvas, [np.array([[50, 50], [90, 90]]), np.array([[90, 50], [50, 90]])])
    page.locator(".dp-undo").click()
    assert page.evaluate("digitPad.pads[0].strokes.length") == 1
    canvas.focus()
    page.keyboard.press("z")
    assert shown(page) == ("?", [0] * 10)
    move(page, canvas, [np.array([[50, 50], [90, 90]])])
    page.keyboard.press("c")
    assert page.evaluate("digitPad.pads[0].strokes.length") == 0
    page.keyboard.press("Tab")  # the canvas does not hold the focus
    assert page.evaluate("document.activeElement.textContent") == "Clear"


def test_page_leaving_the_canvas_lifts_the_pen(page):
    canvas = page.locator(".dp-canvas")
    move(page, canvas, [np.array([[100, 100], [200, 100], [270, 100], [330, 100], [200, 150], [100, 200]])], lift=False)
    page.mouse.up()
    assert page.evaluate("digitPad.pads[0].strokes.length") == 1
    assert page.evaluate("Math.max(...digitPad.pads[0].strokes.flat(2))") <= 280
    assert page.evaluate("digitPad.pads[0].strokes[0].length") == 3


def test_page_by_touch(page):
    canvas = page.locator(".dp-canvas")
    drawing = drawings(1)[0]
    touch(page, canvas, drawing)
    assert page.evaluate("digitPad.pads[0].strokes.length") == len(drawing)
    assert shown(page)[0] == expected(drawing)[0]
    assert page.evaluate("scrollX") == 0


def test_page_by_keyboard(page):
    """Every digit's first sample can be drawn and is read, without a pen."""
    for digit in range(10):
        page.get_by_role("button", name=f"Draw a sample {digit}").focus()
        page.keyboard.press("Enter")
        assert shown(page)[0] == str(digit)
        assert f" {digit}, " in page.get_by_role("status").first.inner_text()


def test_page_replays_a_sample_stroke_by_stroke(page):
    page.emulate_media(reduced_motion="no-preference")
    page.get_by_role("button", name="Draw a sample 4").click()
    page.wait_for_function("digitPad.pads[0].strokes.flat().length > 3")
    page.wait_for_function("document.querySelector('.dp-status').textContent.includes('a 4')")
    sample = page.evaluate("digitPadNetwork.samples[4][0]")
    assert page.evaluate("digitPad.pads[0].strokes") == sample


def test_page_pen_steps_and_maps(page):
    page.get_by_role("button", name="Draw a sample 8").click()
    code = "cnnlib.digits.preparation(digitPad.pads[0].strokes, digitPad.pads[0].pen).image.reduce((a, b) => a + b)"
    ink = page.evaluate(code)
    page.locator(".dp-pen").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(code) > ink
    for part in ("steps", "maps"):
        page.locator(f".dp-{part} summary").click()
        page.wait_for_function(
            f"""[...document.querySelectorAll('.dp-{part} canvas')].every(canvas =>
              new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size > 10)"""
        )


@pytest.mark.timed
def test_page_is_fast(page):
    """From a move of the pen to changed bars: a frame, in the median."""
    canvas = page.locator(".dp-canvas")
    page.evaluate(f"({LATENCY})([document.querySelector('.dp-canvas'), document.querySelector('.dp-bars')])")
    for drawing in drawings(4):
        page.locator(".dp-clear").click()
        move(page, canvas, drawing)
    latencies = page.evaluate("latencies")
    assert len(latencies) > 20
    assert np.median(latencies) <= 16.7


# JupyterLab


CELL = """import cnnlib
pad = cnnlib.DigitPad()
pad"""


@pytest.fixture(scope="module")
def lab(chromium, tmp_path_factory):
    """JupyterLab, with a notebook of one pad, which has run."""
    folder = tmp_path_factory.mktemp("lab")
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    cells = [{"cell_type": "code", "id": "pad", "metadata": {}, "source": CELL, "outputs": [], "execution_count": None}]
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "pad.ipynb").write_text(json.dumps(notebook), "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("jupyter"), "lab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", "--LabApp.news_url=None"]
    command += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={folder / 'notebooks'}"]
    environment = {f"{name}_DIR": str(folder / name) for name in ("JUPYTER_CONFIG", "JUPYTER_RUNTIME")}
    environment |= {"IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for_server(f"http://127.0.0.1:{port}/api/status", server, folder / "log")
        page = chromium.new_page(viewport={"width": 1200, "height": 1000}, has_touch=True)
        page.goto(f"http://127.0.0.1:{port}/lab/tree/pad.ipynb")
        page.wait_for_function(
            "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'", timeout=60000
        )
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        page.locator(".cnnlib-pad canvas").wait_for(timeout=60000)
        page.wait_for_timeout(500)  # the layout settles
        yield page
        page.close()
    finally:
        server.terminate()
        server.wait(20)


def wait_for_server(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text("utf-8")
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start: {log.read_text('utf-8')}")


@pytest.fixture
def notebook(lab):
    """The page with an empty pad, of an untaught network."""
    undo = lab.get_by_role("button", name="Undo teaching")
    while undo.is_enabled():
        undo.click()
        lab.wait_for_timeout(300)
    lab.get_by_role("button", name="Clear").click()
    said(lab, "The pad is empty.")
    return lab


ANSWERED = re.compile("It reads|This does not look like a digit")


def said(lab: Page, text: str | re.Pattern) -> str:
    """Wait until the pad's message contains a text, and return the message."""
    message = lab.locator(".cnnlib-pad [role=alert]")
    message.filter(has_text=text).wait_for(timeout=20000)
    return message.inner_text()


def ask(lab: Page, expression: str):
    """Evaluate an expression in the kernel, and return its value."""
    code = """async code => {
      const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
      const future = kernel.requestExecute({code: '', user_expressions: {value: code}, silent: true});
      const reply = await future.done;
      return reply.content.user_expressions.value;
    }"""
    value = lab.evaluate(code, f"__import__('json').dumps({expression})")
    assert value["status"] == "ok", value
    return json.loads(value["data"]["text/plain"][1:-1])


def test_notebook_reads_what_is_drawn(notebook):
    canvas = notebook.locator(".cnnlib-pad canvas")
    for drawing in drawings(3):
        notebook.get_by_role("button", name="Clear").click()
        said(notebook, "The pad is empty.")
        move(notebook, canvas, drawing)
        answer, p = expected(drawing)
        said(notebook, f" {answer}, ")
        assert notebook.locator(".cnnlib-result .answer").inner_text().startswith(answer)
        widths = notebook.eval_on_selector_all(".cnnlib-bars i", "bars => bars.map(bar => parseFloat(bar.style.width))")
        assert np.abs(np.array(widths) - p).max() < 0.1


def test_notebook_loses_no_move(notebook):
    """500 moves, as fast as the browser takes them."""
    box = notebook.locator(".cnnlib-pad canvas").bounding_box()
    notebook.mouse.move(box["x"] + 10, box["y"] + 20)
    notebook.mouse.down()
    notebook.mouse.move(box["x"] + 260, box["y"] + 270, steps=500)
    notebook.mouse.up()
    said(notebook, ANSWERED)
    (stroke,) = np.array(ask(notebook, "pad.strokes"))
    expected = np.linspace([10, 20], [260, 270], 501)
    assert len(stroke) == 501
    assert np.abs(stroke - expected).max() <= 1  # a browser's mouse is in whole pixels


def test_notebook_clear_and_undo(notebook):
    canvas = notebook.locator(".cnnlib-pad canvas")
    move(notebook, canvas, [np.array([[50, 50], [90, 90]]), np.array([[90, 50], [50, 90]])])
    notebook.get_by_role("button", name="Undo", exact=True).click()
    said(notebook, ANSWERED)
    assert len(ask(notebook, "pad.strokes")) == 1
    canvas.focus()
    notebook.keyboard.press("z")
    said(notebook, "The pad is empty.")
    notebook.keyboard.press("Tab")
    notebook.wait_for_function("document.activeElement.textContent === 'Steps'")
    canvas.focus()
    notebook.keyboard.press("Shift+Tab")
    notebook.wait_for_function("document.activeElement.textContent === 'Example'")
    notebook.keyboard.press("Enter")
    said(notebook, ANSWERED)


def test_notebook_leaving_the_canvas_lifts_the_pen(notebook):
    canvas = notebook.locator(".cnnlib-pad canvas")
    move(notebook, canvas, [np.array([[100, 100], [60, 100], [20, 100], [-30, 100], [100, 150]])], lift=False)
    notebook.mouse.up()
    said(notebook, ANSWERED)
    assert np.abs(np.array(ask(notebook, "pad.strokes")) - [[[100, 100], [60, 100], [20, 100]]]).max() <= 1


def test_notebook_by_touch(notebook):
    drawing = drawings(1)[0]
    touch(notebook, notebook.locator(".cnnlib-pad canvas"), drawing)
    said(notebook, f" {expected(drawing)[0]}, ")
    assert [len(stroke) for stroke in ask(notebook, "pad.strokes")] == [len(stroke) for stroke in drawing]


def test_notebook_teach(notebook):
    drawing = drawings(1)[0]
    move(notebook, notebook.locator(".cnnlib-pad canvas"), drawing)
    answer = expected(drawing)[0]
    said(notebook, f" {answer}, ")
    wish = str((int(answer) + 3) % 10)
    notebook.locator(".cnnlib-pad button").get_by_text(wish, exact=True).click()
    message = said(notebook, "Learned")
    assert f"now read as a{'n' if wish == '8' else ''} {wish} (" in message
    assert notebook.locator(".cnnlib-result .answer").inner_text().startswith(wish)
    notebook.get_by_role("button", name="Undo teaching").click()
    said(notebook, "as it was before")
    assert notebook.locator(".cnnlib-result .answer").inner_text().startswith(answer)


def test_notebook_steps_and_feature_maps(notebook):
    notebook.get_by_role("button", name="Example").click()
    said(notebook, ANSWERED)
    for name in ("Steps", "Feature maps"):
        notebook.get_by_role("button", name=name).click()
    notebook.get_by_text("16 feature maps").wait_for()
    assert notebook.locator(".cnnlib-pad figure").count() == 6
    for name in ("Steps", "Feature maps"):
        notebook.get_by_role("button", name=name).click()
    notebook.get_by_text("16 feature maps").wait_for(state="detached")


@pytest.mark.timed
def test_notebook_is_fast(notebook):
    """From a move of the pen to changed bars, in the median, with a pen that moves 60 times a second."""
    canvas = notebook.locator(".cnnlib-pad canvas")
    bars = ".cnnlib-pad .widget-html:has(.cnnlib-bars)"
    code = f"({LATENCY})([document.querySelector('.cnnlib-pad canvas'), document.querySelector('{bars}')])"
    notebook.evaluate(code)
    box = canvas.bounding_box()
    notebook.mouse.move(box["x"] + 240, box["y"] + 140)
    notebook.mouse.down()
    for angle in np.linspace(0, 6, 120):
        notebook.mouse.move(box["x"] + 140 + 100 * np.cos(angle), box["y"] + 140 + 100 * np.sin(angle))
        notebook.wait_for_timeout(15)
    notebook.mouse.up()
    latencies = notebook.evaluate("latencies")
    assert len(latencies) > 10
    assert np.median(latencies) <= 100
