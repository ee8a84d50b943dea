"""What the page does with digits, book/_static/digits.js, number by number against `cnnlib.digits`.

The library draws its random numbers from the page's generator (the fixture `mulberry`), so that both replay the same
digits, distort them in the same way, and must come to the same weights.
"""

from pathlib import Path

import numpy as np
import pytest

from cnnbook.engine import describe, describe_digits
from cnnlib.digits import fine_tuning
from cnnlib.digits.augmentation import Distortion, bilinear_sample
from cnnlib.digits.datasets import load_digits
from cnnlib.digits.sample_drawings import sample_drawings
from cnnlib.digits.strokes import draw_segments, rasterize

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"
SOURCE = (STATIC / "digits.js").read_text("utf-8")
DIGITS = load_digits()
IMAGES = DIGITS.train_images[:12] / np.float32(255)
DRAWINGS, LABELS = sample_drawings()
SETTINGS = ("rotation", "shear", "scale", "shift", "elastic", "stroke_width")

HELPERS = """source => {
  globalThis.images = flat => cnnlib.array(Float32Array.from(flat)).reshape(flat.length / 784, 1, 28, 28);
  globalThis.digitsWith = (old, changed) => {
    const right = cnnlib.digits;
    new Function("cnnlib", source.replaceAll(old, () => changed))(cnnlib);
    const faulty = cnnlib.digits;
    cnnlib.digits = right;
    return faulty;
  };
}"""


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """A page with the engine, from the disk. `digitsWith(old, new)` is `cnnlib.digits` with a fault."""
    path = tmp_path_factory.mktemp("digits") / "page.html"
    scripts = "".join(f'<script src="{(STATIC / name).as_uri()}"></script>' for name in ("cnnlib.js", "digits.js"))
    path.write_text(f'<!doctype html><meta charset="utf-8">{scripts}', "utf-8")
    page, wrong = chromium.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(path.as_uri())
    page.evaluate(HELPERS, SOURCE)
    yield page
    page.close()
    assert wrong == []


# Each calls the page, with the digits.js in which `old` is replaced, and returns the largest difference to the library.


def compare_strokes(page, fault=("", "")) -> float:
    drawings = [
        *DRAWINGS[::7],
        [np.array([[5.0, 5.0]])],
        [np.zeros((1, 2)), np.array([[9, 3.0], [1, 200]])],
    ]
    strokes = [[stroke.tolist() for stroke in drawing] for drawing in drawings]
    code = """([fault, all]) => {
      const { rasterize, draw_segments } = digitsWith(...fault);
      const small = strokes => strokes.map(stroke => stroke.map(point => point.map(value => value / 10 - 0.5)));
      return all.flatMap(strokes => [1, 2.5, 5].map(pen =>
        [rasterize(strokes, pen), draw_segments(small(strokes), pen)].map(image => [...image])));
    }"""
    found = np.array(page.evaluate(code, [fault, strokes]))
    expected = []
    for drawing in drawings:
        small = [stroke / 10 - 0.5 for stroke in drawing]
        start = np.concatenate([stroke[:-1] if len(stroke) > 1 else stroke for stroke in small])
        end = np.concatenate([stroke[1:] if len(stroke) > 1 else stroke for stroke in small])
        for pen in (1, 2.5, 5):
            expected.append([rasterize(drawing, pen).ravel(), draw_segments(start, end, pen).ravel()])
    return np.abs(found - expected).max()


def compare_upscaled(page, fault=("", "")) -> float:
    text = describe_digits()["images"][: 64 * 40]
    code = "([fault, text]) => [...digitsWith(...fault).images_of(text).data]"
    found = np.reshape(page.evaluate(code, [fault, text]), (-1, 28, 28))
    return np.abs(found - DIGITS.train_images[:40] / np.float32(255)).max()


def compare_distorted(page, mulberry, fault=("", ""), **settings) -> float:
    settings = settings or {name: getattr(Distortion(), name) for name in SETTINGS}
    code = """([fault, settings, flat]) => {
      const { Distortion } = digitsWith(...fault);
      return [...new Distortion(settings).distort(images(flat), cnnlib.default_rng(5)).data];
    }"""
    found = np.reshape(page.evaluate(code, [fault, settings, IMAGES.ravel().tolist()]), IMAGES.shape)
    return np.abs(found - Distortion(**settings)(IMAGES, mulberry(5))).max()


