"""Chapter 21, Generating images: its training loops and measures, its figures, then the checks of its exercises."""

import copy
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnbook.beyond import Experiment, Networks
from cnnbook.checking import passed, require, require_array, require_number
from cnnbook.engine import describe, encode
from cnnlib import Adam, Dense, Layer, MeanSquaredError, Network, ReLU, Residual, Sigmoid, SigmoidCrossEntropy, one_hot
from cnnlib.blas import one_blas_thread

PIXELS, CLASSES = 784, 10
FREQUENCIES = (np.pi * 2 ** np.linspace(0, 4, 16)).astype(np.float32)  # of the sines that tell the time


# The networks


def new_autoencoder(rng: np.random.Generator, latent: int = 32, hidden: tuple[int, int] = (256, 192)) -> Networks:
    """Return an encoder from pixels to means and log-variances, and a decoder from latent numbers to scores."""
    encoder = [Dense(PIXELS, hidden[0], rng=rng), ReLU(), Dense(hidden[0], 2 * latent, "glorot", rng=rng)]
    decoder = [Dense(latent, hidden[1], rng=rng), ReLU(), Dense(hidden[1], PIXELS, "glorot", rng=rng)]
    return {"encoder": Network(encoder, (PIXELS,)), "decoder": Network(decoder, (latent,))}


def new_flow(rng: np.random.Generator, size: int = 32, hidden: int = 208, depth: int = 3) -> Network:
    """Return a network from a point, a class and a time to a velocity; it begins with a velocity of zero."""
    inputs = size + CLASSES + 2 * len(FREQUENCIES)
    middle = [Residual([ReLU(), Dense(hidden, hidden, "glorot", rng=rng)]) for _ in range(depth)]
    layers = [Dense(inputs, hidden, "glorot", rng=rng), *middle, ReLU(), Dense(hidden, size, "zeros", rng=rng)]
    return Network(layers, (inputs,))


# A step of each: set all gradients, return the loss


def autoencoder_step(
    encoder: Network, decoder: Network, x: np.ndarray, noise: np.ndarray, beta: float
) -> tuple[float, float]:
    """Set the gradients of reconstruction + beta * divergence for images x (N, 784); return the two parts."""
    N, loss = len(x), SigmoidCrossEntropy()
    mu, s = np.split(encoder.forward(x), 2, axis=1)
    sigma = np.exp(s / 2)
    scores = decoder.forward(mu + sigma * noise)
    dz = decoder.backward(PIXELS * loss.gradient(scores, x))
    dmu = dz + beta * mu / N
    ds = dz * noise * sigma / 2 + beta * (np.exp(s) - 1) / (2 * N)
    encoder.backward(np.concatenate([dmu, ds], axis=1))
    divergence = 0.5 * np.sum(np.exp(s) + mu**2 - 1 - s) / N
    return PIXELS * loss.value(scores, x), float(divergence)


