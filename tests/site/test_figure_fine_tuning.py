"""Chapter 15's live figure: the network learns the reader's drawings in the page, as it does in the library."""

import copy
import re

import numpy as np
import pytest

import cnnlib
from cnnbook.engine import mixed
from cnnlib.digits import fine_tuning
from cnnlib.digits.datasets import load_digits

FIGURE = ("15-draw", "fine-tuning")


@pytest.fixture
def network():
    """The network that comes with the package, with its parameters as this page has them: most of them in 8 bits."""
    return mixed(cnnlib.load_pretrained())


DIGITS = load_digits()
STATE = "document.querySelector('figure').liveFigure"
TUNING = f"{STATE}.tuning"
FEW = 20  # digits to replay, where it does not matter which
FEWER_STEPS = [("digits", (f"[{fine_tuning.STEPS}, 0.005", "[12, 0.005"))]  # where their number does not matter

# Before the figure's script runs: fewer digits to replay, so that it is ready sooner.
SHORT = """document.addEventListener("readystatechange", () => {
  const script = document.querySelector("figure script");
  const data = JSON.parse(script.textContent);
  for (const [name, letters] of [["images", 64], ["labels", 1]])
    data[name] = data[name].slice(0, FEW * letters) + data[name].slice(data.train * letters);
  data.train = FEW;
  script.textContent = JSON.stringify(data);
}, { once: true });""".replace("FEW", str(FEW))


def started(page):
    page.wait_for_function(f"{STATE}?.networks")
    return page


def lesson(page, digit):
    """Say which digit it is, and wait until the network has learned it."""
    page.get_by_role("button", name=f"It is a{'n' * (digit == 8)} {digit}").click()
    learned(page)


def learned(page):
    page.wait_for_function("document.querySelector('.lf-status').textContent.startsWith('Learned')", timeout=300_000)
    page.wait_for_function(f"!{TUNING}.learning")


def strokes(page):
    return [np.array(stroke) for stroke in page.evaluate(f"{TUNING}.strokes")]


def right(network):
    """How many held-out digits of each kind the network reads."""
    correct = network.predict(DIGITS.test_images).argmax(axis=1) == DIGITS.test_labels
    return np.bincount(DIGITS.test_labels[correct], minlength=10)


def answer(network, image) -> str:
    p = network.predict(image[np.newaxis])[0]
    return f"{p.argmax()} ({min(round(100 * p.max()), 99)} %)"


def expect(page, network, first, images, labels):
    """Compare all that the figure shows with the library's network."""
    parameters = page.evaluate(f"{STATE}.networks[1].layers.flatMap(l => l.params.map(name => [...l[name].data]))")
    for found, (name, array) in zip(parameters, network.parameters().items(), strict=True):
        np.testing.assert_allclose(found, array.ravel(), atol=5e-4 * np.abs(array).max(), err_msg=name)
    counts, total = right(network), len(DIGITS.test_labels)
    before = right(first)
    status, kept = page.locator(".lf-status").text_content(), page.locator("p.lf-check").last.text_content()
    correct = int(np.sum(network.predict(images).argmax(axis=1) == labels))
    assert f"reads {correct} of your {len(images)} lessons" in status
    assert f"{counts.sum()} of {total} digits by other people, at first {before.sum()}" in status
    held = counts.sum() >= before.sum() - total / 100
    assert kept == f"{'✓' if held else '✗'} {counts.sum()} of {total} read correctly, before {before.sum()}"
    assert page.locator(".ft-reads").text_content() == (
        f"{answer(network, images[-1])}. Before: {answer(first, images[-1])}"
    )
    answers = network.predict(images).argmax(axis=1)
    marks = [f"{'✓' if a == label else '✗'} {a}" for a, label in zip(answers, labels, strict=True)]
    assert page.locator(".ft-taught .lf-check").all_text_contents() == marks
    shares = page.locator("svg[aria-label^='The share of each digit']").get_attribute("aria-label")
    shown = [[float(part) for part in pair.split(", ")] for pair in re.findall(r"\d: ([\d.]+, [\d.]+)", shares)]
    all_of = np.bincount(DIGITS.test_labels)
    np.testing.assert_allclose(shown, np.transpose([before / all_of, counts / all_of]), atol=0.006)
    bars = page.locator("svg[aria-label^='Probabilities']").get_attribute("aria-label")
    shown = [[float(x.replace("−", "-")) for x in pair.split(", ")] for pair in re.findall(r"\d: (\S+, [^;]+)", bars)]
    expected = [each.predict(images[-1:])[0] for each in (first, network)]
    np.testing.assert_allclose(shown, np.transpose(expected), atol=0.006)


