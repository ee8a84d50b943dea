"""Chapter 5's live figure: every number that it shows is the library's, by mouse, touch and keyboard."""

import re

import numpy as np
import pytest

import cnnlib

FIGURE = ("05-convolution-forward", "convolution")


def matrix(page, label):
    """The numbers of a matrix that the figure shows."""
    return np.array(page.evaluate("gridTexts", label), float)


def cell(page, label, row, column):
    return page.get_by_role("grid", name=label).get_by_role("row").nth(row).get_by_role("gridcell").nth(column)


def framed(page, label):
    """The rows and columns of the cells on the edge of a frame."""
    grid = page.locator(f"table[role=grid][aria-label^='{label}']")
    return grid.evaluate(
        "table => [...table.rows].flatMap((row, i) => [...row.cells].map((cell, j) => [cell, i, j]))"
        ".filter(([cell]) => cell.classList.contains('lf-edge')).map(([, i, j]) => [i, j])"
    )


def set_sliders(page, size, stride, padding):
    for label, value in (("image", size), ("stride", stride), ("padding", padding)):
        page.get_by_role("slider", name=label).fill(str(value))
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def expect(page, size, stride, padding, f, r, s):
    """Compare everything that the figure shows, with output (f, r, s) chosen, with the library."""
    x = np.stack([matrix(page, f"x[{c}]") for c in range(3)])
    assert x.shape == (3, size + 2 * padding, size + 2 * padding)
    inner = x[:, padding : padding + size, padding : padding + size]
    layer = cnnlib.Convolutional(3, 2, 3, stride, padding, dtype=np.float64)
    layer.W[:] = [[matrix(page, f"W[{g}, {c}]") for c in range(3)] for g in range(2)]
    layer.b[:] = [matrix(page, f"b[{g}]").item() for g in range(2)]
    y = layer.forward(inner[np.newaxis])[0]
    assert np.abs(x).sum() == np.abs(inner).sum()  # around it are zeros
    for g in range(2):
        np.testing.assert_allclose(matrix(page, f"y[{g}]"), y[g], rtol=5e-3)  # three digits
    np.testing.assert_array_equal(matrix(page, "the row of W").ravel(), layer.W[f].ravel())
    np.testing.assert_array_equal(matrix(page, "the column of im2col").ravel(), layer.cols[:, r * y.shape[2] + s])

    window = [[r * stride + i, s * stride + j] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    assert sorted(framed(page, "x[1]")) == sorted(window)
    text = page.locator(".lf-root").inner_text().replace("−", "-")
    h = re.search(r"h = ⌊\((\d+) \+ 2 · (\d+) - 3\) / (\d+)⌋ \+ 1 = ⌊([\d.]+)⌋ \+ 1 = (\d+)", text)
    assert [int(h[k]) for k in (1, 2, 3, 5)] == [size, padding, stride, y.shape[1]]
    assert int(float(h[4])) + 1 == y.shape[1]
    left = size + 2 * padding - ((y.shape[1] - 1) * stride + 3)
    hatched = page.locator(".lf-hatched").count()
    assert hatched == 3 * (len(x[0]) ** 2 - (len(x[0]) - left) ** 2)
    assert ("nothing is left over" in text) == (left == 0)

    assert f"y[{f}, {r}, {s}]: weight · pixel, added up" in text
    parts = []
    for c in range(3):
        line = re.search(rf"channel {c}: (.*) = (.*)", text)
        products = re.findall(r"\(?(-?[\d.]+)\)? · \(?(-?[\d.]+)\)?", line[1])
        factors = np.array(products, dtype=float).T
        np.testing.assert_array_equal(factors[0], layer.W[f, c].ravel())
        np.testing.assert_array_equal(factors[1], x[c, r * stride :, s * stride :][:3, :3].ravel())
        parts.append(float(line[2]))
        assert parts[-1] == pytest.approx(factors[0] @ factors[1], rel=1e-6)
    shown = re.search(r"channels and bias: (.*) = (.*)", text)
    assert [float(term.strip("()")) for term in shown[1].split(" + ")] == [*parts, layer.b[f]]
    assert float(shown[2]) == pytest.approx(y[f, r, s], rel=1e-6)
    engine = re.search(r"✓ cnnlib.Convolutional computes (\S+), too", text)
    assert float(engine[1]) == pytest.approx(y[f, r, s], rel=1e-6)


def test_every_setting_shows_the_library_s_numbers(open_figure):
    page = open_figure(*FIGURE)
    expect(page, 5, 1, 0, 0, 1, 1)
    for size in (5, 6, 7):
        for stride in (1, 2, 3):
            for padding in (0, 2) if size < 7 else (1,):
                set_sliders(page, size, stride, padding)
                last = (size + 2 * padding - 3) // stride
                cell(page, "y[1]", last, 0).click()
                expect(page, size, stride, padding, 1, last, 0)
    cell(page, "y[0]", 0, 1).click()
    set_sliders(page, 5, 3, 0)  # the chosen output is no longer there: the nearest is
    expect(page, 5, 3, 0, 0, 0, 0)
    page.get_by_role("button", name="start again").click()
    expect(page, 5, 1, 0, 0, 1, 1)


@pytest.mark.parametrize("touch", [False, True])
def test_numbers_are_changed_by_keyboard_mouse_and_touch(open_figure, touch):
    page = open_figure(*FIGURE, touch=touch, width=390 if touch else 900)
    set_sliders(page, 5, 2, 1)
    changes = [("x[1]", 2, 3, "-2.5"), ("W[1, 2]", 0, 1, "0.75"), ("b[1]", 0, 0, "12"), ("x[2]", 5, 5, "30")]
    for label, row, column, value in changes:
        place = cell(page, label, row, column)
        place.tap() if touch else place.click()
        page.keyboard.type(value)
        page.keyboard.press("Enter")
        assert matrix(page, label)[row, column] == float(value)
    place = cell(page, "y[1]", 1, 1)
    place.tap() if touch else place.click()
    expect(page, 5, 2, 1, 1, 1, 1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    expect(page, 5, 2, 1, 1, 0, 2)
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('Output 1, 0, 2 is')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_two_clicks_edit_but_not_the_padding(open_figure):
    page = open_figure(*FIGURE)
    set_sliders(page, 5, 1, 1)
    before = matrix(page, "x[0]")
    cell(page, "x[0]", 1, 1).dblclick()
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    assert matrix(page, "x[0]")[1, 1] == 7
    cell(page, "x[0]", 0, 0).dblclick()
    assert page.locator("td input").count() == 0
    page.keyboard.type("9")
    before[1, 1] = 7
    np.testing.assert_array_equal(matrix(page, "x[0]"), before)


@pytest.mark.parametrize(
    "fault",
    [
        "const { im2col } = cnnlib; cnnlib.im2col = (x, K, stride) => im2col(x, K, stride).map((value) => 2 * value)",
        "const { Convolutional } = cnnlib; cnnlib.Convolutional = (C, F, K, settings) => {"
        " const layer = Convolutional(C, F, K, settings), { forward } = layer;"
        " layer.forward = (x) => forward.call(layer, x).map((value) => -value); return layer; }",
    ],
)
def test_a_wrong_engine_is_noticed(open_figure, fault):
    page = open_figure(*FIGURE)
    page.evaluate(f"() => {{ {fault} }}")
    cell(page, "y[0]", 0, 1).click()
    assert page.locator(".lf-check.lf-wrong").text_content().startswith("✗ cnnlib.Convolutional computes ")


def test_it_is_drawn_within_a_frame(open_figure, work):
    page = open_figure(*FIGURE)
    set_sliders(page, 7, 1, 2)
    assert work(page, """k => document.querySelector('[aria-label^="y[1]"]').rows[k % 9].cells[k % 9].click()""") < 16


def test_without_scripts_there_is_a_picture_and_a_text(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert "27 products" in page.locator("figure noscript").text_content()
    assert 'src="data:image/png' in page.locator("figure noscript").inner_html()
