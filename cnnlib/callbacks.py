"""What is wrapped around the training loop: history, progress bar, checkpoints, early stopping.

Each is a `Callback`: something that is called after each step and each epoch, and looks at the `Run`.
"""

import collections
import contextlib
import csv
import hashlib
import io
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnlib.checks import check_choice, check_finite, check_number, check_path, check_positive_int, to_numpy
from cnnlib.files import atomic_write, exclusive
from cnnlib.losses import Loss
from cnnlib.optimizers import Optimizer
from cnnlib.saving import load_checkpoint, restore_checkpoint, save_checkpoint

HISTORY = ("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds", "learning_rate", "batch_loss")


@dataclass
class Run:
    """Where a training run stands: what callbacks look at, and may change.

    Attributes
    ----------
    network : Network
        What is trained; its parameters are those of the last step.
    optimizer : Optimizer
    rng : numpy.random.Generator
        Draws the order of the examples and the augmentation.
    epochs, steps : int
        How many epochs there will be at most, and how many steps in each.
    communicator : Communicator or None
    epoch, step : int
        How many epochs are complete, and which step of the present one is being taken, from 0.
    scale : float
        What the schedule said at the last step.
    loss, accuracy, batch_size : float, float, int
        Of the last batch, before its step.
    history : dict of str to list of float
    arrays : dict of str to ndarray
        Further arrays that belong into checkpoints; their names begin with that of a callback and a dot.
    settings : dict
        What makes this run another than the next: a checkpoint is resumed only by the run that has written it.
    stop : bool
        Set it to end the run after the present epoch.
    """

    network: Any  # a Network, which imports this module
    optimizer: Optimizer
    rng: np.random.Generator
    epochs: int
    steps: int
    communicator: Any = None  # a data_parallel.Communicator
    epoch: int = 0
    step: int = 0
    scale: float = 1.0
    loss: float = math.nan
    accuracy: float = math.nan
    batch_size: int = 0
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in HISTORY})
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    stop: bool = False

    @property
    def progress(self) -> float:
        """The share of all steps that lie before the present one: 0 at the first step, nearly 1 at the last."""
        return (self.epoch * self.steps + self.step) / (self.epochs * self.steps)

    @property
    def is_main(self) -> bool:
        """Whether this process prints and writes: of several that train together, only the first does."""
        return self.communicator is None or self.communicator.rank == 0


class Callback:
    """Something that is called during a run: a subclass overrides what it needs.

    For example, an average of the weights of all epochs::

        class AverageWeights(Callback):
            def on_train_begin(self, run):
                self.average = {name: 0 * W for name, W in run.network.parameters().items()}

            def on_epoch_end(self, run):
                for name, W in run.network.parameters().items():
                    self.average[name] += (W - self.average[name]) / run.epoch
    """

    def on_train_begin(self, run: Run) -> None:
        """Called before the first step."""

    def on_step_end(self, run: Run) -> None:
        """Called after each step."""

    def on_epoch_end(self, run: Run) -> None:
        """Called after each epoch."""

    def on_train_end(self, run: Run) -> None:
        """Called at the end, also if an error or Ctrl-C ends the run."""


def notify(callbacks: Sequence[Callback], event: str, run: Run) -> None:
    """Call that method of every callback, one after the other."""
    for callback in callbacks:
        getattr(callback, event)(run)


@contextlib.contextmanager
def begun(run: Run, callbacks: Sequence[Callback]) -> Iterator[None]:
    """Begin a run, and end it, whatever ends it.

    First of all, a checkpoint brings the run to where it was: the other callbacks shall begin there.
    """
    with contextlib.ExitStack() as stack:
        for callback in callbacks:
            if isinstance(callback, Checkpoint):
                stack.enter_context(callback.start_or_resume(run))
        notify(callbacks, "on_train_begin", run)
        try:
            yield
        finally:
            notify(callbacks, "on_train_end", run)


