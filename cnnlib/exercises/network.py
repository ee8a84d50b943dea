"""Checks for chapter 11, The Network class."""

import json
from collections.abc import Callable

import numpy as np

import cnnlib
from cnnlib.exercises import NotYet, require, require_array, require_number, right
from cnnlib.losses import Loss


def count(number: int) -> None:
    """The parameters of a small convolutional network."""
    require(number != 100 + 288 + 2000, "the biases are missing: one a filter, and one an output of Dense.")
    require(number != 104 + 80 + 2010, "a filter of the second convolution sees all 4 channels: 4 * 3 * 3 weights.")
    require(number != 104 + 296 + 8 * 36 * 10 + 10, "(12 - 3) / 2 is rounded down: 5 rows and columns remain, not 6.")
    require(number != 104 + 296 + 8 * 100 * 10 + 10, "the second convolution has stride 2.")
    require_number(number, 2410, "Count each layer: weights of one filter or output, plus its bias, times how many.")
    right("104 + 296 + 2,010 = 2,410 parameters")


def judge(function: Callable) -> None:
    """Mean cross-entropy and accuracy from probabilities and class numbers."""
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.full(4, 0.7), 9) * 0.9 + 0.025
    labels = np.where(rng.random(9) < 0.6, p.argmax(axis=1), rng.integers(0, 4, 9))
    chosen = p[np.arange(9), labels]
    result = function(p.copy(), labels.copy())
    require(isinstance(result, tuple) and len(result) == 2, "expected two numbers: return loss, accuracy.")
    loss, share = result
    require(isinstance(loss, (float, np.floating)), f"the loss must be one number, got {type(loss).__name__}.")
    mean = -np.log(chosen).mean()
    require(not np.isclose(loss, -mean), "the loss is negative: log p is below zero, hence the minus sign.")
    require(not np.isclose(loss, 9 * mean), "this is the sum over the examples; the loss is their mean.")
    require(not np.isclose(loss, mean / 4), "divide by the number of examples, not by the number of entries of p.")
    require(not np.isclose(loss, mean / np.log(10)), "use the natural logarithm, np.log.")
    require(not np.isclose(loss, -np.log(chosen.mean())), "take the logarithm of each probability, then the mean.")
    require_number(loss, mean, "Take -log of the probability of the right class, then the mean over the examples.")
    right_share = np.mean(p.argmax(axis=1) == labels)
    require(
        not np.isclose(share, np.mean(chosen > 0.5)) or np.isclose(share, right_share),
        "with more than two classes, the largest probability may be below 1/2 and still be right.",
    )
    require_number(share, float(right_share), "Count the rows whose largest entry is at the label.")
    right(f"loss {loss:.3f}, accuracy {share:.0%} on the check's own examples")


def layer(LeakyReLU: type) -> None:
    """A layer of one's own, held to the contract of every layer."""
    require(isinstance(LeakyReLU, type), "hand over the class itself: check.layer(LeakyReLU).")
    require(issubclass(LeakyReLU, cnnlib.Layer), "the class must inherit from cnnlib.Layer.")
    rng = np.random.default_rng(4)
    x, dy = rng.standard_normal((2, 3, 2, 4, 4))
    for slope in (0.01, 0.3):
        leaky = LeakyReLU(slope=slope)
        before, dbefore = x.copy(), dy.copy()
        y = leaky.forward(x)
        require(np.array_equal(x, before), "forward changed its argument: the caller still needs x.")
        require(np.shape(y) == x.shape, f"the output has the shape {np.shape(y)}, expected {x.shape}.")
        require(not np.allclose(y, np.maximum(x, 0)), "negative inputs give 0, as in a plain ReLU; they should leak.")
        require_array(y, np.where(x > 0, x, slope * x), f"y = x where x > 0, else {slope} x.")
        dx = leaky.backward(dy)
        require(np.array_equal(dy, dbefore), "backward changed its argument: the caller still needs dy.")
        expected = dy * np.where(x > 0, 1, slope)
        require(
            not np.allclose(dx, dy * (x > 0)), "backward blocks negative inputs; they leaked forward, so also back."
        )
        require(
            not np.allclose(dx, expected / dy), "backward returns the slope alone; the chain rule multiplies it by dy."
        )
        require_array(dx, expected, "The slope is 1 where the input was positive, else the argument `slope`.")
    try:
        again = LeakyReLU(**json.loads(json.dumps(leaky.config)))
    except AttributeError as error:
        raise NotYet("store the constructor's argument under its own name: self.slope = slope.") from error
    require(again.config == {"slope": 0.3}, f"config is {again.config}, expected {{'slope': 0.3}}.")
    cnnlib.gradient_check(leaky, x)
    for way, array in (("forward", x), ("backward", dy)):
        result = getattr(leaky, way)(array.astype(np.float32))
        require(
            result.dtype == np.float32, f"{way} turns float32 into {result.dtype}: training would run in the latter."
        )
    right(f"{leaky!r} keeps the contract, and its gradient agrees with central differences.")


