"""Chapter 22: what PyTorch does behind the scenes."""

import importlib.util
import json
import tempfile
from importlib import resources
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnbook.checking import as_number, passed, require
from cnnlib.onnx_export import export_onnx

# The example: e = w x + b - t and L = e e + w w, box by box.
VALUES = {"x": 2.0, "w": 3.0, "b": -1.0, "t": 4.0}
PLACES = {
    "x": (0, 3),
    "w": (0, 1.6),
    "b": (1, 4.2),
    "t": (2, 4.2),
    "a": (1, 2.6),
    "v": (2, 2.6),
    "e": (3, 2.6),
    "s": (4, 2.6),
    "r": (3, 1),
    "L": (5, 1.8),
}
ARROWS = ["xa", "wa", "av", "bv", "ve", "te", "es", "wr", "sL", "rL"]
FORMULAS = {"a": "w x", "v": "a + b", "e": "v - t", "s": "e e", "r": "w w", "L": "s + r"}


def values_and_slopes(x: float, w: float, b: float, t: float) -> tuple[dict[str, float], dict[str, float]]:
    """Return the values of all boxes of the example, and the slopes of L, by hand."""
    e = w * x + b - t
    values = {"x": x, "w": w, "b": b, "t": t, "a": w * x, "v": w * x + b, "e": e, "s": e * e, "r": w * w}
    values["L"] = e * e + w * w
    slopes = dict.fromkeys("bave", 2 * e) | {"t": -2 * e, "x": 2 * e * w, "w": 2 * e * x + 2 * w}
    return values, slopes | {"s": 1.0, "r": 1.0, "L": 1.0}


def draw_graph() -> None:
    """Draw the graph of the example with the value and the slope of every box."""
    values, slopes = values_and_slopes(**VALUES)
    _, axis = plt.subplots(figsize=(7.5, 4.2))
    axis.set_axis_off()
    axis.set(xlim=(-0.5, 5.5), ylim=(0.5, 4.75))
    for tail, head in ARROWS:
        twice = (tail, head) in (("e", "s"), ("w", "r"))
        for bend in (0.2, -0.2) if twice else (0,):
            axis.annotate(
                "",
                PLACES[head],
                PLACES[tail],
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": "0.4",
                    "shrinkA": 24,
                    "shrinkB": 26,
                    "connectionstyle": f"arc3,rad={bend}",
                },
            )
    for name, place in PLACES.items():
        formula = f" = {FORMULAS[name]}" if name in FORMULAS else ""
        text = f"{name}{formula}\n{values[name]:g}\nslope {slopes[name]:g}"
        colour = "#dceaf7" if name in FORMULAS else "#f7ecd9"
        axis.text(*place, text, ha="center", va="center", bbox={"boxstyle": "round", "facecolor": colour})


# PyTorch, where it is installed


def torch_lenet():
    """Return a LeNet-5 of PyTorch, in float64."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    ).double()


def torch_steps(model, batches):
    """Take a step of gradient descent for each batch; return the losses before them."""
    import torch

    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for images, labels in batches:
        optimizer.zero_grad()
        scores = model(torch.tensor(images))
        loss = torch.nn.functional.cross_entropy(scores, torch.tensor(labels))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def to_torch(network: cnnlib.Network, model) -> None:
    """Copy the weights of a network into a model of PyTorch with the same layers."""
    import torch

    arrays = [array.T if array.ndim == 2 else array for array in network.parameters().values()]
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), arrays, strict=True):
            parameter.copy_(torch.tensor(np.ascontiguousarray(array)))


def from_torch(model, network: cnnlib.Network) -> None:
    """Copy the weights of a model of PyTorch into a network with the same layers."""
    for parameter, array in zip(model.parameters(), network.parameters().values(), strict=True):
        new = parameter.detach().numpy()
        array[...] = new.T if array.ndim == 2 else new


def new_network() -> cnnlib.Network:
    """Return the LeNet-5, in float64, from which both programs begin."""
    return cnnlib.lenet5(np.random.default_rng(2)).astype(np.float64)


def batches_of(steps: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return that many batches of 32 small digits and their labels, the same every time."""
    digits, rng = cnnlib.load_digits(), np.random.default_rng(3)
    chosen = [rng.integers(0, len(digits.train_labels), 32) for _ in range(steps)]
    return [(digits.train_images[at][:, np.newaxis] / 255, digits.train_labels[at].astype(np.int64)) for at in chosen]


