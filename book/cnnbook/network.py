"""Chapter 11, The Network class: its figures, then the checks of its exercises."""

import json
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnbook.checking import (
    WrongAnswer,
    as_array,
    as_number,
    make_layer,
    passed,
    require,
    require_array,
    require_gradients,
    require_number,
    run,
)
from cnnlib.plots import show_array


def draw_chain(names: Sequence[str]) -> None:
    """Draw layers and, last, the loss as boxes in a row, with arrows for the values above, for the gradients below."""
    figure, axis = plt.subplots(figsize=(8, 2.1))
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white"}
    for place, name in enumerate(names):
        axis.text(2 * place, 0, name, ha="center", va="center", fontsize=12, bbox=box)
    last = 2 * len(names) - 3
    for middle in range(-1, last + 1, 2):
        for height, color, way in ((0.3, "C0", 0.4), (-0.3, "C1", -0.4)):
            arrow = {"arrowstyle": "->", "color": color, "linewidth": 2}
            axis.annotate("", (middle + way, height), (middle - way, height), arrowprops=arrow)
    for middle, value, gradient in ((-1, "$x$", "$dx$"), (last, "$y$", "$dy$")):
        axis.text(middle, 0.5, value, ha="center", color="C0", fontsize=13)
        axis.text(middle, -0.7, gradient, ha="center", color="C1", fontsize=13)
    axis.text((last - 1) / 2, 0.95, "forward: values", ha="center", color="C0")
    axis.text((last - 1) / 2, -1.1, "backward: gradients", ha="center", color="C1")
    axis.set(xlim=(-1.7, last + 1.8), ylim=(-1.2, 1.2))
    axis.set_axis_off()


def draw_step(x: np.ndarray, t: np.ndarray, W0: np.ndarray, W2: np.ndarray, b0: np.ndarray, b2: np.ndarray) -> None:
    """Draw all arrays of two dense layers with a ReLU between them, after the forward and the backward pass.

    x (2, N, 2) and t (2, N, 2) hold two batches, of which the first is used.
    """
    first, relu, last = layers = [cnnlib.Dense(*W0.shape), cnnlib.ReLU(), cnnlib.Dense(*W2.shape)]
    first.W, first.b, last.W, last.b = W0, b0, W2, b2
    y, loss = [x[0]], cnnlib.SoftmaxCrossEntropy()
    for layer in layers:
        y.append(layer.forward(y[-1]))
    dy = [loss.gradient(y[-1], t[0])]
    for layer in layers[::-1]:
        dy.insert(0, layer.backward(dy[0]))
    columns = {
        "batch": {"x": x[0], "t": t[0]},
        "Dense": {"y": y[1], "W": W0, "b": b0[None], "dy": dy[1], "dW": first.dW, "db": first.db[None]},
        "ReLU": {"y": y[2], "dy": dy[2]},
        "Dense, last": {"y": y[3], "W": W2, "b": b2[None], "dy": dy[3], "dW": last.dW, "db": last.db[None]},
    }
    figure, axes = plt.subplots(6, 4, figsize=(6.4, 7), height_ratios=[2, 3, 1, 2, 3, 1])
    for column, (layer, arrays) in zip(axes.T, columns.items(), strict=True):
        rows = ("y", "W", "b", "dy", "dW", "db") if layer != "batch" else ("x", "t")
        for axis in column:
            axis.set_axis_off()
        for axis, name in zip(column, rows, strict=False):
            if name in arrays:
                axis.set_axis_on()
                title = f"{layer}: {name}" if name == rows[0] else name
                show_array(axis, arrays[name], title, form=".2g" if name in "xtWb" else ".2f")


def draw_loss(losses: Sequence[float], classes: int) -> None:
    """Draw the loss of each epoch, and the loss of a network that knows nothing about so many classes."""
    figure, axis = plt.subplots(figsize=(5.6, 3))
    nothing = np.log(classes)
    axis.plot(np.arange(1, len(losses) + 1), losses)
    axis.axhline(nothing, color="black", linestyle="--", linewidth=1)
    axis.text(len(losses), nothing, f"log {classes}: knowing nothing", ha="right", va="bottom")
    axis.set(xlabel="epoch", title="Loss", ylim=(0, 1.1 * max(nothing, *losses)))


