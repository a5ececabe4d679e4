"""Classes, enumerations and functions of all kinds are in a task what they are in the program."""

# ruff: noqa: B019, C408, PT018, RUF012, RUF023 - programs of users are written like that
import abc
import collections
import contextlib
import dataclasses
import datetime
import enum
import functools
import inspect
import itertools
import logging
import sys
import threading
import types
import typing
import weakref
from typing import Generic, TypeVar

from pymonik import LocalCluster, Pymonik, task

K = TypeVar("K")
V = TypeVar("V")
_lock = threading.Lock()
_rlock = threading.RLock()
_local = threading.local()
_cond = threading.Condition()
_event = threading.Event()
log = logging.getLogger("x")


class Cache(Generic[K, V]):
    store: "dict[K, V]" = {}
    _lock = threading.Lock()

    def put(self, k: K, v: V) -> "Cache[K, V]":
        with self._lock:
            self.store[k] = v
        return self


class Date(datetime.date, enum.Enum):
    A = 2020, 1, 1
    B = 2021, 1, 1


class Perm(enum.IntFlag):
    R = 1
    W = 2
    X = 4
    ALL = R | W | X


class Code(int, enum.Enum):
    def __new__(cls, v, text):
        o = int.__new__(cls, v)
        o._value_ = v
        o.text = text
        return o

    OK = 200, "fine"
    BAD = 400, "bad"


class Fl(float, enum.Enum):
    A = 1.5


class S(str, enum.Enum):
    A = "a"
    B = "b"

    @classmethod
    def parse(cls, t):
        return cls(t)


class WithNonMember(enum.Enum):
    _ignore_ = ["x"]
    A = 1

    @staticmethod
    def helper():
        return 5

    def __str__(self):
        return "str-" + self.name


class Weird(enum.Enum):
    NAN = float("nan")
    LIST = [1, 2]
    FN = functools.partial(max, 3)


calls = []


class Desc:
    def __set_name__(self, owner, name):
        self.name = name
        calls.append(name)

    def __get__(self, o, t=None):
        return self if o is None else f"got {self.name}"


class UsesDesc:
    d = Desc()


class Meta(abc.ABCMeta):
    def __call__(cls, *a, **k):
        i = super().__call__(*a, **k)
        i.stamped = True
        return i


class A(metaclass=Meta):
    @abc.abstractmethod
    def f(self): ...


class B(A):
    def f(self):
        return __class__.__name__


class Singleton:
    _instance = None

    def __new__(cls):
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance


class Prop:
    @property
    def x(self):
        return self._x

    @x.setter
    def x(self, v):
        self._x = v

    @functools.cached_property
    def slow(self):
        return 9

    @functools.lru_cache
    def m(self):
        return 4

    @contextlib.contextmanager
    def ctx(self):
        yield 8

    def __class_getitem__(cls, i):
        return i


class Outer:
    class Inner:
        class Deep:
            v = 3

    def make(self):
        return self.Inner.Deep()


@dataclasses.dataclass(frozen=True, slots=True)
class Sl:
    a: int
    b: "Sl | None" = None


@dataclasses.dataclass
class Sub(typing.Generic[K]):
    v: K
    f: list = dataclasses.field(default_factory=list)


class Slots:
    __slots__ = ("a", "__private")

    def __init__(self):
        self.a = 1
        self.__private = 2

    def p(self):
        return self.__private


class WithDel:
    alive = weakref.WeakSet()

    def __init__(self):
        WithDel.alive.add(self)


NT = collections.namedtuple("NT", "a b")
MyList = types.new_class("MyList", (list,), {}, lambda ns: ns.update(extra=5))
Dyn = type("Dyn", (), {"v": 1, "m": lambda self: self.v})


def gen_factory():
    class Loc:
        reg = []

        def __init_subclass__(cls):
            Loc.reg.append(cls.__name__)

    class L2(Loc):
        pass

    return Loc, L2


