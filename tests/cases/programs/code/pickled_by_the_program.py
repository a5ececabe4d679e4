"""A task unpickles files that the program wrote, with classes that no code of the task names."""

import enum
import pickle
from collections import namedtuple

from pymonik import Pymonik, task


class Shape:
    def __init__(self, side):
        self.side = side


class Square(Shape):
    __slots__ = ("note",)

    def area(self):
        return self.side**2


class Kind(enum.Enum):
    SMALL = 1


Pair = namedtuple("Pair", "first second")


@task
def read(data):
    square, kind, pair = pickle.loads(data)
    assert pickle.loads(pickle.dumps(square)).area() == square.area()
    return square.area(), kind.name, pair.second, type(pair).__module__


if __name__ == "__main__":
    data = pickle.dumps((Square(3), Kind.SMALL, Pair(1, 2)))
    with Pymonik():
        assert read.invoke(data).result(60) == (9, "SMALL", 2, "__main__")
