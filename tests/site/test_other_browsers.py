"""The two other engines that readers have, Firefox and WebKit: every live figure starts, and can be taken in hand.

Long, so they run where CNNLIB_ALL_BROWSERS is 1 (`make test-all`); there a missing browser is a failure. On Debian:
`apt-get install firefox-esr webkit2gtk-driver xvfb`. Firefox is driven over WebDriver BiDi, its own protocol, without a
driver between; WebKit by selenium and WebKitWebDriver, on a screen that Xvfb makes.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnbook.engine import mixed
from cnnlib.digits.confidence import calibrate, load_rejecter
from cnnlib.digits.sample_drawings import sample_drawings

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "book" / "_static"
sys.path.append(str(ROOT / "book" / "_ext"))

pytestmark = pytest.mark.skipif(
    os.environ.get("CNNLIB_ALL_BROWSERS") != "1", reason="these tests are long: CNNLIB_ALL_BROWSERS=1 runs them"
)

NOTE_ERRORS = """<script>
window.wrong = [];
addEventListener("error", event => wrong.push(`${event.message || "could not load"} ${event.target.src ?? ""}`), true);
addEventListener("unhandledrejection", event => wrong.push(String(event.reason)));
</script>"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def needed(*programs: str) -> str:
    """The path of the first of these programs that there is; none is a failure."""
    found = next(filter(None, map(shutil.which, programs)), None)
    assert found, f"{' or '.join(programs)} is missing, see the top of {Path(__file__).name}"
    return found


class Firefox:
    """Firefox, headless: the few commands of WebDriver BiDi that the tests need."""

    def __init__(self, folder: Path):
        import websocket

        port = free_port()
        command = [needed("firefox-esr", "firefox"), "--headless", "--no-remote", f"--remote-debugging-port={port}"]
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--profile", str(folder)], stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)}
            )
        for _ in range(600):
            assert self.process.poll() is None, (folder / "log").read_text("utf-8")
            try:
                self.socket = websocket.create_connection(
                    f"ws://127.0.0.1:{port}/session", timeout=120, suppress_origin=True
                )
                break
            except OSError:
                time.sleep(0.2)
        else:
            self.process.kill()
            pytest.fail((folder / "log").read_text("utf-8"))
        self.count = 0
        self.send("session.new", capabilities={})
        self.context = self.send("browsingContext.create", type="tab")["context"]

    def send(self, method: str, **params) -> dict:
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": params}))
        while (answer := json.loads(self.socket.recv())).get("id") != self.count:
            pass  # an event
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, url: str) -> None:
        self.send("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def evaluate(self, expression: str):
        result = self.send(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then(value => JSON.stringify(value ?? null))",
            target={"context": self.context},
            awaitPromise=True,
        )
        assert result["type"] == "success", result["exceptionDetails"]["text"]
        return json.loads(result["result"]["value"])

    def perform(self, actions: list[dict]) -> None:
        self.send("input.performActions", context=self.context, actions=actions)

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)