# The checks of the exercises


def check_count(number: int) -> None:
    """The parameters of a small convolutional network."""
    number = as_number(number)
    require(number.is_integer(), "a network has a whole number of parameters.")
    require(number != 100 + 288 + 2000, "the biases are missing: one a filter, and one an output of Dense.")
    require(number != 104 + 80 + 2010, "a filter of the second convolution sees all 4 channels: 4 * 3 * 3 weights.")
    require(number != 104 + 296 + 8 * 36 * 10 + 10, "(12 - 3) / 2 is rounded down: 5 rows and columns remain, not 6.")
    require(number != 104 + 296 + 8 * 100 * 10 + 10, "the second convolution has stride 2.")
    require_number(number, 2410, "Count each layer: weights of one filter or output, plus its bias, times how many.")
    passed("104 + 296 + 2,010 = 2,410 parameters")


def check_judge(function: Callable) -> None:
    """Mean cross-entropy and accuracy from probabilities and class numbers."""
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.full(4, 0.7), 9) * 0.9 + 0.025
    labels = np.where(rng.random(9) < 0.6, p.argmax(axis=1), rng.integers(0, 4, 9))
    share = _judge(function, p, labels)
    # A right class whose probability is tiny, but not zero: its logarithm is to be taken as it is.
    tiny = np.array([[1e-12, 1.0], [0.25, 0.75]])
    _judge(function, tiny, np.array([0, 1]), ": a tiny probability was changed before its logarithm was taken.")
    passed(f"loss {-np.log(p[np.arange(9), labels]).mean():.3f}, accuracy {share:.0%} on the check's own examples")


def _judge(function: Callable, p: np.ndarray, labels: np.ndarray, why: str = "") -> float:
    """Compare what the reader's function says of some answers with what is right, and return the accuracy."""
    N, classes = p.shape
    chosen = p[np.arange(N), labels]
    given = p.copy(), labels.copy()
    result = run(function, *given)
    require(np.array_equal(given[0], p) and np.array_equal(given[1], labels), "the given arrays were changed.")
    require(isinstance(result, tuple | list | np.ndarray) and len(result) == 2, "expected two numbers: loss, accuracy.")
    loss, share = as_number(result[0], "the loss"), as_number(result[1], "the accuracy")
    mean, hits = -np.log(chosen).mean(), float(np.mean(p.argmax(axis=1) == labels))
    exchanged = np.isclose(loss, hits) and np.isclose(share, mean)
    require(not exchanged, "the loss comes first, then the accuracy.")
    mistakes = (
        (-mean, "the loss is negative: log p is below zero, hence the minus sign."),
        (N * mean, "this is the sum over the examples; the loss is their mean."),
        (mean / classes, "divide by the number of examples, not by the number of entries of p."),
        (mean / np.log(10), "use the natural logarithm, np.log."),
        (mean / np.log(2), "use the natural logarithm, np.log."),
        (-np.log(chosen.mean()), "take the logarithm of each probability, then the mean."),
        (-np.log(p.max(axis=1)).mean(), "take the probability of the *right* class, not the largest one."),
        (-np.log(p).mean(), "only the probability of the right class counts."),
    )
    for wrong, message in mistakes:
        require(np.isclose(loss, mean, rtol=1e-5) or not np.isclose(loss, wrong), message)
    require(np.isclose(loss, mean, rtol=1e-5), f"the loss is {loss:.6g}, which is wrong{why or '.'}")
    mistakes = (
        (
            np.mean(chosen > 0.5),
            "with more than two classes, the largest probability may be below 1/2 and still be right.",
        ),
        (N * hits, "this is the number of right answers; the accuracy is their share."),
        (100 * hits, "this is a percentage; the accuracy is a number from 0 to 1."),
        (chosen.mean(), "this is a mean probability; count the right answers."),
        (1 - hits, "this is the share of wrong answers."),
    )
    for wrong, message in mistakes:
        require(np.isclose(share, hits, rtol=1e-5) or not np.isclose(share, wrong), message)
    require_number(share, hits, "Count the rows whose largest entry is at the label.", 1e-5)
    return hits


