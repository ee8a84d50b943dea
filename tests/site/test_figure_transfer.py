"""Chapter 18's figure of one layer on three kinds of numbers: it trains as the library does."""

import base64

import numpy as np
import pytest

import cnnlib

FIGURE = ("18-transfer-learning", "transfer")


def data(page):
    return page.evaluate("document.querySelector('figure').liveFigure.data")


def shown(page):
    """Training and test accuracy of each kind, as the table tells them."""
    rows = [row.get_by_role("cell").all_text_contents() for row in page.locator(".lf-results tr").all()[1:]]
    return [[float(cell.split()[0]) for cell in row[2:]] for row in rows]


def trained(found, count, draw, steps):
    """The same with the library."""
    labels = {part: np.array(values) for part, values in found["labels"].items()}
    order = np.array(found["orders"][draw])
    places = np.concatenate([order[labels["train"][order] == label][:count] for label in range(5)])
    places = order[np.isin(order, places)]
    results = []
    for kind in found["features"].values():
        x = {
            part: np.frombuffer(base64.b64decode(kind[part]), np.uint8).reshape(-1, kind["size"]) * kind["scale"]
            for part in ("train", "test")
        }
        layer = cnnlib.Dense(kind["size"], 5, "zeros", dtype=np.float64)
        network = cnnlib.Network([layer, cnnlib.Softmax()], (kind["size"],))
        optimizer = cnnlib.SGD(found["learning_rate"])
        for _ in range(steps):
            network.train_step(x["train"][places], labels["train"][places], optimizer, cnnlib.CategoricalCrossEntropy())
        chosen = {"train": x["train"][places], "test": x["test"]}
        targets = {"train": labels["train"][places], "test": labels["test"]}
        results.append([100 * network.evaluate(chosen[part], targets[part])[1] for part in ("train", "test")])
    return results


@pytest.mark.parametrize(("count", "draw", "calm"), [(10, 1, False), (1, 1, True), (30, 4, False)])
def test_it_trains_as_the_library_does(open_figure, count, draw, calm):
    page = open_figure(*FIGURE, calm=calm)
    found = data(page)
    page.get_by_role("combobox", name="examples").select_option(str(count))
    page.get_by_role("combobox", name="draw").select_option(str(draw - 1))
    page.get_by_role("button", name="Train").click()
    page.wait_for_function(f"document.querySelector('.lf-voice').textContent.startsWith('Step {found['steps']}')")
    np.testing.assert_allclose(shown(page), trained(found, count, draw - 1, found["steps"]), atol=0.8)


def test_stop_and_another_draw(open_figure):
    page = open_figure(*FIGURE)
    page.get_by_role("button", name="Train").focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("button", name="Stop").is_visible()
    page.keyboard.press("Enter")
    assert page.get_by_role("button", name="Train").is_visible()
    page.get_by_role("combobox", name="draw").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    np.testing.assert_allclose(shown(page), trained(data(page), 10, 2, 0), atol=0.06)


def test_on_a_phone(open_figure):
    page = open_figure(*FIGURE, touch=True, width=390, theme="dark")
    page.get_by_role("button", name="Train").tap()
    page.get_by_role("button", name="Stop").tap()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
