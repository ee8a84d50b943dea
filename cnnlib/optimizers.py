"""Optimizers: how far to move each parameter, and in which direction, given its gradient."""

from collections.abc import Sequence

import numpy as np

from cnnlib.checks import check_number, check_pairs
from cnnlib.config import Configured

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]  # (parameter, gradient), of one shape


class Optimizer(Configured):
    """Changes parameters in place, step by step.

    An optimizer sees nothing of the network but its (parameter, gradient) pairs. What it remembers of earlier steps is
    in `state`: for every name a list with one array a parameter. So an optimizer belongs to the parameters of its first
    step, and refuses others: their first moves would come from the gradients of another network. Weight decay applies
    to weights, which have two dimensions or more, and not to biases.

    Attributes
    ----------
    learning_rate : float
        With a schedule, the highest one.
    steps : int
        How many steps have been taken.
    state : dict of str to list of ndarray
    parameters : list of ndarray or None
        What the last step moved.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, learning_rate: float, weight_decay: float = 0.0):
        self.learning_rate = check_number("learning_rate", learning_rate, "(0, inf)")
        self.weight_decay = check_number("weight_decay", weight_decay, "[0, inf)")
        self.steps = 0
        self.state: dict[str, list[np.ndarray]] = {}
        self.parameters: list[np.ndarray] | None = None

    def step(self, pairs: Pairs, scale: float = 1.0) -> None:
        """Move every parameter once, with the learning rate ``learning_rate * scale``.

        Raises
        ------
        TypeError, ValueError
            If a gradient is not of the shape of its parameter; if the parameters are not those of the first step.
        """
        check_number("scale", scale)
        pairs = check_pairs(self, pairs)
        self.parameters = parameters = [parameter for parameter, _ in pairs]
        if not self.steps:
            self.state = {name: [*map(np.zeros_like, parameters)] for name in self.state_names}
        self.steps += 1
        for index, (parameter, gradient) in enumerate(pairs):
            self.update(index, parameter, gradient, self.learning_rate * scale)

    def update(self, index: int, parameter: np.ndarray, gradient: np.ndarray, learning_rate: float) -> None:
        """Move the parameter of that index."""
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent with momentum: ``v = momentum * v - learning_rate * g``, then ``parameter += v``.

    Parameters
    ----------
    learning_rate : float
    momentum : float
        How much of the last move is kept; 0 for plain gradient descent.
    weight_decay : float
        α: adds ``α * parameter`` to the gradient of a weight.
    """

    state_names = ("velocity",)

    def __init__(self, learning_rate: float = 0.05, momentum: float = 0.9, weight_decay: float = 0.0):
        super().__init__(learning_rate, weight_decay)
        self.momentum = check_number("momentum", momentum, "[0, 1)")

    def update(self, index: int, parameter: np.ndarray, gradient: np.ndarray, learning_rate: float) -> None:
        velocity = self.state["velocity"][index]
        if self.weight_decay and parameter.ndim > 1:
            gradient = gradient + self.weight_decay * parameter
        velocity *= self.momentum
        velocity -= learning_rate * gradient
        parameter += velocity


class Adam(Optimizer):
    """Adam: every parameter has its own step size, from running means of its gradient and of the gradient squared.

    ``m = β1 m + (1 - β1) g``, ``v = β2 v + (1 - β2) g²``, ``parameter -= learning_rate * m̂ / (sqrt(v̂) + ε)``, where
    ``m̂ = m / (1 - β1^k)`` and ``v̂ = v / (1 - β2^k)`` make up for the start at zero, after k steps. Weight decay is
    decoupled from the gradient, as in AdamW.

    References
    ----------
    Kingma and Ba (2015), "Adam: a method for stochastic optimization".
    Loshchilov and Hutter (2019), "Decoupled weight decay regularization".
    """

    state_names = ("mean", "square")

    def __init__(
        self,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(learning_rate, weight_decay)
        self.beta1 = check_number("beta1", beta1, "[0, 1)")
        self.beta2 = check_number("beta2", beta2, "[0, 1)")
        self.epsilon = check_number("epsilon", epsilon, "(0, inf)")

    def update(self, index: int, parameter: np.ndarray, gradient: np.ndarray, learning_rate: float) -> None:
        mean, square = self.state["mean"][index], self.state["square"][index]
        mean += (1 - self.beta1) * (gradient - mean)
        square += (1 - self.beta2) * (gradient**2 - square)
        unbiased_mean = mean / (1 - self.beta1**self.steps)
        unbiased_square = square / (1 - self.beta2**self.steps)
        if self.weight_decay and parameter.ndim > 1:
            parameter *= 1 - learning_rate * self.weight_decay
        parameter -= learning_rate * unbiased_mean / (np.sqrt(unbiased_square) + self.epsilon)
