"""What is one object in a program is one object in a task: in a call, in a map, and between names."""

import numpy as np

from pymonik import Pymonik, task

TABLE = {"a": [1]}
ALIAS = TABLE
ROW = TABLE["a"]


def make():
    count = 0

    def up():
        nonlocal count
        count += 1
        return count

    return up, lambda: count


up, count = make()


@task
def names():
    ROW.append(2)
    before = count()
    assert up() == before + 1 == count()
    return TABLE is ALIAS, TABLE["a"] is ROW


@task
def arguments(config, parts, *, again):
    parts["config"]["changed"] = True
    return config is parts["config"] is again[0], "changed" in config


@task
def inner(rows, table, pair, number):
    rows.append(number)
    return rows is table["rows"], table["weights"] is pair[0], pair[1] is pair[2], rows[-1]


if __name__ == "__main__":
    weights = np.arange(100_000)
    table = {"weights": weights, "rows": [1], "name": "x"}
    mark = [0]
    pair = [weights, mark, mark, "y" * 20_000]
    config = {str(number): "x" * 100 for number in range(1000)}
    with Pymonik():
        assert names.invoke().result(60) == (True, True)
        assert arguments.invoke(config, {"config": config}, again=[config]).result(60) == (True, True)
        items = [(config, {"config": config})] * 3
        values = arguments.map_invoke(items, again=[config], chunk_size=3).result(60)
        assert values == [(True, True)] * 3, values
        items = [(table["rows"], table, pair, number) for number in range(4)]
        for size in (1, 4):
            values = inner.map_invoke(items, chunk_size=size).result(60)
            assert values == [(True, True, True, number) for number in range(4)], values
        again = [{"rows": table["rows"], "table": table, "number": 5}] * 2
        values = inner.map_invoke(again, pair=pair).result(60)
        assert values == [(True, True, True, 5)] * 2, values
