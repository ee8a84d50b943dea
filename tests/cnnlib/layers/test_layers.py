"""One contract, checked on every layer; and every layer beside its plain loops and an independent framework."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnlib
from cnnlib.layers import loops
from cnnlib.layers.convolution import crop, pad
from cnnlib.saving import build_layers

RESULTS = Path(__file__).parents[3] / "book" / "cnnbook" / "results"
with np.load(RESULTS / "reference.npz", allow_pickle=False) as file:
    REFERENCE = dict(file)
CASES = list(enumerate(json.loads(str(REFERENCE["cases"]))))


def dense(features, seed):
    return cnnlib.Dense(features, features, rng=np.random.default_rng(seed))


def same(channels, filters, seed):
    return cnnlib.Convolutional(channels, filters, 3, padding="same", rng=np.random.default_rng(seed))


# (layer, shape of one input example, shape of one output example)
LAYERS = [
    (cnnlib.Dense(5, 3, rng=np.random.default_rng(1)), (5,), (3,)),
    (cnnlib.Dense(1, 1, "glorot", rng=np.random.default_rng(2)), (1,), (1,)),
    (cnnlib.Convolutional(1, 2, 3, rng=np.random.default_rng(3)), (1, 5, 4), (2, 3, 2)),
    (cnnlib.Convolutional(2, 3, 5, padding="same", rng=np.random.default_rng(4)), (2, 6, 5), (3, 6, 5)),
    (cnnlib.Convolutional(2, 3, 2, 2, padding="same", rng=np.random.default_rng(5)), (2, 5, 4), (3, 3, 2)),
    (cnnlib.Convolutional(3, 2, 3, 2, padding=1, rng=np.random.default_rng(6)), (3, 6, 7), (2, 3, 4)),
    (cnnlib.Convolutional(2, 2, 1, 3, "valid", "glorot", rng=np.random.default_rng(7)), (2, 5, 5), (2, 2, 2)),
    (cnnlib.MaxPooling(2), (3, 6, 4), (3, 3, 2)),
    (cnnlib.MaxPooling(2), (2, 5, 7), (2, 2, 3)),
    (cnnlib.MaxPooling(3, 2), (2, 7, 6), (2, 3, 2)),
    (cnnlib.MaxPooling(2, 3), (1, 6, 8), (1, 2, 3)),
    (cnnlib.Flatten(), (2, 3, 4), (24,)),
    (cnnlib.Flatten(), (6,), (6,)),
    (cnnlib.ReLU(), (2, 3, 3), (2, 3, 3)),
    (cnnlib.ReLU(), (7,), (7,)),
    (cnnlib.Sigmoid(), (2, 3, 3), (2, 3, 3)),
    (cnnlib.Softmax(), (6,), (6,)),
    (cnnlib.Sequential([dense(4, 8), cnnlib.ReLU(), cnnlib.Dense(4, 3, rng=np.random.default_rng(9))]), (4,), (3,)),
    (cnnlib.Residual([dense(4, 10), cnnlib.Sigmoid(), dense(4, 11)]), (4,), (4,)),
    (cnnlib.Residual([same(2, 3, 12), cnnlib.ReLU(), same(3, 2, 13)]), (2, 4, 3), (2, 4, 3)),
    (cnnlib.Skip([same(2, 3, 14), cnnlib.Sigmoid()]), (2, 4, 3), (5, 4, 3)),
    (cnnlib.Skip([cnnlib.Skip([same(1, 2, 15)]), cnnlib.Residual([same(3, 3, 16)])]), (1, 3, 4), (4, 3, 4)),
    (cnnlib.Skip([dense(3, 17)]), (3,), (6,)),
    (cnnlib.BatchNormalization(3), (3, 4, 5), (3, 4, 5)),
    (cnnlib.BatchNormalization(4, 0.5, 1e-3), (4,), (4,)),
    (cnnlib.Dropout(0.3), (3, 4, 5), (3, 4, 5)),
    (cnnlib.AveragePooling(2), (2, 5, 7), (2, 2, 3)),
    (cnnlib.AveragePooling(3), (2, 6, 3), (2, 2, 1)),
    (cnnlib.AveragePooling(), (3, 4, 5), (3,)),
    (cnnlib.Upsampling(2), (2, 3, 4), (2, 6, 8)),
    (cnnlib.Upsampling(3), (1, 2, 2), (1, 6, 6)),
    (cnnlib.TransposedConvolution(2, 3, 3, rng=np.random.default_rng(18)), (2, 3, 4), (3, 5, 6)),
    (cnnlib.TransposedConvolution(3, 2, 4, 2, 1, rng=np.random.default_rng(19)), (3, 3, 2), (2, 6, 4)),
    (cnnlib.TransposedConvolution(1, 1, 2, 3, 0, "glorot", rng=np.random.default_rng(20)), (1, 2, 3), (1, 5, 8)),
]
every_layer = pytest.mark.parametrize(("layer", "inside", "outside"), LAYERS, ids=lambda value: repr(value))
orders = pytest.mark.parametrize("order", [np.ascontiguousarray, np.asfortranarray, cnnlib.batch_last])


def test_every_layer_has_a_case():
    assert {type(layer) for layer, _, _ in LAYERS} == set(cnnlib.layers.LAYERS.values())


@every_layer
@pytest.mark.parametrize("count", [1, 4])
def test_shapes_and_arguments(layer, inside, outside, count):
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((count, *inside)), rng.standard_normal((count, *outside)))
    before, dbefore = x.copy(), dy.copy()
    y = layer.forward(x)
    dx = layer.backward(dy)
    assert layer.output_shape(inside) == outside
    assert y.shape == dy.shape and dx.shape == x.shape
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(dy, dbefore)
    assert {name: array.shape for name, array in layer.gradients().items()} == {
        name: array.shape for name, array in layer.parameters().items()
    }


@every_layer
def test_output_is_not_a_view_that_later_passes_change(layer, inside, outside):
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, 3, *inside))
    y = layer.forward(first)
    kept = y.copy()
    layer.forward(second)
    np.testing.assert_array_equal(y, kept)


@every_layer
def test_every_gradient(layer, inside, outside):
    x = np.random.default_rng(2).standard_normal((3, *inside))
    errors = cnnlib.gradient_check(layer, x)
    assert set(errors) == {"dx", *(f"d{name}" for name in layer.parameters())}


@every_layer
@orders
def test_memory_order_changes_nothing(layer, inside, outside, order):
    rng = np.random.default_rng(3)
    x, dy = rng.standard_normal((3, *inside)), rng.standard_normal((3, *outside))
    y, dx = layer.forward(x), layer.backward(dy)
    gradients = layer.gradients()
    np.testing.assert_allclose(layer.forward(order(x)), y, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.backward(order(dy)), dx, rtol=1e-12, atol=1e-14)
    for name, gradient in layer.gradients().items():
        np.testing.assert_allclose(gradient, gradients[name], rtol=1e-12, atol=1e-14)


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_follows_the_parameters(layer, inside, outside, dtype):
    layer = copy.deepcopy(layer).astype(dtype)
    x = np.random.default_rng(4).standard_normal((2, *inside))
    y = layer.forward(x.astype(dtype))
    dx = layer.backward(np.ones_like(y))
    assert y.dtype == dx.dtype == dtype
    assert {array.dtype for array in layer.gradients().values()} <= {np.dtype(dtype)}


@every_layer
def test_config_round_trip(layer, inside, outside):
    entry = {"class": type(layer).__name__, **json.loads(json.dumps(layer.config))}
    again = build_layers([entry], cnnlib.Sequential([layer]).saved_arrays(), "float32")[0]
    assert again.config == layer.config and repr(again) == repr(layer)
    x = np.random.default_rng(5).standard_normal((2, *inside)).astype(np.float32)
    np.testing.assert_array_equal(again.forward(x), layer.forward(x))


@every_layer
def test_backward_first_is_an_error(layer, inside, outside):
    fresh = copy.deepcopy(layer)
    vars(fresh).pop("y_shape", None)
    with pytest.raises(RuntimeError, match="call forward before backward"):
        fresh.backward(np.zeros((1, *outside)))


@every_layer
def test_one_example_alone_is_an_error(layer, inside, outside):
    with pytest.raises(ValueError, match="expected|larger"):
        layer.forward(np.zeros(inside[:1]))


@pytest.mark.parametrize(("index", "case"), [c for c in CASES if "layer" in c[1]])
def test_agrees_with_an_independent_framework(index, case):
    layer = getattr(cnnlib, case["layer"])(**case["config"])
    layer.astype(np.float64)
    layer.training = case.get("training", False)
    for name in case["parameters"]:
        setattr(layer, name, REFERENCE[f"{index}.{name}"])
    y = layer.forward(REFERENCE[f"{index}.x"])
    dx = layer.backward(REFERENCE[f"{index}.dy"])
    np.testing.assert_allclose(y, REFERENCE[f"{index}.y"], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dx, REFERENCE[f"{index}.dx"], rtol=1e-12, atol=1e-13)
    for name in case["parameters"]:
        np.testing.assert_allclose(layer.gradients()[name], REFERENCE[f"{index}.d{name}"], rtol=1e-12, atol=1e-13)


@st.composite
def convolutions(draw):
    layer = cnnlib.Convolutional(
        channels=draw(st.integers(1, 3)),
        filters=draw(st.integers(1, 3)),
        kernel_size=draw(st.integers(1, 4)),
        stride=draw(st.integers(1, 3)),
        padding=draw(st.sampled_from(["valid", "same", 0, 1, 2])),
        rng=np.random.default_rng(draw(st.integers(0, 99))),
        dtype=np.float64,
    )
    sizes = st.integers(layer.kernel_size, layer.kernel_size + 4)
    return layer, (draw(st.integers(1, 3)), layer.channels, draw(sizes), draw(sizes))


@given(convolutions())
def test_convolution_is_its_loops(drawn):
    layer, shape = drawn
    rng = np.random.default_rng(5)
    x = rng.standard_normal(shape)
    layer.b = rng.standard_normal(layer.filters)
    pad_width = layer.compute_pad_width(*shape[2:])
    padded = pad(x, pad_width)
    y = layer.forward(x)
    np.testing.assert_allclose(y, loops.convolve(padded, layer.W, layer.b, layer.stride), rtol=1e-11, atol=1e-12)
    if layer.padding == "same":
        assert y.shape[2:] == tuple(-(-n // layer.stride) for n in shape[2:])
    dy = rng.standard_normal(y.shape)
    dx, dW, db = loops.convolve_backward(padded, layer.W, dy, layer.stride)
    np.testing.assert_allclose(layer.backward(dy), crop(dx, pad_width), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(layer.dW, dW, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(layer.db, db, rtol=1e-11, atol=1e-12)


@given(convolutions())
def test_col2im_is_the_transpose_of_im2col(drawn):
    layer, shape = drawn
    rng = np.random.default_rng(6)
    x = rng.standard_normal(shape)
    cols = cnnlib.im2col(x, layer.kernel_size, layer.stride)
    other = rng.standard_normal(cols.shape)
    back = cnnlib.col2im(other, shape, layer.kernel_size, layer.stride)
    assert np.sum(cols * other) == pytest.approx(np.sum(x * back), rel=1e-10)


@given(
    size=st.integers(1, 3),
    stride=st.integers(1, 4),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(3, 8), st.integers(3, 8)),
    values=st.integers(1, 4),  # few different values, many ties
)
def test_pooling_is_its_loops(size, stride, shape, values):
    rng = np.random.default_rng(7)
    layer = cnnlib.MaxPooling(size, stride)
    x = rng.integers(0, values, shape).astype(float)
    y = layer.forward(x)
    np.testing.assert_array_equal(y, loops.max_pool(x, size, stride))
    dy = rng.standard_normal(y.shape)
    np.testing.assert_allclose(layer.backward(dy), loops.max_pool_backward(x, dy, size, stride), rtol=1e-12, atol=1e-14)


def test_dense_is_its_loops():
    rng = np.random.default_rng(8)
    layer = cnnlib.Dense(4, 3, rng=rng, dtype=np.float64)
    layer.b = rng.standard_normal(3)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 3))
    np.testing.assert_allclose(layer.forward(x), loops.dense(x, layer.W, layer.b), rtol=1e-13)
    dx, dW, db = loops.dense_backward(x, layer.W, dy)
    np.testing.assert_allclose(layer.backward(dy), dx, rtol=1e-12)
    np.testing.assert_allclose(layer.dW, dW, rtol=1e-12)
    np.testing.assert_allclose(layer.db, db, rtol=1e-12)


def test_softmax_backward_is_its_jacobian():
    rng = np.random.default_rng(9)
    z, dy = rng.standard_normal((2, 1, 6))
    layer = cnnlib.Softmax()
    layer.forward(z)
    np.testing.assert_allclose(layer.backward(dy)[0], loops.softmax_jacobian(z[0]).T @ dy[0], rtol=1e-12)


def test_a_tie_gives_the_gradient_once():
    layer = cnnlib.MaxPooling(2)
    layer.forward(np.zeros((1, 1, 4, 4)))
    dx = layer.backward(np.ones((1, 1, 2, 2)))
    assert dx.sum() == 4
    np.testing.assert_array_equal(dx[0, 0, ::2, ::2], 1)


def test_flatten_of_the_fast_order_is_a_view():
    x = cnnlib.batch_last(np.zeros((4, 2, 3, 3), np.float32))
    assert np.shares_memory(cnnlib.Flatten().forward(x), x)


@pytest.mark.parametrize("layer", [cnnlib.Sigmoid(), cnnlib.Softmax()])
def test_extreme_scores_neither_overflow_nor_warn(layer):
    with np.errstate(all="raise", under="ignore"):
        y = layer.forward(np.array([[-1e4, 0, 1e4], [1e4, 1e4, 1e4]], np.float32))
        dx = layer.backward(np.ones_like(y))
    assert np.isfinite(y).all() and np.isfinite(dx).all()


def test_relu_at_zero_has_no_slope():
    layer = cnnlib.ReLU()
    layer.forward(np.array([[-1.0, 0.0, 2.0]]))
    np.testing.assert_array_equal(layer.backward(np.ones((1, 3))), [[0, 0, 1]])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cnnlib.Dense(0, 3), ValueError, "inputs must be at least 1, got 0"),
        (lambda: cnnlib.Dense(3, 2.5), TypeError, "outputs must be a whole number, got 2.5"),
        (lambda: cnnlib.Dense(3, True), TypeError, "outputs must be a whole number"),
        (
            lambda: cnnlib.Dense(3, 2, "random"),
            ValueError,
            "initializer must be one of he, glorot, zeros; got 'random'",
        ),
        (lambda: cnnlib.Dense(10**6, 10**6), ValueError, "too large"),
        (lambda: cnnlib.Convolutional(1, 2, 3, padding="full"), ValueError, "padding must be .* got 'full'"),
        (lambda: cnnlib.Convolutional(1, 2, 3, padding=-1), ValueError, "padding must be at least 0, got -1"),
        (lambda: cnnlib.Convolutional(1, 2, 3, stride=0), ValueError, "stride must be at least 1, got 0"),
        (lambda: cnnlib.MaxPooling(0), ValueError, "size must be at least 1, got 0"),
        (
            lambda: cnnlib.Dense(3, 2).forward(np.zeros((4, 5))),
            ValueError,
            r"expected 3 features .* got shape \(5,\)",
        ),
        (lambda: cnnlib.Convolutional(2, 1, 3).forward(np.zeros((1, 3, 5, 5))), ValueError, r"expected \(2, H, W\)"),
        (lambda: cnnlib.Convolutional(1, 1, 5).forward(np.zeros((1, 1, 4, 9))), ValueError, "kernel is larger"),
        (lambda: cnnlib.MaxPooling(3).forward(np.zeros((1, 1, 2, 5))), ValueError, "window is larger"),
        (lambda: cnnlib.Softmax().forward(np.zeros((1, 2, 3))), ValueError, r"expected scores \(M,\)"),
    ],
)
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
)
def test_transposed_convolution_is_its_loops_and_the_transpose(sizes, shape):
    channels, filters, kernel_size, stride = sizes
    rng = np.random.default_rng(0)
    layer = cnnlib.TransposedConvolution(channels, filters, kernel_size, stride, rng=rng, dtype=np.float64)
    layer.b = rng.standard_normal(filters)
    x = rng.standard_normal((shape[0], channels, *shape[1:]))
    y = layer.forward(x)
    np.testing.assert_allclose(y, loops.transposed_convolve(x, layer.W, layer.b, stride), rtol=1e-11, atol=1e-12)
    dy = rng.standard_normal(y.shape)
    forward = loops.convolve(dy, layer.W, np.zeros(channels), stride)
    np.testing.assert_allclose(layer.backward(dy), forward, rtol=1e-11, atol=1e-12)


@given(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(3, 6), st.integers(3, 6)))
def test_average_pooling_and_upsampling_are_their_loops(size, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    average, repeated = cnnlib.AveragePooling(size).forward(x), cnnlib.Upsampling(size).forward(x)
    np.testing.assert_allclose(average, loops.average_pool(x, size), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(repeated, loops.upsample(x, size))
    np.testing.assert_allclose(cnnlib.AveragePooling(size).forward(repeated), x, rtol=1e-12, atol=1e-13)


def normalization(shape, training=True):
    layer = cnnlib.BatchNormalization(shape[1]).astype(np.float64)
    rng = np.random.default_rng(0)
    layer.gamma[:], layer.beta[:] = rng.standard_normal((2, shape[1]))
    layer.training = training
    return layer, 3 + 2 * rng.standard_normal(shape)


@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (6, 3), (2, 1, 1, 1)])
def test_batch_normalization_in_training(shape):
    layer, x = normalization(shape)
    if len(shape) == 4:
        expected = loops.batch_normalize(x, layer.gamma, layer.beta, layer.epsilon)
        np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12, atol=1e-13)
    assert max(cnnlib.gradient_check(layer, x).values()) < 1e-7


def test_batch_normalization_learns_the_mean_and_variance_that_prediction_uses():
    layer, _ = normalization((1, 2))
    rng = np.random.default_rng(1)
    for _ in range(300):
        layer.forward(np.array([3, -1]) + np.array([2, 0.5]) * rng.standard_normal((64, 2)))
    np.testing.assert_allclose(layer.running_mean, [3, -1], atol=0.1)
    np.testing.assert_allclose(layer.running_variance, [4, 0.25], rtol=0.1)
    layer.training = False
    kept = layer.running_mean.copy()
    x = rng.standard_normal((5, 2))
    together, alone = layer.forward(x), np.concatenate([layer.forward(x[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    np.testing.assert_array_equal(layer.running_mean, kept)
    expected = layer.gamma * (x - kept) / np.sqrt(layer.running_variance + layer.epsilon) + layer.beta
    np.testing.assert_allclose(together, expected, rtol=1e-12)


def test_dropout_drops_its_share_and_keeps_the_mean():
    layer = cnnlib.Dropout(0.3, rng=np.random.default_rng(0))
    x = np.ones((1000, 50))
    np.testing.assert_array_equal(layer.forward(x), x)  # prediction
    layer.training = True
    y = layer.forward(x)
    assert set(np.unique(y)) == {0, 1 / 0.7} and abs(np.mean(y == 0) - 0.3) < 0.01
    assert np.ptp(np.mean(y == 0, axis=0)) > 0.02 and np.ptp(np.mean(y == 0, axis=1)) > 0.2  # no rows, no columns
    np.testing.assert_array_equal(layer.backward(np.ones_like(y)), y)
    assert not np.array_equal(layer.forward(x), y)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: cnnlib.Dense(5, 3), "Dense(inputs=5, outputs=3, initializer='he')"),
        (
            lambda: cnnlib.Convolutional(2, 7, 3),
            "Convolutional(channels=2, filters=7, kernel_size=3, stride=1, padding='valid', initializer='he')",
        ),
        (
            lambda: cnnlib.TransposedConvolution(2, 7, 4),
            "TransposedConvolution(channels=2, filters=7, kernel_size=4, stride=1, padding=0, initializer='he')",
        ),
        (lambda: cnnlib.MaxPooling(), "MaxPooling(size=2, stride=2)"),
        (lambda: cnnlib.AveragePooling(), "AveragePooling(size=None)"),
        (lambda: cnnlib.Upsampling(), "Upsampling(size=2)"),
        (lambda: cnnlib.Dropout(), "Dropout(rate=0.5)"),
        (lambda: cnnlib.BatchNormalization(3), "BatchNormalization(channels=3, momentum=0.9, epsilon=1e-05)"),
    ],
)
def test_defaults(make, expected):
    layer = make()
    assert repr(layer) == expected
    assert {array.dtype for array in layer.saved_arrays().values()} <= {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (cnnlib.Dense(5, 3), (4,), "{} expected 5 features per example, got shape (4,)"),
        (cnnlib.Convolutional(2, 7, 3), (1, 5, 5), "{} expected (2, H, W) per example, got the shape (1, 5, 5)"),
        (cnnlib.Convolutional(2, 7, 3), (2, 5), "{} expected (2, H, W) per example, got the shape (2, 5)"),
        (
            cnnlib.Convolutional(2, 7, 3),
            (2, 5, 2),
            "{}: the kernel is larger than the padded image, of shape (2, 5, 2)",
        ),
        (
            cnnlib.TransposedConvolution(2, 7, 3),
            (1, 5, 2),
            "{} expected (2, H, W) per example, got the shape (1, 5, 2)",
        ),
        (
            cnnlib.TransposedConvolution(2, 7, 3, 1, 4),
            (2, 9, 6),
            "{}: the padding cuts everything off, for the shape (2, 9, 6)",
        ),
        (cnnlib.MaxPooling(3), (2, 5), "{} expected images (C, H, W), got the shape (2, 5)"),
        (cnnlib.MaxPooling(3), (2, 5, 2), "{}: the window is larger than the image, of shape (2, 5, 2)"),
        (cnnlib.AveragePooling(3), (2, 5), "{} expected images (C, H, W), got the shape (2, 5)"),
        (cnnlib.AveragePooling(3), (2, 5, 2), "{}: the window is larger than the image, of shape (2, 5, 2)"),
        (cnnlib.AveragePooling(3), (2, 2, 5), "{}: the window is larger than the image, of shape (2, 2, 5)"),
        (cnnlib.Softmax(), (3, 0, 2), "{} expected scores (M,) or (M, H, W) per example, got the shape (3, 0, 2)"),
        (
            cnnlib.TransposedConvolution(2, 7, 3),
            (2, 0, 3),
            "{} expected (2, H, W) per example, got the shape (2, 0, 3)",
        ),
        (cnnlib.AveragePooling(), (2, 0, 5), "{} expected images (C, H, W), got the shape (2, 0, 5)"),
        (cnnlib.Upsampling(3), (2, 5), "{} expected images (C, H, W), got the shape (2, 5)"),
        (cnnlib.BatchNormalization(3), (2, 5), "{} expected (3, H, W) or (3,) per example, got the shape (2, 5)"),
        (cnnlib.BatchNormalization(3), (2,), "{} expected (3, H, W) or (3,) per example, got the shape (2,)"),
        (cnnlib.Softmax(), (2, 5), "{} expected scores (M,) or (M, H, W) per example, got the shape (2, 5)"),
        (
            cnnlib.Sequential([cnnlib.ReLU(), cnnlib.Flatten(), cnnlib.Softmax(), cnnlib.MaxPooling()]),
            (4,),
            "layer 3 does not fit: MaxPooling(size=2, stride=2) expected images (C, H, W), got the shape (4,)",
        ),
        (cnnlib.Residual([cnnlib.Dense(5, 3)]), (5,), "Residual adds f(x) to x: f must keep the shape (5,), got (3,)"),
        (
            cnnlib.Skip([cnnlib.MaxPooling(2)]),
            (2, 6, 4),
            "Skip lays x and f(x) side by side: f must keep height and width, (6, 4), got (3, 2) for the input_shape "
            "(2, 6, 4)",
        ),
    ],
)
def test_what_is_said_of_a_shape_that_does_not_fit(layer, shape, message):
    with pytest.raises(ValueError) as caught:
        layer.output_shape(shape)
    assert str(caught.value) == message.format(repr(layer))


@pytest.mark.parametrize("name", ["he", "glorot"])
def test_the_initial_weights_are_drawn_for_the_layers_fans(name):
    for layer, fan_in, fan_out in (
        (cnnlib.Dense(5, 3, name, rng=0), 5, 3),
        (cnnlib.Convolutional(2, 7, 3, 2, 1, name, rng=0), 2 * 9, 7 * 9),
        (cnnlib.TransposedConvolution(2, 7, 4, 2, 0, name, rng=0), 2 * 4, 7 * 16),
        (cnnlib.TransposedConvolution(3, 2, 6, 3, 0, name, rng=0), 3 * 4, 2 * 36),
    ):
        shape, rng = layer.W.shape, np.random.default_rng(0)
        limit = np.sqrt(6 / (fan_in + fan_out))
        W = rng.uniform(-limit, limit, shape) if name == "glorot" else rng.normal(0, np.sqrt(2 / fan_in), shape)
        np.testing.assert_array_equal(layer.W, W.astype(np.float32))
        assert not layer.b.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cnnlib.Upsampling(101), "size must be at most 100, got 101"),
        (lambda: cnnlib.Upsampling(0), "size must be at least 1, got 0"),
        (lambda: cnnlib.AveragePooling(0), "size must be at least 1, got 0"),
        (lambda: cnnlib.MaxPooling(2, 0), "stride must be at least 1, got 0"),
        (lambda: cnnlib.BatchNormalization(1_000_001), "channels must be at most 1,000,000, got 1000001"),
        (lambda: cnnlib.BatchNormalization(0), "channels must be at least 1, got 0"),
        (lambda: cnnlib.BatchNormalization(3, 1), "momentum must be a number in [0, 1), got 1"),
        (lambda: cnnlib.BatchNormalization(3, -0.1), "momentum must be a number in [0, 1), got -0.1"),
        (lambda: cnnlib.BatchNormalization(3, 0.9, 0), "epsilon must be a number in (0, inf), got 0"),
        (lambda: cnnlib.Dropout(1), "rate must be a number in [0, 1), got 1"),
        (lambda: cnnlib.Dropout(-0.1), "rate must be a number in [0, 1), got -0.1"),
        (lambda: cnnlib.TransposedConvolution(0, 1, 2), "channels must be at least 1, got 0"),
        (lambda: cnnlib.TransposedConvolution(1, 0, 2), "filters must be at least 1, got 0"),
        (lambda: cnnlib.TransposedConvolution(1, 1, 0), "kernel_size must be at least 1, got 0"),
        (lambda: cnnlib.TransposedConvolution(1, 1, 2, 0), "stride must be at least 1, got 0"),
        (lambda: cnnlib.TransposedConvolution(1, 1, 2, 1, -1), "padding must be at least 0, got -1"),
        (lambda: cnnlib.Convolutional(0, 1, 2), "channels must be at least 1, got 0"),
        (lambda: cnnlib.Convolutional(1, 0, 2), "filters must be at least 1, got 0"),
        (lambda: cnnlib.Convolutional(1, 1, 0), "kernel_size must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_named(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == message


def test_the_limits_themselves_are_allowed():
    assert cnnlib.Upsampling(100).size == 100 and cnnlib.Upsampling(1).size == 1
    assert cnnlib.BatchNormalization(1_000_000, 0).momentum == 0
    assert cnnlib.Dropout(0).rate == 0
    assert cnnlib.Softmax().output_shape((1,)) == (1,)


def test_batch_normalization_shares_the_variance_of_a_sample():
    layer = cnnlib.BatchNormalization(2, 0.75, dtype=np.float64)
    layer.training = True
    x = np.random.default_rng(0).standard_normal((3, 2, 2, 2))
    layer.forward(x)
    np.testing.assert_allclose(layer.running_mean, 0.25 * x.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(layer.running_variance, 0.75 + 0.25 * x.var(axis=(0, 2, 3), ddof=1), rtol=1e-12)
    layer.forward(x[:1, :, :1, :1])  # a single number has no variance, and is no error
    assert np.isfinite(layer.running_variance).all()
    layer = cnnlib.BatchNormalization(1, 0, dtype=np.float64)
    layer.training = True
    layer.forward(np.array([[1.0], [4.0]]))
    np.testing.assert_allclose(layer.running_variance, [4.5])


def test_dropout_draws_from_the_seed():
    draws = []
    for _ in range(2):
        layer = cnnlib.Dropout(0.5, rng=3)
        layer.training = True
        draws.append(layer.forward(np.ones((4, 5), np.float32)))
    np.testing.assert_array_equal(*draws)
    expected = (np.random.default_rng(3).random((4, 5), np.float32) >= 0.5) * np.float32(2)
    np.testing.assert_array_equal(draws[0], expected)
    assert draws[0].dtype == np.float32


def test_the_stride_is_one_by_default():
    rng = np.random.default_rng(0)
    x, W, b = rng.standard_normal((2, 1, 5, 5)), rng.standard_normal((1, 1, 3, 3)), np.zeros(1)
    cols = cnnlib.im2col(x, 3)
    np.testing.assert_array_equal(cols, cnnlib.im2col(x, 3, 1))
    np.testing.assert_array_equal(cnnlib.col2im(cols, x.shape, 3), cnnlib.col2im(cols, x.shape, 3, 1))
    y = loops.convolve(x, W, b)
    np.testing.assert_array_equal(y, loops.convolve(x, W, b, 1))
    for one, other in zip(loops.convolve_backward(x, W, y), loops.convolve_backward(x, W, y, 1), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(loops.transposed_convolve(y, W, b), loops.transposed_convolve(y, W, b, 1))


def test_im2col_names_what_it_is_given():
    for x, message in (
        (np.zeros((2, 5, 5)), "x must have 4 axes, got an array of shape (2, 5, 5)"),
        ("a", "x must be an array of real numbers, got str of dtype <U1"),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            cnnlib.im2col(x, 3)
        assert str(caught.value) == message


def test_a_transposed_convolution_with_padding_is_checked():
    for stride, padding in ((1, 1), (1, 2), (2, 1), (3, 2)):
        layer = cnnlib.TransposedConvolution(2, 1, 5, stride, padding, rng=0)
        assert max(cnnlib.gradient_check(layer, np.random.default_rng(0).random((2, 2, 3, 4))).values()) < 1e-7


def test_nothing_to_pad_is_no_copy():
    x = np.zeros((1, 1, 3, 3))
    assert pad(x, ((0, 0), (0, 0))) is x
    for k, width in enumerate([((1, 0), (0, 0)), ((0, 1), (0, 0)), ((0, 0), (1, 0)), ((0, 0), (0, 1))]):
        assert pad(x + 1, width).shape == ((1, 1, 4, 3) if k < 2 else (1, 1, 3, 4))


def test_pooling_keeps_the_order_in_memory_and_the_dtype_of_dy():
    layer = cnnlib.MaxPooling(2)
    y = layer.forward(cnnlib.batch_last(np.random.default_rng(0).random((3, 2, 4, 4))))
    assert y.transpose(1, 2, 3, 0).flags.c_contiguous
    layer.is_checked = False
    assert layer.backward(np.ones(y.shape, np.float32)).dtype == np.float32


def test_extreme_scores_have_a_jacobian():
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(loops.softmax_jacobian(np.array([1000.0, 1000.0, -1000.0]))[0], [0.25, -0.25, 0])


def test_a_layer_alone_has_no_formula():
    x = np.ones((2, 2))
    for call in (cnnlib.Layer().forward, cnnlib.layers.layer.Layer.backward.__get__(cnnlib.Layer())):
        with pytest.raises(NotImplementedError):
            call(x)
