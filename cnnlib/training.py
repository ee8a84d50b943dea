"""Training: the loop, and what is wrapped around it.

The loop picks a batch, goes forward, computes the loss, goes backward, takes a step. All else that happens in a run,
its history, its progress bar, its checkpoints, is a `Callback`: something that is called after each step and epoch.
"""

import collections
import contextlib
import csv
import hashlib
import io
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np

from cnnlib.blas import one_blas_thread
from cnnlib.config import (
    as_array,
    check_finite,
    check_instance,
    check_int,
    check_number,
    check_path,
    check_positive_int,
    shown,
)
from cnnlib.files import atomic_write, exclusive
from cnnlib.layers import Sequential, Softmax
from cnnlib.losses import CategoricalCrossEntropy, Loss, SoftmaxCrossEntropy
from cnnlib.optimizers import SGD, Optimizer
from cnnlib.saving import load_checkpoint, restore_checkpoint, save_checkpoint
from cnnlib.schedules import Schedule, constant

HISTORY = ("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds", "learning_rate", "batch_loss")


def train(
    network,
    x: np.ndarray,
    t: np.ndarray,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    optimizer: Optimizer | None = None,
    schedule: Schedule = constant,
    loss: Loss | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    resume: bool = False,
    progress: bool = True,
    callbacks: Sequence["Callback"] = (),
    communicator=None,
) -> dict[str, list[float]]:
    """Train by mini-batch gradient descent, and return the history. This is the method `Network.train`.

    The steps are taken by a `fused` copy of the network, which shares the parameters and keeps all else to itself: a
    layer's own ``dW`` is not set by training. Matrix products use one thread, see `cnnlib.blas`.

    Parameters
    ----------
    network : Network
    x : ndarray of shape (N, *input_shape)
        Images of one channel may also be (N, H, W).
    t : ndarray
        Class numbers (N,), or targets of the shape of the output, such as one-hot rows (N, M).
    epochs : int
        How often to go through all examples, in a new random order each time.
    batch_size : int
        Examples per step; the last batch of an epoch may be smaller.
    optimizer : Optimizer, optional
        By default `SGD` with learning rate 0.05 and momentum 0.9.
    schedule : callable
        From progress (0 at the first step, nearly 1 at the last) to a scale of the optimizer's learning rate.
    loss : Loss, optional
        By default `CategoricalCrossEntropy`; after a `Softmax` it is computed exactly, by `SoftmaxCrossEntropy`.
    validation : tuple of x and t, optional
        Examples to evaluate on, after each epoch.
    augment : callable, optional
        ``augment(x, rng)`` returns a changed copy of a batch of examples.
    seed : int
        Decides the order of the examples and the augmentation: same seed, same result.
    checkpoint : path, optional
        A file that holds the state of the run after the last whole epoch. A run that is stopped at any moment, and
        resumed, ends with the same bits as one that was not.
    resume : bool
        Go on from the checkpoint, if there is one; all other arguments must be those of the first call, and that run
        must have ended.
    progress : bool
        Whether to show a progress bar.
    callbacks : sequence of Callback
        Called after each step and each epoch, such as `EarlyStopping`, `CSVLogger`, or one of your own.
    communicator : cnnlib.data_parallel.Communicator, optional
        Where several processes train the network together: every process calls `train` with the same arguments. The
        result is that of one process, but for the order of sums, hence for the last bits.

    Returns
    -------
    dict of str to list
        A number for each epoch: ``loss`` and ``accuracy`` (means over the batches, each before its step),
        ``validation_loss`` and ``validation_accuracy`` (empty without validation), ``seconds``, ``learning_rate`` (at
        the end of the epoch); and a number for each step: ``batch_loss``.

    Raises
    ------
    TypeError, ValueError
        If shapes or labels do not fit, or numbers are not finite; if the checkpoint is damaged, or of another run.
    FileExistsError
        If there is a checkpoint already and `resume` is false.
    RuntimeError
        If another run is writing to that checkpoint.
    FloatingPointError
        If the loss or a parameter is no longer a finite number; the usual cause is too high a learning rate. The
        network then has the weights of its last good epoch.
    """
    optimizer, loss = default(optimizer, SGD), default(loss, CategoricalCrossEntropy)
    check_kinds(optimizer, loss, schedule, augment, communicator, resume, progress, callbacks)
    (x, t), validation = check_examples(network, x, t, loss), check_validation(network, validation, loss)
    seed, epochs = check_int("seed", seed, minimum=0), check_positive_int("epochs", epochs)
    steps = -(-len(x) // check_positive_int("batch_size", batch_size))  # per epoch, rounded up
    run = Run(network, optimizer, np.random.default_rng(seed), epochs, steps, communicator)
    callbacks = [FiniteCheck(), History(validation, loss), *callbacks]
    if checkpoint is not None:
        run.settings = describe(run, batch_size, seed, (loss, schedule, augment), (x, t, *(validation or ())))
        callbacks.append(Checkpoint(checkpoint))
    if progress and run.is_main:
        callbacks.append(ProgressBar())
    with nullcontext() if checkpoint is None else start_or_resume(run, checkpoint, resume):
        notify(callbacks, "on_train_begin", run)
        try:
            fast = network.fused(needs_dx=False, training=True)
            while run.epoch < epochs and not run.stop:
                run_epoch(run, fast, x, t, batch_size, loss, schedule, augment, callbacks)
        finally:
            notify(callbacks, "on_train_end", run)
    return run.history


def run_epoch(
    run: "Run", network, x: np.ndarray, t: np.ndarray, batch_size: int, loss: Loss, schedule, augment, callbacks
) -> None:
    """Go through all examples once: pick a batch, go forward, compute the loss, go backward, take a step."""
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):  # FiniteCheck says it better
        for step, batch in enumerate(shuffled_batches(len(x), batch_size, run.rng)):
            run.step = step
            run.scale = check_number(f"what the schedule returns at {run.progress:.3g}", schedule(run.progress))
            examples = x[batch] if augment is None else augment(x[batch], run.rng)
            result = train_step(network, examples, t[batch], run.optimizer, loss, run.scale, run.communicator)
            run.loss, run.accuracy, run.batch_size = *result, len(batch)
            notify(callbacks, "on_step_end", run)
    run.epoch += 1
    notify(callbacks, "on_epoch_end", run)


