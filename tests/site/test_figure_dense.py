"""Chapter 3's live figure: every number that it shows is the library's, by mouse, touch and keyboard."""

import re

import numpy as np
import pytest

import cnnlib

FIGURE = ("03-dense", "dense")
LABELS = {
    "x": "x, the input",
    "W": "W, the weights",
    "b": "b, the biases",
    "y": "y, the output",
    "dx": "dx, the gradient",
    "dW": "dW, the gradient",
    "db": "db, the gradient",
    "dy": "dy, the upstream",
}
CHOOSABLE = ("y", "dW", "db", "dx", "dy")


def numbers(text):
    """All numbers in a text; what stands behind a letter is an index."""
    return [float(found.replace("−", "-")) for found in re.findall(r"(?<![A-Za-z\d])−?\d+(?:\.\d+)?", text)]


def grid(page, name):
    return page.get_by_role("grid", name=LABELS[name])


def cell(page, name, i, j):
    return grid(page, name).get_by_role("row").nth(i).get_by_role("gridcell").nth(j)


SNAPSHOT = """() => {
    const texts = (selector) => [...document.querySelectorAll(`figure ${selector}`)].map((part) => part.textContent);
    const tables = [...document.querySelectorAll("figure table")].map((table) => [
        table.getAttribute("aria-label").split(",")[0],
        [...table.rows].map((row) => [...row.cells].map((cell) => [cell.textContent, cell.className])),
    ]);
    const checks = [...document.querySelectorAll("figure .lf-check")];
    const visible = checks.map((check) => check.style.visibility !== "hidden");
    return { tables: Object.fromEntries(tables), story: texts(".lf-story p"), checks: texts(".lf-check"), visible,
        drawn: texts("svg text") };
}"""


class Snapshot:
    """All that the figure shows, fetched at once."""

    def __init__(self, page):
        self.__dict__.update(page.evaluate(SNAPSHOT))
        self.arrays = {
            name: np.array([[float(text.replace("−", "-")) for text, _ in row] for row in rows])
            for name, rows in self.tables.items()
        }

    def framed(self, name, which):
        rows = enumerate(self.tables[name])
        return {(i, j) for i, row in rows for j, (_, names) in enumerate(row) if which in names.split()}


def matrix(page, name):
    return Snapshot(page).arrays[name]


def expect_arrays(page):
    """Compare all eight arrays with the library, and return all that is shown."""
    snapshot = Snapshot(page)
    shown = snapshot.arrays
    layer = cnnlib.Dense(3, 2, dtype=np.float64)
    layer.W[:], layer.b[:] = shown["W"], shown["b"][0]
    y = layer.forward(shown["x"])
    dx = layer.backward(shown["dy"])
    expected = {"y": y, "dx": dx, "dW": layer.dW, "db": layer.db[np.newaxis]}
    for name, values in expected.items():
        np.testing.assert_allclose(shown[name], values, rtol=5e-3, atol=1e-9)
    return snapshot


def expect_entry(page, name, i, j):
    """Compare what is said about one entry with the arrays shown: frames, terms, sum, product, difference."""
    snapshot = expect_arrays(page)
    arrays, story, (check, fits) = snapshot.arrays, snapshot.story, snapshot.checks
    x, W, b, dy = (arrays[key] for key in ("x", "W", "b", "dy"))
    N = len(x)
    assert snapshot.framed(name, "lf-frame") == {(i, j)}
    frames = {key: snapshot.framed(key, "lf-frame-2") for key in LABELS}
    expected = {
        "y": {"x": {(i, d) for d in range(3)}, "W": {(d, j) for d in range(3)}, "b": {(0, j)}},
        "dW": {"x": {(n, i) for n in range(N)}, "dy": {(n, j) for n in range(N)}},
        "db": {"dy": {(n, j) for n in range(N)}},
        "dx": {"dy": {(i, m) for m in range(2)}, "W": {(j, m) for m in range(2)}},
        "dy": {"dW": {(d, j) for d in range(3)}, "db": {(0, j)}, "dx": {(i, d) for d in range(3)}},
    }[name]
    assert {key: places for key, places in frames.items() if places} == expected
    if name == "dy":
        assert numbers(story[0]) == [dy[i, j]]
        share = np.concatenate([[j + 1, dy[i, j]], x[i], x[i] * dy[i, j]])
        np.testing.assert_allclose(numbers(story[1]), share, rtol=5e-3)
        np.testing.assert_allclose(numbers(story[2]), [dy[i, j]])
        share = np.concatenate([[i + 1, dy[i, j]], W[:, j], W[:, j] * dy[i, j]])
        np.testing.assert_allclose(numbers(story[3]), share, rtol=5e-3)
        assert not snapshot.visible[0]
        left, right = x.T, dy
    else:
        terms = {
            "y": lambda: np.append(np.stack([x[i], W[:, j]], axis=1), b[0, j]),
            "dW": lambda: np.stack([x[:, i], dy[:, j]], axis=1),
            "db": lambda: dy[:, j],
            "dx": lambda: np.stack([dy[i], W[j]], axis=1),
        }[name]()
        result = arrays[name][i, j]
        np.testing.assert_allclose(numbers(story[2]), [*np.ravel(terms), result], rtol=5e-3)
        assert snapshot.visible[0] == (name != "y")
        if name != "y":
            assert check.startswith("✓")
            np.testing.assert_allclose(numbers(check), [result, result], rtol=5e-3, atol=1e-8)
        left, right = {"y": (x, W), "dW": (x.T, dy), "db": (np.ones((1, N)), dy), "dx": (dy, W.T)}[name]
    assert fits.startswith("✓")
    assert f"({right.shape[0]})" in fits
    parts = snapshot.drawn
    for values in (left, right, left @ right):
        place = next(k for k, text in enumerate(parts) if text.endswith(str(values.shape)))
        np.testing.assert_allclose(numbers(" ".join(parts[place - values.size : place])), values.ravel(), rtol=0.06)
        del parts[place - values.size : place + 1]
    assert numbers(" ".join(parts)) == [left.shape[1], right.shape[0]]


