"""Chapter 1's live figure: the neuron, its slopes and its steps are the library's, by mouse, touch and keyboard."""

import json

import numpy as np
import pytest

import cnnlib

FIGURE = ("01-fundamental-concepts", "neuron")
PARAMETERS = ("w₁", "w₂", "b")
SHOWN = """names => [
  names.map(name => [...document.querySelectorAll("input")].find(
    (input) => [...input.labels].some((label) => label.textContent === name)).ariaValueText),
  document.querySelector(".lf-title").textContent,
  [...document.querySelector("table").rows].map(row => [...row.cells].map(cell => cell.textContent)),
]"""


def number(text):
    return float(text.replace("−", "-"))


def shown(page):
    """What the figure says: the parameters, the step, the loss, the share of right answers, and both rows of slopes."""
    values, title, rows = page.evaluate(SHOWN, PARAMETERS)
    values, words = map(number, values), title.replace(":", "").replace(",", "").split()
    slopes = [[number(text) for text in row[1:]] for row in rows[1:]]
    return np.array([*values]), int(words[1]), number(words[3]), int(words[4]), np.array(slopes)


def neuron(page, values):
    """The library's neuron, with the figure's examples."""
    data = json.loads(page.locator('figure script[type="application/json"]').text_content())
    network = cnnlib.Network([cnnlib.Dense(2, 1, dtype=np.float64), cnnlib.Sigmoid()], (2,))
    network.layers[0].W = np.array(values[:2], dtype=float)[:, None]
    network.layers[0].b = np.array(values[2:], dtype=float)
    return network, np.array(data["x"]), np.array(data["t"], dtype=float)[:, None]


def close(shown, expected):
    """Three digits are shown, and two of a number below 0.001."""
    shown, expected = np.asarray(shown), np.asarray(expected)
    digits = np.where(np.abs(expected) >= 1e-3, 5.1e-3, 5.1e-2)
    assert np.all(np.abs(shown - expected) <= digits * np.abs(expected) + 2e-10), (shown, expected)


def expect(page, values, steps=0, rate=1.0):
    """The figure shows what the library finds after steps from these values."""
    network, x, t = neuron(page, values)
    loss, optimizer = cnnlib.MeanSquaredError(), cnnlib.SGD(rate, momentum=0)
    for _ in range(steps):
        network.train_step(x, t, optimizer, loss)
    value, y = network.backpropagate(x, t, loss)[0], network.forward(x)
    dense = network.layers[0]
    now, step, loss_shown, right, slopes = shown(page)
    close(now, np.append(dense.W, dense.b))
    assert step == steps
    close(loss_shown, value)
    assert right == round(100 * cnnlib.accuracy(y, t))
    close(slopes[0], np.append(dense.dW, dense.db))
    close(slopes[1], np.append(dense.dW, dense.db))
    assert page.locator(".lf-check").text_content() == "✓ Both agree."
    hollow = page.locator('svg [data-right="false"]').count()
    assert hollow == np.sum((y > 0.5) != (t > 0.5))
    assert page.locator("svg [data-right]").count() == len(x)
    return network


def test_sliders_show_the_library_s_numbers(open_figure):
    page = open_figure(*FIGURE)
    expect(page, [-2, 1, 0.5])
    for values in ([10, -2, -4.25], [0, 0, 0], [-30, 30, 7], [3.5, 0, -30]):
        for name, value in zip(PARAMETERS, values, strict=True):
            page.get_by_label(name, exact=True).fill(str(value))
        expect(page, values)
    page.get_by_label("b", exact=True).press("ArrowRight")  # by keyboard
    expect(page, [3.5, 0, -29.75])
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('loss 0.5')")


@pytest.mark.parametrize("rate", [0.01, 0.3, 1, 30, 100])
def test_steps_are_those_of_the_library(open_figure, rate):
    page = open_figure(*FIGURE, calm=True)
    rates = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100]
    page.get_by_label("learning rate").fill(str(rates.index(rate)))
    for step in range(1, 4):
        page.get_by_role("button", name="one step").press("Enter")
        expect(page, [-2, 1, 0.5], step, rate)
    page.get_by_role("button", name="100 steps").click()
    expect(page, [-2, 1, 0.5], 103, rate)
    page.get_by_role("button", name="start again").click()
    expect(page, [-2, 1, 0.5])


def test_a_hundred_steps_can_be_watched(open_figure):
    page = open_figure(*FIGURE)
    page.get_by_role("button", name="100 steps").click()
    page.wait_for_function("document.querySelector('.lf-title').textContent.startsWith('Step 100:')")
    expect(page, [-2, 1, 0.5], 100)


