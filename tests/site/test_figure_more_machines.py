"""Chapter 24's live figure: every time, speed-up and efficiency, as the chapter's module computes them."""

import re

import pytest

from cnnbook import more_machines as chapter

FIGURE = ("24-more-machines", "more-machines")
COUNTS = [1, 2, 4, 8, 16, 32, 64]
WAYS = {"all to the first": "first", "ring": "ring", "halves": "halves"}
LATENCIES = [1e-6, 5e-6, 2e-5, 1e-4, 0.0005, 0.002, 0.01]
BANDWIDTHS = [1e7, 1e8, 1e9, 1e10, 1e11]
TEXT = (
    r"A step takes (\S+ \S+): computing (\S+ \S+), latency (\S+ \S+), bytes (\S+ \S+)\. Alone it takes (\S+ \S+), "
    r"so the speed-up is (\S+) and the efficiency (\S+) %\. Fastest of 1 to 64: (\d+), with a speed-up of (\S+)\."
)


def seconds(text):
    value, unit = text.split()
    return float(value.replace("−", "-")) * {"µs": 1e-6, "ms": 1e-3}[unit]


def shown(page):
    """The numbers below the figure: five times, speed-up, efficiency, the best number and its speed-up."""
    found = re.fullmatch(TEXT, page.locator('[data-part="numbers"]').text_content()).groups()
    return [*map(seconds, found[:5]), *map(float, found[5:])]


def expected(P, N, latency, bandwidth, way):
    network = {"latency": latency, "bandwidth": bandwidth / 8, "way": way}
    times = {p: chapter.step_time(p, N, **network) for p in COUNTS}
    wait = chapter.allreduce_time(P, 0, latency, bandwidth / 8, way)
    together = chapter.allreduce_time(P, chapter.SIZE, latency, bandwidth / 8, way)
    speedup, best = times[1] / times[P], min(COUNTS, key=times.get)
    numbers = [times[P], times[P] - together, wait, together - wait, times[1], speedup, 100 * speedup / P]
    return [*numbers, best, times[1] / times[best]]


def choose(page, P, N, latency, bandwidth, way):
    places = {"processes": COUNTS.index(P), "batch": N.bit_length() - 7}
    places |= {"latency": LATENCIES.index(latency), "bandwidth": BANDWIDTHS.index(bandwidth)}
    for name, place in places.items():
        page.get_by_label(name, exact=True).fill(str(place))
    page.get_by_label("adding up", exact=True).select_option(WAYS[way])


@pytest.mark.parametrize("way", WAYS)
def test_every_number_in_many_settings(open_figure, way):
    page = open_figure(*FIGURE)
    for k, P in enumerate(COUNTS):
        setting = P, 64 << k, LATENCIES[(3 * k) % 7], BANDWIDTHS[(2 * k) % 5], way
        choose(page, *setting)
        assert shown(page) == pytest.approx(expected(*setting), rel=5.1e-3, abs=1e-9)
        bars = page.locator(".lf-svg:not(.lf-chart) g rect")
        rows = 1 + min(P, 8)
        assert len({bar.get_attribute("y") for bar in bars.all()}) == rows
    page.get_by_role("button", name="start again").click()
    assert shown(page) == pytest.approx(expected(4, 512, 0.0005, 1e8, "halves"), rel=5.1e-3)


def test_widths_are_times(open_figure):
    """Of the first process: computing, latency, bytes, in units of which 360 are the width."""
    page = open_figure(*FIGURE)
    step, compute, wait, sent, alone, *_ = expected(4, 512, 0.0005, 1e8, "halves")
    bars = page.locator('.lf-svg:not(.lf-chart) g rect[y="34"]').all()[:3]
    widths = [float(bar.get_attribute("width")) for bar in bars]
    whole = max(step, alone)
    assert widths == pytest.approx([360 * part / whole for part in (compute, wait, sent)], rel=1e-6)
    assert [bar.get_attribute("data-kind") for bar in bars] == ["0", "1", "2"]


def test_the_answer_below_the_figure_is_true():
    def speedup(P, N, latency, bandwidth):
        return chapter.speedup(P, N, latency, bandwidth / 8)

    found = [speedup(2, 512, 0.0005, 1e8), speedup(2, 512, 0.0005, 1e9), speedup(2, 4096, 0.0005, 1e8)]
    assert [f"{value:.2f}" for value in found] == ["0.67", "1.53", "1.59"]
    assert f"{speedup(64, 512, 5e-6, 1e11):.1f}" == "22.8" and f"{speedup(64, 4096, 5e-6, 1e11):.0f}" == "52"
    assert f"{speedup(64, 512, 5e-6, 1e11) / 64:.0%}" == "36%" and f"{speedup(64, 4096, 5e-6, 1e11) / 64:.0%}" == "81%"


def test_by_keyboard(open_figure):
    page = open_figure(*FIGURE)
    slider = page.get_by_label("processes", exact=True)
    slider.focus()
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "8"
    assert shown(page) == pytest.approx(expected(8, 512, 0.0005, 1e8, "halves"), rel=5.1e-3)
    slider.press("Home")
    assert shown(page)[5] == 1


def test_by_mouse_and_touch(open_figure):
    for touch in (False, True):
        page = open_figure(*FIGURE, touch=touch, width=390)
        box = page.get_by_label("bandwidth", exact=True).bounding_box()
        at = box["x"] + box["width"] - 3, box["y"] + box["height"] / 2
        (page.touchscreen.tap if touch else page.mouse.click)(*at)
        assert shown(page) == pytest.approx(expected(4, 512, 0.0005, 1e11, "halves"), rel=5.1e-3)
