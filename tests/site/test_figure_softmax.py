"""Chapter 4's figure of softmax: every number that it shows is the library's, by mouse, touch and keyboard."""

import numpy as np
import pytest

import cnnlib
from cnnlib.layers import loops

FIGURE = ("04-activations", "softmax")


def next_frame(page):
    page.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")


def value(text):
    return float(text.replace("−", "-"))


def assert_close(shown, expected):
    """Three digits, or two where a number is small enough for an exponent."""
    limit = np.where(np.abs(expected) < 1e-3, 6e-2, 6e-3) * np.abs(expected)
    assert (np.abs(np.subtract(shown, expected)) <= limit).all(), f"{shown} is not {expected}"


def matrix(page, label):
    return np.array([[value(text) for text in row] for row in page.evaluate("gridTexts", label)])


def expect(page, z, tau=1, shift=0, entry=(0, 0)):
    next_frame(page)
    x = (np.array([z]) + shift) / tau
    dy = matrix(page, "dy").T
    layer, J = cnnlib.Softmax(), loops.softmax_jacobian(x[0] - x.max())
    y, dx = layer.forward(x)[0], layer.backward(dy)[0]
    assert_close([value(p) for p in page.locator(".lf-p").all_text_contents()], y)
    heights = page.locator("svg rect").evaluate_all("bars => bars.map(bar => +bar.getAttribute('height'))")
    np.testing.assert_allclose(heights, 140 * y, atol=1e-9)
    np.testing.assert_allclose(matrix(page, "Jacobian"), J, rtol=6e-2, atol=1e-30)
    np.testing.assert_allclose(matrix(page, "dx"), [dx], rtol=6e-2, atol=1e-16)
    i, j = entry
    text = page.locator(".lf-entry").text_content()
    assert f"∂y{'₁₂₃₄'[i]}/∂x{'₁₂₃₄'[j]}" in text
    _, factors, result = text.rsplit("=", 2)
    first, second = factors.strip().split(" · ")
    sign, other = (1, 1 - y[i]) if i == j else (-1, y[j])
    assert_close([value(first), value(second)], [sign * y[i], other])
    assert_close(value(result), J[i, j])
    check = page.locator(".lf-check").text_content()
    assert check.startswith("✓")
    assert value(check.split(":")[1]) == pytest.approx(J[i, j], rel=6e-2, abs=1e-10)
    assert page.locator(".lf-note", has_text="Sum of dx").text_content() == "Sum of dx: 0."


def test_scores_temperatures_and_shifts(open_figure):
    page = open_figure(*FIGURE)
    expect(page, [2, 1, 0, -1])
    temperatures = page.evaluate("document.querySelector('figure').liveFigure.data.temperatures")
    for place in (0, 3, 9):
        page.get_by_role("slider", name="temperature").fill(str(place))
        expect(page, [2, 1, 0, -1], temperatures[place])
    z = [2, 1, 0, -1]
    for k, score in enumerate((-5, 4.9, 5, 0.3)):
        page.get_by_label(f"score z{'₁₂₃₄'[k]}").fill(str(score))
        z[k] = score
        expect(page, z, temperatures[9])
    for shift in (-100, 100):
        page.get_by_role("slider", name="add to all").fill(str(shift))
        expect(page, z, temperatures[9], shift)
    page.get_by_role("button", name="Back to the start").click()
    expect(page, [2, 1, 0, -1])


@pytest.mark.parametrize("touch", [False, True])
def test_entries_and_dy_by_keyboard_mouse_and_touch(open_figure, touch):
    page = open_figure(*FIGURE, touch=touch, width=390 if touch else 900, theme="dark" if touch else "light")
    for i, j in np.ndindex(4, 4):
        cell = page.get_by_role("grid", name="Jacobian").get_by_role("gridcell").nth(4 * i + j)
        cell.tap() if touch else cell.click()
        expect(page, [2, 1, 0, -1], entry=(i, j))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    expect(page, [2, 1, 0, -1], entry=(2, 2))
    cell = page.get_by_role("grid", name="dy").get_by_role("gridcell").first
    cell.tap() if touch else cell.click()
    for text in ("-2", "0.5", "3", "1"):
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowDown")
    assert matrix(page, "dy").ravel().tolist() == [-2, 0.5, 3, 1]
    expect(page, [2, 1, 0, -1], entry=(2, 2))
    page.get_by_label("score z₁").focus()
    page.keyboard.press("ArrowRight")
    expect(page, [2.1, 1, 0, -1], entry=(2, 2))
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('Probabilities')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_answer_of_the_text(open_figure):
    page = open_figure(*FIGURE)
    for place, tau in enumerate(page.evaluate("document.querySelector('figure').liveFigure.data.temperatures")):
        page.get_by_role("slider", name="temperature").fill(str(place))
        next_frame(page)
        assert (value(page.locator(".lf-p").first.text_content()) > 0.9) == (tau <= 0.4)


def test_a_wrong_gradient_is_noticed(open_figure):
    page = open_figure(*FIGURE)
    page.evaluate("() => { cnnlib.Softmax.prototype._backward = (dy, x, y) => y.map((p) => p * (1 - p)); }")
    page.get_by_role("grid", name="Jacobian").get_by_role("gridcell").nth(1).click()
    assert page.locator(".lf-check").text_content().startswith("✗")