def test_with_all_digits_to_replay(open_figure, network, mulberry):
    """The weights are the library's, which has 60 steps for the answer of the text; here 12 of both are compared."""
    page = started(open_figure(*FIGURE, changes=FEWER_STEPS))
    first, tuner = copy.deepcopy(network), fine_tuning.FineTuner(network)
    page.get_by_role("button", name="٧").click()
    images = cnnlib.rasterize(strokes(page))[np.newaxis]
    lesson(page, 7)
    tuner.fine_tune(images, [7], steps=12)
    expect(page, network, first, images, [7])

    # The numbers of the chapter's answer, with the page's drawings
    samples = page.evaluate(f"{STATE}.data.samples")
    sevens, fives = ([cnnlib.rasterize(drawing) for drawing in kind["drawings"]] for kind in samples)
    tuner.fine_tune(images, [7])
    assert right(network).sum() == 290 and right(first).sum() == 289
    assert network.predict(np.stack(sevens)).argmax(axis=1).tolist() == [7] * 5
    assert 7 not in first.predict(np.stack(sevens)).argmax(axis=1)
    tuner.fine_tune(fives[:1], [5])
    assert network.predict(fives[0][np.newaxis]).argmax() == 5
    assert right(network)[0] == 26 and right(first)[0] == 27 == np.sum(DIGITS.test_labels == 0)


def test_without_replay_it_forgets(open_figure, network, mulberry, monkeypatch):
    monkeypatch.setattr(fine_tuning, "REPLAYED_PER_STEP", 0)
    page = started(open_figure(*FIGURE, before=SHORT))
    first, tuner = copy.deepcopy(network), fine_tuning.FineTuner(network, DIGITS.train_images[:FEW])
    page.get_by_role("button", name="٧").click()
    images = cnnlib.rasterize(strokes(page))[np.newaxis]
    page.get_by_label("replay other digits").uncheck()
    lesson(page, 7)
    tuner.fine_tune(images, [7])
    expect(page, network, first, images, [7])
    assert right(network).tolist() == [0, 0, 0, 11, 0, 0, 0, 30, 0, 0] and np.sum(DIGITS.test_labels == 7) == 30
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('Learned in')")


@pytest.mark.parametrize("worker", [True, False])
def test_lessons_add_up_and_are_undone(open_figure, network, mulberry, monkeypatch, worker):
    """Every lesson begins at the first weights, with all drawings; to undo one is to be what the others made."""
    monkeypatch.setattr(fine_tuning, "REPLAYED_PER_STEP", 0)
    before = SHORT + ("" if worker else "delete window.Worker;")
    page = started(open_figure(*FIGURE, before=before, changes=FEWER_STEPS))
    first, tuner = copy.deepcopy(network), fine_tuning.FineTuner(network, DIGITS.train_images[:FEW])
    page.get_by_label("replay other digits").uncheck()
    images, labels, parameters = [], [], []
    for name, label in (("٧", 7), ("٥", 5), ("٧", 7)):
        page.get_by_role("button", name=name).click()
        images.append(cnnlib.rasterize(strokes(page)))
        labels.append(label)
        lesson(page, label)
        tuner.fine_tune(images, labels, steps=12)
        expect(page, network, first, np.stack(images), labels)
        parameters.append(page.evaluate(f"[...{STATE}.networks[1].layers[0].W.data]"))
    assert page.evaluate(f"{STATE}.worker.stop !== undefined") == worker
    lesson(page, 1)  # the same drawing again: only the last label counts
    assert page.evaluate(f"{TUNING}.lessons.map(({{ label }}) => label)") == [7, 5, 1]
    page.get_by_role("button", name="Undo the last lesson").click()
    assert page.evaluate(f"[...{STATE}.networks[1].layers[0].W.data]") == parameters[1]
    assert page.locator(".lf-status").text_content() == "The network is as it was after lesson 2."
    page.get_by_role("button", name="Back to the start").click()
    np.testing.assert_array_equal(
        page.evaluate(f"[...{STATE}.networks[1].layers[0].W.data]"), first.layers[0].W.ravel().astype(float)
    )
    assert page.locator(".ft-taught").text_content().startswith("None.")
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('before the first lesson')")


