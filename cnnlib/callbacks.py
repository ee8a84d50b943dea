"""What is wrapped around the training loop: history, progress bar, checkpoints, early stopping.

Each is a `Callback`: something that is called after each step and each epoch, and looks at the `Run`.
"""

import collections
import contextlib
import csv
import functools
import hashlib
import io
import math
import os
import re
import time
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnlib.checks import HISTORY, check_choice, check_finite, check_number, check_path, check_positive_int, to_numpy
from cnnlib.files import atomic_write, exclusive, message_of
from cnnlib.losses import Loss
from cnnlib.optimizers import Optimizer
from cnnlib.saving import load_checkpoint, restore_checkpoint, save_checkpoint


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
    loss, accuracy : float
        Of the last batch, before its step.
    batch : tuple of ndarray
        That batch itself, examples and targets; `batch_size` is how many examples it holds.
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
    batch: tuple[np.ndarray, np.ndarray] = (np.empty(0), np.empty(0))
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in HISTORY})
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    stop: bool = False

    @property
    def batch_size(self) -> int:
        """How many examples the last batch holds."""
        return len(self.batch[1])

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
def begun(run: Run, callbacks: list[Callback]) -> Iterator[None]:
    """Begin a run, and end it, whatever ends it.

    First of all, a checkpoint brings the run to where it was: the other callbacks shall begin there. The check for
    numbers that are not finite comes twice: once before the callbacks of the user, so that they see none, and once
    behind them, for what they change, before a checkpoint is written.
    """
    finite = next(callback for callback in callbacks if isinstance(callback, FiniteCheck))
    last = next((index for index, each in enumerate(callbacks) if isinstance(each, Checkpoint)), len(callbacks))
    callbacks.insert(last, finite)
    with contextlib.ExitStack() as stack:
        for callback in callbacks:
            if isinstance(callback, Checkpoint):
                stack.enter_context(callback.start_or_resume(run))
        notify(callbacks, "on_train_begin", run)
        try:
            yield
        finally:
            notify(callbacks, "on_train_end", run)
        finite.look(run)


class FiniteCheck(Callback):
    """Stops a run whose numbers are no longer finite; the network then has the weights of its last good epoch.

    They are those of the network, and those that the optimizer remembers. The loss of a batch is that before its step,
    so that of the last batch of an epoch is computed once more: weights may be finite, and yet so large that nothing
    else is.
    """

    def __init__(self, loss: Loss):
        self.loss = loss

    def on_train_begin(self, run: Run) -> None:
        self.first_loss: Any = None  # a number from the first step on
        self.good_epoch = run.epoch
        self.looked_epoch = 0  # at whose end this was the first callback, and found nothing
        for name, array in optimizer_arrays(run).items():
            check_finite(f"{name} of {run.optimizer!r}", array)
        self.good = {name: check_finite(name, array).copy() for name, array in run.network.saved_arrays().items()}

    def on_step_end(self, run: Run) -> None:
        self.first_loss = run.loss if self.first_loss is None else self.first_loss
        if not math.isfinite(run.loss):
            self.stop(run, f"the loss became {run.loss}", run.epoch + 1, self.cause(run))

    def on_epoch_end(self, run: Run) -> None:
        self.look(run)
        if self.looked_epoch < run.epoch:
            self.look_at_loss(run)
            self.looked_epoch = run.epoch
            return
        self.good_epoch = run.epoch
        for name, array in run.network.saved_arrays().items():
            self.good[name][...] = array

    def look(self, run: Run) -> None:
        """Stop the run if a number of the network, or one that the optimizer remembers, is not finite."""
        for name, array in (run.network.saved_arrays() | optimizer_arrays(run)).items():
            if not np.isfinite(array).all():
                cause = "A callback has changed it." if self.looked_epoch == run.epoch else self.cause(run, name)
                self.stop(run, f"{name} is no longer finite", run.epoch, cause)
        new = run.history["validation_loss"][self.good_epoch :]
        if new and not math.isfinite(new[-1]):
            self.stop(run, f"the validation loss became {new[-1]}", run.epoch, self.cause(run))

    def look_at_loss(self, run: Run) -> None:
        """Stop the run if the loss of the last batch is not finite after its step."""
        with np.errstate(over="ignore", invalid="ignore"):
            loss, _ = run.network.evaluate(*run.batch, self.loss)
        if not math.isfinite(loss):
            self.stop(run, f"the loss of the last batch became {loss} by its step", run.epoch, self.cause(run))

    def cause(self, run: Run, name: str = "") -> str:
        """Return what has probably gone wrong, and what to try."""
        learning_rate = run.optimizer.learning_rate * run.scale
        decay = learning_rate * run.optimizer.weight_decay
        if not math.isfinite(self.first_loss):
            return (
                "No step had been taken: the numbers in x, or the weights, are too large, or those of the targets or "
                "of the loss."
            )
        if " of " in name:
            cause = "The gradients are too large: the numbers in x, in the targets or in the loss may be. Or the"
        elif name.startswith("running_"):
            cause = "The numbers in x, or between the layers, are too large. Or the"
        elif abs(run.scale) > 1:
            cause = f"The schedule returned {run.scale:.3g}, a scale of the learning rate: expected at most 1. Or the"
        else:
            cause = "The"
        # Above 1, hardly any rate works, and what is a little smaller than a huge one is no advice.
        cause += f" learning rate is too high: try one below {min(learning_rate, run.optimizer.learning_rate, 1):.3g}."
        if decay > 1:
            cause += f" Or the weight decay is: times the learning rate it is {decay:.3g}, and should be far below 1."
        return cause

    def stop(self, run: Run, what: str, epoch: int, cause: str) -> None:
        """Give the network its last good weights, and raise a FloatingPointError."""
        for name, array in run.network.saved_arrays().items():
            array[...] = self.good[name]
        run.optimizer.steps = 0  # what it remembers is of no use: it begins anew, so that it can be used again
        first = "" if self.first_loss is None else f"; the first loss was {self.first_loss:.3g}"
        weights = f"of epoch {self.good_epoch}" if self.good_epoch else "that it began with"
        if any(name.startswith("best.") for name in run.arrays):  # EarlyStopping puts them back when the run ends
            weights = "of its best epoch"
        raise FloatingPointError(
            f"{what} in epoch {epoch}, step {run.step + 1}{first}. {cause} The network has the weights {weights} again."
        )


