"""The network that comes with the package: its size, and what its model card promises."""

import os
import re
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib.digits.models import ARCHITECTURES

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))
import measure_model

CARD = (resources.files("cnnlib") / "resources" / "lenet5.md").read_text("utf-8")


def promised(name):
    """Return the numbers of one row of the card's table: all, then every class, in percent."""
    row = next(line for line in CARD.splitlines() if line.startswith(f"| {name}"))
    return [float(number) for number in re.findall(r"\d+\.\d+", row)]


def test_size():
    network = cnnlib.load_pretrained()
    assert network.parameter_count == 61_706 and network.config["layers"] == cnnlib.lenet5().config["layers"]
    assert (resources.files("cnnlib") / "resources" / "lenet5.npz").stat().st_size < 300_000


@pytest.mark.parametrize(("name", "count"), [("lenet5", 61_706), ("dense", 61_671)])
def test_new_networks(name, count):
    """Their parameters depend on the random generator alone."""
    build = ARCHITECTURES[name]
    network = build(np.random.default_rng(3))
    assert network.parameter_count == count
    assert np.allclose(network.predict(np.full((2, 28, 28), 0.5)).sum(axis=1), 1)
    assert network.input_shape == (1, 28, 28) and network.shapes[-1] == (10,)
    again, other = build(np.random.default_rng(3)).parameters(), build().parameters()
    for key, array in network.parameters().items():
        np.testing.assert_array_equal(array, again[key])
        assert not array.any() or not np.array_equal(array, other[key])


def test_it_classifies_digits_by_other_people():
    """They were scanned elsewhere, at 8x8 pixels, so it is less accurate on them."""
    digits = cnnlib.load_digits()
    images, labels = (np.concatenate(pair) for pair in zip(digits[1:3], digits[3:5], strict=True))
    assert np.mean(cnnlib.load_pretrained().predict(images).argmax(axis=1) == labels) > 0.95


def check(name, images, labels, minimum):
    right = measure_model.report(name, images, labels)
    expected = promised(name)
    assert right.mean() >= minimum
    assert 100 * right.mean() == pytest.approx(expected[0], abs=0.02)  # one or two may tip on another processor
    assert [100 * right[labels == label].mean() for label in range(10)] == pytest.approx(expected[1:], abs=0.25)
    return right


def test_mnist_is_as_the_card_says():
    try:
        mnist = cnnlib.load_mnist()
    except cnnlib.DataNotFoundError:
        pytest.skip("MNIST is not here")
    check("MNIST", mnist.test_images, mnist.test_labels, 0.995)


def test_pen_strokes_are_as_the_card_says():
    if not os.environ.get("CNNLIB_DATA") or not (strokes := measure_model.load_strokes()):
        pytest.skip("the pen strokes are not here")
    images, labels, _ = strokes
    right = check("Pen strokes", images, labels, 0.975)
    assert min(right[labels == label].mean() for label in range(10)) >= 0.92
