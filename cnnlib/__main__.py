"""The command line: get the data, train a network, read digits, look into a model file."""

import contextlib
import errno
import math
import os
import shlex
import shutil
import sys
import time
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource

import cnnlib
from cnnlib.data_parallel import Communicator, started_by_mpiexec
from cnnlib.digits.augmentation import Distortion, variants
from cnnlib.digits.datasets import DIGITS, DataNotFoundError, Dataset
from cnnlib.digits.models import ARCHITECTURES
from cnnlib.files import atomic_write, check_writable
from cnnlib.schedules import SCHEDULES

LOADERS = {"mnist": cnnlib.load_mnist, "fashion-mnist": cnnlib.load_fashion_mnist, "digits": cnnlib.load_digits}


class DataSet(click.ParamType):
    """The name of a data set, or a folder or file with one's own."""

    name = "data set"

    def get_metavar(self, *arguments, **options) -> str:
        return f"[{'|'.join(LOADERS)}|PATH]"

    def convert(self, value, parameter, context) -> str:
        if value not in LOADERS and not (value and Path(value).exists()):
            self.fail(f"{value!r} is not one of {', '.join(LOADERS)}, and no folder or file.", parameter, context)
        return value


data_option = click.option(
    "--data",
    "name",
    type=DataSet(),
    default="mnist",
    show_default=True,
    help="The data set; `digits` is the small one that comes with the package. Or your own: a folder with a sub-folder "
    "of pictures for each class, a CSV file, or an IDX file of images such as EMNIST's.",
)
LEARNING_RATE, WEIGHT_DECAY = 0.05, 5e-4
MAX_NOTE = 1_000  # characters that `info` prints of each note
new_file = click.Path(dir_okay=False, path_type=Path)
old_file = click.Path(exists=True, dir_okay=False, path_type=Path)


class FiniteRange(click.FloatRange):
    """A range of floating-point numbers without infinity and NaN."""

    def convert(self, value, parameter, context) -> float:
        number = super().convert(value, parameter, context)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", parameter, context)
        return number


class CommandLine(click.Group):
    """A group of commands that end in a message, whatever goes wrong: users need no traceback."""

    def make_context(self, *arguments, **options) -> click.Context:
        with errors_as_messages():
            return super().make_context(*arguments, **options)

    def invoke(self, context: click.Context):
        with errors_as_messages():
            return super().invoke(context)


@contextlib.contextmanager
def errors_as_messages() -> Iterator[None]:
    """Turn every error into one that click prints, with exit status 1."""
    try:
        yield
    except (click.exceptions.Exit, click.Abort):
        raise
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # nobody reads any more: click ends in silence
        message = printable(str(error)) or type(error).__name__
        if not isinstance(error, (OSError, ValueError, MemoryError)):
            message = f"this should not happen, please report it: {type(error).__name__}: {message}"
        raise click.ClickException(message) from error


def printable(text: str, keep: str = "\n") -> str:
    """Return text without characters that a terminal would obey, or that hide or turn round others: escaped instead."""
    return "".join(
        character
        if character.isprintable() or character in keep or unicodedata.category(character) == "Zs"
        else ascii(character)[1:-1]
        for character in text
    )


def typed(program: str) -> str:
    """Return what to type for a program: its name if a shell finds it by that, else its path, from here if it can."""
    name, path = os.path.basename(program), os.path.abspath(program)
    if (shutil.which(name) or "") == path:
        return name
    inside = path.startswith(os.path.join(os.getcwd(), ""))
    return shlex.quote(os.path.relpath(path) if inside else path)


def this_program() -> str:
    """Return how to call this program again: ``cnnlib``, ``.venv/bin/cnnlib`` or ``python -m cnnlib``."""
    if Path(sys.argv[0]).stem == "cnnlib":
        return typed(sys.argv[0])
    return f"{typed(sys.executable) if sys.executable else 'python'} -m cnnlib"


def load_data(name: str) -> Dataset:
    """Return the data set of this name, or that of a folder or file."""
    if name in LOADERS:
        try:
            return LOADERS[name]()
        except DataNotFoundError as error:
            raise click.ClickException(
                f"{error}\nOr use the small set of digits that comes with the package: add --data digits"
            ) from error
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = cnnlib.load_own_data(os.path.abspath(name))
    for warning in caught:
        click.echo(printable(str(warning.message)), err=True)
    return found


