"""Is a gradient right? Move each number a little, and see whether the loss changes as the gradient says."""

import copy
from collections.abc import Callable

import numpy as np

from cnnlib import checks
from cnnlib.layers import Layer
from cnnlib.losses import Loss


class GradientError(AssertionError):
    """A gradient that disagrees with central differences."""


def gradient_check(
    function,
    x: np.ndarray,
    t: np.ndarray | None = None,
    *,
    rng: np.random.Generator | int = 0,
    step: float = 1e-5,
    sample: int | None = None,
    tolerance: float = 1e-7,
) -> dict[str, float]:
    """Compare every gradient of a layer, a network or a loss with central differences, in float64.

    A layer has many outputs, a gradient is of one number: the number here is ``L = sum(dy * y)``, with a random
    upstream gradient ``dy``. Then ``dL/dx_i`` is estimated by ``sum(dy * (y(x_i + step) - y(x_i - step))) / (2 step)``.
    A loss is already one number.

    The relative error of an entry is ``|a - n| / max(|a|, |n|, scale / 100)``, for the analytic gradient a, the
    numerical gradient n, and the largest entry of the array as scale: it keeps the rounding of tiny entries from
    sounding the alarm. Nor does a difference count that is smaller than the rounding of the numbers of which n is the
    difference: where a softmax is saturated, n is nothing else. A loss is taken for 1 at least, since that is what is
    rounded on the way to a loss near zero. The check works on a copy; nothing that it is given is changed.

    The point `x` should not lie on a kink (an input of zero for `ReLU`, two equal pixels for `MaxPooling`), where there
    is no derivative to find. Where a kink lies close by, between the two points, an entry that disagrees is looked at
    again with a tenth and a hundredth of the step; a wrong gradient is wrong at any step.

    Parameters
    ----------
    function : Layer, Network or Loss
    x : ndarray
        The input; for a loss, the predictions.
    t : ndarray, optional
        The targets, for a loss and only there.
    rng : numpy.random.Generator or int
        Draws the upstream gradient, and the sample.
    step : float
        How far to move; 1e-5 balances truncation (which grows with the step) and rounding (which shrinks).
    sample : int, optional
        Check at most so many entries of each array, chosen at random; by default every one.
    tolerance : float
        The largest relative error that passes.

    Returns
    -------
    dict of str to float
        For every gradient (``"dx"``, ``"dW"``, ...) the largest relative error.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be checked with.
    GradientError
        If one is above the tolerance; the message names the array and the index of the worst entry.

    Examples
    --------
    >>> from cnnlib import Dense
    >>> errors = gradient_check(Dense(3, 2, rng=0), np.ones((4, 3)))
    >>> sorted(errors), max(errors.values()) < 1e-7
    (['dW', 'db', 'dx'], True)
    """
    rng, step = checks.as_rng(rng), checks.check_number("step", step, "(0, inf)")
    tolerance = checks.check_number("tolerance", tolerance, "(0, inf]")
    sample = None if sample is None else checks.check_positive_int("sample", sample)
    x = checks.check_finite("x", checks.as_float_array("x", x, np.float64)).copy()
    evaluate, y, dy, gradients = prepare(function, x, t, rng)
    rounding = 4 * np.finfo(float).eps * np.abs(dy * y).max(initial=1 if isinstance(function, Loss) else 0) / step
    errors = {}
    for name, (array, gradient) in gradients.items():
        if gradient.shape != array.shape:
            raise GradientError(f"{function!r}: {name} has the shape {gradient.shape}, expected {array.shape}")
        indices = list(np.ndindex(array.shape))
        if sample is not None and sample < len(indices):
            indices = [indices[i] for i in rng.choice(len(indices), sample, replace=False)]
        analytic = np.array([gradient[index] for index in indices])
        numerical = relative = np.full(len(indices), np.nan)
        # A kink (of a ReLU, of a maximum) may lie between the two points: closer points see whether that was all.
        for distance in (step, step / 10, step / 100):
            for k in np.flatnonzero(~(relative <= tolerance)):
                numerical[k] = central_difference(evaluate, dy, array, indices[k], distance)
            relative = entry_errors(analytic, numerical, rounding / tolerance)
        worst = int(np.argmax(relative))  # the first NaN, if there is one
        errors[name] = float(relative[worst])
        if not errors[name] <= tolerance:
            raise GradientError(
                f"{function!r}: {name}{list(indices[worst])} is {analytic[worst]:.9g}, but central differences say "
                f"{numerical[worst]:.9g} (relative error {errors[name]:.1e}, allowed {tolerance:.0e})"
            )
    return errors


def prepare(
    function, x: np.ndarray, t: np.ndarray | None, rng: np.random.Generator
) -> tuple[Callable, np.ndarray, np.ndarray, dict]:
    """Return what computes y, y, the upstream gradient dy, and for each name an array and its gradient."""
    checks.check_instance("function", function, Layer | Loss, "a Layer, a Network or a Loss")
    checks.check_differentiable(function, x, t, isinstance(function, Loss))
    if isinstance(function, Loss):
        value = np.asarray(function.value(x, t))
        return lambda: np.asarray(function.value(x, t)), value, np.ones(()), {"dx": (x, function.gradient(x, t))}
    layer = copy.deepcopy(function).to("cpu").astype(np.float64)
    layer.needs_dx = True
    y = layer.forward(x).copy()
    dy = rng.standard_normal(y.shape)
    gradients = {"dx": (x, layer.backward(dy.copy()).copy())}
    gradients |= {f"d{name}": (array, layer.gradients()[name].copy()) for name, array in layer.parameters().items()}
    return lambda: layer.forward(x).copy(), y, dy, gradients


def entry_errors(analytic: np.ndarray, numerical: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Return |a - n| / max(|a|, |n|, scale / 100, least) for every entry, where scale is the largest |n|."""
    scale = np.abs(numerical).max(initial=0) + np.finfo(float).tiny
    size = np.maximum(np.abs(analytic), np.abs(numerical))
    return np.abs(analytic - numerical) / np.maximum(size, max(scale / 100, least))


def central_difference(evaluate: Callable, dy, array: np.ndarray, index: tuple[int, ...], step: float) -> float:
    """Return (L(+step) - L(-step)) / (2 step) for one entry of `array`, which is put back afterwards."""
    before = array[index]
    array[index] = before + step
    plus = evaluate()
    array[index] = before - step
    minus = evaluate()
    array[index] = before
    return float(np.sum(dy * (plus - minus)) / (2 * step))
