"""Layers that hold layers: names, slices, copies, modes, and what they refuse."""

import copy

import numpy as np
import pytest

import cnnlib
from cnnlib.layers.fused_convolution import FusedConvolution, fuse
from cnnlib.layers.layer import all_layers, copy_layer


def dense(features=4, seed=0):
    return cnnlib.Dense(features, features, rng=np.random.default_rng(seed), dtype=np.float64)


def convolution(channels, filters, seed=0):
    return cnnlib.Convolutional(channels, filters, 3, padding="same", rng=np.random.default_rng(seed))


def unet():
    inner = cnnlib.Skip([convolution(3, 4, 1), cnnlib.ReLU(), convolution(4, 2, 2)])
    layers = [convolution(1, 3), cnnlib.Skip([inner, cnnlib.Residual([convolution(5, 5, 3), cnnlib.Sigmoid()])])]
    return cnnlib.Network([*layers, cnnlib.ReLU(), convolution(8, 2, 4)], (1, 6, 6))


def test_residual_is_its_formula():
    f, x, dy = [dense(), cnnlib.ReLU(), dense(seed=1)], *np.random.default_rng(1).standard_normal((2, 5, 4))
    layer, alone = cnnlib.Residual(f), cnnlib.Sequential(copy.deepcopy(f))
    np.testing.assert_array_equal(layer.forward(x), x + alone.forward(x))
    np.testing.assert_array_equal(layer.backward(dy), dy + alone.backward(dy))