def accumulation(function: Callable) -> None:
    """The gradients of a batch, from its parts."""
    rng = np.random.default_rng(6)
    network = cnnlib.Network([cnnlib.Dense(3, 4, rng=rng), cnnlib.Sigmoid(), cnnlib.Dense(4, 3, rng=rng)], (3,))
    network.astype(np.float64)
    x, t = rng.standard_normal((7, 3)), cnnlib.one_hot(rng.integers(0, 3, 7), 3, np.float64)
    loss = _Counting()
    network.backward(loss.gradient(network.forward(x), t))
    whole = {name: gradient.copy() for name, gradient in network.gradients().items()}
    for size in (7, 2, 3):
        loss.sizes.clear()
        before = {name: array.copy() for name, array in network.parameters().items()}
        gradients = function(network, x.copy(), t.copy(), loss, size)
        require(isinstance(gradients, dict), f"expected a dictionary of gradients, got {type(gradients).__name__}.")
        require(set(gradients) == set(whole), f"expected the names {sorted(whole)}, got {sorted(gradients)}.")
        require(
            all(np.array_equal(before[name], array) for name, array in network.parameters().items()),
            "the parameters changed: accumulation only collects gradients.",
        )
        require(max(loss.sizes, default=0) <= size, f"a part had {max(loss.sizes)} examples, {size} are allowed.")
        require(sum(loss.sizes) == 7, f"the parts had {sum(loss.sizes)} examples together; the batch has 7.")
        parts, got, exact = -(-7 // size), gradients["W0"], whole["W0"]
        if np.allclose(got, exact):
            require_array(gradients["b2"], whole["b2"], "W0 is right, b2 is not.")
            continue
        start = 7 - (7 % size or size)
        network.backward(loss.gradient(network.forward(x[start:]), t[start:]))
        last = network.gradients()["W0"]
        require(not np.allclose(got, last), "these are the gradients of the last part alone: add them up.")
        means = _mean_of_parts(network, x, t, size)
        require(
            not np.allclose(got, means * parts), "the parts are added up, but each is a mean over its own examples."
        )
        require(not np.allclose(got, means), "the plain mean of the parts is wrong where the last one is smaller.")
        raise NotYet(f"W0 is wrong in parts of {size}. Weight each part by its share of the examples.")
    right("In one part, in parts of 2 and in parts of 3: the gradients of the whole batch.")


class _Counting(Loss):
    """Softmax with cross-entropy, which notes how many examples it sees."""

    def __init__(self):
        self.sizes, self.loss = [], cnnlib.SoftmaxCrossEntropy()

    def value(self, y: np.ndarray, t: np.ndarray) -> float:
        return self.loss.value(y, t)

    def gradient(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        self.sizes.append(len(y))
        return self.loss.gradient(y, t)


def _mean_of_parts(network: cnnlib.Network, x: np.ndarray, t: np.ndarray, size: int) -> np.ndarray:
    """The gradient of W0, wrongly taken as the plain mean over parts."""
    parts = []
    for start in range(0, len(x), size):
        y = network.forward(x[start : start + size])
        network.backward(cnnlib.SoftmaxCrossEntropy().gradient(y, t[start : start + size]))
        parts.append(network.gradients()["W0"].copy())
    return np.mean(parts, axis=0)


def stopping(fit: Callable) -> None:
    """Early stopping, rehearsed with a network whose validation losses are known beforehand."""
    cases = [
        # validation losses, patience, epochs allowed, best epoch, last epoch
        ([0.9, 0.5, 0.6, 0.7, 0.55, 0.3], 2, 6, 2, 4),
        ([0.9, 0.8, 0.85, 0.7, 0.75, 0.72, 0.71, 0.1], 3, 8, 4, 7),
        ([0.5, 0.4, 0.3], 2, 3, 3, 3),
    ]
    for losses, patience, epochs, best, last in cases:
        network = _Rehearsal(losses)
        story = f"With the validation losses {losses[:last]} and patience {patience}"
        answer = fit(
            network, np.zeros((4, 1)), np.zeros(4, int), (np.zeros((2, 1)), np.zeros(2, int)), patience, epochs
        )
        ran = len(network.seeds)
        require(ran >= last, f"{story}, you stopped after epoch {ran}; epoch {last} was still to come.")
        require(ran <= last, f"{story}, you went on to epoch {ran}; epoch {last} should be the last.")
        weight = float(network.W[0])
        require(
            weight == best or weight != last,
            f"{story}, the network has the parameters of the last epoch, not of the best. "
            "parameters() returns the arrays themselves: copy them to remember, write into them to go back.",
        )
        require(weight == best, f"{story}, the network has the parameters of epoch {weight:g}, expected {best}.")
        require(answer == best, f"{story}, epoch {best} is the best, counted from 1; you returned {answer}.")
        require(len(set(network.seeds)) == ran, "every epoch has the same seed, and so the same order of examples.")
        first = network.optimizers[0]
        require(
            first is not None and all(optimizer is first for optimizer in network.optimizers),
            "each epoch has its own optimizer, which begins without velocity: make one before the loop.",
        )
    right("It stops in time, and goes back to the best epoch.")


class _Rehearsal:
    """Stands in for a network: epoch k sets its only weight to k, and has a validation loss that is known."""

    def __init__(self, losses: list[float]):
        self.losses, self.W, self.seeds, self.optimizers = losses, np.zeros(1), [], []

    def parameters(self) -> dict[str, np.ndarray]:
        return {"W0": self.W}

    def train(self, x, t, *, epochs=1, optimizer=None, validation=None, seed=0, **others) -> dict[str, list[float]]:
        require(epochs == 1, f"train one epoch at a time: you asked for {epochs} at once.")
        require(len(self.seeds) < len(self.losses), f"more than the {len(self.losses)} epochs that are allowed.")
        self.W += len(self.seeds) + 1 - self.W  # in place, like an optimizer
        self.seeds.append(seed)
        self.optimizers.append(optimizer)
        value, share = self.evaluate(x, t)
        measured = ([], []) if validation is None else ([value], [share])
        return {"loss": [0.1], "accuracy": [1.0], "validation_loss": measured[0], "validation_accuracy": measured[1]}

    def evaluate(self, x, t, loss=None) -> tuple[float, float]:
        return self.losses[max(len(self.seeds) - 1, 0)], 0.5


def dropout(Dropout: type) -> None:
    """A layer that drops numbers at random in training."""
    require(
        isinstance(Dropout, type) and issubclass(Dropout, cnnlib.Layer), "hand over a class made from cnnlib.Layer."
    )
    rng = np.random.default_rng(8)
    x = rng.uniform(1, 2, (400, 5, 6)).astype(np.float32)
    before, dy = x.copy(), rng.uniform(1, 2, x.shape).astype(np.float32)
    layer = Dropout(0.2, rng=np.random.default_rng(9))
    require(
        getattr(layer, "active", None) is True, "a new layer must have the attribute `active`, with the value True."
    )
    y = layer.forward(x)
    require(np.array_equal(x, before), "forward changed its argument: the caller still needs x.")
    require(y.shape == x.shape, f"the output has the shape {y.shape}, expected {x.shape}.")
    dropped = y == 0
    require(bool((dropped != dropped[:1]).any()), "every example loses the same entries: draw for each anew.")
    share = dropped.mean()
    require(abs(share - 0.8) > 0.05, "80 % are dropped at rate 0.2: rate is the share that goes, not that stays.")
    require(abs(share - 0.2) < 0.05, f"{share:.0%} of the numbers are zero at rate 0.2, expected about 20 %.")
    kept = y[~dropped] / x[~dropped]
    require(not np.allclose(kept, 1), "what is left is not made larger: divide by 1 - rate, or the sum shrinks.")
    require(
        np.allclose(kept, 1.25), f"what is left is multiplied by {kept.mean():.3g}, expected 1 / (1 - rate) = 1.25."
    )
    dx = layer.backward(dy)
    require(dx.shape == x.shape, f"dx has the shape {dx.shape}, expected {x.shape}.")
    require(np.array_equal(dx == 0, dropped), "backward drops other entries than forward did: keep the factors.")
    require(not np.allclose(dx[~dropped], dy[~dropped]), "backward forgets the factor 1 / (1 - rate).")
    require_array(dx, dy * np.where(dropped, 0, 1.25).astype(np.float32), "dx = dy * factor.", 1e-5)
    require(
        not np.array_equal(layer.forward(x) == 0, dropped), "two passes drop the same entries: draw anew each time."
    )
    for way, result in (("forward", y), ("backward", dx)):
        require(
            result.dtype == np.float32, f"{way} turns float32 into {result.dtype}: training would run in the latter."
        )
    layer.active = False
    y = layer.forward(x)
    require(not (y == 0).any(), "entries are dropped although `active` is False.")
    require(np.allclose(y, x), "when not active, the layer must return its input; the scaling belongs to training.")
    require(np.allclose(layer.backward(dy), dy), "when not active, backward must return dy as it is.")
    require(layer.config == {"rate": 0.2}, f"config is {layer.config}, expected {{'rate': 0.2}}.")
    right("It drops, scales, remembers, and rests when it should.")