def test_by_touch_on_a_phone(open_figure, network):
    """A digit drawn with a finger is what the library makes of it, and reads in it."""
    page = started(open_figure(*FIGURE, width=390, touch=True, theme="dark", before=SHORT))
    pad = page.locator(".ft-pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    client = page.context.new_cdp_session(page)
    points = [(0.3, 0.2), (0.5, 0.5), (0.5, 0.8), (0.6, 0.6), (0.7, 0.2)]
    for k, (x, y) in enumerate(points):
        touch = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}]
        client.send("Input.dispatchTouchEvent", {"type": "touchMove" if k else "touchStart", "touchPoints": touch})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function(f"{TUNING}.strokes.flat().length >= 5")
    drawn = strokes(page)
    np.testing.assert_allclose(drawn[0][[0, -1]] / 280, [points[0], points[-1]], atol=0.02)
    image = cnnlib.rasterize(drawn)
    page.wait_for_function("!document.querySelector('.ft-reads').textContent.startsWith('…')")
    assert page.locator(".ft-reads").text_content() == f"{answer(network, image)}."
    np.testing.assert_allclose(page.evaluate(f"[...{TUNING}.image]"), image.ravel(), atol=1e-6)
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('It reads')")
    for _ in range(5):  # on a busy machine a tap may last so long that the browser takes it for a long press
        page.get_by_role("button", name="Clear").tap()
        page.wait_for_timeout(500)
        if strokes(page) == []:
            break
    assert strokes(page) == []
    assert page.locator(".ft-reads").text_content() == "…"


def test_by_keyboard_alone(open_figure):
    page = started(open_figure(*FIGURE, before=SHORT, changes=FEWER_STEPS))
    page.get_by_role("button", name="It is a 3").press("Enter")
    assert page.locator(".lf-status").text_content() == "There is nothing to learn: draw a digit first."
    page.get_by_role("button", name="٥").press("Enter")
    assert len(strokes(page)) == 1
    page.get_by_label("replay other digits").press("Space")
    pad = page.locator(".ft-pad")
    pad.press("5")
    learned(page)
    assert page.evaluate(f"{TUNING}.lessons.map(({{ label }}) => label)") == [5]
    pad.press("z")
    assert strokes(page) == []
    page.get_by_role("button", name="٧").press("Space")
    pad.press("c")
    assert strokes(page) == []


def test_a_lesson_can_be_stopped(open_figure):
    page = started(open_figure(*FIGURE, before=SHORT))
    page.get_by_role("button", name="٧").click()
    page.get_by_role("button", name="It is a 7").click()
    page.wait_for_function("document.querySelector('.lf-status').textContent.includes('step 3')", timeout=60_000)
    page.get_by_role("button", name="It is a 1").click()  # it is still learning the last one
    assert page.evaluate(f"{TUNING}.learning.label") == 7
    page.get_by_role("button", name="Undo the last lesson").click()
    page.get_by_label("replay other digits").uncheck()
    assert page.evaluate(f"{TUNING}.lessons.length") == 0
    assert page.locator(".lf-status").text_content() == "The network is as it was before the first lesson."
    lesson(page, 7)
    assert page.evaluate(f"{TUNING}.lessons.length") == 1


def test_the_page_stays_responsive(open_figure):
    """A task of the page itself, in the processor's time, takes far less than 50 ms, whatever the worker does."""
    steps = 24
    changes = [("digits", (f"[{fine_tuning.STEPS}, 0.005", f"[{steps}, 0.005"))]
    page = started(open_figure(*FIGURE, before=SHORT, changes=changes))
    page.get_by_role("button", name="٧").click()
    page.wait_for_function(f"{TUNING}.before", timeout=60_000)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy():
        return {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}

    before = busy()["TaskDuration"]
    page.get_by_role("button", name="It is a 7").click()
    learned(page)
    assert (busy()["TaskDuration"] - before) / steps < 0.025
