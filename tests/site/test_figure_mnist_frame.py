"""Chapter 12's figure of MNIST's frame: its pictures and every number are the library's, by mouse, touch, keyboard."""

import re

import numpy as np
import pytest

from cnnlib.digits.strokes import draw_segments, rasterize

FIGURE = ("12-data", "mnist-frame")
PICTURES = """canvas => {
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    return Array.from({ length: width * height }, (_, k) => data[4 * k + 3]);
}"""


def next_frame(page):
    page.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")


def state(page):
    """Digit, size, pen, and the place of the drawing, as the controls tell them."""
    label = page.locator(".mf-pad").get_attribute("aria-label")
    digit, across, down = map(int, re.findall(r"\d+", label)[:3])
    assert int(page.get_by_role("combobox", name="digit").input_value()) == digit
    size, pen = (float(page.get_by_role("slider", name=name).input_value()) for name in ("size", "pen"))
    return digit, size, pen, across, down


def pictures(page):
    """Both pictures that the library makes of the drawing."""
    digit, size, pen, *place = state(page)
    drawing = page.evaluate("document.querySelector('figure').liveFigure.data.drawings")[digit]
    points = np.concatenate(drawing)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    strokes = [(np.array(stroke) - middle) * size + np.array(place) * 2.8 for stroke in drawing]
    small = [stroke * 0.1 - 0.5 for stroke in strokes]
    start, end = (np.concatenate([stroke[part] for stroke in small]) for part in (slice(-1), slice(1, None)))
    return draw_segments(start, end, pen).astype(np.float32), rasterize(strokes, pen)


def expect(page, network):
    next_frame(page)
    digit = state(page)[0]
    images = pictures(page)
    answers = []
    for place, (image, p) in enumerate(zip(images, network.predict(np.stack(images)), strict=True)):
        shown = np.reshape(page.locator("canvas").nth(place).evaluate(PICTURES), (28, 28))
        np.testing.assert_allclose(shown, 255 * image, atol=0.6)
        numbers = page.locator(".mf-numbers").nth(place).text_content()
        if image.any():
            rows, columns = image.any(axis=1).nonzero()[0], image.any(axis=0).nonzero()[0]
            height, width, row, column = map(float, re.findall(r"[\d.]+", numbers))
            assert [height, width] == [np.ptp(rows) + 1, np.ptp(columns) + 1]
            centre = [image.sum(axis=axis, dtype=float) @ np.arange(28) / image.sum(dtype=float) for axis in (1, 0)]
            np.testing.assert_allclose([row, column], centre, rtol=6e-3)
        else:
            assert numbers.startswith("No ink")
        mark, _, best, percent, _ = page.locator(".mf-answer").nth(place).text_content().replace(":", "").split()
        assert int(best) == p.argmax()
        assert (mark == "✓") == (p.argmax() == digit)
        assert float(percent) == pytest.approx(min(100 * p.max(), 99.9), abs=0.051)
        bars = page.locator("svg[aria-label^=Probabilities]").nth(place)
        heights = bars.locator("rect").evaluate_all("all => all.map(bar => +bar.getAttribute('height'))")
        np.testing.assert_allclose(heights, 52 * p, atol=0.01)
        answers.append(int(best))
    return answers, images[1]


def test_every_digit_size_and_pen(open_figure, network):
    page = open_figure(*FIGURE)
    answers, _ = expect(page, network)
    assert answers[0] != 3 == answers[1]  # the first thing that a reader sees
    for digit in range(10):
        page.get_by_role("combobox", name="digit").select_option(str(digit))
        page.get_by_role("slider", name="size").fill(str((0.2, 0.75, 1.2)[digit % 3]))
        page.get_by_role("slider", name="pen").fill(str((1, 2.5, 5)[digit // 4]))
        answers, _ = expect(page, network)
    page.get_by_role("button", name="Back to the start").click()
    assert state(page) == (3, 0.4, 2.5, 30, 32)


@pytest.mark.parametrize("touch", [False, True])
def test_the_framed_picture_does_not_change_when_the_drawing_is_moved(open_figure, network, touch):
    page = open_figure(*FIGURE, touch=touch, width=390 if touch else 900, theme="dark" if touch else "light")
    _, before = expect(page, network)
    box = page.locator(".mf-pad").bounding_box()
    x, y, step = box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["width"], box["width"] / 10
    if touch:
        client = page.context.new_cdp_session(page)
        for kind, k in (("Start", 0), ("Move", 1), ("Move", 2), ("Move", 3)):
            point = {"x": x + k * step, "y": y + k * step}
            client.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": [point]})
            next_frame(page)
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    else:
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 3 * step, y + 3 * step, steps=3)
        page.mouse.up()
    _, after = expect(page, network)
    assert state(page)[3:] == (60, 62)
    np.testing.assert_allclose(after, before, atol=1e-5)
    page.locator(".mf-pad").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    expect(page, network)
    assert state(page)[3:] == (62, 52)
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('Only made small')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_corner_cuts_the_ink_off(open_figure, network):
    page = open_figure(*FIGURE)
    page.get_by_role("slider", name="size").fill("0.2")
    page.locator(".mf-pad").focus()
    for _ in range(5):
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Shift+ArrowUp")
    expect(page, network)
    assert state(page)[3:] == (0, 0)


def test_a_wrong_weight_is_noticed(open_figure, network):
    page = open_figure(*FIGURE)
    page.evaluate("document.querySelector('figure').liveFigure.network.layers[0].W.data[12] -= 1")
    page.get_by_role("slider", name="size").fill("0.7")
    with pytest.raises(AssertionError):
        expect(page, network)
