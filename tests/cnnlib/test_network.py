"""The network: shapes, training, reproducibility, and files."""

import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
import threadpoolctl

import cnnlib
from cnnlib import saving

XOR_X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR_T = np.array([0, 1, 1, 0])


def small_network(seed=0):
    rng = np.random.default_rng(seed)
    layers = [
        cnnlib.Convolutional(1, 2, 3, padding="same", rng=rng),
        cnnlib.ReLU(),
        cnnlib.MaxPooling(2),
        cnnlib.Flatten(),
        cnnlib.Dense(2 * 4 * 4, 3, rng=rng),
        cnnlib.Softmax(),
    ]
    return cnnlib.Network(layers, input_shape=(1, 8, 8))


def small_data(count=50, seed=0):
    """Return images with a bright bar, upright, level or slanting, in some noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.uniform(0, 0.3, (count, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        at = rng.integers(1, 7)
        if label == 0:
            image[:, at] = 1
        elif label == 1:
            image[at] = 1
        else:
            np.fill_diagonal(image, 1)
    return images, labels


def test_lenet5_has_its_parameters_and_shapes():
    network = cnnlib.lenet5(np.random.default_rng(0))
    assert network.parameter_count == 61_706
    assert network.shapes[-1] == (10,) and (16, 5, 5) in network.shapes
    summary = network.summary()
    assert "61,706" in summary and "(N, 16, 10, 10)" in summary and "48,120" in summary


def test_xor_is_learned():
    rng = np.random.default_rng(0)
    network = cnnlib.Network(
        [cnnlib.Dense(2, 8, rng=rng), cnnlib.ReLU(), cnnlib.Dense(8, 2, rng=rng), cnnlib.Softmax()], (2,)
    )
    network.train(XOR_X, XOR_T, epochs=200, batch_size=4, optimizer=cnnlib.SGD(0.1), progress=False)
    loss, share = network.evaluate(XOR_X, XOR_T)
    assert share == 1 and loss < 0.05


def test_one_output_with_squared_error_learns_xor():
    rng = np.random.default_rng(1)
    layers = [cnnlib.Dense(2, 8, rng=rng), cnnlib.ReLU(), cnnlib.Dense(8, 1, rng=rng), cnnlib.Sigmoid()]
    network, loss = cnnlib.Network(layers, (2,)), cnnlib.MeanSquaredError()
    t = XOR_T[:, np.newaxis]
    network.train(XOR_X, t, epochs=500, batch_size=4, optimizer=cnnlib.Adam(0.02), loss=loss, progress=False)
    assert network.evaluate(XOR_X, t, loss)[1] == 1


def test_images_are_learned_and_the_history_is_whole():
    x, t = small_data(200)
    network = small_network()
    history = network.train(
        x, t, epochs=16, batch_size=32, schedule=cnnlib.one_cycle, validation=small_data(100, seed=1), progress=False
    )
    assert history["validation_accuracy"][-1] > 0.95
    assert history["loss"][-1] < history["loss"][0]
    assert len(history.pop("batch_loss")) == 16 * 7
    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(history, 16)
    assert set(history) == {"loss", "accuracy", "validation_loss", "validation_accuracy", "seconds", "learning_rate"}
    assert history["learning_rate"][-1] < history["learning_rate"][4] <= 0.05


def test_same_seed_same_bits_and_other_seed_other_bits():
    x, t = small_data()

    def weights(seed):
        network = small_network()
        network.train(x, t, epochs=2, batch_size=16, seed=seed, progress=False)
        return np.concatenate([array.ravel() for array in network.parameters().values()])

    np.testing.assert_array_equal(weights(3), weights(3))
    assert (weights(3) != weights(4)).any()


def test_training_uses_the_exact_combination():
    """With logits 200 apart and the wrong answer, the gradient of softmax alone is zero in float32."""
    layer = cnnlib.Dense(1, 2, "zeros")
    network = cnnlib.Network([layer, cnnlib.Softmax()], (1,))
    layer.W[:] = [[200, 0]]
    network.train_step(
        np.ones((1, 1), np.float32), np.array([[0, 1]], np.float32), cnnlib.SGD(1, 0), cnnlib.CategoricalCrossEntropy()
    )
    np.testing.assert_allclose(layer.dW, [[1, -1]])


def test_augmentation_sees_a_copy_and_the_seed():
    x, t = small_data()
    before, drawn = x.copy(), []

    def augment(images, rng):
        drawn.append(rng.integers(1000))
        images += 1
        return images

    small_network().train(x, t, batch_size=25, augment=augment, seed=7, progress=False)
    first, drawn = drawn, []
    small_network().train(x, t, batch_size=25, augment=augment, seed=7, progress=False)
    assert first == drawn and len(drawn) == 2
    np.testing.assert_array_equal(x, before)


def test_inputs_of_all_kinds_mean_the_same():
    network = small_network()
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    expected = network.predict(images)
    for same in (images[:, np.newaxis], images / 255, np.asfortranarray(images), images / np.float32(255)):
        np.testing.assert_allclose(network.predict(same), expected, rtol=1e-5)
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(network.predict(images, batch_size=2), expected, rtol=1e-5)
    assert network.predict(images[:0]).shape == (0, 3)


def test_gradients_do_not_depend_on_how_a_batch_is_split():
    network = small_network().astype(np.float64)
    x, t = small_data(8)
    loss, t = cnnlib.SoftmaxCrossEntropy(), cnnlib.one_hot(t, 3, np.float64)

    def gradients(some):
        y = network.to_input(x[some])
        for layer in network.layers[:-1]:
            y = layer.forward(y)
        dy = loss.gradient(y, t[some])
        for layer in reversed(network.layers[:-1]):
            dy = layer.backward(dy)
        return network.gradients()

    whole, parts = (gradients(slice(0, 8)), [gradients(slice(0, 2)), gradients(slice(2, 8))])
    for name in whole:
        np.testing.assert_allclose(whole[name], (2 * parts[0][name] + 6 * parts[1][name]) / 8, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda n, x, t: n.predict(x[0]), ValueError, r"shape \(N, 1, 8, 8\), got an array of shape \(8, 8\)"),
        (lambda n, x, t: n.predict(x[:, :7]), ValueError, r"got an array of shape \(50, 1, 7, 8\)"),
        (lambda n, x, t: n.train(x, t[:-1]), ValueError, "50 examples need targets"),
        (lambda n, x, t: n.train(x, t + 1), ValueError, "labels must be from 0 to 2"),
        (lambda n, x, t: n.train(x[:0], t[:0]), ValueError, "no examples"),
        (lambda n, x, t: n.train(x, t, epochs=0), ValueError, "epochs must be at least 1"),
        (lambda n, x, t: n.train(x, t, batch_size=1.5), TypeError, "batch_size must be a whole number"),
        (
            lambda n, x, t: n.train(x, t, batch_size=10, optimizer=cnnlib.SGD(1e38)),
            FloatingPointError,
            r"try one below 1\.",
        ),
        (lambda n, x, t: cnnlib.Network([], (1,)), ValueError, "at least one layer"),
        (lambda n, x, t: cnnlib.Network(2 * [cnnlib.ReLU()], (1,)), ValueError, "ReLU.* stands there twice"),
        (
            lambda n, x, t: cnnlib.Network([cnnlib.Flatten(), cnnlib.Dense(5, 2)], (2, 2)),
            ValueError,
            "layer 1 does not fit",
        ),
    ],
)
def test_bad_input_is_named(act, error, message):
    with pytest.raises(error, match=message):
        act(small_network(), *small_data())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_saved_network_predicts_the_same_bits(tmp_path, dtype):
    network = small_network().astype(dtype)
    x, _ = small_data()
    network.save(tmp_path / "some" / "model.npz", accuracy=0.5)
    again = cnnlib.Network.load(tmp_path / "some" / "model.npz")
    np.testing.assert_array_equal(again.predict(x), network.predict(x))
    assert again.config == network.config and again.notes == {"accuracy": 0.5}
    assert [p.name for p in (tmp_path / "some").iterdir()] == ["model.npz"]


def saved(path, **changes):
    """Save a small network with some arrays or parts of the description replaced; None leaves one out."""
    network = small_network()
    arrays = {name: changes.pop(name, array) for name, array in network.parameters().items()}
    description = {"format": "cnnlib network 1", "network": network.config, "notes": {}}
    for name in list(changes):
        if name in description:
            description[name] = changes.pop(name)
    arrays = {name: array for name, array in (arrays | changes).items() if array is not None}
    saving.write_arrays(path, arrays, description)


def changed_layer(index, **changes):
    config = small_network().config
    config["layers"][index].update(changes)
    return config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b0": None}, "b0"),
        ({"extra": np.ones(3)}, "arrays of no layer: extra"),
        (
            {"W4": np.zeros((32, 4), np.float32)},
            r"W of layer 4 is float32 of shape \(32, 4\), expected float32 of shape \(32, 3\)",
        ),
        ({"W4": np.zeros((32, 3))}, "is float64"),
        ({"format": "something else"}, "format is 'something else'"),
        ({"network": changed_layer(1, **{"class": "system"})}, "layer 1 is a 'system', expected one of"),
        ({"network": changed_layer(1, unknown=1)}, "takes no arguments"),
        ({"network": changed_layer(4, outputs=10**9)}, "too large"),
        ({"network": changed_layer(4, outputs="3")}, "whole number"),
        ({"network": changed_layer(4, inputs=31)}, r"expected float32 of shape \(31, 3\)"),
        ({"network": small_network().config | {"dtype": "object"}}, "dtype is 'object'"),
        ({"network": small_network().config | {"input_shape": [1, 9, 12]}}, "does not fit"),
        ({"network": "nothing"}, "does not hold a network"),
        ({"notes": [["a", 1]]}, "notes must be a dictionary, got ..'a', 1.."),
        ({"notes": "ab"}, "notes must be a dictionary, got 'ab'"),
        (
            {"network": changed_layer(4, initializer="random")},
            "initializer of layer 4 must be one of he, glorot, zeros",
        ),
        ({"network": changed_layer(4, initializer=None)}, "initializer of layer 4 must be one of he, glorot, zeros"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, changes, message):
    saved(tmp_path / "model.npz", **changes)
    with pytest.raises(ValueError, match=message) as caught:
        cnnlib.Network.load(tmp_path / "model.npz")
    assert "model.npz" in str(caught.value)


def test_a_layer_without_an_initializer_is_refused(tmp_path):
    """Otherwise all the weights that it claims to have would be drawn."""
    config = small_network().config
    del config["layers"][4]["initializer"]
    saved(tmp_path / "model.npz", network=config)
    with pytest.raises(ValueError, match="it has no 'initializer'"):
        cnnlib.Network.load(tmp_path / "model.npz")


def test_pickles_are_not_read(tmp_path):
    path = tmp_path / "model.npz"
    with path.open("wb") as file:
        np.savez(file, W0=np.array([{"a": 1}], object), description=np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="not a readable cnnlib file"):
        cnnlib.Network.load(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip at all", b"\x93NUMPY"])
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.npz is not a readable cnnlib file"):
        cnnlib.Network.load(tmp_path / "model.npz")


def test_truncated_and_flipped_files_are_refused(tmp_path):
    path = tmp_path / "model.npz"
    small_network().save(path)
    whole = path.read_bytes()
    for cut in (10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="not a readable"):
            cnnlib.Network.load(path)
    middle = whole.index(b"W4.npy") + 200  # inside the weights: the archive's checksum notices
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(ValueError, match="not a readable"):
        cnnlib.Network.load(path)


def test_compressed_archives_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W0.npy", bytes(1_000_000))
    with pytest.raises(ValueError, match="compressed: write them with np.savez"):
        cnnlib.Network.load(tmp_path / "model.npz")


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        cnnlib.Network.load(tmp_path / "none.npz")


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    small_network(0).save(path)
    before = path.read_bytes()

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_network(1).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_notes_must_be_json(tmp_path):
    with pytest.raises(TypeError):
        small_network().save(tmp_path / "model.npz", rng=np.random.default_rng())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threads", [2, 3, 9])
def test_threads_predict_what_one_does_and_give_the_cores_back(threads):
    network, (x, t) = small_network(), small_data()
    alone, loss = network.predict(x), network.evaluate(x, t)
    with threadpoolctl.threadpool_limits(threads):
        shared = network.predict(x, batch_size=7)  # 8 batches
        np.testing.assert_allclose(shared, alone, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(network.evaluate(x, t), loss, rtol=1e-5)
        with pytest.raises(ValueError, match="expected a batch"):
            network.predict(x[:, :7], batch_size=7)
        assert {library["num_threads"] for library in threadpoolctl.threadpool_info()} == {threads}


def test_importing_is_quiet_and_light():
    """What draws figures is imported only by who uses it; a slow import would be felt in every notebook."""
    code = "import sys, cnnlib; print([m for m in ('matplotlib', 'requests') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]" and result.stderr == ""


def test_a_layer_that_could_not_be_loaded_is_not_saved(tmp_path):
    class Mine(cnnlib.ReLU):
        pass

    network = cnnlib.Network([cnnlib.Dense(2, 2), Mine()], (2,))
    with pytest.raises(TypeError, match="layer 1 is a Mine: only AveragePooling, Batch"):
        network.save(tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_layer_that_forgot_its_arguments_can_still_be_named():
    class Forgetful(cnnlib.ReLU):
        def __init__(self, slope):
            self.other = slope

    assert repr(Forgetful(0.1)) == "Forgetful(slope='?')"


def test_the_scale_of_images_is_a_rule():
    """uint8 are pixels and divided by 255, floating point is scaled already, and all else is an error or a warning."""
    network, pixels = small_network(), np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    expected = network.predict(pixels)
    np.testing.assert_allclose(network.predict(pixels / 255), expected, rtol=1e-5)
    for act in (network.predict, network.to_input, lambda x: network.train(x, np.arange(5) % 3, progress=False)):
        for dtype in (np.int16, np.int64, np.uint16):
            with pytest.raises(
                ValueError, match=rf"images in {np.dtype(dtype)}, whose scale is unknown: uint8 are pix"
            ):
                act(pixels.astype(dtype))
        with pytest.raises(ValueError, match="whose scale is unknown"):
            act(pixels.tolist())
        for dtype in (np.float16, np.float32, np.float64):
            with pytest.raises(
                ValueError, match=r"numbers up to 255: floating point must be scaled already \(x / 255\)"
            ):
                act(pixels.astype(dtype))
        with pytest.raises(ValueError, match="numbers up to 255"):
            act(-pixels.astype(float))
        with pytest.warns(UserWarning, match=r"nothing above 1.*if it is a mask, pass x.astype\(bool\)"):
            act((pixels > 99).astype(np.uint8))
    mask = pixels > 99
    np.testing.assert_allclose(network.to_input(mask)[:, 0], mask)
    network.predict(np.zeros((2, 8, 8), np.uint8))  # an empty page is an image


def test_another_scale_can_be_meant(tmp_path):
    network, pixels = small_network(), np.full((2, 8, 8), 255.0)
    network.max_input = None
    network.save(tmp_path / "model.npz")
    again = cnnlib.Network.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(pixels), network.predict(pixels))
    with pytest.raises(ValueError, match="numbers up to 255"):
        small_network().predict(pixels)
    hidden = small_network()[1:]  # what lies between two layers is of any scale
    assert hidden.predict(np.full((1, 2, 8, 8), 1000.0)).shape == (1, 3) and small_network()[:2].max_input == 32


def test_features_are_taken_as_they_are_and_bytes_refused():
    network = cnnlib.Network([cnnlib.Dense(3, 2, rng=0)], (3,))
    np.testing.assert_array_equal(network.to_input([[1000, 0, -5]]), [[1000, 0, -5]])
    with pytest.raises(ValueError, match="features in uint8, which are not divided by 255: divide pixels yourself"):
        network.predict(np.ones((2, 3), np.uint8))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_predicted(value):
    x, _ = small_data(4)
    x[2, 1, 3] = value
    for act in (small_network().predict, lambda x: small_network().evaluate(x, [0, 1, 2, 0])):
        with pytest.raises(ValueError, match=r"x holds numbers that are not finite, the first at \(2, 0, 1, 3\)"):
            act(x)


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f4", int])
def test_what_could_not_be_loaded_is_not_saved(tmp_path, dtype):
    network = small_network()
    network[4].W = network[4].W.astype(dtype)
    with pytest.raises(TypeError, match="W4 is .*: a network is saved in float32 or float64, one for all its arrays"):
        network.save(tmp_path / "model.npz")
    network[4].W = np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match=r"W of layer 4 is float32 of shape \(2, 2\), expected"):
        network.save(tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_numbers_that_are_not_finite_is_refused(tmp_path):
    saved(tmp_path / "model.npz", b4=np.array([1, np.nan, 0], np.float32))
    with pytest.raises(ValueError, match=r"model.npz is not .*: b4 holds numbers that are not finite, the first at"):
        cnnlib.Network.load(tmp_path / "model.npz")


def test_a_big_endian_file_is_read(tmp_path):
    saved(tmp_path / "model.npz", b4=np.array([1, 2, 0], ">f4"))
    np.testing.assert_array_equal(cnnlib.Network.load(tmp_path / "model.npz")[4].b, [1, 2, 0])


@pytest.mark.parametrize(
    "layer", [{"class": "BatchNormalization", "channels": 10**9}, {"class": "Upsampling", "size": 10**9}]
)
def test_a_small_file_that_names_a_huge_layer_costs_nothing(tmp_path, layer):
    config = {"layers": [layer], "input_shape": [1, 2, 2], "max_input": None, "dtype": "float32"}
    saved(tmp_path / "huge.npz", network=config)
    tracemalloc.start()
    with pytest.raises(ValueError, match="at most"):
        cnnlib.Network.load(tmp_path / "huge.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_the_summary_is_a_table():
    block = cnnlib.Residual([cnnlib.Convolutional(4, 4, 3, padding="same", rng=0), cnnlib.ReLU()])
    layers = [cnnlib.Convolutional(1, 4, 3, padding=1, rng=0), block, cnnlib.Flatten(), cnnlib.Dense(1024, 1000)]
    network = cnnlib.Network(layers, (1, 16, 16))
    assert (
        network.summary()
        == """\
