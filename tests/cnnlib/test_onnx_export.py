"""What ONNX's own runtime computes from an exported network is what the network computes."""

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import cnnlib
from cnnlib.__main__ import main
from cnnlib.onnx_export import _NODES, export_onnx

onnxruntime = pytest.importorskip("onnxruntime")


def run(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


def normalization(channels, rng):
    layer = cnnlib.BatchNormalization(channels)
    for name in ("gamma", "beta", "running_mean", "running_variance"):
        getattr(layer, name)[...] = rng.uniform(0.5, 2, channels)
    return layer


@st.composite
def networks(draw):
    """Layers in a row, some of them holding others, then a classifier."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = input_shape = (draw(st.integers(1, 3)), draw(st.integers(7, 12)), draw(st.integers(7, 12)))

    def same(C, F):
        return cnnlib.Convolutional(C, F, draw(st.integers(1, 4)), padding="same", rng=rng)

    layers = []
    for _ in range(draw(st.integers(1, 5))):
        C, smallest = shape[0], min(shape[1:])
        choices = [
            lambda C=C: same(C, 3),
            lambda C=C: cnnlib.Convolutional(C, 2, 2, 2, draw(st.sampled_from(["valid", "same", 1])), rng=rng),
            lambda C=C: cnnlib.TransposedConvolution(
                C, 2, 3, draw(st.integers(1, 2)), draw(st.integers(0, 1)), rng=rng
            ),
            lambda C=C: cnnlib.Residual([same(C, 4), cnnlib.ReLU(), same(4, C)]),
            lambda C=C: cnnlib.Skip([same(C, 2), cnnlib.Skip([cnnlib.Sigmoid(), same(2, 1)])]),
            lambda C=C: cnnlib.Sequential([normalization(C, rng), cnnlib.ReLU(), cnnlib.Dropout(0.4)]),
            cnnlib.Upsampling,
        ]
        if smallest >= 4:
            choices += [
                lambda: cnnlib.MaxPooling(draw(st.integers(2, 3)), draw(st.integers(1, 3))),
                lambda: cnnlib.AveragePooling(draw(st.integers(2, 3))),
            ]
        if smallest >= 2:
            layers.append(draw(st.sampled_from(choices))())
            shape = layers[-1].output_shape(shape)
    end = draw(st.sampled_from(["flatten", "average", "image"]))
    if end == "image":
        layers += [same(shape[0], 4), cnnlib.Softmax()]
    else:
        layers.append(cnnlib.Flatten() if end == "flatten" else cnnlib.AveragePooling())
        layers += [cnnlib.Dense(layers[-1].output_shape(shape)[0], 5, rng=rng), cnnlib.Softmax()]
    return cnnlib.Network(layers, input_shape), rng.random((2, *input_shape), dtype=np.float32)


@settings(deadline=None)
@given(networks())
def test_a_runtime_computes_the_same(tmp_path_factory, drawn):
    network, x = drawn
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    export_onnx(path, network)
    np.testing.assert_allclose(run(path, x), network.predict(x), rtol=0, atol=1e-6)


def test_every_layer_can_be_exported():
    composites = {cnnlib.Sequential, cnnlib.Residual, cnnlib.Skip}
    assert set(_NODES) | composites == set(cnnlib.layers.LAYERS.values())


def test_the_shipped_network(tmp_path):
    export_onnx(tmp_path / "lenet5.onnx", network := cnnlib.load_pretrained())
    x = cnnlib.load_digits().test_images[:50, np.newaxis] / np.float32(255)
    np.testing.assert_allclose(run(tmp_path / "lenet5.onnx", x), network.predict(x), rtol=0, atol=1e-6)


def test_a_layer_of_ones_own_is_refused_and_nothing_is_written(tmp_path):
    class Mine(cnnlib.ReLU):
        pass

    network = cnnlib.Network([cnnlib.Dense(2, 2, rng=0), Mine()], (2,))
    with pytest.raises(TypeError, match="ONNX has no node for a 'Mine'"):
        export_onnx(tmp_path / "mine.onnx", network)
    with pytest.raises(TypeError, match="network must be a Network"):
        export_onnx(tmp_path / "mine.onnx", cnnlib.Dense(2, 2, rng=0))
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cnnlib.Network([cnnlib.Dense(3, 2, rng=0)], (3,)).save("model.npz")
    result = CliRunner().invoke(main, ["export", "model.npz", "out/model.onnx"])
    assert result.exit_code == 0, result.output
    assert "Its input x is float32 of shape (N, 3), its output is y." in result.output
    x = np.ones((4, 3), np.float32)
    np.testing.assert_allclose(run("out/model.onnx", x), cnnlib.Network.load("model.npz").predict(x), atol=1e-6)
    assert CliRunner().invoke(main, ["export", "missing.npz", "x.onnx"]).exit_code != 0
