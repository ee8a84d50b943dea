"""The fused layer computes what the three plain layers compute, whatever their sizes."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnlib
from cnnlib.layers.fused_convolution import FusedConvolution, RowConvolution, fuse


@st.composite
def runs(draw):
    convolution = cnnlib.Convolutional(
        channels=draw(st.integers(1, 3)),
        filters=draw(st.integers(1, 3)),
        kernel_size=draw(st.integers(1, 5)),
        stride=draw(st.integers(1, 3)),
        padding=draw(st.sampled_from(["valid", "same", 1, 2])),
        rng=np.random.default_rng(draw(st.integers(0, 99))),
        dtype=np.float64,
    )
    convolution.b = np.random.default_rng(0).standard_normal(convolution.filters)
    least = convolution.kernel_size + convolution.stride
    sizes = st.integers(least, least + 5)
    return [convolution, cnnlib.ReLU(), cnnlib.MaxPooling(2)], (
        draw(st.integers(1, 3)),
        convolution.channels,
        draw(sizes),
        draw(sizes),
    )


@given(runs(), st.booleans())
def test_fused_is_the_three_plain_layers(run, ties):
    layers, shape = run
    rng = np.random.default_rng(1)
    # Whole numbers are added without rounding, in any order: then ties are ties in both, and go to the same pixel.
    x = rng.integers(0, 2, shape).astype(float) if ties else rng.standard_normal(shape)
    if ties:
        layers[0].W = rng.integers(-1, 2, layers[0].W.shape).astype(float)
        layers[0].b = rng.integers(-1, 2, layers[0].b.shape).astype(float)
    fused = FusedConvolution(layers[0])
    y = x
    for layer in layers:
        y = layer.forward(y)
    np.testing.assert_allclose(fused.forward(x), y, rtol=1e-12, atol=1e-12)
    assert fused.output_shape(shape[1:]) == y.shape[1:]
    dy = dx = rng.standard_normal(y.shape)
    for layer in reversed(layers):
        dx = layer.backward(dx)
    np.testing.assert_allclose(fused.backward(dy), dx, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(fused.dW, layers[0].dW, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(fused.db, layers[0].db, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding"), [(5, 1, "same"), (3, 2, 1), (2, 3, "valid"), (1, 1, "valid")]
)
def test_every_gradient(kernel_size, stride, padding):
    convolution = cnnlib.Convolutional(2, 3, kernel_size, stride, padding, rng=np.random.default_rng(2))
    fused = FusedConvolution(convolution)
    errors = cnnlib.gradient_check(fused, np.random.default_rng(3).standard_normal((2, 2, 9, 8)))
    assert set(errors) == {"dx", "dW", "db"}


def test_a_whole_network_has_the_same_gradients():
    network = cnnlib.lenet5(np.random.default_rng(4)).astype(np.float64)
    rng = np.random.default_rng(5)
    x, dy = network.to_input(rng.standard_normal((3, 1, 28, 28))), rng.standard_normal((3, 10))
    fused = network.fused()
    np.testing.assert_allclose(fused.forward(x), network.forward(x), rtol=1e-10)
    np.testing.assert_allclose(fused.backward(dy), network.backward(dy), rtol=1e-9, atol=1e-12)
    pairs = list(zip(fused.gradients().values(), network.gradients().values(), strict=True))
    assert len(pairs) == 10
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert [type(layer).__name__ for layer in fused.layers[:3]] == ["FusedConvolution", "FusedConvolution", "Flatten"]


def test_the_arrays_are_shared_and_nothing_else():
    network = cnnlib.lenet5(np.random.default_rng(6))
    fused = network.fused()
    pairs = list(zip(network.parameters().values(), fused.parameters().values(), strict=True))
    assert len(pairs) == 10 and all(a is b for a, b in pairs)
    fused.layers[0].needs_dx = False
    fused.predict(np.zeros((1, 28, 28)))
    assert all(layer.needs_dx for layer in network.layers)
    assert not any(hasattr(layer, "x") or hasattr(layer, "cols") for layer in network.layers)


class MyConvolution(cnnlib.Convolutional):
    """May do anything."""


@pytest.mark.parametrize(
    "layers",
    [
        [MyConvolution(1, 2, 5), cnnlib.ReLU(), cnnlib.MaxPooling(2)],
        [cnnlib.Sigmoid(), cnnlib.MaxPooling(2)],
        [cnnlib.ReLU()],
    ],
)
def test_what_cannot_be_fused_stays_as_it_is(layers):
    assert [type(layer) for layer in fuse(cnnlib.Sequential(layers))] == [type(layer) for layer in layers]


@pytest.mark.parametrize("rest", [[], [cnnlib.Sigmoid()], [cnnlib.ReLU()], [cnnlib.ReLU(), cnnlib.MaxPooling(3)]])
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)),
    st.one_of(st.sampled_from(["valid", "same"]), st.integers(0, 2)),
    st.tuples(st.integers(1, 4), st.integers(8, 12), st.integers(8, 12)),
)
def test_a_convolution_by_rows_computes_the_same(rest, sizes, padding, shape):
    """With the ReLU behind it, if there is one; whatever comes then stays a layer of its own."""
    rng = np.random.default_rng(0)
    channels, filters, kernel_size, stride = sizes
    layer = cnnlib.Convolutional(channels, filters, kernel_size, stride, padding, rng=rng, dtype=np.float64)
    layer.b = rng.standard_normal(filters)
    x = rng.standard_normal((shape[0], channels, *shape[1:]))
    if rest and min(layer.output_shape(x.shape[1:])[1:]) < 3:
        rest = rest[:1]
    plain = cnnlib.Sequential([layer, *copy.deepcopy(rest)])
    fast = fuse(plain)
    relu = rest[:1] and isinstance(rest[0], cnnlib.ReLU)
    kinds = [type(each) for each in (rest[1:] if relu else rest)]
    assert [type(each) for each in fast] == [RowConvolution, *kinds]
    y = plain.forward(x)
    np.testing.assert_allclose(fast.forward(x), y, rtol=1e-12, atol=1e-13)
    dy = rng.standard_normal(y.shape)
    np.testing.assert_allclose(fast.backward(dy), plain.backward(dy), rtol=1e-12, atol=1e-12)
    for name, gradient in fast.gradients().items():
        np.testing.assert_allclose(gradient, plain.gradients()[name], rtol=1e-11, atol=1e-12)


def test_the_first_layer_may_leave_out_dx():
    convolution = cnnlib.Convolutional(1, 2, 5)
    for layer in (convolution, FusedConvolution(convolution)):
        layer.needs_dx = False
        y = layer.forward(np.ones((2, 1, 8, 8)))
        assert layer.backward(np.ones_like(y)) is None
        assert layer.dW.shape == convolution.W.shape


def test_predictions_follow_the_parameters():
    network = cnnlib.lenet5(np.random.default_rng(7))
    images = np.random.default_rng(8).integers(0, 256, (2, 28, 28), dtype=np.uint8)

    def expect():
        np.testing.assert_allclose(network.predict(images), network.forward(network.to_input(images)), rtol=1e-5)

    expect()
    network.layers[0].W *= 2  # in place, as optimizers do
    expect()
    network.layers[3].b = np.ones_like(network.layers[3].b)  # another array
    expect()
    network.astype(np.float64)
    expect()
    assert network.predict(images).dtype == np.float64


@pytest.mark.parametrize("stride", [1, 2])
def test_memory_order_does_not_matter(stride):
    rng = np.random.default_rng(9)
    x = rng.standard_normal((3, 2, 8, 9))
    layer = FusedConvolution(cnnlib.Convolutional(2, 3, 3, stride, rng=rng, dtype=np.float64))
    y = layer.forward(x)
    wide = np.zeros((6, 2, 16, 9))
    wide[::2, :, ::2] = x
    for same in (cnnlib.batch_last(x), np.asfortranarray(x), wide[::2, :, ::2]):
        np.testing.assert_allclose(layer.forward(same), y, rtol=1e-12)


def test_im2col_refuses_images_smaller_than_the_kernel():
    with pytest.raises(ValueError, match=r"kernel_size 5 does not fit into images of shape \(1, 1, 4, 9\)"):
        cnnlib.im2col(np.zeros((1, 1, 4, 9)), 5)