class WebKit:
    """WebKitGTK's small browser, on a screen of its own."""

    def __init__(self, folder: Path):
        from selenium import webdriver

        browsers = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
        assert browsers, "WebKit's MiniBrowser is missing"
        driver = needed("WebKitWebDriver")
        number = next(n for n in range(90, 200) if not Path(f"/tmp/.X11-unix/X{n}").exists())
        self.screen = subprocess.Popen(
            [needed("Xvfb"), f":{number}", "-screen", "0", "1400x1000x24"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        options = webdriver.WebKitGTKOptions()
        options.binary_location = str(browsers[-1])
        options.add_argument("--automation")
        environment = {**os.environ, "DISPLAY": f":{number}", "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1"}
        environment |= {"HOME": str(folder), "LIBGL_ALWAYS_SOFTWARE": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1"}
        try:
            service = webdriver.webkitgtk.service.Service(executable_path=driver, env=environment)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of selenium, about itself
                self.driver = webdriver.WebKitGTK(options=options, service=service)
        except BaseException:
            self.screen.kill()
            self.screen.wait()
            raise
        self.driver.set_window_size(1000, 900)

    def open(self, url: str) -> None:
        self.driver.get(url)

    def evaluate(self, expression: str):
        code = (
            "const done = arguments[arguments.length - 1];"
            f"Promise.resolve({expression}).then(value => done(JSON.stringify(value ?? null)), e => done(`✗${{e}}`))"
        )
        answer = self.driver.execute_async_script(code)
        assert not answer.startswith("✗"), answer
        return json.loads(answer)

    def perform(self, actions: list[dict]) -> None:
        from selenium.webdriver.remote.command import Command

        self.driver.execute(Command.W3C_ACTIONS, {"actions": actions})
        self.driver.execute(Command.W3C_CLEAR_ACTIONS)

    def close(self) -> None:
        self.driver.quit()
        self.screen.terminate()
        self.screen.wait(30)


@pytest.fixture(scope="module", params=[Firefox, WebKit], ids=["firefox", "webkit"])
def browser(request, tmp_path_factory):
    browser = request.param(tmp_path_factory.mktemp(request.param.__name__))
    yield browser
    browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Return a function that opens a page, written to a file, in the browser; a script error fails the test."""

    def open_file(text: str):
        path = tmp_path / "page.html"
        path.write_text(text, "utf-8")
        browser.open(path.as_uri())
        wait(browser, "document.readyState === 'complete'")
        return browser

    yield open_file
    assert browser.evaluate("window.wrong") == []


def wait(browser, condition: str) -> None:
    for _ in range(200):
        if browser.evaluate(condition):
            return
        time.sleep(0.1)
    pytest.fail(f"not so after 20 seconds: {condition}")


def place(browser, element: str, x: float = 0.5, y: float = 0.5) -> tuple[int, int]:
    """A point of an element in the window, as shares of its width and height; it is scrolled into view."""
    box = browser.evaluate(
        f"(() => {{ const e = {element}; e.scrollIntoView({{ block: 'center', behavior: 'instant' }});"
        " const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()"
    )
    return round(box[0] + x * box[2]), round(box[1] + y * box[3])


def mouse(browser, strokes) -> None:
    """Press the button at the first point of each stroke, move along it, and let go."""
    actions = []
    for first, *rest in strokes:
        step = {"type": "pointerMove", "duration": 10}
        actions.append({**step, "x": first[0], "y": first[1]})
        actions.append({"type": "pointerDown", "button": 0})
        actions.extend({**step, "x": x, "y": y} for x, y in rest)
        actions.append({"type": "pointerUp", "button": 0})
    browser.perform([{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}])


def press(browser, *keys: str) -> None:
    actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
    browser.perform([{"type": "key", "id": "keyboard", "actions": actions}])


ENTER, ARROW_LEFT, ARROW_RIGHT, ARROW_DOWN = "\ue007", "\ue012", "\ue014", "\ue015"


def test_every_figure_starts(open_page, figure_page, live_figure):
    """Without a script error, no wider than the page; and each of its sliders can be moved by the keyboard."""
    browser = open_page(figure_page(*live_figure, head=NOTE_ERRORS))
    wait(browser, "document.querySelector('figure.live-figure').dataset.started === 'yes'")
    assert browser.evaluate("document.querySelector('.lf-root').innerText.trim().length") > 0
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sliders = "[...document.querySelectorAll('.lf-root input[type=range]:enabled')].filter(e => e.checkVisibility())"
    for n in range(browser.evaluate(f"{sliders}.length")):
        slider = f"{sliders}[{n}]"
        if browser.evaluate(f"+{slider}.value >= +{slider}.max"):
            browser.evaluate(f"({slider}.value = {slider}.min) && 0")
        before = browser.evaluate(f"({slider}.focus(), {slider}.value)")
        press(browser, ARROW_RIGHT)
        wait(browser, f"{slider}?.value !== {before!r}")
    assert browser.evaluate("wrong") == []


# What shows that a number is taken in: everything but the control itself.
REST = """(control => JSON.stringify(
  [...document.querySelectorAll(".lf-root :is(td, p, li, text, path, rect, canvas, output)")]
  .filter(element => !control.contains(element))
  .map(element => element.matches("canvas") ? element.toDataURL() : element.outerHTML)))"""
WRONG = "document.querySelectorAll('.lf-root .lf-wrong').length"

# What is used where a figure has no number to type and no slider, or where these change nothing at once: a button.
BUTTONS = {
    **{"training": "one step", "training-step": "One layer only", "fine-tuning": "٧"},
    **{"overfitting": "Train", "transfer": "Train", "segmentation": "empty"},
}


def change_a_number(browser, name: str) -> str:
    """Type one into the first grid that takes it, else use a field, a slider or a button; return what must come."""

    def note(control: str) -> str:
        browser.evaluate(f"(window.before = {REST}({control}), 0)")
        return f"{REST}({control}) !== window.before"

    if name in BUTTONS:
        found = f"[...document.querySelectorAll('.lf-root button')].find(e => e.textContent === {BUTTONS[name]!r})"
        browser.evaluate(f"(window.pressed = {found}, 0)")  # its text may change when it is pressed
        button = "window.pressed"
        if name == "training":
            wait(browser, "document.querySelector('.lf-status').textContent.startsWith('Step 0')")
        changed = note(button)
        mouse(browser, [[place(browser, button)]])
        return changed
    grids = "[...document.querySelectorAll('.lf-root table.lf-matrix')].filter(e => e.querySelector('td[tabindex]'))"
    for n in range(browser.evaluate(f"{grids}.length")):
        grid = f"{grids}[{n}]"
        changed = note(grid)
        browser.evaluate(f"({grid}.querySelector('td[tabindex=\"0\"]').focus(), 0)")
        press(browser, "4")
        if browser.evaluate(f"Boolean({grid}.querySelector('input'))"):
            press(browser, ".", "5", ENTER)
            return changed
    inputs = "'.lf-root input:is([type=range], [type=number], [type=text]):enabled'"
    field = f"[...document.querySelectorAll({inputs})].filter(e => e.checkVisibility())[0]"
    if browser.evaluate(f"{field} === undefined"):  # all that can be done is to choose another number
        press(browser, ARROW_DOWN)
        return changed
    changed = note(f"{field}.parentElement")
    browser.evaluate(f"({field}.focus(), 0)")
    if browser.evaluate(f"{field}.type") == "range":
        press(browser, ARROW_LEFT if browser.evaluate(f"+{field}.value >= +{field}.max") else ARROW_RIGHT)
    else:
        press(browser, "4", ENTER)
    return changed


def test_a_number_is_changed_in_every_figure(open_page, figure_page, live_figure):
    """By mouse or keyboard, as a reader does: something else in the figure changes, and no check turns red."""
    browser = open_page(figure_page(*live_figure, head=NOTE_ERRORS))
    wait(browser, "document.querySelector('figure.live-figure').dataset.started === 'yes'")
    wrong = browser.evaluate(WRONG)
    wait(browser, change_a_number(browser, live_figure[1]))
    if live_figure[1] not in ("training", "your-gradient"):  # there, a network or a reader may be wrong
        assert browser.evaluate(WRONG) <= wrong
    assert browser.evaluate("wrong") == []


MAX_POOLING = ("07-max-pooling", "max-pooling")


def grid(name: str) -> str:
    return f"document.querySelector('table[aria-label^={json.dumps(name)}]')"


def numbers(browser, name: str) -> np.ndarray:
    rows = browser.evaluate(f"[...{grid(name)}.rows].map(row => [...row.cells].map(cell => cell.textContent))")
    return np.array([[float(text.replace("−", "-")) for text in row] for row in rows])


def test_a_number_is_typed_and_a_slider_dragged(open_page, figure_page):
    """And what the figure then shows is what the library computes."""
    browser = open_page(figure_page(*MAX_POOLING, head=NOTE_ERRORS))
    wait(browser, "document.querySelector('figure.live-figure').dataset.started === 'yes'")
    cell = f"{grid('x,')}.rows[1].cells[2]"
    mouse(browser, [[place(browser, cell)]])
    press(browser, *"-2.5", ENTER)
    wait(browser, f"{cell}.textContent === '−2.5'")
    for stride, share in ((3, 0.98), (1, 0.02)):
        slider = "document.querySelectorAll('.lf-root input[type=range]')[1]"
        now = browser.evaluate(f"(+{slider}.value - {slider}.min) / ({slider}.max - {slider}.min)")
        start, end = place(browser, slider, 0.06 + 0.88 * now), place(browser, slider, share)
        mouse(browser, [[start, *[(round(x), start[1]) for x in np.linspace(start[0], end[0], 8)]]])
        wait(browser, f"{slider}.value === '{stride - 1}'")
        x, dy = numbers(browser, "x,"), numbers(browser, "dy,")
        layer = cnnlib.MaxPooling(2, stride)
        np.testing.assert_array_equal(numbers(browser, "y,"), layer.forward(x[None, None])[0, 0])
        np.testing.assert_array_equal(numbers(browser, "dx,"), layer.backward(dy[None, None])[0, 0])


def test_the_pad_reads_a_7(open_page, tmp_path):
    """Drawn with the mouse; its answer is the library's."""
    import digit_pad

    network = cnnlib.load_pretrained()
    (tmp_path / digit_pad.NETWORK).write_text(digit_pad.script(network, load_rejecter()), "utf-8")
    scripts = [STATIC / "cnnlib.js", STATIC / "digits.js", tmp_path / digit_pad.NETWORK, STATIC / "digit-pad.js"]
    browser = open_page(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>A pad</title>'
        f'<link rel="stylesheet" href="{(STATIC / "digit-pad.css").as_uri()}">{NOTE_ERRORS}'
        + "".join(f'<script defer src="{script.as_uri()}"></script>' for script in scripts)
        + '<body><div class="digit-pad small" role="group" aria-label="Draw a digit"></div>'
    )
    wait(browser, "window.digitPad?.pads.length === 1")
    drawings, labels = sample_drawings()
    canvas = "document.querySelector('.dp-canvas')"
    (left, top), (right, bottom) = place(browser, canvas, 0, 0), place(browser, canvas, 1, 1)
    for digit in (7, 3):
        browser.evaluate("digitPad.pads[0].clear()")
        drawing = drawings[int((labels == digit).argmax())]
        scale = np.array([right - left, bottom - top]) / 280
        mouse(browser, [np.round(np.asarray(stroke) * scale + [left, top]).astype(int).tolist() for stroke in drawing])
        wait(browser, f"document.querySelector('.dp-answer').textContent === '{digit}'")
        strokes = [np.array(stroke) for stroke in browser.evaluate("digitPad.pads[0].strokes")]
        p = calibrate(mixed(network).predict(cnnlib.rasterize(strokes)[np.newaxis]))[0]
        shown = browser.evaluate("[...digitPad.pads[0].probabilities]")
        np.testing.assert_allclose(shown, p, atol=1e-5)
