"""Chapter 11's figure of one batch: which array changes when, and every number of it, compared with the library."""

import numpy as np
import pytest

import cnnlib

FIGURE = ("11-network", "training-step")
PHASES = ["forward", "loss", "backward", "update"]
NEW = {
    "forward": {"x", "t", "y0", "y1", "y2"},
    "loss": {"L", "dy2"},
    "backward": {"dy1", "dy0", "dW0", "db0", "dW2", "db2"},
    "update": {"W0", "b0", "W2", "b2"},
}
SHAPES = {"x": (2, 2), "t": (2, 2), "L": (1, 1), "y0": (2, 3), "y1": (2, 3), "y2": (2, 2), "W0": (2, 3), "b0": (1, 3)}
SHAPES |= {"W2": (3, 2), "b2": (1, 2)}
SHAPES |= {f"d{name}": shape for name, shape in SHAPES.items() if name[-1].isdigit()}
READ = """tables => tables.map(table => [table.getAttribute("aria-label"), getComputedStyle(table).outlineStyle,
    table.previousSibling.textContent, [...table.rows].map(row => [...row.cells].map(cell => cell.textContent))])"""


class Oracle:
    """The same network in the library, batch by batch, phase by phase."""

    def __init__(self, data):
        self.batches = [[np.array(part, float) for part in data[name]] for name in ("x", "t")]
        self.first, self.last = cnnlib.Dense(2, 3, dtype=np.float64), cnnlib.Dense(3, 2, dtype=np.float64)
        self.first.W[:], self.first.b[:], self.last.W[:], self.last.b[:] = (
            data[name] for name in ("W0", "b0", "W2", "b2")
        )
        self.relu, self.loss, self.count = cnnlib.ReLU(), cnnlib.SoftmaxCrossEntropy(), 0
        self.shown = {"x": self.batches[0][0], "t": self.batches[1][0]} | self.parameters()

    def parameters(self):
        layers = {"0": self.first, "2": self.last}
        return {f"{name}{k}": array.copy() for k, layer in layers.items() for name, array in layer.parameters().items()}

    def value(self):
        y = self.last.forward(self.relu.forward(self.first.forward(self.shown["x"])))
        return self.loss.value(y, self.shown["t"])

    def forward(self):
        x, t = (part[self.count % 2] for part in self.batches)
        self.count += 1
        y0 = self.first.forward(x)
        y1 = self.relu.forward(y0)
        self.shown |= {"x": x, "t": t, "y0": y0, "y1": y1, "y2": self.last.forward(y1)}

    def compare(self):
        y, t = self.shown["y2"], self.shown["t"]
        self.shown |= {"L": np.array(self.loss.value(y, t)), "dy2": self.loss.gradient(y, t)}

    def backward(self):
        dy1 = self.last.backward(self.shown["dy2"])
        dy0 = self.relu.backward(dy1)
        self.first.backward(dy0)
        gradients = {"dW0": self.first.dW, "db0": self.first.db, "dW2": self.last.dW, "db2": self.last.db}
        self.shown |= {"dy1": dy1, "dy0": dy0} | {name: array.copy() for name, array in gradients.items()}

    def update(self, rate):
        optimizer = cnnlib.SGD(rate, momentum=0)
        optimizer.step(
            [(p, g) for layer in (self.first, self.last) for p, g in ((layer.W, layer.dW), (layer.b, layer.db))]
        )
        self.shown |= self.parameters()

    def phase(self, name, rate=0.5):
        {"forward": self.forward, "loss": self.compare, "backward": self.backward}.get(
            name, lambda: self.update(rate)
        )()


def start(page):
    return Oracle(page.evaluate("document.querySelector('figure').liveFigure.data"))


def expect(page, oracle, new):
    found = {}
    for label, outline, title, texts in page.locator("table").evaluate_all(READ):
        symbol, _, card = label.partition(" of ")
        name = symbol + {"batch and loss": "", "Dense, first": "0", "ReLU": "1", "Dense, last": "2"}[card]
        found[name] = texts
        assert (outline == "solid") == title.endswith("new") == (name in new), name
    assert found.keys() == SHAPES.keys()
    for name, texts in found.items():
        assert np.shape(texts) == SHAPES[name]
        if name not in oracle.shown:
            assert {text for row in texts for text in row} == {""}, name
            continue
        shown = [[float(text.replace("−", "-")) for text in row] for row in texts]
        expected = np.reshape(oracle.shown[name], SHAPES[name])
        np.testing.assert_allclose(shown, expected, rtol=6e-2, atol=1e-12, err_msg=name)


def next_button(page):
    return page.get_by_role("button", name="Next:")


def test_two_batches_in_four_presses_each(open_figure):
    page = open_figure(*FIGURE)
    oracle = start(page)
    expect(page, oracle, set())
    for _ in range(2):
        for phase in PHASES:
            assert next_button(page).text_content() == f"Next: {phase}"
            next_button(page).click()
            oracle.phase(phase)
            expect(page, oracle, NEW[phase])
            assert page.locator("[aria-current=step]").get_attribute("data-phase") == phase
            check = page.locator(".lf-check").text_content()
            assert check.startswith("✓") if phase == "backward" else check == ""
        before, now = page.locator(".ts-after").text_content().split(" before the update, ")
        assert float(before.split(": ")[1]) == pytest.approx(float(oracle.shown["L"]), rel=6e-3)
        assert float(now.split()[0]) == pytest.approx(oracle.value(), rel=6e-3)


def test_one_layer_at_a_time_by_keyboard(open_figure):
    page = open_figure(*FIGURE, calm=True)
    oracle = start(page)
    page.get_by_role("button", name="One layer only").focus()
    parts = [
        {"x", "t", "y0"},
        {"y1"},
        {"y2"},
        {"L", "dy2"},
        {"dy1", "dW2", "db2"},
        {"dy0"},
        {"dW0", "db0"},
        NEW["update"],
    ]
    seen = {}
    for place, new in enumerate(parts):
        page.keyboard.press("Enter")
        if place in (0, 3, 4, 7):
            oracle.phase(PHASES[(0, 3, 4, 7).index(place)])
        seen |= {name: oracle.shown[name] for name in new}
        partial = start(page)
        partial.shown |= seen
        expect(page, partial, new)
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('New: W, b, W, b')")


@pytest.mark.parametrize(("place", "rate"), [(3, 0.5), (4, 1)])
def test_fifty_batches_and_another_rate(open_figure, place, rate):
    page = open_figure(*FIGURE, touch=True, width=390, theme="dark")
    oracle = start(page)
    page.get_by_role("slider", name="rate").fill(str(place))
    next_button(page).tap()
    page.get_by_role("button", name="50 batches").tap()
    for _ in range(50):
        for phase in PHASES:
            oracle.phase(phase, rate)
    expect(page, oracle, set(SHAPES))
    assert (float(oracle.shown["L"]) < 0.2) == (rate == 0.5)  # a rate of 1 is too high for this network
    next_button(page).tap()
    oracle.phase("forward")
    expect(page, oracle, NEW["forward"])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Back to the start").tap()
    expect(page, start(page), set())


def test_a_wrong_gradient_is_noticed(open_figure):
    page = open_figure(*FIGURE)
    page.evaluate("cnnlib.ReLU.prototype._backward = (dy) => dy")
    for _ in range(3):
        next_button(page).click()
    assert page.locator(".lf-check").text_content().startswith("✗")
