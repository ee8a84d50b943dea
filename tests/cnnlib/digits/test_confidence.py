"""Digit or not, and how surely: most of what is no digit is flagged (nine in ten), and hardly any digit.

`scripts/measure_rejecter.py` says how many, on more data. Here are what it draws itself, and data that come with the
package.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import cnnlib
from cnnlib.digits.confidence import calibrate, digit_likelihood, load_rejecter, looks_like_digit
from cnnlib.digits.reading import kept_in_lines
from cnnlib.digits.sample_drawings import sample_drawings

SCRIPTS = Path(__file__).parents[3] / "scripts"
X = [(30, 30, 90, 110), (90, 30, 30, 110)]
SEVEN = [(30, 30, 90, 30), (90, 30, 55, 110)]


@pytest.fixture
def judge(monkeypatch):
    """The module `scripts/measure_rejecter.py`."""
    monkeypatch.syspath_prepend(SCRIPTS)
    import measure_rejecter

    return measure_rejecter


def picture(folder, *shapes):
    """Write a picture of shapes, lists of lines, side by side."""
    canvas = Image.new("L", (130 * len(shapes), 140), 245)
    draw = ImageDraw.Draw(canvas)
    for number, shape in enumerate(shapes):
        for x0, y0, x1, y1 in shape:
            draw.line([x0 + 130 * number, y0, x1 + 130 * number, y1], fill=30, width=12)
    canvas.save(folder / "picture.png")
    return folder / "picture.png"


def test_digits_pass():
    assert looks_like_digit(cnnlib.load_digits().test_images).mean() >= 0.97
    drawings, _ = sample_drawings()
    assert looks_like_digit(np.stack([cnnlib.rasterize(strokes) for strokes in drawings])).mean() >= 0.97


@pytest.mark.parametrize("kind", ["doodles", "curves"])
def test_drawings_of_other_things_are_flagged(judge, kind):
    draw = getattr(judge, kind)
    images = np.stack(draw(5 if kind == "doodles" else 150, np.random.default_rng(4)))
    assert looks_like_digit(images).mean() <= 0.13


def test_letters_are_flagged(judge):
    """In fonts that took no part in the training, Computer Modern, without letters that are digits in many a hand."""
    from make_rejecter import LETTERS, OTHER_FONTS, TRAINING_FONTS, matplotlib_fonts

    assert not set(matplotlib_fonts(OTHER_FONTS)) & set(matplotlib_fonts(TRAINING_FONTS))
    images = np.stack(judge.in_fonts(matplotlib_fonts(OTHER_FONTS), LETTERS))
    assert len(images) == 4 * len(LETTERS)
    assert looks_like_digit(images).mean() <= 0.05


def test_the_model_card_says_what_was_measured():
    network, resources = load_rejecter(), SCRIPTS.parent / "cnnlib" / "resources"
    card = (resources / "digit_or_not.md").read_text("utf-8")
    stored = json.loads((SCRIPTS.parent / "book" / "cnnbook" / "results" / "rejecter.json").read_text("utf-8"))
    refused, flagged, alike = ({name: n / of for name, (n, of) in kinds.items()} for kinds in stored.values())
    size = (resources / "digit_or_not.npz").stat().st_size
    assert f"{network.parameter_count:,} parameters (numbers that fit float16, {size / 1000:.0f} kB)" in card
    assert all(np.array_equal(array, array.astype(np.float16)) for array in network.parameters().values())
    assert f"more than {network.notes['refused']:.1%} are refused".replace("%", " %") in card
    rows = [line.split("|")[1:-1] for line in card.splitlines() if line.count("%") == 2 and line.startswith("|")]
    names = ["clothes", "letters in fonts", "doodles", "curves", "photographs"]
    assert [row[1].strip() for row in rows] == [f"{100 * share:.1f} %" for share in refused.values()]
    shares = [*(flagged[name] for name in names), np.mean([*flagged.values()])]
    assert [row[4].strip() for row in rows] == [f"{100 * share:.0f} %" for share in shares]
    letters, square = alike.values()
    assert f"{100 * letters:.0f} % of them are flagged" in card
    assert f"Of squares, each drawn a little differently, {100 * square:.0f} % are flagged" in card


@pytest.mark.parametrize("options", [[], ["--fonts", "."], ["--fonts", "empty"], ["--model", "a.npz"]])
def test_what_is_stored_has_all_numbers(judge, tmp_path, monkeypatch, capsys, options):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["measure_rejecter.py", "--store", *options])
    with pytest.raises(SystemExit):
        judge.main()
    assert "needs the fonts, or numbers would be missing" in capsys.readouterr().err


def test_images_in_the_cache_are_of_the_same_seed_and_scale(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import make_rejecter

    monkeypatch.setitem(make_rejecter.KINDS, "blots", (6, lambda n, rng: rng.random((n, 28, 28))))
    first = make_rejecter.images_of("blots", 0, tmp_path)
    assert len(first) == 6 and np.array_equal(make_rejecter.images_of("blots", 0, tmp_path), first)
    assert len(make_rejecter.images_of("blots", 0, tmp_path, 0.5)) == 3
    assert not np.array_equal(make_rejecter.images_of("blots", 1, tmp_path), first)


def test_an_empty_image_and_none_at_all():
    assert digit_likelihood(np.zeros((2, 28, 28))).tolist() == [0, 0]
    assert looks_like_digit(np.zeros((2, 28, 28), np.uint8)).tolist() == [False, False]
    assert looks_like_digit(np.zeros((0, 28, 28))).shape == (0,)


def test_bytes_and_fractions_are_the_same():
    images = cnnlib.load_digits().test_images[:20]
    assert np.array_equal(digit_likelihood(images), digit_likelihood(images / np.float32(255)))


@pytest.mark.parametrize("function", [looks_like_digit, digit_likelihood])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((28, 28)), ValueError, r"shape \(N, 28, 28\), got shape \(28, 28\)"),
        (np.zeros((1, 27, 28)), ValueError, r"shape \(N, 28, 28\), got shape \(1, 27, 28\)"),
        (np.full((1, 28, 28), 7.0), ValueError, "from 0 to 1"),
        (np.full((1, 28, 28), np.nan), ValueError, "from 0 to 1"),
        (np.ones((1, 28, 28), np.uint8), ValueError, "nothing above 1"),
        (np.ones((1, 28, 28), int), TypeError, "got int64"),
        (None, TypeError, "got object"),
        ("abc", TypeError, "got <U3"),
        ([[1], [1, 2]], ValueError, "expected images"),
    ],
)
def test_wrong_images(function, images, error, message):
    with pytest.raises(error, match=message):
        function(images)


def test_calibrated_probabilities_are_those_of_a_higher_temperature():
    network, temperature = cnnlib.load_pretrained(), load_rejecter().notes["temperature"]
    assert 1 < temperature < 2
    images = cnnlib.load_digits().test_images[:50]
    z = network[:-1].predict(images) / temperature
    expected = np.exp(z - z.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    p = calibrate(network.predict(images))
    np.testing.assert_allclose(p, expected, atol=1e-5)
    assert np.array_equal(p.argmax(axis=1), network.predict(images).argmax(axis=1))
    assert calibrate(np.eye(10)).tolist() == np.eye(10).tolist()
    assert calibrate(np.zeros((0, 10))).shape == (0, 10)


@pytest.mark.parametrize(
    "p",
    [
        None,
        "x",
        np.ones(10),
        np.ones((2, 9)),
        np.zeros((1, 10)),
        -np.ones((1, 10)),
        np.full((1, 10), np.nan),
        [[1j] * 10],
    ],
)
def test_what_cannot_be_calibrated(p):
    with pytest.raises((TypeError, ValueError), match=r"\bp\b"):
        calibrate(p)


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (np.ones((2, 9)), "p must be of shape (N, 10), got (2, 9)"),
        (np.ones(10), "p must be of shape (N, 10), got (10,)"),
        (np.zeros((1, 10)), "p must hold probabilities, which are not below 0 and not all 0, got 0.0"),
        (np.eye(10) - 0.25, "p must hold probabilities, which are not below 0 and not all 0, got -0.25"),
    ],
)
def test_what_is_said_of_it(p, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        calibrate(p)


def test_a_picture_of_something_else_is_refused(tmp_path):
    path = picture(tmp_path, X)
    message = f"{path} shows nothing that looks like a digit; to read it nevertheless, pass reject=False"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cnnlib.read_digit(path)
    assert cnnlib.read_digit(path, reject=False).max() > 0.9
    assert len(cnnlib.read_digits(path).digits) == 0
    assert len(cnnlib.read_digits(path, reject=False).digits) == 1


def test_the_digit_beside_something_else_is_read(tmp_path):
    path = picture(tmp_path, X, SEVEN)
    assert cnnlib.load_pretrained().predict(cnnlib.read_digit(path)[np.newaxis]).argmax() == 7
    reading = cnnlib.read_digits(path)
    assert reading.digits.tolist() == [7] and reading.boxes[0, 1] > 130 and reading.lines.tolist() == [0]


def test_a_number_is_not_torn_apart():
    accepted = np.array([True, False, True, True, False, False, False, True])
    lines = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    assert kept_in_lines(accepted, lines).tolist() == [True] * 4 + [False] * 3 + [True]
    assert kept_in_lines(accepted[:0], lines[:0]).tolist() == []


@pytest.mark.parametrize("reject", [None, 1, "yes", np.zeros(2)])
def test_whether_to_reject_is_a_truth_value(tmp_path, reject):
    for function in (cnnlib.read_digit, cnnlib.read_digits):
        with pytest.raises(TypeError, match="reject must be True or False"):
            function(picture(tmp_path, X), reject=reject)
