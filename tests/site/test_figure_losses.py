"""Chapter 9's live figure: every number that it shows is the library's, by mouse, touch and keyboard."""

import re

import numpy as np
import pytest

import cnnlib

FIGURE = ("09-losses", "losses")
SNAPSHOT = """() => {
    const rows = (selector) => [...document.querySelectorAll(`figure ${selector} tbody tr`)]
        .map((row) => [...row.cells].map((cell) => cell.textContent));
    const charts = [...document.querySelectorAll("figure .lf-chart")].map((chart) => ({
        lines: [...chart.querySelectorAll(".lf-line")].map((line) => line.getAttribute("d")),
        marks: [...chart.querySelectorAll("[data-at]")].map((mark) => [mark.tagName, mark.getBBox()])
            .map(([tag, box]) => [tag, box.x + box.width / 2, box.y + box.height / 2]),
        ticks: [...chart.querySelectorAll(".lf-axes text")].map((tick) => tick.textContent),
    }));
    return {
        classes: rows(".lf-classes"), forms: rows(".lf-forms"), charts,
        scores: [...document.querySelectorAll(".lf-classes output")].map((output) => output.textContent),
        checks: [...document.querySelectorAll("p.lf-check")].map((check) => check.textContent),
        titles: [...document.querySelectorAll(".lf-title")].map((title) => title.textContent),
    };
}"""


def number(text):
    return float({"∞": "inf", "−∞": "-inf"}.get(text, text.replace("−", "-")))


def numbers(text):
    return [number(found) for found in re.findall(r"−?\d+(?:\.\d+)?(?:e−?\d+)?", text)]


def close(shown, expected):
    """Compare to the three digits that the figure prints; two where it writes powers of ten."""
    np.testing.assert_allclose(shown, expected, rtol=6e-2 if np.any(np.abs(expected) < 1e-3) else 6e-3, atol=1e-9)


def plain(z, target):
    """Softmax, cross-entropy and their gradients without any care, in float32."""
    with np.errstate(all="ignore"):
        e = np.exp(z)
        p = e / e.sum()
        dp = np.zeros_like(p)
        dp[target] = -1 / p[target]
        return np.array([-np.log(p[target]), *(p * (dp - (p * dp).sum()))])


