"""Chapter 17's figure of batch normalization: every number that it shows is the library's."""

import numpy as np
import pytest

import cnnlib

FIGURE = ("17-deeper-networks", "batch-normalization")
ROW = """name => {
  const tables = [...document.querySelectorAll("[role=grid]")].filter(t => t.getAttribute("aria-label") === name);
  if (tables.length !== 1 || !tables[0].checkVisibility()) throw new Error(`${tables.length} grids: ${name}`);
  return [...tables[0].querySelectorAll("[role=gridcell]")].map(cell => cell.textContent.replaceAll("−", "-"));
}"""  # much quicker than page.get_by_role("grid")


def next_frame(page):
    page.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")


def row(page, name):
    return np.array(page.evaluate(ROW, name), float)


def expect(page, gamma=1.0, beta=0.0, training=True):
    """Compare all rows with the library, given the numbers x and dy that the figure shows."""
    layer = cnnlib.BatchNormalization(1, dtype=np.float64)
    layer.gamma[:], layer.beta[:], layer.training = gamma, beta, training
    x, dy = row(page, "x"), row(page, "dy")
    y = layer.forward(x[:, None])
    dx = layer.backward(dy[:, None])
    scale = gamma * layer.scale[0]
    parts = {
        "x̂": layer.x_hat.ravel(),
        "y": y.ravel(),
        "direct": scale * dy,
        "through μ": np.full(6, -scale * training * layer.dbeta[0] / 6),
        "through v": -scale * training * layer.x_hat.ravel() * layer.dgamma[0] / 6,
        "dx": dx.ravel(),
    }
    for name, values in parts.items():
        np.testing.assert_allclose(row(page, name), values, rtol=6e-3, atol=0.0051, err_msg=name)
    text = page.locator(".lf-result").text_content().replace("−", "-")
    shown = [float(part.split("=")[1]) for part in text.split(",")]
    mean, variance = (x.mean(), x.var()) if training else (0, 1)
    np.testing.assert_allclose(shown, [mean, variance, layer.dgamma[0], layer.dbeta[0]], rtol=6e-3, atol=1e-9)
    assert page.locator(".lf-check").text_content().startswith("✓")


def test_numbers_typed(open_figure):
    page = open_figure(*FIGURE)
    expect(page)
    for name, k, text in (("x", 0, "-3.5"), ("x", 5, "0.25"), ("dy", 1, "-2"), ("dy", 3, "1.5")):
        page.get_by_role("grid", name=name, exact=True).get_by_role("gridcell").nth(k).click()
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        assert row(page, name)[k] == float(text)
        expect(page)
    page.get_by_role("button", name="Back to the start").click()
    np.testing.assert_array_equal(row(page, "dy"), [0, 0, 1, 0, 0, 0])
    expect(page)


def test_modes_and_sliders(open_figure):
    page = open_figure(*FIGURE)
    page.get_by_role("slider", name="γ").fill("-1.5")
    page.get_by_role("slider", name="β").fill("0.7")
    expect(page, -1.5, 0.7)
    page.get_by_role("combobox", name="mode").select_option("prediction")
    expect(page, -1.5, 0.7, training=False)
    page.get_by_role("combobox", name="mode").select_option("training")
    expect(page, -1.5, 0.7)


def test_the_answer_of_the_text(open_figure):
    page = open_figure(*FIGURE)
    dx = row(page, "dx")
    assert np.all(dx != 0) and np.count_nonzero(row(page, "dy")) == 1
    assert abs(dx.sum()) < 0.03


def test_equal_numbers_do_not_divide_by_zero(open_figure):
    page = open_figure(*FIGURE)
    for k in range(6):
        page.get_by_role("grid", name="x", exact=True).get_by_role("gridcell").nth(k).click()
        page.keyboard.type("1")
        page.keyboard.press("Enter")
    np.testing.assert_array_equal(row(page, "y"), 0)
    assert page.locator(".lf-check").text_content().startswith("✓")


def test_a_handle_by_mouse_and_keyboard(open_figure):
    page = open_figure(*FIGURE)
    handle = page.get_by_role("slider", name="number 2")
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()
    next_frame(page)
    moved = row(page, "x")[1]
    assert moved > -0.4
    expect(page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("PageUp")
    assert row(page, "x")[1] == pytest.approx(moved + 0.9, abs=0.051)
    expect(page)


def test_a_finger_moves_a_number_on_a_phone(open_figure):
    page = open_figure(*FIGURE, touch=True, width=390, theme="dark")
    handle = page.get_by_role("slider", name="number 6")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    client = page.context.new_cdp_session(page)
    for kind, points in (("Start", [x]), ("Move", [x - 20]), ("Move", [x - 40]), ("End", [])):
        touches = [{"x": at, "y": y} for at in points]
        client.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": touches})
        next_frame(page)
    assert row(page, "x")[5] < 2.2
    expect(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_wrong_gradient_is_noticed(open_figure):
    page = open_figure(*FIGURE)
    page.evaluate(
        "() => { const wrong = cnnlib.BatchNormalization.prototype, right = wrong._backward;"
        "wrong._backward = function (dy) { return right.call(this, dy).map((value) => 1.1 * value); }; }"
    )
    page.get_by_role("slider", name="γ").fill("1.5")
    assert page.locator(".lf-check").text_content().startswith("✗")