@pytest.mark.parametrize("N", [2, 3])
def test_every_entry_shows_the_library_s_numbers(open_figure, N):
    page = open_figure(*FIGURE)
    expect_entry(page, "y", 0, 1)
    page.get_by_label("examples, N").select_option(str(N))
    for name in CHOOSABLE:
        for i, j in np.ndindex(matrix(page, name).shape):
            cell(page, name, i, j).evaluate("cell => cell.click()")
            expect_entry(page, name, i, j)


@pytest.mark.parametrize("touch", [False, True])
def test_numbers_are_changed_by_keyboard_mouse_and_touch(open_figure, touch):
    page = open_figure(*FIGURE, touch=touch, width=390 if touch else 900)
    changes = {("x", 1, 2): "-2.5", ("W", 2, 1): "1.75", ("b", 0, 0): "-4", ("dy", 1, 0): "0.5"}
    for (name, i, j), value in changes.items():
        place = cell(page, name, i, j)
        press = place.tap if touch else place.click
        press()
        press()  # the second one opens the editor, which a phone could not do otherwise
        assert place.get_by_role("textbox").is_visible()
        page.keyboard.type(value)
        page.keyboard.press("Enter")
        assert matrix(page, name)[i, j] == float(value)
        expect_arrays(page)
    page.keyboard.press("ArrowRight")
    expect_entry(page, "dy", 1, 1)
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    assert matrix(page, "dy")[1, 1] == 7
    expect_entry(page, "dy", 1, 1)
    for name in CHOOSABLE:
        cell(page, name, 0, 1).tap() if touch else cell(page, name, 0, 1).click()
        expect_entry(page, name, 0, 1)
    cell(page, "dx", 1, 2).tap() if touch else cell(page, "dx", 1, 2).click()
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('row 2 of dy meets row 3 of W')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="as at the beginning").click()
    expect_entry(page, "y", 0, 1)
    np.testing.assert_array_equal(matrix(page, "x"), [[1, 2, 0], [0, -1, 3]])


@pytest.mark.parametrize("N", [2, 3])
def test_wrong_products_are_told_apart_from_right_ones(open_figure, N):
    page = open_figure(*FIGURE)
    page.get_by_label("examples, N").select_option(str(N))
    shapes = {"x": (N, 3), "W": (3, 2), "dy": (N, 2), "1": (2, 1), "1ᵀ": (1, N)}
    shapes |= {f"{name}ᵀ": shapes[name][::-1] for name in ("x", "W", "dy")}
    wanted = {"y": (N, 2), "dW": (3, 2), "db": (1, 2), "dx": (N, 3)}
    for name, shape in wanted.items():
        cell(page, name, 0, 0).click()
        products = page.get_by_label("product", exact=True).locator("option").all_text_contents()
        for k, product in enumerate(products):
            page.get_by_label("product", exact=True).select_option(product)
            left, right = (shapes[factor] for factor in product.split())
            text = page.locator("figure .lf-check").last.text_content()
            assert text.startswith("✓") == (k == 0)
            if left[1] != right[0]:
                assert f"differ: {left[1]} and {right[0]}" in text
                assert "?" in Snapshot(page).drawn
            elif (left[0], right[1]) != shape:
                assert f"the shape ({left[0]}, {right[1]})" in text
            elif k:
                assert "the numbers are not those" in text
                assert (name, product, N) in {("dx", "W dyᵀ", 3), ("dW", "x dy", 3)}


@pytest.mark.parametrize(
    ("fault", "entry"),
    [
        ("this.dW.data[3] *= -1", ("dW", 1, 1)),
        ("this.db.data[0] /= 2", ("db", 0, 0)),
        ("dx.data[5] = dy.data[2] * this.W.data[0]", ("dx", 1, 2)),
    ],
)
def test_a_fault_in_the_engine_turns_the_check_red(open_figure, fault, entry):
    page = open_figure(*FIGURE)
    page.evaluate(
        f"""() => {{
            const kind = Object.getPrototypeOf(cnnlib.Dense(1, 1)), right = kind._backward;
            kind._backward = function (dy, x) {{ const dx = right.call(this, dy, x); {fault}; return dx; }};
        }}"""
    )
    cell(page, *entry).click()
    assert page.locator("figure .lf-check").first.text_content().startswith("✗")


def test_without_scripts_there_is_a_picture_and_a_text(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert page.locator("figure noscript img").count() == 1
    assert "the row and the column" in page.locator("figure noscript p").text_content()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_place_kept_free_is_enough(open_figure, theme):
    for width in (732, 390):
        page = open_figure(*FIGURE, width=width, theme=theme, calm=True)
        kept, needed = page.locator("figure").evaluate(
            "figure => [parseFloat(getComputedStyle(figure).minHeight), figure.offsetHeight]"
        )
        assert needed <= kept + 1
