"""The command line, on the small digits that come with the package."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

import cnnlib
from cnnlib.__main__ import main, percent, printable, share_of, this_program
from cnnlib.files import exclusive

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
    assert output.endswith("add --data digits\n")


def test_train_info_predict(folder):
    output = run(*TRAIN, "--augment")
    assert re.search(r"Validation accuracy \d+\.\d\d%\. The model is in models/dense\.npz\.", output)
    assert not list((folder / "checkpoints").iterdir())
    described = run("info", "models/dense.npz")
    assert "61,671" in described and "epochs: 2" in described and "Distortion(" in described
    read = run("predict", "--data", "digits", "--model", "models/dense.npz", "--figure", "Bild ü/b.png")
    assert "of 300 test images are classified correctly" in read
    with Image.open(folder / "Bild ü" / "b.png") as figure:
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
    assert f"Stopped. To go on: {this_program()} " in output and "--resume" in output
    assert "go on with it by --resume" in run(*TRAIN, code=1)
    assert "begins anew" not in run(*TRAIN, "--resume", "--output", "resumed.npz")
    assert (folder / "resumed.npz").read_bytes() == (folder / "whole.npz").read_bytes()
    output = run(*TRAIN, "--resume")
    assert "There is no run to go on with in " in output and "-digits-0.npz: this one begins anew." in output


def test_two_runs_with_one_checkpoint_are_explained():
    """A cluster that starts several processes, and not as one world, brings this about."""
    with exclusive("checkpoints/dense-digits-0.npz"):
        output = run(*TRAIN, code=1)
    assert "Error: another run is writing to checkpoints" in output and "should not happen" not in output
    run(*TRAIN)


@pytest.mark.parametrize(
    "options",
    [["--rate", "1e30"], ["--rate", "1e40", "--batch-size", "100000", "--epochs", "1"], ["--weight-decay", "1e30"]],
)
def test_the_advice_works_to_the_letter(options, monkeypatch):
    """A tenth of a learning rate of 1e40 would be no better, and be followed by forty more."""
    monkeypatch.setattr(sys, "argv", ["cnnlib", *TRAIN, *options])
    output = run(*sys.argv[1:], code=1)
    assert "the learning rate is too high" in output.lower()
    run("train", *shlex.split(output.split("For example: ")[1].split(" train ")[1]))


def test_a_model_of_other_classes_is_refused(folder):
    """As many of them are not the same ones: the share of right answers would be one of chance."""
    for name in "abcdefghij":
        (folder / "letters" / name).mkdir(parents=True)
        for number in range(3):
            draw_seven(folder / "letters" / name / f"{number}.png", size=28, pen=2)
    output = run("predict", "--data", "letters", code=1)
    assert "trained on the classes 0, 1, 2" in output and "those of letters are a, b, c" in output and "%" not in output
    shutil.rmtree(folder / "letters" / "j")
    output = run("predict", "--data", "letters", code=1)
    assert output.startswith("Error: the model that comes with the package is a network from")


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
    assert re.fullmatch(rf"{name}: 7 \((> 99\.9|\d+\.\d)%\)\n", run("predict", name))


def test_image_files_that_cannot_be_read(folder):
    draw_seven(folder / "seven.png")
    (folder / "text.png").write_text("no image")
    Image.new("L", (50, 50), 200).save(folder / "empty.png")
    output = run("predict", "text.png", "empty.png", "seven.png", code=1)
    assert "text.png is not an image" in output and "empty.png: no digit" in output and "seven.png: 7" in output
    assert "does not exist" in run("predict", "none.png", code=2)


def test_a_shadow_on_the_paper_is_not_ink(folder):
    draw_seven(folder / "seven.png")
    clean = cnnlib.read_digit(folder / "seven.png")
    with Image.open(folder / "seven.png") as image:
        grey = np.asarray(image, float)
    shadow = np.linspace(0.5, 1, 300)[:, np.newaxis] * (40 + 0.84 * grey)
    Image.fromarray(shadow.astype(np.uint8)).save(folder / "shadow.png")
    assert np.abs(cnnlib.read_digit(folder / "shadow.png") - clean).mean() < 0.06


@pytest.mark.parametrize("content", [b"", b"nothing"])
def test_a_file_that_is_no_model_is_explained(folder, content):
    (folder / "model.npz").write_bytes(content)
    assert "model.npz is not a readable cnnlib file" in run("info", "model.npz", code=1)


# --- Models that do not fit, and files that lie


def network(*layers, shape=(1, 28, 28), fill=None):
    made = cnnlib.Network(list(layers), shape)
    for array in made.parameters().values():
        array[...] = array if fill is None else fill
    return made


Dense, Flatten, Softmax = cnnlib.Dense, cnnlib.Flatten, cnnlib.Softmax
UNSUITABLE = {
    "200 classes": (network(Flatten(), Dense(784, 200), Softmax()), r"to \(200,\), expected .* to \(10,\)"),
    "maps": (network(cnnlib.Convolutional(1, 10, 28)), r"to \(10, 1, 1\), expected"),
    "other input": (network(Dense(2, 10), Softmax(), shape=(2,)), r"from \(2,\) to"),
    "scores": (network(Flatten(), Dense(784, 10)), "are not probabilities.* is Dense.*, expected Softmax"),
    "sigmoids": (network(Flatten(), Dense(784, 10), cnnlib.Sigmoid()), "are not probabilities.* is Sigmoid"),
    "large weights": (network(Flatten(), Dense(784, 10), Softmax(), fill=3e38), "not finite"),
}


@pytest.mark.parametrize("name", UNSUITABLE)
@pytest.mark.parametrize("arguments", [["seven.png"], ["--data", "digits"]])
def test_unsuitable_models_are_refused(name, arguments, folder):
    model, message = UNSUITABLE[name]
    model.save("model.npz")
    draw_seven(folder / "seven.png")
    output = run("predict", "--model", "model.npz", *arguments, code=1)
    assert output.startswith("Error: ") and re.search(message, output) and "%" not in output


def test_no_network_is_quite_sure():
    assert [percent(p) for p in (0.1, 0.99949, 0.9995, 1.0)] == ["10.0%", "99.9%", "> 99.9%", "> 99.9%"]


def save_with_notes(notes):
    """Write a model whose file holds any notes, also those that `save` would not write."""
    network(Flatten(), Dense(784, 10), Softmax()).save("model.npz")
    with np.load("model.npz") as stored:
        arrays = dict(stored)
    description = json.loads(arrays["description"].tobytes())
    description["notes"] = notes
    arrays["description"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    np.savez("model.npz", **arrays)


def test_notes_cannot_write_to_the_terminal():
    save_with_notes(
        {"a\x1b[31m": "\x1b]0;title\x07", "b": "\u202eright to left", "c": "1\nTotal 5", "d": ["\x1b", "\ud800"]}
    )
    lines = run("info", "model.npz").splitlines()[-4:]
    assert lines == [
        r"a\x1b[31m: \x1b]0;title\x07",
        r"b: \u202eright to left",
        r"c: 1\nTotal 5",
        r"d: ['\x1b', '\ud800']",
    ]


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({"validation_accuracy": "high"}, "validation accuracy: high"),
        ({"validation_accuracy": None}, "validation accuracy: None"),
        ({"validation_accuracy": [1]}, "validation accuracy: [1]"),
        ({"validation_accuracy": float("nan")}, "validation accuracy: nan"),
        ({"validation_accuracy": 0.5}, "validation accuracy: 50.00%"),
        ({"long": "x" * 100_000}, "long: " + "x" * 994 + "..."),
        ({}, "7,850"),
    ],
)
def test_notes_of_every_kind(notes, expected):
    save_with_notes(notes)
    assert run("info", "model.npz").splitlines()[-1].endswith(expected)


@pytest.mark.parametrize("notes", ["abc", None, 5, [1], [[1, 2]], True])
def test_notes_that_are_no_table(notes):
    save_with_notes(notes)
    result = CliRunner().invoke(main, ["info", "model.npz"])
    assert result.exit_code in (0, 1) and (result.exit_code == 0 or result.output.startswith("Error: model.npz"))


def test_names_cannot_write_to_the_terminal(folder):
    if os.name != "posix":
        pytest.skip("this system allows no such names")
    draw_seven(folder / "\x1b[31m.png")
    (folder / "\x1b[31m.npz").write_text("no model")
    outputs = (
        run("predict", "\x1b[31m.png"),
        run("info", "\x1b[31m.npz", code=1),
        run("predict", "\x1b[31mnone", code=2),
        run("\x1b[31m", code=2),
    )
    for output in outputs:
        assert r"\x1b[31m" in output and "\x1b" not in output


def test_what_is_printable():
    assert printable("Zürich 数字\u202f7\u00a0€\n\t\r\x9b\u200b") == "Zürich 数字\u202f7\u00a0€\n" + r"\t\r\x9b\u200b"


# --- Found early


@pytest.fixture
def nothing_is_trained(monkeypatch):
    monkeypatch.setattr(cnnlib.Network, "train", lambda *arguments, **options: pytest.fail("it was trained"))
    monkeypatch.setattr(cnnlib.Network, "predict", lambda *arguments: pytest.fail("it was used"))


@pytest.fixture
def places(folder):
    """Fill the folder with things to which nothing can be written."""
    (folder / "file").write_text("")
    (folder / "directory").mkdir()
    if os.name == "posix":
        os.mkfifo(folder / "pipe")
        (folder / "device").symlink_to(os.devnull)
    return folder


@pytest.mark.usefixtures("nothing_is_trained", "places")
@pytest.mark.parametrize("path", ["file/model.npz", "directory", "pipe", "device", "", "x" * 300, "file/a/b.npz"])
@pytest.mark.parametrize("command", [[*TRAIN, "--output"], ["predict", "--data", "digits", "--figure"]])
def test_outputs_are_tried_first(command, path, folder):
    if os.name != "posix" and path in ("pipe", "device"):
        pytest.skip("this system has no such files")
    result = CliRunner().invoke(main, [*command, path])
    assert result.exit_code in (1, 2) and "Error: " in result.output and command[-1] in result.output
    assert (folder / "device").is_char_device() or os.name != "posix"


@pytest.mark.usefixtures("nothing_is_trained", "places")
@pytest.mark.parametrize("path", ["file", "file/x", "pipe", "device", "device/x"])
def test_checkpoints_are_tried_first(path):
    result = CliRunner().invoke(main, [*TRAIN, "--checkpoints", path])
    assert result.exit_code in (1, 2) and "--checkpoints" in result.output


@pytest.mark.usefixtures("nothing_is_trained")
def test_no_file_that_is_needed_is_overwritten(folder):
    output = run(*TRAIN, "--output", folder / "checkpoints" / "dense-digits-0.npz", code=2)
    assert "--output" in output and "choose another" in output
    network(Flatten(), Dense(784, 10), Softmax()).save("model.npz")
    before = (folder / "model.npz").read_bytes()
    assert "choose another" in run(
        "predict", "--data", "digits", "--model", "model.npz", "--figure", "./model.npz", code=2
    )
    assert (folder / "model.npz").read_bytes() == before


@pytest.mark.usefixtures("nothing_is_trained")
@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--seed", [-1, 2**63, "9" * 300, "1e5", "nan", ""]),
        ("--epochs", [0, -1, 10**30, "1.5", "nan"]),
        ("--batch-size", [0, -1, 10**30, "x"]),
        ("--learning-rate", [0, -1, "nan", "inf", "-inf", "1e999", "x"]),
        ("--rate", ["nan"]),
        ("--weight-decay", [-1, "nan", "inf", "-inf"]),
        ("--architecture", ["", "vgg"]),
        ("--schedule", ["none"]),
        ("--data", ["cifar", ""]),
    ],
)
def test_settings_out_of_range(option, values):
    for value in values:
        output = run("train", "--data", "digits", f"{option}={value}", code=2)
        assert f"Error: Invalid value for '{option}'" in output.replace("'--learning-rate' / ", "") or option in output


@pytest.mark.parametrize("variable", ["CNNLIB_CACHE", "CNNLIB_DATA"])
@pytest.mark.parametrize("value", ["~there-is-no-such-user/x", "/dev/null/x", "file/x", "relative"])
@pytest.mark.usefixtures("places")
def test_folders_that_are_none(variable, value, monkeypatch):
    monkeypatch.setenv(variable, value)
    output = run("data", code=1)
    assert output.startswith("Error: ") and (
        variable in output or (value != "~there-is-no-such-user/x" and value in output)
    )


def test_what_should_not_happen_is_told_without_a_traceback(monkeypatch):
    monkeypatch.setattr(cnnlib.Network, "summary", lambda self: 1 / 0)
    assert (
        run("info", code=1) == "Error: this should not happen, please report it: ZeroDivisionError: division by zero\n"
    )


def test_the_advice_can_be_pasted(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cnnlib", *TRAIN, "--rate", "1e30", "--output", "my models/a b.npz"])
    output = run(*sys.argv[1:], code=1)
    assert "--output 'my models/a b.npz'" in output and "--learning-rate 0.05 --restart" in output
    monkeypatch.setattr(sys, "argv", ["cnnlib", *TRAIN, "--weight-decay", "1e6", "--checkpoints", "others"])
    output = run(*sys.argv[1:], code=1)
    assert "Or the weight decay is" in output and "--weight-decay 0.0005 --restart" in output


# --- Processes of their own: what only shows there

ROOT = Path(cnnlib.__file__).resolve().parents[1]


def process(*arguments, cwd, redirect="", **environment):
    """Run the command line in a new process; return its exit status and what it wrote to stdout and stderr."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "cnnlib", *map(str, arguments)]
    if redirect:
        command = ["sh", "-c", f'"$0" "$@" {redirect}', *command]
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, check=False, timeout=120)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["info"], ["--help"], ["info", "--help"], ["data", "--data", "digits"]])
def test_a_full_disk_is_told_in_one_line(arguments, folder):
    status, _, errors = process(*arguments, cwd=folder, redirect="> /dev/full")
    assert status == 1 and errors == "Error: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="this system has another shell")