def network_for(architecture: str, classes: int, rng: np.random.Generator) -> cnnlib.Network:
    """Return a new network of an architecture for so many classes."""
    network = ARCHITECTURES[architecture](rng)
    if network.shapes[-1] == (classes,):
        return network
    inputs = network.shapes[-3][0]
    layers = [*network.layers[:-2], cnnlib.Dense(inputs, classes, rng=rng), cnnlib.Softmax()]
    return cnnlib.Network(layers, input_shape=network.input_shape)


def classes_of(network: cnnlib.Network) -> tuple[str, ...]:
    """Return what a network's outputs are called: as it was trained on, or the ten digits."""
    names = network.notes.get("classes")
    if isinstance(names, list) and all(isinstance(name, str) for name in names) and (len(names),) == network.shapes[-1]:
        return tuple(names)
    return DIGITS


def check_class_names(network: cnnlib.Network, found: Dataset) -> None:
    """Raise an error if a network's outputs are known to be called otherwise than the classes of a data set."""
    names = network.notes.get("classes")
    if not isinstance(names, list):  # of a data set that has a name, by which the same classes are meant
        names = DIGITS if network.notes.get("data") in ("MNIST", "UCI Optdigits") else found.classes
    if tuple(names) != found.classes:
        ours, theirs = (printable(", ".join(map(str, each))) for each in (names, found.classes))
        raise ValueError(
            f"the model was trained on the classes {ours}, but those of {found.name} are {theirs}: "
            "no share of right answers would mean anything"
        )


def percent(p: float) -> str:
    """Return a probability in percent, never rounded up to 100%: no network is that sure."""
    return "> 99.9%" if p >= 0.9995 else f"{p:.1%}"


class EpochLines(cnnlib.Callback):
    """Prints a line after each epoch, where a progress bar would come in pieces: in a pipe, a file, a log."""

    def on_epoch_end(self, run) -> None:
        if run.is_main:
            loss, share = (run.history[name][-1] for name in ("loss", "validation_accuracy"))
            click.echo(f"Epoch {run.epoch} of {run.epochs}: loss {loss:.4f}, validation accuracy {share:.2%}")


def share_of(right: np.ndarray) -> str:
    """Return which share is right, never rounded up: 99.97% is not all."""
    return f"all {len(right)}" if right.all() else f"{np.floor(1000 * right.mean()) / 10:.1f}%"


def load_model(path: Path | None, classes: int | None = None) -> cnnlib.Network:
    """Return the network of a file, or the one of the package; ValueError unless it classifies such images.

    Without a number of classes, they are as many as it says itself, or ten.
    """
    network = cnnlib.Network.load(path) if path else cnnlib.load_pretrained()
    expected = (1, 28, 28), (len(classes_of(network)) if classes is None else classes,)
    if (network.input_shape, network.shapes[-1]) != expected:
        what = path or "the model that comes with the package"
        raise ValueError(
            f"{what} is a network from {network.input_shape} to {network.shapes[-1]}, "
            f"expected one from {expected[0]} to {expected[1]}"
        )
    return network


