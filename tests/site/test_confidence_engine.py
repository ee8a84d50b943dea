"""Digit or not, how surely, and numbers of several digits: the page's pad against `cnnlib.digits`, drawing by drawing.

Strokes are those of real writers where CNNLIB_DATA has them (pendigits/strokes.json.gz), else the book's own samples.
"""

import gzip
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnbook.engine import mixed
from cnnlib.digits.confidence import calibrate, digit_likelihood, load_rejecter
from cnnlib.digits.reading import digits_of, split_strokes
from cnnlib.digits.sample_drawings import sample_drawings

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "book" / "_static"
sys.path.append(str(ROOT / "book" / "_ext"))
REAL_STROKES = Path(os.environ.get("CNNLIB_DATA", "")) / "pendigits" / "strokes.json.gz"
THRESHOLD = load_rejecter().notes["threshold"]


def drawings(count: int, seed: int = 0) -> list[list[np.ndarray]]:
    """Return drawings of single digits on the canvas of 280 x 280, as a mouse draws them, in whole pixels."""
    if REAL_STROKES.is_file():
        records = json.loads(gzip.decompress(REAL_STROKES.read_bytes()))
        chosen = np.random.default_rng(seed).choice(len(records), count, replace=False)
        found = [[np.array(stroke) * 200 + 40 for stroke in records[k]["strokes"]] for k in chosen]
    else:
        found = sample_drawings(-(-count // 40), seed=seed)[0][:count]
    return [[np.round(stroke) for stroke in drawing] for drawing in found]


def numbers(count: int, seed: int = 1) -> list[list[np.ndarray]]:
    """Return drawings of numbers of two to four digits, side by side, some of them over another number."""
    rng, single = np.random.default_rng(seed), drawings(4 * count, seed)
    found = []
    for _ in range(count):
        strokes, x = [], 0.0
        for drawing in (single.pop() for _ in range(rng.integers(2, 5))):
            low = np.min(np.concatenate(drawing), axis=0)
            scale = rng.uniform(0.28, 0.36)
            strokes += [np.round((stroke - low) * scale + [x, rng.uniform(40, 60)]) for stroke in drawing]
            x += np.ptp(np.concatenate(drawing)[:, 0]) * scale + rng.uniform(4, 20)
        found.append(strokes)
    return found + [
        [*a, *(stroke + np.array([0, 130]) for stroke in b)] for a, b in zip(found[::9], found[1::9], strict=False)
    ]


def scribbles(count: int) -> list[list[np.ndarray]]:
    """Return two digits one over the other, and halves of digits."""
    single = drawings(3 * count, 2)
    both = [a + [stroke[::-1] for stroke in b] for a, b in zip(single[:count], single[count : 2 * count], strict=True)]
    return both + [[stroke[len(stroke) // 2 :] for stroke in drawing] for drawing in single[2 * count :]]


@pytest.fixture
def pad(chromium, tmp_path):
    """A page with a pad alone, which needs no built book."""
    import digit_pad

    (tmp_path / digit_pad.NETWORK).write_text(digit_pad.script(cnnlib.load_pretrained(), load_rejecter()), "utf-8")
    scripts = [STATIC / "cnnlib.js", STATIC / "digits.js", tmp_path / digit_pad.NETWORK, STATIC / "digit-pad.js"]
    (tmp_path / "page.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>A pad</title>'
        f'<link rel="stylesheet" href="{(STATIC / "digit-pad.css").as_uri()}">'
        + "".join(f'<script defer src="{script.as_uri()}"></script>' for script in scripts)
        + '<body><div class="digit-pad" role="group" aria-label="Draw a digit"></div>',
        "utf-8",
    )
    page = chromium.new_page(viewport={"width": 1200, "height": 1000}, reduced_motion="reduce")
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    yield page
    page.close()
    assert wrong == []


def lists(all_strokes):
    return [[stroke.tolist() for stroke in strokes] for strokes in all_strokes]


# For each drawing: what is read, whether it is a digit, and the parts.
READ = """all => all.map(strokes => {
  const digits = digitPad.readStrokes(strokes, 2.5);
  return [
    digits.map(({digit}) => digit).join(""),
    digits.length > 1 || digitPad.isDigit(digits[0].steps.image),
    digits.map(({probabilities}) => [...probabilities]),
    cnnlib.digits.split_strokes(strokes),
    cnnlib.digits.digits_of(strokes, 2.5, images => images.map(() => true)),
  ];
})"""


def test_the_pad_gives_the_answers_of_the_library(pad):
    """Of 1,000 digits, 200 numbers and 100 scribbles: what is read, and whether it is any, in 8 bits."""
    kinds = {"digits": drawings(1_000), "numbers": numbers(200), "scribbles": scribbles(50)}
    network, page_network, page_rejecter = cnnlib.load_pretrained(), mixed(cnnlib.load_pretrained()), load_rejecter()
    page_rejecter = mixed(page_rejecter)
    for kind, all_strokes in kinds.items():
        other, several, close = 0, 0, 0
        for strokes, (number, is_digit, p, parts, _) in zip(
            all_strokes, pad.evaluate(READ, lists(all_strokes)), strict=True
        ):
            assert parts == split_strokes(strokes)
            expected = digits_of(strokes)
            images = np.stack([cnnlib.rasterize([strokes[k] for k in part]) for part in expected])
            certain = np.abs(digit_likelihood(images) - THRESHOLD).min() > 0.02
            alone = len(expected) > 1 or digit_likelihood(images)[0] >= THRESHOLD
            same = len(number) == len(expected) and alone == is_digit
            assert same or not certain or len(parts) > 1
            if not same:
                close += 1
                continue
            several += len(expected) > 1
            np.testing.assert_allclose(p, calibrate(page_network.predict(images)), atol=1e-5)
            exact = calibrate(network.predict(images))
            if number != "".join(map(str, exact.argmax(axis=1))):
                other += 1
                lead = np.diff(np.sort(exact, axis=1)[:, -2:]).min()  # of the likeliest digit over the next one
                assert lead < 0.05 or kind == "scribbles"
        assert close <= 0.01 * len(all_strokes)
        assert other <= (0.02 if kind == "scribbles" else 0.002) * len(all_strokes)
        if kind != "scribbles":  # a single digit is hardly ever taken for several, and most numbers are read
            assert several > 0.7 * len(all_strokes) if kind == "numbers" else several <= 0.01 * len(all_strokes)
    images = np.stack([cnnlib.rasterize(strokes) for strokes in [*kinds["digits"][:300], *kinds["scribbles"]]])
    flat = pad.evaluate(
        """flat => cnnlib.digits.digit_likelihood(
          cnnlib.array(Float32Array.from(flat)).reshape(flat.length / 784, 1, 28, 28),
          cnnlib.Network.fromJSON(digitPadNetwork.rejecter))""",
        np.concatenate([images.ravel(), np.zeros(784)]).tolist(),
    )
    assert flat[-1] == 0
    np.testing.assert_allclose(flat[:-1], page_rejecter.predict(images)[:, 1], atol=1e-4)
    assert 0.1 < np.mean(np.array(flat) >= THRESHOLD) < 0.95


def test_an_unfinished_part_may_look_like_anything(pad):
    """While the pen draws the second digit, the first one is read already."""
    strokes = numbers(12)
    code = """all => all.map(strokes => digitPad.readStrokes(strokes, 2.5, true).map(({strokes}) => strokes.length))"""
    for number in strokes:
        begun = [*number[:-1], number[-1][: len(number[-1]) // 2 + 1]]
        (parts,) = pad.evaluate(code, lists([begun]))
        assert parts == [len(part) for part in digits_of(begun, unfinished=True)]


def test_a_number_is_shown_with_its_boxes(pad):
    strokes = next(each for each in numbers(30) if len(digits_of(each)) == 3)
    pad.evaluate("strokes => digitPad.pads[0].draw(strokes)", lists([strokes])[0])
    images = np.stack([cnnlib.rasterize([strokes[k] for k in part]) for part in digits_of(strokes)])
    p = calibrate(mixed(cnnlib.load_pretrained()).predict(images))
    number, sure = "".join(map(str, p.argmax(axis=1))), min(int(100 * p.max(axis=1).prod()), 99)
    assert pad.locator(".dp-answer").inner_text() == f"{number} ({sure}%)"
    status = f"It reads {number}, {sure}% sure. The bars are for the last digit."
    assert pad.locator(".dp-status").inner_text() == status
    assert pad.locator(".dp-caption").inner_text() == "How sure it is of the last digit"
    widths = pad.eval_on_selector_all(".dp-bars i", "bars => bars.map(bar => parseFloat(bar.style.width))")
    assert np.abs(np.array(widths) - 100 * p[-1]).max() < 0.1
    assert pad.evaluate("document.querySelector('.dp-image').width") == 3 * 28
    orange = """() => {
      const canvas = document.querySelector(".dp-canvas");
      const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let k = 0; k < data.length; k += 4) count += data[k] > 200 && data[k + 1] < 140 && data[k + 2] < 60;
      return count;
    }"""
    assert pad.evaluate(orange) > 500
    pad.locator(".dp-clear").click()
    pad.evaluate("strokes => digitPad.pads[0].draw(strokes)", lists([strokes[: len(digits_of(strokes)[0])]])[0])
    assert pad.evaluate(orange) == 0 and pad.evaluate("document.querySelector('.dp-image').width") == 28


def test_what_was_done_is_said_to_those_who_do_not_see_it(pad):
    """Each press says something else, also where the answer stays the same."""

    def said(button=None):
        if button:
            pad.get_by_role("button", name=button).focus()
            pad.keyboard.press("Enter")
        return pad.locator(".dp-status").text_content()

    assert said("Draw a sample 7").startswith("Sample 1 of 4. It reads a 7, ")
    assert said("Draw a sample 7").startswith("Sample 2 of 4. It reads a 7, ")
    assert said("Clear") == "Cleared. Draw a digit."
    assert said("Clear") == "Draw a digit."
    pad.evaluate("digitPad.pads[0].draw([[[60, 60], [200, 60]], [[200, 60], [100, 230]]])")
    assert said("Undo").startswith("Last stroke taken back, 1 left. ")
    assert said("Undo") == "Last stroke taken back, none left. Draw a digit."
    assert said("Undo") == "Draw a digit."
    pad.locator(".dp-pen").focus()
    pad.keyboard.press("ArrowRight")
    assert pad.locator(".dp-pen").get_attribute("aria-valuetext") == "3 pixels"
    assert said() == "Draw a digit."
    assert pad.locator(".dp-done").bounding_box()["width"] <= 1
