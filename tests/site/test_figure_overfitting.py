"""Chapter 16's figure of a curve learned from few points: it trains as the library does."""

import re

import numpy as np
import pytest

import cnnlib
from cnnbook import overfitting as chapter

FIGURE = ("16-overfitting", "overfitting")
STEPS = 3_000


def result(page):
    """The step, the training loss, the validation loss and its lowest value, as the figure tells them."""
    numbers = re.findall(r"\d[\d.e−]*\d|\d", page.locator(".lf-result").text_content().replace("−", "-"))
    return [float(each.rstrip(".")) for each in numbers[:4]]


def trained(points=20, units=64, weight_decay=0.0, steps=STEPS):
    """The same with the library: the losses after so many steps, and the lowest validation loss of each twentieth."""
    data = chapter.figure_data()
    x, t, vx, vt = (np.float64(data[part][name])[:, None] for part in ("training", "validation") for name in "xt")
    network, loss = chapter.curve_network(units).astype(np.float64), cnnlib.MeanSquaredError()
    optimizer = cnnlib.Adam(data["learning_rate"], weight_decay=weight_decay)
    losses = [network.evaluate(vx, vt, loss)[0]]
    for step in range(steps):
        network.train_step(x[:points], t[:points], optimizer, loss)
        if step % 20 == 19:
            losses.append(loss.value(network.forward(vx), vt))
    return network.evaluate(x[:points], t[:points], loss)[0], losses[-1], min(losses)


def test_it_begins_where_the_library_does(open_figure):
    page = open_figure(*FIGURE)
    for units in chapter.UNITS:
        for points in chapter.POINTS:
            page.get_by_role("combobox", name="units").select_option(str(units))
            page.get_by_role("combobox", name="points").select_option(str(points))
            assert result(page)[0] == 0
            assert result(page)[1:] == pytest.approx(trained(points, units, steps=0), rel=6e-3)


@pytest.mark.parametrize("weight_decay", [0, 1])
def test_it_trains_as_the_library_does(open_figure, weight_decay):
    page = open_figure(*FIGURE, calm=weight_decay == 1)
    page.get_by_role("combobox", name="units").select_option("16")
    page.get_by_role("combobox", name="weight decay").select_option(str(weight_decay))
    page.get_by_role("button", name="Train").click()
    page.wait_for_function(f"document.querySelector('.lf-result').textContent.startsWith('Step {STEPS}')")
    assert result(page)[1:] == pytest.approx(trained(20, 16, weight_decay), rel=2e-2)
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('Step')")


def test_dropout_is_for_training_only(open_figure):
    page = open_figure(*FIGURE)
    before = result(page)
    page.get_by_role("combobox", name="dropout").select_option("0.5")
    assert result(page) == before  # measured without it
    page.get_by_role("button", name="Train").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("!document.querySelector('.lf-result').textContent.startsWith('Step 0:')")
    page.keyboard.press("Space")
    assert page.get_by_role("button", name="Train").is_visible()
    stopped = result(page)
    page.wait_for_timeout(200)
    assert result(page) == stopped
    page.get_by_role("button", name="Start again").click()
    assert result(page) == before


def test_on_a_phone(open_figure):
    page = open_figure(*FIGURE, touch=True, width=390, theme="dark")
    page.get_by_role("button", name="Train").tap()
    page.get_by_role("button", name="Stop").tap()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
