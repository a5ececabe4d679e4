"""Settings and containers of a module, whatever their kind, are its own in a task, as the script left them."""

import conf
from conf import (
    MISSING, arguments, counts, kind, last, lists, log, options, ordered, restored, size, space,
    table, unset,
)  # fmt: skip
from pymonik import Pymonik, task

NAMES = (
    "MISSING arguments counts kind last lists log options ordered restored size space table"
).split()


@task
def not_the_same():
    return [name for name in NAMES if globals()[name] is not getattr(conf, name)]


@task
def left():
    return (
        options.debug, list(options.names), size.width, space.a, arguments.x, dict(lists),
        list(ordered), list(last), last.maxlen, dict(counts), dict(table), table.tag,
        restored.value,
    )  # fmt: skip


@task
def names_all():
    ones = MISSING, arguments, counts, kind, last, lists, log, options, ordered, restored, size
    return len(ones), type(unset).__name__, table is conf.table, space is conf.space


@task
def width(one):
    return one.width, type(one) is conf.Size


if __name__ == "__main__":
    options.debug, size.width, space.a, arguments.x = True, 2, 3, 4
    options.names.append("x")
    lists["k"].append(1)
    last.append(5)
    ordered["b"] = counts["z"] = table["q"] = 1
    table.tag, restored.value = 7, 9
    with Pymonik():
        assert not_the_same.invoke().result(60) == []
        assert left.invoke().result(60) == (
            True, ["x"], 2, 3, 4, {"k": [1]}, ["a", "b"], [1, 5], 3, {"a": 2, "b": 1, "z": 1},
            {"a": 1, "q": 1}, 7, 9,
        )  # fmt: skip
        assert names_all.invoke().result(60) == (11, "Unset", True, True)
        assert width.invoke(size).result(60) == (2, True)
