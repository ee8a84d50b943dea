"""The command line: get the data, train a network, read digits, look into a model file."""

import os
import sys
import time
from pathlib import Path

import click
import numpy as np

import cnnlib
from cnnlib.data_parallel import Communicator, started_by_mpiexec
from cnnlib.digits.augmentation import Distortion, variants
from cnnlib.digits.datasets import DataError, DataNotFoundError, Dataset
from cnnlib.digits.models import ARCHITECTURES
from cnnlib.files import atomic_write
from cnnlib.schedules import SCHEDULES

LOADERS = {"mnist": cnnlib.load_mnist, "fashion-mnist": cnnlib.load_fashion_mnist, "digits": cnnlib.load_digits}
data_option = click.option(
    "--data",
    "name",
    type=click.Choice(list(LOADERS)),
    default="mnist",
    show_default=True,
    help="The data set; `digits` is the small one that comes with the package.",
)
new_file = click.Path(dir_okay=False, path_type=Path)
old_file = click.Path(exists=True, dir_okay=False, path_type=Path)


def load(name: str) -> Dataset:
    """Return a data set, or stop with a message that says what to do."""
    try:
        return LOADERS[name]()
    except (DataError, DataNotFoundError) as error:
        raise click.ClickException(str(error)) from error


def load_model(path: Path | None) -> cnnlib.Network:
    """Return the network of a file, or the one that comes with the package; stop with a message if it is none."""
    try:
        return cnnlib.Network.load(path) if path else cnnlib.load_pretrained()
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
    found = load(name)
    click.echo(f"{found.name}: {len(found.train_images):,} training images and {len(found.test_images):,} test images")
    for part, labels in (("training", found.train_labels), ("test", found.test_labels)):
        counts = np.bincount(labels, minlength=len(found.classes))
        click.echo(f"  {part}: " + ", ".join(f"{label} {n:,}" for label, n in zip(found.classes, counts, strict=True)))


