"""Chapter 23's live figure: the ladder, and every piece's operations, bytes, intensity and bound, at every setting."""

import re

import numpy as np
import pytest

import cnnlib
from cnnbook import where_the_time_goes as chapter

FIGURE = ("23-where-the-time-goes", "roofline")
NETWORK = cnnlib.lenet5(np.random.default_rng(0))
STORED = chapter.reference()
PREFIXES = {"n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
START = {"peak": round(STORED["peak"] / 1e9), "bandwidth": round(STORED["bandwidth"] / 1e9), "batch": 64}
SETTINGS = [START, {"peak": 100, "bandwidth": 25, "batch": 1}, {"peak": 1000, "bandwidth": 5, "batch": 1024}]


def size(text, unit):
    """1.41 MB as a number."""
    if unit == "s" and text.endswith(" hours"):
        return 3600 * float(text.removesuffix(" hours"))
    value, prefix = re.fullmatch(rf"([\d.e−]+) ([nµmkMGT]?){re.escape(unit)}", text).groups()
    return float(value.replace("−", "-")) * PREFIXES[prefix]


def near(value):
    return pytest.approx(value, rel=5.1e-3)


def set_slider(page, label, value):
    """Move a slider to the value by the keys that a reader has."""
    slider = page.get_by_label(label, exact=True)
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(20):
        if page.evaluate("document.activeElement.ariaValueText").split()[0] == str(value):
            return
        page.keyboard.press("ArrowRight")
    raise ValueError(f"no {value} for {label}")


def put(page, settings):
    for label, value in settings.items():
        set_slider(page, label, value)


def lines(page):
    return page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-line]')].map(e => [e.dataset.line, e.textContent]))"
    )


def expect_piece(page, work, settings):
    peak, bandwidth, batch = (settings[name] for name in ("peak", "bandwidth", "batch"))
    bound = chapter.bound_of(work, batch, 1e9 * peak, 1e9 * bandwidth)
    images = "1 image" if batch == 1 else f"{batch} images"
    assert page.locator(".lf-title").nth(1).text_content() == f"{work.name}, {images}"
    shown = lines(page)
    assert size(shown["operations"].removeprefix("operations: "), "FLOP") == near(bound["operations"])
    assert size(shown["bytes"].removeprefix("moved: "), "B") == near(bound["bytes"])
    intensity, ridge = re.fullmatch(
        r"operations a byte: ([\d.]+) \(the roof begins at ([\d.]+)\)", shown["intensity"]
    ).groups()
    assert float(intensity) == near(bound["intensity"])
    assert float(ridge) == near(peak / bandwidth)
    for what in ("computing", "moving"):
        assert size(shown[what].removeprefix(f"{what}: at least "), "s") == near(bound[what])
    least = max(bound["computing"], bound["moving"])
    if work.operations == 0:
        assert shown["bound"] == "It only moves numbers."
    else:
        waits = bound["moving"] > bound["computing"]
        verdict = "It waits for memory: at most " if waits else "It computes: at most "
        assert size(shown["bound"].removeprefix(verdict).removesuffix("."), "FLOP/s") == near(
            bound["operations"] / least
        )


def expect_whole(page, way, settings):
    peak, bandwidth, batch = (settings[name] for name in ("peak", "bandwidth", "batch"))
    bounds = [chapter.bound_of(work, batch, 1e9 * peak, 1e9 * bandwidth) for work in chapter.work_of(NETWORK, way)]
    least = [max(bound["computing"], bound["moving"]) for bound in bounds]
    waiting = sum(max(0, bound["moving"]) for bound in bounds if bound["moving"] > bound["computing"])
    pattern = r"All pieces: (.+) and (.+), at least (.+); (.+) % of this is waiting for memory\."
    operations, moved, time, share = re.fullmatch(pattern, lines(page)["whole"]).groups()
    assert size(operations, "FLOP") == near(sum(bound["operations"] for bound in bounds))
    assert size(moved, "B") == near(sum(bound["bytes"] for bound in bounds))
    assert size(time, "s") == near(sum(least))
    assert float(share) == near(100 * waiting / sum(least))


@pytest.mark.parametrize("way", chapter.LABELS)
@pytest.mark.parametrize("settings", SETTINGS, ids=["start", "one image", "large batch"])
def test_every_piece_shows_what_is_counted(open_figure, way, settings):
    page = open_figure(*FIGURE)
    page.get_by_label("forward pass", exact=True).select_option(way)
    put(page, settings)
    works = chapter.work_of(NETWORK, way)
    names = page.get_by_role("group", name="pieces").get_by_role("button").all_text_contents()
    assert names == [work.name for work in works]
    for work in works:
        page.get_by_role("button", name=work.name, exact=True).click()
        expect_piece(page, work, settings)
    expect_whole(page, way, settings)


