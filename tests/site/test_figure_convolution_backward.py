"""Chapter 6's first live figure: every number that it shows is the library's, by mouse, touch and keyboard."""

import re

import numpy as np
import pytest

import cnnlib
from cnnlib.layers import loops

FIGURE = ("06-convolution-backward", "convolution-backward")
FRAMED = """([label, name]) => [...gridOf(label).rows].flatMap(
    (row, i) => [...row.cells].map((cell, j) => [cell, i, j]))
    .filter(([cell]) => cell.classList.contains(name)).map(([, i, j]) => [i, j])"""


def grid(page, label):
    return page.get_by_role("grid", name=label)


def matrix(page, label):
    """The numbers of a matrix that the figure shows; nan where it shows none."""
    rows = page.evaluate("gridTexts", label)
    return np.array([[float(text or "nan") for text in row] for row in rows])


def cell(page, label, row, column):
    return grid(page, label).get_by_role("row").nth(row).get_by_role("gridcell").nth(column)


def framed(page, label, name="lf-frame-2"):
    return {tuple(place) for place in page.evaluate(FRAMED, [label, name])}


def set_sliders(page, K, stride, padding):
    for label, value in (("kernel", K), ("stride", stride), ("padding", padding)):
        page.get_by_role("slider", name=label).fill(str(value))
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def layer_of(page, stride):
    W = matrix(page, "W, the kernel")
    layer = cnnlib.Convolutional(1, 1, len(W), stride, dtype=np.float64)
    layer.W[0, 0] = W
    return layer


def expect(page, stride, padding, adds=True):
    """Compare what does not depend on the choice; return the padded image's gradient, right and as col2im left it."""
    x, dy = matrix(page, "x, the input"), matrix(page, "dy, the upstream")
    layer = layer_of(page, stride)
    assert layer.forward(x[None, None]).shape[2:] == dy.shape
    right = layer.backward(dy[None, None])[0, 0]
    K, h = layer.kernel_size, len(dy)
    dcols = (layer.W.reshape(-1, 1) * dy.ravel()).reshape(K, K, h, h)
    written = np.zeros_like(x)
    for i, j, r, s in np.ndindex(dcols.shape):
        place = r * stride + i, s * stride + j
        written[place] = dcols[i, j, r, s] + (written[place] if adds else 0)
    np.testing.assert_allclose(matrix(page, "dx, the gradient"), written, rtol=5e-3)
    inner = np.s_[padding : padding + 5, padding : padding + 5]
    np.testing.assert_allclose(matrix(page, "dx by central differences"), right[inner], rtol=5e-3)
    np.testing.assert_allclose(matrix(page, "dW, the gradient"), layer.dW[0, 0], rtol=5e-3)
    ones = np.ones((1, 1, *x.shape))
    counts = cnnlib.col2im(cnnlib.im2col(ones, K, stride), ones.shape, K, stride)[0, 0]
    np.testing.assert_array_equal(matrix(page, "in how many windows"), counts)
    assert framed(page, "in how many windows", "lf-hatched") == {tuple(place) for place in np.argwhere(counts == 0)}

    wrong = {tuple(place + padding) for place in np.argwhere(~np.isclose(written[inner], right[inner]))}
    assert framed(page, "dx, the gradient", "lf-bad") == wrong
    check = page.locator(".lf-check").text_content()
    if wrong:
        assert check.startswith(f"✗ {len(wrong)} of 25 numbers of dx are wrong") and "dW is right" in check
    else:
        assert check.startswith("✓ dx and dW agree with central differences")
    return written


def expect_dy(page, stride, r, s):
    """Compare what belongs to a chosen dy."""
    x, dy, layer = matrix(page, "x, the input"), matrix(page, "dy, the upstream"), layer_of(page, stride)
    K, alone = layer.kernel_size, np.zeros_like(dy)
    alone[r, s] = dy[r, s]
    dx, dW, _ = loops.convolve_backward(x[None, None], layer.W, alone[None, None], stride)
    patch = np.s_[r * stride : r * stride + K, s * stride : s * stride + K]
    np.testing.assert_allclose(matrix(page, "what the chosen dy adds to dW"), dW[0, 0], rtol=5e-3)
    np.testing.assert_allclose(matrix(page, "what the chosen dy adds to dx"), dx[0, 0][patch], rtol=5e-3)
    edge = {(r * stride + i, s * stride + j) for i, j in np.ndindex(K, K) if 0 in (i, j) or K - 1 in (i, j)}
    assert framed(page, "x, the input", "lf-edge") == framed(page, "dx, the gradient", "lf-edge") == edge
    assert f"dy[{r}, {s}] = {dy[r, s]:g}" in page.locator(".lf-root").inner_text().replace("−", "-")


