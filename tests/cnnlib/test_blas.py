"""Whatever the library computes for long, it computes with one BLAS thread, and leaves the others as it found them."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import cnnlib
from cnnlib.blas import blas_threads
from cnnlib.digits.fine_tuning import FineTuner


class ThreadCount(cnnlib.Layer):
    """Notes how many threads there are in each forward pass."""

    def __init__(self):
        self.seen = []

    def forward(self, x):
        self.seen.append(blas_threads())
        return x

    def backward(self, dy):
        return dy


@pytest.fixture
def network():
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != 2:
            pytest.skip("this BLAS library has one thread only")
        layers = [ThreadCount(), cnnlib.Flatten(), cnnlib.Dense(784, 10), cnnlib.Softmax()]
        yield cnnlib.Network(layers, input_shape=(1, 28, 28))
        assert blas_threads() == 2


X, T = np.zeros((300, 28, 28), np.uint8), np.arange(300) % 10
WORK = {
    "train": lambda network: network.train(X, T, validation=(X[:5], T[:5]), progress=False),
    "predict several batches": lambda network: network.predict(X),
    "predict one batch": lambda network: network.predict(X[:5]),
    "evaluate": lambda network: network.evaluate(X, T),
    "fine-tune": lambda network: FineTuner(network, X[:5]).fine_tune(X[:2], T[:2], steps=2),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_one_thread(network, work):
    work(network)
    assert set(network[0].seen) == {1}
