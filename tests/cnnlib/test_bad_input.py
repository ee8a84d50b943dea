"""Whatever is handed to the core: an answer, or an error that names the argument and what came, and nothing changed."""

import os
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import cnnlib
from cnnlib.digits.confidence import calibrate, digit_likelihood

ALLOWED = (TypeError, ValueError, RuntimeError, FloatingPointError, IndexError, FileNotFoundError, cnnlib.GradientError)
RAW = (
    "unsupported operand",
    "has no attribute",
    "has no len",
    "not iterable",
    "ufunc",
    "broadcast",
    "could not convert",
    "cannot reshape",
    "not supported between",
    "Unable to allocate",
    "must be real number",
    "zero-size array",
    "axes don't match",
    "not subscriptable",
    "ambiguous",
    "Cannot cast",
    "cannot be interpreted",
    "not understood",
    "slice indices",
    "SeedSequence",
    "inhomogeneous",
    "truth value",
    "unhashable",
    "matmul",
)

VALUES = {
    "None": None,
    "a string": "x7",
    "bytes": b"x7",
    "an empty string": "",
    "True": True,
    "an object": object(),
    "a class": int,
    "a function": len,
    "a dictionary": {"a": 1},
    "a set": {1, 2},
    "zero": 0,
    "minus one": -1,
    "a half": 0.5,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": -float("inf"),
    "huge": 10**12,
    "too huge for a float": 10**400,
    "complex": 1j,
    "a NumPy integer": np.int64(3),
    "a NumPy float": np.float32(0.5),
    "an empty list": [],
    "a list of None": [None, None],
    "a list of strings": ["a", "b"],
    "rows of different lengths": [[1, 2], [3]],
    "a list of numbers": [1, 2],
    "a deep list": [[[[[[1]]]]]],
    "a scalar array": np.array(1.0),
    "an empty array": np.zeros((0, 4)),
    "an array without columns": np.zeros((4, 0)),
    "a vector": np.ones(4),
    "a matrix of another shape": np.ones((3, 5)),
    "a matrix": np.ones((4, 4)),
    "images": np.ones((2, 1, 6, 6)),
    "five axes": np.ones((2, 1, 1, 1, 2)),
    "NaNs": np.full((4, 4), np.nan),
    "infinities": np.full((4, 4), np.inf),
    "huge numbers": np.full((4, 4), 1e300),
    "negative numbers": np.full((4, 4), -3),
    "integers": np.full((4, 4), 7),
    "booleans": np.ones((4, 4), bool),
    "bytes in an array": np.full((4, 4), 255, np.uint8),
    "complex numbers": np.ones((4, 4), complex),
    "objects": np.full((4, 4), None),
    "strings in an array": np.full((4, 4), "a"),
    "dates": np.full((4, 4), "2020-01-01", "datetime64[D]"),
    "durations": np.ones((4, 4), "timedelta64[s]"),
    "a structured array": np.zeros((4, 4), [("a", "f4"), ("b", "i4")]),
}


def dense(**changes):
    return cnnlib.Dense(**{"inputs": 4, "outputs": 4, "rng": np.random.default_rng(0)} | changes)


def network(**changes):
    return cnnlib.Network(
        **{"layers": [dense(), cnnlib.ReLU(), dense(), cnnlib.Softmax()], "input_shape": (4,)} | changes
    )


X, T = np.random.default_rng(0).random((4, 4)), np.eye(4)
MSE = cnnlib.MeanSquaredError()


def run(network, **changes):
    return network.train(**{"x": X, "t": T, "progress": False, "callbacks": [OneEpoch()]} | changes)


class OneEpoch(cnnlib.Callback):
    """Ends a run that might have a huge number of epochs."""

    def on_epoch_end(self, run):
        run.stop = True


def after_forward(layer, shape):
    layer.forward(np.random.default_rng(1).random(shape))
    return layer


# For every argument: its name, something that a call may not change, and the call.
CALLS = []


def call(argument, watched, function, words=()):
    CALLS.append((argument, watched, function, (argument, *words)))


def nothing():
    return None


def add_keyword_calls(make, names):
    """Pass each value by its keyword."""
    for name in names:
        call(name, nothing, lambda _, value, name=name: make(**{name: value}), words=("weights", "shape"))


