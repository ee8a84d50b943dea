"""Chapter 4's figure of a deep network: every number that it shows is the library's, with the page's own weights."""

import base64
import re

import numpy as np
import pytest

import cnnlib

FIGURE = ("04-activations", "signal")
# As base64, since a hundred thousand numbers as text take long.
WEIGHTS = """() => document.querySelector('figure').liveFigure.network.layers.filter(({ W }) => W).map(layer => {
  const bytes = new Uint8Array(new Float64Array(layer.W.data).buffer);
  let data = "";
  for (let k = 0; k < bytes.length; k += 32768) data += String.fromCharCode(...bytes.subarray(k, k + 32768));
  return {shape: layer.W.shape, data: btoa(data)};
})"""


def weights(entry):
    return np.frombuffer(base64.b64decode(entry["data"]), np.float64).reshape(entry["shape"])


def next_frame(page):
    page.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")


def value(text):
    return float(text.replace("−", "-").replace("∞", "inf"))


def size(array):
    return np.sqrt(np.mean(array**2))


def expect(page, activation, depth):
    """Compare with the same network in the library; return the sizes of y and of dW."""
    next_frame(page)
    data = page.evaluate("document.querySelector('figure').liveFigure.data")
    images = np.frombuffer(base64.b64decode(data["images"]), np.uint8).reshape(-1, data["inputs"]) / 255
    t = cnnlib.one_hot(np.array(data["labels"]), 10, np.float64)
    layers, ends = [], []
    for entry in page.evaluate(WEIGHTS):
        dense = cnnlib.Dense(*entry["shape"], "zeros", dtype=np.float64)
        dense.W[:] = weights(entry)
        layers.append(dense)
        if activation and len(ends) < depth:
            layers.append(activation())
        ends.append(len(layers) - 1)
    assert len(ends) == depth + 1
    outputs = [images]
    for layer in layers:
        outputs.append(layer.forward(outputs[-1]))
    dy = cnnlib.SoftmaxCrossEntropy().gradient(outputs[-1], t)
    for layer in reversed(layers):
        dy = layer.backward(dy)
    y = [outputs[end + 1] for end in ends]
    dW = [size(layer.dW) for layer in layers if isinstance(layer, cnnlib.Dense)]
    dead = [(each == 0).all(axis=0).sum() for each in y]
    y = [size(each) for each in y]

    page.locator("details").evaluate("details => { details.open = true; }")
    next_frame(page)
    rows = page.locator(".lf-numbers tbody tr").evaluate_all(
        "rows => rows.map(r => [...r.cells].map(c => c.textContent))"
    )
    shown = np.array([[value(text) for text in row] for row in rows])
    assert shown[:, 0].tolist() == list(range(1, depth + 2))
    np.testing.assert_allclose(shown[:, 1], y, rtol=6e-2)
    np.testing.assert_allclose(shown[:, 2], dW, rtol=6e-2)
    assert shown[:, 3].tolist() == dead
    text = page.locator(".lf-result").text_content().replace("−", "-")
    forward, backward = (re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", part) for part in text.split("Backward"))
    steps = depth - 1
    expected = [y[0], 1, y[depth - 1], depth, (y[depth - 1] / y[0]) ** (1 / steps)]
    np.testing.assert_allclose(np.array(forward, float), expected, rtol=6e-2)
    expected = [dW[depth - 1], depth, dW[0], 1, (dW[0] / dW[depth - 1]) ** (1 / steps)]
    np.testing.assert_allclose(np.array(backward, float), expected, rtol=6e-2)
    return y, dW


def heights(page, chart):
    return (
        page.locator(".lf-chart")
        .nth(chart)
        .locator("circle")
        .evaluate_all("all => all.map(c => +c.getAttribute('cy'))")
    )


@pytest.mark.parametrize(("name", "activation"), [("ReLU", cnnlib.ReLU), ("Sigmoid", cnnlib.Sigmoid), ("none", None)])
def test_every_setting_shows_the_library_s_numbers(open_figure, name, activation):
    page = open_figure(*FIGURE)
    page.get_by_role("combobox", name="activation").select_option(name)
    for initializer, depth, factor in (("he", 5, 4), ("glorot", 20, 0), ("he", 2, 8), ("he", 20, 7)):
        page.get_by_role("combobox", name="weights").select_option(initializer)
        page.get_by_role("slider", name="hidden layers").fill(str(depth))
        page.get_by_role("slider", name="times").fill(str(factor))
        sizes = expect(page, activation, depth)
        for chart in (0, 1):  # higher where the number is larger, by as much on the logarithmic scale
            places, logs = np.array(heights(page, chart)), np.log(sizes[chart])
            assert len(places) == depth + 1
            slope = np.ptp(places) / np.ptp(logs)
            np.testing.assert_allclose(places.max() - places, slope * (logs - logs.min()), atol=0.01)


def test_initial_weights_have_the_initializer_s_size(open_figure):
    page = open_figure(*FIGURE)
    for initializer, expected in (("he", np.sqrt(2 / 64)), ("glorot", np.sqrt(2 / 128))):
        page.get_by_role("combobox", name="weights").select_option(initializer)
        deviations = [np.std(weights(entry)) for entry in page.evaluate(WEIGHTS)[1:-1]]
        np.testing.assert_allclose(deviations, expected, rtol=0.06)


def test_the_answers_of_the_text(open_figure):
    page = open_figure(*FIGURE)
    for depth in (5, 6):
        page.get_by_role("slider", name="hidden layers").fill(str(depth))
        _, dW = expect(page, cnnlib.Sigmoid, depth)
        assert (dW[0] < dW[depth - 1] / 1000) == (depth == 6)
    page.get_by_role("combobox", name="activation").select_option("ReLU")
    page.get_by_role("combobox", name="weights").select_option("he")
    page.get_by_role("slider", name="hidden layers").fill("20")
    y = {}
    for place, factor in ((4, 1), (5, 1.1), (7, 2)):
        page.get_by_role("slider", name="times").fill(str(place))
        y[factor] = expect(page, cnnlib.ReLU, 20)[0][19]
    assert y[2] / y[1] == pytest.approx(2**20)
    assert y[1.1] / y[1] == pytest.approx(1.1**20)


def test_touch_keyboard_and_a_narrow_screen(open_figure):
    page = open_figure(*FIGURE, touch=True, width=390, theme="dark")
    page.locator("summary").tap()
    assert page.locator(".lf-numbers").is_visible()
    page.get_by_role("slider", name="hidden layers").focus()
    page.keyboard.press("ArrowRight")
    expect(page, cnnlib.Sigmoid, 11)
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('Forward')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_step_of_the_slider_is_quick(open_figure, work):
    page = open_figure(*FIGURE)
    page.get_by_role("slider", name="hidden layers").fill("20")
    assert work(page, "() => document.querySelector('select').dispatchEvent(new Event('change'))") < 16