def our_steps(steps: int) -> list[float]:
    """Take the steps of `torch_steps` with the library; return the losses before them."""
    network, optimizer, loss = new_network(), cnnlib.SGD(0.05, momentum=0.9), cnnlib.CategoricalCrossEntropy()
    return [network.train_step(x, cnnlib.one_hot(t, 10), optimizer, loss)[0] for x, t in batches_of(steps)]


def losses_of_torch(steps: int) -> tuple[list[float], str]:
    """Return the losses of PyTorch, computed now where it is installed, else the stored ones; and which they are."""
    if importlib.util.find_spec("torch") is None:
        stored = json.loads((resources.files("cnnbook") / "results" / "torch.json").read_text())
        return stored["losses"][:steps], f"stored, of PyTorch {stored['version']}"
    import torch

    model = torch_lenet()
    to_torch(new_network(), model)
    return torch_steps(model, batches_of(steps)), f"computed now, by PyTorch {torch.__version__.split('+')[0]}"


def compare_with_onnx(network: cnnlib.Network, digits) -> tuple[float, str]:
    """Return the largest difference of the probabilities of exported and own network, and what has computed them.

    Where ONNX's runtime is not installed, the difference is 0, and the text says that nothing was compared.
    """
    if importlib.util.find_spec("onnx") is None or importlib.util.find_spec("onnxruntime") is None:
        return 0.0, "onnxruntime is not installed here, so nothing was compared."
    import onnxruntime

    x = digits.test_images[:100, np.newaxis] / np.float32(255)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lenet5.onnx"
        export_onnx(path, network)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        kilobytes = path.stat().st_size / 1000
    difference = float(np.abs(session.run(["y"], {"x": x})[0] - network.predict(x)).max())
    text = f"onnxruntime {onnxruntime.__version__}: a file of {kilobytes:.0f} kB, "
    return difference, text + f"and the same probabilities to 1e-6: {difference < 1e-6}"


# The checks of the exercises


def check_by_hand(da: float, db: float) -> None:
    """The slopes of L = v u with v = u b and u = a + b, at a = 1 and b = 2."""
    da, db = as_number(da, "da"), as_number(db, "db")
    require((da, db) != (21, 12), "these are the right numbers in the wrong places: da comes first.")
    require(da != 6, "da is the slope of u, and u is used twice: by v and by L. Add both.")
    require(da == 12, f"da = {da:g} is not it. First find the slope of u: it is used by v and by L.")
    require(db != 9, "this is what b gets from v. It also gets something from u.")
    require(db != 12, "this is what b gets from u. It also gets something from v.")
    require(db == 21, f"db = {db:g} is not it. b is used by u and by v; add what comes from both.")
    passed("Nothing was handed on before it was complete.")


def gradient_of(function, x: np.ndarray, dy: np.ndarray, tensor, backward) -> tuple[np.ndarray, np.ndarray]:
    """Return y, and the gradient of sum(dy * y), by the reader's own graph."""
    a = tensor(x.copy())
    y = function(a)
    require(isinstance(y, tensor), f"return a Tensor, not {type(y).__name__}")
    require(np.shape(y.data) == dy.shape, f"expected the shape {dy.shape}, got {np.shape(y.data)}")
    backward(tensor(np.sum(dy * y.data), [(y, lambda one: one * dy)]))
    require(np.array_equal(a.data, x), "the step changed its input; write into a new array")
    return y.data, a.grad