add_keyword_calls(dense, ("inputs", "outputs", "initializer", "rng", "dtype"))
add_keyword_calls(
    lambda **changes: cnnlib.Convolutional(**{"channels": 1, "filters": 2, "kernel_size": 3} | changes),
    ("channels", "filters", "kernel_size", "stride", "padding", "initializer", "rng", "dtype"),
)
add_keyword_calls(cnnlib.MaxPooling, ("size", "stride"))
add_keyword_calls(cnnlib.AveragePooling, ("size",))
add_keyword_calls(cnnlib.Upsampling, ("size",))
add_keyword_calls(cnnlib.Dropout, ("rate", "rng"))
add_keyword_calls(
    lambda **changes: cnnlib.BatchNormalization(**{"channels": 4} | changes),
    ("channels", "momentum", "epsilon", "dtype"),
)
add_keyword_calls(
    lambda **changes: cnnlib.TransposedConvolution(**{"channels": 1, "filters": 2, "kernel_size": 3} | changes),
    ("channels", "filters", "kernel_size", "stride", "padding", "initializer", "rng", "dtype"),
)
add_keyword_calls(cnnlib.SoftmaxCrossEntropy, ("weights",))
add_keyword_calls(cnnlib.SumOfLosses, ("parts",))
add_keyword_calls(
    lambda **changes: cnnlib.SumOfLosses(
        [cnnlib.LossPart(**{"channels": slice(1, 3), "loss": cnnlib.MeanSquaredError(), "where": 0} | changes)]
    ),
    ("channels", "loss", "scale", "where"),
)
for container in (cnnlib.Sequential, cnnlib.Residual, cnnlib.Skip):
    add_keyword_calls(container, ("layers",))
add_keyword_calls(network, ("layers", "input_shape", "max_input"))
add_keyword_calls(cnnlib.SGD, ("learning_rate", "momentum", "weight_decay"))
add_keyword_calls(cnnlib.Adam, ("learning_rate", "beta1", "beta2", "epsilon", "weight_decay"))
add_keyword_calls(cnnlib.EarlyStopping, ("patience", "monitor", "min_delta"))
add_keyword_calls(cnnlib.CSVLogger, ("path",))
add_keyword_calls(cnnlib.constant, ("progress",))
add_keyword_calls(cnnlib.cosine, ("progress",))
add_keyword_calls(lambda **c: cnnlib.one_cycle(**{"progress": 0.2} | c), ("progress", "warmup", "start"))
add_keyword_calls(lambda **c: cnnlib.one_hot(**{"labels": [0, 1], "classes": 3} | c), ("labels", "classes", "dtype"))
add_keyword_calls(lambda **c: cnnlib.accuracy(**{"y": X, "t": T} | c), ())
call("scores", nothing, lambda _, value: cnnlib.accuracy(value, T))
call("targets", nothing, lambda _, value: cnnlib.accuracy(X, value))
add_keyword_calls(lambda **c: cnnlib.batch_last(**c), ("x",))
add_keyword_calls(
    lambda **c: cnnlib.im2col(**{"x": np.ones((2, 1, 6, 6)), "kernel_size": 3} | c), ("x", "kernel_size", "stride")
)
add_keyword_calls(
    lambda **c: cnnlib.col2im(**{"cols": np.ones((9, 32)), "shape": (2, 1, 6, 6), "kernel_size": 3} | c),
    ("cols", "shape", "kernel_size", "stride"),
)
add_keyword_calls(
    lambda **c: cnnlib.gradient_check(**{"function": MSE, "x": X, "t": T} | c),
    ("function", "x", "t", "rng", "step", "sample", "tolerance"),
)
add_keyword_calls(lambda **c: cnnlib.gradient_check(**{"function": dense(), "x": X} | c), ("x", "t", "rng"))
PART = cnnlib.LossPart(slice(1, 3), MSE, where=0)
for loss in (
    *(MSE, cnnlib.CategoricalCrossEntropy(), cnnlib.SoftmaxCrossEntropy(), cnnlib.SoftmaxCrossEntropy([1, 2, 1, 1])),
    *(cnnlib.SigmoidCrossEntropy(), cnnlib.SumOfLosses([PART])),
):
    for method in (loss.value, loss.gradient):
        call("predictions", nothing, lambda _, value, method=method: method(value, T))
        call("targets", nothing, lambda _, value, method=method: method(X, value))

