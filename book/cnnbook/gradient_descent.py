"""Chapter 10, Gradient descent in practice: its figures, then the checks of its exercises."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from cnnbook.checking import as_array, as_number, call, passed, require, require_array, require_number
from cnnlib.digits.datasets import load_digits
from cnnlib.layers import Dense, ReLU
from cnnlib.losses import SoftmaxCrossEntropy, one_hot
from cnnlib.network import Network
from cnnlib.optimizers import SGD

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o-", "s-", "^--", "v:")


def draw_losses(curves: dict[str, Sequence[float]]) -> None:
    """Draw the loss of each batch over the steps of up to four runs, under their names."""
    figure, axis = plt.subplots()
    for (name, losses), style in zip(curves.items(), STYLES, strict=False):
        axis.plot(losses, style, label=name)
    axis.set(xlabel="step", title="Loss of each batch", ylim=(0, 5))
    axis.legend()


def draw_parabola(paths: dict[float, np.ndarray]) -> None:
    """Draw the parameter of a parabola over the steps, for rates that are given as multiples of 1 / λ."""
    figure, axis = plt.subplots()
    for (share, path), style in zip(paths.items(), MARKERS, strict=False):
        axis.plot(path, style, label=f"η = {share} / λ")
    axis.set(xlabel="step", title="w, on a parabola")
    axis.legend(ncols=2)


def draw_factors(rates: np.ndarray, factors: np.ndarray) -> None:
    """Draw the size of a step's factor (2, rates) over the rate, for the curvatures 1 and 40, and the best rate."""
    best = factors.max(axis=0).argmin()
    figure, axis = plt.subplots()
    for curvature, factor, style in zip((1, 40), factors, STYLES, strict=False):
        axis.plot(rates, factor, style, label=f"λ = {curvature}")
    axis.plot(rates[best], factors[:, best].max(), "ko", label=f"best rate {rates[best]:.3f}")
    axis.set(xlabel="learning rate η", title="|1 - η λ|", ylim=(0, 1.25))
    axis.legend()


def draw_valley(paths: dict[float, np.ndarray], curvatures: Sequence[float] = (1, 40)) -> None:
    """Draw paths (steps + 1, 2) to the minimum of a valley, by their momentum, and how far from it they end."""
    along, across = np.meshgrid(np.linspace(-3.2, 1.6, 97), np.linspace(-0.75, 0.75, 101))
    height = (curvatures[0] * along**2 + curvatures[1] * across**2) / 2
    figure, axis = plt.subplots(figsize=(7, 3.1))
    axis.contour(along, across, height, levels=12, colors="0.75", linewidths=0.8)
    for (momentum, path), style in zip(paths.items(), MARKERS, strict=False):
        distance = np.linalg.norm(path[-1])
        away = f"{distance:.3f}" if distance < 1000 else f"{distance:.0e}"
        axis.plot(*path.T, style, markersize=3.5, linewidth=1.2, label=f"momentum {momentum:g}: ends {away} away")
    axis.plot(0, 0, "k*", markersize=12)
    axis.set(xlabel="$w_1$", ylabel="$w_2$", xlim=(along.min(), along.max()), ylim=(across.min(), across.max()))
    axis.grid(False)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def draw_walks(start: Sequence[float], rate: float, momenta: Sequence[float], steps: int = 40) -> None:
    """Draw walks by SGD through the valley with the curvatures 1 and 40, one for each momentum."""
    paths = {}
    for momentum in momenta:
        w, optimizer = np.array(start, dtype=float), SGD(rate, momentum)
        paths[momentum] = np.array([start, *(walk_on(optimizer, w) for _ in range(steps))])
    draw_valley(paths)


def walk_on(optimizer: SGD, w: np.ndarray) -> np.ndarray:
    """Take a step in that valley, and return a copy of where it leads."""
    optimizer.step([(w, np.array([1.0, 40.0]) * w)])
    return w.copy()


def draw_schedules(schedules: Sequence[Callable[[float], float]]) -> None:
    """Draw the factor of the learning rate over the progress of training, for up to four schedules."""
    progress = np.linspace(0, 1, 200)
    figure, axis = plt.subplots()
    for schedule, style in zip(schedules, STYLES, strict=False):
        axis.plot(progress, [schedule(p) for p in progress], style, label=schedule.__name__)
    axis.set(xlabel="progress", title="Factor of the learning rate")
    axis.legend()


def draw_signal(sizes: dict[float, np.ndarray]) -> None:
    """Draw the size of the signal after each layer, by the factor of He's size; a grey line is what is predicted."""
    figure, axis = plt.subplots(figsize=(7.2, 3.4))
    for (factor, size), marker in zip(sizes.items(), "so^v", strict=False):
        number = np.arange(1.0, len(size) + 1)
        axis.semilogy(number, size, marker, label=f"{factor:g} × He:\nends at {size[-1]:.2g}")
        axis.semilogy(number, factor**number, color="0.6", linewidth=1, zorder=0)
    axis.set(xlabel="layer", xticks=range(1, len(number) + 1, 3), title="Size of the signal (grey: predicted)")
    axis.set_ylim(min(0.05, *map(min, sizes.values())) / 2, max(20, *map(max, sizes.values())) * 2)
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))