class FiniteCheck(Callback):
    """Stops a run whose numbers are no longer finite; the network then has the weights of its last good epoch."""

    def on_train_begin(self, run: Run) -> None:
        self.first_loss: Any = None  # a number from the first step on
        self.good = {name: check_finite(name, array).copy() for name, array in run.network.saved_arrays().items()}

    def on_step_end(self, run: Run) -> None:
        self.first_loss = run.loss if self.first_loss is None else self.first_loss
        if not math.isfinite(run.loss):
            self.stop(run, f"the loss became {run.loss}", run.epoch)

    def on_epoch_end(self, run: Run) -> None:
        for name, array in run.network.saved_arrays().items():
            if not np.isfinite(array).all():
                self.stop(run, f"{name} is no longer finite", run.epoch - 1)
        for name, array in run.network.saved_arrays().items():
            self.good[name][...] = array

    def stop(self, run: Run, what: str, epoch: int) -> None:
        """Give the network its last good weights, and raise a FloatingPointError."""
        for name, array in run.network.saved_arrays().items():
            array[...] = self.good[name]
        learning_rate = run.optimizer.learning_rate * run.scale
        cause = f"The learning rate is too high: try one below {learning_rate:.3g}."
        if (decay := learning_rate * run.optimizer.weight_decay) > 1:
            cause += f" Or the weight decay is: times the learning rate it is {decay:.3g}, and should be far below 1."
        if not math.isfinite(self.first_loss):
            cause = "No step had been taken: the numbers in x, or the weights, are too large."
        raise FloatingPointError(
            f"{what} in epoch {epoch + 1}, step {run.step + 1}; the first loss was {self.first_loss:.3g}. {cause} "
            f"The network has the weights {f'of epoch {epoch}' if epoch else 'that it began with'} again."
        )