for function in (cnnlib.looks_like_digit, digit_likelihood):
    call("images", nothing, lambda _, value, function=function: function(value), words=("expected",))
call("p", nothing, lambda _, value: calibrate(value))
call("path", nothing, lambda _, value: cnnlib.load_own_data(value), words=("neither a file nor a folder",))
for function in (cnnlib.read_digit, cnnlib.read_digits):
    call("path", nothing, lambda _, value, function=function: function(value), words=("No such file", "expected"))
    call("reject", nothing, lambda _, value, function=function: function("x7", reject=value), words=("No such file",))
call("network", nothing, lambda _, value: cnnlib.read_digits("x7", value), words=("No such file",))
call("fallback", nothing, lambda _, value: cnnlib.load_mnist(value))
call("strokes", nothing, lambda _, value: cnnlib.rasterize(value))
call("pen", nothing, lambda _, value: cnnlib.rasterize([[(0, 0)]], value))
call("image", nothing, lambda _, value: cnnlib.to_mnist_frame(value))
call("rng", nothing, lambda _, value: cnnlib.lenet5(value))

LAYERS = {
    "Convolutional": (lambda: cnnlib.Convolutional(1, 2, 3, rng=np.random.default_rng(0)), (2, 1, 6, 6)),
    "MaxPooling": (lambda: cnnlib.MaxPooling(2), (2, 1, 6, 6)),
    "Dense": (dense, (4, 4)),
    "Flatten": (cnnlib.Flatten, (2, 1, 6, 6)),
    "AveragePooling": (lambda: cnnlib.AveragePooling(2), (2, 1, 6, 6)),
    "Upsampling": (cnnlib.Upsampling, (2, 1, 6, 6)),
    "TransposedConvolution": (lambda: cnnlib.TransposedConvolution(1, 2, 3, rng=0), (2, 1, 6, 6)),
    "BatchNormalization": (lambda: cnnlib.BatchNormalization(4), (4, 4)),
    "Dropout": (lambda: cnnlib.Dropout(rng=0), (4, 4)),
    "ReLU": (cnnlib.ReLU, (4, 4)),
    "Sigmoid": (cnnlib.Sigmoid, (4, 4)),
    "Softmax": (cnnlib.Softmax, (4, 4)),
    "Sequential": (lambda: cnnlib.Sequential([dense(), cnnlib.ReLU()]), (4, 4)),
    "Residual": (lambda: cnnlib.Residual([dense(), cnnlib.ReLU()]), (4, 4)),
    "Skip": (lambda: cnnlib.Skip([dense(), cnnlib.ReLU()]), (4, 4)),
}
for make, shape in LAYERS.values():
    call("x", make, lambda layer, value: layer.forward(value))
    call("dy", lambda make=make, shape=shape: after_forward(make(), shape), lambda layer, value: layer.backward(value))
    call("shape", make, lambda layer, value: layer.output_shape(value))
    call("dtype", make, lambda layer, value: layer.astype(value))
call("index", network, lambda net, value: net[value])

for name in ("x", "t", "epochs", "batch_size", "optimizer", "schedule", "loss", "validation", "augment", "seed"):
    words = ("targets", "labels") if name == "t" else ("x", "targets") if name == "validation" else ()
    call(name, network, lambda net, value, name=name: run(net, **{name: value}), words)
for name in ("resume", "progress", "callbacks", "communicator"):
    call(name, network, lambda net, value, name=name: run(net, **{name: value}))
call("schedule", network, lambda net, value: run(net, schedule=lambda progress: value))
call("x", network, lambda net, value: run(net, augment=lambda x, rng: value), words=("targets", "augment"))
for method in ("predict", "to_input", "as_batch"):
    call("x", network, lambda net, value, method=method: getattr(net, method)(value))
