"""The network: layers in a row, of which the shape of the input is known, and which can be trained and saved."""

import numpy as np

from cnnlib import devices, saving, training
from cnnlib.blas import blas_threads, one_blas_thread
from cnnlib.checks import as_array, check_batch, check_number, check_positive_int, check_shape, check_targets
from cnnlib.layers import Layer, Sequential, batch_last
from cnnlib.layers.fused_convolution import fuse
from cnnlib.layers.layer import all_layers, copy_layer
from cnnlib.losses import CategoricalCrossEntropy, Loss, one_hot


class Network(Sequential):
    """A `Sequential` that knows the shape of its input, so that it can be checked, trained, evaluated and saved.

    Parameters
    ----------
    layers : list of Layer
    input_shape : tuple of int
        The shape of one example: ``(C, H, W)`` for images, ``(D,)`` for features.
    max_input : float or None
        The largest size of a number in floating-point images; None for images of any scale.

    Raises
    ------
    TypeError, ValueError
        If a layer does not fit the one before it, or a layer object stands in two places.

    Notes
    -----
    Images of one channel may be given without it, as ``(N, H, W)``.

    The scale of images is decided by their dtype. *uint8 are pixels from 0 to 255, and are divided by 255. Floating
    point is scaled already.* (Booleans are 0 and 1.) What does not fit the rule is an error: other whole numbers, of
    which nobody can tell the scale, and floating-point numbers above `max_input`, which are pixels that nobody has
    divided. If uint8 holds nothing above 1, it is a mask rather than pixels, and there is a warning. Features (D,) are
    taken as they are, so uint8 is refused there.

    Examples
    --------
    >>> from cnnlib import Dense, ReLU, Softmax
    >>> layers = [Dense(4, 8, rng=0), ReLU(), Dense(8, 3, rng=1), Softmax()]
    >>> network = Network(layers, input_shape=(4,))
    >>> network.parameter_count
    67
    >>> network.predict(np.zeros((5, 4))).shape
    (5, 3)
    >>> len(network[:-1])
    3
    """

    def __init__(self, layers: list[Layer], input_shape: tuple[int, ...], max_input: float | None = 32.0):
        super().__init__(layers)
        self.input_shape = check_shape("input_shape", input_shape, minimum=1)
        self.max_input = None if max_input is None else check_number("max_input", max_input, "(0, inf)")
        self.notes: dict = {}
        self.output_shapes(self.input_shape)  # an error if layers do not fit

    def __getitem__(self, index: int | slice) -> "Layer | Network":
        """Return a layer, or for a slice the network of those layers, which are the same objects."""
        if not isinstance(index, slice):
            return super().__getitem__(index)
        start = index.indices(len(self))[0]
        if start:  # the numbers between two layers may have any size
            return Network(self.layers[index], self.shapes[start - 1], max_input=None)
        return Network(self.layers[index], self.input_shape, self.max_input)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of one example after each layer."""
        return self.output_shapes(self.input_shape)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the parameters, in which everything is computed."""
        return self.first_parameter.dtype

    @property
    def first_parameter(self) -> np.ndarray:
        """An array that has the dtype, and lies on the device, of all computing."""
        trainable = (layer for layer in all_layers(self) if layer.params)
        return next((getattr(layer, layer.params[0]) for layer in trainable), np.empty(0, np.float32))

    def fused(self, needs_dx: bool = True, training: bool = False, rng=None, communicator=None) -> "Network":
        """Return a network that computes the same with the same parameter arrays, faster: see `fused_convolution`.

        It is what `train`, `predict` and `evaluate` work with. Saving, checking and reading are for the plain layers.

        Parameters
        ----------
        needs_dx : bool
            Whether its `backward` shall return the gradient of the input: training has no use for it.
        training : bool
            Whether its layers are in training mode.
        rng, communicator
            What layers in training mode draw with, and the connection to the other processes that train with this one.
        """
        network = copy_layer(self) if devices.on_device(self.first_parameter) else fuse(self)
        network.needs_dx = needs_dx
        for layer in (network, *all_layers(network)):
            layer.training, layer.communicator, layer.is_checked = training, communicator, False
            if rng is not None:
                layer.rng = rng
        return network

    def as_batch(self, x: np.ndarray) -> np.ndarray:
        """Return a batch in the shape ``(N, *input_shape)``, or raise an error that says why it does not fit."""
        x = as_array("x", x)
        if self.input_shape[0] == 1 and x.ndim == len(self.input_shape):
            x = x[:, np.newaxis]
        return check_batch(self, x)

    def to_input(self, x: np.ndarray) -> np.ndarray:
        """Return a batch as `forward` needs it: of the network's dtype, on its device, batch last in memory."""
        x = devices.move(self.as_batch(x), self.first_parameter)
        if x.dtype == np.uint8:
            x = batch_last(x).astype(self.dtype)
            x /= 255
            return x
        return batch_last(x).astype(self.dtype, copy=False)

    def as_targets(self, t: np.ndarray, N: int) -> np.ndarray:
        """Return targets of the network's dtype and the shape of its output, from class numbers or from targets.

        For an output (N, M), class numbers are (N,), and for (N, M, H, W) they are (N, H, W).
        """
        t, shape = as_array("targets", t), self.shapes[-1]
        if t.ndim == len(shape) and shape[0] > 1:
            t = one_hot(t, shape[0], self.dtype)
        return check_targets(t, (N, *shape), self.dtype).astype(self.dtype, copy=False)

    def predict(self, x: np.ndarray, batch_size: int = 128) -> np.ndarray:
        """Return the output for any number of examples: with a softmax at the end, their probabilities (N, M).

        It lies where `x` lies.
        """
        return devices.move(predict_batches(self.fused(), self, x, check_positive_int("batch_size", batch_size)), x)

    def evaluate(self, x: np.ndarray, t: np.ndarray, loss: Loss | None = None) -> tuple[float, float]:
        """Return the mean loss and the accuracy on examples `x` with targets `t` (see `train`)."""
        loss = CategoricalCrossEntropy() if loss is None else loss
        layers, loss = training.scores_and_loss(self.fused(), loss)
        x = self.as_batch(x)
        t = devices.move(self.as_targets(t, len(x)), self.first_parameter)
        y = predict_batches(layers, self, x)
        return loss.value(y, t), training.accuracy(y, t)

    train = training.train
    train_step = training.train_step
    backpropagate = training.backpropagate
    save = saving.save_network
    load = classmethod(saving.load_network)

    def summary(self) -> str:
        """Return a table of the layers, the shapes of their outputs and the number of their parameters."""
        rows = [("Layer", "Output shape", "Parameters"), ("input", f"(N, {', '.join(map(str, self.input_shape))})", "")]
        rows += summary_rows(self, self.input_shape)
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
        """What `load` needs to build a network of the same architecture."""
        own = {"input_shape": list(self.input_shape), "max_input": self.max_input, "dtype": self.dtype.name}
        return own | super().config

    def __repr__(self) -> str:
        return f"Network({len(self.layers)} layers, {self.parameter_count:,} parameters)"