def probabilities(network: cnnlib.Network, images: np.ndarray) -> np.ndarray:
    """Return what a network predicts; ValueError if that is not probabilities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of numbers that are too large, which the next lines tell
        p = network.predict(images)
    if not np.isfinite(p).all():
        raise ValueError("the model's outputs are not finite: its weights are too large")
    if not ((p >= 0).all() and np.allclose(p.sum(axis=1), 1, atol=1e-3)):
        raise ValueError(
            "the model's outputs are not probabilities: they must be from 0 to 1, with the sum 1. "
            f"Its last layer is {network[-1]!r}, expected Softmax()"
        )
    return p


def check_output(option: str, path: Path, *inputs: Path | None) -> None:
    """Raise an error if the value of an option cannot be written, or is a file that is needed otherwise."""
    if any(other is not None and os.path.realpath(path) == os.path.realpath(other) for other in inputs):
        raise click.UsageError(f"{option} {path} would overwrite a file of that name that is needed: choose another")
    try:
        check_writable(path)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{option} {path} cannot be written: {error}") from error


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(cnnlib.__version__, prog_name="cnnlib")
@click.pass_context
def main(context: click.Context) -> None:
    """Train convolutional networks, written from scratch in NumPy, and let them read digits.

    Several processes train one network faster: mpiexec -n 2 python -m cnnlib train
    """
    if context.obj is not None and context.obj.rank != 0 and context.invoked_subcommand != "train":
        context.exit()  # one process is enough for everything else


@main.command()
@data_option
def data(name: str) -> None:
    """Fetch a data set, check it to the last bit, and prepare it. Done once; again does no harm."""
    found = load_data(name)
    click.echo(f"{found.name}: {len(found.train_images):,} training images and {len(found.test_images):,} test images")
    for part, labels in (("training", found.train_labels), ("test", found.test_labels)):
        counts = np.bincount(labels, minlength=len(found.classes))
        click.echo(f"  {part}: " + ", ".join(f"{label} {n:,}" for label, n in zip(found.classes, counts, strict=True)))
    click.echo(f"Train a network with them: {this_program()} train --data {shlex.quote(name)}")


@main.command()
@data_option
@click.option("--architecture", type=click.Choice(list(ARCHITECTURES)), default="lenet5", show_default=True)
@click.option("--epochs", type=click.IntRange(1, 1_000_000), default=5, show_default=True)
@click.option("--batch-size", type=click.IntRange(1, 1_000_000), default=64, show_default=True)
@click.option("--learning-rate", "--rate", type=FiniteRange(0, min_open=True), default=LEARNING_RATE, show_default=True)
@click.option("--weight-decay", type=FiniteRange(0), default=WEIGHT_DECAY, show_default=True)
@click.option("--schedule", type=click.Choice(list(SCHEDULES)), default="one_cycle", show_default=True)
@click.option(
    "--augment/--no-augment",
    default=False,
    show_default=True,
    help="Distort the training images at random, and add strokes to half of MNIST's ones, sevens and nines.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--output", type=new_file, help="Where the model goes.  [default: models/ARCHITECTURE.npz]")
@click.option(
    "--checkpoints",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("checkpoints"),
    show_default=True,
    help="The folder for the state after each epoch.",
)
@click.option(
    "--early-stopping",
    type=click.IntRange(1, 1_000_000),
    metavar="EPOCHS",
    help="Stop when the validation loss has not improved for so many epochs, and keep the best weights.",
)
@click.option("--plot", type=new_file, help="Draw the history to this file (PNG).")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped, given the same options.")
@click.option("--restart", is_flag=True, help="Begin anew, and drop the state of a run that was stopped.")
@click.pass_obj
def train(
    communicator: Communicator | None,
    name: str,
    architecture: str,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    schedule: str,
    augment: bool,
    seed: int,
    output: Path | None,
    checkpoints: Path,
    early_stopping: int | None,
    plot: Path | None,
    resume: bool,
    restart: bool,
) -> None:
    """Train a network, and store it.

    The last twelfth of the training images is set aside to validate on; the test images are not looked at.
    Stopped by Ctrl-C or a power cut, a run goes on after its last whole epoch with --resume.
    Beside the model, a CSV file of the same name holds the loss and the accuracy of every epoch.
    """
    if resume and restart:
        raise click.UsageError("--resume and --restart exclude each other")
    output = output or Path("models") / f"{architecture}.npz"
    checkpoint = checkpoints / f"{architecture}-{name if name in LOADERS else Path(name).resolve().name}-{seed}.npz"
    is_main = communicator is None or communicator.rank == 0
    if is_main:
        check_output("--output", output, checkpoint)
        check_output("--checkpoints", checkpoint)
        check_output("--output", output.with_suffix(".csv"), output, checkpoint)
        if plot:
            check_output("--plot", plot, output, checkpoint, output.with_suffix(".csv"))
        load_data(name)  # perhaps a download, for which the other processes wait
        if restart:
            checkpoint.unlink(missing_ok=True)
    if communicator is not None:
        communicator.broadcast(None)
    images = load_data(name)
    network = network_for(architecture, len(images.classes), np.random.default_rng(seed))
    cut = len(images.train_images) * 11 // 12
    parts = (images.train_images, images.train_labels)
    x, t = (part[:cut] for part in parts)
    if augment and images.classes == DIGITS:
        x, t = (
            np.concatenate(pair) for pair in zip((x, t), variants(x, t, 0.5, np.random.default_rng(seed)), strict=True)
        )
    callbacks: list[cnnlib.Callback] = [cnnlib.CSVLogger(output.with_suffix(".csv"))]
    if early_stopping:
        callbacks.append(cnnlib.EarlyStopping(early_stopping))
    shows_bar = sys.stderr is not None and sys.stderr.isatty()
    if not shows_bar:
        callbacks.append(EpochLines())
    length = "1 epoch" if epochs == 1 else f"{epochs} epochs"
    click.echo(f"{network.parameter_count:,} parameters, {len(x):,} training images, {length}")
    if resume and is_main and not checkpoint.exists():
        click.echo(f"There is no run to go on with in {checkpoint}: this one begins anew.")
    command = shlex.join(word for word in sys.argv[1:] if word not in ("--resume", "--restart"))
    try:
        history = network.train(
            x,
            t,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=cnnlib.SGD(learning_rate, momentum=0.9, weight_decay=weight_decay),
            schedule=SCHEDULES[schedule],
            augment=Distortion() if augment else None,
            validation=(parts[0][cut:], parts[1][cut:]),
            seed=seed,
            checkpoint=checkpoint,
            resume=resume,
            progress=shows_bar,
            callbacks=callbacks,
            communicator=communicator,
        )
    except KeyboardInterrupt:
        if is_main:
            click.echo(f"\nStopped. To go on: {this_program()} {command} --resume", err=True)
        sys.exit(130)
    except FileExistsError as error:
        if not checkpoint.is_file():
            raise
        raise click.ClickException(
            f"{checkpoint} holds a run that was stopped: go on with it by --resume, or begin anew by --restart"
        ) from error
    except RuntimeError as error:
        if "another run is writing" not in str(error):  # a fault, which is to be reported
            raise
        raise click.ClickException(str(error)) from error
    except FloatingPointError as error:
        option = f"--learning-rate {min(learning_rate / 10, LEARNING_RATE):.3g}"
        if learning_rate * weight_decay > 1 and weight_decay > learning_rate:
            option = f"--weight-decay {WEIGHT_DECAY}"
        advice = f"{this_program()} {command} {option} --restart"
        raise click.ClickException(f"{error}\nFor example: {advice}") from error
    if not is_main:
        return
    best = int(np.argmin(history["validation_loss"])) if early_stopping else -1  # whose weights the network has
    share = history["validation_accuracy"][best]
    recipe = {
        "data": images.name,
        **({} if name in LOADERS else {"classes": list(images.classes)}),
        "epochs": len(history["loss"]),
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "augmentation": f"{Distortion()!r} and variants of 1, 7 and 9" if augment else "none",
        "seed": seed,
        "validation_accuracy": share,
    }
    network.save(output, **recipe)
    checkpoint.unlink()
    if early_stopping and len(history["loss"]) < epochs:
        waited = "an epoch" if early_stopping == 1 else f"{early_stopping} epochs"
        click.echo(f"Stopped early: for {waited}, the validation loss had not improved.")
    if early_stopping:
        click.echo(f"The weights are those of epoch {best + 1}, which had the least validation loss.")
    click.echo(f"Validation accuracy {share:.2%}. The model is in {output}.")
    if plot:
        from cnnlib.plots import plot_history

        with drawing_to(plot):
            plot_history(history)
    click.echo(f"The history is in {output.with_suffix('.csv')}{f', and drawn in {plot}' if plot else ''}.")
    what = "digit" if images.classes == DIGITS else "picture"
    click.echo(f"Read a {what} with it: {this_program()} predict my-{what}.png --model {shlex.quote(str(output))}")


@main.command()
@click.argument("images", nargs=-1, type=old_file)
@click.option("--model", type=old_file, help="A model file.  [default: the model that comes with the package]")
@click.option(
    "--figure",
    type=new_file,
    help="Where to draw the examples of a data set, or an image with a box around each digit.  "
    "[default: models/predictions.png for a data set, nothing for images]",
)
@click.option("--show", type=new_file, help="Where to draw the steps from an image to what the network got (PNG).")
@click.option(
    "--reject/--no-reject",
    default=None,
    help="Leave out what does not look like a digit, such as letters.  [default: unless MODEL has other classes]",
)
@click.option("--confusion", is_flag=True, help="Print how often each digit was read as each other one, too.")
@data_option
def predict(
    images: tuple[Path, ...],
    model: Path | None,
    figure: Path | None,
    show: Path | None,
    reject: bool | None,
    confusion: bool,
    name: str,
) -> None:
    """Read digits: those in IMAGES (PNG, JPEG and the like), or else the test images of a data set.

    Of an image with several digits, all are read, from left to right and line by line; the percentage is the
    probability that all of a line are right. Where nothing looks like a digit, the answer is "no digit".

    For a data set, print the accuracy, and draw forty examples, twenty of them wrong, to --figure.
    """
    for option, given in (("--show", show), ("--reject or --no-reject", reject)):
        if given is not None and not images:
            raise click.UsageError(f"{option} is for images, but none is given")
    data = click.get_current_context().get_parameter_source("name") == ParameterSource.COMMANDLINE
    for option, given in (("--confusion", confusion), ("--data", data)):
        if given and images:
            raise click.UsageError(f"{option} is for a data set, but images are given")
    network = load_model(model)
    if images:
        for option, path in (("--figure", figure), ("--show", show)):
            if path:
                check_output(option, path, model, *images)
                if len(images) > 1:
                    raise click.UsageError(f"{option} draws one image, but there are {len(images)}")
        probabilities(network, np.ones((1, 28, 28), np.float32))  # an error if it does not classify
        reject = classes_of(network) == DIGITS if reject is None else reject
        read = [predict_image(path, network, reject, figure, show, own=model is not None) for path in images]
        if not show and (without := [path for path, n in zip(images, read, strict=True) if n == 0]):
            what = f"{this_program()} predict {shlex.quote(printable(str(without[0]), ''))} --show steps.png"
            more = ". With --no-reject, what does not look like a digit is read, too." if reject else ""
            click.echo(f"To see what was looked at: {what}{more}", err=True)
        sys.exit(1 if None in read else 0)

    figure = figure or Path("models/predictions.png")
    check_output("--figure", figure, model)
    found = load_data(name)
    check_class_names(load_model(model, len(found.classes)), found)
    p = probabilities(network, found.test_images)
    guesses = p.argmax(axis=1)
    right = guesses == found.test_labels
    click.echo(f"{found.name}: {right.mean():.2%} of {len(right):,} test images are classified correctly")
    for label, title in enumerate(found.classes):
        click.echo(f"  {printable(title, '')}: {share_of(right[found.test_labels == label])}")

    from cnnlib.plots import confusion_matrix, show_predictions

    if confusion:
        click.echo("Rows are the true classes, columns the answers:")
        matrix = confusion_matrix(found.test_labels, guesses, len(found.classes))
        heads = titles = tuple(printable(title, "") for title in found.classes)
        if max(map(len, titles)) > 8:  # too long to stand above a column: they are numbered
            heads = tuple(str(number) for number in range(len(titles)))
            titles = tuple(f"{title} ({head})" for title, head in zip(titles, heads, strict=True))
        width = max(len(str(matrix.max())), 3, *map(len, heads))
        for title, row in zip(("", *titles), (heads, *matrix), strict=True):
            click.echo(f"  {title:>{max(map(len, titles))}}" + "".join(f" {count:>{width}}" for count in row))
    shown = np.concatenate([np.flatnonzero(right)[:20], np.flatnonzero(~right)[:20]])
    with drawing_to(figure):
        show_predictions(found.test_images[shown], p[shown], found.test_labels[shown])
    option = f" --model {shlex.quote(str(model))}" if model else ""
    click.echo(f"Examples are in {figure}. To read a picture of yours: {this_program()} predict my-digit.png{option}")


def predict_image(
    path: Path, network: cnnlib.Network, reject: bool, figure: Path | None, show: Path | None, own: bool
) -> int | None:
    """Print what is read in an image, and draw it if asked to; return how many digits, None if it is no image."""
    try:
        reading = cnnlib.read_digits(path, network if own else None, reject=reject)
    except (OSError, ValueError) as error:
        click.echo(printable(f"{path}: {error}"), err=True)
        return None
    name = printable(str(path), "")
    if not len(reading.digits):
        click.echo(f"{name}: no digit")
    for line in range(reading.lines.max(initial=-1) + 1):
        digits, p = (values[reading.lines == line] for values in (reading.digits, reading.probabilities))
        click.echo(f"{name}: {printable(join_names(digits, network), '')} ({percent(p.prod())})")
    if figure:
        from cnnlib.digits.mnist_frame import read_colours
        from cnnlib.plots import draw_reading

        with drawing_to(figure):
            draw_reading(read_colours(path), reading, classes_of(network))
        click.echo(f"The boxes are in {figure}.")
    if show:
        from cnnlib.digits.reading import steps_of
        from cnnlib.plots import draw_steps

        with drawing_to(show):
            draw_steps(steps_of(path))
        click.echo(f"The steps are in {show}.")
    return len(reading.digits)


def join_names(numbers: np.ndarray, network: cnnlib.Network) -> str:
    """Return the names of these classes as one word, or separated by spaces if they are longer than a letter."""
    names = classes_of(network)
    return ("" if all(len(name) == 1 for name in names) else " ").join(names[number] for number in numbers)


@contextlib.contextmanager
def drawing_to(path: Path) -> Iterator[None]:
    """Write what is drawn within this context to a PNG file, whole or not at all."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    with plt.style.context("cnnlib.book"):
        yield
        with atomic_write(path) as file:
            plt.savefig(file, format="png")
        plt.close()


