"""Chapter 21: its gradients, its sampling and its measures; the checks accept right answers, and say what is wrong."""

import numpy as np
import pytest

import cnnlib
from cnnbook import generation as chapter
from cnnbook.checking import WrongAnswer
from cnnlib.gradient_check import central_difference


def worst_error(networks, loss, rng):
    """For every parameter array, the relative error of the gradient that `loss` sets, at some entries."""
    loss()
    pairs = [
        (network.parameters()[name], gradient.copy())
        for network in networks
        for name, gradient in network.gradients().items()
    ]
    for array, gradient in pairs:
        largest = np.unravel_index(np.abs(gradient).argmax(), array.shape)
        places = [largest, *(tuple(rng.integers(array.shape)) for _ in range(6))]
        numerical = np.array([central_difference(loss, 1, array, place, 1e-4) for place in places])
        yield np.linalg.norm([gradient[place] for place in places] - numerical) / np.linalg.norm(numerical)


@pytest.mark.parametrize("beta", [0, 0.1, 4])
def test_gradients_of_the_autoencoder(beta):
    rng = np.random.default_rng(1)
    networks = [network.astype(float) for network in chapter.new_autoencoder(rng, 3, (6, 5)).values()]
    x, noise = rng.random((4, 784)), rng.standard_normal((4, 3))

    def loss():
        reconstruction, divergence = chapter.autoencoder_step(*networks, x, noise, beta)
        return reconstruction + beta * divergence

    assert max(worst_error(networks, loss, rng)) < 1e-7


def test_gradients_of_the_flow():
    rng = np.random.default_rng(2)
    flow = chapter.new_flow(rng, size=3, hidden=8, depth=2).astype(float)
    flow[-1].W[:] = rng.standard_normal(flow[-1].W.shape)
    z, noise = rng.standard_normal((2, 6, 3))
    arguments = z, np.eye(10)[:6], noise, rng.random((6, 1))
    assert max(worst_error([flow], lambda: chapter.flow_step(flow, *arguments), rng)) < 1e-7


def test_divergence_is_what_a_random_mean_says():
    rng = np.random.default_rng(3)
    mu, sigma = 0.7, 1.6
    z = mu + sigma * rng.standard_normal(400_000)
    ratio = -np.log(sigma) - (z - mu) ** 2 / (2 * sigma**2) + z**2 / 2
    assert 0.5 * (sigma**2 + mu**2 - 1 - np.log(sigma**2)) == pytest.approx(ratio.mean(), abs=0.01)


class Straight:
    """A flow that knows the answer: the velocity from anywhere to `goal`, by class."""

    def __init__(self, goals):
        self.goals = np.float32(goals)

    def predict(self, inputs):
        size = self.goals.shape[1]
        x, c, angle = inputs[:, :size], inputs[:, size : size + 10], inputs[:, size + 10 : size + 11]
        t = np.arcsin(np.clip(angle, -1, 1)) / chapter.FREQUENCIES[0]  # right up to t = 1/2
        return (c @ self.goals - x) / (1 - t)


def test_following_a_straight_line_is_exact_in_one_step():
    goals = np.random.default_rng(4).standard_normal((10, 3))
    x = np.random.default_rng(5).standard_normal((10, 3), dtype=np.float32)
    for steps in (1, 2):
        path = chapter.follow_flow(Straight(goals), x, np.eye(10, dtype=np.float32), steps, guidance=1, heun=False)
        assert len(path) == steps + 1
        np.testing.assert_allclose(path[-1], goals, atol=1e-5)
        np.testing.assert_array_equal(path[0], x)


def test_guidance_exaggerates_the_class():
    flow, x, c = Straight(np.ones((10, 2))), np.zeros((3, 2), np.float32), np.eye(10, dtype=np.float32)[:3]
    for w in (0, 0.5, 1, 3):
        np.testing.assert_allclose(chapter.velocity(flow, x, 0.0, c, w), w)


def test_heun_has_the_second_order():
    exact = chapter.toy_path(2000)[-1]
    for heun, factor in ((False, 2), (True, 4)):
        coarse, fine = (np.abs(chapter.toy_path(steps, heun)[-1] - exact).mean() for steps in (50, 100))
        assert coarse / fine == pytest.approx(factor, rel=0.15)


def test_the_mean_velocity_of_the_clouds():
    """Where the data are few clouds, the mean of many random lines near a point is what the formula says."""
    rng, t, x = np.random.default_rng(6), 0.6, np.array([[0.9, 0.4]])
    z = chapter.CENTRES[rng.integers(5, size=2_000_000)] + 0.3 * rng.standard_normal((2_000_000, 2))
    noise = rng.standard_normal(z.shape)
    near = np.linalg.norm((1 - t) * noise + t * z - x, axis=1) < 0.03
    np.testing.assert_allclose((z - noise)[near].mean(axis=0), chapter.toy_velocity(x, t)[0], atol=0.1)


