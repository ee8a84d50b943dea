"""Chapter 6's second live figure: it knows the right gradients, and the wrong answers of the broken-gradients lab."""

import numpy as np
import pytest

import cnnlib
from cnnbook.broken_gradients import Broken5, Broken6
from cnnbook.convolution_backward import gradient_examples
from cnnlib.layers import loops
from cnnlib.layers.convolution import pad

FIGURE = ("06-convolution-backward", "your-gradient")
EXAMPLES = gradient_examples()
TASKS = ("dx", "dW", "db")


def arrays(example):
    """x, W and dy with their channels, and the padded x."""
    x, dy = (np.array(example[name], dtype=float)[:, np.newaxis] for name in ("x", "dy"))
    return x, np.array(example["W"], dtype=float)[np.newaxis, np.newaxis], dy, pad(x, ((example["padding"],) * 2,) * 2)


def gradients(example, layer=cnnlib.Convolutional, **changes):
    """dx of the first image, dW and db, of a layer of the library or of the lab."""
    x, W, dy, _ = arrays(example)
    layer = layer(1, 1, 3, changes.get("stride", example["stride"]), example["padding"], dtype=np.float64)
    layer.W[:] = changes.get("W", W)
    layer.forward(changes.get("x", x))
    dx = layer.backward(changes.get("dy", dy))
    return {"dx": dx[0, 0], "dW": layer.dW[0, 0], "db": layer.db[np.newaxis]}


def keep(dy, *index):
    result = np.zeros_like(dy)
    result[index] = dy[index]
    return result


def col2im_overwrites(cols, shape, K, stride):
    """The chapter's own, for one image."""
    x = np.zeros(shape)
    h, w = ((size - K) // stride + 1 for size in shape[2:])
    cols = cols.reshape(K, K, h, w)
    for i, j, r, s in np.ndindex(cols.shape):
        x[0, 0, r * stride + i, s * stride + j] = cols[i, j, r, s]
    return x


def known_mistakes(example, task):
    """What each mistake gives, computed by loops, the library and the lab; under the names of the figure."""
    x, W, dy, padded = arrays(example)
    (N, _, h, w), stride, padding = dy.shape, example["stride"], example["padding"]
    right, count = gradients(example), dy.size
    inner = np.s_[padding : padding + x.shape[2], padding : padding + x.shape[3]]
    dcols = W.reshape(9, 1) * dy[0].reshape(1, -1)
    beside = np.zeros((N, 1, padded.shape[2] - 2, padded.shape[3] - 2))
    beside[:, :, :h, :w] = dy
    corner = np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding)))
    alone = {"first": gradients(example, dy=keep(dy, 0)), "last": gradients(example, dy=keep(dy, N - 1))}
    mistakes = {
        "Flipped kernel": {
            "dx": (gradients(example, Broken6) if stride == 1 else gradients(example, W=W[:, :, ::-1, ::-1]))["dx"],
            "dW": right["dW"][::-1, ::-1],
        },
        "= for +=": {
            "dx": col2im_overwrites(dcols, (1, *padded.shape[1:]), 3, stride)[0, 0][inner],
            "dW": dy[-1, 0, -1, -1] * padded[-1, 0, (h - 1) * stride :, (w - 1) * stride :][:3, :3],
            "db": dy[-1, :, -1, -1:],
        },
        "A second 1/N": {name: gradient / N for name, gradient in right.items()},
        "A mean over all outputs": {name: right[name] / count for name in ("dW", "db")},
        "Stride forgotten": {name: gradients(example, stride=1, dy=beside)[name] for name in ("dx", "dW")},
        "Not summed over the batch: the last": {name: alone["last"][name] for name in ("dW", "db")},
        "Not summed over the batch: the first": {name: alone["first"][name] for name in ("dW", "db")},
        "Padding forgotten": {
            "dx": gradients(example, Broken5)["dx"],
            "dW": loops.convolve_backward(corner, W, dy, stride)[1][0, 0],
        },
        "Rows and columns swapped": {
            "dx": gradients(example, W=W.swapaxes(2, 3))["dx"],
            "dW": right["dW"].T,
        },
        "dy left out": gradients(example, dy=np.ones_like(dy)),
        "Sign": {name: -gradient for name, gradient in right.items()},
    }
    answers = {name: answer[task] for name, answer in mistakes.items() if task in answer}
    return {name: answer for name, answer in answers.items() if not np.allclose(answer, right[task])}


def start(open_figure, task, example, **settings):
    page = open_figure(*FIGURE, **settings)
    page.get_by_label("compute").select_option(task)
    page.get_by_label("for", exact=True).select_option(example)
    return page


def fields(page):
    return page.locator("td input")


def typed(page):
    values = page.locator(".lf-matrix:has(input)").evaluate(
        "table => [...table.rows].map(row => [...row.querySelectorAll('input')].map(input => input.value))"
    )
    return np.array([[float(value) for value in row] for row in values])


