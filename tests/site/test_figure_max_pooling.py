"""Chapter 7's live figure: every number that it shows is the library's, by mouse, touch and keyboard."""

import numpy as np
import pytest

import cnnlib

FIGURE = ("07-max-pooling", "max-pooling")


def matrix(page, label):
    """The numbers of a matrix that the figure shows."""
    return np.array(page.evaluate("gridTexts", label), float)


def expect(page, size, stride):
    x, dy = matrix(page, "x, the input"), matrix(page, "dy, the upstream")
    layer = cnnlib.MaxPooling(size, stride)
    np.testing.assert_array_equal(matrix(page, "y, the output"), layer.forward(x[None, None])[0, 0])
    np.testing.assert_array_equal(matrix(page, "dx, the gradient"), layer.backward(dy[None, None])[0, 0])


def test_every_setting_shows_the_library_s_numbers(open_figure):
    page = open_figure(*FIGURE)
    expect(page, 2, 2)
    for size in (2, 3):
        for stride in (1, 2, 3):
            page.get_by_label("window", exact=True).fill(str(size - 2))
            page.get_by_label("stride").fill(str(stride - 1))
            expect(page, size, stride)
    for name in ("shift one pixel right", "equal values", "as at the beginning"):
        page.get_by_role("button", name=name).click()
        expect(page, 3, 3)


@pytest.mark.parametrize("touch", [False, True])
def test_numbers_are_changed_by_keyboard_mouse_and_touch(open_figure, touch):
    page = open_figure(*FIGURE, touch=touch, width=390 if touch else 900)
    cell = page.get_by_role("grid", name="x, the input").get_by_role("gridcell").nth(7)
    cell.tap() if touch else cell.click()
    page.keyboard.type("-2.5")
    page.keyboard.press("Enter")
    assert matrix(page, "x, the input")[1, 2] == -2.5
    page.keyboard.press("ArrowRight")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    assert matrix(page, "x, the input")[1, 3] == 12
    expect(page, 2, 2)
    window = page.get_by_role("grid", name="y, the output").get_by_role("gridcell").nth(3)
    window.tap() if touch else window.click()
    assert "wins window (1, 1) with 9" in page.locator(".lf-note").last.text_content()
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('wins window (1, 1)')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_there_is_a_text(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert "gradient of the input" in page.locator("figure noscript").text_content()