@main.command()
@data_option
@click.option("--architecture", type=click.Choice(list(ARCHITECTURES)), default="lenet5", show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--learning-rate", "--rate", type=click.FloatRange(0, min_open=True), default=0.05, show_default=True)
@click.option("--weight-decay", type=click.FloatRange(0), default=5e-4, show_default=True)
@click.option("--schedule", type=click.Choice(list(SCHEDULES)), default="one_cycle", show_default=True)
@click.option(
    "--augment/--no-augment",
    default=False,
    show_default=True,
    help="Distort the training images at random, and add strokes to half of MNIST's ones, sevens and nines.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--output", type=new_file, help="Where the model goes.  [default: models/ARCHITECTURE.npz]")
@click.option(
    "--checkpoints",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("checkpoints"),
    show_default=True,
    help="The folder for the state after each epoch.",
)
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
    resume: bool,
    restart: bool,
) -> None:
    """Train a network, and store it.

    The last twelfth of the training images is set aside to validate on; the test images are not looked at.
    Stopped by Ctrl-C or a power cut, a run goes on after its last whole epoch with --resume.
    """
    if resume and restart:
        raise click.UsageError("--resume and --restart exclude each other")
    output = output or Path("models") / f"{architecture}.npz"
    checkpoint = checkpoints / f"{architecture}-{name}-{seed}.npz"
    is_main = communicator is None or communicator.rank == 0
    if is_main:
        load(name)  # perhaps a download, for which the other processes wait
        if restart:
            checkpoint.unlink(missing_ok=True)
    if communicator is not None:
        communicator.broadcast(None)
    images = load(name)
    network = ARCHITECTURES[architecture](np.random.default_rng(seed))
    cut = len(images.train_images) * 11 // 12
    parts = (images.train_images, images.train_labels)
    x, t = (part[:cut] for part in parts)
    if augment and images.classes == tuple("0123456789"):
        x, t = (
            np.concatenate(pair) for pair in zip((x, t), variants(x, t, 0.5, np.random.default_rng(seed)), strict=True)
        )
    click.echo(f"{network.parameter_count:,} parameters, {len(x):,} training images, {epochs} epochs")
    command = " ".join(word for word in sys.argv[1:] if word not in ("--resume", "--restart"))
    try:
        history = network.train(
            x,
            t,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=cnnlib.SGD(learning_rate, momentum=0.9, weight_decay=weight_decay),
            schedule=SCHEDULES[schedule],
            augment=Distortion() if augment else None,
            validation=tuple(part[cut:] for part in parts),
            seed=seed,
            checkpoint=checkpoint,
            resume=resume,
            communicator=communicator,
        )
    except KeyboardInterrupt:
        if is_main:
            click.echo(f"\nStopped. To go on: python -m cnnlib {command} --resume", err=True)
        sys.exit(130)
    except FileExistsError as error:
        raise click.ClickException(
            f"{checkpoint} holds a run that was stopped: go on with it by --resume, or begin anew by --restart"
        ) from error
    except FloatingPointError as error:
        advice = f"python -m cnnlib {command} --learning-rate {learning_rate / 10:.3g} --restart"
        raise click.ClickException(f"{error}\nFor example: {advice}") from error
    except (TypeError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if not is_main:
        return
    share = history["validation_accuracy"][-1]
    recipe = {
        "data": images.name,
        "epochs": epochs,
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
    click.echo(f"Validation accuracy {share:.2%}. The model is in {output}.")


@main.command()
@click.argument("images", nargs=-1, type=old_file)
@click.option("--model", type=old_file, help="A model file.  [default: the model that comes with the package]")
@click.option("--figure", type=new_file, default=Path("models/predictions.png"), show_default=True)
@data_option
def predict(images: tuple[Path, ...], model: Path | None, figure: Path, name: str) -> None:
    """Read digits: those in IMAGES (PNG or JPEG, one digit each), or else the test images of a data set.

    For a data set, print the accuracy, and draw forty examples, twenty of them wrong, to --figure.
    """
    network = load_model(model)
    if images:
        failed = False
        for path in images:
            try:
                p = network.predict(cnnlib.read_digit(path)[np.newaxis])[0]
            except (OSError, ValueError) as error:
                click.echo(f"{path}: {error}", err=True)
                failed = True
                continue
            click.echo(f"{path}: {p.argmax()} ({p.max():.1%})")
        sys.exit(1 if failed else 0)

    found = load(name)
    p = network.predict(found.test_images)
    guesses = p.argmax(axis=1)
    right = guesses == found.test_labels
    click.echo(f"{found.name}: {right.mean():.2%} of {len(right):,} test images are classified correctly")
    for label, title in enumerate(found.classes):
        click.echo(f"  {title}: {right[found.test_labels == label].mean():.1%}")

    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from cnnlib.plots import show_predictions

    plt.style.use("cnnlib.book")
    shown = np.concatenate([np.flatnonzero(right)[:20], np.flatnonzero(~right)[:20]])
    show_predictions(found.test_images[shown], p[shown], found.test_labels[shown])
    with atomic_write(figure) as file:
        plt.savefig(file, format="png")
    click.echo(f"Examples are in {figure}.")


@main.command()
@click.argument("model", required=False, type=old_file)
def info(model: Path | None) -> None:
    """Describe a model file: its layers, its size, and how it was trained. Without MODEL, the one of the package."""
    network = load_model(model)
    click.echo(network.summary())
    for name, value in network.notes.items():
        click.echo(f"{name.replace('_', ' ')}: {f'{value:.2%}' if 'accuracy' in name else value}")


def start() -> None:
    """Run the command line; under ``mpiexec``, as one of several processes, which all end if one fails."""
    if not started_by_mpiexec():
        main(prog_name="python -m cnnlib")
    try:
        from mpi4py import MPI
    except ImportError:
        sys.exit("Error: several processes need mpi4py and an MPI library: pip install 'cnnlib[cluster]'")
    communicator = Communicator(MPI.COMM_WORLD)
    if communicator.rank:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    status = 0
    try:
        main(prog_name="python -m cnnlib", obj=communicator, standalone_mode=False)
    except click.Abort:
        status = 130
    except click.ClickException as error:
        if communicator.rank:
            time.sleep(1)  # mostly all processes fail in the same way: then the first tells it, and ends the others
        error.show()
        status = error.exit_code
    except SystemExit as error:
        status = error.code
    if status:
        sys.stderr.flush()
        MPI.COMM_WORLD.Abort(status)


if __name__ == "__main__":
    start()
