"""How many threads numerical libraries start in an executor: its share of the processors.

Each of them would start one thread for each processor, in every executor: then as many threads
fight for each processor as there are executors. Variables tell them, which they read when they are
imported, so the variables must be there when the executor starts. What the user has set stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.launch.hardware import processors

if TYPE_CHECKING:
    from collections.abc import Mapping

_GENERAL = "OMP_NUM_THREADS"
_FOLLOWING = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")  # where it is not set
_OTHERS = ("VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def thread_limits(given: Mapping[str, str], executors: int) -> dict[str, str]:
    """Variables for an executor, beside those that it is given.

    Args:
        given: The variables that the executor is started with.
        executors: How many share the processors.
    """
    # A user who sets OMP_NUM_THREADS means these libraries too, which fall back to it.
    names = (*_OTHERS,) if _GENERAL in given else (_GENERAL, *_FOLLOWING, *_OTHERS)
    share = str(max(1, processors() // max(executors, 1)))
    return {name: share for name in names if name not in given}