def verdict(page):
    return [page.locator(".lf-check").text_content(), page.locator(".lf-check + .lf-title").text_content()]


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("task", TASKS)
def test_every_mistake_is_computed_and_named(open_figure, task, example):
    page = start(open_figure, task, example)
    for name, values in zip(("x", "dy"), arrays(EXAMPLES[example])[0:3:2], strict=True):
        for n in (0, 1):
            rows = page.get_by_role("grid", name=f"{name}[{n}]").evaluate(
                "table => [...table.rows].map(row => [...row.cells].map(cell => +cell.textContent.replace('−', '-')))"
            )
            np.testing.assert_array_equal(rows, values[n, 0])
    right = gradients(EXAMPLES[example])[task]
    known = known_mistakes(EXAMPLES[example], task)
    choice = page.get_by_label("fill in a mistake")
    labels = choice.locator("option").all_text_contents()[1:]
    assert sorted(labels) == sorted(known)
    for label in labels:
        choice.select_option(label=label)
        np.testing.assert_allclose(typed(page), known[label], atol=1e-6)
        check, name = verdict(page)
        first = np.flatnonzero(~np.isclose(known[label], right))[0]
        place = np.unravel_index(first, right.shape)
        where = {"dx": "dx[0][{}, {}]", "dW": "dW[{}, {}]", "db": "db"}[task].format(*place)
        assert check.startswith(f"✗ The first wrong number is {where}: ")
        shown = float(check.rsplit(": ", 1)[1].rstrip(".").replace("−", "-"))
        assert shown == pytest.approx(known[label][place], rel=1e-5)
        assert name == label.split(":")[0]
        assert page.locator("td.lf-bad").count() == 1
        assert fields(page).nth(int(first)).get_attribute("aria-invalid") == "true"


@pytest.mark.parametrize("task", TASKS)
def test_the_right_numbers_are_given_one_by_one(open_figure, task):
    example = "stride 2"
    page = start(open_figure, task, example)
    right = gradients(EXAMPLES[example])[task]
    for count in range(1, right.size + 1):
        page.get_by_role("button", name="give me the next number").click()
        if count < right.size:
            assert verdict(page)[0] == f"✓ Right so far: {count} of {right.size}."
    np.testing.assert_allclose(typed(page), right)
    assert verdict(page)[0].endswith(", and central differences agree.")
    page.get_by_role("button", name="clear").click()
    assert [field.input_value() for field in fields(page).all()] == [""] * right.size


@pytest.mark.parametrize("touch", [False, True])
def test_a_reader_types_number_by_number(open_figure, touch):
    page = start(open_figure, "dx", "stride 2", touch=touch, width=390 if touch else 900)
    right = gradients(EXAMPLES["stride 2"])["dx"]
    known = known_mistakes(EXAMPLES["stride 2"], "dx")
    first = fields(page).first
    first.tap() if touch else first.click()
    for number in (right[0, 0], right[0, 1], known["= for +="][0, 2]):
        page.keyboard.type(f"{number:g}".replace("-", "−"))
        page.keyboard.press("Enter")
    assert verdict(page) == ["✗ The first wrong number is dx[0][0, 2]: −2.", "= for +="]
    page.wait_for_function("document.querySelector('.lf-voice').textContent.includes('= for +=')")
    page.keyboard.press("ArrowDown")  # from (0, 3) to (1, 3)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "dx[0][1, 3]"
    page.keyboard.type("77,5")
    assert verdict(page)[1] == "= for +=?"  # the first wrong number fits, the later one does not
    fields(page).nth(2).fill(f"{right[0, 2]:g}")
    assert verdict(page) == ["✗ The first wrong number is dx[0][1, 3]: 77.5.", "None of the known mistakes"]
    fields(page).nth(8).fill("x")
    assert verdict(page) == ["✗ dx[0][1, 3] is not a number.", ""]
    fields(page).nth(8).fill("")
    assert verdict(page)[0] == "✓ Right so far: 3 of 15."
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_wrong_engine_is_noticed(open_figure):
    page = open_figure(*FIGURE)
    page.evaluate(
        """() => {
            const { Convolutional } = cnnlib;
            cnnlib.Convolutional = (C, F, K, settings) => {
                const layer = Convolutional(C, F, K, settings), { backward } = layer;
                layer.backward = (dy) => {
                    const dx = backward.call(layer, dy);
                    layer.db = layer.db.map((value) => -value);
                    return dx;
                };
                return layer;
            };
        }"""
    )
    page.get_by_label("compute").select_option("db")
    page.get_by_role("button", name="give me the next number").click()
    assert verdict(page)[0].startswith("✗ These are the engine's numbers, but central differences say otherwise")


def test_without_scripts_there_is_a_text(open_figure):
    page = open_figure(*FIGURE, javascript=False)
    assert "the mistake is named" in page.locator("figure noscript").text_content()
