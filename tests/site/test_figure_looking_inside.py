"""Chapter 14's live figure: all values and gradients of LeNet-5, distortions and the adversarial step, as in cnnlib."""

import re

import numpy as np
import pytest

import cnnlib
from cnnlib.digits.augmentation import bilinear_sample

FIGURE = ("14-looking-inside", "looking-inside")
NETWORK = cnnlib.load_pretrained()
SCORES = cnnlib.Network(NETWORK.layers[:-1], NETWORK.input_shape)
FIG = "document.querySelector('figure').liveFigure"


def shown(page):
    """What the figure computed last, once it has drawn it."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    state = page.evaluate(
        f"""() => {{ const list = (array) => [...(array.data ?? array)], s = {FIG}.state;
        return {{ x: list(s.x), p: list(s.p), after: list(s.after), step: list(s.step),
          outputs: s.outputs.map(list), gradients: s.gradients.map(list) }}; }}"""
    )
    return {key: [np.array(v) for v in value] if key in ("outputs", "gradients") else np.array(value)
            for key, value in state.items()}  # fmt: skip


def expect(page, target, truth, epsilon=0.0):
    """Compare all that the figure shows of its own image x with the library."""
    state = shown(page)
    y = x = NETWORK.to_input(state["x"].reshape(1, 28, 28).astype(np.float32))
    for layer, values in zip(NETWORK.layers, state["outputs"], strict=True):
        y = layer.forward(y)
        np.testing.assert_allclose(values, y.ravel(), atol=2e-5 * max(1, np.abs(y).max()))
    p = y[0]
    truth = p.argmax() if truth is None else truth
    # Of two values of a window that differ by rounding only, either may be the maximum: hence from the page's values.
    inputs = [x, *(values.reshape(1, *shape) for values, shape in zip(state["outputs"], NETWORK.shapes, strict=True))]

    def backward(dy):
        found = [dy]
        for layer, values in zip(SCORES.layers[::-1], inputs[len(SCORES.layers) - 1 :: -1], strict=True):
            layer.forward(values.astype(np.float32))
            found.insert(0, layer.backward(found[0]))
        return found

    for ours, theirs in zip(backward(cnnlib.one_hot([target], 10, np.float32)), state["gradients"], strict=True):
        np.testing.assert_allclose(theirs, ours.ravel(), atol=1e-4 * max(np.abs(ours).max(), 1e-3))
    after = p
    if epsilon:
        loss, z = cnnlib.SoftmaxCrossEntropy(), inputs[-2].astype(np.float64)
        dz = loss.gradient(z, cnnlib.one_hot([truth], 10, np.float64))  # in float32, p - t would be rounding errors
        dx = backward(dz.astype(np.float32))[0]
        step = np.clip(x + np.float32(epsilon) * np.sign(dx), 0, 1)
        sure = np.abs(dx).ravel() > 1e-4 * np.abs(dx).max()  # where rounding does not decide about the sign
        np.testing.assert_allclose(state["step"][sure], step.ravel()[sure], atol=1e-6)
        after = NETWORK.predict(state["step"].reshape(1, 28, 28).astype(np.float32))[0]
    np.testing.assert_allclose(state["after"], after, atol=1e-4)
    table = page.locator("table.lf-p tbody tr").evaluate_all("rows => rows.map(row => row.innerText.split(/\\s+/))")
    for digit, cells in enumerate(table):
        numbers = [float(cell) for cell in cells if re.fullmatch(r"[\d.]+", cell)]
        np.testing.assert_allclose(numbers, [digit, 100 * p[digit], 100 * after[digit]], atol=0.06)
    text = page.locator(".lf-answer").text_content()
    assert f"read as {p.argmax()}," in text
    assert f"read as {after.argmax()}, {100 * after.max():.0f}"[:10] in text
    return state


def test_values_gradients_and_the_adversarial_step(open_figure):
    page = open_figure(*FIGURE)
    expect(page, 7, 7)
    for n, target, epsilon in ((4, 9, 0.1), (7, 2, 0.25), (12, 2, 0.4)):
        page.get_by_label("digit", exact=True).select_option(str(n))
        page.get_by_label("score of class").select_option(str(target))
        page.get_by_label("ε", exact=True).fill(str(epsilon))
        state = expect(page, target, n % 10, epsilon)
        if n == 7:
            assert state["p"].argmax() == 7 != state["after"].argmax()
    page.get_by_role("button", name="undo all changes").click()
    expect(page, 2, 2)


def test_turn_shift_and_noise(open_figure):
    page = open_figure(*FIGURE, touch=True, width=390, theme="dark")
    image = shown(page)["x"].reshape(1, 28, 28).astype(np.float32)
    noise = page.evaluate(
        "() => { const rng = cnnlib.default_rng(1); return Array.from({ length: 784 }, () => rng.normal()); }"
    )
    r, s = np.mgrid[:28, :28].astype(np.float32) - 13.5
    for degrees, pixels, deviation in ((40, 0, 0), (-65, 3, 0), (0, -5, 0.2), (15, 2, 0.35)):
        for name, value in (("turn", degrees), ("shift", pixels), ("noise", deviation)):
            page.get_by_label(name).fill(str(value))
        angle = np.deg2rad(degrees)
        rows = np.cos(angle) * r + np.sin(angle) * s + 13.5
        columns = -np.sin(angle) * r + np.cos(angle) * s + 13.5
        wanted = bilinear_sample(image, rows[np.newaxis], columns[np.newaxis])
        wanted = bilinear_sample(wanted, (r + 13.5 - pixels)[np.newaxis], (s + 13.5 - pixels)[np.newaxis])
        wanted = np.clip(wanted.ravel() + deviation * np.array(noise), 0, 1)
        np.testing.assert_allclose(shown(page)["x"], wanted, atol=2e-4)
        expect(page, 7, 7)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("index", [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11])
def test_what_made_a_value(open_figure, index):
    page = open_figure(*FIGURE)
    sheet = page.get_by_label(f"values of layer {index},")
    sheet.click(position={"x": 60, "y": 6})
    state = shown(page)
    for key in (None, "ArrowRight", "ArrowDown", "ArrowRight"):
        if key:
            page.keyboard.press(key)
        text = page.locator(".lf-made").text_content()
        place = [int(k) for k in re.search(r"y\[([\d, ]+)\]", text)[1].split(",")]
        k = place[0] if len(place) == 1 else np.ravel_multi_index(place, NETWORK.shapes[index])
        shown_sum = float(text.split(", with")[0].split(" = ")[-1].replace("−", "-"))
        assert shown_sum == pytest.approx(state["outputs"][index][k], rel=0.006, abs=1e-3)
        assert page.locator(".lf-check").text_content().startswith("✓")
        slope = float(page.locator("p", has_text="∂score/∂y").last.text_content().split(" = ")[1].replace("−", "-"))
        assert slope == pytest.approx(state["gradients"][index + 1][k], rel=0.06, abs=1e-6)


def test_a_pixel_is_checked_by_a_difference_and_a_wrong_sign_is_noticed(open_figure):
    page = open_figure(*FIGURE)
    pixels = page.get_by_label("The gradient of the score by every pixel")
    check = page.locator(".lf-check")
    for x, y in ((60, 50), (80, 110), (20, 20)):
        pixels.click(position={"x": x, "y": y})
        assert check.text_content().startswith("✓ pixel ")
    page.keyboard.press("ArrowLeft")
    assert check.text_content().startswith("✓ pixel ")
    page.evaluate(
        """() => { const { _backward } = cnnlib.Flatten.prototype;
        cnnlib.Flatten.prototype._backward = function (dy, x) { return _backward.call(this, dy.map(v => -v), x); }; }"""
    )
    pixels.click(position={"x": 60, "y": 50})
    assert check.text_content().startswith("✗ pixel ")


def test_a_drawing_by_mouse_and_by_keyboard(open_figure):
    page = open_figure(*FIGURE)
    page.get_by_role("button", name="empty, to draw").click()
    assert not shown(page)["x"].any()
    box = page.get_by_label("The digit. Draw on it").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 20, steps=8)
    page.mouse.up()
    assert expect(page, 7, None)["p"].argmax() == 1
    before = shown(page)["x"].sum()
    page.get_by_label("The digit. Draw on it").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    assert shown(page)["x"].sum() > before
    page.get_by_label("ε", exact=True).fill("0.1")
    expect(page, 7, None, 0.1)


def test_a_finger_draws_and_chooses_a_value(open_figure):
    page = open_figure(*FIGURE, touch=True, width=390)
    page.get_by_role("button", name="empty, to draw").tap()
    box = page.get_by_label("The digit. Draw on it").bounding_box()
    client = page.context.new_cdp_session(page)
    middle, top = box["x"] + box["width"] / 2, box["y"]
    strokes = [("Start", [0.16]), *(("Move", [0.16 + 0.068 * k]) for k in range(1, 11)), ("End", [])]
    for kind, places in strokes:
        touches = [{"x": middle, "y": top + place * box["height"]} for place in places]
        client.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": touches})
    state = expect(page, 7, None)
    assert state["p"].argmax() == 1
    page.get_by_label("values of layer 0,").tap(position={"x": 30, "y": 6})
    place = [int(k) for k in re.search(r"y\[([\d, ]+)\]", page.locator(".lf-made").text_content())[1].split(",")]
    assert place != [2, 7, 9]  # which is the one that it starts with
    assert page.locator(".lf-check").text_content().startswith("✓")


def test_it_answers_within_a_frame(open_figure, work):
    page = open_figure(*FIGURE)
    turn = page.get_by_label("turn").element_handle()
    drag = "(_, slider) => { slider.value = -slider.value - 5; slider.dispatchEvent(new Event('input')); }"
    assert work(page, drag, turn, times=31) < 16  # the first are slower: the browser compiles the engine


def test_without_scripts_there_is_a_picture(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert page.locator("figure noscript").count() == 1
