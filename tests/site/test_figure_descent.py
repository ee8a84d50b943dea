"""Chapter 10's live figure: its paths are those of the library's SGD, by mouse, touch and keyboard."""

import re

import numpy as np
import pytest

import cnnlib

FIGURE = ("10-gradient-descent", "descent")
CURVATURES = [1, 2, 5, 10, 20, 40, 100]


def number(text):
    return float(text.replace("−", "-"))


def settings(page):
    names = ("learning rate η", "momentum μ", "curvature λ")
    rate, momentum, curvature = (number(page.get_by_label(name).get_attribute("aria-valuetext")) for name in names)
    text = page.locator('[data-part="start"]').get_attribute("aria-valuetext")
    return rate, momentum, curvature, [number(part) for part in re.findall(r"w[₁₂] (\S+?)(?:,|$)", text)]


def walk(rate, momentum, curvature, start, steps=40):
    w, optimizer = np.array(start, dtype=float), cnnlib.SGD(rate, momentum)
    curvatures = np.array([1, curvature])
    path = [w.copy()]
    for _ in range(steps):
        if np.sum(curvatures * w**2) / 2 >= 1e30:
            break
        optimizer.step([(w, curvatures * w)])
        path.append(w.copy())
    return np.array(path)


def close(shown, expected):
    """Three digits are shown, and two of very small and very large numbers."""
    digits = 5.1e-3 if 1e-3 <= abs(expected) < 1e5 else 5.1e-2
    assert abs(shown - expected) <= digits * abs(expected) + 1e-15, (shown, expected)


def drawn(page, svg, name):
    """The points of a line, in the units of its drawing."""
    path = page.locator("svg").nth(svg).locator(f".{name}").get_attribute("d")
    return np.array(re.sub("[ML]", " ", path).split(), dtype=float).reshape(-1, 2)


def expect(page):
    rate, momentum, curvature, start = settings(page)
    path = walk(rate, momentum, curvature, start)
    end = path[-1]
    words = page.locator(".lf-title").first.text_content()
    found = re.match(r"After (\d+) steps: loss (\S+), (\S+) from the minimum(?: \(.*: (\S+)\))?$", words)
    assert int(found[1]) == len(path) - 1
    close(number(found[2]), (end[0] ** 2 + curvature * end[1] ** 2) / 2)
    close(number(found[3]), np.hypot(*end))
    assert (found[4] is None) == (momentum == 0)
    if momentum:
        close(number(found[4]), np.hypot(*walk(rate, 0, curvature, start)[-1]))
    rows = page.locator("table").evaluate("table => [...table.rows].map(row => [...row.cells].map(c => c.textContent))")
    for row, each, w in zip(rows[1:], (1, curvature), end, strict=True):
        assert number(row[1]) == each
        close(number(row[2]), 2 * (1 + momentum) / each)
        close(number(row[3]), w)
    first = drawn(page, 0, "lf-line-1")[:3]  # later ones may lie far outside
    places = np.column_stack(
        [(first[:, 0] - 46) / (400 - 56) * 6.4 - 3.2, (234 - first[:, 1]) / (270 - 46) * 1.6 - 0.8]
    )
    inside = np.abs(path[:3, 1]) < 0.8
    np.testing.assert_allclose(places[inside], path[:3][inside], atol=2e-2)
    if abs(rate * max(1, curvature) / 2 / (1 + momentum) - 1) > 0.01:
        page.wait_for_function("/^[✓✗]/.test(document.querySelector('.lf-check').textContent)")
        text = page.locator(".lf-check").text_content()
        assert text.startswith("✓")
        longer = walk(rate, momentum, curvature, start, 400)
        steps, away = re.search(r"After (\d+) steps it is (\S+) from", text).groups()
        assert int(steps) == len(longer) - 1
        close(number(away), np.hypot(*longer[-1]))


def test_every_number_is_the_library_s(open_figure):
    page = open_figure(*FIGURE)
    expect(page)
    for rate, momentum, curvature in [
        (0.005, 0, 100),
        (0.06, 0, 40),
        (0.06, 0.5, 40),
        (0.085, 0.8, 40),
        (0.2, 0.95, 2),
    ]:
        page.get_by_label("learning rate η").fill(str(rate))
        page.get_by_label("momentum μ").fill(str(momentum))
        page.get_by_label("curvature λ").fill(str(CURVATURES.index(curvature)))
        assert settings(page)[:3] == (rate, momentum, curvature)
        expect(page)
    page.get_by_role("button", name="start again").press("Enter")
    assert settings(page) == (0.045, 0, 40, [-3, 0.5])
    expect(page)


@pytest.mark.parametrize(("momentum", "bound"), [(0, 0.05), (0.5, 0.075), (0.8, 0.09)])
def test_the_bounds_that_the_chapter_names(open_figure, momentum, bound):
    page = open_figure(*FIGURE)
    page.get_by_label("momentum μ").fill(str(momentum))
    for rate, word in ((bound - 0.005, "arrives"), (bound + 0.005, "explodes")):
        page.get_by_label("learning rate η").fill(str(rate))
        page.wait_for_function("/^[✓✗]/.test(document.querySelector('.lf-check').textContent)")
        assert f"✓ The rate is {'below' if word == 'arrives' else 'above'} {bound:g}: the path {word}." in (
            page.locator(".lf-check").text_content()
        )


@pytest.mark.parametrize("touch", [False, True])
def test_the_start_can_be_dragged(open_figure, touch):
    page = open_figure(*FIGURE, touch=touch, width=390 if touch else 900)
    ring = page.locator('[data-part="start"]')
    ring.scroll_into_view_if_needed()
    box = ring.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if touch:
        session = page.context.new_cdp_session(page)
        for kind, away in (("touchStart", 0), ("touchMove", 20), ("touchMove", 40), ("touchEnd", None)):
            points = [] if away is None else [{"x": x + away, "y": y + away}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            page.wait_for_timeout(50)
    else:
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 40, y + 40, steps=4)
        page.mouse.up()
    page.wait_for_timeout(100)
    start = settings(page)[3]
    assert -2.6 < start[0] < -2
    assert 0.1 < start[1] < 0.35
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_start_can_be_moved_by_keyboard(open_figure):
    page = open_figure(*FIGURE)
    ring = page.get_by_role("slider", name="start")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        ring.press(key)
    assert settings(page)[3] == [-2.8, 0.55]
    expect(page)
    for _ in range(11):
        ring.press("ArrowDown")
    page.get_by_label("learning rate η").fill("0.2")  # on the floor of the valley every rate of the slider is safe
    assert settings(page)[3] == [-2.8, 0]
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('✓ The rate is below 2')")


def test_a_wrong_optimizer_is_noticed(open_figure):
    page = open_figure(*FIGURE)
    page.evaluate("""() => { cnnlib.SGD.prototype.update = (p, g, rate) => {
        for (let k = 0; k < p.length; k++) p[k] += rate * g[k]; }; }""")
    page.get_by_label("learning rate η").fill("0.02")
    page.wait_for_function("document.querySelector('.lf-check').textContent.startsWith('✗')")


def test_a_drag_answers_within_a_frame(open_figure, work):
    page = open_figure(*FIGURE)
    page.get_by_label("momentum μ").fill("0.5")
    drag = """k => {
        const input = document.querySelector("input[type=range]");
        input.value = 0.01 * (k + 1);
        input.dispatchEvent(new Event("input"));
    }"""
    assert work(page, drag) < 16


def test_without_scripts_there_is_a_picture(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert "zigzags to the minimum" in page.locator("figure noscript").text_content()