def draw_range_test(rates: np.ndarray, losses: Sequence[float]) -> None:
    """Draw the loss of each batch over the learning rate of its step."""
    figure, axis = plt.subplots()
    axis.semilogx(rates, losses)
    axis.set(xlabel="learning rate", title="Range test", ylim=(0, 6))


# The checks of the exercises


def check_bound(rate: float, steps: int) -> None:
    """The parabola with λ = 8: the bound of the rate, and the steps from 1 to below 0.01 at the rate 0.05."""
    rate, steps = as_number(rate), as_number(steps)
    require(rate != 1 / 8, "1 / λ reaches the minimum in one step; the bound lies twice as far.")
    require(rate != 16, "this is 2 λ. The steeper the parabola, the smaller the rate.")
    require_number(rate, 0.25, "The factor of a step, 1 - rate * λ, must stay above -1.")
    require(steps != 11, "one too many: it is below 0.01 a step earlier.")
    require(steps != 9, "0.6 to the power of 9 is 0.0101, still above 0.01.")
    require_number(steps, 10, "Each step multiplies w by 1 - 0.05 * 8 = 0.6.")
    passed("2 / λ = 0.25, and ten steps.")


def check_effective_rate(rate: float) -> None:
    """The rate 0.02 with momentum 0.95."""
    rate = as_number(rate)
    require(not np.isclose(rate, 0.02 / 0.95), "divide by 1 - μ, not by μ.")
    require(not np.isclose(rate, 0.02 * 0.05), "momentum makes steps longer: divide by 1 - μ.")
    require(not np.isclose(rate, 0.02 / 1.95), "the sum of the series is 1 / (1 - μ), not 1 / (1 + μ).")
    require_number(rate, 0.4, "A constant gradient leads to the step rate / (1 - μ).")
    passed("Twenty times the rate.")


def check_adam(steps: Sequence[float]) -> None:
    """Adam's first two changes of a parameter, for the gradients 4 and -2 and the rate 0.1."""
    steps = as_array(steps)
    require(steps.shape == (2,), f"expected two numbers, got an array of shape {steps.shape}.")
    gradients, m, v, expected, uncorrected = (4.0, -2.0), 0.0, 0.0, [], []
    for k, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        expected.append(-0.1 * m / (1 - 0.9**k) / np.sqrt(v / (1 - 0.999**k)))
        uncorrected.append(-0.1 * m / np.sqrt(v))
    require(not np.isclose(steps[0], uncorrected[0], rtol=1e-2), "this is without the bias correction, the two hats.")
    require(not np.allclose(steps, np.negative(expected), rtol=1e-2), "you went uphill: the step is minus the rate.")
    require(
        not np.allclose(steps, [-0.1, 0.1], rtol=1e-2),
        "the second step still depends on the first gradient: m is a running mean of both.",
    )
    require(not np.allclose(steps, np.cumsum(expected), rtol=1e-2), "the second is the change in step 2 alone.")
    require_array(
        steps, np.array(expected), "m = 0.9 m + 0.1 g and v = 0.999 v + 0.001 g², then the hats.", 5e-4, tell=False
    )
    passed(f"{steps[0]:.4f} and {steps[1]:.4f}: the second gradient points back, and the mean still goes forward.")


def check_he(deviations: Sequence[float]) -> None:
    """He's standard deviation for Convolutional(6, 16, 5), then for Dense(400, 120)."""
    answers = as_array(deviations)
    require(answers.shape == (2,), f"expected two numbers, got an array of shape {answers.shape}.")
    for name, answer, fan_in, fan_out in (
        ("Convolutional(6, 16, 5)", answers[0], 6 * 25, 16 * 25),
        ("Dense(400, 120)", answers[1], 400, 120),
    ):
        require(not np.isclose(answer, 2 / fan_in, rtol=1e-3), f"{name}: this is the variance; take its square root.")
        require(
            not np.isclose(answer, np.sqrt(2 / fan_out), rtol=1e-3),
            f"{name}: count the inputs of one output, not the outputs of one input.",
        )
        require(
            not np.isclose(answer, np.sqrt(1 / fan_in), rtol=1e-3),
            f"{name}: the 2, which makes up for ReLU, is missing.",
        )
        glorot = np.isclose(answer, np.sqrt(2 / (fan_in + fan_out)), rtol=1e-3)
        require(not glorot, f"{name}: this is Glorot's rule; He's counts the inputs alone.")
        require(
            not np.isclose(answer, np.sqrt(2 / 6), rtol=1e-3), f"{name}: one output sees 5x5 pixels of every channel."
        )
        require(abs(answer - np.sqrt(2 / fan_in)) < 1e-3, f"{name}: {answer:g} is not it. Its variance is 2 / inputs.")
    passed("Square roots of 2 / 150 and of 2 / 400.")


