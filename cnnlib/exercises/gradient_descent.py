"""Checks for chapter 10, Gradient descent in practice."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cnnlib.activations import ReLU
from cnnlib.data import load_digits
from cnnlib.dense import Dense
from cnnlib.exercises import require, require_array, require_number, right
from cnnlib.losses import SoftmaxCrossEntropy, one_hot
from cnnlib.network import Network


def bound(rate: float, steps: int) -> None:
    """The parabola with λ = 8: the bound of the rate, and the steps from 1 to below 0.01 at the rate 0.05."""
    require(rate != 1 / 8, "1 / λ reaches the minimum in one step; the bound lies twice as far.")
    require(rate != 16, "this is 2 λ. The steeper the parabola, the smaller the rate.")
    require_number(rate, 0.25, "The factor of a step, 1 - rate * λ, must stay above -1.")
    require(steps != 9, "0.6 to the power of 9 is 0.0101, still above 0.01.")
    require_number(steps, 10, "Each step multiplies w by 1 - 0.05 * 8 = 0.6.")
    right("2 / λ = 0.25, and ten steps.")


def effective_rate(rate: float) -> None:
    """The rate 0.02 with momentum 0.95."""
    require(not np.isclose(rate, 0.02 / 0.95), "divide by 1 - μ, not by μ.")
    require(not np.isclose(rate, 0.02 * 0.05), "momentum makes steps longer: divide by 1 - μ.")
    require_number(rate, 0.4, "A constant gradient leads to the step rate / (1 - μ).")
    right("Twenty times the rate.")


def adam(steps: Sequence[float]) -> None:
    """Adam's first two changes of a parameter, for the gradients 4 and -2 and the rate 0.1."""
    steps = np.asarray(steps, dtype=float)
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
        "the second step still remembers the first gradient: m is a running mean of both.",
    )
    require_array(steps, np.array(expected), "m = 0.9 m + 0.1 g and v = 0.999 v + 0.001 g², then the hats.", 1e-3)
    right(f"{steps[0]:.4f} and {steps[1]:.4f}: the second gradient points back, and the mean still goes forward.")


def he(deviations: Sequence[float]) -> None:
    """He's standard deviation for Convolutional(6, 16, 5), then for Dense(400, 120)."""
    answers = np.asarray(deviations, dtype=float)
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
        require(
            not np.isclose(answer, np.sqrt(2 / 6), rtol=1e-3), f"{name}: one output sees 5x5 pixels of every channel."
        )
        require(abs(answer - np.sqrt(2 / fan_in)) < 1e-3, f"{name}: {answer:g} is not it. Its variance is 2 / inputs.")
    right("Square roots of 2 / 150 and of 2 / 400.")


def accumulate(function: Callable) -> None:
    """The gradients of a large batch from parts of it: ``function(network, loss, batches)``."""
    rng = np.random.default_rng(4)
    network = Network([Dense(5, 4, rng=rng, dtype=np.float64), ReLU(), Dense(4, 3, rng=rng, dtype=np.float64)], (5,))
    loss, x, t = SoftmaxCrossEntropy(), rng.standard_normal((16, 5)), one_hot(rng.integers(0, 3, 16), 3, np.float64)
    parts = [slice(0, 5), slice(5, 8), slice(8, 16)]

    def gradients_of(part: slice) -> dict[str, np.ndarray]:
        network.backward(loss.gradient(network.forward(x[part]), t[part]))
        return {name: gradient.copy() for name, gradient in network.gradients().items()}

    whole, each = gradients_of(slice(None)), [gradients_of(part) for part in parts]
    answer = function(network, loss, [(x[part], t[part]) for part in parts])
    require(isinstance(answer, Mapping), f"expected the gradients by name, a dict, got {type(answer).__name__}.")
    require(set(answer) == set(whole), f"expected the names {sorted(whole)}, got {sorted(answer)}.")
    for name, expected in whole.items():
        total = sum(gradients[name] for gradients in each)
        given = np.asarray(answer[name])
        hint = f"{name}: the loss is a mean, so a batch counts by its share of the examples."
        require(given.shape != total.shape or not np.allclose(given, total), f"this is the sum of the means. {hint}")
        require(
            given.shape != total.shape or not np.allclose(given, total / 3),
            f"this weighs three examples like eight. {hint}",
        )
        require_array(given, expected, hint, 1e-9)
    right("Three small batches give the gradient of the large one.")


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


def diagnose(diagnoses: Mapping[str, str]) -> None:
    """One of `DIAGNOSES` for every patient."""
    hints = {
        "A": ("labels shuffled", "it learns ten examples by heart, so the network is sound. Look at the examples."),
        "B": ("dead units", "count the hidden units that are 0 for every image, before any training."),
        "C": ("pixels 0 to 255", "its first loss is far above 2.3. What goes in?"),
        "D": ("healthy", "train it, and see how many test digits it reads."),
        "E": ("zero weights", "look at its parameters."),
    }
    require(isinstance(diagnoses, Mapping), f"expected a dict from patient to diagnosis, got {diagnoses!r}.")
    require(set(diagnoses) == set(hints), f"expected the patients {sorted(hints)}, got {sorted(diagnoses)}.")
    for patient, (expected, hint) in hints.items():
        answer = diagnoses[patient]
        require(answer in DIAGNOSES, f"{patient}: {answer!r} is none of {', '.join(DIAGNOSES)}.")
        require(answer == expected, f"{patient} is not a case of {answer!r}: {hint}")
    right("All five, and one needed no treatment.")
