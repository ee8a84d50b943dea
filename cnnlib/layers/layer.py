"""What every layer is, something that goes forward and then backward; and the layers that hold layers."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from cnnlib import checks, devices
from cnnlib.config import Configured


class Layer(Configured):
    """A differentiable function ``y = f(x)`` with, perhaps, trainable arrays.

    A subclass writes two methods. ``forward(x)`` returns ``y`` and keeps, in plain attributes, what the backward pass
    needs. ``backward(dy)`` stores the gradient of each trainable array beside it (``W`` and ``dW``, ``b`` and ``db``)
    and returns dL/dx. Both work on whole batches; the first axis counts the examples. A subclass for inputs of certain
    shapes also writes ``output_shape``.

    These methods are nothing but formulas. What they are given is checked here, for every subclass: before `forward`
    runs, `check_input`; before `backward` runs, `check_gradient`; and `output_shape` sees nothing but a shape.

    `forward` keeps its input and its output themselves, not copies, so neither may be changed in place before
    `backward`. Of what is kept as ``x`` or ``y``, some 256 numbers are compared, which are all of a small array.

    Attributes
    ----------
    params : tuple of str
        The names of the trainable arrays. Optimizers, saving and gradient checks all walk this one list.
    statistics : tuple of str
        The names of arrays that training changes, but not the optimizer; they are saved with the parameters.
    layers : sequence of Layer
        The layers that this one holds, if it holds any.
    needs_dx : bool
        Whether dL/dx is needed. Training does not need it of the first layer, where it would be the gradient of the
        data; a layer for which it is expensive then returns None.
    is_checked : bool
        Whether what `forward` and `backward` are given is checked, and what they keep is watched. The copies that train
        and predict work with do without: they are given checked arrays, and do not give out what they keep.
    training : bool
        Whether the layer is in training mode. Layers that behave differently in prediction, such as dropout, look here.
        Training and prediction set it on copies of their own (see `copy_layer`); it is False on the layer itself.
    communicator : cnnlib.data_parallel.Communicator or None
        In training, the connection to the other processes that train together, if there are any.
    """

    params: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()
    layers: Sequence["Layer"] = ()
    needs_dx: bool = True
    is_checked: bool = True
    training: bool = False
    communicator = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        checks.wrap_methods(cls, checks.LAYER_METHODS)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return ``y = f(x)``."""
        raise NotImplementedError

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """Store dL/dparameter for every parameter, and return dL/dx."""
        raise NotImplementedError

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one output example, given that of one input example; ValueError if they do not fit."""
        return checks.check_shape("input_shape", input_shape)

    check_input = checks.check_input
    check_gradient = checks.check_gradient

    def parameters(self) -> dict[str, np.ndarray]:
        """The trainable arrays by name. They are the arrays themselves: changing one changes the layer.

        The W of a layer itself is ``"W"``, that of its layer 2 is ``"W2"``, and that of layer 0 in its layer 2 is
        ``"W2.0"``, at any depth.
        """
        own = {name: getattr(self, name) for name in self.params}
        return own | place_names(layer.parameters() for layer in self.layers)

    def saved_arrays(self) -> dict[str, np.ndarray]:
        """Parameters and statistics by name: all arrays that make a trained network."""
        own = {name: getattr(self, name) for name in (*self.params, *self.statistics)}
        return own | place_names(layer.saved_arrays() for layer in self.layers)

    def gradients(self) -> dict[str, np.ndarray]:
        """The gradients that the last `backward` left, under the names of their parameters.

        Raises
        ------
        RuntimeError
            If there was no backward pass yet.
        """
        checks.check_gradients_exist(self)
        own = {name: getattr(self, f"d{name}") for name in self.params}
        return own | place_names(layer.gradients() for layer in self.layers)

    def astype(self, dtype: np.typing.DTypeLike) -> "Layer":
        """Convert the parameters, in place, and with them everything that the layer computes; return the layer."""
        dtype = checks.check_dtype(dtype)
        return self.convert(lambda array: array.astype(dtype))

    def to(self, device: str) -> "Layer":
        """Move the parameters, in place, to a device, and with them everything that the layer computes.

        Parameters
        ----------
        device : {"cpu", "cuda"}
            The memory of the computer, or that of a graphics card, for which CuPy is needed: see `cnnlib.devices`.

        Returns
        -------
        Layer
            The layer itself.
        """
        return self.convert(devices.mover(device))

    def convert(self, function: Callable[[np.ndarray], np.ndarray]) -> "Layer":
        """Replace each parameter and statistic, at every depth, by what the function makes of it: all, or none."""
        layers = (self, *all_layers(self))
        names = [(layer, name) for layer in layers for name in (*layer.params, *layer.statistics)]
        for pair, array in [(pair, function(getattr(*pair))) for pair in names]:
            setattr(*pair, array)
        return self


def place_names(arrays: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Join the arrays of layers in a row under names that say where each is: the "W0.1" of layer 2 is "W2.0.1"."""
    joined = {}
    for index, layer_arrays in enumerate(arrays):
        for name, array in layer_arrays.items():
            kind = name.rstrip("0123456789.")
            path = ".".join(filter(None, (str(index), name.removeprefix(kind))))
            joined[kind + path] = array
    return joined


