"""What a script looks up by texts is there: in `globals()`, by `eval`, as attributes of its module."""

import importlib
import sys

from pymonik import Pymonik, task

LIMIT = 7
LARGE = list(range(50_000))


def double(value):
    return 2 * value


def _do_up(value):
    return value + LIMIT


class Shape:
    def __init__(self, sides):
        self.sides = sides

    def grow(self, name):
        return globals()["_do_" + name](self.sides)


@task
def by_globals(name, value):
    return globals()[name](value)


@task
def by_eval(text):
    return eval(text)


@task
def by_exec(text):
    made = {}
    exec(text, globals(), made)
    return made


@task
def by_module(name, value):
    return getattr(sys.modules[__name__], name)(value)


@task
def by_import(name, value):
    import __main__

    other = importlib.import_module("__main__")
    return getattr(__main__, name)(value), getattr(other, name)(value)


@task
def by_method(value):
    return Shape(value).grow("up")


@task
def large():
    return len(globals()["LARGE"])


if __name__ == "__main__":
    with Pymonik() as pk:
        assert by_globals.invoke("double", 2).result(60) == 4
        assert by_eval.invoke("Shape(double(3)).sides + LIMIT").result(60) == 13
        assert by_exec.invoke("n = double(3)").result(60) == {"n": 6}
        assert by_module.invoke("double", 3).result(60) == 6
        assert by_import.invoke("double", 3).result(60) == (6, 6)
        assert by_method.invoke(1).result(60) == 8
        assert large.invoke().result(60) == 50_000
        LIMIT = 8
        assert by_eval.invoke("LIMIT").result(60) == 8
        assert by_method.invoke(1).result(60) == 9

        def triple(value):
            return 3 * value

        assert by_globals.invoke("triple", 2).result(60) == 6
