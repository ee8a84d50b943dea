"""Arrays that lie elsewhere: the layers leave them there, and compute with them what they compute with NumPy's.

There is no graphics card here. In its place stands an array type that does what CuPy's does, as its documentation and
its source say: NumPy's functions are handed on to it, if CuPy has a function of that name; it refuses to become a NumPy
array, and to meet one; a reduction leaves an array of no axes, not a number. What it computes, NumPy computes, so that
results must be equal to the last bit.
"""

import copy
import importlib.util
import json
import sys
import types

import numpy as np
import pytest

import cnnlib
from cnnlib import callbacks, checks, devices
from cnnlib.layers.fused_convolution import FusedConvolution
from cnnlib.layers.layer import all_layers
from cnnlib.losses import LossPart
from cnnlib.onnx_export import export_onnx

# What the library calls, and CuPy 14 has: looked up in its package, and again below where it is installed.
UFUNCS = [
    "absolute",
    "add",
    "bitwise_and",
    "bitwise_or",
    "divide",
    "equal",
    "exp",
    "floor_divide",
    "greater",
    "greater_equal",
    "invert",
    "isfinite",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "matmul",
    "maximum",
    "multiply",
    "negative",
    "power",
    "sqrt",
    "square",
    "subtract",
]
FUNCTIONS = [
    "argwhere",
    "array",
    "asarray",
    "ascontiguousarray",
    "concatenate",
    "empty",
    "empty_like",
    "mean",
    "moveaxis",
    "ones",
    "ones_like",
    "put_along_axis",
    "sum",
    "where",
    "zeros",
    "zeros_like",
]
STRIDE_TRICKS = ["sliding_window_view"]


def refuse_numpy(*values):
    """Raise a TypeError if there is a NumPy array among arguments: CuPy does not fetch or send on its own."""
    for value in values:
        if isinstance(value, np.ndarray):
            raise TypeError(f"a NumPy array of shape {value.shape} meets one on the card")
        if isinstance(value, tuple | list):
            refuse_numpy(*value)


def peel(value):
    """Return what NumPy is to compute with in the place of a value."""
    if isinstance(value, CardArray):
        return value.inner
    return type(value)(map(peel, value)) if isinstance(value, tuple | list) else value


class CardArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array on a card that is not there."""

    def __init__(self, inner):
        self.inner = np.asarray(inner)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion to a NumPy array is not allowed: use get()")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if method != "__call__" or ufunc.__name__ not in UFUNCS:
            return NotImplemented
        refuse_numpy(*inputs, *(out or ()))
        if out is None:
            return CardArray(ufunc(*map(peel, inputs), **kwargs))
        ufunc(*map(peel, inputs), out=peel(out), **kwargs)
        return out[0]

    def __array_function__(self, func, types, args, kwargs):
        known = STRIDE_TRICKS if func.__module__ == "numpy.lib.stride_tricks" else FUNCTIONS
        if func.__name__ not in known or not func.__module__.startswith("numpy"):
            return NotImplemented
        if func.__name__ not in ("array", "asarray"):  # these send an array to the card
            refuse_numpy(*args, *kwargs.values())
        result = func(*map(peel, args), **{name: peel(value) for name, value in kwargs.items()})
        return None if result is None else CardArray(result)

    def __getitem__(self, index):
        return CardArray(self.inner[peel(index)])

    def __setitem__(self, index, value):
        refuse_numpy(value)
        self.inner[peel(index)] = peel(value)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __len__(self):
        return len(self.inner)

    def __bool__(self):
        return bool(self.inner)

    def __float__(self):
        return float(self.inner)

    def __int__(self):
        return int(self.inner)

    def __format__(self, spec):
        return format(self.inner, spec)

    def __str__(self):
        return str(self.inner)

    def __repr__(self):
        return f"CardArray({self.inner!r})"

    def get(self):
        return self.inner.copy()

    def ravel(self, order="C"):
        if order == "K":
            raise NotImplementedError("ravel with order='K' not yet implemented.")
        return CardArray(self.inner.ravel(order))


def method(name):
    def call(self, *args, **kwargs):
        refuse_numpy(*args, *kwargs.values())
        return CardArray(getattr(self.inner, name)(*map(peel, args), **kwargs))

    return call


for name in ["all", "any", "argmax", "astype", "copy", "max", "mean", "min", "reshape", "sum", "transpose"]:
    setattr(CardArray, name, method(name))
for name in ["dtype", "ndim", "shape", "size"]:
    setattr(CardArray, name, property(lambda self, name=name: getattr(self.inner, name)))
for name in ["tobytes", "tolist"]:
    setattr(CardArray, name, lambda self, name=name: getattr(self.inner, name)())
CardArray.T = property(lambda self: CardArray(self.inner.T))


@pytest.fixture
def card(monkeypatch):
    """CuPy, as far as `Network.to` knows it."""
    cupy = types.SimpleNamespace(asarray=send, cuda=types.SimpleNamespace(is_available=lambda: True))
    monkeypatch.setitem(sys.modules, "cupy", cupy)


def send(array):
    return array if isinstance(array, CardArray) else CardArray(np.array(array))


def same(*pairs):
    """Whether each pair is an array on the card, and the same numbers in NumPy."""
    for sent, array in pairs:
        assert isinstance(sent, CardArray) and sent.dtype == array.dtype
        np.testing.assert_array_equal(sent.get(), array)
    return True


def load_cases(name, attribute):
    """Return what another test of the library goes through."""
    path = __file__.replace("test_devices.py", name)
    spec = importlib.util.spec_from_file_location("cases", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, attribute)


LAYERS = load_cases("layers/test_layers.py", "LAYERS")
PARTS = [
    LossPart(slice(0, 1), cnnlib.SigmoidCrossEntropy(), 2.0),
    LossPart(slice(1, 4), cnnlib.MeanSquaredError(), 0.5, where=0),
]
LOSSES = [
    cnnlib.MeanSquaredError(),
    cnnlib.CategoricalCrossEntropy(),
    cnnlib.SoftmaxCrossEntropy(),
    cnnlib.SoftmaxCrossEntropy([1.0, 0.5, 2.0, 1.0]),
    cnnlib.SigmoidCrossEntropy(),
    cnnlib.SumOfLosses(PARTS),
]


def test_the_array_type_refuses_what_cupy_refuses():
    x, y = CardArray(np.ones(3)), np.ones(3)
    for call in (
        lambda: np.asarray(x),
        lambda: x + y,
        lambda: y * x,
        lambda: np.maximum(x, 0, out=y),
        lambda: np.vecdot(x, x),
        lambda: np.einsum("i,i", x, x),
        lambda: np.concatenate([x, y]),
        lambda: x.__setitem__(0, y),
    ):
        with pytest.raises(TypeError):
            call()
    assert same((np.sqrt(x + 1), np.sqrt(y + 1)), (np.zeros(2, like=x), np.zeros(2)), (np.asarray(y, like=x), y))


def test_cupy_has_what_is_used():
    cupy = pytest.importorskip("cupy")
    assert [name for name in (*UFUNCS, *FUNCTIONS) if not hasattr(cupy, name)] == []
    assert [name for name in STRIDE_TRICKS if not hasattr(cupy.lib.stride_tricks, name)] == []


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("layer", "inside", "outside"), LAYERS, ids=lambda value: repr(value))
def test_every_layer(card, layer, inside, outside, dtype, training):
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((3, *shape)).astype(dtype) for shape in (inside, outside))
    results = []
    for device in ("cpu", "cuda"):
        twin = copy.deepcopy(layer).astype(dtype)
        assert twin.to(device) is twin
        for each in (twin, *all_layers(twin)):
            each.training, each.rng = training, np.random.default_rng(1)
        move = send if device == "cuda" else np.asarray
        y, dx = twin.forward(move(x)), twin.backward(move(dy))
        results.append([y, dx, *twin.gradients().values(), *twin.saved_arrays().values()])
    assert same(*zip(results[1], results[0], strict=True))


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 2, 5)])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_every_loss(loss, shape):
    rng = np.random.default_rng(0)
    y = cnnlib.Softmax().forward(rng.standard_normal(shape))
    t = cnnlib.one_hot(rng.integers(0, 4, (shape[0], *shape[2:])), 4, np.float64)
    value = loss.value(send(y), send(t))
    assert type(value) is float and value == loss.value(y, t)
    assert same((loss.gradient(send(y), send(t)), loss.gradient(y, t)))
    if isinstance(loss, cnnlib.SumOfLosses):  # a mask of NumPy would be sent again and again
        assert all(isinstance(at, CardArray) for _, at, _, _ in loss.positions(send(y), send(t)))
    share = cnnlib.accuracy(send(y), send(t))
    assert type(share) is float and share == cnnlib.accuracy(y, t)


@pytest.mark.parametrize("labels", [np.array([2, 0, 1]), np.array([[[0, 1], [2, 2]]])])
def test_class_numbers_on_the_card(labels):
    assert same((cnnlib.one_hot(send(labels), 3), cnnlib.one_hot(labels, 3)))


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("optimizer_class", [cnnlib.SGD, cnnlib.Adam])
def test_both_optimizers(optimizer_class, decay):
    rng = np.random.default_rng(0)
    W, b, gradients = rng.random((3, 4)), rng.random(4), [(rng.random((3, 4)), rng.random(4)) for _ in range(4)]
    there, here = optimizer_class(weight_decay=decay), optimizer_class(weight_decay=decay)
    sent = send(W), send(b)
    for dW, db in gradients:
        there.step([(sent[0], send(dW)), (sent[1], send(db))], 0.7)
        here.step([(W, dW), (b, db)], 0.7)
    assert same((sent[0], W), (sent[1], b))
    for name, states in here.state.items():
        assert same(*zip(there.state[name], states, strict=True))


def lenet5():
    from cnnlib.digits.models import lenet5

    return lenet5(np.random.default_rng(0))


def digits(count):
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count)


def unfused(monkeypatch):
    """Make NumPy's network compute with the plain layers, too: the fused ones round in another order."""
    monkeypatch.setattr("cnnlib.network.fuse", cnnlib.layers.layer.copy_layer)


