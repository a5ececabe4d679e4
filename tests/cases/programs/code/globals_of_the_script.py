"""Functions of a script share its globals in a worker; each call sees them as the program has them."""

import os

from pymonik import LocalCluster, Pymonik, task

LEVEL = 1
SEEN = []
COUNT = 0


@task
def level():
    return LEVEL


@task
def count(item):
    global COUNT
    COUNT += 1
    SEEN.append(item)
    return COUNT, list(SEEN)


@task
def seen():
    return COUNT, list(SEEN), os.getpid()


if __name__ == "__main__":
    with LocalCluster(workers=1) as cluster, Pymonik(cluster):
        values = []
        for LEVEL in (1, 2, 1, 2, 3):
            values.append(level.invoke())
        assert [value.result(60) for value in values] == [1, 2, 1, 2, 3]
        first, second = count.invoke("a").result(60), count.invoke("b").result(60)
        assert (first, second) == ((1, ["a"]), (2, ["a", "b"])), (first, second)
        assert seen.invoke().result(60)[:2] == (2, ["a", "b"])
        SEEN.append("of the program")
        assert seen.invoke().result(60)[:2] == (2, ["of the program"])
