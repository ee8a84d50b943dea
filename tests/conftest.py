"""What every test needs: the same conditions on every machine."""

import os

# Before NumPy and Matplotlib are imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # pytest-xdist already keeps the cores busy
os.environ["MPLBACKEND"] = "agg"
os.environ["TQDM_DISABLE"] = "1"

import hypothesis
import matplotlib.pyplot as plt
import pytest

hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")