call("batch_size", network, lambda net, value: net.predict(X, value))
call("x", network, lambda net, value: net.evaluate(value, T), words=("targets",))
call("targets", network, lambda net, value: net.evaluate(X, value), words=("labels",))
call("loss", network, lambda net, value: net.evaluate(X, T, value))
call("path", network, lambda net, value: cnnlib.Network.load(value), words=("there is no file",))
ARGUMENTS = ("x", "t", "optimizer", "loss", "scale")
for index, name in enumerate(ARGUMENTS):

    def train_step(net, value, index=index):
        arguments = [X, T, cnnlib.SGD(), cnnlib.CategoricalCrossEntropy(), 1.0]
        arguments[index] = value
        return net.train_step(*arguments)

    call(name, network, train_step, words=("targets", "predictions", "labels"))
for make in (cnnlib.SGD, cnnlib.Adam):
    for used in (False, True):

        def optimizer(make=make, used=used):
            parameter = np.ones((4, 4), np.float32)
            it = make()
            if used:
                it.step([(parameter, np.ones((4, 4)))])
            return it, parameter

        call("gradient", optimizer, lambda pair, value: pair[0].step([(pair[1], value)]))
        call("parameter", optimizer, lambda pair, value: pair[0].step([(value, np.ones((4, 4)))]))
        call("pairs", optimizer, lambda pair, value: pair[0].step(value), words=("parameter",))
        call("scale", optimizer, lambda pair, value: pair[0].step([(pair[1], np.ones((4, 4)))], value))


def state(subject):
    """Return what a call that fails may not change: of a network its parameters, and all of anything else."""
    return pickle.dumps(subject.parameters() if isinstance(subject, cnnlib.Network) else subject)


def complaint(watched, function, value, words):
    """Call, and return what is wrong with the way in which the call failed; None if nothing is."""
    subject = watched()
    before = state(subject)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            function(subject, value)
    except ALLOWED as error:
        text = str(error)
        if isinstance(error, cnnlib.GradientError):
            return None
        if not any(word in text for word in words):
            return f"does not name the argument: {type(error).__name__}: {text}"
        if any(raw in text for raw in RAW):
            return f"raw message: {type(error).__name__}: {text}"
        if not came(value, text):
            return f"does not say what came: {type(error).__name__}: {text}"
        if state(subject) != before:
            return f"changed something before it failed: {text}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def came(value, text):
    """Return whether a message says what came: the value, its type, its dtype, its shape, or what is wrong inside."""
    try:
        array = np.array(value, object) if isinstance(value, list) else np.asarray(value)
    except ValueError:  # of things with different numbers of axes NumPy cannot make even an array of objects
        array = np.empty(len(value), object)
    said = [repr(value)[:12], str(value)[:12], type(value).__name__, str(array.dtype), str(array.shape)]
    said += [repr(each) for each in value] if isinstance(value, list) else []
    return any(
        word in text for word in [*said, "()", "rows of different lengths", "out of range", "not finite"]
    ) or any(character.isdigit() for character in text)


@pytest.mark.parametrize(
    ("argument", "watched", "function", "words"), CALLS, ids=[f"{i}-{c[0]}" for i, c in enumerate(CALLS)]
)
def test_every_argument(argument, watched, function, words):
    found = {
        name: complaint(watched, function, value, words)
        for name, value in VALUES.items()
        if not (callable(value) and argument in ("schedule", "augment"))  # whose own errors come through
    }
    assert not {name: text for name, text in found.items() if text}


GENERATED = max(400, int(os.environ.get("CNNLIB_FUZZ", "0")) // 10)
NUMBERS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=3),
    st.binary(max_size=3),
)
ARRAYS = hnp.arrays(
    st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u1", "u8", "?", "c8", "U1", "O", "M8[D]", "f4,i4"]).map(np.dtype),
    hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6),
    fill=st.nothing(),
)
ANYTHING = st.recursive(st.one_of(NUMBERS, ARRAYS), lambda inner: st.lists(inner, max_size=3), max_leaves=6)


@settings(max_examples=GENERATED)
@given(st.sampled_from(range(len(CALLS))), ANYTHING)
def test_generated_input(index, value):
    argument, watched, function, words = CALLS[index]
    assert complaint(watched, function, value, words) is None