class _Small(Dense):
    """A layer through which only so many examples may go at once."""

    limit = np.inf

    def forward(self, x: np.ndarray) -> np.ndarray:
        require(len(x) <= self.limit, f"{len(x)} examples at once do not fit into memory; let the parts go one by one.")
        return super().forward(x)


def check_accumulate(function: Callable) -> None:
    """The gradients of a large batch from parts of it: ``function(network, loss, batches)``."""
    rng, loss = np.random.default_rng(4), SoftmaxCrossEntropy()
    for sizes in ((5, 3, 8), (2, 7)):
        layers = [_Small(5, 4, rng=rng, dtype=np.float64), ReLU(), Dense(4, 3, rng=rng, dtype=np.float64)]
        network, N = Network(layers, (5,)), sum(sizes)
        x, t = rng.standard_normal((N, 5)), one_hot(rng.integers(0, 3, N), 3, np.float64)
        parts = [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes), strict=True)]

        def gradients_of(
            part: slice, network: Network = network, x: np.ndarray = x, t: np.ndarray = t
        ) -> dict[str, np.ndarray]:
            network.backward(loss.gradient(network.forward(x[part]), t[part]))
            return {name: gradient.copy() for name, gradient in network.gradients().items()}

        whole, each = gradients_of(slice(None)), [gradients_of(part) for part in parts]
        layers[0].limit = 8
        answer = call(function, network, loss, [(x[part], t[part]) for part in parts])
        require(isinstance(answer, Mapping), f"expected the gradients by name, a dict, got {type(answer).__name__}.")
        require(set(answer) == set(whole), f"expected the names {sorted(whole)}, got {sorted(map(str, answer))}.")
        for name, expected in whole.items():
            total = sum(gradients[name] for gradients in each)
            given = as_array(answer[name])
            same = given.shape == total.shape
            hint = f"{name}: the loss is a mean, so a batch counts by its share of the examples."
            require(not (same and np.allclose(given, total)), f"this is the sum of the means. {hint}")
            uneven = same and np.allclose(given, total / len(sizes))
            require(not uneven, f"this weighs {min(sizes)} examples like {max(sizes)}. {hint}")
            require_array(given, expected, hint, 1e-9)
    passed("The small batches give the gradient of the large one.")


DIAGNOSES = ("healthy", "zero weights", "pixels 0 to 255", "dead units", "labels shuffled")


def patients() -> dict[str, tuple[Network, np.ndarray, np.ndarray]]:
    """Return five untrained networks by name, each with its training examples x (N, 784) and targets t (N, 10)."""
    digits = load_digits()
    x = digits.train_images.reshape(-1, 784) / 255
    t = one_hot(digits.train_labels, 10, np.float64)

    def network(seed: int, initializer: str = "he") -> Network:
        rng = np.random.default_rng(seed)
        hidden = Dense(784, 32, initializer, rng=rng, dtype=np.float64)
        return Network([hidden, ReLU(), Dense(32, 10, initializer, rng=rng, dtype=np.float64)], (784,))

    dead = network(24)
    dead.layers[0].b -= 50
    return {
        "A": (network(21), x, t[np.random.default_rng(25).permutation(len(t))]),
        "B": (dead, x, t),
        "C": (network(22), 255 * x, t),
        "D": (network(23), x, t),
        "E": (network(26, "zeros"), x, t),
    }


def check_diagnose(diagnoses: Mapping[str, str]) -> None:
    """One of `DIAGNOSES` for every patient."""
    hints = {
        "A": ("labels shuffled", "it learns ten examples by heart, so the network is sound. Look at the examples."),
        "B": ("dead units", "count the hidden units that are 0 for every image, before any training."),
        "C": ("pixels 0 to 255", "its first loss is far above 2.3. What goes in?"),
        "D": ("healthy", "train it, and see how many test digits it reads."),
        "E": ("zero weights", "look at its parameters."),
    }
    require(isinstance(diagnoses, Mapping), f"expected a dict from patient to diagnosis, got {diagnoses!r}.")
    names = sorted(map(str, diagnoses))
    require(set(diagnoses) == set(hints), f"expected the patients {sorted(hints)}, got {names}.")
    for patient, (expected, hint) in hints.items():
        answer = diagnoses[patient]
        known = isinstance(answer, str) and answer in DIAGNOSES
        require(known, f"{patient}: {answer!r} is none of {', '.join(DIAGNOSES)}.")
        require(answer == expected, f"{patient} is not a case of {answer!r}: {hint}")
    passed("All five, and one needed no treatment.")
