"""Chapter 17: its networks and augmentation; the checks of its exercises judge right and wrong answers."""

import numpy as np
import pytest

import cnnlib
from cnnbook import deeper_networks as chapter
from cnnbook.checking import WrongAnswer


def test_networks_are_as_large_as_they_say():
    small, residual = (build(np.random.default_rng(0)) for build, *_ in chapter.RUNS.values())
    assert small.parameter_count == 59_006 < cnnlib.lenet5().parameter_count
    assert residual.parameter_count == 261_130


@pytest.mark.parametrize("parts", chapter.KINDS.values(), ids=chapter.KINDS)
@pytest.mark.parametrize("depth", [4, 8, 16, 32])
def test_a_deep_network_is_as_deep_as_it_says(depth, parts):
    network = chapter.deep_network(depth, **parts, rng=np.random.default_rng(0))
    assert sum(name.startswith("W") for name in network.parameters()) == depth
    assert any(name.startswith("gamma") for name in network.parameters()) == parts.get("normalized", False)


def test_split_leaves_nothing_out_and_nothing_twice():
    train, validation = chapter.split(np.zeros(100), seed=1, size=30)
    assert len(validation) == 30
    assert sorted([*train, *validation]) == list(range(100))


def test_flips_and_shifts():
    rng, images = np.random.default_rng(0), np.random.default_rng(1).integers(1, 256, (400, 5, 6), np.uint8)
    changed = chapter.flip_and_shift(images, rng)
    assert changed.shape == images.shape and changed.dtype == images.dtype
    counts = {}
    for image, new in zip(images, changed, strict=True):
        padded = np.pad(image, 1)
        windows = {(i, j): padded[i : i + 5, j : j + 6] for i in range(3) for j in range(3)}
        fits = [(i, j, f) for (i, j), window in windows.items() for f in (1, -1) if np.array_equal(window[:, ::f], new)]
        assert len(fits) == 1
        counts[fits[0]] = counts.get(fits[0], 0) + 1
    assert len(counts) == 18 and max(counts.values()) < 50


def test_half_of_the_images_lose_a_square():
    images = np.full((2_000, 28, 28), 200, np.uint8)
    changed = chapter.erase(images, np.random.default_rng(0))
    assert changed.dtype == images.dtype and set(np.unique(changed)) == {0, 200} and (images == 200).all()
    lost = (changed == 0).sum(axis=(1, 2))
    assert 900 < (lost > 0).sum() < 1_100
    assert lost.max() == 81 and lost[lost > 0].min() == 25  # in a corner, a square of 5x5 remains of it
    heights = (changed == 0).any(axis=2).sum(axis=1) * (changed == 0).any(axis=1).sum(axis=1)
    assert np.array_equal(heights, lost)  # what is lost is a rectangle
    where = (changed == 0).mean(axis=0)
    assert where[10:18, 10:18].min() > 0.03 and where[0, 0] < where[14, 14]
    for shape in ((0, 28, 28), (40, 12, 30), (40, 30, 12), (40, 1, 1)):
        few = chapter.flip_shift_and_erase(np.ones(shape, np.float32), np.random.default_rng(0))
        assert few.shape == shape and few.dtype == np.float32
    assert few.any() and not few.all()  # images of one pixel, that is kept or lost
    both = chapter.flip_shift_and_erase(images, np.random.default_rng(0))
    shifted = chapter.flip_and_shift(images, np.random.default_rng(0))
    assert both.shape == images.shape and 900 < (both != shifted).any(axis=(1, 2)).sum() < 1_100


def fold(W, b, gamma, beta, mean, variance, epsilon):
    scale = gamma / np.sqrt(variance + epsilon)
    return W * scale[:, None, None, None], (b - mean) * scale + beta


def fold_without_root(W, b, gamma, beta, mean, variance, epsilon):
    scale = gamma / (variance + epsilon)
    return W * scale[:, None, None, None], (b - mean) * scale + beta


def fold_forgets_bias(W, b, gamma, beta, mean, variance, epsilon):
    folded, _ = fold(W, b, gamma, beta, mean, variance, epsilon)
    return folded, beta - mean * gamma / np.sqrt(variance + epsilon)


def fold_keeps_bias(W, b, gamma, beta, mean, variance, epsilon):
    folded, _ = fold(W, b, gamma, beta, mean, variance, epsilon)
    return folded, b + beta


def fold_in_place(W, b, gamma, beta, mean, variance, epsilon):
    W *= (gamma / np.sqrt(variance + epsilon))[:, None, None, None]
    return W, b