def check_fits(sizes: Sequence[int]) -> None:
    """The kernel sizes for which convolution, pooling, convolution and pooling leave 12 maps of 5x5."""
    is_list = (
        isinstance(sizes, list | tuple | set | range | np.ndarray) and np.ndim(list(sizes)) == 1 and len(sizes) > 0
    )
    require(is_list, f"expected a list of sizes, got {sizes!r:.60}.")
    numbers = as_array(list(sizes))
    require(bool((numbers == numbers.round()).all()), "a kernel size is a whole number.")
    given, expected = {int(size) for size in numbers}, {2, 3, 4, 5}
    for K in sorted(given - expected):
        require(1 <= K <= 28, f"a kernel of size {K} does not lie on an image of 28x28.")
        side = ((28 - K + 1) // 2 - 2) // 2
        require(side > 0, f"with K = {K}, too little is left for the second convolution.")
        raise WrongAnswer(f"K = {K} leaves 12 maps of {side}x{side}, that is {12 * side**2} features and not 300.")
    require(given != {5}, "5 fits, but not alone: pooling rounds down, so several sides lead to the same half.")
    require(given != {3, 5}, "nothing here asks for an odd kernel.")
    require(given == expected, f"there are more than these {len(given)}: from 5 back, take every side that fits.")
    passed("2, 3, 4 and 5: the floor of pooling forgives a pixel, twice.")


def check_shortcut(Shortcut: type) -> None:
    """A layer that adds its input to what an inner network makes of it."""
    rng = np.random.default_rng(5)
    layers = [cnnlib.Dense(4, 3, rng=rng), cnnlib.ReLU(), cnnlib.Dense(3, 4, rng=rng), cnnlib.Sigmoid()]
    inner = cnnlib.Network(layers, (4,)).astype(np.float64)
    x, dy = rng.standard_normal((2, 6, 4))
    before, dbefore, f = x.copy(), dy.copy(), inner.forward(x).copy()
    layer = make_layer(Shortcut, inner)
    y = run(layer.forward, x)
    require(np.array_equal(x, before), "forward changed its argument: the caller still needs x.")
    require(np.shape(y) != f.shape or not np.allclose(y, f), "this is f(x) alone; the input is to be added.")
    require_array(y, x + f, "y = x + inner.forward(x).")
    require(
        np.array_equal(inner.layers[-1].y, f),
        "forward changed the output of `inner`, which its last layer still needs.",
    )
    inner.forward(x)
    df = inner.backward(dy).copy()
    layer.forward(x)
    inner.layers[0].dW[:] = 0
    dx = run(layer.backward, dy)
    require(np.array_equal(dy, dbefore), "backward changed its argument: the caller still needs dy.")
    require(np.shape(dx) != df.shape or not np.allclose(dx, df), "the path past the inner layers is missing: add dy.")
    require(
        bool(inner.layers[0].dW.any()), "backward must go through `inner`, too: its layers have no gradients otherwise."
    )
    require_array(dx, dy + df, "Two paths lead to x: dx = dy + inner.backward(dy).")
    parameters, gradients = run(layer.parameters), run(layer.gradients)
    require(bool(parameters), "the layer names no trainable arrays: hand out those of `inner`.")
    own = {id(array) for array in inner.parameters().values()}
    require(len(parameters) == len(own), f"expected {len(own)} arrays, those of `inner`, got {len(parameters)}.")
    require(
        {id(array) for array in parameters.values()} == own,
        "`parameters` hands out copies: an optimizer would change those, and not the layers.",
    )
    require(set(gradients) == set(parameters), "`gradients` must have the names of `parameters`.")
    require(
        layer.astype(np.float32) is layer and inner.dtype == np.float32,
        "`astype` must convert the arrays of `inner`, and return the layer.",
    )
    layer.astype(np.float64)
    require_gradients(layer, x)
    network = cnnlib.Network([layer, cnnlib.Dense(4, 2, rng=rng, dtype=np.float64)], (4,))
    W, before = inner.layers[0].W, inner.layers[0].W.copy()
    network.train_step(x, np.zeros((6, 2)), cnnlib.SGD(0.1), cnnlib.MeanSquaredError())
    require(not np.array_equal(W, before), "a training step leaves the arrays of `inner` as they were.")
    passed("Two paths there, two paths back, and a network in a network.")


def check_snapshot(take: Callable, go_back: Callable) -> None:
    """The whole state of a run, taken and brought back twice."""
    for optimizer in (cnnlib.Adam(0.01), cnnlib.SGD(0.1)):
        trial = _Run(optimizer)
        trial.steps(4)
        then = trial.state()
        state = run(take, trial.network, trial.optimizer, trial.rng)
        require(_difference(then, trial.state()) is None, "taking the snapshot changed the run itself.")
        trial.steps(5)
        now, end = trial.state(), trial.parameters()
        for again in ("", " the second time"):
            run(go_back, trial.network, trial.optimizer, trial.rng, state)
            wrong = _difference(then, trial.state())
            if wrong is not None and again:
                raise WrongAnswer(
                    f"the first time it works, but not again: {wrong} changed within the snapshot. Copy back."
                )
            if wrong is not None:
                now_same = np.array_equal(trial.state()[wrong], now[wrong])
                found = "as after the last step" if now_same else "not as in the snapshot"
                hint = (
                    "Training changes it in place: keep a copy." if wrong in CHANGED else "Keep it, and bring it back."
                )
                raise WrongAnswer(f"{wrong}: {found}. {hint}")
            trial.steps(5)
            require(
                all(np.array_equal(end[name], array) for name, array in trial.parameters().items()),
                f"everything seems to be back, but the next steps differ{again}.",
            )
    passed("With Adam and with momentum, twice: every bit as before.")


CHANGED = ("the parameters", "the optimizer's memory")


class _Run:
    """A training run that can be looked at."""

    def __init__(self, optimizer: cnnlib.SGD | cnnlib.Adam):
        rng = np.random.default_rng(7)
        layers = [cnnlib.Dense(3, 5, rng=rng), cnnlib.ReLU(), cnnlib.Dense(5, 2, rng=rng)]
        self.network, self.optimizer, self.rng = cnnlib.Network(layers, (3,)), optimizer, rng
        self.x, self.t = rng.standard_normal((20, 3)), cnnlib.one_hot(rng.integers(0, 2, 20), 2)

    def steps(self, count: int) -> None:
        """Take some steps, each on a batch that the generator draws."""
        for _ in range(count):
            batch = self.rng.integers(0, 20, 4)
            self.network.train_step(self.x[batch], self.t[batch], self.optimizer, cnnlib.SoftmaxCrossEntropy())

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: array.copy() for name, array in self.network.parameters().items()}

    def state(self) -> dict[str, np.ndarray]:
        """All that the next step depends on, as one array each."""
        memory = [array.ravel() for arrays in self.optimizer.state.values() for array in arrays]
        numbers = self.rng.bit_generator.state
        return {
            "the parameters": np.concatenate([array.ravel() for array in self.parameters().values()]),
            "the optimizer's memory": np.concatenate([np.zeros(0), *memory]),
            "the optimizer's count of steps": np.array(self.optimizer.steps),
            "the random numbers still to come": np.array([json.dumps(numbers, sort_keys=True)]),
        }


