"""Tries an installed pymonik[all]: each way to call, on the embedded cluster."""

import math
from importlib.metadata import entry_points, version

import dask
import joblib

import pymonik.joblib
from pymonik import Executor, Pymonik, task
from pymonik.dask import get

add = task(math.hypot)


def main() -> None:
    """Fails by an assertion."""
    assert version("pymonik") == pymonik.__version__
    assert [one.value for one in entry_points(group="pytest11") if "pymonik" in one.name]
    pymonik.joblib.register()
    with Pymonik(), joblib.parallel_config("pymonik"):
        assert add.invoke(3, 4).get() == 5
        assert add.map_invoke([(3, 4)] * 100).get() == [5] * 100
        assert joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-n) for n in range(20)) == [*range(20)]
        assert dask.delayed(abs)(-3).compute(scheduler=get) == 3
    with Executor() as pool:
        assert list(pool.map(abs, range(-5, 5))) == [abs(n) for n in range(-5, 5)]


main()
