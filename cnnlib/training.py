"""Training: pick a batch, go forward, compute the loss, go backward, take a step.

All else that happens in a run, its history, its progress bar, its checkpoints, is wrapped around this loop, see
`cnnlib.callbacks`.
"""

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cnnlib import checks, devices
from cnnlib.blas import one_blas_thread
from cnnlib.callbacks import Callback, Checkpoint, FiniteCheck, History, ProgressBar, Run, begun, describe, notify
from cnnlib.layers import Sequential, Softmax
from cnnlib.losses import CategoricalCrossEntropy, Loss, SoftmaxCrossEntropy
from cnnlib.optimizers import SGD, Optimizer
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
    x : ndarray of shape ``(N, *input_shape)``
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
    optimizer = SGD() if optimizer is None else optimizer
    loss = CategoricalCrossEntropy() if loss is None else loss
    checks.check_instance("optimizer", optimizer, Optimizer, "an Optimizer, such as SGD(0.1)")
    checks.check_run(schedule, augment, resume, progress, callbacks, communicator, Callback)
    trained_loss = scores_and_loss(network, loss)[1]
    x, t = checks.check_examples(network, x, t, trained_loss)
    validation = checks.check_validation(network, validation, trained_loss)
    seed, epochs = checks.check_int("seed", seed, minimum=0), checks.check_positive_int("epochs", epochs)
    steps = -(-len(x) // checks.check_positive_int("batch_size", batch_size))  # per epoch, rounded up
    run = Run(network, optimizer, np.random.default_rng(seed), epochs, steps, communicator)
    callbacks = [FiniteCheck(loss), History(validation, loss), *callbacks]
    if checkpoint is not None:
        run.settings = describe(run, batch_size, seed, (loss, schedule, augment), (x, t, *(validation or ())))
        callbacks.append(Checkpoint(checkpoint, resume))
    if progress and run.is_main:
        callbacks.append(ProgressBar())
    with begun(run, callbacks):
        fast = network.fused(needs_dx=False, training=True, rng=run.rng, communicator=communicator)
        while run.epoch < epochs and not run.stop:
            run_epoch(run, fast, x, t, batch_size, loss, schedule, augment, callbacks)
    return run.history


def run_epoch(run: Run, network, x, t, batch_size: int, loss: Loss, schedule, augment, callbacks) -> None:
    """Go through all examples once: pick a batch, go forward, compute the loss, go backward, take a step."""
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):  # FiniteCheck says it better
        for step, batch in enumerate(shuffled_batches(len(x), batch_size, run.rng)):
            run.step = step
            run.scale = checks.check_number(f"what the schedule returns at {run.progress:.3g}", schedule(run.progress))
            examples = x[batch] if augment is None else checks.check_augmented(augment(x[batch], run.rng), len(batch))
            result = train_step(network, examples, t[batch], run.optimizer, loss, run.scale, run.communicator)
            run.loss, run.accuracy, run.batch = *result, (examples, t[batch])
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
    checks.check_instance("optimizer", optimizer, Optimizer, "an Optimizer, such as SGD(0.1)")
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
    t = devices.move(network.as_targets(t, len(x)), x)
    y = layers.forward(x)
    layers.backward(weight * loss.gradient(y, t))
    return weight * loss.value(y, t), weight * (accuracy(y, t) if loss.has_accuracy else np.nan)


def scores_and_loss(network: Sequential, loss: Loss) -> tuple[Sequential, Loss]:
    """Return the layers and the loss that training uses: softmax and cross-entropy are exact only together."""
    checks.check_instance("loss", loss, Loss, "a Loss, such as MeanSquaredError()")
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
    y, t = checks.check_scores(y, t)
    if np.isnan(y.max() + t.max()):  # a maximum is NaN if one number is
        return np.nan
    if y.shape[1] == 1:
        return float(np.mean((y > 0.5) == (t > 0.5)))
    return float(np.mean(y.argmax(axis=1) == t.argmax(axis=1)))


def shuffled_batches(N: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the numbers from 0 to N - 1 in a random order, batch by batch."""
    order = rng.permutation(N)
    for start in range(0, N, batch_size):
        yield order[start : start + batch_size]