class LayerNormalization(cnnlib.Layer):
    axis, centred, stretched = 1, True, True

    def __init__(self, epsilon=1e-5):
        self.epsilon = epsilon

    def forward(self, x):
        self.scale = 1 / np.sqrt(x.var(axis=self.axis, keepdims=True) + self.epsilon)
        self.x_hat = (x - x.mean(axis=self.axis, keepdims=True)) * self.scale
        return self.x_hat

    def backward(self, dy):
        dx = dy.copy()
        if self.centred:
            dx -= dy.mean(axis=self.axis, keepdims=True)
        if self.stretched:
            dx -= self.x_hat * (dy * self.x_hat).mean(axis=self.axis, keepdims=True)
        return self.scale * dx


class OverTheBatch(LayerNormalization):
    axis = 0


class OverAll(LayerNormalization):
    axis = None


class WithoutMeanPath(LayerNormalization):
    centred = False


class WithoutVariancePath(LayerNormalization):
    stretched = False


class NoEpsilon(LayerNormalization):
    def forward(self, x):
        return (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)


NUMBERS = np.array([1, 3, 5, 7])


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (chapter.check_normalized, (2 * (NUMBERS - 4) / np.sqrt(5) + 1,)),
        (chapter.check_normalized, ([-1.68, 0.11, 1.89, 3.68],)),
        (chapter.check_running_mean, (2.71,)),
        (chapter.check_gain, ([0.5**20, 1.5**20],)),
        (chapter.check_gain, ((9.54e-7, 3325),)),
        (chapter.check_folded, (fold,)),
        (chapter.check_layer_normalization, (LayerNormalization,)),
    ],
)
def test_right(function, answer, capsys):
    function(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (chapter.check_normalized, ([1, 3, 5],), "four numbers"),
        (chapter.check_normalized, ((NUMBERS - 4) / np.sqrt(5),), "gamma and beta"),
        (chapter.check_normalized, (2 * (NUMBERS - 4) / 5 + 1,), "square root"),
        (chapter.check_normalized, (2 * (NUMBERS - 4) / np.sqrt(20 / 3) + 1,), "m - 1"),
        (chapter.check_normalized, (2 * (NUMBERS - 4) + 1,), "not scaled"),
        (chapter.check_normalized, (NUMBERS,), "The mean is 4"),
        (chapter.check_running_mean, (10,), "momentum 0"),
        (chapter.check_running_mean, (7.29,), "still missing"),
        (chapter.check_running_mean, (9.99,), "share that is kept"),
        (chapter.check_running_mean, (3.0,), "get smaller"),
        (chapter.check_running_mean, (1.0,), "one batch"),
        (chapter.check_running_mean, (5.0,), "a tenth of the distance"),
        (chapter.check_gain, ([1],), "two numbers"),
        (chapter.check_gain, ([10, 1.5**20],), "multiply"),
        (chapter.check_gain, ([0.5**20, 11],), "blocks in a row multiply"),
        (chapter.check_gain, ([0.5**20, 1 + 0.5**20],), "a path of its own"),
        (chapter.check_gain, ([0.5**20, 0.5**20],), "adds 1"),
        (chapter.check_gain, ([1.5**20, 0.5**20],), "order"),
        (chapter.check_gain, ([0.5**19, 1.5**20],), "is not it"),
        (chapter.check_gain, ([0.5**20, 1.5**19],), "slope of x"),
        (chapter.check_folded, (fold_without_root,), "W: each filter"),
        (chapter.check_folded, (fold_forgets_bias,), "goes through the normalization"),
        (chapter.check_folded, (fold_keeps_bias,), "all inputs are zero"),
        (chapter.check_folded, (fold_in_place,), "changed its arguments"),
        (chapter.check_folded, (lambda *given: given[0],), "two arrays"),
        (chapter.check_folded, (lambda W, b, *rest: (W[0], b),), "keep its shape"),
        (chapter.check_folded, (lambda W, b, *rest: (W, b.sum()),), "b must have the shape"),
        (chapter.check_layer_normalization, (OverTheBatch,), "over the batch"),
        (chapter.check_layer_normalization, (OverAll,), "all examples together"),
        (chapter.check_layer_normalization, (NoEpsilon,), "epsilon"),
        (chapter.check_layer_normalization, (WithoutMeanPath,), "central differences"),
        (chapter.check_layer_normalization, (WithoutVariancePath,), "central differences"),
        (chapter.check_layer_normalization, (lambda epsilon: cnnlib.Flatten(),), "epsilon"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(*answer)
