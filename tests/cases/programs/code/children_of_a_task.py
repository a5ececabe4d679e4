"""Children that a task starts with multiprocessing know the script's functions and classes."""

import multiprocessing
import os

from pymonik import Pymonik, task

FACTOR = 3


class Point:
    def __init__(self, x):
        self.x = x


def scaled(point):
    return Point(point.x * FACTOR), os.getpid()


@task
def spread(method):
    points = [Point(number) for number in range(4)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map(scaled, points, chunksize=1)
    assert all(type(point) is Point and pid != os.getpid() for point, pid in found)
    return [point.x for point, _ in found]


if __name__ == "__main__":
    with Pymonik():
        for method in ("fork", "spawn", "forkserver"):
            assert spread.invoke(method).result(60) == [0, 3, 6, 9], method
