"""Training: pick a batch, go forward, compute the loss, go backward, take a step.

All else that happens in a run, its history, its progress bar, its checkpoints, is wrapped around this loop, see
`cnnlib.callbacks`.
"""

import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext

import numpy as np

from cnnlib.blas import one_blas_thread
from cnnlib.callbacks import Callback, Checkpoint, FiniteCheck, History, ProgressBar, Run, notify
from cnnlib.config import as_array, check_instance, check_int, check_number, check_positive_int, shown
from cnnlib.files import exclusive
from cnnlib.layers import Sequential, Softmax
from cnnlib.losses import CategoricalCrossEntropy, Loss, SoftmaxCrossEntropy
from cnnlib.optimizers import SGD, Optimizer
from cnnlib.saving import load_checkpoint, restore_checkpoint, save_checkpoint
from cnnlib.schedules import Schedule, constant


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
    callbacks: Sequence[Callback] = (),
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
            fast = network.fused(needs_dx=False, training=True, rng=run.rng, communicator=communicator)
            while run.epoch < epochs and not run.stop:
                run_epoch(run, fast, x, t, batch_size, loss, schedule, augment, callbacks)
        finally:
            notify(callbacks, "on_train_end", run)
    return run.history


def run_epoch(
    run: Run, network, x: np.ndarray, t: np.ndarray, batch_size: int, loss: Loss, schedule, augment, callbacks
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
    x = network.to_input(x)
    t = network.as_targets(t, len(x))
    y = layers.forward(x)
    layers.backward(weight * loss.gradient(y, t))
    return weight * loss.value(y, t), weight * (accuracy(y, t) if loss.has_accuracy else math.nan)


def scores_and_loss(network: Sequential, loss: Loss) -> tuple[Sequential, Loss]:
    """Return the layers and the loss that training uses: softmax and cross-entropy are exact only together."""
    check_instance("loss", loss, Loss, "a Loss, such as MeanSquaredError()")
    if isinstance(loss, CategoricalCrossEntropy) and isinstance(network[-1], Softmax) and len(network) > 1:
        return network[:-1], SoftmaxCrossEntropy()
    return network, loss


def accuracy(y: np.ndarray, t: np.ndarray) -> float:
    """Return the share of examples whose highest score is at the target; of one output, whose side of 1/2 is right.

    It is NaN if a score is: of such scores none is the highest. Of images, it is the share of pixels.

    Parameters
    ----------
    y, t : ndarray of shape (N, M) or (N, M, H, W)
        Scores or probabilities, and targets.

    Raises
    ------
    ValueError
        If the shapes differ or are not (N, M, ...), or if there are no examples.
    """
    y, t = as_array("scores", y), as_array("targets", t)
    if y.ndim < 2 or y.shape != t.shape or not y.size:
        expected = "scores and targets of one shape (N, M, ...), N > 0"
        raise ValueError(f"accuracy expects {expected}, got {y.shape} and {t.shape}")
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
    t, loss = as_array("targets", t), scores_and_loss(network, loss)[1]
    for start in range(0, len(batch), 1024):  # one-hot rows for the pixels of all images would not fit into memory
        part = network.as_targets(t[start : start + 1024], min(1024, len(batch) - start))
        loss.check(np.empty_like(part), part)
    return np.asarray(x), t if t.ndim > 2 else network.as_targets(t, len(batch))


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
