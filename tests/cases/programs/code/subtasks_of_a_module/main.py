"""Subtasks of a module's tasks find that module in any executor, on a cluster that shares nothing."""

import squares
from squares import Node

from pymonik import LocalCluster, Pymonik

if __name__ == "__main__":
    with LocalCluster(workers=3, isolated=True) as cluster, Pymonik(cluster):
        for n in range(5, 9):
            assert squares.fan.invoke(n).result(60) == [x * x for x in range(n)]
        node = squares.build.invoke(3).result(60)
        assert type(node) is Node and node.depth() == 3
