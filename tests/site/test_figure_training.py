"""Chapter 13's live figure: LeNet-5 learns in the page as it does in the library, and the page stays responsive."""

import numpy as np
import pytest

import cnnlib
from cnnbook.training_lenet import shown_digits
from cnnlib.digits.datasets import load_digits

FIGURE = ("13-training-lenet", "training")
DIGITS = load_digits()
N = len(DIGITS.train_images)
RUN = "document.querySelector('figure').liveFigure.run"


class Replay:
    """The same run with cnnlib: the same initial weights, and the same batches in the same order."""

    def __init__(self, page):
        self.network = cnnlib.lenet5(np.random.default_rng(0))
        for array in self.network.parameters().values():
            array[...] = array.astype(np.float16)  # as they are handed over to the page
        self.optimizer, self.loss = cnnlib.SGD(0.02, momentum=0.9), cnnlib.CategoricalCrossEntropy()
        self.order = page.evaluate(
            "count => { const rng = cnnlib.default_rng(0); "
            "return [rng.permutation(count), rng.permutation(count)].flat(); }",
            N,
        )
        self.images = 0

    def step(self, batch_size=16, learning_rate=0.02, falling=True):
        epoch = N * (1 + self.images // N)  # the last batch of an epoch may be smaller
        batch = self.order[self.images : min(self.images + batch_size, epoch)]
        scale = learning_rate / 0.02 / (1 + self.images / N / 2 if falling else 1)
        targets = cnnlib.one_hot(DIGITS.train_labels[batch], 10)
        self.images += len(batch)
        return self.network.train_step(DIGITS.train_images[batch], targets, self.optimizer, self.loss, scale)[0]


def started(page):
    page.wait_for_function(f"{RUN} && {RUN}.answers")
    return page


def one_step(page):
    before = page.evaluate(f"{RUN}.losses.length")
    page.get_by_role("button", name="one step").click()
    page.wait_for_function(f"{RUN}.losses.length === {before + 1} && {RUN}.looked === {RUN}.images", timeout=60_000)


def expect(page, replay, loss=None):
    """Compare everything that the figure shows."""
    run = page.evaluate(f"({{ ...{RUN}, W: [...{RUN}.W], dW: [...({RUN}.dW ?? [])] }})")
    p = replay.network.predict(DIGITS.test_images)
    right = np.sum(p.argmax(axis=1) == DIGITS.test_labels)
    page.wait_for_function(f"document.querySelector('.lf-status').textContent.includes('{right} of 300')")
    status = page.locator(".lf-status").text_content()
    assert f"Step {len(run['losses'])}, epoch" in status
    if loss is not None:
        assert float(status.split("batch loss ")[1].split(". ")[0]) == pytest.approx(loss, rel=0.006)
        np.testing.assert_allclose(run["losses"][-1][1], loss, atol=1e-3)
        dW = replay.network.layers[0].dW.ravel()
        np.testing.assert_allclose(run["dW"], dW, atol=1e-3 * np.abs(dW).max())
        assert f"±{np.abs(dW).max():.3g}" in page.locator(".live-figure .lf-group").first.text_content()
    np.testing.assert_allclose(run["W"], replay.network.layers[0].W.ravel(), atol=1e-3)
    np.testing.assert_allclose(run["sure"], p[np.arange(300), DIGITS.test_labels], atol=2e-3)
    answers = page.locator(".live-figure span.lf-check").all_text_contents()
    expected = [(p[n].argmax(), DIGITS.test_labels[n]) for n in shown_digits(DIGITS.test_labels)]
    assert answers == [f"{'✓' if answer == true else '✗'} {answer}" for answer, true in expected]


def test_the_page_has_the_library_s_digits(open_figure):
    page = started(open_figure(*FIGURE))
    pictures = page.evaluate(
        """() => [...document.querySelectorAll('canvas[aria-label^="held-out"]')].map(canvas =>
          [...canvas.getContext("2d").getImageData(0, 0, 28, 28).data].filter((_, k) => k % 4 === 3))"""
    )
    images = DIGITS.test_images[shown_digits(DIGITS.test_labels)]
    np.testing.assert_array_equal(np.array(pictures).reshape(-1, 28, 28), images)


def test_every_number_of_single_steps(open_figure):
    page = started(open_figure(*FIGURE))
    replay = Replay(page)
    expect(page, replay)
    for batch_size in (16, 32, 64):  # a larger batch is computed in parts, and one slider moves by keyboard
        one_step(page)
        expect(page, replay, replay.step(batch_size))
        page.get_by_label("batch size").focus()
        page.keyboard.press("ArrowRight")
    page.get_by_label("learning rate").fill("3")  # 0.005
    page.get_by_label("let the rate fall").uncheck()
    one_step(page)
    expect(page, replay, replay.step(128, 0.005, falling=False))


@pytest.mark.parametrize("worker", [True, False])
def test_twenty_steps_as_in_the_library(open_figure, worker):
    page = open_figure(*FIGURE, before="" if worker else "delete window.Worker;")
    started(page).get_by_role("button", name="Start").click()
    assert page.evaluate("document.querySelector('figure').liveFigure.worker.stop !== undefined") == worker
    page.wait_for_function(f"{RUN}.losses.length >= 20", timeout=120_000)
    page.get_by_role("button", name="Pause").click()
    losses = page.evaluate(f"{RUN}.losses.map(([, loss]) => loss)")[:20]
    replay = Replay(page)
    np.testing.assert_allclose(losses, [replay.step() for _ in range(20)], atol=1e-3)


def test_a_sign_turned_in_the_engine_is_noticed(open_figure):
    turned = """delete window.Worker;
        addEventListener("DOMContentLoaded", () => {
          const { _backward } = cnnlib.Flatten.prototype;
          cnnlib.Flatten.prototype._backward = function (dy, x) { return _backward.call(this, dy.map(v => -v), x); };
        }, { capture: true });"""
    page = open_figure(*FIGURE, before=turned)
    started(page)
    one_step(page)
    replay = Replay(page)
    replay.step()
    dW = replay.network.layers[0].dW.ravel()
    assert not np.allclose(page.evaluate(f"[...{RUN}.dW]"), dW, atol=1e-3 * np.abs(dW).max())


def test_pause_is_immediate_and_reset_begins_anew(open_figure):
    page = started(open_figure(*FIGURE, touch=True, width=390, theme="dark"))
    first = page.evaluate(f"[...{RUN}.W]")
    page.get_by_role("button", name="Start").tap()
    page.wait_for_function(f"{RUN}.losses.length >= 3", timeout=60_000)
    count = page.evaluate(f"() => {{ document.querySelector('figure button').click(); return {RUN}.losses.length; }}")
    page.wait_for_timeout(1500)
    assert page.evaluate(f"{RUN}.losses.length") == count
    page.wait_for_function("document.querySelector('.lf-voice').textContent.startsWith('Paused. Step')")
    page.get_by_role("button", name="Start").tap()
    page.wait_for_function(f"{RUN}.losses.length > {count}", timeout=60_000)
    page.get_by_role("button", name="reset").tap()
    page.wait_for_function(f"{RUN}.losses.length === 0", timeout=60_000)
    assert page.evaluate(f"[...{RUN}.W]") == first
    page.get_by_label("seed").fill("1")
    page.wait_for_function(f"{RUN}.W[0] !== {first[0]}", timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.timed
def test_it_reaches_95_percent_within_a_minute_of_one_core(open_figure, chromium):
    page = started(open_figure(*FIGURE))
    session = chromium.new_browser_cdp_session()

    def seconds():
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(process["cpuTime"] for process in processes if process["type"] == "renderer")

    main = page.context.new_cdp_session(page)
    main.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy():
        return {each["name"]: each["value"] for each in main.send("Performance.getMetrics")["metrics"]}["TaskDuration"]

    before, before_main = seconds(), busy()
    page.get_by_role("button", name="Start").click()
    page.wait_for_function(f"{RUN}.reached", timeout=600_000)
    spent, spent_main = seconds() - before, busy() - before_main
    steps = page.evaluate(f"{RUN}.losses.length")
    assert spent < 60
    assert spent_main / steps < 0.025  # the page's own share of each step: it stays responsive
    assert "✓ 95 % in epoch" in page.locator("p.lf-check").text_content()


def test_without_scripts_there_is_a_picture(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert page.locator("figure noscript").count() == 1
    assert "learns to read" in page.locator("figure").get_attribute("aria-label")