@main.command()
@click.argument("model", type=old_file)
@click.argument("output", type=new_file)
def export(model: Path, output: Path) -> None:
    """Write the network in MODEL to OUTPUT as an ONNX file, which phones, browsers and most frameworks can run."""
    from cnnlib.onnx_export import export_onnx

    network = cnnlib.Network.load(model)
    check_output("OUTPUT", output, model)
    try:
        export_onnx(output, network)
    except ImportError:
        raise click.ClickException("the export needs the package onnx: pip install 'cnnlib[onnx]'") from None
    shape = ", ".join(map(str, network.input_shape))
    scale = " from 0 to 1" if len(network.input_shape) == 3 else ""
    click.echo(f"Wrote {output}. Its input x is float32{scale} of shape (N, {shape}), its output is y.")


@main.command()
@click.argument("model", required=False, type=old_file)
def info(model: Path | None) -> None:
    """Describe a model file: its layers, its size, and how it was trained. Without MODEL, the one of the package."""
    network = cnnlib.Network.load(model) if model else cnnlib.load_pretrained()
    click.echo(network.summary())
    for name, value in network.notes.items():
        is_share = "accuracy" in str(name) and isinstance(value, float) and math.isfinite(value)
        line = printable(f"{str(name).replace('_', ' ')}: {f'{value:.2%}' if is_share else value}", keep="")
        click.echo(line if len(line) <= MAX_NOTE else f"{line[:MAX_NOTE]}...")


def start() -> None:
    """Run the command line; under ``mpiexec``, as one of several processes, which all end if one fails."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # no name of a file is worth an error
    try:
        run()
    finally:
        give_up_full_output()


def give_up_full_output() -> None:
    """Drop what could not be printed, for example to a full disk; Python would try it again at the end and complain."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run() -> None:
    """Run the command line in this process."""
    if not started_by_mpiexec():
        main()
    try:
        from mpi4py import MPI
    except ImportError:
        sys.exit("Error: several processes need mpi4py and an MPI library: pip install 'cnnlib[cluster]'")
    communicator = Communicator(MPI.COMM_WORLD)
    if communicator.rank:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    status: Any = 0
    try:
        main(obj=communicator, standalone_mode=False)
    except click.Abort:
        status = 130
    except click.ClickException as error:
        if communicator.rank:
            time.sleep(1)  # mostly all processes fail in the same way: then the first tells it, and ends the others
        error.show()
        status = error.exit_code
    except OSError:  # nobody reads what is printed
        status = 1
    except SystemExit as error:
        status = error.code
    if status:
        communicator.end(status)


if __name__ == "__main__":
    start()
