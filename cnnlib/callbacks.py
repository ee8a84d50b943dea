"""What is wrapped around the training loop: history, progress bar, checkpoints, early stopping.

Each is a `Callback`: something that is called after each step and each epoch, and looks at the `Run`.
"""

import collections
import csv
import io
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cnnlib.config import check_finite, check_number, check_path, check_positive_int, shown
from cnnlib.files import atomic_write
from cnnlib.losses import Loss
from cnnlib.optimizers import Optimizer
from cnnlib.saving import save_checkpoint

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

    network: object
    optimizer: Optimizer
    rng: np.random.Generator
    epochs: int
    steps: int
    communicator: object = None
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


class FiniteCheck(Callback):
    """Stops a run whose numbers are no longer finite; the network then has the weights of its last good epoch."""

    def on_train_begin(self, run: Run) -> None:
        self.first_loss = None
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
        cause = f"The learning rate is too high: try one below {run.optimizer.learning_rate * run.scale:.3g}."
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
        self.start, self.losses, self.accuracies, self.sizes = time.perf_counter(), [], [], []

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
    """Writes the state of the run to a file after each epoch, whole or not at all."""

    def __init__(self, path: str | os.PathLike):
        self.path = check_path("checkpoint", path)

    def on_epoch_end(self, run: Run) -> None:
        if run.is_main:
            save_checkpoint(self.path, run)


class ProgressBar(Callback):
    """Shows how far the run is, and the mean loss of the last hundred steps."""

    def on_train_begin(self, run: Run) -> None:
        from tqdm.auto import tqdm  # here, since it is slow to import

        # tqdm obeys TQDM_DISABLE in a terminal, but not in a notebook: stored notebooks want no bars.
        hidden = bool(os.environ.get("TQDM_DISABLE"))
        self.bar = tqdm(total=run.epochs * run.steps, initial=run.epoch * run.steps, unit="step", disable=hidden)
        self.losses = collections.deque(maxlen=100)

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
        if not isinstance(monitor, str) or monitor not in HISTORY[:4]:
            raise ValueError(f"monitor must be one of {', '.join(HISTORY[:4])}; got {shown(monitor)}")
        self.patience, self.monitor = check_positive_int("patience", patience), monitor
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