def flow_input(x: np.ndarray, t: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Lay points (N, D), classes (N, 10), one-hot or zeros, and sines and cosines of times (N, 1) side by side."""
    angles = t * FREQUENCIES
    return np.concatenate([x, c, np.sin(angles), np.cos(angles)], axis=1)


def flow_step(flow: Network, z: np.ndarray, c: np.ndarray, noise: np.ndarray, t: np.ndarray) -> float:
    """Set the gradients of the flow-matching loss; return it."""
    x = (1 - t) * noise + t * z
    v = flow.forward(flow_input(x, t, c))
    loss = MeanSquaredError()
    flow.backward(loss.gradient(v, z - noise))
    return loss.value(v, z - noise)


# The loops


def descend(
    networks: list[Network],
    step: Callable,
    steps: int,
    rng: np.random.Generator,
    learning_rate: float = 2e-3,
    after: Callable | None = None,
) -> list:
    """Take so many steps of Adam, at a rate that falls to zero; return what each ``step(*networks, rng)`` returned.

    The steps are made with fast copies of the networks, which share their parameters.
    """
    fast = [network.fused(needs_dx=index > 0, training=True) for index, network in enumerate(networks)]
    optimizer, history = Adam(learning_rate), []
    with one_blas_thread():
        for k in range(steps):
            history.append(step(*fast, rng))
            pairs = [
                (network.parameters()[name], gradient)
                for network in fast
                for name, gradient in network.gradients().items()
            ]
            optimizer.step(pairs, min(1, (k + 1) / 100) * cnnlib.cosine(k / steps))
            if after is not None:
                after(k)
    return history


def train_autoencoder(
    networks: Networks, images: np.ndarray, steps: int, *, beta: float, variational: bool = True, seed: int = 0
) -> list[tuple[float, float]]:
    """Train encoder and decoder on images (N, 784) from 0 to 1; return the two parts of the loss at every step."""

    def step(encoder, decoder, rng):
        x = images[rng.integers(len(images), size=256)]
        noise = rng.standard_normal((len(x), *networks["decoder"].input_shape), dtype=np.float32)
        return autoencoder_step(encoder, decoder, x, noise * variational, beta)

    return descend([networks["encoder"], networks["decoder"]], step, steps, np.random.default_rng(seed))


def train_flow(
    flow: Network, draw: Callable, labels: np.ndarray, steps: int, *, batch_size: int = 512, seed: int = 0
) -> list[float]:
    """Train by flow matching; return the loss at every step.

    The network ends with a running average of its weights, over some 500 steps at the end.

    Parameters
    ----------
    draw : callable
        ``draw(n, rng)`` returns the examples (points to flow to) of these numbers.
    labels : ndarray of shape (N,)
        Their classes, of which one in ten is left out, so that the network also learns to do without.
    """
    classes, average = np.eye(CLASSES, dtype=np.float32), copy.deepcopy(flow)

    def step(flow, rng):
        n = rng.integers(len(labels), size=batch_size)
        z, shape = draw(n, rng), (batch_size, 1)
        noise, t = rng.standard_normal(z.shape, dtype=np.float32), rng.random(shape, dtype=np.float32)
        return flow_step(flow, z, classes[labels[n]] * (rng.random(shape) > 0.1), noise, t)

    def follow(k):
        share = max(0.002, 10 / (k + 11))
        for name, mean in average.parameters().items():
            mean += share * (flow.parameters()[name] - mean)

    history = descend([flow], step, steps, np.random.default_rng(seed), after=follow)
    for name, parameter in flow.parameters().items():
        parameter[...] = average.parameters()[name]
    return history


def latents(encoder: Network, images: np.ndarray) -> Callable:
    """Return the ``draw(n, rng)`` of `train_flow`: latent vectors of images, with the encoder's own noise."""
    mu, s = np.split(encoder.predict(images), 2, axis=1)
    sigma = np.exp(s / 2)
    return lambda n, rng: mu[n] + sigma[n] * rng.standard_normal(mu[n].shape, dtype=np.float32)


# Sampling


def velocity(flow: Network, x: np.ndarray, t: float, c: np.ndarray, guidance: float) -> np.ndarray:
    """Return the velocity (N, D) at points x at one time, pushed away from that without a class."""
    times = np.full((len(x), 1), t, np.float32)
    v = flow.predict(flow_input(x, times, c))
    if guidance == 1:
        return v
    without = flow.predict(flow_input(x, times, np.zeros_like(c)))
    return without + guidance * (v - without)


def follow_flow(
    flow: Network, x: np.ndarray, c: np.ndarray, steps: int = 30, guidance: float = 1.5, heun: bool = True
) -> list[np.ndarray]:
    """Follow the velocity from noise x at time 0 to time 1; return the points after each step, the noise first."""
    path, h = [x], np.float32(1 / steps)
    for k in range(steps):
        v = velocity(flow, x, k * h, c, guidance)
        if heun:
            v = (v + velocity(flow, x + h * v, (k + 1) * h, c, guidance)) / 2
        x = x + h * v
        path.append(x)
    return path


def decode(decoder: Network, z: np.ndarray, sharpness: float = 1.0) -> np.ndarray:
    """Return images (N, 784) from latent vectors (N, D)."""
    return Sigmoid().forward(np.float32(sharpness) * decoder.predict(z))


# Judging


def features(judge: Network, images: np.ndarray) -> np.ndarray:
    """Return the numbers (N, 84) from which a LeNet-5 computes its scores of images (N, 784)."""
    return judge[:-2].predict(images.reshape(-1, 1, 28, 28))


def judged_accuracy(judge: Network, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images (N, 784) that the judge reads as the labels (N,)."""
    return float(np.mean(judge.predict(images.reshape(-1, 1, 28, 28)).argmax(axis=1) == labels))


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return |mean a - mean b|² + trace(A + B - 2 (A B)^(1/2)), for features (N, D) with the covariances A and B."""
    A, B = np.cov(a.T.astype(float)), np.cov(b.T.astype(float))
    values, vectors = np.linalg.eigh(A)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T  # of A; the product below has the eigenvalues of A B
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ B @ root), 0)).sum()
    difference = a.mean(axis=0, dtype=float) - b.mean(axis=0, dtype=float)
    return float(difference @ difference + np.trace(A) + np.trace(B) - 2 * cross)