Layer            Output shape    Parameters
-------------------------------------------
input            (N, 1, 16, 16)
Convolutional    (N, 4, 16, 16)          40
Residual         (N, 4, 16, 16)
  Convolutional  (N, 4, 16, 16)         148
  ReLU           (N, 4, 16, 16)
Flatten          (N, 1024)
Dense            (N, 1000)        1,025,000
-------------------------------------------
Total                             1,025,188"""
    )
    deeper = cnnlib.Network([cnnlib.Residual([cnnlib.Sequential([cnnlib.ReLU()])])], (3,))
    assert deeper.summary().splitlines()[3:6] == [
        "Residual      (N, 3)",
        "  Sequential  (N, 3)",
        "    ReLU      (N, 3)",
    ]
    assert repr(network) == "Network(4 layers, 1,025,188 parameters)"
    assert repr(small_network()) == "Network(6 layers, 119 parameters)"


def test_the_config_of_a_network():
    config = small_network().config
    assert [layer["class"] for layer in config.pop("layers")] == [type(layer).__name__ for layer in small_network()]
    assert config == {"input_shape": [1, 8, 8], "max_input": 32.0, "dtype": "float32"}
    assert small_network().astype(np.float64).dtype == np.float64
    without = cnnlib.Network([cnnlib.ReLU(), cnnlib.Softmax()], (3,))
    assert without.dtype == np.float32 and without.parameter_count == 0


def test_what_the_network_is_not_given_is_named():
    network, x = small_network(), small_data(4)[0]
    for call, message in (
        (lambda: network.predict("a"), "x must be an array of real numbers, got str of dtype <U1"),
        (lambda: network.predict(x, 0), "batch_size must be at least 1, got 0"),
        (lambda: network.evaluate(x, "a"), "targets must be an array of real numbers, got str of dtype <U1"),
        (lambda: cnnlib.Network(network.layers, (0, 8, 8)), "input_shape must be"),
        (lambda: cnnlib.Network(network.layers, (1, 8, 8), 0), "max_input must be a number in (0, inf), got 0"),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert message in str(caught.value)


def test_a_softmax_alone_is_a_network():
    network, t = cnnlib.Network([cnnlib.Softmax()], (3,)), np.eye(3)
    assert network.evaluate(t, t)[0] == pytest.approx(np.log(np.e + 2) - 1)


def test_the_dtype_is_that_of_the_first_parameter():
    class Scale(cnnlib.Layer):
        params = ("W",)

        def __init__(self):
            self.W = np.ones(1)

        def forward(self, x):
            return self.W * x

    assert cnnlib.Network([cnnlib.ReLU(), Scale()], (2,)).dtype == np.float64


def test_what_fits_already_is_not_copied():
    network, x = small_network(), cnnlib.batch_last(np.random.default_rng(0).random((5, 1, 8, 8)).astype(np.float32))
    assert np.shares_memory(network.to_input(x), x)
    t = np.eye(3, dtype=np.float32)
    assert np.shares_memory(network.as_targets(t, 3), t)


def test_nothing_to_predict_has_the_shape_of_the_output():
    network = cnnlib.Network([cnnlib.Flatten(), cnnlib.Dense(4, 3)], (1, 2, 2))
    assert network.predict(np.zeros((0, 2, 2))).shape == (0, 3)


def test_one_output_has_no_class_numbers():
    network = cnnlib.Network([cnnlib.Dense(2, 1), cnnlib.Sigmoid()], (2,))
    with pytest.raises(ValueError, match=r"targets .*\(3, 1\)"):
        network.evaluate(np.zeros((3, 2)), np.zeros(3, int))


def test_a_file_without_a_largest_input_has_the_default(tmp_path):
    config = small_network().config
    del config["max_input"]
    saved(tmp_path / "model.npz", network=config)
    assert cnnlib.Network.load(tmp_path / "model.npz").max_input == 32


def test_what_is_said_of_arrays_and_notes_that_do_not_fit(tmp_path):
    path = tmp_path / "model.npz"
    saved(path, extra=np.ones(3), W9=np.ones(3))
    with pytest.raises(ValueError) as caught:
        cnnlib.Network.load(path)
    assert str(caught.value) == f"{path} does not hold a network: it holds arrays of no layer: W9, extra"
    with pytest.raises(TypeError, match="^notes must be"):
        small_network().save(path, rng=np.random.default_rng())
