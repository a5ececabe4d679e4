"""A program and a task may keep more large arrays than a process may have files open."""

import resource

import numpy as np

from pymonik import Pymonik, task

COUNT, LIMIT = 700, 256


@task
def make(number):
    return np.full(20_000, number)


@task
def add_up(arrays):
    return sum(int(one[-1]) for one in arrays)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, hard))
    with Pymonik() as client:
        handles = make.map_invoke(range(COUNT), chunk_size=50)
        arrays = handles.result(100)
        assert [int(one[0]) for one in arrays] == list(range(COUNT))
        stored = client.put_many(arrays)
        assert add_up.invoke(list(stored)).result(100) == sum(range(COUNT))
        assert sum(int(one.result(100)[0]) for one in stored) == sum(range(COUNT))