def train_step(
    network, x: np.ndarray, t: np.ndarray, optimizer: Optimizer, loss: Loss, scale: float = 1.0, communicator=None
) -> tuple[float, float]:
    """Take one step on one batch: compute the gradients, and move the parameters.

    Returns
    -------
    tuple of float
        The loss and the accuracy before the step.
    """
    check_instance("optimizer", optimizer, Optimizer, "an Optimizer, such as SGD(0.1)")
    if communicator is None:
        result, gradients = backpropagate(network, x, t, loss), network.gradients()
    else:
        result, gradients = communicator.backpropagate(network, x, t, loss)
    parameters = network.parameters()
    optimizer.step([(parameters[name], gradients[name]) for name in parameters], scale)
    return result


def backpropagate(network, x: np.ndarray, t: np.ndarray, loss: Loss, weight: float = 1.0) -> tuple[float, float]:
    """Compute the gradients of ``weight * loss`` for one batch: forward, loss, backward.

    The weight is for a batch in parts: the share of these examples in it.

    Returns
    -------
    tuple of float
        The loss and the accuracy, both times `weight`.
    """
    layers, loss = scores_and_loss(network, loss)
    y = layers.forward(network.to_input(x))
    layers.backward(weight * loss.gradient(y, t))
    return weight * loss.value(y, t), weight * accuracy(y, t)


def scores_and_loss(network: Sequential, loss: Loss) -> tuple[Sequential, Loss]:
    """Return the layers and the loss that training uses: softmax and cross-entropy are exact only together."""
    check_instance("loss", loss, Loss, "a Loss, such as MeanSquaredError()")
    if isinstance(loss, CategoricalCrossEntropy) and isinstance(network[-1], Softmax) and len(network) > 1:
        return network[:-1], SoftmaxCrossEntropy()
    return network, loss


def accuracy(y: np.ndarray, t: np.ndarray) -> float:
    """Return the share of examples whose highest score is at the target; of one output, whose side of 1/2 is right.

    It is NaN if a score is: of such scores none is the highest.

    Parameters
    ----------
    y, t : ndarray of shape (N, M)
        Scores or probabilities, and targets.

    Raises
    ------
    ValueError
        If the shapes differ or are not (N, M), or if there are no examples.
    """
    y, t = as_array("scores", y), as_array("targets", t)
    if y.ndim != 2 or y.shape != t.shape or not y.size:
        raise ValueError(f"accuracy expects scores and targets of one shape (N, M), N > 0, got {y.shape} and {t.shape}")
    if np.isnan(y.sum() + t.sum()):
        return math.nan
    if y.shape[1] == 1:
        return float(np.mean((y > 0.5) == (t > 0.5)))
    return float(np.mean(y.argmax(axis=1) == t.argmax(axis=1)))


