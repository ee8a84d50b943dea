"""Fine-tune a trained network on its user's handwriting, in a moment, without forgetting what it knows.

A network that is trained further on a few drawings alone learns them but forgets the rest, because nothing in those
drawings speaks for it (*catastrophic forgetting*). Therefore each step mixes the drawings with replayed digits, whose
targets are not labels but the probabilities that the network itself predicted before fine-tuning. So the predictions
can change for the drawings, and are held where they were everywhere else. Both kinds are distorted at random, so that a
few drawings represent all that the same hand might have written, and a few digits all that must not change. In the end
the parameters move back towards where they started, by up to a fifth of the way. This costs little of what was learned
and restores much of what was forgotten.

References
----------
McCloskey and Cohen (1989), "Catastrophic interference in connectionist networks".
Li and Hoiem (2016), "Learning without forgetting".
Wortsman et al. (2022), "Robust fine-tuning of zero-shot models": the mix of the parameters before and after.
"""

import numpy as np
from numpy.typing import ArrayLike

from cnnlib.blas import one_blas_thread
from cnnlib.checks import as_array, check_images, check_int, check_positive_int
from cnnlib.digits.augmentation import Distortion
from cnnlib.digits.datasets import load_digits
from cnnlib.losses import CategoricalCrossEntropy, one_hot
from cnnlib.network import Network
from cnnlib.optimizers import SGD

# Chosen on drawings by 30 writers, see scripts/measure_drawing.py. With more drawings in each step, a network learns
# faster and forgets more.
STEPS, LEARNING_RATE, MOMENTUM = 60, 0.005, 0.9
DRAWINGS_PER_STEP, REPLAYED_PER_STEP = 16, 112
DISTORTED_COPIES = 3  # of each replayed digit, besides the digit itself
MIN_MIX = 0.8  # the share of the change in the parameters that remains, at least


class FineTuner:
    """Trains a network on its user's drawings, always from the parameters that it had at first.

    Because every call of `fine_tune` starts there, with all drawings so far, the result depends on the drawings alone,
    not on the order or the number of the calls. To undo a drawing is to fine-tune without it.

    Parameters
    ----------
    network : Network
        From 28x28 images to ten probabilities. It is changed in place.
    replay : array_like of shape (N, 28, 28), optional
        Digits to replay, as they are and distorted: uint8 from 0 to 255, or float from 0 to 1. By default the training
        digits that come with the package, so that the result is the same for everybody.

    Attributes
    ----------
    initial_parameters : dict of str to ndarray
        Copies of the network's parameters, made by the constructor.
    """

    def __init__(self, network: Network, replay: ArrayLike | None = None):
        if not isinstance(network, Network):
            raise TypeError(f"network must be a Network, got {network!r}")
        if network.input_shape != (1, 28, 28) or network.shapes[-1] != (10,):
            raise ValueError(
                f"expected a network from (1, 28, 28) to (10,), got {network.input_shape} to {network.shapes[-1]}"
            )
        self.network = network
        self.initial_parameters = {name: array.copy() for name, array in network.parameters().items()}
        replay = load_digits().train_images if replay is None else check_images("replay", replay, 3, "(N, 28, 28)")
        digits = network.to_input(replay)
        if len(digits) == 0:
            raise ValueError("there is nothing to replay: expected at least one image")
        self.distort, rng = Distortion(), np.random.default_rng(0)
        copies = [self.distort(digits[:, 0], rng)[:, np.newaxis] for _ in range(DISTORTED_COPIES)]
        self.replay_x = np.concatenate([digits, *copies])
        self.replay_t = network.predict(self.replay_x)
        if not (self.replay_t >= 0).all() or not np.allclose(self.replay_t.sum(axis=1), 1, atol=1e-3):
            raise ValueError(
                "expected a network that predicts probabilities, from 0 to 1 with the sum 1; "
                f"its last layer is {network[-1]!r}, expected Softmax()"
            )

    def reset(self) -> None:
        """Restore the initial parameters of the network, to the bit."""
        for name, array in self.network.parameters().items():
            array[...] = self.initial_parameters[name]

    def fine_tune(self, images: ArrayLike, labels: ArrayLike, *, steps: int = STEPS, seed: int = 0) -> None:
        """Reset the network, and train it on these drawings.

        Parameters
        ----------
        images : array_like of shape (N, 28, 28)
            All drawings so far, as `cnnlib.rasterize` returns them. Without any, the network is only reset.
        labels : array_like of shape (N,)
            The digits that they are meant to be, 0 to 9.
        steps : int
            Steps of gradient descent, each on `DRAWINGS_PER_STEP` drawings, distorted anew, and `REPLAYED_PER_STEP`
            replayed digits.
        seed : int
            Decides which ones, and how they are distorted.
        """
        network, steps, seed = self.network, check_positive_int("steps", steps), check_int("seed", seed, minimum=0)
        images, labels = as_drawings(images), as_array("labels", labels)
        if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
            raise TypeError(
                f"labels must be whole numbers from 0 to 9, of shape (N,); got {labels.dtype} of shape {labels.shape}"
            )
        t = one_hot(labels.astype(int), 10, network.dtype)
        if len(images) != len(t):
            raise ValueError(f"expected as many labels as images, got {len(t)} and {len(images)}")
        x = network.to_input(images) if len(images) else None
        self.reset()
        if x is None:
            return
        rng, loss = np.random.default_rng(seed), CategoricalCrossEntropy()
        optimizer = SGD(LEARNING_RATE, MOMENTUM)
        fast = network.fused(needs_dx=False)  # shares the parameters
        with one_blas_thread():
            for _ in range(steps):
                # Fewer drawings than that are repeated.
                drawn = np.resize(rng.permutation(len(x)), DRAWINGS_PER_STEP)
                replayed = rng.integers(len(self.replay_x), size=REPLAYED_PER_STEP)
                distorted = self.distort(x[drawn, 0], rng)[:, np.newaxis]
                x_step = np.concatenate([distorted, self.replay_x[replayed]])
                t_step = np.concatenate([t[drawn], self.replay_t[replayed]])
                fast.train_step(x_step, t_step, optimizer, loss)
        mix = max(MIN_MIX, 1 - 1 / len(x))  # many drawings say more than few
        for name, array in network.parameters().items():
            initial = self.initial_parameters[name]
            array[...] = initial + mix * (array - initial)


def as_drawings(images: ArrayLike) -> np.ndarray:
    """Return images as an array (N, 28, 28), also if there are none; TypeError or ValueError if they are no images."""
    if isinstance(images, list | tuple) and not images:
        return np.zeros((0, 28, 28))
    return check_images("images", images, 3, "(N, 28, 28)")
