"""Chapter 4's figure of four ReLUs: every number that it shows is the library's, by mouse, touch and keyboard."""

import numpy as np
import pytest

import cnnlib

FIGURE = ("04-activations", "relu-bends")
TARGETS = ("table", "wave", "bowl")

ROW = """name => {
  const tables = [...document.querySelectorAll("[role=grid]")].filter(t => t.getAttribute("aria-label") === name);
  if (tables.length !== 1 || !tables[0].checkVisibility()) throw new Error(`${tables.length} grids: ${name}`);
  return [...tables[0].querySelectorAll("[role=gridcell]")].map(cell => cell.textContent.replaceAll("−", "-"));
}"""  # much quicker than page.get_by_role("grid")


def next_frame(page):
    page.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")


def row(page, name):
    return np.array(page.evaluate(ROW, f"{name} of each unit"), float)


def network(bend, slope):
    """One input, one ReLU at each bend, one output."""
    hidden, output = (cnnlib.Dense(*sizes, "zeros", dtype=np.float64) for sizes in ((1, 4), (4, 1)))
    hidden.W[:], hidden.b[:], output.W[:, 0] = 1, -np.asarray(bend), slope
    return cnnlib.Network([hidden, cnnlib.ReLU(), output], input_shape=(1,))


def data(page):
    found = page.evaluate("document.querySelector('figure').liveFigure.data")
    targets = {name: np.array(values)[:, None] for name, values in found["targets"].items()}
    return np.array(found["x"])[:, None], targets, found


def expect(page, target="table", bend=None, slope=None):
    x, targets, _ = data(page)
    bend, slope = row(page, "bend") if bend is None else bend, row(page, "slope") if slope is None else slope
    expected, loss = network(bend, slope), cnnlib.MeanSquaredError()
    y = expected.forward(x)
    expected.backward(loss.gradient(y, targets[target]))
    gradients = expected.gradients()
    shown = float(page.locator(".lf-result").text_content().split("=")[1].replace("−", "-"))
    assert shown == pytest.approx(loss.value(y, targets[target]), rel=6e-3, abs=1e-12)
    for name, gradient in {"dL/d bend": -gradients["b0"], "dL/d slope": gradients["W2"][:, 0]}.items():
        np.testing.assert_allclose(row(page, name), gradient, rtol=6e-2, atol=1e-12)
    assert page.locator(".lf-check").text_content().startswith("✓")
    return shown


def drawn(page):
    """The points of the solid curve, in the chart's own units."""
    path = page.locator(".lf-line-1").get_attribute("d").replace("M", "").replace("L", "").split()
    return np.array(path, float).reshape(-1, 2)


def test_numbers_typed_for_every_target(open_figure):
    page = open_figure(*FIGURE)
    expect(page)
    for target in TARGETS:
        page.get_by_role("combobox", name="target").select_option(target)
        for k, name, text in ((0, "bend", "-2.25"), (3, "bend", "3.4"), (1, "slope", "0.7"), (2, "slope", "-3")):
            cells = page.get_by_role("grid", name=f"{name} of each unit", exact=True).get_by_role("gridcell")
            cells.nth(k).click()
            page.keyboard.type(text)
            page.keyboard.press("Enter")
            assert row(page, name)[k] == float(text)
            expect(page, target)
    # The last unit bends beyond all data: it is dead.
    assert row(page, "dL/d bend")[3] == row(page, "dL/d slope")[3] == 0
    page.get_by_role("button", name="Back to the start").click()
    expect(page, "bowl")


def test_the_curve_is_the_network_s(open_figure):
    page = open_figure(*FIGURE)
    places = np.array([-3.5, *row(page, "bend"), 4.5])[:, None]
    y = network(row(page, "bend"), row(page, "slope")).forward(places)
    expected = np.concatenate([46 + (places + 3.5) / 8 * (360 - 56), 254 - (y + 2.5) / 5 * 244], axis=1)
    np.testing.assert_allclose(drawn(page), expected, atol=0.01)


def test_the_answer_of_the_text(open_figure):
    page = open_figure(*FIGURE)
    for name, values in {"bend": "-2 -1 1 2", "slope": "1 -1 -1 1"}.items():
        page.get_by_role("grid", name=f"{name} of each unit", exact=True).get_by_role("gridcell").first.click()
        for text in values.split():
            page.keyboard.type(text)
            page.keyboard.press("Enter")
            page.keyboard.press("ArrowRight")
    assert expect(page) < 1e-12


def test_handles_by_mouse_and_keyboard(open_figure):
    page = open_figure(*FIGURE)
    box = page.locator("svg").bounding_box()
    scale = box["width"] / 360
    for name, k, dx, dy in (("bend", 2, 1, 0), ("slope", 2, 0, -1)):
        handle = page.get_by_role("slider", name=f"{name} of unit {k + 1}").bounding_box()
        x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
        before = row(page, name)[k]
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx * 304 / 8 * scale, y - dy * 244 / 5 * scale, steps=4)
        page.mouse.up()
        next_frame(page)
        assert row(page, name)[k] - before == pytest.approx(dx + dy, abs=0.051)
        expect(page)
        page.keyboard.press("ArrowUp")
        page.keyboard.press("PageDown")
        assert row(page, name)[k] - before == pytest.approx(dx + dy - 0.4, abs=0.051)
        expect(page)
    handle = page.get_by_role("slider", name="slope of unit 3")
    assert float(handle.get_attribute("aria-valuenow")) == pytest.approx(row(page, "slope")[2])
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('Loss')")


def test_a_finger_moves_a_bend(open_figure):
    page = open_figure(*FIGURE, touch=True, width=390, theme="dark")
    handle = page.get_by_role("slider", name="bend of unit 4")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    client = page.context.new_cdp_session(page)
    for kind, points in (("Start", [x]), ("Move", [x + 20]), ("Move", [x + 40]), ("End", [])):
        touches = [{"x": at, "y": y} for at in points]
        client.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": touches})
        next_frame(page)
    assert row(page, "bend")[3] > 2.2
    expect(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("calm", [False, True])
def test_descent_takes_the_library_s_steps(open_figure, calm):
    page = open_figure(*FIGURE, calm=calm)
    x, targets, found = data(page)
    page.get_by_role("combobox", name="target").select_option("wave")
    trained, loss, optimizer = network(found["bend"], found["slope"]), cnnlib.MeanSquaredError(), cnnlib.SGD(0.05)
    for _ in range(200):
        trained.backward(loss.gradient(trained.forward(x), targets["wave"]))
        p, g = trained.parameters(), trained.gradients()
        optimizer.step([(p["b0"], g["b0"]), (p["W2"], g["W2"])])
    page.get_by_role("button", name="Let descent try").click()
    value = loss.value(trained.forward(x), targets["wave"])
    bend, slope = -trained.parameters()["b0"], trained.parameters()["W2"][:, 0]
    page.get_by_role("button", name="Let descent try").wait_for()
    assert page.locator(".lf-result").text_content().endswith(page.evaluate(f"liveFigure.number({value})"))
    np.testing.assert_allclose(row(page, "bend"), bend, rtol=6e-3)
    np.testing.assert_allclose(row(page, "slope"), slope, rtol=6e-3)
    expect(page, "wave", bend, slope)


def test_a_wrong_gradient_is_noticed(open_figure):
    page = open_figure(*FIGURE)
    page.evaluate("const wrong = cnnlib.ReLU.prototype; wrong._backward = (dy) => dy")
    page.get_by_role("combobox", name="target").select_option("wave")
    assert page.locator(".lf-check").text_content().startswith("✗")