def optimizer_arrays(run: Run) -> dict[str, np.ndarray]:
    """Return what the optimizer remembers, under names such as "velocity of W0"."""
    if not run.optimizer.steps:
        return {}
    names = run.network.parameters()
    return {
        f"{kind} of {name}": array
        for kind, arrays in run.optimizer.state.items()
        for name, array in zip(names, arrays, strict=False)
    }


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
            with np.errstate(over="ignore", invalid="ignore"):  # FiniteCheck says it better
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
            self.save(run)
        elif not self.resume:
            raise FileExistsError(
                f"{self.path} is there already: pass resume=True to go on with that run, or remove it"
            )
        return load_checkpoint(self.path, run)

    def on_epoch_end(self, run: Run) -> None:
        if run.is_main:
            self.save(run)

    def save(self, run: Run) -> None:
        """Write the file; ValueError if it could not be resumed: then the one that is there stays as it is."""
        try:
            save_checkpoint(self.path, run)
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(
                f"the state of this run cannot be written to {self.path}, since nobody could resume it: "
                f"{message_of(error)}"
            ) from error


def describe(run: Run, batch_size: int, seed: int, functions: tuple, data: tuple[np.ndarray, ...]) -> dict:
    """Return what a checkpoint says of a run; of functions and objects see `describe_function`."""
    settings = {"epochs": run.epochs, "batch_size": int(batch_size), "seed": seed, "network": run.network.config}
    for name, setting in zip(("optimizer", "loss", "schedule", "augment"), (run.optimizer, *functions), strict=True):
        settings[name] = describe_function(setting)
    return settings | {"data": fingerprint(*data)}


def describe_function(value) -> str:
    """Return a text for a function or an object that is the same in every process, and another for another one.

    A function of the library is its name, one of the user its name and a checksum of its code: two can have one name,
    such as ``<lambda>``. An object is how it is printed, without its address in memory, so that one whose settings
    shall count must print them, as a dataclass does. Variables that a function or an object keeps do not count: they
    may change during a run, such as a counter, and the run could not be resumed.
    """
    if isinstance(value, functools.partial):
        return f"partial{tuple(map(describe_function, (value.func, *value.args, *sorted(value.keywords.items()))))}"
    if isinstance(value, types.MethodType):
        return f"{describe_function(value.__self__)}.{describe_function(value.__func__)}"
    if isinstance(value, types.FunctionType):
        if value.__module__.startswith("cnnlib."):
            return value.__name__
        parts = [*code_parts(value.__code__), *map(describe_function, value.__defaults__ or ())]
        return f"{value.__name__} {hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def code_parts(code: types.CodeType) -> list[str]:
    """Return texts of which each change of a function's code changes one; its names, comments and lines are not."""
    parts = [code.co_code.hex(), *code.co_names]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            parts += code_parts(constant)
        else:  # the order within a set changes from process to process
            parts.append(repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant))
    return parts


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
