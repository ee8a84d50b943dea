"""What figures say to those who do not see them, key by key; and whether their numbers fit where the book puts them."""

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"
FIG = "document.querySelector('figure').liveFigure"


def spoken(page, key=None, on=None) -> str:
    """Press a key, on a part of the figure or where the focus is, and return what is said then."""
    if on is not None:
        on.focus()
    page.wait_for_timeout(400)  # what was said before is over
    page.evaluate("document.querySelector('.lf-voice').textContent = ''")
    if key:
        page.keyboard.press(key)
    page.wait_for_function("document.querySelector('.lf-voice').textContent")
    return page.locator(".lf-voice").text_content()


def test_detection_says_which_digit_is_chosen(open_figure):
    page = open_figure("19-detection", "detection")
    scene = page.locator("canvas").first
    digits = page.evaluate(f"{FIG}.digits()")
    first = spoken(page, "ArrowRight", scene)
    assert first.startswith(f"Chosen: {digits[0]['digit']} at row {digits[0]['top']}, column {digits[0]['left'] + 1}, ")
    assert f" 1 of {len(digits)}. Found: " in first
    for k in range(2, len(digits) + 1):
        assert f", {k} of {len(digits)}. " in spoken(page, "n")
    assert spoken(page, "Enter", page.get_by_role("button", name="add an 8")).startswith("Chosen: 8 at row 22, ")
    assert page.get_by_text("Dashed: the chosen digit.").count() == 1
    button = page.get_by_role("button", name="empty, to draw")
    assert spoken(page, "Enter", button) == "No digit is placed. Nothing found."
    assert page.get_by_text("Dashed").count() == 0


def test_segmentation_says_where_the_keys_are_and_what_is_shown(open_figure):
    page = open_figure("20-segmentation", "segmentation")
    scene = page.locator("canvas").first
    ink, classes = page.evaluate(f"[[...{FIG}.state.x], [...{FIG}.state.classes]]")
    place = 32 * 64 + 33
    name = "background" if classes[place] == 10 else classes[place]
    expected = f"At row 32, column 33: {'ink' if ink[place] > 0.5 else 'no ink'}, class {name}."
    assert spoken(page, "ArrowRight", scene) == expected
    page.get_by_role("button", name="empty").click()
    assert spoken(page, "ArrowDown", scene) == "At row 33, column 33: no ink, class background."
    said = spoken(page, "Space")
    assert said.startswith("Ink at row 33, column 33. The scene, coloured by class. ")
    assert page.locator(".lf-classes").get_attribute("aria-label") in said
    page.locator("select").select_option("the probability of 3")
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('The probability of 3')")
    likely = page.evaluate(f"{FIG}.state.p.filter(one => one > 0.5).length")
    assert page.locator(".lf-voice").text_content().endswith(f" It is above one half in {likely} pixels.")


def test_batch_normalization_says_what_beta_does(open_figure):
    page = open_figure("17-deeper-networks", "batch-normalization")
    beta = page.locator("input[type=range]").nth(1)
    outputs = [re.search("Output y: (.*?)[.] ", spoken(page, "ArrowRight", beta))[1] for _ in range(2)]
    assert outputs[0] != outputs[1]


@pytest.mark.parametrize("width", [704, 374])
def test_numbers_fit_their_cells_in_the_book_s_style(open_figure, width):
    """The book has rules for the tables of outputs, not for those of a figure. Its text is 688 or 358 wide."""
    page = open_figure("17-deeper-networks", "batch-normalization", width=width)
    page.add_style_tag(url=(STATIC / "book.css").as_uri())
    page.evaluate("""() => {
      const main = document.querySelector("main");
      const [cell, output] = [0, 1].map(() => document.createElement("div"));
      [cell.className, output.className] = ["cell_output", "text_html"];
      cell.append(output);
      output.append(document.querySelector(".live-figure"));
      main.append(cell);
    }""")
    outside = """cells => cells.filter(cell => {
      const [inner, outer] = [cell.firstChild.getBoundingClientRect(), cell.getBoundingClientRect()];
      return inner.left < outer.left || inner.right > outer.right;
    }).map(cell => cell.textContent)"""
    assert page.locator(".lf-matrix td").count() == 48
    assert page.locator(".lf-matrix td").evaluate_all(outside) == []
    padding = "cell => getComputedStyle(cell).paddingLeft"
    assert page.locator(".lf-matrix td").first.evaluate(padding) == "2.4px"
    page.evaluate("document.querySelector('.text_html').insertAdjacentHTML('beforeend', '<table><td>an output')")
    assert page.locator(".text_html > table td").evaluate(padding) == "12px"
