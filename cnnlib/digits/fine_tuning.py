"""Teach a trained network its user's handwriting, in a moment, and without its forgetting what it knows.

A network that is trained further on a few drawings alone learns them, and unlearns the rest: nothing in those drawings
speaks for it (*catastrophic forgetting*). So each step mixes the drawings with replayed digits, whose targets are not
labels, but what the network itself said before the first lesson. It may change its mind on the drawings, and is asked
to stay the same everywhere else. Both come in random distortions: a few drawings then speak for all that the same hand
might have written, and a few digits for what must not change. At the end the network goes back up to a fifth of the way
to where it came from: that costs little of what it has learned, and brings back much of what it has forgotten.

References
----------
McCloskey and Cohen (1989), "Catastrophic interference in connectionist networks".
Li and Hoiem (2016), "Learning without forgetting".
Wortsman et al. (2022), "Robust fine-tuning of zero-shot models": the way back.
"""

import numpy as np
from numpy.typing import ArrayLike

from cnnlib.digits.augmentation import Distortion
from cnnlib.digits.datasets import load_digits
from cnnlib.losses import CategoricalCrossEntropy, one_hot
from cnnlib.network import Network
from cnnlib.optimizers import SGD
from cnnlib.validation import positive

# Found on drawings of 30 writers, see scripts/measure_drawing.py: more drawings a step learn faster and forget more.
STEPS, RATE, MOMENTUM = 60, 0.005, 0.9
DRAWINGS, REPLAYED = 16, 112  # in each step
COPIES = 3  # distorted ones of each replayed digit, beside itself
KEPT = 0.8  # of what the steps have changed; more, 1 - 1/N, with more than 5 drawings, which say more than few


class Teacher:
    """Trains a network on its user's drawings, always from where it was when the teacher was made.

    Since every lesson starts there, with all the drawings so far, the result depends on the drawings alone, and not on
    the order and number of the lessons; and to take a drawing back is to teach without it.

    Parameters
    ----------
    network : Network
        From 28x28 images to ten probabilities. It is changed in place.
    replay : array_like of shape (N, 28, 28), optional
        What to replay, and distorted copies of it: uint8 from 0 to 255, or float from 0 to 1. By default the training
        digits that come with the package, so that teaching is the same for everybody.

    Attributes
    ----------
    before : dict of str to ndarray
        The parameters as they were.
    """

    def __init__(self, network: Network, replay: ArrayLike | None = None):
        if network.input_shape != (1, 28, 28) or network.shapes[-1] != (10,):
            raise ValueError(
                f"expected a network from (1, 28, 28) to (10,), got {network.input_shape} to {network.shapes[-1]}"
            )
        self.network = network
        self.before = {name: array.copy() for name, array in network.parameters().items()}
        digits = network.prepare(load_digits().train_images if replay is None else replay)
        if len(digits) == 0:
            raise ValueError("there is nothing to replay: expected at least one image")
        self.distort, rng = Distortion(), np.random.default_rng(0)
        copies = [self.distort(digits[:, 0], rng)[:, np.newaxis] for _ in range(COPIES)]
        self.replay = np.concatenate([digits, *copies])
        self.targets = network.predict(self.replay)

    def reset(self) -> None:
        """Give the network the parameters that it had before the first lesson, to the bit."""
        for name, array in self.network.parameters().items():
            array[...] = self.before[name]

    def teach(self, images: ArrayLike, labels: ArrayLike, *, steps: int = STEPS, seed: int = 0) -> None:
        """Reset the network, and train it on these drawings.

        Parameters
        ----------
        images : array_like of shape (N, 28, 28)
            All drawings so far, as `cnnlib.rasterize` returns them. With none, the network is only reset.
        labels : array_like of shape (N,)
            What they are, 0 to 9.
        steps : int
            Steps of gradient descent; each sees `DRAWINGS` drawings, newly distorted, and `REPLAYED` replayed digits.
        seed : int
            Decides which, and how distorted.
        """
        network, steps = self.network, positive("steps", steps)
        images, t = np.asarray(images), one_hot(np.asarray(labels, dtype=int), 10, network.dtype)
        if len(images) != len(t):
            raise ValueError(f"expected as many labels as images, got {len(t)} and {len(images)}")
        x = network.prepare(images) if len(images) else None
        self.reset()
        if x is None:
            return
        rng, optimizer, loss = np.random.default_rng(seed), SGD(RATE, MOMENTUM), CategoricalCrossEntropy()
        fast = network.fused(needs_dx=False)  # of the same parameter arrays
        for _ in range(steps):
            drawn = np.resize(rng.permutation(len(x)), DRAWINGS)  # repeated, if there are fewer
            replayed = rng.integers(len(self.replay), size=REPLAYED)
            batch = np.concatenate([self.distort(x[drawn, 0], rng)[:, np.newaxis], self.replay[replayed]])
            targets = np.concatenate([t[drawn], self.targets[replayed]])
            fast.train_step(batch, targets, optimizer, loss)
        kept = max(KEPT, 1 - 1 / len(x))
        for name, array in network.parameters().items():
            array[...] = self.before[name] + kept * (array - self.before[name])