def _difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> str | None:
    """The first part in which two states differ."""
    return next((name for name, array in one.items() if not np.array_equal(array, other[name])), None)


def check_dropout(Dropout: type) -> None:
    """A layer that drops numbers at random in training."""
    rng = np.random.default_rng(8)
    x = rng.uniform(1, 2, (400, 5, 6)).astype(np.float32)
    before, dy = x.copy(), rng.uniform(1, 2, x.shape).astype(np.float32)
    layer = make_layer(Dropout, 0.2, rng=np.random.default_rng(9))
    require(
        getattr(layer, "active", None) is True, "a new layer must have the attribute `active`, with the value True."
    )
    y = run(layer.forward, x)
    require(np.array_equal(x, before), "forward changed its argument: the caller still needs x.")
    require(np.shape(y) == x.shape, f"the output has the shape {np.shape(y)}, expected {x.shape}.")
    dropped = y == 0
    _check_dropped(dropped)
    kept = y[~dropped] / x[~dropped]
    require(not np.allclose(kept, 1), "what is left is not made larger: divide by 1 - rate, or the sum shrinks.")
    require(
        np.allclose(kept, 1.25), f"what is left is multiplied by {kept.mean():.3g}, expected 1 / (1 - rate) = 1.25."
    )
    dx = run(layer.backward, dy)
    require(np.shape(dx) == x.shape, f"dx has the shape {np.shape(dx)}, expected {x.shape}.")
    require(np.array_equal(dx == 0, dropped), "backward drops other entries than forward did: keep the factors.")
    require(not np.allclose(dx[~dropped], dy[~dropped]), "backward forgets the factor 1 / (1 - rate).")
    require_array(dx, dy * np.where(dropped, 0, 1.25).astype(np.float32), "dx = dy * factor.", 1e-5)
    require(
        not np.array_equal(run(layer.forward, x) == 0, dropped),
        "two passes drop the same entries: draw anew each time.",
    )
    twin = make_layer(Dropout, 0.2, rng=np.random.default_rng(9))
    other = make_layer(Dropout, 0.2, rng=np.random.default_rng(10))
    require(
        np.array_equal(run(twin.forward, x) == 0, dropped) and not np.array_equal(run(other.forward, x) == 0, dropped),
        "what is dropped does not follow the `rng`: draw from the one that was handed over.",
    )
    for way, result in (("forward", y), ("backward", dx)):
        require(
            result.dtype == np.float32, f"{way} turns float32 into {result.dtype}: training would run in the latter."
        )
    none = run(make_layer(Dropout, 0.0).forward, x)
    require(np.array_equal(none, x), "with rate=0 nothing is dropped, and the output is the input.")
    layer.active = False
    y = run(layer.forward, x)
    require(not (y == 0).any(), "entries are dropped although `active` is False.")
    require(np.allclose(y, x), "when not active, the layer must return its input; the scaling belongs to training.")
    require(np.allclose(run(layer.backward, dy), dy), "when not active, backward must return dy as it is.")
    require(layer.config == {"rate": 0.2}, f"config is {layer.config}, expected {{'rate': 0.2}}.")
    passed("It drops, scales, remembers, and rests when it should.")


def _check_dropped(dropped: np.ndarray) -> None:
    """Say whether these entries, True where they were dropped at rate 0.2, were drawn each for itself."""
    require(bool((dropped != dropped[:1]).any()), "every example loses the same entries: draw for each anew.")
    share = dropped.mean()
    require(abs(share - 0.8) > 0.05, "80 % are dropped at rate 0.2: rate is the share that goes, not that stays.")
    require(abs(share - 0.2) < 0.05, f"{share:.0%} of the numbers are zero at rate 0.2, expected about 20 %.")
    columns = dropped.reshape(len(dropped), -1)
    # Of entries drawn independently, over 400 examples, two columns correlate by 0.05 or so, and by 0.2 at most.
    alike = np.abs(np.corrcoef(columns.T))[np.triu_indices(columns.shape[1], 1)].max()
    require(alike < 0.4, "entries of one example are dropped together, such as whole rows: draw one for each number.")
    require(columns.sum(axis=1).std() > 1, "every example loses equally many: draw for each number by itself.")
    # Two of 400 examples lose the same entries by chance less than once.
    require(len(np.unique(columns, axis=0)) > 390, "some examples lose the same entries: draw for each anew.")