def predict_batches(layers: Sequential, network: Network, x: np.ndarray, batch_size: int = 128) -> np.ndarray:
    """Send any number of examples through `layers`, in batches; several batches in as many threads as BLAS may use.

    NumPy lets other threads run while it computes. To give every core whole batches is better than to let all of them
    share each small matrix product: the copies and maxima in between are shared out, too.
    """
    x = network.as_batch(x)
    if len(x) == 0:
        return np.empty((0, *network.shapes[-1]), network.dtype)
    if len(x) == 1:  # BLAS gives products as small as these to one thread, whatever is allowed
        return layers.forward(network.to_input(x))
    if len(x) <= batch_size:
        with one_blas_thread():
            return layers.forward(network.to_input(x))
    batches = [x[start : start + batch_size] for start in range(0, len(x), batch_size)]
    count = blas_threads()

    def work(part: list[np.ndarray]) -> list[np.ndarray]:
        own = copy_layer(layers)  # layers keep what they have seen
        return [own.forward(network.to_input(batch)) for batch in part]

    from concurrent.futures import ThreadPoolExecutor  # here, since it is slow to import

    parts = [batches[len(batches) * i // count : len(batches) * (i + 1) // count] for i in range(count)]
    with one_blas_thread(), ThreadPoolExecutor(count) as pool:
        return np.concatenate([y for outputs in pool.map(work, parts) for y in outputs])


def summary_rows(layers: Sequential, shape: tuple[int, ...], indent: str = "") -> list[tuple[str, str, str]]:
    """Return a row for every layer: its name, the shape of its output, and how many parameters it has."""
    rows = []
    for layer, output_shape in zip(layers, layers.output_shapes(shape), strict=True):
        count = sum(array.size for array in layer.parameters().values())
        output = f"(N, {', '.join(map(str, output_shape))})"
        rows.append((indent + type(layer).__name__, output, f"{count:,}" if count and not layer.layers else ""))
        if isinstance(layer, Sequential):
            rows += summary_rows(layer, shape, f"{indent}  ")
        shape = output_shape
    return rows