def test_flow_matching_learns_two_classes():
    """Two classes of points in the plane: after a short run, samples lie where their class does."""
    rng = np.random.default_rng(7)
    labels = rng.integers(2, size=2000)
    points = (np.array([[2, 0], [-1, 1.5]])[labels] + 0.1 * rng.standard_normal((2000, 2))).astype(np.float32)
    flow = chapter.new_flow(rng, size=2, hidden=48, depth=1)
    history = chapter.train_flow(flow, lambda n, rng: points[n], labels, steps=500, batch_size=128)
    assert np.mean(history[-50:]) < np.mean(history[:50]) / 2
    wanted = np.repeat([0, 1], 50)
    noise = rng.standard_normal((100, 2), dtype=np.float32)
    end = chapter.follow_flow(flow, noise, np.eye(10, dtype=np.float32)[wanted], 10, guidance=1)[-1]
    for label in (0, 1):
        np.testing.assert_allclose(end[wanted == label].mean(axis=0), points[labels == label].mean(axis=0), atol=0.2)


def test_the_same_seed_gives_the_same_networks():
    data = cnnlib.load_digits()
    images = chapter.pixels(data.train_images)

    def run(seed):
        networks = chapter.new_autoencoder(np.random.default_rng(0), 4, (16, 16))
        history = chapter.train_autoencoder(networks, images, 30, beta=0.1, seed=seed)
        return history, networks["decoder"].parameters()

    (first, a), (again, b), (other, _) = run(1), run(1), run(2)
    assert first == again != other
    assert first[-1][0] < first[0][0]
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_frechet_distance():
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4)), rng.standard_normal((400, 4)) + 1
    assert chapter.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert chapter.frechet_distance(a, b) == pytest.approx(chapter.frechet_distance(b, a))
    assert chapter.frechet_distance(a, a + 2) == pytest.approx(16)
    A, B = np.cov(a.T), np.cov(b.T)  # the root of A B, from its eigenvalues, another way
    root = np.sqrt(np.linalg.eigvals(A @ B).real).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(A + B) - 2 * root
    assert chapter.frechet_distance(a, b) == pytest.approx(expected)


def test_spread():
    x = np.random.default_rng(9).random((8, 5))
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    pairs = [np.linalg.norm(x[i] - x[j]) for i in range(8) for j in range(i) if labels[i] == labels[j]]
    assert chapter.spread(x, labels) == pytest.approx(np.mean(pairs))


def test_six_bits_are_enough_for_the_page():
    network = cnnlib.load_pretrained()
    twin = chapter.quantized(network)
    digits = cnnlib.load_digits()
    p, q = (each.predict(digits.test_images) for each in (network, twin))
    assert np.mean(p.argmax(axis=1) == q.argmax(axis=1)) > 0.98
    for name, W in network.parameters().items():
        if W.ndim == 2:
            limit = np.abs(W).max(axis=0)
            assert (np.abs(twin.parameters()[name] - W).max(axis=0) <= limit / 60).all()


def test_what_is_stored_is_as_good_as_it_says():
    networks = chapter.EXPERIMENTS["generation"].load("generation")
    labels = np.repeat(np.arange(10), 20)
    images = chapter.generate(networks, labels, **chapter.SAMPLING)
    assert images.shape == (200, 784) and 0 <= images.min() <= images.max() <= 1
    assert chapter.judged_accuracy(cnnlib.load_pretrained(), images, labels) > 0.93


# The checks of the exercises


def fancy_heun(field, x, steps, late=1.0, share=0.5, length=1.0):
    h = 1 / steps
    for k in range(steps):
        v = field(x, k * h)
        x = x + length * h * ((1 - share) * v + share * field(x + h * v, (k + late) * h))
    return x


def in_place(field, x, steps):
    x += fancy_heun(field, x, steps) - x
    return x


def exact(x, t, points, variance=None, centre=None, sign=1, shift=True, weighted=True, last=True):
    variance = (1 - t) ** 2 if variance is None else variance(t)
    score = -((x[:, np.newaxis] - (t if centre is None else centre) * points) ** 2).sum(axis=2) / (2 * variance)
    with np.errstate(all="ignore"):
        weights = np.exp(score - score.max(axis=1, keepdims=True) * shift) if weighted else np.ones_like(score)
        weights /= weights.sum(axis=1, keepdims=True)
    return sign * (weights @ points - x) / ((1 - t) if last else 1)


def gaussian(mu1, sigma1, mu2, sigma2):
    return np.sum((mu1 - mu2) ** 2) + np.sum((sigma1 - sigma2) ** 2)