class Sequential(Layer):
    """Layers in a row: the output of each is the input of the next.

    It behaves as a sequence: ``len(s)``, ``s[0]``, ``for layer in s``; a slice such as ``s[:-1]`` is a `Sequential` of
    the same layer objects.

    Parameters
    ----------
    layers : list of Layer

    Input shape
        that of the first layer
    Output shape
        that of the last layer

    Raises
    ------
    TypeError
        If one of them is not a `Layer`.
    ValueError
        If there is none, if two parameters would have one name, or if a layer object stands in two places, at whatever
        depth: what it keeps for `backward` it keeps once.
    """

    def __init__(self, layers: Sequence[Layer]):
        self.layers = checks.check_layers(type(self).__name__, layers, Layer)

    def forward(self, x: np.ndarray) -> np.ndarray:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.output_shapes(input_shape)[-1]

    def output_shapes(self, input_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the shape of one example after each layer; ValueError if a layer does not fit the one before it."""
        shapes = []
        for index, layer in enumerate(self.layers):
            try:
                input_shape = layer.output_shape(input_shape)
            except ValueError as error:
                raise ValueError(f"layer {index} does not fit: {error}") from error
            shapes.append(input_shape)
        return shapes

    def check_input(self, x: np.typing.ArrayLike) -> np.ndarray:
        """Return `x` as an array: the layers check it further, one after the other."""
        return checks.as_float_array("x", x)

    @property
    def needs_dx(self) -> bool:
        return self.layers[0].needs_dx

    @needs_dx.setter
    def needs_dx(self, value: bool) -> None:
        self.layers[0].needs_dx = value

    @property
    def config(self) -> dict:
        return {"layers": [{"class": type(layer).__name__, **layer.config} for layer in self.layers]}

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice) -> "Layer | Sequential":
        checks.check_instance("index", index, int | np.integer | slice, "a whole number or a slice")
        return Sequential(self.layers[index]) if isinstance(index, slice) else self.layers[index]


class Residual(Sequential):
    """Add to the input what the layers make of it: ``y = x + f(x)``, hence ``dx = dy + f.backward(dy)``.

    The layers have to learn the difference to the identity only, and the gradient has a path on which nothing can make
    it smaller.

    Parameters
    ----------
    layers : list of Layer
        f; it must not change the shape.

    Input shape
        any
    Output shape
        the same

    References
    ----------
    He, Zhang, Ren and Sun (2016), "Deep residual learning for image recognition".
    """

    check_input = Layer.check_input  # first of all: a sum of different shapes could be broadcast

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x + super().forward(x)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        df = super().backward(dy)
        return dy + df if self.needs_dx else None

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = super().output_shape(input_shape)
        if shape != input_shape:
            raise ValueError(f"{type(self).__name__} adds f(x) to x: f must keep the shape {input_shape}, got {shape}")
        return shape


class Skip(Sequential):
    """Lay the input and what the layers make of it side by side: ``y = [x, f(x)]``, along the channels.

    On the way back each part gets its share, ``dx = dy[:, :C] + f.backward(dy[:, C:])``. Nested skips make a U-Net: f
    shrinks the image, holds the next skip, and enlarges it again.

    Parameters
    ----------
    layers : list of Layer
        f; it must not change height and width.

    Input shape
        ``(N, C, H, W)``, or features ``(N, C)``
    Output shape
        ``(N, C + F, H, W)``, where F is the number of channels of f(x)

    References
    ----------
    Ronneberger, Fischer and Brox (2015), "U-Net: convolutional networks for biomedical image segmentation".
    """

    check_input = Layer.check_input

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.channels = x.shape[1]
        return np.concatenate([x, super().forward(x)], axis=1)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        df = super().backward(dy[:, self.channels :])
        return dy[:, : self.channels] + df if self.needs_dx else None

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = super().output_shape(input_shape)
        if not shape or shape[1:] != input_shape[1:]:
            raise ValueError(
                f"{type(self).__name__} lays x and f(x) side by side: f must keep height and width, "
                f"{input_shape[1:]}, got {shape[1:]} for the input_shape {input_shape}"
            )
        return (input_shape[0] + shape[0], *input_shape[1:])


def all_layers(layer: Layer) -> Iterator[Layer]:
    """Yield all layers within a layer, at every depth."""
    for inner in layer.layers:
        yield inner
        yield from all_layers(inner)


def copy_layer(layer: Layer) -> Layer:
    """Return a copy that shares the trainable arrays with `layer`, and keeps all else to itself, at every depth."""
    twin = object.__new__(type(layer))  # as copy.copy does, five times as fast, which predicting one image notices
    twin.__dict__.update(layer.__dict__)
    if layer.layers:
        twin.layers = [copy_layer(inner) for inner in layer.layers]
    return twin


def batch_last(x: np.ndarray) -> np.ndarray:
    """Return `x`, of the same shape, laid out in memory so that neighbours in the batch are neighbours in memory.

    Images keep the shape ``(N, C, H, W)``, but lie in memory as ``(C, H, W, N)``: the same pixel of all N images side
    by side. A layer does the same thing to every image, so this order makes each of NumPy's inner loops N long and
    without gaps, whatever the size of the image. Every layer is right for any order, and fast for this one. (PyTorch
    calls such a thing a memory format; its `channels_last` is another.)
    """
    x = checks.as_examples(x)
    last = np.ascontiguousarray(x.transpose(*range(1, x.ndim), 0), like=x)
    return last.transpose(-1, *range(x.ndim - 1))