def expect_pixel(page, stride, padding, u, v, adds=True):
    """Compare what belongs to a chosen pixel, in row u and column v of the padded image."""
    dx, dy, layer = matrix(page, "dx, the gradient"), matrix(page, "dy, the upstream"), layer_of(page, stride)
    K, W = layer.kernel_size, layer.W[0, 0]
    offsets = {(r, s): (u - r * stride, v - s * stride) for r, s in np.ndindex(dy.shape)}
    offsets = {output: (i, j) for output, (i, j) in offsets.items() if 0 <= i < K and 0 <= j < K}
    between = np.full_like(dy, np.nan)
    for output, offset in offsets.items():
        between[output] = W[offset]
    np.testing.assert_array_equal(matrix(page, "the weight by which"), between)
    assert framed(page, "dy, the upstream") == set(offsets)
    assert framed(page, "W, the kernel") == set(offsets.values())

    text = page.locator(".lf-root").inner_text().replace("−", "-")
    if padding <= min(u, v) and max(u, v) < padding + 5:
        assert f"dx[{u - padding}, {v - padding}] = {dx[u, v]:g}" in text
    else:
        assert f"A pixel of the padding: {dx[u, v]:g}" in text
    symbols = re.findall(r"dy\[(\d), (\d)\] · W\[(\d), (\d)\]", text)
    listed = list(offsets.items())[: None if adds else 1]
    assert [tuple(map(int, term)) for term in symbols] == [(*output, *offset) for output, offset in listed]
    if listed:
        sum_line = text[text.index("= dy[") :].split("\n")[0].split(" = ")
        terms = re.findall(r"\(?(-?[\d.]+)\)? · \(?(-?[\d.]+)\)?", sum_line[1])
        assert [tuple(map(float, term)) for term in terms] == [(dy[output], W[offset]) for output, offset in listed]
        assert float(sum_line[2]) == pytest.approx(dx[u, v])
        assert ("the kernel is flipped" in text) == (len(offsets) > 1)
    else:
        assert "No window contains this pixel" in text


@pytest.mark.parametrize("K", [2, 3])
def test_every_setting_shows_the_library_s_numbers(open_figure, K):
    page = open_figure(*FIGURE)
    expect(page, 1, 0)
    expect_dy(page, 1, 1, 1)
    for stride in (1, 2, 3):
        for padding in (0, 1):
            set_sliders(page, K, stride, padding)
            for adds in (False, True):
                page.get_by_role("button", name="col2im with +=" if adds else "col2im with =", exact=True).click()
                expect(page, stride, padding, adds)
                cell(page, "dx, the gradient", 2, 2 + padding).click()
                expect_pixel(page, stride, padding, 2, 2 + padding, adds)
            last = len(matrix(page, "dy, the upstream")) - 1
            cell(page, "dy, the upstream", 0, last).click()
            expect_dy(page, stride, 0, last)
            cell(page, "dx, the gradient", 0, 4).click()
            expect_pixel(page, stride, padding, 0, 4)


@pytest.mark.parametrize("touch", [False, True])
def test_numbers_are_changed_by_keyboard_mouse_and_touch(open_figure, touch):
    page = open_figure(*FIGURE, touch=touch, width=390 if touch else 900)
    set_sliders(page, 3, 2, 1)
    for label, row, column, value in (
        ("x, the input", 3, 2, "-2.5"),
        ("W, the kernel", 0, 1, "0.75"),
        ("dy, the upstream", 1, 2, "4"),
    ):
        place = cell(page, label, row, column)
        place.tap() if touch else place.click()
        page.keyboard.type(value)
        page.keyboard.press("Enter")
        assert matrix(page, label)[row, column] == float(value)
    expect(page, 2, 1)
    expect_dy(page, 2, 1, 2)
    page.keyboard.press("ArrowLeft")
    expect_dy(page, 2, 1, 1)
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('dy[1, 1] =')")
    place = cell(page, "dx, the gradient", 4, 4)
    place.tap() if touch else place.click()
    expect_pixel(page, 2, 1, 4, 4)
    page.keyboard.press("ArrowUp")
    expect_pixel(page, 2, 1, 3, 4)
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('dx[2, 3] =')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    button = page.get_by_role("button", name="start again")
    button.tap() if touch else button.click()
    expect(page, 1, 0)
    expect_dy(page, 1, 1, 1)


FAULTS = {
    "dx": "const { col2im } = cnnlib; cnnlib.col2im = (...given) => col2im(...given).map((value) => 2 * value)",
    "dW": "const { Convolutional } = cnnlib; cnnlib.Convolutional = (C, F, K, settings) => {"
    " const layer = Convolutional(C, F, K, settings), { backward } = layer;"
    " layer.backward = (dy) => { const dx = backward.call(layer, dy); layer.dW = layer.dW.map((value) => -value);"
    " return dx; }; return layer; }",
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_engine_is_noticed(open_figure, name):
    page = open_figure(*FIGURE)
    page.evaluate(f"() => {{ {FAULTS[name]} }}")
    cell(page, "dy, the upstream", 0, 1).click()
    text = page.locator(".lf-check.lf-wrong").text_content()
    assert ("dW is right" in text) == (name == "dx")
    assert text.startswith("✗ 0 of 25") == (name == "dW")


def test_without_scripts_there_is_a_picture_and_a_text(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert "reach one pixel" in page.locator("figure noscript").text_content()
    assert 'src="data:image/png' in page.locator("figure noscript").inner_html()
