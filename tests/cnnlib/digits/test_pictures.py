"""Pictures as people have them: most digits are read in every state. `scripts/measure_pictures.py` says how many."""

import contextlib
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import cnnlib
from cnnlib.digits.pictures import find_digits
from cnnlib.digits.reading import lines_of

pictures = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "measure_pictures.py")))


@pytest.mark.parametrize("state", pictures.STATES)
def test_digits_are_read_in_every_state(state, monkeypatch):
    """On the drawings that come with the package, of which all forty are read as they are."""
    monkeypatch.delenv("CNNLIB_DATA", raising=False)
    right, sure = pictures.measure(20, [state])[state]
    assert right >= 0.85 and sure <= 0.05


def test_numbers_are_found_where_they_are():
    rng = np.random.default_rng(1)
    (strokes, label), *_ = pictures.drawings(1, rng)
    picture = np.tile(pictures.paper(pictures.ink(strokes, 2.2)), (2, 3, 1)) / 255
    found = find_digits(picture)
    assert len(found) == 6
    for digit in found:
        top, left, bottom, right = digit.box
        assert (top + bottom) / 2 % pictures.SIDE == pytest.approx(pictures.SIDE / 2, abs=8)
        assert (left + right) / 2 % pictures.SIDE == pytest.approx(pictures.SIDE / 2, abs=8)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 40), (40, 2), (3, 3), (200, 1)])
def test_pictures_a_few_pixels_wide(shape, tmp_path):
    """Whatever is found in them: they end in no other error than the one for what cannot be read."""
    rng, path = np.random.default_rng(0), tmp_path / "narrow.png"
    for image in (rng.random(shape), rng.random(shape) < 0.5, np.ones(shape), np.arange(shape[0] * shape[1]) % 3 == 0):
        Image.fromarray((255 * image).astype(np.uint8).reshape(shape)).save(path)
        assert len(cnnlib.read_digits(path).digits) <= max(shape)
        with contextlib.suppress(ValueError):
            assert cnnlib.read_digit(path, reject=False).shape == (28, 28)


def test_lines_of_writing():
    boxes = np.array([[50, 0, 80, 10], [0, 40, 30, 50], [4, 0, 33, 10], [55, 30, 78, 40]])
    assert lines_of(boxes).tolist() == [1, 0, 0, 1]
    assert lines_of(np.zeros((0, 4), int)).tolist() == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 3), (700, 2)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_pictures_of_nothing_hold_nothing(shape, value):
    assert find_digits(np.full((*shape, 3), value)) == []


def test_noise_costs_little(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    pictures.save(noise, tmp_path / "noise.png")
    reading = cnnlib.read_digits(tmp_path / "noise.png")
    assert len(reading.boxes) == len(reading.digits) == len(reading.probabilities) < 2_000


@pytest.mark.parametrize("colours", [None, "x", np.zeros((5, 5)), np.zeros((5, 5, 4)), np.full((5, 5, 3), np.nan)])
def test_what_is_no_picture(colours):
    with pytest.raises((TypeError, ValueError), match="colours"):
        find_digits(colours)


def test_numbers_need_a_network_that_reads_digits(tmp_path):
    pictures.save(np.full((9, 9, 3), 255), tmp_path / "empty.png")
    with pytest.raises(TypeError, match="network must be a Network"):
        cnnlib.read_digits(tmp_path / "empty.png", 5)
    with pytest.raises(ValueError, match=r"images of shape \(1, 28, 28\), got \(3,\)"):
        cnnlib.read_digits(tmp_path / "empty.png", cnnlib.Network([cnnlib.Dense(3, 2, rng=0)], (3,)))