DIVERGENCE = 0.5 * (5 + 1 + 4 - 2 - np.log(4))


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (chapter.check_divergence, DIVERGENCE),
        (chapter.check_divergence, 3.31),
        (chapter.check_divergence, np.float32(DIVERGENCE)),
        (chapter.check_steps, [2.25, 2.5]),
        (chapter.check_steps, np.array([2.25, 2.5])),
        (chapter.check_gaussian_distance, gaussian),
        (chapter.check_gaussian_distance, lambda m, s, n, r: float(sum((m - n) ** 2 + (s - r) ** 2))),
        (chapter.check_heun, fancy_heun),
        (chapter.check_exact_velocity, exact),
    ],
)
def test_right(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (chapter.check_divergence, 2 * DIVERGENCE, "1/2 in front"),
        (chapter.check_divergence, DIVERGENCE + 1, "must be taken away"),
        (chapter.check_divergence, DIVERGENCE / 2, "not their mean"),
        (chapter.check_divergence, DIVERGENCE + np.log(4), "subtracted"),
        (chapter.check_divergence, 0.5 * (17 + 5 - 2 - 2 * np.log(4)), "of the variance"),
        (chapter.check_divergence, DIVERGENCE - 2.5, "means count"),
        (chapter.check_divergence, "3.3", "expected a number"),
        (chapter.check_divergence, 3.5, "is not it"),
        (chapter.check_steps, [2.5, 2.25], "exchanged"),
        (chapter.check_steps, [2, 2.5], "one step of Euler"),
        (chapter.check_steps, [4, 2.5], "h is 1/2"),
        (chapter.check_steps, [np.e, 2.5], "exact solution"),
        (chapter.check_steps, [2.25, 3], "at the end alone"),
        (chapter.check_steps, [2.25, 2], "at the start alone"),
        (chapter.check_steps, [2.3, 2.5], "Euler: 2.3"),
        (chapter.check_steps, [2.25, 2.6], "Heun: 2.6"),
        (chapter.check_steps, 2.25, "two numbers"),
        (chapter.check_gaussian_distance, lambda *a: np.sqrt(gaussian(*a)), "root of it"),
        (chapter.check_gaussian_distance, lambda m, s, n, r: np.sum((m - n) ** 2), "only the means"),
        (chapter.check_gaussian_distance, lambda m, s, n, r: np.sum((s - r) ** 2), "only the spreads"),
        (chapter.check_gaussian_distance, lambda m, s, n, r: gaussian(m, s**2, n, r**2), "not the variance"),
        (chapter.check_gaussian_distance, lambda *a: gaussian(*a) / len(a[0]), "not their mean"),
        (chapter.check_gaussian_distance, lambda m, s, n, r: np.sum((m - n) ** 2 + s**2 + r**2), "root of A B"),
        (chapter.check_gaussian_distance, lambda m, s, n, r: np.sum(abs(m - n) + (s - r) ** 2), "are squared"),
        (chapter.check_gaussian_distance, lambda m, s, n, r: (m - n) ** 2 + (s - r) ** 2, "expected a number"),
        (chapter.check_heun, lambda *a: fancy_heun(*a, share=0), "Euler's method"),
        (chapter.check_heun, lambda *a: fancy_heun(*a, share=1), "Euler's end alone"),
        (chapter.check_heun, lambda *a: fancy_heun(*a, late=0), "not k h"),
        (chapter.check_heun, lambda *a: fancy_heun(*a, length=2), "twice as long"),
        (chapter.check_heun, in_place, "were changed"),
        (chapter.check_heun, lambda *a: fancy_heun(*a)[0], "points of the shape"),
        (chapter.check_heun, lambda f, x, n: fancy_heun(f, x, n + 1), "steps, h = "),
        (chapter.check_exact_velocity, lambda *a: exact(*a, sign=-1), "sign is wrong"),
        (chapter.check_exact_velocity, lambda *a: exact(*a, last=False), "divide by 1"),
        (chapter.check_exact_velocity, lambda *a: exact(*a, weighted=False), "count alike"),
        (chapter.check_exact_velocity, lambda *a: exact(*a, variance=lambda t: 1 - t), "not 1 − t"),
        (chapter.check_exact_velocity, lambda *a: exact(*a, variance=lambda t: (1 - t) ** 2 / 2), "has a 2 below"),
        (chapter.check_exact_velocity, lambda *a: exact(*a, variance=lambda t: 1), "is 1 − t, not 1"),
        (chapter.check_exact_velocity, lambda *a: exact(*a, centre=1), "stands at t z"),
        (chapter.check_exact_velocity, lambda *a: exact(*a, shift=False), "underflows"),
        (chapter.check_exact_velocity, lambda *a: exact(*a)[0], "velocities of the shape"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(answer)