@pytest.mark.parametrize("optimizer_class", [cnnlib.SGD, cnnlib.Adam])
def test_lenet5_trains_and_predicts_there(card, monkeypatch, tmp_path, optimizer_class):
    unfused(monkeypatch)
    x, t = digits(150)
    results = []
    for device in ("cpu", "cuda"):
        network = lenet5().to(device)
        history = network.train(
            x,
            t,
            epochs=2,
            optimizer=optimizer_class(1e-3),
            validation=(x[:50], t[:50]),
            callbacks=[cnnlib.EarlyStopping()],
            progress=False,
        )
        del history["seconds"]
        results.append((network, history))
    (here, expected), (there, history) = results
    assert history == expected and len(history["batch_loss"]) == 6
    assert same(*zip(there.saved_arrays().values(), here.saved_arrays().values(), strict=True))
    for count in (0, 1, 50, 150):  # none, one, and one or several batches
        y = there.predict(x[:count])  # it lies where x lies
        assert type(y) is np.ndarray
        np.testing.assert_array_equal(y, here.predict(x[:count]))
        assert same((there.predict(send(x[:count])), y))
    assert there.evaluate(x, t) == here.evaluate(x, t) == there.evaluate(send(x), send(t))
    for none in (x[:0], send(x[:0])):
        with pytest.raises(ValueError, match="this batch is empty"):
            there.evaluate(none, t[:0])
    there.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(cnnlib.Network.load(tmp_path / "model.npz").predict(x), here.predict(x))
    back = there.to("cpu")
    assert all(type(array) is np.ndarray for array in back.parameters().values())
    np.testing.assert_array_equal(back.predict(x), here.predict(x))


def test_a_step_calls_as_many_functions_for_any_batch(card, monkeypatch):
    calls = []

    def counted(name):
        original = getattr(CardArray, name)

        def call(self, *args, **kwargs):
            if getattr(args[0] if args else None, "__name__", name) not in ("moveaxis", "sliding_window_view"):  # views
                calls.append(name)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(CardArray, name, call)

    for name in ["__array_ufunc__", "__array_function__", "all", "any", "argmax", "copy", "max", "mean", "min", "sum"]:
        counted(name)
    counts = []
    for batch_size in (64, 512):
        network = lenet5().to("cuda").fused(needs_dx=False, training=True)
        calls.clear()
        network.train_step(*digits(batch_size), cnnlib.SGD(), cnnlib.CategoricalCrossEntropy())
        counts.append(len(calls))
    assert counts[0] == counts[1] and 200 < counts[0] < 250  # "more than two hundred", says chapter 24


def test_all_examples_may_lie_there_from_the_start(card):
    x, t = digits(100)
    results = []
    for move in (np.asarray, send):
        network = lenet5().to("cuda")
        network.train(move(x), move(t), progress=False)
        results.append(network.parameters().values())
    assert same(*((one, other.get()) for one, other in zip(*results, strict=True)))


def test_many_layers_and_images_as_targets(card, monkeypatch):
    unfused(monkeypatch)
    rng = np.random.default_rng(0)
    layers = [
        cnnlib.Convolutional(1, 4, 3, padding="same", rng=rng),
        cnnlib.BatchNormalization(4),
        cnnlib.ReLU(),
        cnnlib.Dropout(0.2),
        cnnlib.Skip([cnnlib.MaxPooling(2), cnnlib.Sigmoid(), cnnlib.Upsampling(2)]),
        cnnlib.TransposedConvolution(8, 3, 2, 2, rng=rng),
        cnnlib.AveragePooling(2),
        cnnlib.Residual([cnnlib.Convolutional(3, 3, 3, padding="same", rng=rng)]),
        cnnlib.Softmax(),
    ]
    x, t = rng.random((20, 1, 8, 8), np.float32), rng.integers(0, 3, (20, 8, 8))
    results = []
    for device in ("cpu", "cuda"):
        network = cnnlib.Network(copy.deepcopy(layers), (1, 8, 8)).to(device)
        history = network.train(x, t, batch_size=8, progress=False)
        results.append((network, history["batch_loss"]))
    (here, expected), (there, losses) = results
    assert losses == expected
    assert same(*zip(there.saved_arrays().values(), here.saved_arrays().values(), strict=True))