FINE_TUNE = """([fault, network, replay, drawings, labels, settings]) => {
  const { FineTuner, finish } = digitsWith(...fault);
  const tuner = new FineTuner(cnnlib.Network.fromJSON(network), images(replay));
  finish(tuner.prepare());
  // A second time, to the same end
  for (let k = 0; k < 2; k++) finish(tuner.fine_tune(images(drawings), labels, settings));
  return {
    replay_x: [...tuner.replay_x.data], replay_t: [...tuner.replay_t.data],
    parameters: Object.values(tuner.network.parameters()).map(({ data }) => [...data]),
  };
}"""


def compare_fine_tuned(page, network, drawings, labels, *, replay=40, steps=6, seed=3, fault=("", "")) -> float:
    """Replayed digits, their targets and the weights; of the last as a share of how far each array has moved."""
    described = describe(network, "float16")
    digits = DIGITS.train_images[:replay]
    tuner = fine_tuning.FineTuner(network, digits)
    flat = [(digits / np.float32(255)).ravel().tolist(), drawings.ravel().tolist()]
    settings = {"steps": steps, "seed": seed, "replayed": fine_tuning.REPLAYED_PER_STEP}
    found = page.evaluate(FINE_TUNE, [fault, described, *flat, labels, settings])
    tuner.fine_tune(drawings, labels, steps=steps, seed=seed)
    errors = [np.abs(found[name] - getattr(tuner, name).ravel()).max() for name in ("replay_x", "replay_t")]
    for (name, array), values in zip(network.parameters().items(), found["parameters"], strict=True):
        moved = np.abs(array - tuner.initial_parameters[name]).max()
        errors.append(np.abs(values - array.ravel()).max() / (moved or 1))
    tuner.reset()
    return max(errors)


