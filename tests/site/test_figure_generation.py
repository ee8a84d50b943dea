"""Chapter 21's live figure: paths, images and the judge's answers, as in cnnlib with the same weights of six bits."""

import re

import numpy as np
import pytest

import cnnlib
from cnnbook import generation as chapter

FIGURE = ("21-generation", "generation")
STORED = chapter.EXPERIMENTS["generation"].load("generation")
FLOW, DECODER = (chapter.quantized(STORED[name]) for name in ("flow", "decoder"))
JUDGE = chapter.quantized(cnnlib.load_pretrained())
FIG = "document.querySelector('figure').liveFigure"


def shown(page):
    """What the figure shows, once the path of the present settings has been computed."""
    page.wait_for_function(f"() => {FIG}.busy === false")
    state = page.evaluate(
        f"""() => {{ const s = {FIG}.state; return {{ options: s.options, shown: s.shown, images: [...s.images.data],
        p: [...s.p.data], path: s.path.map(({{ x }}) => [...x.data]), times: s.path.map(({{ t }}) => t) }}; }}"""
    )
    for key in ("images", "p", "path"):
        state[key] = np.array(state[key], np.float32)
    return state


def expect(page, *, guess=False):
    """Compare everything with the library, from the noise that the page has drawn."""
    state = shown(page)
    options, path = state["options"], state["path"].reshape(-1, 8, 32)
    c = cnnlib.one_hot(np.full(8, options["label"]), 10)
    steps = options["steps"]
    ours = chapter.follow_flow(FLOW, path[0], c, steps, options["guidance"], options["heun"])
    size = np.abs(ours[-1]).max()
    np.testing.assert_allclose(path, ours, atol=2e-3 * size)
    np.testing.assert_allclose(state["times"], np.arange(steps + 1) / steps, atol=1e-12)
    x = path[state["shown"]]
    if guess and state["shown"] < steps:
        t = state["shown"] / steps
        x = x + np.float32(1 - t) * chapter.velocity(FLOW, x, t, c, options["guidance"])
    images = chapter.decode(DECODER, x, chapter.SAMPLING["sharpness"])
    np.testing.assert_allclose(state["images"].reshape(8, 784), images, atol=2e-3)
    p = JUDGE.predict(state["images"].reshape(8, 1, 28, 28))
    np.testing.assert_allclose(state["p"].reshape(8, 10), p, atol=1e-3)
    text = page.locator(".lf-status").text_content()
    assert f"reads {np.sum(p.argmax(axis=1) == options['label'])} of 8 as {options['label']}" in text
    answers = page.locator("span.lf-check").all_text_contents()
    for answer, row in zip(answers, p, strict=True):
        sign, digit, percent = re.fullmatch(r"([✓✗]) (\d), (\d+) %", answer).groups()
        assert int(digit) == row.argmax()
        assert (sign == "✓") == (row.argmax() == options["label"])
        assert int(percent) == pytest.approx(100 * row.max(), abs=0.7)
    return state


def test_digits_of_every_class(open_figure):
    page = open_figure(*FIGURE)
    right = 0
    for digit in range(10):
        page.get_by_label("digit", exact=True).select_option(str(digit))
        p = expect(page)["p"].reshape(8, 10)
        right += np.sum(p.argmax(axis=1) == digit)
    assert right >= 72


def test_settings(open_figure):
    page = open_figure(*FIGURE, touch=True, width=390, theme="dark")
    noise = shown(page)["path"][0]
    page.get_by_label("method").select_option("euler")
    expect(page)
    for name, place in (("guidance", 6), ("steps", 1), ("seed", 7)):
        page.get_by_label(name, exact=True).fill(str(place))
        state = expect(page)
    assert state["options"] == {"label": 3, "guidance": 5, "steps": 2, "heun": False, "seed": 7}
    assert np.abs(state["path"][0] - noise).max() > 1
    page.get_by_role("button", name="one step").tap()
    assert expect(page)["shown"] == 0
    page.get_by_label("show where the velocity points").tap()
    shown(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_from_noise_the_velocity_points_to_a_mean(open_figure):
    page = open_figure(*FIGURE)
    page.get_by_label("guidance", exact=True).fill("2")  # the third: 1
    last = expect(page)["images"].reshape(8, 784)
    page.get_by_label("show where the velocity points").check()
    page.get_by_label("shown step").fill("0")
    first = expect(page, guess=True)["images"].reshape(8, 784)
    assert first.std(axis=0).mean() < last.std(axis=0).mean() / 3
    page.get_by_label("shown step").fill("6")
    expect(page, guess=True)


def test_play_and_one_step_by_keyboard(open_figure):
    page = open_figure(*FIGURE)
    shown(page)
    page.get_by_role("button", name="one step").focus()
    places = []
    for _ in range(3):
        page.keyboard.press("Enter")
        places.append(shown(page)["shown"])
    assert places == [0, 1, 2]
    page.get_by_role("button", name="Play").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => {FIG}.state.shown > 3")
    page.keyboard.press("Enter")
    paused = shown(page)["shown"]
    page.wait_for_timeout(600)
    assert shown(page)["shown"] == paused
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => {FIG}.state.shown === 10")
    assert page.get_by_role("button", name="Play").count() == 1
    page.get_by_label("shown step").focus()
    page.keyboard.press("ArrowLeft")
    assert expect(page)["shown"] == 9


def test_what_is_stale_is_dropped(open_figure):
    page = open_figure(*FIGURE)
    shown(page)
    page.get_by_label("steps", exact=True).fill("6")
    for digit in (1, 8, 5):
        page.get_by_label("digit", exact=True).select_option(str(digit))
    assert expect(page)["options"]["label"] == 5
