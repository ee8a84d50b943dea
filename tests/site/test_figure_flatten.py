"""Chapter 8's live figure: every number that it shows is the library's, by mouse, touch and keyboard."""

import re

import numpy as np
import pytest

import cnnlib

FIGURE = ("08-flatten", "flatten")
SHAPES = [(2, 2, 3), (3, 2, 2), (2, 3, 2), (1, 3, 4)]
SNAPSHOT = """() => ({
    tables: Object.fromEntries([...document.querySelectorAll("figure table")].map((table) => [
        table.getAttribute("aria-label") ?? "d",
        [...table.rows].map((row) => [...row.cells].map((cell) =>
            [cell.textContent, cell.className.includes("lf-frame")])),
    ])),
    story: [...document.querySelectorAll("figure .lf-story p")].map((line) => line.textContent),
    check: document.querySelector("figure .lf-check").textContent,
})"""


def numbers(text):
    return [float(found.replace("−", "-")) for found in re.findall(r"−?\d+(?:\.\d+)?", text)]


def expect(page, shape, chosen, other_order=False):
    """Compare all that is shown with the library; return the mark of the check."""
    shown = page.evaluate(SNAPSHOT)
    C, H, W = shape
    values, frames = {}, {}
    for label, rows in shown["tables"].items():
        values[label] = np.array([[float(text.replace("−", "-")) for text, _ in row] for row in rows])
        frames[label] = [(i, j) for i, row in enumerate(rows) for j, (_, framed) in enumerate(row) if framed]
    images = {name: [label for label in values if label.startswith(f"{name},")] for name in ("x", "dx")}
    assert len(images["x"]) == len(images["dx"]) == C
    x = np.stack([values[label] for label in images["x"]])[np.newaxis]
    assert x.shape == (1, C, H, W)
    y, w, dy = (next(values[label] for label in values if label.startswith(f"{name},")) for name in ("y", "w", "dy"))
    flatten, dense = cnnlib.Flatten(), cnnlib.Dense(12, 1, dtype=np.float64)
    dense.W[:] = w
    flat = flatten.forward(x)
    z = dense.forward(flat)[0, 0]
    expected_dy = dense.backward(np.ones((1, 1)))
    right = flatten.backward(expected_dy)
    expected_dx = expected_dy.reshape(1, H, W, C).transpose(0, 3, 1, 2) if other_order else right
    np.testing.assert_array_equal(y[:, 0], flat[0])
    np.testing.assert_array_equal(dy[:, 0], expected_dy[0])
    np.testing.assert_array_equal(np.stack([values[label] for label in images["dx"]]), expected_dx[0])
    np.testing.assert_array_equal(values["d"][:, 0], np.arange(12))

    c, r, s = np.unravel_index(chosen, shape)
    for label, places in frames.items():
        image = label.startswith(("x,", "dx,"))
        assert places == ([(chosen, 0)] if not image else [(r, s)] if label.endswith(str(c)) else [])
    story = [numbers(line) for line in shown["story"]]
    assert story[0] == [c, r, s]
    assert story[2] == [c, H, r, W, s, chosen]
    assert story[3] == [chosen, c, H * W, r, W, s]
    pixel, weight, slope = flat[0, chosen], w[chosen, 0], expected_dx[0, c, r, s]
    assert story[4] == [z, pixel, weight, pixel * weight]
    assert story[5] == [slope]
    assert numbers(shown["check"]) == [right[0, c, r, s], slope]
    assert shown["check"].startswith("✓") == (slope == right[0, c, r, s])
    return shown["check"][0]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_place_of_every_shape_shows_the_library_s_numbers(open_figure, shape):
    page = open_figure(*FIGURE)
    expect(page, SHAPES[0], 8)
    page.get_by_label("shape (C, H, W)").select_option(",".join(map(str, shape)))
    for order in ("same", "other"):
        page.get_by_label("on the way back").select_option(order)
        marks = set()
        for d in range(12):
            c, r, s = np.unravel_index(d, shape)
            if d % 2:
                table = page.locator(f"[role=grid][aria-label*='x, the image, channel {c}']")
                table.evaluate("(table, [r, s]) => table.rows[r].cells[s].click()", [int(r), int(s)])
            else:
                table = page.locator("[role=grid][aria-label*='w, the column of weights']")
                table.evaluate("(table, d) => table.rows[d].cells[0].click()", d)
            marks.add(expect(page, shape, d, order == "other"))
        assert marks == ({"✓"} if order == "same" or shape[0] == 1 else {"✓", "✗"})


@pytest.mark.parametrize("touch", [False, True])
def test_places_are_chosen_by_keyboard_mouse_and_touch(open_figure, touch):
    page = open_figure(*FIGURE, touch=touch, width=390 if touch else 900)
    cell = page.get_by_role("grid", name="dx, the gradient of x, channel 1").get_by_role("gridcell").nth(4)
    cell.tap() if touch else cell.click()
    expect(page, SHAPES[0], 10)
    page.keyboard.press("ArrowLeft")
    expect(page, SHAPES[0], 9)
    entry = page.get_by_role("grid", name="y, the flattened example").get_by_role("gridcell").nth(2)
    entry.tap() if touch else entry.click()
    expect(page, SHAPES[0], 2)
    page.keyboard.press("ArrowDown")
    expect(page, SHAPES[0], 3)
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('c = 0, r = 1, s = 0')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_fault_in_the_engine_turns_the_check_red(open_figure):
    page = open_figure(*FIGURE)
    page.evaluate(
        """() => {
            const kind = Object.getPrototypeOf(cnnlib.Flatten());
            kind._backward = (dy, x) => cnnlib.array(Array.from(dy.data).reverse(), "float64").reshape(...x.shape);
        }"""
    )
    page.get_by_role("grid", name="y, the flattened example").get_by_role("gridcell").nth(1).click()
    assert page.locator("figure .lf-check").text_content().startswith("✗")


def test_without_scripts_there_is_a_picture_and_a_text(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert page.locator("figure noscript img").count() == 1
    assert "column of weights" in page.locator("figure noscript p").text_content()


def test_the_place_kept_free_is_enough(open_figure):
    for width in (732, 390):
        page = open_figure(*FIGURE, width=width)
        kept, needed = page.locator("figure").evaluate(
            "figure => [parseFloat(getComputedStyle(figure).minHeight), figure.offsetHeight]"
        )
        assert needed <= kept + 1
        for shape in SHAPES:
            page.get_by_label("shape (C, H, W)").select_option(",".join(map(str, shape)))
            assert page.locator("figure").evaluate("figure => figure.offsetHeight") <= kept + 1
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
