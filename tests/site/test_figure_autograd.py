"""Chapter 22's live figure: values and slopes of every box, in every order, and what goes wrong otherwise."""

import re

import numpy as np
import pytest

from cnnbook.behind_the_scenes import FORMULAS, VALUES, values_and_slopes

FIGURE = ("22-behind-the-scenes", "autograd")
PARENTS = {"a": "wx", "v": "ab", "e": "vt", "s": "ee", "r": "ww", "L": "sr"}


def number(text):
    return float(text.replace("−", "-"))


def slopes(start, rule="add", order="complete"):
    """What arrives at every box, computed as the chapter's text says."""
    values, _ = values_and_slopes(**start)
    local = {"a": (values["x"], values["w"]), "v": (1, 1), "e": (1, -1), "s": (values["e"],) * 2}
    local |= {"r": (values["w"],) * 2, "L": (1, 1)}
    arrived = dict.fromkeys(values, 0.0) | {"L": 1.0}

    def hand_on(box, arrow):
        parent, share = PARENTS[box][arrow], arrived[box] * local[box][arrow]
        arrived[parent] = arrived[parent] + share if rule == "add" else share
        return parent

    def at_once(box):
        for arrow in (0, 1):
            parent = hand_on(box, arrow)
            if parent in PARENTS:
                at_once(parent)

    if order == "once":
        at_once("L")
    else:
        for box in "LrsevA".replace("A", "a"):
            for arrow in (0, 1):
                hand_on(box, arrow)
    return arrived


def expect(page, start, rule="add", order="complete"):
    values, right = values_and_slopes(**start)
    arrived = slopes(start, rule, order)
    for name, value in values.items():
        texts = page.locator(f'[data-node="{name}"] text').all_text_contents()
        assert texts[0] == (f"{name} = {FORMULAS[name]}".replace("v - t", "v − t") if name in FORMULAS else name)
        assert number(texts[1]) == pytest.approx(value, rel=5.1e-3)
        assert number(texts[2].removeprefix(f"d{name} = ")) == pytest.approx(arrived[name], rel=5.1e-3)
    for name, text in zip("xwbt", page.locator(".lf-check").all_text_contents(), strict=True):
        mark, ours, theirs = re.fullmatch(rf"([✓✗]) d{name}: backward (\S+), difference (\S+)", text).groups()
        assert number(ours) == pytest.approx(arrived[name], rel=5.1e-3)
        assert number(theirs) == pytest.approx(right[name], rel=5.1e-3, abs=1e-6)
        assert (mark == "✓") == np.isclose(arrived[name], right[name])


@pytest.mark.parametrize("rule", ["add", "replace"])
@pytest.mark.parametrize("order", ["complete", "once"])
def test_every_order_and_rule(open_figure, rule, order):
    page = open_figure(*FIGURE)
    page.get_by_label("what arrives").select_option(rule)
    page.get_by_label("hand on").select_option(order)
    page.get_by_role("button", name="to the end").click()
    expect(page, VALUES, rule, order)
    start = {"x": -1.5, "w": 0.5, "b": 2.0, "t": -3.0}
    for name, value in start.items():
        page.get_by_label(name, exact=True).fill(str(value))
    expect(page, start, rule, order)
    page.get_by_role("button", name="start again").click()
    page.get_by_role("button", name="to the end").click()
    expect(page, VALUES)


def test_the_answer_below_the_figure_is_true():
    assert slopes(VALUES, order="once")["v"] == 3 and slopes(VALUES)["v"] == 2
    replaced = slopes(VALUES, rule="replace")
    assert [name for name in "xwbt" if replaced[name] != slopes(VALUES)[name]] == ["x", "w", "b", "t"]


def test_step_by_step_with_the_keyboard(open_figure):
    page = open_figure(*FIGURE)
    slider = page.get_by_label("step", exact=True)
    slider.focus()
    assert slider.input_value() == "6"
    for _ in range(6):
        slider.press("ArrowLeft")
    assert page.locator(".lf-note").first.text_content() == "Nothing is computed yet."
    assert page.locator('[data-node="a"] text').nth(1).text_content() == ""
    slider.press("ArrowRight")
    assert page.locator(".lf-note").first.text_content() == "Forward: a = w x = 6."
    assert page.locator('[data-node="v"] text').nth(1).text_content() == ""
    slider.press("End")
    expect(page, VALUES)
    slider.press("ArrowLeft")
    assert page.locator(".lf-check").first.text_content() == "dx: not complete yet"


def test_the_note_says_what_is_handed_on(open_figure):
    page = open_figure(*FIGURE, touch=True, width=390)
    page.get_by_role("button", name="next").tap()
    assert "L hands 1 · 1 = 1 on to s; ds is now 1." in page.locator(".lf-note").first.text_content()
    for _ in range(5):
        page.get_by_role("button", name="next").tap()
    assert "s hands 1 · 1 = 1 on to e; de is now 2." in page.locator(".lf-note").first.text_content()