def test_a_checkpoint_resumes_there(card, tmp_path):
    class Stop(callbacks.Callback):
        def on_epoch_end(self, run):
            raise KeyboardInterrupt

    x, t = digits(70)
    path, kept = tmp_path / "run.npz", []
    for stops in ([], [Stop()], []):
        network = lenet5().to("cuda")
        how = {"epochs": 2, "optimizer": cnnlib.Adam(), "progress": False}
        how |= {"callbacks": [cnnlib.EarlyStopping(monitor="loss"), *stops]}
        if stops:
            with pytest.raises(KeyboardInterrupt):
                network.train(x, t, checkpoint=path, **how)
        else:
            network.train(x, t, **how, **({"checkpoint": path, "resume": True} if path.exists() else {}))
            kept.append([array.get() for array in network.parameters().values()])
    for one, other in zip(*kept, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_for_the_cpu_alone(card, tmp_path):
    pytest.importorskip("onnx")
    here, there = lenet5(), lenet5().to("cuda")
    assert any(isinstance(layer, FusedConvolution) for layer in here.fused())
    assert [type(layer) for layer in there.fused()] == [type(layer) for layer in there]  # plain layers, but copies
    assert all(one is not other for one, other in zip(there.fused(), there, strict=True))
    x = np.random.default_rng(2).random((2, 1, 28, 28))
    assert max(cnnlib.gradient_check(there, x, sample=3).values()) < 1e-7  # of a copy
    assert isinstance(there[0].W, CardArray)
    for name, network in (("here", here), ("there", there)):
        export_onnx(tmp_path / f"{name}.onnx", network)
    assert (tmp_path / "here.onnx").read_bytes() == (tmp_path / "there.onnx").read_bytes()


def test_bad_input_is_named_there_too(card):
    x = send(np.full((2, 4), np.nan))
    network = cnnlib.Network([cnnlib.Dense(4, 3, rng=0), cnnlib.Softmax()], (4,)).to("cuda")
    with pytest.raises(ValueError, match=r"x holds numbers that are not finite, the first at \(0, 0\): nan"):
        network.predict(x)
    network[0].forward(send(np.ones((2, 4))))
    with pytest.raises(ValueError, match="expected dy of the shape of y"):
        network[0].backward(send(np.ones((2, 4))))
    with pytest.raises(ValueError, match=r"every row must sum to 1.*got \[1.0, 1.0\] in row 0"):
        cnnlib.SoftmaxCrossEntropy().value(send(np.ones((1, 2))), send(np.ones((1, 2))))
    with pytest.raises(TypeError, match=r"an array of float64 of shape \(2,\)"):
        checks.check_path("path", send(np.ones(2)))
    y = network[0].forward(send(np.ones((2, 4))))
    layer = cnnlib.ReLU()
    z = layer.forward(y)
    y += 1
    with pytest.raises(RuntimeError, match="x of ReLU.* was changed in place"):
        layer.backward(z)
    assert json.dumps(network.config)


def test_a_network_that_does_not_fit_stays_where_it_is(card):
    network = cnnlib.Network([cnnlib.Residual([cnnlib.Dense(4, 4, rng=0)]), cnnlib.Dense(4, 3, rng=0)], (4,))
    room = [send, send, send]

    def fill(array):
        if not room:
            raise MemoryError("out of memory on the card")
        return room.pop()(array)

    sys.modules["cupy"].asarray = fill
    with pytest.raises(MemoryError, match="on the card"):
        network.to("cuda")
    assert all(type(array) is np.ndarray for array in network.parameters().values())
    assert network.predict(np.ones((2, 4))).shape == (2, 3)


def test_the_device_must_be_there(monkeypatch):
    network = lenet5()
    with pytest.raises(ValueError, match="device must be one of cpu, cuda; got 'gpu'"):
        network.to("gpu")
    monkeypatch.setitem(sys.modules, "cupy", None)  # an import then fails
    with pytest.raises(ImportError, match=r'the device "cuda" needs CuPy: pip install "cnnlib\[cuda\]"'):
        network.to("cuda")
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(RuntimeError, match="finds no graphics card"):
        network.to("cuda")
    assert network.to("cpu") is network
    x = np.ones(3)
    assert devices.move(x, x) is x and checks.to_numpy(x) is x