def settle(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def expect(page, moved, target):
    settle(page)
    shown = page.evaluate(SNAPSHOT)
    sliders = page.locator(".lf-classes input[type=range]").evaluate_all("inputs => inputs.map(input => +input.value)")
    scale = [1, 5, 10, 20][int(page.get_by_label("all scores times").input_value())]
    z = scale * np.array([sliders])
    t = cnnlib.one_hot(np.array([target]), 3, np.float64)
    close([number(text) for text in shown["scores"]], z[0])
    softmax, entropy, squared = cnnlib.Softmax(), cnnlib.SoftmaxCrossEntropy(), cnnlib.MeanSquaredError()
    p, dz = softmax.forward(z)[0], entropy.gradient(z, t)[0]
    for m, (one, _, probability, pull) in enumerate(shown["classes"]):
        assert float(one) == t[0, m]
        close(number(probability), p[m])
        close(number(pull), dz[m])
        assert pull.startswith("+") == (dz[m] > 0)

    def squared_error(z):
        p = softmax.forward(z)
        return squared.value(p, t), softmax.backward(squared.gradient(p, t))[0]

    def cross_entropy(z):
        return entropy.value(z, t), entropy.gradient(z, t)[0]

    index = "₀₁₂"[moved]
    assert shown["titles"][:2] == [f"The loss L as z{index} changes", f"The slope ∂L/∂z{index}"]
    for k, loss in enumerate((cross_entropy, squared_error)):
        value, slope = loss(z)[0], loss(z)[1][moved]
        assert shown["checks"][k].startswith("✓")
        close(numbers(shown["checks"][k])[:2], [value, slope])
        close(numbers(shown["checks"][k])[2], slope if abs(slope) > 1e-9 else 0)
        for chart, of in zip(shown["charts"], (lambda result: result[0], lambda result: result[1][moved]), strict=True):
            low, high = (0, 8 * scale) if chart is shown["charts"][0] else (-1.1, 1.1)

            def place(x, y, low=low, high=high):
                return 46 + (x / scale + 10) / 20 * 274, 154 - (y - low) / (high - low) * 144

            points = np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", chart["lines"][k]), float)
            assert len(points) == 101
            for number_of_point in range(0, 101, 10):
                x = scale * (number_of_point / 5 - 10)
                at = z.copy()
                at[0, moved] = x
                np.testing.assert_allclose(points[number_of_point], place(x, of(loss(at))), atol=0.02)
            mark = place(z[0, moved], of(loss(z)))
            if mark[1] > 10:
                tag = ("circle", "rect")[k]
                found = next(mark[1:] for mark in chart["marks"] if mark[0] == tag)
                np.testing.assert_allclose(found, mark, atol=0.02)
    expect_float32(shown["forms"], z, t, target)


def expect_float32(forms, z, t, target):
    z32, t32 = z.astype(np.float32), t.astype(np.float32)
    softmax, pieces, entropy = cnnlib.Softmax(), cnnlib.CategoricalCrossEntropy(), cnnlib.SoftmaxCrossEntropy()
    p = softmax.forward(z32)
    expected = [
        plain(z32[0], target),
        np.array([pieces.value(p, t32), *softmax.backward(pieces.gradient(p, t32))[0]]),
        np.array([entropy.value(z32, t32), *entropy.gradient(z32, t32)[0]]),
    ]
    truth = np.array([entropy.value(z, t), *entropy.gradient(z, t)[0]])
    for form, values in enumerate(expected):
        shown = np.array([number(line[1 + form]) for line in forms[:4]])
        # Rounding noise of float32 is its own on either side.
        large = ~(np.abs(values) < 1e-6)
        np.testing.assert_allclose(shown[large], values[large], rtol=6e-3, atol=1e-5)
        assert (np.abs(shown[~large]) < 2e-6).all()
        right = np.allclose(values, truth, rtol=1e-4, atol=1e-4)
        assert forms[4][1 + form] == ("✓" if right else "✗")
    assert forms[4][3] == "✓"


def test_every_setting_shows_the_library_s_numbers(open_figure):
    page = open_figure(*FIGURE)
    expect(page, 1, 1)
    np.testing.assert_allclose(numbers(page.locator("p.lf-check").first.text_content())[0], 1.21)
    for m, value in ((0, -3.5), (2, 9.9), (1, -10), (1, 4.2), (0, 7.7)):
        page.get_by_label(f"score z{'₀₁₂'[m]}").fill(str(value))
        for target in (0, 2):
            page.get_by_label(f"class {target} is the target").check()
            expect(page, m, target)


def test_large_scores_in_float32(open_figure):
    page = open_figure(*FIGURE)
    page.get_by_label("score z₁").fill("-10")
    marks = []
    for place in range(4):
        page.get_by_label("all scores times").fill(str(place))
        expect(page, 1, 1)
        marks.append(page.locator(".lf-forms tbody tr").last.locator("td").all_text_contents())
    assert marks == [["✓", "✓", "✓"], ["✓", "✓", "✓"], ["✗", "✗", "✓"], ["✗", "✗", "✓"]]
    page.get_by_label("score z₀").fill("9")  # exp(180) overflows
    expect(page, 0, 1)
    assert page.locator(".lf-forms tbody td").first.text_content() in ("nan", "∞")
    page.get_by_role("button", name="as at the beginning").click()
    expect(page, 1, 1)


def test_the_same_number_added_to_all_scores_changes_nothing(open_figure):
    page = open_figure(*FIGURE)
    before = page.evaluate(SNAPSHOT)
    button = page.get_by_role("button", name="all scores +")
    button.click()
    after = page.evaluate(SNAPSHOT)
    assert after["scores"] == ["3", "2.3", "1.2"]
    assert [row[2:] for row in after["classes"]] == [row[2:] for row in before["classes"]]
    assert after["checks"] == before["checks"]
    page.get_by_label("score z₂").fill("9.5")
    settle(page)
    assert button.is_disabled()


@pytest.mark.parametrize("touch", [False, True])
def test_scores_are_changed_by_keyboard_mouse_and_touch(open_figure, touch):
    page = open_figure(*FIGURE, touch=touch, width=390 if touch else 900)
    page.get_by_label("score z₂").focus()
    page.keyboard.press("ArrowRight")
    expect(page, 2, 1)
    assert page.evaluate(SNAPSHOT)["scores"][2] == "0.3"
    page.get_by_label("class 1 is the target").focus()
    page.keyboard.press("ArrowDown")
    expect(page, 2, 2)
    radio = page.get_by_label("class 0 is the target")
    radio.tap() if touch else radio.click()
    expect(page, 2, 0)
    chart = page.locator("figure .lf-chart").first
    box = chart.bounding_box()
    middle = box["x"] + box["width"] * (46 + 137) / 330
    if touch:
        page.touchscreen.tap(middle, box["y"] + box["height"] / 2)
    else:
        page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(middle, box["y"] + 60, steps=4)
        page.mouse.up()
    expect(page, 2, 0)
    assert abs(number(page.evaluate(SNAPSHOT)["scores"][2])) <= 0.1
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('as one right')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("fault", ["SoftmaxCrossEntropy", "MeanSquaredError"])
def test_a_fault_in_the_engine_turns_the_check_red(open_figure, fault):
    page = open_figure(*FIGURE)
    page.evaluate(
        f"""() => {{
            const kind = Object.getPrototypeOf(cnnlib.{fault}()), right = kind._gradient;
            kind._gradient = function (y, t) {{ return right.call(this, y, t).map((value) => 2 * value); }};
        }}"""
    )
    page.get_by_label("score z₁").fill("1")
    settle(page)
    marks = [text[0] for text in page.locator("p.lf-check").all_text_contents()]
    assert marks == (["✗", "✓"] if fault == "SoftmaxCrossEntropy" else ["✓", "✗"])


def test_a_drag_is_answered_within_a_frame(open_figure, work):
    page = open_figure(*FIGURE)
    drag = """k => {
        const input = document.querySelector(".lf-classes input[type=range]");
        input.value = k / 2;
        input.dispatchEvent(new Event("input"));
    }"""
    assert work(page, drag) < 16


def test_without_scripts_there_is_a_picture_and_a_text(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert page.locator("figure noscript img").count() == 1
    assert "cross-entropy in float32" in page.locator("figure noscript p").text_content()
