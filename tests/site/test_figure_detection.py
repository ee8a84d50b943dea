"""Chapter 19's live figure: the scene is drawn, read and decoded as in cnnlib, whatever moves it."""

import numpy as np
import pytest
from PIL import Image

from cnnbook import detection as chapter
from cnnbook import engine
from cnnlib.digits.detection import decode

FIGURE = ("19-detection", "detection")
FIG = "document.querySelector('figure').liveFigure"


def page_network():
    """The network as the page has it, in 8 bits."""
    return engine.in_8_bits(chapter.EXPERIMENTS["detection"].load("detection")["detector"])


@pytest.fixture(scope="module")
def network():
    return page_network()


def settled(page):
    """What the figure knows, once the answer to its last scene is there."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_function(f"{FIG}.state?.found && {FIG}.settled()", timeout=60_000)
    state = page.evaluate(
        f"({{ x: [...{FIG}.state.x], y: [...{FIG}.state.y], found: {FIG}.state.found, digits: {FIG}.digits() }})"
    )
    return {**state, "x": np.array(state["x"]).reshape(64, 64), "y": np.array(state["y"]).reshape(1, 15, 8, 8)}


def expect(page, network, threshold=0.5, tolerance=2e-3):
    """Compare all that the figure shows of its own scene with the library."""
    state = settled(page)
    y = network.predict(state["x"][np.newaxis].astype(np.float32))
    np.testing.assert_allclose(state["y"], y, atol=tolerance * max(1, np.abs(y).max()))
    boxes, labels, scores = decode(state["y"], threshold)[0]
    assert [one["label"] for one in state["found"]] == labels.tolist()
    np.testing.assert_allclose([one["score"] for one in state["found"]], scores, atol=1e-6)
    np.testing.assert_allclose(np.reshape([one["box"] for one in state["found"]], (-1, 4)), boxes, atol=1e-4)
    rows = page.locator("table.lf-found tbody tr").evaluate_all("rows => rows.map(row => row.cells[0].textContent)")
    assert rows == [str(label) for label in labels]
    return state


def composed(page, digits):
    """The scene as Pillow draws it, which draws the scenes of the training."""
    stamps = page.evaluate(f"{FIG}.data.stamps")
    x = np.zeros((64, 64), np.uint8)
    for one in digits:
        stamp = stamps[one["digit"]]
        pixels = np.frombuffer(bytes.fromhex(stamp["pixels"]), np.uint8).reshape(stamp["height"], stamp["width"])
        width = max(1, min(64, round(one["height"] * stamp["width"] / stamp["height"])))
        ink = np.asarray(Image.fromarray(pixels).resize((width, one["height"]), Image.Resampling.BILINEAR))
        part = x[one["top"] : one["top"] + one["height"], one["left"] : one["left"] + width]
        np.maximum(part, ink, out=part)
    return x / 255


def test_the_scene_and_its_boxes(open_figure, network):
    page = open_figure(*FIGURE)
    # The first answer came with the page, for the scene as Pillow draws it: single pixels differ by 1 in 255.
    state = expect(page, network, tolerance=1e-2)
    np.testing.assert_allclose(state["x"], composed(page, state["digits"]), atol=1.01 / 255)
    for threshold in (0.05, 0.95):
        page.get_by_label("threshold").fill(str(threshold))
        expect(page, network, threshold, tolerance=1e-2)


def test_keys_move_add_and_remove(open_figure, network):
    page = open_figure(*FIGURE)
    before = settled(page)["digits"]
    page.locator("canvas[role=application]").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    state = expect(page, network)
    moved = {**before[0], "top": before[0]["top"] + 2, "left": before[0]["left"] + 1}
    assert state["digits"] == [moved, *before[1:]]
    np.testing.assert_allclose(state["x"], composed(page, state["digits"]), atol=1.01 / 255)
    page.keyboard.press("7")
    state = expect(page, network)
    assert [one["digit"] for one in state["digits"]] == [*(one["digit"] for one in before), 7]
    page.keyboard.press("Delete")
    page.keyboard.press("n")
    assert len(expect(page, network)["digits"]) == len(before)
    for _ in range(90):
        page.keyboard.press("ArrowLeft")
    assert min(one["left"] for one in settled(page)["digits"]) == 0  # it stays in the scene


def test_a_mouse_drags_and_draws(open_figure, network):
    page = open_figure(*FIGURE)
    before = settled(page)["digits"]
    box = page.locator("canvas[role=application]").bounding_box()
    unit = box["width"] / 64

    def point(row, column):
        return box["x"] + (column + 0.5) * unit, box["y"] + (row + 0.5) * unit

    one = before[0]
    page.mouse.move(*point(one["top"] + 5, one["left"] + 5))
    page.mouse.down()
    page.mouse.move(*point(one["top"] + 8, one["left"] + 9), steps=6)
    page.mouse.up()
    state = expect(page, network)
    assert state["digits"][0] == {**one, "top": one["top"] + 3, "left": one["left"] + 4}
    page.get_by_role("button", name="empty, to draw").click()
    assert settled(page)["x"].max() == 0
    page.mouse.move(*point(15, 30))
    page.mouse.down()
    page.mouse.move(*point(45, 30), steps=8)
    page.mouse.up()
    state = expect(page, network)
    assert state["x"][20:40, 30].min() > 0.9 and state["x"][:, :25].max() == 0 and state["digits"] == []


def test_buttons_by_touch_on_a_phone(open_figure, network):
    page = open_figure(*FIGURE, touch=True, width=390, theme="dark")
    count = len(settled(page)["digits"])
    page.get_by_role("button", name="add a 3").tap()
    assert len(expect(page, network)["digits"]) == count + 1
    page.get_by_label("height of the chosen digit").fill("30")
    assert expect(page, network)["digits"][-1]["height"] == 30
    page.get_by_role("button", name="remove it").tap()
    assert len(expect(page, network)["digits"]) == count
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_stale_work_is_dropped(open_figure, network):
    """Of many moves within a moment, only some are computed, and the last one always."""
    page = open_figure(*FIGURE)
    settled(page)
    before = page.evaluate(f"{FIG}.answers()")
    page.evaluate("""async () => {
      const canvas = document.querySelector("canvas[role=application]");
      for (let k = 0; k < 24; k++) {
        canvas.dispatchEvent(new KeyboardEvent("keydown", { key: k % 2 ? "ArrowUp" : "ArrowDown" }));
        await new Promise(requestAnimationFrame);
      }
    }""")
    expect(page, network)
    assert page.evaluate(f"{FIG}.answers()") - before <= 24


@pytest.mark.timed
def test_an_answer_takes_at_most_150_milliseconds(open_figure):
    page = open_figure(*FIGURE)
    took = []
    for key in ["ArrowDown", "ArrowUp", "ArrowDown", "ArrowUp", "ArrowDown", "ArrowUp"]:
        page.locator("canvas[role=application]").press(key)
        settled(page)
        took.append(page.evaluate(f"{FIG}.state.milliseconds"))
    assert sorted(took)[2] < 150


def test_8_bits_cost_nearly_nothing(network):
    """On validation scenes, the network of the page is as good as the stored one, to a hundredth."""
    scenes = chapter.split("validation", 1_000)
    stored = chapter.EXPERIMENTS["detection"].load("detection")["detector"]
    assert np.abs(np.subtract(chapter.precision_of(network, scenes), chapter.precision_of(stored, scenes))).max() < 0.01