def line(page):
    """The ends of the line in the plane, in the data's coordinates."""
    d = page.locator('[data-part="line"]').get_attribute("d").replace("M", "").replace("L", "").split()
    px, py = np.array(d, dtype=float).reshape(2, 2).T
    return (px - 46) / (400 - 56) * 1.04, 0.15 + (290 - 36 - py) / (290 - 46) * 0.52


def on_line(page):
    network, _, _ = neuron(page, shown(page)[0])
    network.layers[0].W = np.array([[float(value)] for value in page.evaluate(WEIGHTS)[:2]])
    network.layers[0].b = np.array(page.evaluate(WEIGHTS)[2:])
    np.testing.assert_allclose(network.forward(np.transpose(line(page))), 0.5, atol=2e-3)


WEIGHTS = "[...document.querySelectorAll('.lf-value')].slice(0, 3).map(e => Number(e.textContent.replace('−', '-')))"


@pytest.mark.parametrize("touch", [False, True])
@pytest.mark.parametrize("part", ["move", "turn"])
def test_the_line_can_be_dragged(open_figure, part, touch):
    page = open_figure(*FIGURE, touch=touch, width=390 if touch else 900)
    page.locator(f'[data-part="{part}"]').scroll_into_view_if_needed()
    before = shown(page)[0]
    box = page.locator(f'[data-part="{part}"]').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if touch:
        session = page.context.new_cdp_session(page)
        for kind, away in (("touchStart", 0), ("touchMove", 25), ("touchMove", 50), ("touchEnd", None)):
            points = [] if away is None else [{"x": x + away, "y": y}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            page.wait_for_timeout(50)
    else:
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 50, y, steps=5)
        page.mouse.up()
    page.wait_for_timeout(100)
    after = shown(page)[0]
    if part == "move":  # in parallel
        assert tuple(after[:2]) == tuple(before[:2])
        assert after[2] > before[2] + 0.1
    else:
        assert np.hypot(*after[:2]) == pytest.approx(np.hypot(*before[:2]), rel=5e-3)
        assert abs(after[1] - before[1]) > 0.1
    on_line(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_loss_over_a_parameter_is_the_library_s(open_figure):
    page = open_figure(*FIGURE, calm=True)
    page.get_by_role("button", name="100 steps").click()
    values = page.evaluate(WEIGHTS)
    for d in range(3):
        page.get_by_label("loss over", exact=True).select_option(str(d))
        path = page.locator("svg").nth(1).locator(".lf-line-1").get_attribute("d")
        pixels = np.array(path.replace("M", "").replace("L", "").split(), dtype=float).reshape(-1, 2)
        for place in (0, 30, 45, 80):
            trial = list(values)
            trial[d] = -30 + 0.75 * place
            network, x, t = neuron(page, trial)
            expected = cnnlib.MeanSquaredError().value(network.forward(x), t)
            shown_loss = (225 - 36 - pixels[place, 1]) / (225 - 46)
            assert shown_loss == pytest.approx(expected, abs=2e-3)
        assert f"over {PARAMETERS[d]}" in page.locator("svg").nth(1).get_attribute("aria-label")


@pytest.mark.parametrize(
    "fault",
    [
        "cnnlib.Sigmoid.prototype._backward = function (dy, x, y) { return dy.map((v, k) => v * y.data[k]); }",
        "cnnlib.MeanSquaredError.prototype._gradient = (y, t) => y.map((v, k) => 2 * (v - t.data[k]))",
        "const b = cnnlib.Dense.prototype._backward; cnnlib.Dense.prototype._backward = function (dy, x, y) {"
        " const dx = b.call(this, dy, x, y); this.db = this.db.map((v) => -v); return dx; }",
    ],
)
def test_the_figure_notices_a_wrong_gradient(open_figure, fault):
    page = open_figure(*FIGURE)
    page.evaluate(f"() => {{ {fault} }}")
    page.get_by_label("b", exact=True).fill("1")
    assert page.locator(".lf-check").text_content().startswith("✗")


def test_a_drag_answers_within_a_frame(open_figure, work):
    page = open_figure(*FIGURE)
    page.get_by_label("loss over", exact=True).select_option("0")
    drag = """k => {
        const input = document.querySelector("input[type=range]");
        input.value = -5 + k;
        input.dispatchEvent(new Event("input"));
    }"""
    assert work(page, drag) < 16


def test_without_scripts_there_is_a_picture(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert "the two clouds" in page.locator("figure noscript").text_content()