Loc, L2 = gen_factory()


@functools.wraps(len)
def wrapped(x):
    return len(x)


@functools.total_ordering
class Ord:
    def __init__(self, n):
        self.n = n

    def __lt__(self, o):
        return self.n < o.n

    def __eq__(self, o):
        return self.n == o.n


Alias = typing.Union[int, "Outer"]


def annotated(x: "Outer", y: typing.Optional["Sl"] = None) -> "list[Sub[int]]":
    pass


partial = functools.partial(wrapped, [1, 2])
counter = itertools.count(5)


@task
def check(vals):
    with _lock, _rlock, _cond:
        pass
    _local.x = 1
    _event.set()
    log.info("x")
    assert Cache().put(1, 2).store == {1: 2}
    assert Cache[int, str]
    assert Date.A.year == 2020 and vals["date"] is Date.A
    assert Perm.ALL == 7 and (Perm.R | Perm.W) in Perm.ALL
    assert Code.OK.text == "fine" and Code(400) is Code.BAD and Code.OK + 1 == 201
    assert (
        Fl.A + 1 == 2.5
        and S("a") is S.A
        and S.parse("b") is S.B
        and S.A == "a"
        and f"{S.A.value}" == "a"
    )
    assert str(WithNonMember.A) == "str-A" and WithNonMember.helper() == 5
    assert vals["nan"] is Weird.NAN and Weird.LIST.value == [1, 2]
    assert UsesDesc().d == "got d" and calls == ["d"], calls
    b = B()
    assert b.stamped and b.f() == "B"
    try:
        A()
    except TypeError:
        pass
    else:
        raise AssertionError
    assert Singleton() is Singleton()
    p = Prop()
    p.x = 3
    assert p.x == 3 and p.slow == 9 and p.m() == 4 and Prop[3] == 3
    with p.ctx() as c:
        assert c == 8
    assert Outer().make().v == 3 and type(vals["deep"]) is Outer.Inner.Deep
    assert Sl(1, Sl(2)).b.a == 2 and vals["sl"] == Sl(1)
    assert typing.get_type_hints(annotated)["x"] is Outer, typing.get_type_hints(annotated)
    assert typing.get_type_hints(Sl)["b"] == Sl | None
    assert Slots().p() == 2 and not hasattr(Slots(), "__dict__")
    w = WithDel()
    assert w in WithDel.alive
    assert vals["nt"].b == 2 and type(vals["nt"]) is NT
    assert MyList([1]).extra == 5 and Dyn().m() == 1
    assert L2.__mro__[1] is Loc and Loc.reg[:1] == ["L2"]

    class L3(Loc):
        pass

    assert Loc.reg[-1] == "L3"
    assert wrapped([1]) == 1 and partial() == 2 and Ord(1) <= Ord(2)
    assert inspect.getsource(annotated).startswith("def annotated"), inspect.getsource(annotated)
    assert next(counter) >= 5
    assert inspect.signature(check.func).parameters
    assert check.func.__module__ == "__main__" and sys.modules["__main__"].Outer is Outer
    return vals


if __name__ == "__main__":
    vals = dict(
        date=Date.A,
        nan=Weird.NAN,
        deep=Outer().make(),
        sl=Sl(1),
        nt=NT(1, 2),
        perm=Perm.R | Perm.X,
        code=Code.OK,
        dyn=Dyn(),
        ml=MyList([1]),
        sub=Sub[int](4),
        l2=L2(),
        ord=Ord(3),
        prop=Prop(),
        slots=Slots(),
    )
    with LocalCluster(workers=1) as c, Pymonik(c):
        for _ in range(2):
            back = check.invoke(vals).result(60)
        for k, v in vals.items():
            assert type(back[k]) is type(v), k
        assert back["date"] is Date.A and back["nan"] is Weird.NAN and back["code"] is Code.OK
        assert Loc.reg == ["L2"] and calls == ["d"] and Cache.store == {}
