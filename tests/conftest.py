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
    with plt.rc_context():  # a style that a test has chosen ends with it
        yield
    plt.close("all")


def pytest_collection_modifyitems(items):
    """Limits of time hold on a quiet machine: `make test-all` asks for them, by CNNLIB_TIMES=1."""
    if os.environ.get("CNNLIB_TIMES") != "1":
        for item in items:
            if item.get_closest_marker("timed"):
                item.add_marker(pytest.mark.skip(reason="a limit of time: CNNLIB_TIMES=1 asks for it"))
