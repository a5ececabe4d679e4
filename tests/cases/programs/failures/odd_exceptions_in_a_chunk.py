"""However odd the exception of an item is, it comes home, its neighbours have values, the session lives."""

import dataclasses
import os
import sys
import time

from pymonik import LocalCluster, Pymonik, task
from pymonik.errors import TaskFailedError


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    number: int


class NoText(Exception):
    def __str__(self):
        raise KeyboardInterrupt("in str")

    __repr__ = __str__


class EndsInRepr(BaseException):
    def __repr__(self):
        raise SystemExit(9)


class NoClass(Exception):
    @property
    def __class__(self):
        raise ValueError("no class")


class NoAttributes(Exception):
    def __getattribute__(self, name):
        raise RuntimeError(name)


class NoDict(Exception):
    @property
    def __dict__(self):
        raise ValueError("no dict")


class NoArguments(Exception):
    @property
    def args(self):
        raise ValueError("no args")


class NoReduce(Exception):
    def __reduce_ex__(self, protocol):
        sys.exit(3)


class Falsy(Exception):
    def __bool__(self):
        raise KeyboardInterrupt("in bool")


class WrongNotes(Exception):
    __notes__ = 5


class Slow(Exception):
    def __repr__(self):
        time.sleep(3)
        return "slow"

    __str__ = __repr__


class Endless(Exception):
    def __str__(self):
        return str(self)


class Picky(Exception):
    def __new__(cls, *args):
        if args != ("picky",):
            raise RuntimeError("not made")
        return super().__new__(cls, *args)


class RaisingReprOfClass(type):
    def __repr__(cls):
        raise ValueError("class")


class OfOddClass(Exception, metaclass=RaisingReprOfClass):
    pass


class NoRepr:
    def __repr__(self):
        os.environ["LEFT"] = "1"
        raise SystemExit(4)


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return ValueError(value)


def chained():
    before = None
    for number in range(3_000):
        error = ValueError(number)
        error.__cause__, before = before, error
    return before


def own_context():
    error = ValueError("context")
    error.__context__ = error
    return error


def own_argument():
    error = ValueError()
    error.args = (error, Falsy(1))
    return error


MAKERS = {
    "frozen": lambda: Frozen(1), "no text": lambda: NoText(1), "no class": lambda: NoClass(1),
    "no attributes": lambda: NoAttributes(1), "no dict": lambda: NoDict(1),
    "no arguments": lambda: NoArguments(1), "no reduce": lambda: NoReduce(1),
    "falsy": lambda: Falsy(1), "notes": lambda: WrongNotes(1), "slow": lambda: Slow(1),
    "endless": lambda: Endless(1), "picky": lambda: Picky("picky"), "odd": lambda: OfOddClass(1),
    "surrogate": lambda: ValueError("\ud800"), "control": lambda: ValueError("a\0b\x1b[31m"),
    "huge": lambda: ValueError("x" * 30_000_000), "large": lambda: ValueError(b"x" * 3_000_000),
    "deep": deep, "chain": chained, "context": own_context, "argument": own_argument,
    "nameless": lambda: type("", (Exception,), {})(1),
    "unsendable": lambda: ValueError(sys, (x for x in ()), NoRepr(), open(os.devnull)),
}  # fmt: skip
ENDS = {
    "exit": SystemExit(0), "interrupt": KeyboardInterrupt(), "generator": GeneratorExit(),
    "in repr": EndsInRepr(1),
}  # fmt: skip


@task(max_retries=0)
def run(number, kind):
    if kind in ENDS:
        raise ENDS[kind]
    if kind:
        odd, many, half = NoRepr(), list(range(1_000_000)), "\ud800" * 1_000  # noqa: F841
        raise MAKERS[kind]()
    return number


def error_of(handle):
    try:
        handle.result(80)
    except BaseException as error:  # noqa: BLE001
        return type(error)
    return None


if __name__ == "__main__":
    kinds = [*MAKERS, *ENDS]
    with LocalCluster(workers=1) as cluster, Pymonik(cluster):
        items = [(number, "" if number % 2 else kinds[number // 2]) for number in range(2 * len(kinds))]
        handles = run.map_invoke(items, chunk_size=len(items))
        for (number, kind), handle in zip(items, handles, strict=True):
            if not kind:
                assert handle.result(80) == number, number
                continue
            wanted = TaskFailedError if kind in ENDS else type(MAKERS[kind]())
            found = error_of(handle)
            assert found is wanted or kind == "nameless", (kind, found)
        for kind in kinds:
            found = error_of(run.invoke(0, kind))
            wanted = TaskFailedError if kind in ENDS else type(MAKERS[kind]())
            assert found is wanted or kind == "nameless", (kind, found)
        assert run.invoke(1, "").result(60) == 1
