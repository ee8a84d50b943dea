"""Chapter 20's live figure: every pixel has the class that cnnlib gives it, whatever is drawn."""

import numpy as np
import pytest

from cnnbook import engine
from cnnbook import segmentation as chapter
from cnnlib import Softmax
from cnnlib.digits.scenes import BACKGROUND

FIGURE = ("20-segmentation", "segmentation")
FIG = "document.querySelector('figure').liveFigure"


def page_network():
    """The network as the page has it, in 8 bits."""
    return engine.in_8_bits(chapter.EXPERIMENTS["segmentation"].load("segmentation")["unet"])


@pytest.fixture(scope="module")
def network():
    return page_network()


def settled(page):
    """What the figure knows, once the answer to its last drawing is there."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_function(f"{FIG}.state?.classes && {FIG}.settled()", timeout=60_000)
    state = page.evaluate(f"(({{ x, y, classes, p }}) => [x, y, classes, p].map((values) => [...values]))({FIG}.state)")
    x, y, classes, p = map(np.array, state)
    return x.reshape(64, 64), y.reshape(-1, 64, 64), classes.reshape(64, 64), p.reshape(-1, 64, 64)


def expect(page, network, corrected=True):
    """Compare all that the figure shows of its own drawing with the library; return the drawing and the classes."""
    x, y, classes, p = settled(page)
    images = x[np.newaxis].astype(np.float32)
    exact = network.predict(images)[0]
    if len(y):  # at first, only the classes are known
        np.testing.assert_allclose(y, exact, atol=2e-3 * max(1, np.abs(exact).max()))
    expected = chapter.predict_classes(network, images, chapter.BACKGROUND_WEIGHT if corrected else 1.0)[0]
    assert np.mean(classes != expected) < 0.002  # where two classes are equally likely, rounding decides
    shown = page.locator("canvas.lf-classes").evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 64, 64).data]"
    )
    return x, classes, p, np.array(shown).reshape(64, 64, 4)


def scene_of(page):
    """The scene that the page begins with."""
    text = page.evaluate(f"{FIG}.data.image")
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(64, 64) / 255


def test_classes_and_their_colours(open_figure, network):
    page = open_figure(*FIGURE)
    x, classes, _, shown = expect(page, network)
    np.testing.assert_allclose(x, scene_of(page), atol=1e-6)
    assert ((shown[..., 3] == 255) == (classes != BACKGROUND)).all()
    for label in np.unique(classes[classes != BACKGROUND]):
        color = tuple(bytes.fromhex(chapter.COLORS[label][1:]))
        assert (shown[classes == label][:, :3] == color).all()
    page.get_by_label("scores corrected").uncheck()
    _, uncorrected, _, _ = expect(page, network, corrected=False)
    assert np.mean(uncorrected != BACKGROUND) >= np.mean(classes != BACKGROUND)


def test_the_probability_of_a_class(open_figure, network):
    page = open_figure(*FIGURE)
    page.get_by_label("show").select_option("3")
    x, _, p, shown = expect(page, network)
    scores = network.predict(x[np.newaxis].astype(np.float32))
    scores[:, BACKGROUND] -= np.log(chapter.BACKGROUND_WEIGHT)
    np.testing.assert_allclose(p[0], Softmax().forward(scores)[0, 3], atol=0.01)
    np.testing.assert_allclose(shown[..., 3], 255 * p[0], atol=0.51)


def test_drawing_by_mouse_and_by_keys(open_figure, network):
    page = open_figure(*FIGURE)
    settled(page)
    page.get_by_role("button", name="empty").click()
    x, classes, *_ = expect(page, network)
    assert x.max() == 0 and (classes == BACKGROUND).all()
    box = page.locator("canvas[role=application]").bounding_box()
    unit = box["width"] / 64
    page.mouse.move(box["x"] + 30.5 * unit, box["y"] + 15.5 * unit)
    page.mouse.down()
    page.mouse.move(box["x"] + 30.5 * unit, box["y"] + 42.5 * unit, steps=8)
    page.mouse.up()
    x, *_ = expect(page, network)
    assert x[18:40, 30].min() > 0.9 and x[:, :26].max() == 0
    page.locator("canvas[role=application]").focus()
    for key in ("ArrowRight", "ArrowUp", " "):
        page.keyboard.press(key)
    x, *_ = expect(page, network)
    assert x[31, 33] == 1
    page.get_by_role("button", name="the scene again").click()
    x, *_ = expect(page, network)
    np.testing.assert_allclose(x, scene_of(page), atol=1e-6)


def test_on_a_phone(open_figure, network):
    page = open_figure(*FIGURE, touch=True, width=390, theme="dark")
    settled(page)
    page.get_by_role("button", name="empty").tap()
    box = page.locator("canvas[role=application]").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    x, *_ = expect(page, network)
    assert x[30:34, 30:34].max() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.timed
def test_an_answer_takes_at_most_150_milliseconds(open_figure):
    page = open_figure(*FIGURE)
    took = []
    for _ in range(6):
        page.locator("canvas[role=application]").press(" ")
        settled(page)
        took.append(page.evaluate(f"{FIG}.state.milliseconds"))
    assert sorted(took)[2] < 150


def test_8_bits_cost_nearly_nothing(network):
    """On validation scenes, the network of the page is as good as the stored one, to half a per cent."""
    scenes = chapter.scenes_of("validation", 100)
    stored = chapter.EXPERIMENTS["segmentation"].load("segmentation")["unet"]
    assert abs(chapter.mean_iou(network, scenes) - chapter.mean_iou(stored, scenes)) < 0.005