def test_skip_is_its_formula():
    f = [convolution(2, 3).astype(np.float64)]
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((4, 2, 5, 5)), rng.standard_normal((4, 5, 5, 5))
    layer, alone = cnnlib.Skip(f), cnnlib.Sequential(copy.deepcopy(f))
    np.testing.assert_array_equal(layer.forward(x), np.concatenate([x, alone.forward(x)], axis=1))
    np.testing.assert_array_equal(layer.backward(dy), dy[:, :2] + alone.backward(dy[:, 2:]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cnnlib.Residual([cnnlib.Dense(4, 3)]).output_shape((4,)), r"keep the shape \(4,\), got \(3,\)"),
        (lambda: cnnlib.Residual([cnnlib.Dense(3, 1)]).forward(np.ones((2, 3))), r"keep the shape \(3,\), got \(1,\)"),
        (lambda: cnnlib.Skip([cnnlib.MaxPooling(2)]).output_shape((1, 4, 4)), r"height and width, \(4, 4\), got"),
        (lambda: cnnlib.Skip([cnnlib.Flatten()]).forward(np.ones((1, 1, 4, 4))), "must keep height and width"),
        (lambda: cnnlib.Sequential([]), "a Sequential needs at least one layer"),
        (lambda: cnnlib.Residual([]), "a Residual needs at least one layer"),
        (lambda: cnnlib.Network([cnnlib.Residual([cnnlib.Dense(2, 3)])], (2,)), "layer 0 does not fit: Residual adds"),
        (lambda: cnnlib.Network([dense(), cnnlib.Skip([cnnlib.Dense(3, 2)])], (4,)), "layer 1 does not fit: layer 0"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_layer_is_refused():
    with pytest.raises(TypeError, match="layers.1. must be a Layer, such as Dense.*, got 'relu'"):
        cnnlib.Sequential([dense(), "relu"])


def test_a_layer_used_twice_is_refused_at_any_depth():
    layer = cnnlib.ReLU()
    inner = cnnlib.Residual([layer])
    for layers in ([layer, layer], [layer, inner], [inner, cnnlib.Skip([inner])], [cnnlib.Sequential([inner]), layer]):
        with pytest.raises(ValueError, match="stands there twice"):
            cnnlib.Sequential(layers)


def test_names_that_would_be_ambiguous_are_refused():
    class Twice(cnnlib.Layer):
        params = ("W", "W1")

    with pytest.raises(ValueError, match="must not end in a digit, got 'W1'"):
        cnnlib.Sequential([Twice()])


def test_parameters_have_their_place_as_name():
    network = unet()
    names = ["W0", "b0", "W1.0.0", "b1.0.0", "W1.0.2", "b1.0.2", "W1.1.0", "b1.1.0", "W3", "b3"]
    assert list(network.parameters()) == names
    assert network.parameters()["W1.0.2"] is network[1][0][2].W
    assert list(network[1].parameters()) == ["W0.0", "b0.0", "W0.2", "b0.2", "W1.0", "b1.0"]
    with pytest.raises(RuntimeError, match="has no dW yet: call forward, then backward"):
        network.gradients()


def test_a_nested_network_passes_the_gradient_check():
    errors = cnnlib.gradient_check(unet(), np.random.default_rng(5).standard_normal((2, 1, 6, 6)), sample=20)
    assert len(errors) == 11


def test_it_behaves_as_a_sequence():
    network = unet()
    assert len(network) == 4 and network[-1] is network.layers[3] and list(network) == network.layers
    assert isinstance(network[:-1], cnnlib.Network) and type(network[1][:1]) is cnnlib.Sequential
    x = np.random.default_rng(6).standard_normal((2, 1, 6, 6)).astype(np.float32)
    first, second = network[:2], network[2:]
    assert second.input_shape == first.shapes[-1] == (8, 6, 6) and first[0] is network[0]
    np.testing.assert_array_equal(second.forward(first.forward(x)), network.forward(x))
    for bad in (lambda: network[4], lambda: network[4:]):
        with pytest.raises((IndexError, ValueError)):
            bad()


def test_a_copy_shares_the_parameters_and_nothing_else_at_any_depth():
    network = unet()
    x = np.random.default_rng(7).standard_normal((2, 1, 6, 6)).astype(np.float32)
    for twin in (copy_layer(network), fuse(network), network.fused(needs_dx=False, training=True)):
        pairs = list(zip(network.parameters().values(), twin.parameters().values(), strict=True))
        assert len(pairs) == 10 and all(a is b for a, b in pairs)
        ours, theirs = {id(layer) for layer in all_layers(network)}, {id(layer) for layer in all_layers(twin)}
        assert not ours & theirs
        twin.backward(np.ones_like(twin.forward(x)))
        assert not any({"x", "y", "cols", "dW"} & set(vars(layer)) for layer in all_layers(network))
        assert all(layer.needs_dx and not layer.training for layer in [network, *all_layers(network)])


def test_fusing_goes_to_every_depth():
    def block(channels):
        return [convolution(channels, 3, channels), cnnlib.ReLU(), cnnlib.MaxPooling(2)]

    network = cnnlib.Network([cnnlib.Sequential(block(1)), cnnlib.Sequential([cnnlib.Sequential(block(3))])], (1, 8, 8))
    fused = network.fused()
    assert [type(layer) for layer in all_layers(fused)].count(FusedConvolution) == 2
    x = np.random.default_rng(8).standard_normal((3, 1, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(fused.forward(x), network.forward(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [cnnlib.Residual, cnnlib.Skip])
def test_without_dx_they_return_none(kind):
    first = convolution(2, 2)
    for layer in (kind([first, cnnlib.ReLU()]), kind([cnnlib.Sequential([kind([convolution(2, 2)]), cnnlib.ReLU()])])):
        layer.needs_dx = False
        y = layer.forward(np.ones((1, 2, 4, 4), np.float32))
        assert layer.backward(np.ones_like(y)) is None
        assert all(np.isfinite(gradient).all() for gradient in layer.gradients().values())


def test_modes_reach_every_layer():
    network = unet()
    for training in (True, False):
        fused = network.fused(training=training)
        assert all(layer.training is training for layer in (fused, *all_layers(fused)))
        assert not any(layer.training for layer in (network, *all_layers(network)))


@pytest.mark.parametrize("value", [[[1, 2, 3, 4]], [[True, False, True, True]], np.ones((1, 4), np.uint8)])
def test_whole_numbers_are_computed_with_in_floating_point(value):
    for layer in (cnnlib.ReLU(), cnnlib.Sigmoid(), cnnlib.Softmax(), dense(), cnnlib.Residual([dense()])):
        y = layer.forward(value)
        assert y.dtype.kind == "f"
        np.testing.assert_allclose(y, layer.forward(np.asarray(value, float)), rtol=1e-6)


@pytest.mark.parametrize("value", [None, "text", [["a"]], [[1j]], [[object()]], [[1], [1, 2]]])
def test_what_is_no_number_is_refused(value):
    for layer in (cnnlib.ReLU(), dense(), cnnlib.Sequential([dense()])):
        with pytest.raises(TypeError, match="x must be an array of"):
            layer.forward(value)


def test_a_gradient_of_another_shape_is_refused():
    for layer in (cnnlib.ReLU(), cnnlib.Sigmoid(), cnnlib.Softmax(), dense(), cnnlib.Residual([dense()])):
        layer.forward(np.ones((3, 4)))
        with pytest.raises(ValueError, match=r"expected dy of the shape of y, \(3, 4\), got \(1, 4\)"):
            layer.backward(np.ones((1, 4)))


@pytest.mark.parametrize(
    "make", [cnnlib.ReLU, cnnlib.Sigmoid, cnnlib.Softmax, dense, lambda: cnnlib.Residual([dense()])]
)
@pytest.mark.parametrize("what", ["x", "y"])
@pytest.mark.parametrize("shape", [(3, 4), (500, 4)])
def test_what_was_changed_in_place_after_forward_is_noticed(make, what, shape):
    rng = np.random.default_rng(0)
    for change in (lambda a: a.__imul__(-1), lambda a: a.__setitem__(slice(None), a[::-1].copy()), rng.shuffle):
        layer, x = make(), rng.standard_normal(shape)
        y = layer.forward(x)
        layer.backward(np.ones(shape))
        array = {"x": x, "y": y}[what]
        kept = any(vars(each).get(what) is array for each in (layer, *all_layers(layer)))
        change(array)
        if kept:
            with pytest.raises(RuntimeError, match=f"{what} of .* was changed in place after forward.*a copy"):
                layer.backward(np.ones(shape))
        else:
            layer.backward(np.ones(shape))


def test_an_index_that_is_none_is_named():
    with pytest.raises(TypeError) as caught:
        cnnlib.Sequential([dense()])["a"]
    assert str(caught.value) == "index must be a whole number or a slice, got 'a'"


def test_what_trains_and_predicts_is_not_checked():
    network = unet()
    for needs_dx in (True, False):
        fused = network.fused(needs_dx=needs_dx)
        assert not any(layer.is_checked for layer in (fused, *all_layers(fused)))
        y = fused.forward(np.ones((1, 1, 6, 6), np.float32))
        assert (fused.backward(np.ones_like(y)) is not None) is needs_dx
