"""Compute the reference values: what PyTorch, an independent framework, says of the same layers and losses.

Run it with an environment that has PyTorch and NumPy (`pip install torch numpy`); the tests only read the file.
Everything is float64. Each case stores its inputs, its parameters, a random upstream gradient, and all results.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

rng = np.random.default_rng(1998)
arrays: dict[str, np.ndarray] = {}
cases: list[dict] = []


def tensor(*shape):
    return torch.tensor(rng.standard_normal(shape), requires_grad=True)


def same_padding(x, kernel_size, stride):
    """Pad as "same" does where stride allows several answers: the odd row and column go below and right."""
    totals = [max((-(-n // stride) - 1) * stride + kernel_size - n, 0) for n in x.shape[2:]]
    (top, left), (bottom, right) = ([n // 2 for n in totals], [n - n // 2 for n in totals])
    return F.pad(x, (left, right, top, bottom))


def store(layer, config, function, x, **parameters):
    """Run one layer forward and backward, and keep everything."""
    y = function(x)
    dy = torch.tensor(rng.standard_normal(tuple(y.shape)))
    y.backward(dy)
    key = str(len(cases))
    cases.append({"layer": layer, "config": config, "parameters": list(parameters)})
    kept = {"x": x, "y": y, "dy": dy, "dx": x.grad}
    for name, parameter in parameters.items():
        kept |= {name: parameter, f"d{name}": parameter.grad}
    # PyTorch keeps dense weights as (outputs, inputs); ours are (inputs, outputs).
    for name, array in kept.items():
        array = array.detach().numpy()
        arrays[f"{key}.{name}"] = array.T if layer == "Dense" and name in ("W", "dW") else array


for N, D, M in ((1, 1, 1), (4, 7, 3), (5, 3, 8)):
    W, b = tensor(M, D), tensor(M)
    store("Dense", {"inputs": D, "outputs": M}, lambda x, W=W, b=b: F.linear(x, W, b), tensor(N, D), W=W, b=b)

for (N, C, H, width), filters, K, stride, padding in (
    ((2, 1, 5, 5), 1, 3, 1, "valid"),
    ((3, 2, 7, 6), 4, 3, 2, "valid"),
    ((2, 3, 8, 8), 2, 5, 1, "same"),
    ((2, 2, 7, 9), 3, 4, 3, "same"),
    ((2, 2, 6, 5), 3, 2, 3, 2),
    ((1, 2, 4, 4), 5, 1, 1, 1),
):
    W, b = tensor(filters, C, K, K), tensor(filters)

    def convolve(x, W=W, b=b, K=K, stride=stride, padding=padding):
        if padding == "same":
            return F.conv2d(same_padding(x, K, stride), W, b, stride=stride)
        return F.conv2d(x, W, b, stride=stride, padding=0 if padding == "valid" else padding)

    config = {"channels": C, "filters": filters, "kernel_size": K, "stride": stride, "padding": padding}
    store("Convolutional", config, convolve, tensor(N, C, H, width), W=W, b=b)

for shape, size, stride in (((2, 3, 6, 6), 2, 2), ((2, 2, 7, 8), 3, 2), ((1, 1, 9, 7), 2, 3)):
    pool = torch.nn.MaxPool2d(size, stride)
    store("MaxPooling", {"size": size, "stride": stride}, pool, tensor(*shape))

ties = torch.tensor(rng.integers(0, 2, (3, 2, 6, 6)).astype(float), requires_grad=True)
store("MaxPooling", {"size": 2, "stride": 2}, torch.nn.MaxPool2d(2), ties)

store("ReLU", {}, torch.relu, tensor(4, 9))
store("Sigmoid", {}, torch.sigmoid, tensor(4, 9))
store("Softmax", {}, lambda x: torch.softmax(x, dim=1), tensor(4, 9))
store("Flatten", {}, lambda x: x.flatten(1), tensor(2, 3, 4, 5))

labels = torch.tensor(rng.integers(0, 6, 5))
t = F.one_hot(labels, 6).double()
for name, function, y in (
    ("MeanSquaredError", lambda y: F.mse_loss(y, t), tensor(5, 6)),
    ("SoftmaxCrossEntropy", lambda z: F.cross_entropy(z, labels), tensor(5, 6)),
    ("CategoricalCrossEntropy", lambda p: F.nll_loss(torch.log(p), labels), tensor(5, 6).detach().softmax(1)),
):
    y.requires_grad_()
    value = function(y)
    value.backward()
    key = str(len(cases))
    cases.append({"loss": name})
    for kept, array in {"y": y, "t": t, "value": value, "dy": y.grad}.items():
        arrays[f"{key}.{kept}"] = array.detach().numpy()

# Optimizers: the parameters after each of five steps with given gradients.
start, gradients = rng.standard_normal((3, 4)), rng.standard_normal((5, 3, 4))
for name, config, optimizer in (
    ("SGD", {"learning_rate": 0.1, "momentum": 0.0}, lambda p: torch.optim.SGD(p, 0.1)),
    (
        "SGD",
        {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01},
        lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.01),
    ),
    ("Adam", {"learning_rate": 0.01}, lambda p: torch.optim.Adam(p, 0.01)),
    ("Adam", {"learning_rate": 0.01, "weight_decay": 0.1}, lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1)),
):
    parameter = torch.tensor(start.copy(), requires_grad=True)
    steps, stepper = [], optimizer([parameter])
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        stepper.step()
        steps.append(parameter.detach().numpy().copy())
    key = str(len(cases))
    cases.append({"optimizer": name, "config": config})
    arrays |= {f"{key}.start": start, f"{key}.gradients": gradients, f"{key}.steps": np.array(steps)}

# Layers for what lies beyond digits; at the end, so that the numbers drawn for the others stay the same.
for C, filters, K, stride, padding in ((2, 3, 3, 1, 0), (3, 2, 4, 2, 1), (1, 2, 2, 3, 0)):
    W, b = tensor(C, filters, K, K), tensor(filters)
    config = {"channels": C, "filters": filters, "kernel_size": K, "stride": stride, "padding": padding}

    def spread(x, W=W, b=b, stride=stride, padding=padding):
        return F.conv_transpose2d(x, W, b, stride=stride, padding=padding)

    store("TransposedConvolution", config, spread, tensor(2, C, 4, 3), W=W, b=b)

store("AveragePooling", {"size": 2}, torch.nn.AvgPool2d(2), tensor(2, 3, 6, 5))
store("AveragePooling", {}, lambda x: x.mean(dim=(2, 3)), tensor(2, 3, 4, 5))
store("Upsampling", {"size": 2}, lambda x: F.interpolate(x, scale_factor=2.0), tensor(2, 3, 4, 3))
for shape in ((4, 3, 5, 4), (6, 3)):
    gamma, beta = tensor(3), tensor(3)

    def normalize(x, gamma=gamma, beta=beta):
        return F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-3)

    store("BatchNormalization", {"channels": 3, "epsilon": 1e-3}, normalize, tensor(*shape), gamma=gamma, beta=beta)
    cases[-1]["training"] = True

labels = torch.tensor(rng.integers(0, 4, (3, 2, 5)))
t = F.one_hot(labels, 4).double().permute(0, 3, 1, 2)
weights = torch.tensor([0.2, 1.0, 2.0, 0.5], dtype=torch.double)


def weighted(z):
    return F.cross_entropy(z, labels, weights, reduction="sum") / labels.numel()


for name, config, function in (
    ("SoftmaxCrossEntropy", {}, lambda z: F.cross_entropy(z, labels)),
    ("SoftmaxCrossEntropy", {"weights": weights.tolist()}, weighted),
    ("SigmoidCrossEntropy", {}, lambda z: F.binary_cross_entropy_with_logits(z, t)),
    ("MeanSquaredError", {}, lambda y: F.mse_loss(y, t)),
):
    y = tensor(3, 4, 2, 5)
    value = function(y)
    value.backward()
    key = str(len(cases))
    cases.append({"loss": name, "config": config})
    for kept, array in {"y": y, "t": t, "value": value, "dy": y.grad}.items():
        arrays[f"{key}.{kept}"] = array.detach().numpy()

versions = {"torch": torch.__version__.split("+")[0], "numpy": np.__version__}
target = Path(__file__).parents[1] / "book" / "cnnbook" / "results" / "reference.npz"
np.savez_compressed(target, cases=json.dumps(cases), versions=json.dumps(versions), **arrays)
print(f"{len(cases)} cases, {target.stat().st_size / 1024:.0f} kB, {versions}")