def test_the_ladder_is_the_reference_run(open_figure):
    page = open_figure(*FIGURE)
    for settings in (START, START | {"peak": 500}):
        put(page, settings)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        texts = page.locator("svg").first.locator("text").all_text_contents()
        for text, (name, seconds) in zip(texts, chapter.epochs(STORED).items(), strict=True):
            time, speed, times = re.fullmatch(rf"{name}: (.+) · (.+) · (.+) × the bound", text).groups()
            assert size(time, "s") == near(seconds)
            operations = 60_000 * chapter.operations_of(NETWORK, name)
            assert size(speed, "FLOP/s") == near(operations / seconds)
            needed = 60_000 * chapter.operations_of(NETWORK, "loops") / (1e9 * settings["peak"])
            assert float(times.replace(",", "")) == near(seconds / needed)
    bars = [float(bar.get_attribute("width")) for bar in page.locator("svg").first.locator("rect").all()]
    assert bars == sorted(bars, reverse=True)


def test_points_lie_on_the_roofline(open_figure):
    """Read the places of the drawing back, by the places of the marks of its axes."""
    page = open_figure(*FIGURE)
    put(page, SETTINGS[1])
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    marks = page.locator("svg").nth(1).locator(".lf-axes text")
    places = [(mark.text_content(), mark.get_attribute("x"), mark.get_attribute("y")) for mark in marks.all()]
    across = {float(text): float(x) for text, x, y in places[:4]}
    up = {float(text): float(y) - 4 for text, x, y in places[4:9]}
    decade = (across[100] - across[0.1]) / 3, (up[0.1] - up[1000]) / 4
    for work in chapter.work_of(NETWORK, "separate"):
        bound = chapter.bound_of(work, 1, 1e11, 2.5e10)
        speed = bound["operations"] / max(bound["computing"], bound["moving"]) / 1e9
        place = page.locator(f'[data-piece="{work.name}"]').get_attribute("transform")
        x, y = map(float, re.fullmatch(r"translate\(([\d.]+) ([\d.]+)\)", place).groups())
        assert x == pytest.approx(across[1] + decade[0] * np.log10(bound["intensity"]), abs=0.1)
        assert y == pytest.approx(up[1] - decade[1] * np.log10(speed), abs=0.1)
        waits = bound["moving"] > bound["computing"]
        shape = page.locator(f'[data-piece="{work.name}"] rect').get_attribute("rx")
        assert (shape == "0") == waits


def test_a_tap_on_a_point_chooses_its_piece(open_figure):
    page = open_figure(*FIGURE, touch=True, width=390)
    page.locator('[data-piece="convolution 2"]').tap()
    assert page.locator(".lf-title").nth(1).text_content() == "convolution 2, 64 images"
    pressed = page.locator("button[aria-pressed=true]")
    assert pressed.all_text_contents() == ["convolution 2"]
    page.get_by_role("button", name="dense 1").tap()
    assert pressed.all_text_contents() == ["dense 1"]
    page.get_by_label("forward pass", exact=True).select_option("columns")
    assert pressed.all_text_contents() == ["im2col 1"]
    page.get_by_role("button", name="start again").tap()
    assert pressed.all_text_contents() == ["convolution 1"]
    expect_piece(page, chapter.work_of(NETWORK, "separate")[0], START)


def test_the_keyboard_reaches_a_piece(open_figure):
    page = open_figure(*FIGURE)
    page.get_by_role("button", name="ReLU 1").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator(".lf-title").nth(1).text_content() == "pooling 1, 64 images"
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('pooling 1, 64 images')")


def test_the_answer_below_the_figure_is_true():
    works = {work.name: work for way in chapter.LABELS for work in chapter.work_of(NETWORK, way)}
    limits = 1e11, 2.5e10
    dense = [chapter.bound_of(works["dense 1"], 2**k, *limits) for k in range(11)]
    waits = [bound["moving"] > bound["computing"] for bound in dense]
    assert waits == [True] * 4 + [False] * 7  # 8 images still wait, 16 do not
    assert [round(dense[k]["intensity"], 1) for k in (0, 3)] == [0.5, 3.7]
    assert works["dense 1"].constant == 48_120
    for batch in (1, 64, 1024):
        convolution = chapter.bound_of(works["convolution 1"], batch, *limits)
        assert convolution["intensity"] > 10 and convolution["computing"] > convolution["moving"]
        product = chapter.bound_of(works["product 1"], batch, *limits)
        assert round(product["intensity"], 1) == 2.4 and product["moving"] > product["computing"]
    assert works["im2col 1"].operations == 0
