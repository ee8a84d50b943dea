"""How many threads NumPy's matrix products use.

NumPy leaves its matrix products to a BLAS library, which by default gives every product to all cores. The products of a
small network take microseconds, and each ends with threads that wait for one another. The threads of OpenBLAS, which
comes with NumPy, wait in an empty loop. To the operating system they look busy, so it leaves them their core, while the
thread that they wait for stands in a queue behind other programs. On two cores, beside four or more busy programs, the
product of two matrices of 256x256 numbers took

============  ===============  ================================
BLAS threads  median duration  processor time, mean per product
============  ===============  ================================
1             0.56 ms          0.6 ms
2             144 ms           16 ms
============  ===============  ================================

and with two threads, 19 of 20 samples that a profiler took in OpenBLAS lay in those loops. So the library uses one
thread: its speed does not depend on what else the machine does, and neither do the last bits of its sums. More cores
are better used by several processes, see `cnnlib.data_parallel`, or by threads that have whole batches to themselves,
see `cnnlib.network`.
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
