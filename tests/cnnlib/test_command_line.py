"""The command line, on the small digits that come with the package."""

import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

import cnnlib
from cnnlib.__main__ import main

TRAIN = ["train", "--data", "digits", "--architecture", "dense", "--epochs", "2"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CNNLIB_OFFLINE", "1")
    monkeypatch.delenv("CNNLIB_DATA", raising=False)
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


@pytest.mark.parametrize("command", [[], ["data"], ["train"], ["predict"], ["info"]])
def test_help(command):
    output = run(*command, "--help")
    assert "Usage:" in output and "--help" in output


def test_data():
    output = run("data", "--data", "digits")
    assert "1,497 training images and 300 test images" in output and "9 " in output
    assert run("data", "--data", "digits") == output


def test_data_that_cannot_be_had_is_explained():
    output = run("data", code=1)
    assert "Error: MNIST is not on this computer" in output and "CNNLIB_DATA" in output


def test_train_info_predict(folder):
    output = run(*TRAIN, "--augment")
    assert re.search(r"Validation accuracy \d+\.\d\d%\. The model is in models/dense\.npz\.", output)
    assert not list((folder / "checkpoints").iterdir())
    described = run("info", "models/dense.npz")
    assert "61,671" in described and "epochs: 2" in described and "Distortion(" in described
    read = run("predict", "--data", "digits", "--model", "models/dense.npz")
    assert "of 300 test images are classified correctly" in read
    with Image.open(folder / "models" / "predictions.png") as figure:
        assert figure.width > 500


def test_same_seed_same_model(folder):
    run(*TRAIN, "--output", "a.npz")
    run(*TRAIN, "--output", "b.npz")
    run(*TRAIN, "--output", "c.npz", "--seed", 1)
    a, b, c = ((folder / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b != c


def test_stopped_and_resumed(folder, monkeypatch):
    run(*TRAIN, "--output", "whole.npz")
    plain, calls = cnnlib.SGD.step, []

    def stop_in_the_second_epoch(self, pairs, factor):
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        plain(self, pairs, factor)

    with monkeypatch.context() as patch:
        patch.setattr(cnnlib.SGD, "step", stop_in_the_second_epoch)
        output = run(*TRAIN, code=130)
    assert "Stopped. To go on: python -m cnnlib" in output and "--resume" in output
    assert "go on with it by --resume" in run(*TRAIN, code=1)
    run(*TRAIN, "--resume", "--output", "resumed.npz")
    assert (folder / "resumed.npz").read_bytes() == (folder / "whole.npz").read_bytes()


def test_a_rate_that_is_too_high_is_explained():
    output = run(*TRAIN, "--rate", 1e30, code=1)
    assert "the learning rate is too high" in output.lower() and "--learning-rate 1e+29 --restart" in output
    run(*TRAIN, "--learning-rate", 0.05, "--restart")  # the advice can be followed


def draw_seven(path, dark_on_light=True, size=300, pen=24):
    image = Image.new("L", (size, size), 255 if dark_on_light else 0)
    points = [(size * x, size * y) for x, y in ((0.25, 0.2), (0.75, 0.2), (0.45, 0.85))]
    ImageDraw.Draw(image).line(points, fill=0 if dark_on_light else 255, width=pen, joint="curve")
    image.save(path)


@pytest.mark.parametrize("name", ["seven.png", "seven.jpg"])
@pytest.mark.parametrize("dark_on_light", [True, False])
@pytest.mark.parametrize("pen", [3, 24])
def test_reads_image_files(folder, name, dark_on_light, pen):
    draw_seven(folder / name, dark_on_light, pen=pen)
    assert re.fullmatch(rf"{name}: 7 \(\d+\.\d%\)\n", run("predict", name))


def test_image_files_that_cannot_be_read(folder):
    draw_seven(folder / "seven.png")
    (folder / "text.png").write_text("no image")
    Image.new("L", (50, 50), 200).save(folder / "empty.png")
    output = run("predict", "text.png", "empty.png", "seven.png", code=1)
    assert "text.png is not an image" in output and "empty.png shows nothing" in output and "seven.png: 7" in output
    assert "does not exist" in run("predict", "none.png", code=2)


def test_a_shadow_on_the_paper_is_not_ink(folder):
    draw_seven(folder / "seven.png")
    clean = cnnlib.read_digit(folder / "seven.png")
    with Image.open(folder / "seven.png") as image:
        grey = np.asarray(image, float)
    shadow = np.linspace(0.5, 1, 300)[:, np.newaxis] * (40 + 0.84 * grey)
    Image.fromarray(shadow.astype(np.uint8)).save(folder / "shadow.png")
    assert np.abs(cnnlib.read_digit(folder / "shadow.png") - clean).mean() < 0.05


@pytest.mark.parametrize("content", [b"", b"nothing"])
def test_a_file_that_is_no_model_is_explained(folder, content):
    (folder / "model.npz").write_bytes(content)
    assert "model.npz is not a readable cnnlib file" in run("info", "model.npz", code=1)
