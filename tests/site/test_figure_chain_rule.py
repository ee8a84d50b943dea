"""Chapter 2's live figure: its numbers are the library's, and a broken slope is found by the paths that cross it."""

import re
from itertools import pairwise

import numpy as np
import pytest

import cnnlib

FIGURE = ("02-chain-rule", "chain-rule")
ARROWS = ("xu", "wu", "uv", "bv", "uL", "vL")
FACTORS = {"sign": -1, "zero": 0, "double": 2}
CAUGHT = {"xu": "x", "wu": "w", "bv": "b", "uv": "xw", "uL": "xw", "vL": "xwb"}


def number(text):
    return float(text.replace("−", "-"))


def layer(W, b=0.0):
    dense = cnnlib.Dense(1, 1, dtype=np.float64)
    dense.W, dense.b = np.array([[float(W)]]), np.array([float(b)])
    return dense


def graph(x, w, b, broken=None, factor=1):
    """Values and slopes by the library's layers, as the figure has them; one local slope may be broken."""
    first, second = layer(w), layer(1, b)
    u = first.forward(np.array([[float(x)]]))
    v = second.forward(u)
    last = layer(v.item())
    L = last.forward(u)
    breaks = {arrow: factor if arrow == broken else 1 for arrow in ARROWS}
    du = last.backward(np.ones((1, 1))).item() * breaks["uL"]
    dv = last.dW.item() * breaks["vL"]
    du += second.backward(np.array([[dv]])).item() * breaks["uv"]
    db = second.db.item() * breaks["bv"]
    dx = first.backward(np.array([[du]])).item() * breaks["xu"]
    dw = first.dW.item() * breaks["wu"]
    values = {"x": x, "w": w, "b": b, "u": u.item(), "v": v.item(), "L": L.item()}
    local = {"xu": w, "wu": x, "uv": 1, "bv": 1, "uL": v.item(), "vL": u.item()}
    slopes = {"x": dx, "w": dw, "b": db, "u": du, "v": dv, "L": 1}
    return values, slopes, {arrow: local[arrow] * breaks[arrow] for arrow in ARROWS}


def close(shown, expected):
    assert number(shown) == pytest.approx(expected, rel=5.1e-3, abs=1e-9)


def expect(page, x, w, b, broken=None, factor=1):
    values, slopes, local = graph(x, w, b, broken, factor)
    _, right, _ = graph(x, w, b)
    for name in values:
        texts = page.locator(f'[data-node="{name}"] text').all_text_contents()
        close(texts[0].removeprefix(f"{name} = "), values[name])
        close(texts[1].removeprefix(f"d{name} = "), slopes[name])
    on_arrows = page.locator("svg > text").all_text_contents()
    for arrow, text in zip(ARROWS, on_arrows, strict=True):
        assert text.endswith(" !") == (arrow == broken)
        close(text.removeprefix("×").removesuffix(" !"), local[arrow])
    for name, text in zip("xwb", page.locator(".lf-check").all_text_contents(), strict=True):
        mark, ours, theirs = re.fullmatch(rf"([✓✗]) d{name}: backward (\S+), difference (\S+)", text).groups()
        close(ours, slopes[name])
        close(theirs, right[name])
        assert (mark == "✓") == np.isclose(slopes[name], right[name])
    for line in page.locator("li").all_text_contents():
        if line.startswith("sum"):
            close(line.split(" = ")[1], slopes[line[6]])
            continue
        nodes, product, result = re.fullmatch(r"(.*): (.*) = (.*)", line).groups()
        factors = [number(part.strip("()")) for part in product.split(" · ")]
        names = nodes.split(" → ")
        assert factors == pytest.approx([local[a + b] for a, b in pairwise(names)], rel=5.1e-3)
        close(result, np.prod([local[a + b] for a, b in pairwise(names)]))


def enter(page, x, w, b):
    for name, value in (("x", x), ("w", w), ("b", b)):
        page.get_by_label(name, exact=True).fill(str(value))


def test_every_number_is_the_library_s(open_figure):
    page = open_figure(*FIGURE)
    expect(page, 2, 3, -4)
    for values in [(1, -2, 0.5), (0, 3, 1), (-1.5, 2.25, 7), (0, 0, 0), (12, 0.01, -3)]:
        enter(page, *values)
        expect(page, *values)
    page.get_by_role("button", name="start again").press("Enter")
    expect(page, 2, 3, -4)
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('all slopes agree')")


@pytest.mark.parametrize("arrow", ARROWS)
def test_a_broken_slope_is_found_by_the_paths_that_cross_it(open_figure, arrow):
    page = open_figure(*FIGURE)
    page.get_by_label("break").select_option(arrow)
    for fault, factor in FACTORS.items():
        page.get_by_label("how", exact=True).select_option(fault)
        expect(page, 2, 3, -4, arrow, factor)
        marks = [text[0] for text in page.locator(".lf-check").all_text_contents()]
        assert "".join(name for name, mark in zip("xwb", marks, strict=True) if mark == "✗") == CAUGHT[arrow]


def test_a_fault_can_stay_hidden(open_figure):
    page = open_figure(*FIGURE)
    page.get_by_label("break").select_option("uv")
    enter(page, 0, 3, -4)
    assert page.locator(".lf-check.lf-right").count() == 3


@pytest.mark.parametrize("way", ["mouse", "touch", "keyboard"])
def test_a_box_shows_its_paths(open_figure, way):
    page = open_figure(*FIGURE, touch=way == "touch", width=390 if way == "touch" else 900)
    for name, count in (("w", 3), ("b", 1), ("u", 3), ("v", 1), ("L", 0), ("x", 3)):
        node = page.locator(f'[data-node="{name}"]')
        {"mouse": node.click, "touch": node.tap, "keyboard": lambda node=node: node.press("Enter")}[way]()
        assert node.get_attribute("aria-pressed") == "true"
        assert page.locator("li").count() == count
        expect(page, 2, 3, -4)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_wrong_engine_is_noticed(open_figure):
    page = open_figure(*FIGURE)
    page.evaluate("""() => { const right = cnnlib.Dense.prototype._backward;
        cnnlib.Dense.prototype._backward = function (...given) {
            const dx = right.apply(this, given); this.dW = this.dW.map((v) => -v); return dx; }; }""")
    enter(page, 2, 3, -4)
    assert page.locator(".lf-check.lf-wrong").count() == 3


def test_without_scripts_there_is_a_picture(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert "the local slope on each arrow" in page.locator("figure noscript").text_content()