@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", "| head -n 0", "2> /dev/full"])
@pytest.mark.parametrize("arguments", [["info"], ["info", "none.npz"]])
def test_closed_streams_are_no_error(redirect, arguments, folder):
    _, _, errors = process(*arguments, cwd=folder, redirect=redirect)
    assert "Traceback" not in errors and "Exception ignored" not in errors


@pytest.mark.parametrize("locale", ["no locale", "ASCII"])
def test_odd_folders_and_no_home(locale, folder):
    """The package, the data, the models and the images lie in folders with spaces and non-ASCII letters."""
    place = folder / "Übung 1 – 数字"
    shutil.copytree(ROOT / "cnnlib", place / "code" / "cnnlib", ignore=shutil.ignore_patterns("__pycache__"))
    draw_seven(place / "Sieben ß.png")
    environment = {
        "PYTHONPATH": str(place / "code"),
        "HOME": os.path.join(os.devnull, "home"),  # cannot be written to, even by an administrator
        "CNNLIB_CACHE": "",
        "XDG_CACHE_HOME": "",
        "TMPDIR": str(place),
        **{
            "no locale": {"LC_ALL": "C", "LANG": "", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            "ASCII": {"PYTHONIOENCODING": "ascii"},
        }[locale],
    }
    train = [*TRAIN[:-1], "1", "--output", "Mein Modell/é.npz", "--checkpoints", "Zwischen stände"]
    for arguments, expected in (
        (train, "Validation accuracy"),
        (["info", "Mein Modell/é.npz"], "61,671"),
        (["predict", "--model", "Mein Modell/é.npz", "Sieben ß.png"], "%)"),
    ):
        status, output, errors = process(*arguments, cwd=place, **environment)
        assert status == 0 and expected in output, output + errors
    status, _, errors = process("data", cwd=place, CNNLIB_OFFLINE="1", **environment)
    assert status == 1 and "Error: MNIST is not on this computer" in errors
    assert (place / "Mein Modell" / "é.npz").exists() and not (place / "models").exists()
    assert not (place / "~").exists()


def test_a_run_leaves_its_history_and_a_picture(folder):
    output = run(*TRAIN, "--epochs", "3", "--output", "mine.npz", "--plot", "plots/history.png")
    lines = (folder / "mine.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,loss,accuracy,validation_loss") and len(lines) == 4
    with Image.open(folder / "plots" / "history.png") as picture:
        assert min(picture.size) > 100
    assert "\nThe history is in mine.csv, and drawn in plots/history.png.\n" in output
    assert output.endswith(f"Read a digit with it: {this_program()} predict my-digit.png --model mine.npz\n")


def test_early_stopping_keeps_the_best_weights(folder):
    arguments = ["--schedule", "constant", "--learning-rate", "0.5", "--early-stopping", "1", "--epochs", "30"]
    output = run(*TRAIN, *arguments, "--output", "mine.npz")
    rows = [line.split(",") for line in (folder / "mine.csv").read_text().splitlines()]
    losses = [float(row[rows[0].index("validation_loss")]) for row in rows[1:]]
    assert len(losses) < 30 and np.argmin(losses) == len(losses) - 2
    best = float(rows[1 + np.argmin(losses)][rows[0].index("validation_accuracy")])
    assert f"Validation accuracy {best:.2%}." in output and "The history is in mine.csv.\n" in output
    assert "Stopped early: for an epoch, the validation loss had not improved.\n" in output
    assert f"The weights are those of epoch {np.argmin(losses) + 1}, " in output
    assert cnnlib.Network.load("mine.npz").notes["epochs"] == len(losses)


def test_confusion_adds_up_to_all_test_images(folder):
    output = run("predict", "--data", "digits", "--confusion")
    rows = re.findall(r"^ +(\d)((?: +\d+){10})$", output, flags=re.M)
    assert [int(row[0]) for row in rows] == list(range(10))
    counts = np.array([[int(count) for count in row[1].split()] for row in rows])
    assert counts.sum() == 300
    assert f"{np.trace(counts) / 300:.2%} of 300 test images" in output


def test_version_is_that_of_the_package():
    from importlib.metadata import version

    assert run("--version") == f"cnnlib, version {cnnlib.__version__}\n"
    assert version("cnnlib") == cnnlib.__version__
    citation = Path(__file__).parents[2] / "CITATION.cff"
    assert f"version: {cnnlib.__version__}\n" in citation.read_text()


def test_the_command_is_installed():
    command = Path(sys.executable).parent / "cnnlib"
    result = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("Usage: cnnlib ")


def picture_of(digits: str, folder, lines: int = 1):
    """Write a picture of digits that are drawn as the package's sample drawings are."""
    canvas = Image.new("L", (130 * len(digits), 150 * lines), 245)
    draw = ImageDraw.Draw(canvas)
    shapes = {
        "1": [(60, 20, 60, 110)],
        "7": [(30, 20, 90, 20), (90, 20, 55, 110)],
        "4": [(60, 20, 25, 80), (25, 80, 95, 80), (75, 45, 75, 115)],
    }
    for line in range(lines):
        for at, digit in enumerate(digits):
            for x0, y0, x1, y1 in shapes[digit]:
                draw.line([x0 + 130 * at, y0 + 150 * line, x1 + 130 * at, y1 + 150 * line], fill=30, width=12)
    canvas.save(folder / "number.png")
    return "number.png"


def test_numbers_are_read_from_left_to_right_and_line_by_line(folder):
    output = run("predict", picture_of("7147", folder, lines=2), "--figure", "boxes/number.png").splitlines()
    assert [re.match(r"number\.png: (\d+) \(", line)[1] for line in output[:2]] == ["7147", "7147"]
    assert output[2] == "The boxes are in boxes/number.png."
    with Image.open(folder / "boxes" / "number.png") as picture:
        assert min(picture.size) > 100
    reading = cnnlib.read_digits("number.png")
    assert reading.lines.tolist() == [0] * 4 + [1] * 4
    tops, lefts = reading.boxes[:, 0], reading.boxes[:, 1]
    assert (np.diff(lefts[:4]) > 80).all() and (tops[:4] < 40).all() and (tops[4:] > 140).all()


def test_an_empty_picture_holds_no_digit(folder):
    Image.new("L", (60, 60), 255).save(folder / "empty.png")
    assert run("predict", "empty.png").splitlines()[0] == "empty.png: no digit"
    reading = cnnlib.read_digits("empty.png")
    assert reading.boxes.shape == (0, 4) and not len(reading.digits) and not len(reading.probabilities)


def test_what_looks_like_no_digit_is_none(folder):
    canvas = Image.new("L", (140, 140), 245)
    draw = ImageDraw.Draw(canvas)
    draw.line([30, 30, 100, 110], fill=30, width=12)
    draw.line([100, 30, 30, 110], fill=30, width=12)
    canvas.save("x.png")
    first, second = run("predict", "x.png").splitlines()
    assert first == "x.png: no digit"
    assert second == (
        f"To see what was looked at: {this_program()} predict x.png --show steps.png. "
        "With --no-reject, what does not look like a digit is read, too."
    )
    assert run("predict", "x.png", "--show", "x-steps.png") == "x.png: no digit\nThe steps are in x-steps.png.\n"
    assert re.fullmatch(r"x\.png: \d \(\d+\.\d%\)\n", run("predict", "x.png", "--no-reject"))


def pictures_by_class(folder, classes):
    digits = cnnlib.load_digits()
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(digits.train_images[digits.train_labels == label][:40]):
            Image.fromarray(image).save(folder / name / f"{number}.png")


@pytest.mark.parametrize("architecture", ["dense", "lenet5"])
def test_data_of_one_s_own(folder, architecture):
    """Three classes, named as their folders: the model knows the names."""
    pictures_by_class(folder / "mine", ("ring", "stick", "swan"))
    output = run("data", "--data", "mine")
    assert output.startswith("mine: 100 training images and 20 test images\n  training: ring 3")
    output = run("train", "--data", "mine", "--architecture", architecture, "--epochs", 8, "--output", "model.npz")
    assert output.endswith(f"Read a picture with it: {this_program()} predict my-picture.png --model model.npz\n")
    network = cnnlib.Network.load("model.npz")
    assert network.shapes[-1] == (3,) and network.notes["classes"] == ["ring", "stick", "swan"]
    digits = cnnlib.load_digits()
    image = digits.test_images[digits.test_labels == 0][0]
    Image.fromarray(255 - np.kron(image, np.ones((6, 6), np.uint8))).save("zero.png")
    assert re.fullmatch(r"zero\.png: ring \((> 99\.9|\d+\.\d)%\)\n", run("predict", "--model", "model.npz", "zero.png"))
    output = run("predict", "--model", "model.npz", "--data", "mine", "--figure", "p.png", "--confusion")
    assert re.match(r"mine: \d+\.\d\d% of 20 test images", output) and "\n  swan: " in output
    assert re.search(r"\n {9}ring stick  swan\n   ring +\d+ +\d+ +\d+\n  stick", output)
    assert output.endswith(f"To read a picture of yours: {this_program()} predict my-digit.png --model model.npz\n")
    assert "to (3,), expected one from (1, 28, 28) to (10,)" in run(
        "predict", "--model", "model.npz", "--data", "digits", code=1
    )


def test_long_names_of_classes_are_numbered_in_the_confusion_matrix(folder):
    pictures_by_class(folder / "mine", ("a ring of ink", "a stick"))
    run("train", "--data", "mine", "--epochs", 1, "--output", "model.npz")
    output = run("predict", "--model", "model.npz", "--data", "mine", "--confusion")
    assert re.search(r"\n {22}0   1\n  a ring of ink \(0\) +\d+ +\d+\n +a stick \(1\) +\d+ +\d+\n", output)


def test_emnist_s_images_are_turned_back_and_it_says_so(folder):
    digits = cnnlib.load_digits()
    for name, array in (("images-idx3", digits.test_images.transpose(0, 2, 1)), ("labels-idx1", digits.test_labels)):
        header = b"\0\0\x08" + bytes([array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        (folder / f"emnist-train-{name}").write_bytes(header + array.astype(np.uint8).tobytes())
    output = run("data", "--data", "emnist-train-images-idx3")
    assert "They were turned back.\n" in output and "250 training images and 50 test images" in output


def test_data_that_is_not_there():
    assert "is not one of mnist, fashion-mnist, digits, and no folder or file" in run("data", "--data", "no", code=2)


def test_a_figure_is_of_one_image(folder):
    path = picture_of("7", folder)
    assert "--figure draws one image, but there are 2" in run("predict", path, path, "--figure", "x.png", code=2)
    assert "would overwrite" in run("predict", path, "--figure", path, code=2)


def test_the_steps_are_drawn(folder):
    path = picture_of("7", folder)
    assert "The steps are in steps.png." in run("predict", path, "--show", "steps.png")
    with Image.open(folder / "steps.png") as picture:
        assert picture.width > 3 * picture.height  # the picture, three steps, and what the network got
    assert "--show draws one image, but there are 2" in run("predict", path, path, "--show", "x.png", code=2)


def test_a_pipe_gets_whole_lines_and_no_progress_bar(folder):
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    command = [sys.executable, "-m", "cnnlib", *TRAIN]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stderr == "" and "\r" not in result.stdout
    lines = result.stdout.splitlines()
    assert [
        line for line in lines if re.fullmatch(r"Epoch \d of 2: loss \d\.\d{4}, .*accuracy \d+\.\d\d%", line)
    ] == lines[1:3]


def test_a_share_is_not_rounded_up_to_all():
    right = np.ones(3000, bool)
    assert share_of(right) == "all 3000"
    right[0] = False
    assert share_of(right) == "99.9%"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell):
    """By click itself, as the README says."""
    environment = {**os.environ, "_CNNLIB_COMPLETE": f"{shell}_source"}
    command = Path(sys.executable).parent / "cnnlib"
    script = subprocess.run([command], env=environment, capture_output=True, text=True, check=False).stdout
    assert "cnnlib" in script and "COMP_WORDS" in script
    asked = {
        "_CNNLIB_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "cnnlib tr",
        "COMP_CWORD": "tr" if shell == "fish" else "1",
    }
    found = subprocess.run([command], env={**os.environ, **asked}, capture_output=True, text=True, check=False).stdout
    assert "train" in found


@pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="there is no bash")
def test_the_line_of_the_readme_makes_bash_complete(folder):
    """As it stands there: nothing is activated, and the program is called by its path."""
    (line,) = re.findall(r'`(eval "[^`]+")`', (Path(__file__).parents[2] / "README.md").read_text("utf-8"))
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    pressed = "COMP_WORDS=(.venv/bin/cnnlib predict --sh); COMP_CWORD=2; _cnnlib_completion .venv/bin/cnnlib"
    script = f'{line}; complete -p cnnlib; {pressed}; echo "${{COMPREPLY[@]}}"'
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert "-F _cnnlib_completion cnnlib" in result.stdout and result.stdout.splitlines()[-1] == "--show"


def test_commands_say_what_to_do_next(folder):
    assert run("data", "--data", "digits").splitlines()[-1].endswith(f"{this_program()} train --data digits")
    assert f"{this_program()} predict my-digit.png" in run("predict", "--data", "digits")


@pytest.mark.parametrize(
    ("called", "answer"),
    [
        ("{bin}/cnnlib", "cnnlib"),
        ("{here}/.venv/bin/cnnlib", os.path.join(".venv", "bin", "cnnlib")),
        (".venv/bin/cnnlib", os.path.join(".venv", "bin", "cnnlib")),
        ("{else}/bin/cnnlib", "'{else}/bin/cnnlib'"),
        ("{else}/cnnlib/__main__.py", "python -m cnnlib"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="the paths of these examples are not those of Windows")
def test_what_to_type_next_is_how_it_was_called(called, answer, folder, monkeypatch):
    """On the PATH by its name alone, within this folder from here, else by its whole path."""
    places = {"bin": folder / "bin", "here": folder, "else": folder.parent / "some where"}
    for program in ("cnnlib", "python"):
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "bin" / program).write_text("#!/bin/sh\n")
        (folder / "bin" / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"))
    monkeypatch.setattr(sys, "argv", [called.format(**places)])
    monkeypatch.setattr(sys, "executable", str(folder / "bin" / "python"))
    assert this_program() == answer.format(**places)


def test_its_own_name_is_found_where_it_is_installed(folder):
    """Nothing activated, as after `make install`: what the program says to type runs."""
    command = Path(sys.executable).parent / "cnnlib"
    result = subprocess.run([command, "data", "--data", "digits"], capture_output=True, text=True, check=True)
    line = result.stdout.splitlines()[-1].removeprefix("Train a network with them: ")
    subprocess.run(f"{line} --epochs 1 --architecture dense", shell=True, capture_output=True, check=True)
    assert (folder / "models" / "dense.npz").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--show", "x.png"], "--show is for images, but none is given"),
        (["--reject"], "--reject or --no-reject is for images, but none is given"),
        (["--no-reject"], "--reject or --no-reject is for images, but none is given"),
        (["--confusion", __file__], "--confusion is for a data set, but images are given"),
        (["--data", "mnist", __file__], "--data is for a data set, but images are given"),
    ],
)
def test_an_option_of_predict_is_not_ignored(options, message):
    assert message in run("predict", *options, code=2)
