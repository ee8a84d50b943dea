"""Learning-rate schedules: functions from progress, 0 at the first step and 1 at the last, to a scale of the rate."""

from collections.abc import Callable

import numpy as np

from cnnlib.checks import check_number

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """Keep the learning rate as it is."""
    check_number("progress", progress, "[0, 1]")
    return 1.0


def cosine(progress: float) -> float:
    """Lower the learning rate from its full value to zero, along half a cosine wave.

    Examples
    --------
    >>> [float(cosine(progress).round(2)) for progress in (0, 0.5, 1)]
    [1.0, 0.5, 0.0]
    """
    check_number("progress", progress, "[0, 1]")
    return 0.5 * (1 + np.cos(np.pi * progress))


def one_cycle(progress: float, warmup: float = 0.3, start: float = 0.04) -> float:
    """Raise the rate from `start` to its full value in the first `warmup` of the run, then lower it to zero.

    Both along half a cosine wave; `start` is a share of the full rate, `warmup` one of the run.

    References
    ----------
    Smith and Topin (2018), "Super-convergence: very fast training of neural networks using large learning rates".
    """
    check_number("progress", progress, "[0, 1]")
    check_number("warmup", warmup, "[0, 1)")
    check_number("start", start, "[0, 1]")
    if progress < warmup:
        return start + (1 - start) * (1 - cosine(progress / warmup))
    return cosine((progress - warmup) / (1 - warmup))


SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine, "one_cycle": one_cycle}