def drawn(count: int) -> tuple[np.ndarray, list[int]]:
    """Drawings, and whatever they are meant to be."""
    return np.stack([rasterize(drawing) for drawing in DRAWINGS[:: 40 // count][:count]]), LABELS[:: -(40 // count)][
        :count
    ].tolist()


def test_strokes(page):
    assert compare_strokes(page) < 1e-6


def test_small_digits(page):
    assert compare_upscaled(page) == 0


def test_distortions(page, mulberry):
    assert compare_distorted(page, mulberry) < 1e-4
    none = dict.fromkeys(SETTINGS, 0)
    assert compare_distorted(page, mulberry, **none) < 1e-6
    for name, value in zip(SETTINGS, (90, 1, 1, 9, 3, 1), strict=True):  # so large that digits leave the image
        assert compare_distorted(page, mulberry, **(none | {name: value})) < 1e-4, name


def test_a_distortion_of_given_numbers(page):
    """Without random numbers: half a pixel down, and one to the right."""
    code = """flat => [...cnnlib.digits.distorted(Float32Array.from(flat), {
      amount: 0, angle: 0, shear: 0, tall: 1, wide: 1, rows: new Array(25).fill(0), columns: new Array(25).fill(0),
      down: 0.5, right: 1 })]"""
    found = np.reshape(page.evaluate(code, IMAGES[0].ravel().tolist()), (28, 28))
    rows, columns = np.meshgrid(np.arange(28) + 0.5, np.arange(28) + 1.0, indexing="ij")
    np.testing.assert_allclose(found, bilinear_sample(IMAGES[:1], rows[None], columns[None])[0], atol=1e-6)


@pytest.mark.parametrize("count", [1, 3, 20])
def test_fine_tuning_comes_to_the_library_s_weights(page, network, mulberry, count):
    assert compare_fine_tuned(page, network, *drawn(count)) < 5e-4


def test_fine_tuning_without_replay(page, network, mulberry, monkeypatch):
    monkeypatch.setattr(fine_tuning, "REPLAYED_PER_STEP", 0)
    assert compare_fine_tuned(page, network, *drawn(2)) < 5e-4


def test_without_drawings_the_network_is_as_it_was(page, network, mulberry):
    assert compare_fine_tuned(page, network, np.zeros((0, 28, 28)), []) == pytest.approx(0, abs=1e-4)


def test_the_constants_are_the_library_s(page):
    """The steps, too: the other tests take fewer."""
    names = ("STEPS", "LEARNING_RATE", "MOMENTUM", "DRAWINGS_PER_STEP", "REPLAYED_PER_STEP")
    values = ", ".join(str(getattr(fine_tuning, name)) for name in names)
    assert f"const [{', '.join(names)}] = [{values}];" in SOURCE
    copies = f"[{fine_tuning.DISTORTED_COPIES}, {fine_tuning.MIN_MIX}]"
    assert f"const [DISTORTED_COPIES, MIN_MIX] = {copies};" in SOURCE


# Each fault is a change of the text of digits.js that the comparison named beside it must notice.
FAULTS = [
    ("strokes", "pen / 2 - sqrt(distance) + 0.5", "pen / 2 - sqrt(distance) - 0.5"),
    ("strokes", "(BOX - pen) * (value / extent)", "BOX * (value / extent)"),
    ("strokes", "value + clip(MIDDLE - centre[axis]", "value - clip(MIDDLE - centre[axis]"),
    ("strokes", "value - (pen / 2 - 0.5)", "value"),
    ("strokes", "clip(x * stepX + y * stepY, 0, 1)", "(x * stepX + y * stepY)"),
    ("strokes", "y += value * floor(at / FIELD)", "y = value * floor(at / FIELD)"),
    ("upscaled", "half[r * SMALL + s] = sum", "half[s * SMALL + r] = sum"),
    ("upscaled", "3 * k ** 3, -10 * k ** 2", "3 * k ** 3, 10 * k ** 2"),
    ("upscaled", "sum / mass + 0.5", "sum / mass"),
    ("distorted", "cos(angle) * r - sin(angle) * s", "cos(angle) * r + sin(angle) * s"),
    ("distorted", "* wide + shear * r", "* wide - shear * r"),
    ("distorted", "exp(tall[n])", "tall[n]"),
    ("distorted", "this.rotation * PI) / 180", "this.rotation) / 180"),
    ("distorted", "upper * (1 - down) + lower * down", "upper * down + lower * (1 - down)"),
    ("distorted", "value - amount * (min", "value + amount * (min"),
    ("distorted", "distance ** 2 + distance ** 3 / 2", "distance ** 2 + distance ** 3"),
    ("distorted", "smooth[at] += line[j]", "smooth[at] = line[j]"),
    ("distorted", "[rows, columns] = [grids(), grids()]", "[columns, rows] = [grids(), grids()]"),
    ("fine_tuned", "[k] += share * data[k]", "[k] = share * data[k]"),
    ("fine_tuned", "sum[k] += share * data[k]", "sum[k] += data[k]"),
    ("fine_tuned", "rng.random() * replay_x.length", "rng.random() * images.length"),
    ("fine_tuned", "replay_t.take(chosen)", "replay_t.take(chosen.reverse())"),
    ("fine_tuned", "t_step.data.set(t.take(drawn).data)", "t_step.data.set(t.take(drawn.map(() => 0)).data)"),
    ("fine_tuned", "initial[i] + mix * (data[i] - initial[i])", "data[i] + mix * (data[i] - initial[i])"),
    ("fine_tuned", "max(MIN_MIX, 1 - 1 / images.length)", "1 - 1 / images.length"),
    ("fine_tuned", "order[k % order.length]", "order[0]"),
    ("fine_tuned", "this.restore(this.initial_parameters);", ""),
    ("fine_tuned", "SGD(LEARNING_RATE, MOMENTUM)", "SGD(LEARNING_RATE, 0)"),
]


@pytest.mark.parametrize(("what", "old", "new"), FAULTS, ids=[old for _, old, _ in FAULTS])
def test_a_planted_fault_is_noticed(page, network, mulberry, what, old, new):
    assert SOURCE.count(old) == 1
    if what == "fine_tuned":
        error = compare_fine_tuned(page, network, *drawn(3), replay=6, steps=2, fault=[old, new])
    elif what == "distorted":
        error = compare_distorted(page, mulberry, [old, new])
    else:
        error = {"strokes": compare_strokes, "upscaled": compare_upscaled}[what](page, [old, new])
    assert not error < 1e-3