def spread(images: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean distance between two different images (N, 784) of one class, as a mean over the classes."""
    return float(np.mean([mean_distance(images[labels == label].astype(float)) for label in np.unique(labels)]))


def mean_distance(x: np.ndarray) -> float:
    """Return the mean distance between two different rows."""
    squares = (x**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, np.newaxis] + squares - 2 * x @ x.T, 0))
    return distances.sum() / (len(x) * (len(x) - 1))


# The long run


TRAINING = 55_000  # of MNIST's 60,000 training images: with the others, the settings below were chosen
BETA = 0.1
# Of guidance and sharpness from 1 to 2, in steps of a quarter, with the networks of seed 0 and 20 steps: their distance
# is 1.26 with a spread of 8.5. The smallest distance was 1.07, at 1.75 and 1, with a spread of 7.8.
SAMPLING = {"guidance": 1.5, "steps": 30, "sharpness": 1.5}


def pixels(images: np.ndarray) -> np.ndarray:
    """Return images (N, 28, 28) of uint8 as rows (N, 784) from 0 to 1."""
    return images.reshape(-1, PIXELS).astype(np.float32) / 255


def generate(
    networks: Networks,
    labels: np.ndarray,
    *,
    seed: int = 0,
    steps: int = 30,
    guidance: float = 1.5,
    heun: bool = True,
    sharpness: float = 1.0,
) -> np.ndarray:
    """Return a new image (N, 784) for each of these labels (N,); `sharpness` is a factor on the decoder's scores."""
    size = networks["decoder"].input_shape[0]
    noise = np.random.default_rng(seed).standard_normal((len(labels), size), dtype=np.float32)
    path = follow_flow(networks["flow"], noise, one_hot(labels, CLASSES), steps, guidance, heun)
    return decode(networks["decoder"], path[-1], sharpness)


def judge_images(images: np.ndarray, labels: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Return accuracy, Fréchet distance and spread of images (N, 784), judged by the LeNet-5 of the package.

    `reference` are features of real images.
    """
    judge = cnnlib.load_pretrained()
    return {
        "accuracy": judged_accuracy(judge, images, labels),
        "distance": frechet_distance(features(judge, images), reference),
        "spread": spread(images, labels),
    }


def build(seed: int) -> Networks:
    rng = np.random.default_rng(seed)
    return {**new_autoencoder(rng), "flow": new_flow(rng)}


def train(networks: Networks, seed: int) -> None:
    data = cnnlib.load_mnist()
    images, labels = pixels(data.train_images[:TRAINING]), data.train_labels[:TRAINING]
    train_autoencoder(networks, images, steps=3500, beta=BETA, seed=seed)
    train_flow(networks["flow"], latents(networks["encoder"], images), labels, steps=9000, seed=seed)


def measure(networks: Networks) -> dict[str, float]:
    data = cnnlib.load_mnist()
    labels = np.repeat(np.arange(CLASSES), 100)
    reference = features(cnnlib.load_pretrained(), pixels(data.test_images))
    numbers = judge_images(generate(networks, labels, **SAMPLING), labels, reference)
    return {f"generation_{name}": value for name, value in numbers.items()}


EXPERIMENTS = {"generation": Experiment(build, train, measure)}


# The live figure


def figure_data(networks: Networks, judge: Network) -> dict:
    """Return what the live figure needs: flow, decoder and judge, with weights of six bits."""
    return {
        **{name: pack(network) for name, network in (("judge", judge), *networks.items()) if name != "encoder"},
        "frequencies": FREQUENCIES,
        "sharpness": SAMPLING["sharpness"],
        "guidance": SAMPLING["guidance"],
    }


LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


def pack(network: Network) -> dict:
    """Return a network for the page: as `describe` does, but with a letter for each weight."""
    described = describe(network, "float16")
    replace_weights(described["layers"], network.layers)
    return described


def replace_weights(entries: list[dict], layers: Sequence[Layer]) -> None:
    """Replace the weights in the descriptions of layers, at any depth."""
    for entry, layer in zip(entries, layers, strict=True):
        if layer.layers:
            replace_weights(entry["config"]["layers"], layer.layers)
        elif layer.params:
            levels, scale = quantize(layer.W)
            codes = "".join(LETTERS[levels.ravel() + 31])
            entry["parameters"]["W"] = {"codes": codes, "scale": encode(scale, "float16"), "columns": layer.W.ndim == 2}


def quantize(W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whole numbers from -31 to 31 for weights, and a scale for each output, by which they are multiplied."""
    largest = np.abs(W).max(axis=0 if W.ndim == 2 else (1, 2, 3), keepdims=True)
    scale = (np.maximum(largest, 1e-3) / 31).astype(np.float16).astype(W.dtype)
    return np.clip(np.rint(W / scale), -31, 31).astype(int), scale


def quantized(network: Network) -> Network:
    """Return the network that the page computes with: a copy with weights of six bits, and biases in float16."""
    twin = copy.deepcopy(network)
    for parameter in twin.parameters().values():
        if parameter.ndim > 1:
            levels, scale = quantize(parameter)
            parameter[...] = levels * scale
        else:
            parameter[...] = parameter.astype(np.float16)
    return twin


# Figures


def draw_still(networks: Networks) -> None:
    """Draw eight digits on their way from noise, as the live figure shows them at first."""
    noise = np.random.default_rng(1).standard_normal((8, *networks["decoder"].input_shape), dtype=np.float32)
    path = follow_flow(networks["flow"], noise, one_hot(np.full(8, 3), CLASSES), 10, SAMPLING["guidance"])
    decoded = {k: decode(networks["decoder"], path[k], SAMPLING["sharpness"]) for k in (0, 3, 6, 10)}
    draw_rows({f"time {k / 10}": images for k, images in decoded.items()})


def toy_path(steps: int, heun: bool = True) -> list[np.ndarray]:
    """Return the path of sixty points of noise (60, 2) to five small clouds, along the exact mean velocity."""
    x, h = np.random.default_rng(2).standard_normal((60, 2)), 1 / steps
    path = [x]
    for k in range(steps):
        v = toy_velocity(x, k * h)
        if heun:
            v = (v + toy_velocity(x + h * v, (k + 1) * h)) / 2
        x = x + h * v
        path.append(x)
    return path


CENTRES = 2.2 * np.array([[np.cos(angle), np.sin(angle)] for angle in 2 * np.pi * (np.arange(5) / 5 + 0.05)])


def toy_velocity(x: np.ndarray, t: float, deviation: float = 0.3) -> np.ndarray:
    """Return the mean velocity at x (N, 2), where the data are normal clouds about `CENTRES`.

    Of the cloud about z, x_t is normal about t z, with the variance below. Its points keep their place within the
    cloud, which grows or shrinks about a moving centre.
    """
    variance = (1 - t) ** 2 + (t * deviation) ** 2
    offset = x[:, np.newaxis] - t * CENTRES
    score = -(offset**2).sum(axis=2) / (2 * variance)
    weights = np.exp(score - score.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    growth = (t * deviation**2 - (1 - t)) / variance
    return (weights[..., np.newaxis] * (CENTRES + growth * offset)).sum(axis=1)


def draw_rows(rows: dict[str, np.ndarray]) -> None:
    """Draw images (N, 784) in a row for each title."""
    count = max(map(len, rows.values()))
    size = (0.72 * count, 0.95 * len(rows))
    figure, axes = plt.subplots(len(rows), count, figsize=size, squeeze=False, layout="none")
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=1 - 0.25 / size[1], hspace=0.35, wspace=0.08)
    for line, (title, images) in zip(axes, rows.items(), strict=True):
        for axis in line:
            axis.axis("off")
        for axis, image in zip(line, images, strict=False):
            axis.imshow(image.reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
        line[0].set_title(title, loc="left", fontsize=10)


def draw_paths(paths: dict[str, list[np.ndarray]]) -> None:
    """Draw paths of points (N, 2) from noise to data, one plane for each title."""
    figure, axes = plt.subplots(1, len(paths), figsize=(3.2 * len(paths), 3.4), sharex=True, sharey=True)
    for axis, (title, path) in zip(axes, paths.items(), strict=True):
        steps = np.array(path)
        axis.plot(steps[..., 0], steps[..., 1], color="C0", linewidth=0.6, alpha=0.7)
        axis.plot(*path[0].T, "o", color="0.5", markersize=3, label="noise")
        axis.plot(*path[-1].T, "s", color="C1", markersize=4, label="end")
        axis.plot(*CENTRES.T, "x", color="black", markersize=9, markeredgewidth=2, label="centres of the data")
        axis.set(aspect="equal", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
        axis.set_title(title, loc="center")
    axes[0].legend(fontsize=8, loc="lower left")


# The checks of the exercises


def check_divergence(answer: float) -> None:
    """The divergence of means (1, -2) and log-variances (0, log 4) from a standard normal distribution."""
    mu, s = np.array([1.0, -2.0]), np.array([0.0, np.log(4)])
    exact = 0.5 * np.sum(np.exp(s) + mu**2 - 1 - s)
    require(isinstance(answer, (int, float, np.number)), f"expected a number, got {type(answer).__name__}")
    for wrong, message in (
        (2 * exact, "this is twice the divergence: the 1/2 in front of the sum is missing."),
        (exact + 1, "the −1 of each of the two numbers must be taken away, too."),
        (exact / 2, "the divergence is a sum over the latent numbers, not their mean."),
        (exact + np.log(4), "the logarithm is subtracted, not added."),
        (0.5 * np.sum(np.exp(2 * s) + mu**2 - 1 - 2 * s), "s is the logarithm of the variance σ², not of σ."),
        (0.5 * np.sum(np.exp(s) - 1 - s), "the means count as well: a cloud far from zero is no standard normal one."),
    ):
        require(abs(answer - wrong) > 5e-3, message)
    require_number(answer, exact, "Each number contributes (σ² + μ² − 1 − log σ²) / 2.", tolerance=2e-3)
    passed("The mean of −2 costs most.")


def check_steps(answer) -> None:
    """From x = 1 to time 1 along the velocity x: two steps of Euler, one step of Heun."""
    require(np.shape(answer) == (2,), "expected two numbers: Euler's and Heun's.")
    euler, heun = map(float, answer)
    require((euler, heun) != (2.5, 2.25), "the two are exchanged: Euler's comes first.")
    require(not np.isclose(euler, 2.0), "this is one step of Euler; make two, of length 1/2.")
    require(not np.isclose(euler, 4.0), "a step moves by h times the velocity, and h is 1/2.")
    require(not np.isclose(euler, np.e, atol=5e-3), "this is the exact solution, e; Euler's steps fall short of it.")
    require(np.isclose(euler, 2.25), f"Euler: {euler:g} is not it. Two times x + x/2.")
    require(not np.isclose(heun, 3.0), "this uses the velocity at the end alone; Heun takes the mean of both.")
    require(not np.isclose(heun, 2.0), "this uses the velocity at the start alone, which is Euler's step.")
    require(np.isclose(heun, 2.5), f"Heun: {heun:g} is not it. The velocities are 1 at the start and 2 at Euler's end.")
    passed("One step of Heun, as expensive as two of Euler, is closer to e = 2.718...")


def check_gaussian_distance(function: Callable) -> None:
    """The Fréchet distance of normal distributions: ``function(mu1, sigma1, mu2, sigma2)`` of independent numbers."""
    rng = np.random.default_rng(3)
    for size in (1, 3, 6):
        mu1, mu2 = rng.standard_normal((2, size))
        sigma1, sigma2 = rng.uniform(0.5, 2, (2, size))
        answer = function(mu1.copy(), sigma1.copy(), mu2.copy(), sigma2.copy())
        means, spreads = np.sum((mu1 - mu2) ** 2), np.sum((sigma1 - sigma2) ** 2)
        require(isinstance(answer, (int, float, np.number)), f"expected a number, got {type(answer).__name__}")
        for wrong, message in (
            (np.sqrt(means + spreads), "this is the root of it; the distance is used without the root."),
            (means, "only the means were compared."),
            (spreads, "only the spreads were compared."),
            (means + np.sum((sigma1**2 - sigma2**2) ** 2), "σ is compared, not the variance σ²."),
            ((means + spreads) / size, "it is a sum over the numbers, not their mean."),
            (means + np.sum(sigma1**2 + sigma2**2), "the part with the root of A B is missing."),
            (np.sum(np.abs(mu1 - mu2)) + spreads, "the differences of the means are squared."),
        ):
            close = np.isclose(answer, wrong) and not np.isclose(wrong, means + spreads)
            require(not close, message)
        require_number(answer, means + spreads, "With diagonal A and B, the matrices are numbers: a + b - 2 sqrt(a b).")
    passed("It is the squared distance between (μ, σ) of the one and of the other.")


def check_heun(function: Callable) -> None:
    """Heun's method: ``function(field, x, steps)`` follows ``field(x, t)`` from time 0 to time 1."""
    x = np.array([[1.0, -0.5], [0.3, 2.0]])
    for field in (lambda x, t: x, lambda x, t: np.full_like(x, 3 * t**2), lambda x, t: t * x):
        for steps in (1, 2, 5):
            before, h = x.copy(), 1 / steps
            answer = function(field, before, steps)
            require(np.array_equal(before, x), "the given points were changed; make new ones.")
            ends = {}
            for name in ("heun", "euler", "late", "still", "sum"):
                y = x.copy()
                for k in range(steps):
                    v = field(y, k * h)
                    w = field(y + h * v, k * h if name == "still" else (k + 1) * h)
                    y = y + h * {"euler": v, "late": w, "sum": v + w}.get(name, (v + w) / 2)
                ends[name] = y
            require(np.shape(answer) == x.shape, f"expected points of the shape {x.shape}, got {np.shape(answer)}.")
            for name, message in (
                ("late", "this uses the velocity at Euler's end alone; take the mean with that at the start."),
                ("still", "the second velocity is that at the time (k + 1) h, not k h."),
                ("euler", "this is Euler's method: it uses the velocity at the start alone."),
                ("sum", "the steps are twice as long as they should be: take the mean of the two velocities."),
            ):
                close = np.allclose(answer, ends[name]) and not np.allclose(ends[name], ends["heun"])
                require(not close, message)
            require_array(answer, ends["heun"], f"With {steps} steps, h = 1/{steps}, at the times 0, h, 2h, ...")
    passed("Second order, for one line more.")


def check_exact_velocity(function: Callable) -> None:
    """The velocity that flow matching learns for a few examples: ``function(x, t, points)``."""
    rng = np.random.default_rng(4)
    one = np.array([[2.0, -1.0]])
    x = rng.standard_normal((5, 2))
    answer = function(x.copy(), 0.5, one)
    require(np.shape(answer) == x.shape, f"expected velocities of the shape {x.shape}, got {np.shape(answer)}.")
    require(not np.allclose(answer, one - x), "with one example, the velocity is (z − x)/(1 − t): divide by 1 − t.")
    require(not np.allclose(answer, (x - one) / 0.5), "the sign is wrong: the points flow to the data.")
    require_array(answer, (one - x) / 0.5, "With one example z, the velocity is (z − x)/(1 − t).")
    for t in (0.0, 0.3, 0.8):
        points = 2 * rng.standard_normal((6, 2))
        rate = 1 / (2 * (1 - t) ** 2)
        exact = _exact(x, t, points, rate)
        answer = function(x.copy(), t, points)
        mean = (points.mean(axis=0) - x) / (1 - t)
        require(
            np.allclose(mean, exact) or not np.allclose(answer, mean),
            "all examples count alike here; those near x count more, the more the later.",
        )
        for other, message in (
            (1 / (2 * (1 - t)), "the variance of (1 − t) ε is (1 − t)², not 1 − t."),
            (2 * rate, "the exponent of a normal distribution has a 2 below."),
            (1 / 2, "the deviation of (1 − t) ε is 1 − t, not 1."),
        ):
            wrong = _exact(x, t, points, other)
            require(np.allclose(wrong, exact) or not np.allclose(answer, wrong), message)
        unscaled = _exact(x, t, points, rate, centre=1)
        close = np.allclose(answer, unscaled) and not np.allclose(unscaled, exact)
        require(not close, "at time t an example stands at t z, not yet at z.")
        require_array(answer, exact, "Weights: a softmax of −|x − t z|²/(2 (1 − t)²) over the examples.")
    far = function(np.array([[60.0, 60.0]]), 0.9, np.array([[1.0, 0.0], [0.0, 1.5]]))
    require(np.isfinite(far).all(), "far away every weight underflows to 0/0: subtract the largest exponent first.")
    passed("A softmax over the examples: the field knows them all by heart.")


def _exact(x: np.ndarray, t: float, points: np.ndarray, rate: float, centre: float | None = None) -> np.ndarray:
    """Return (mean - x) / (1 - t), with the weights exp(-rate |x - centre z|²) in the mean of the points z."""
    centre = t if centre is None else centre
    score = -rate * ((x[:, np.newaxis] - centre * points) ** 2).sum(axis=2)
    weights = np.exp(score - score.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return (weights @ points - x) / (1 - t)