def differences(forward, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Return the gradient of sum(dy * forward(x)) by central differences."""
    gradient, h = np.zeros_like(x), 1e-5
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        gradient[index] = np.sum(dy * (forward(up) - forward(down))) / (2 * h)
    return gradient


def require_step(function, forward, x: np.ndarray, dy: np.ndarray, tensor, backward) -> None:
    """Raise `WrongAnswer` unless a step computes `forward`, and its gradient agrees with differences."""
    y, dx = gradient_of(function, x, dy, tensor, backward)
    require(np.allclose(y, forward(x), rtol=1e-9, atol=1e-12), "the values are not right yet.")
    require(np.any(dx), "no gradient arrives at the input: has the result been given its parent?")
    expected = differences(forward, x, dy)
    require(not np.allclose(dx, expected / dy.mean(), rtol=1e-4), "the share of the parent needs dy as a factor.")
    require(np.allclose(dx, expected, rtol=1e-5, atol=1e-7), "the values are right, but not the gradient.")


def check_sigmoid(sigmoid, tensor, backward) -> None:
    """The logistic function as a step of the graph."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 3, 4))
    require_step(sigmoid, lambda v: 1 / (1 + np.exp(-v)), x, dy, tensor, backward)
    with np.errstate(over="raise", invalid="raise"):
        try:
            large = sigmoid(tensor(np.array([-1000.0, 1000.0]))).data
        except FloatingPointError:
            large = np.array([np.nan])
    require(np.array_equal(large, [0, 1]), "for -1000 or 1000 exp overflows: use exp of a number that is not positive.")
    passed("A new step, in three lines.")


def check_detach(detach, forget, tensor) -> None:
    """A value out of the graph, and gradients back to zero."""
    parent = tensor(np.ones(3))
    a = tensor(np.arange(3.0), [(parent, lambda dy: dy)])
    a.grad = np.full(3, 5.0)
    b = detach(a)
    require(isinstance(b, tensor), "detach must return a Tensor.")
    require(b is not a, "detach must return a new tensor; the old one keeps its place in the graph.")
    require(np.array_equal(b.data, a.data), "the data of the detached tensor are not the same.")
    require(len(b.parents) == 0, "the detached tensor still has parents, so backward would go on through it.")
    require(len(a.parents) == 1, "detach has cut the parents off the original, too.")
    require(not np.any(b.grad), "the gradient of a new tensor begins with zero.")
    require(np.all(a.grad == 5), "detach must leave the gradient of the original alone.")
    tensors = [a, tensor(np.ones((2, 2)))]
    tensors[1].grad = np.ones((2, 2))
    forget(tensors)
    for each in tensors:
        require(np.shape(each.grad) == np.shape(each.data), "a gradient must keep the shape of its data.")
        require(not np.any(each.grad), "forget must set all gradients to zero.")
    require(np.array_equal(a.data, np.arange(3.0)), "forget must leave the data alone.")
    passed("PyTorch calls them detach and zero_grad.")


def check_largest(largest, tensor, backward) -> None:
    """The largest number of each row, the first of equal ones."""
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((4, 5)), rng.standard_normal((4, 1))
    require_step(largest, lambda v: v.max(axis=1, keepdims=True), x, dy, tensor, backward)
    _, dx = gradient_of(largest, np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]), np.ones((2, 1)), tensor, backward)
    require(dx.sum() <= 2, "of several equal numbers each gets the whole gradient: that counts it more than once.")
    require(set(np.unique(dx)) == {0.0, 1.0}, "equal numbers share the gradient; here the first takes it all.")
    require(np.array_equal(dx, [[0, 1, 0], [1, 0, 0]]), "of equal numbers the first shall get the gradient.")
    passed("As in max pooling.")


def check_normalize(normalize, tensor, backward) -> None:
    """Columns with mean 0 and variance 1, by steps of the graph; compared with the library's layer."""
    rng = np.random.default_rng(2)
    x, dy = 2 + 3 * rng.standard_normal((7, 4)), rng.standard_normal((7, 4))
    layer = cnnlib.BatchNormalization(4).astype(np.float64)
    layer.training = True
    expected, y_dx = layer.forward(x), layer.backward(dy)
    y, dx = gradient_of(normalize, x, dy, tensor, backward)
    require(np.allclose(y.mean(axis=0), 0, atol=1e-9), "the columns must have mean 0.")
    require(not np.allclose(y.std(axis=0, ddof=1), 1, atol=1e-3), "divide the sum of squares by N, not by N - 1.")
    require(np.allclose(y, expected, rtol=1e-6), "the columns must have variance 1, but for the 1e-5 below the root.")
    constant = dy / np.sqrt(x.var(axis=0) + 1e-5)
    require(not np.allclose(dx, constant), "mean and variance depend on x, too: they must be part of the graph.")
    require(np.allclose(dx, y_dx, rtol=1e-6, atol=1e-9), "the values are right, but a path of the gradient is missing.")
    passed("The same gradient as the one that was derived by hand.")
