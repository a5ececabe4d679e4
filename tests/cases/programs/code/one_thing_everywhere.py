"""Sentinels, context variables, type variables and wrapped functions are one thing in a task too."""

import contextvars
import dataclasses
import functools
import inspect
import typing
from dataclasses import MISSING as NO_DEFAULT
from inspect import Parameter
from typing import NewType, ParamSpec, TypeVar

from pymonik import Pymonik, task

MISSING = object()
Name = NewType("Name", str)
T = TypeVar("T")
P = ParamSpec("P")
depth = contextvars.ContextVar("depth", default=3)
bare = contextvars.ContextVar("bare")


class _Unset:
    pass


UNSET = _Unset()


@dataclasses.dataclass
class Record:
    number: int


class Holder(typing.Generic[T]):
    default = MISSING
    unset = UNSET

    def get(self, value: Name = MISSING) -> T:
        return value is MISSING and self.default is MISSING and self.unset is UNSET


@functools.singledispatch
def kind(value):
    return "any"


@kind.register
def _(value: int):
    return "int"


@kind.register(str)
def of_text(value):
    return "text"


class Formatter:
    @functools.singledispatchmethod
    def format(self, value):
        return repr(value)

    @format.register
    def _(self, value: int):
        return f"#{value}"

    @functools.cached_property
    def width(self):
        return 7

    @functools.lru_cache(maxsize=8)
    def twice(self, n):
        return 2 * n


@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@task
@functools.lru_cache
def cached_task(n):
    return fib(n)


def counter():
    n = 0

    def up():
        nonlocal n
        n += 1
        return n

    def now():
        return n

    return up, now


up, now = counter()


@task
def check(missing, unset, holder, formatter, pair):
    assert missing is MISSING and unset is UNSET and holder.get()
    assert dataclasses.MISSING is pair[0] is NO_DEFAULT
    assert inspect.Parameter.empty is pair[1] is Parameter.empty
    assert dataclasses.fields(Record)[0].default is NO_DEFAULT
    assert typing.get_args(Holder.__orig_bases__[0]) == (T,) and Holder[int]
    assert Name("x") == "x" and depth.get() == 3
    token = depth.set(4)
    assert depth.get() == 4
    depth.reset(token)
    assert bare.get("none") == "none"
    assert [kind(1), kind("x"), kind(2.0), of_text("x")] == ["int", "text", "any", "text"]
    kind.register(float)(lambda value: "float")
    assert kind(2.0) == "float" and kind.registry[int](1) == "int"
    assert formatter.format(3) == "#3" and formatter.format("a") == "'a'"
    assert formatter.width == 7 and formatter.twice(4) == 8
    assert fib(30) == 832040 and fib.cache_info().hits
    before = now()
    assert up() == before + 1 == now()
    return missing, unset, Name


if __name__ == "__main__":
    with Pymonik():
        given = (MISSING, UNSET, Holder(), Formatter(), (dataclasses.MISSING, inspect.Parameter.empty))
        missing, unset, name = check.invoke(*given).result(60)
        assert missing is MISSING and unset is UNSET and name is Name
        assert cached_task.invoke(10).result(60) == 55
