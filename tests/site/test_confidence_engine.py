"""Digit or not, and how surely: the page's book/_static/digits.js against `cnnlib.digits.confidence`."""

import json
from pathlib import Path

import numpy as np

import cnnlib
from cnnbook.engine import describe
from cnnlib.digits.confidence import calibrate, digit_likelihood, load_rejecter
from cnnlib.digits.sample_drawings import sample_drawings

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"


def test_page_and_library_agree_drawing_by_drawing(chromium, tmp_path):
    """Drawings, one over the other, and without their first half; an empty image, and the percentages, too."""
    drawings, _ = sample_drawings()
    both = [list(a) + list(b)[::-1] for a, b in zip(drawings[:20], drawings[20:], strict=True)]
    images = [cnnlib.rasterize(each) for each in [*drawings, *both]]
    images += [cnnlib.rasterize([stroke[len(stroke) // 2 :] for stroke in each]) for each in drawings]
    images = np.stack([*images, np.zeros((28, 28), np.float32)])
    network, rejecter = cnnlib.load_pretrained(), load_rejecter()
    (tmp_path / "page.html").write_text(
        "".join(f'<script src="{(STATIC / name).as_uri()}"></script>' for name in ("cnnlib.js", "digits.js")), "utf-8"
    )
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    code = """([network, rejecter, flat, temperature]) => {
      const [net, other] = [network, rejecter].map(text => cnnlib.Network.fromJSON(JSON.parse(text)));
      const x = cnnlib.array(Float32Array.from(flat)).reshape(flat.length / 784, 1, 28, 28);
      const p = net.predict(x).data;
      return [cnnlib.digits.digit_likelihood(x, net, other),
        Array.from({length: x.length}, (_, n) => cnnlib.digits.calibrate(p.slice(10 * n, 10 * n + 10), temperature))];
    }"""
    texts = [json.dumps(describe(network)), json.dumps(describe(rejecter, "float16"))]
    likelihood, p = page.evaluate(code, [*texts, images.ravel().tolist(), rejecter.notes["temperature"]])
    page.close()
    expected = digit_likelihood(images)
    assert np.abs(np.array(likelihood) - expected).max() < 1e-4
    assert 0.1 < np.mean(expected >= rejecter.notes["threshold"]) < 0.95
    assert np.abs(np.array(p) - calibrate(network.predict(images))).max() < 1e-4