class History(Callback):
    """Records what `Network.train` returns."""

    def __init__(self, validation: tuple[np.ndarray, np.ndarray] | None, loss: Loss):
        self.validation, self.loss = validation, loss

    def on_train_begin(self, run: Run) -> None:
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Forget the last epoch."""
        self.start = time.perf_counter()
        self.losses: list[float] = []
        self.accuracies: list[float] = []
        self.sizes: list[int] = []

    def on_step_end(self, run: Run) -> None:
        self.losses.append(run.loss)
        self.accuracies.append(run.accuracy)
        self.sizes.append(run.batch_size)

    def on_epoch_end(self, run: Run) -> None:
        history = run.history
        history["loss"].append(float(np.average(self.losses, weights=self.sizes)))
        history["accuracy"].append(float(np.average(self.accuracies, weights=self.sizes)))
        history["batch_loss"].extend(self.losses)
        history["learning_rate"].append(run.optimizer.learning_rate * run.scale)
        if self.validation is not None:
            if run.communicator is None:
                value, share = run.network.evaluate(*self.validation, self.loss)
            else:
                value, share = run.communicator.evaluate(run.network, *self.validation, self.loss)
            history["validation_loss"].append(value)
            history["validation_accuracy"].append(share)
        history["seconds"].append(time.perf_counter() - self.start)
        self.begin_epoch()


class Checkpoint(Callback):
    """Writes the state of the run to a file after each epoch, whole or not at all, and can resume it from there."""

    def __init__(self, path: str | os.PathLike, resume: bool = False):
        self.path, self.resume = check_path("checkpoint", path), resume

    @contextlib.contextmanager
    def start_or_resume(self, run: Run) -> Iterator[None]:
        """Write the first checkpoint of a run, or bring the run to where the checkpoint that is there says.

        As long as the context lasts, no other run can do so.
        """
        with exclusive(self.path) if run.is_main else contextlib.nullcontext():
            if run.optimizer.steps:
                raise ValueError(
                    f"{run.optimizer!r} has taken {run.optimizer.steps} steps already: a run with a checkpoint begins "
                    "with a new optimizer"
                )
            state: Any = self.load(run) if run.is_main else None
            if run.communicator is not None:
                state = run.communicator.broadcast(state)
            restore_checkpoint(run, state)
            run.epoch = len(run.history["loss"])
            yield

    def load(self, run: Run) -> tuple[dict[str, np.ndarray], dict]:
        """Return what the file says of the run; without one, the run begins, and writes it."""
        if not os.path.exists(self.path):
            save_checkpoint(self.path, run)
        elif not self.resume:
            raise FileExistsError(
                f"{self.path} is there already: pass resume=True to go on with that run, or remove it"
            )
        return load_checkpoint(self.path, run)

    def on_epoch_end(self, run: Run) -> None:
        if run.is_main:
            save_checkpoint(self.path, run)


def describe(run: Run, batch_size: int, seed: int, functions: tuple, data: tuple[np.ndarray, ...]) -> dict:
    """Return what a checkpoint says of a run: of a function its name, of an object how it is printed."""
    settings = {"epochs": run.epochs, "batch_size": int(batch_size), "seed": seed, "network": run.network.config}
    for name, setting in zip(("optimizer", "loss", "schedule", "augment"), (run.optimizer, *functions), strict=True):
        settings[name] = getattr(setting, "__name__", repr(setting))
    return settings | {"data": fingerprint(*data)}


def fingerprint(*arrays: np.ndarray) -> str:
    """Return a checksum of arrays: the same only for the same numbers in the same order."""
    digest = hashlib.sha256()
    for array in map(np.ascontiguousarray, map(to_numpy, arrays)):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


class ProgressBar(Callback):
    """Shows how far the run is, and the mean loss of the last hundred steps."""

    def on_train_begin(self, run: Run) -> None:
        from tqdm.auto import tqdm  # here, since it is slow to import

        # tqdm obeys TQDM_DISABLE in a terminal, but not in a notebook: stored notebooks want no bars.
        hidden = bool(os.environ.get("TQDM_DISABLE"))
        self.bar = tqdm(total=run.epochs * run.steps, initial=run.epoch * run.steps, unit="step", disable=hidden)
        self.losses: collections.deque[float] = collections.deque(maxlen=100)

    def on_step_end(self, run: Run) -> None:
        self.losses.append(run.loss)
        self.bar.set_description(f"Epoch {run.epoch + 1}/{run.epochs}", refresh=False)
        self.bar.set_postfix(loss=f"{sum(self.losses) / len(self.losses):.3f}", refresh=False)
        self.bar.update()

    def on_train_end(self, run: Run) -> None:
        self.bar.close()


class EarlyStopping(Callback):
    """Stops a run that no longer gets better, and gives the network the weights of its best epoch.

    Parameters
    ----------
    patience : int
        How many epochs in a row without an improvement to wait for one.
    monitor : {"validation_loss", "validation_accuracy", "loss", "accuracy"}
        What to improve: a loss downwards, an accuracy upwards.
    min_delta : float
        How much better than the best epoch before is an improvement: more than this.

    Attributes
    ----------
    best_epoch : int
        The epoch whose weights the network has at the end, from 1.
    """

    def __init__(self, patience: int = 5, monitor: str = "validation_loss", min_delta: float = 0.0):
        self.patience = check_positive_int("patience", patience)
        self.monitor = check_choice("monitor", monitor, HISTORY[:4])
        self.min_delta = check_number("min_delta", min_delta, "[0, inf)")

    def on_train_begin(self, run: Run) -> None:
        if run.epoch:  # resumed
            self.update(run)

    def on_epoch_end(self, run: Run) -> None:
        if not run.history[self.monitor]:
            raise ValueError(f"EarlyStopping has no {self.monitor} to look at: pass validation=(x, t) to train")
        self.update(run)
        if self.best_epoch == run.epoch:
            run.arrays |= {f"best.{name}": array.copy() for name, array in run.network.saved_arrays().items()}

    def update(self, run: Run) -> None:
        """Find the best epoch of the history, and whether to stop."""
        sign = -1 if self.monitor.endswith("accuracy") else 1
        best, self.best_epoch = math.inf, 0
        for epoch, value in enumerate(run.history[self.monitor], start=1):
            if sign * value < best - self.min_delta:
                best, self.best_epoch = sign * value, epoch
        run.stop = run.epoch - self.best_epoch >= self.patience

    def on_train_end(self, run: Run) -> None:
        for name, array in run.network.saved_arrays().items():
            if f"best.{name}" in run.arrays:
                array[...] = run.arrays[f"best.{name}"]


class CSVLogger(Callback):
    """Writes the history to a CSV file, one line per epoch, which is whole after every epoch.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path: str | os.PathLike):
        self.path = check_path("path", path)

    def on_epoch_end(self, run: Run) -> None:
        if not run.is_main:
            return
        columns = {name: run.history[name] for name in HISTORY[:-1] if run.history[name]}
        text = io.StringIO()
        csv.writer(text).writerows([("epoch", *columns), *zip(range(1, run.epoch + 1), *columns.values(), strict=True)])
        with atomic_write(self.path) as file:
            file.write(text.getvalue().encode())
