"""Ready-made networks for 28x28 images and ten classes, one of them trained."""

from importlib import resources

import numpy as np

from cnnlib.checks import check_rng
from cnnlib.layers.activations import ReLU, Softmax
from cnnlib.layers.convolution import Convolutional
from cnnlib.layers.dense import Dense
from cnnlib.layers.flatten import Flatten
from cnnlib.layers.pooling import MaxPooling
from cnnlib.network import Network


def lenet5(rng: np.random.Generator | None = None) -> Network:
    """Return a new LeNet-5 for 28x28 images and ten classes, of 61,706 parameters.

    The layers of LeCun et al. (1998), with the parts that are usual today: ReLU for tanh, max pooling for trainable
    subsampling, every filter of the second convolution connected to every map, and softmax at the end.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner (1998), "Gradient-based learning applied to document recognition".
    """
    rng = np.random.default_rng() if rng is None else check_rng(rng)
    return Network(
        [
            Convolutional(1, 6, 5, padding="same", rng=rng),
            ReLU(),
            MaxPooling(2),
            Convolutional(6, 16, 5, rng=rng),
            ReLU(),
            MaxPooling(2),
            Flatten(),
            Dense(400, 120, rng=rng),
            ReLU(),
            Dense(120, 84, rng=rng),
            ReLU(),
            Dense(84, 10, rng=rng),
            Softmax(),
        ],
        input_shape=(1, 28, 28),
    )


def dense_only(rng: np.random.Generator | None = None) -> Network:
    """Return a new network without convolutions, of 61,671 parameters: nearly as many as `lenet5`."""
    rng = np.random.default_rng() if rng is None else check_rng(rng)
    return Network(
        [
            Flatten(),
            Dense(784, 76, rng=rng),
            ReLU(),
            Dense(76, 23, rng=rng),
            ReLU(),
            Dense(23, 10, rng=rng),
            Softmax(),
        ],
        input_shape=(1, 28, 28),
    )


ARCHITECTURES = {"lenet5": lenet5, "dense": dense_only}


def load_pretrained() -> Network:
    """Return the LeNet-5 that comes with the package, trained on MNIST: see the model card, `resources/lenet5.md`."""
    with resources.as_file(resources.files("cnnlib") / "resources" / "lenet5.npz") as path:
        return Network.load(path)
