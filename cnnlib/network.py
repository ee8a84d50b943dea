"""The network: layers in a row, trained by mini-batch gradient descent."""

import copy
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm.auto import tqdm

from cnnlib.activations import ReLU, Sigmoid, Softmax
from cnnlib.checkpoint import load_checkpoint, save_checkpoint
from cnnlib.convolution import Convolutional
from cnnlib.dense import Dense
from cnnlib.fused import fuse, shallow_copy
from cnnlib.layer import Layer, batch_last
from cnnlib.losses import CategoricalCrossEntropy, Loss, SoftmaxCrossEntropy, one_hot
from cnnlib.optimizers import SGD, Optimizer, Schedule, constant
from cnnlib.parallel import BLAS, threads, trainer
from cnnlib.pooling import Flatten, MaxPooling
from cnnlib.storage import load_arrays, save_arrays
from cnnlib.validation import positive

# The only classes that a file may name.
LAYERS = {layer.__name__: layer for layer in (Convolutional, Dense, Flatten, MaxPooling, ReLU, Sigmoid, Softmax)}


class Network:
    """A sequence of layers: the output of each is the input of the next.

    Parameters
    ----------
    layers : list of Layer
    input_shape : tuple of int
        The shape of one example: ``(C, H, W)`` for images, ``(D,)`` for features.

    Raises
    ------
    ValueError
        If a layer does not fit the one before it, or stands in two places: what it keeps for `backward` it keeps once.

    Notes
    -----
    Images of one channel may be given without it, as ``(N, H, W)``. Arrays of dtype uint8 are taken as images with
    values from 0 to 255 and divided by 255; every other array is taken as it is.
    """

    def __init__(self, layers: list[Layer], input_shape: tuple[int, ...]):
        if not layers:
            raise ValueError("a network needs at least one layer")
        for index, layer in enumerate(layers):
            if any(layer is other for other in layers[:index]):
                raise ValueError(f"layer {index}, {layer!r}, stands there twice: every place needs its own object")
        self.layers = list(layers)
        self.input_shape = tuple(positive("input_shape", size) for size in input_shape)
        self.output_shape = self.shapes[-1]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the output (N, ...) for one batch that `prepare` has brought into shape."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Let every layer compute its gradients, from the last to the first, and return dL/dx."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def parameters(self) -> dict[str, np.ndarray]:
        """The trainable arrays of all layers: ``"W0"`` is the W of layer 0."""
        return {
            f"{name}{i}": array for i, layer in enumerate(self.layers) for name, array in layer.parameters().items()
        }

    def gradients(self) -> dict[str, np.ndarray]:
        """The gradients that the last `backward` left, under the names of their parameters."""
        return {f"{name}{i}": array for i, layer in enumerate(self.layers) for name, array in layer.gradients().items()}

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of one example after each layer; ValueError if a layer does not fit the one before it."""
        shapes, shape = [], self.input_shape
        for index, layer in enumerate(self.layers):
            try:
                shape = layer.output_shape(shape)
            except ValueError as error:
                raise ValueError(f"layer {index} does not fit: {error}") from error
            shapes.append(shape)
        return shapes

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the parameters, in which everything is computed."""
        trainable = (layer for layer in self.layers if layer.params)
        return next((getattr(layer, layer.params[0]).dtype for layer in trainable), np.dtype(np.float32))

    def astype(self, dtype: np.typing.DTypeLike) -> "Network":
        """Convert all parameters, in place; return the network."""
        for layer in self.layers:
            layer.astype(dtype)
        return self

    def fused(self, needs_dx: bool = True) -> "Network":
        """Return a network that computes the same with the same parameter arrays, faster: see `cnnlib.fused`.

        It is what `train`, `predict` and `evaluate` work with. Saving, checking and reading are for the plain layers.

        Parameters
        ----------
        needs_dx : bool
            Whether its `backward` shall return the gradient of the input: training has no use for it.
        """
        network = copy.copy(self)
        network.layers = fuse(self.layers)
        network.layers[0].needs_dx = needs_dx
        return network

    def examples(self, x: np.ndarray) -> np.ndarray:
        """Return a batch in the shape ``(N, *input_shape)``, or raise a ValueError that says why it does not fit."""
        x = np.asarray(x)
        if self.input_shape[0] == 1 and x.ndim == len(self.input_shape):
            x = x[:, np.newaxis]
        if x.shape[1:] != self.input_shape:
            shape = ", ".join(map(str, self.input_shape))
            raise ValueError(f"expected a batch of examples of shape (N, {shape}), got an array of shape {x.shape}")
        return x

    def prepare(self, x: np.ndarray) -> np.ndarray:
        """Return a batch as `forward` wants it: ``(N, *input_shape)``, of the network's dtype, batch last in memory."""
        x = self.examples(x)
        if x.dtype == np.uint8:
            x = batch_last(x).astype(self.dtype)
            x /= 255
            return x
        return batch_last(x).astype(self.dtype, copy=False)

    def predict(self, x: np.ndarray, batch_size: int = 128) -> np.ndarray:
        """Return the output for any number of examples: with a softmax at the end, their probabilities (N, M)."""
        return self._run(fuse(self.layers), x, batch_size)

    def evaluate(self, x: np.ndarray, t: np.ndarray, loss: Loss | None = None) -> tuple[float, float]:
        """Return the mean loss and the accuracy on examples `x` with targets `t` (see `train`)."""
        layers, loss = self.fused()._trained_part(loss or CategoricalCrossEntropy())
        y, t = self._run(layers, x), self._targets(t, len(x))
        return loss.value(y, t), accuracy(y, t)

    def backpropagate(self, x: np.ndarray, t: np.ndarray, loss: Loss, weight: float = 1.0) -> tuple[float, np.ndarray]:
        """Compute the gradients of ``weight * loss`` for one batch: prepare, forward, loss, backward.

        The weight is for a batch in parts: the share of these examples in it.

        Returns
        -------
        tuple of float and ndarray
            The weighted loss, and the scores that it was computed from.
        """
        layers, loss = self._trained_part(loss)
        y = self.prepare(x)
        for layer in layers:
            y = layer.forward(y)
        dy = weight * loss.gradient(y, t)
        for layer in reversed(layers):
            dy = layer.backward(dy)
        return weight * loss.value(y, t), y

    def train_step(
        self, x: np.ndarray, t: np.ndarray, optimizer: Optimizer, loss: Loss, factor: float = 1.0
    ) -> tuple[float, np.ndarray]:
        """Take one step on one batch: compute the gradients, and move the parameters.

        Returns
        -------
        tuple of float and ndarray
            The loss before the step, and the scores that it was computed from.
        """
        value, y = self.backpropagate(x, t, loss)
        parameters, gradients = self.parameters(), self.gradients()
        optimizer.step([(parameters[name], gradients[name]) for name in parameters], factor)
        return value, y

    def train(
        self,
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
    ) -> dict[str, list[float]]:
        """Train by mini-batch gradient descent, and return the history.

        The steps are taken by `fused` copies of the layers, which share the parameters and keep all else to themselves:
        a layer's own ``dW`` is not set by training. Long runs of convolutional networks use a second process, where the
        matrix product may use two threads or more (see `cnnlib.parallel`): ``threadpoolctl.threadpool_limits(1)``, or
        ``OPENBLAS_NUM_THREADS=1`` in the environment, keep it to one.

        Parameters
        ----------
        x : ndarray of shape (N, *input_shape)
            Images of one channel may also be (N, H, W).
        t : ndarray
            Class numbers (N,), or targets of the shape of the output, such as one-hot rows (N, M).
        epochs : int
            How often to go through all examples, in a new random order each time.
        batch_size : int
            Examples a step; the last batch of an epoch may be smaller.
        optimizer : Optimizer, optional
            By default `SGD` with rate 0.05 and momentum 0.9.
        schedule : callable
            From progress (0 at the first step, nearly 1 at the last) to a factor of the optimizer's rate.
        loss : Loss, optional
            By default `CategoricalCrossEntropy`; after a `Softmax` it is computed exactly, by `SoftmaxCrossEntropy`.
        validation : tuple of x and t, optional
            Examples to evaluate on, after each epoch.
        augment : callable, optional
            ``augment(x, rng)`` returns a changed copy of a batch of examples.
        seed : int
            Decides the order of the examples and the augmentation: same seed, same result. (With one or two processes,
            sums are added up in another order, so that their last bits differ.)
        checkpoint : path, optional
            A file that holds the state of the run after the last whole epoch. A run that is stopped at any moment, and
            resumed, ends with the same bits as one that was not, if it may use as many threads.
        resume : bool
            Go on from the checkpoint, if there is one; all other arguments must be those of the first call.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        dict of str to list
            A number for each epoch: ``loss`` and ``accuracy`` (means over the batches, each before its step),
            ``validation_loss`` and ``validation_accuracy`` (empty without validation), ``seconds``, ``rate`` (at the
            end of the epoch); and a number for each step: ``batch_loss``.

        Raises
        ------
        ValueError
            If shapes or labels do not fit.
        FileExistsError
            If there is a checkpoint already and `resume` is false.
        FloatingPointError
            If the loss is no longer a finite number; the usual cause is too high a rate.
        """
        optimizer = optimizer or SGD()
        loss = loss or CategoricalCrossEntropy()
        x, t = np.asarray(x), self._targets(t, len(x))
        self.prepare(x[:1])  # a wrong shape shows now
        if len(x) == 0:
            raise ValueError("there is nothing to train on: x holds no examples")
        positive("epochs", epochs)
        rng = np.random.default_rng(seed)
        steps = -(-len(x) // positive("batch_size", batch_size))  # an epoch
        history = {name: [] for name in HISTORY}
        if checkpoint is not None:
            run = {
                "network": self.config,
                "examples": len(x),
                "epochs": epochs,
                "batch_size": batch_size,
                "optimizer": repr(optimizer),
                "schedule": getattr(schedule, "__name__", repr(schedule)),
                "loss": repr(loss),
                "augment": getattr(augment, "__name__", repr(augment)),
                "seed": seed,
            }
            state = (self.parameters(), optimizer, rng)
            if not os.path.exists(checkpoint):
                save_checkpoint(checkpoint, run, *state, history)
            elif resume:
                history = load_checkpoint(checkpoint, run, *state)
            else:
                raise FileExistsError(
                    f"{os.fspath(checkpoint)} is there already: pass resume=True to go on with that run, or remove it"
                )

        # tqdm obeys TQDM_DISABLE in a terminal, but not in a notebook: stored notebooks want no bars.
        hidden = not progress or bool(os.environ.get("TQDM_DISABLE"))
        bar = tqdm(total=epochs * steps, unit="step", disable=hidden)
        bar.update(steps * len(history["loss"]))
        with trainer(self, loss, min(batch_size, len(x)), epochs * steps) as network:  # fused, or two processes
            for epoch in range(len(history["loss"]), epochs):
                start, losses, correct = time.perf_counter(), [], 0.0
                bar.set_description(f"Epoch {epoch + 1}/{epochs}")
                for step, batch in enumerate(_batches(len(x), batch_size, rng)):
                    factor = schedule((epoch * steps + step) / (epochs * steps))
                    examples = x[batch] if augment is None else augment(x[batch], rng)
                    with np.errstate(over="ignore", invalid="ignore"):  # said better below
                        value, y = network.train_step(examples, t[batch], optimizer, loss, factor)
                    if not np.isfinite(value):
                        bar.close()
                        raise FloatingPointError(
                            f"the loss became {value} in epoch {epoch + 1}, step {step + 1}: "
                            f"try a learning rate below {optimizer.rate * factor:.3g}"
                        )
                    losses.append(value)
                    correct += accuracy(y, t[batch]) * len(batch)
                    bar.set_postfix(loss=f"{np.mean(losses[-100:]):.3f}", refresh=False)
                    bar.update()
                sizes = np.full(steps, batch_size)
                sizes[-1] = len(x) - batch_size * (steps - 1)
                history["loss"].append(float(np.average(losses, weights=sizes)))
                history["accuracy"].append(correct / len(x))
                history["batch_loss"].extend(losses)
                history["rate"].append(optimizer.rate * factor)
                if validation is not None:
                    value, share = self.evaluate(*validation, loss)
                    history["validation_loss"].append(value)
                    history["validation_accuracy"].append(share)
                history["seconds"].append(time.perf_counter() - start)
                if checkpoint is not None:
                    save_checkpoint(checkpoint, run, *state, history)
        bar.close()
        return history

    def summary(self) -> str:
        """Return a table of the layers, the shapes of their outputs and the number of their parameters."""
        rows = [("Layer", "Output shape", "Parameters"), ("input", f"(N, {', '.join(map(str, self.input_shape))})", "")]
        for layer, shape in zip(self.layers, self.shapes, strict=True):
            count = sum(array.size for array in layer.parameters().values())
            rows.append((type(layer).__name__, f"(N, {', '.join(map(str, shape))})", f"{count:,}" if count else ""))
        rows.append(("Total", "", f"{self.parameter_count:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows]
        rule = "-" * (sum(widths) + 4)
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    @property
    def parameter_count(self) -> int:
        """How many numbers training may change."""
        return sum(array.size for array in self.parameters().values())

    @property
    def config(self) -> dict:
        """What `from_config` needs to build a network of the same architecture."""
        layers = [{"class": type(layer).__name__, **layer.config} for layer in self.layers]
        return {"input_shape": list(self.input_shape), "dtype": self.dtype.name, "layers": layers}

    def save(self, path: str | os.PathLike, **notes) -> None:
        """Write the network to one ``.npz`` file, whole or not at all; `notes` (JSON) are kept beside it.

        Raises
        ------
        TypeError
            If a layer is of a class that `load` would not build, such as one of your own.
        """
        for index, layer in enumerate(self.layers):
            if type(layer) not in LAYERS.values():
                raise TypeError(f"layer {index} is a {type(layer).__name__}: only {', '.join(LAYERS)} can be saved")
        save_arrays(path, self.parameters(), {"format": "cnnlib network 1", "network": self.config, "notes": notes})

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Network":
        """Read a network that `save` wrote. It predicts the same bits.

        Nothing in the file is run: arrays are read without pickle, and layers come from a fixed table.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is not such a network, or is damaged; the message says what is wrong.
        """
        arrays, description = load_arrays(path)
        try:
            if description.get("format") != "cnnlib network 1":
                raise ValueError(f"its format is {description.get('format')!r}, expected 'cnnlib network 1'")
            network = from_config(description["network"], arrays)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} does not hold a network: {error}") from error
        network.notes = description.get("notes", {})
        return network

    def __repr__(self) -> str:
        return f"Network({len(self.layers)} layers, {self.parameter_count:,} parameters)"

    def _run(self, layers: list[Layer], x: np.ndarray, batch_size: int = 128) -> np.ndarray:
        """Send any number of examples through `layers`, in batches; several batches in as many threads as BLAS may use.

        NumPy lets other threads run while it computes. To give every core whole batches is better than to let all of
        them share each small matrix product: the copies and maxima in between are shared out, too.
        """
        positive("batch_size", batch_size)
        x = np.asarray(x)
        if len(x) == 0:
            self.prepare(x)
            return np.empty((0, *self.output_shape), self.dtype)
        if len(x) <= batch_size:
            return _forward(layers, self.prepare(x))
        batches = [x[start : start + batch_size] for start in range(0, len(x), batch_size)]
        count = threads()

        def work(some: list[np.ndarray]) -> list[np.ndarray]:
            own = [shallow_copy(layer) for layer in layers]  # layers keep what they have seen
            return [_forward(own, self.prepare(batch)) for batch in some]

        shares = [batches[len(batches) * i // count : len(batches) * (i + 1) // count] for i in range(count)]
        with BLAS.limit(limits=1), ThreadPoolExecutor(count) as pool:
            return np.concatenate([y for outputs in pool.map(work, shares) for y in outputs])

    def _trained_part(self, loss: Loss) -> tuple[list[Layer], Loss]:
        """Return the layers and the loss that training uses: softmax and cross-entropy are exact only together."""
        if isinstance(loss, CategoricalCrossEntropy) and isinstance(self.layers[-1], Softmax) and len(self.layers) > 1:
            return self.layers[:-1], SoftmaxCrossEntropy()
        return self.layers, loss

    def _targets(self, t: np.ndarray, count: int) -> np.ndarray:
        """Return targets (N, M) of the network's dtype, from class numbers (N,) or from targets."""
        t = np.asarray(t)
        if t.ndim == 1 and len(self.output_shape) == 1 and self.output_shape[0] > 1:
            t = one_hot(t, self.output_shape[0], self.dtype)
        if t.shape != (count, *self.output_shape):
            shape = ", ".join(map(str, self.output_shape))
            raise ValueError(
                f"{count} examples need targets of shape ({count}, {shape}), got an array of shape {t.shape}"
            )
        return t.astype(self.dtype, copy=False)


HISTORY = ("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds", "rate", "batch_loss")


def accuracy(y: np.ndarray, t: np.ndarray) -> float:
    """Return the share of examples whose highest score is at the target; of one output, whose side of 1/2 is right."""
    if y.shape[1] == 1:
        return float(np.mean((y > 0.5) == (t > 0.5)))
    return float(np.mean(y.argmax(axis=1) == t.argmax(axis=1)))


def _forward(layers: list[Layer], y: np.ndarray) -> np.ndarray:
    for layer in layers:
        y = layer.forward(y)
    return y


def _batches(count: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the numbers from 0 to count - 1 in a random order, batch by batch."""
    order = rng.permutation(count)
    for start in range(0, count, batch_size):
        yield order[start : start + batch_size]


def from_config(config: dict, arrays: dict[str, np.ndarray]) -> Network:
    """Build a network from its `config` and its arrays, which must fit it exactly."""
    if config["dtype"] not in ("float32", "float64"):
        raise ValueError(f"its dtype is {config['dtype']!r}, expected float32 or float64")
    layers = []
    for index, entry in enumerate(config["layers"]):
        entry = dict(entry)
        name = entry.pop("class")
        if name not in LAYERS:
            raise ValueError(f"layer {index} is of the class {name!r}, expected one of {', '.join(LAYERS)}")
        layer = LAYERS[name](**entry)
        for name, parameter in layer.parameters().items():
            array = arrays.pop(f"{name}{index}")
            if array.shape != parameter.shape or array.dtype != config["dtype"]:
                raise ValueError(
                    f"{name} of layer {index} is {array.dtype} of shape {array.shape}, "
                    f"expected {config['dtype']} of shape {parameter.shape}"
                )
            setattr(layer, name, array)
        layers.append(layer)
    if arrays:
        raise ValueError(f"it holds arrays of no layer: {', '.join(sorted(arrays))}")
    return Network(layers, tuple(config["input_shape"]))
