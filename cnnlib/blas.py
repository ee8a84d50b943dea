"""How many threads NumPy's matrix products use.

NumPy leaves its matrix products to a BLAS library, which by default gives every product to all cores. The products of a
small network take microseconds, and each ends with threads that wait for one another. If some other program holds one
of the cores, they wait for a whole turn of that program, thousands of times longer than the product takes. So training
uses one thread: its speed does not depend on what else the machine does, and neither do the last bits of its sums. More
cores are better used by several processes, see `cnnlib.data_parallel`.
"""

import functools
from contextlib import AbstractContextManager


@functools.cache
def _controller():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def blas_threads() -> int:
    """Return how many threads a matrix product may use: what `threadpoolctl` or the environment allows."""
    return max((library["num_threads"] for library in _controller().info()), default=1)


def one_blas_thread() -> AbstractContextManager:
    """Return a context within which every matrix product, in every thread of the program, uses one thread."""
    return _controller().limit(limits=1)