def shuffled_batches(N: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the numbers from 0 to N - 1 in a random order, batch by batch."""
    order = rng.permutation(N)
    for start in range(0, N, batch_size):
        yield order[start : start + batch_size]


def check_kinds(optimizer, loss, schedule, augment, communicator, resume, progress, callbacks) -> None:
    """Raise a TypeError if an argument of `train` is not the kind of thing that it must be."""
    check_instance("optimizer", optimizer, Optimizer, "an Optimizer, such as SGD(0.1)")
    check_instance("loss", loss, Loss, "a Loss, such as MeanSquaredError()")
    check_instance("schedule", schedule, Callable, "a function, such as one_cycle")
    check_instance("augment", augment, Callable | None, "a function of (x, rng)")
    check_instance("resume", resume, bool, "True or False")
    check_instance("progress", progress, bool, "True or False")
    for callback in check_instance("callbacks", callbacks, Sequence, "a list of Callback"):
        check_instance("each of callbacks", callback, Callback, "a Callback, such as EarlyStopping()")
    if communicator is not None and not hasattr(communicator, "backpropagate"):
        raise TypeError(f"communicator must be a cnnlib.data_parallel.Communicator, got {shown(communicator)}")


def check_examples(network, x: np.ndarray, t: np.ndarray, loss: Loss) -> tuple[np.ndarray, np.ndarray]:
    """Return examples and their targets as arrays, or raise an error that says why a network cannot train on them."""
    batch = network.as_batch(x)  # raises if they do not fit; they keep their shape, which `augment` may know
    if len(batch) == 0:
        raise ValueError(f"there is nothing to train on: x holds no examples, its shape is {batch.shape}")
    t = network.as_targets(t, len(batch))
    scores_and_loss(network, loss)[1].check(np.empty_like(t), t)
    return np.asarray(x), t


def default(value, kind: type):
    """Return `value`, or a new object of that class for None; what is merely false, such as "", is an error later."""
    return kind() if value is None else value


def check_validation(network, validation, loss: Loss) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a pair of examples and targets as arrays, or raise an error that says what is wrong with them."""
    if validation is None:
        return None
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise TypeError(f"validation must be a tuple of x and t, got {shown(validation)}")
    try:
        return check_examples(network, *validation, loss)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation: {error}") from None


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


@contextlib.contextmanager
def start_or_resume(run: Run, path: str | os.PathLike, resume: bool) -> Iterator[None]:
    """Write the first checkpoint of a run, or bring the run to where the checkpoint that is there says.

    As long as the context lasts, no other run can do so.
    """
    with exclusive(path) if run.is_main else nullcontext():
        _start_or_resume(run, path, resume)
        yield


def _start_or_resume(run: Run, path: str | os.PathLike, resume: bool) -> None:
    if run.optimizer.steps:
        raise ValueError(
            f"{run.optimizer!r} has taken {run.optimizer.steps} steps already: a run with a checkpoint begins with a "
            "new optimizer"
        )
    state = None
    if run.is_main:
        if not os.path.exists(path):
            save_checkpoint(path, run)
        elif not resume:
            raise FileExistsError(
                f"{os.fspath(path)} is there already: pass resume=True to go on with that run, or remove it"
            )
        state = load_checkpoint(path, run)
    if run.communicator is not None:
        state = run.communicator.broadcast(state)
    restore_checkpoint(run, state)
    run.epoch = len(run.history["loss"])


def fingerprint(*arrays: np.ndarray) -> str:
    """Return a checksum of arrays: the same only for the same numbers in the same order."""
    digest = hashlib.sha256()
    for array in map(np.ascontiguousarray, arrays):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def describe(run: Run, batch_size: int, seed: int, functions: tuple, data: tuple[np.ndarray, ...]) -> dict:
    """Return what a checkpoint says of a run: of a function its name, of an object how it is printed."""
    settings = {"epochs": run.epochs, "batch_size": int(batch_size), "seed": seed, "network": run.network.config}
    for name, setting in zip(("optimizer", "loss", "schedule", "augment"), (run.optimizer, *functions), strict=True):
        settings[name] = getattr(setting, "__name__", repr(setting))
    return settings | {"data": fingerprint(*data)}


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
        self.good = {name: check_finite(name, array).copy() for name, array in run.network.parameters().items()}

    def on_step_end(self, run: Run) -> None:
        self.first_loss = run.loss if self.first_loss is None else self.first_loss
        if not math.isfinite(run.loss):
            self.stop(run, f"the loss became {run.loss}", run.epoch)

    def on_epoch_end(self, run: Run) -> None:
        for name, array in run.network.parameters().items():
            if not np.isfinite(array).all():
                self.stop(run, f"{name} is no longer finite", run.epoch - 1)
        for name, array in run.network.parameters().items():
            self.good[name][...] = array

    def stop(self, run: Run, what: str, epoch: int) -> None:
        """Give the network its last good weights, and raise a FloatingPointError."""
        for name, array in run.network.parameters().items():
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
            run.arrays |= {f"best.{name}": array.copy() for name, array in run.network.parameters().items()}

    def update(self, run: Run) -> None:
        """Find the best epoch of the history, and whether to stop."""
        sign = -1 if self.monitor.endswith("accuracy") else 1
        best, self.best_epoch = math.inf, 0
        for epoch, value in enumerate(run.history[self.monitor], start=1):
            if sign * value < best - self.min_delta:
                best, self.best_epoch = sign * value, epoch
        run.stop = run.epoch - self.best_epoch >= self.patience

    def on_train_end(self, run: Run) -> None:
        for name, array in run.network.parameters().items():
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
