"""A class arrives without running again what its class statement ran: hooks, metaclasses, registries."""

import weakref

from pymonik import Pymonik, task

CREATED = []


class Meta(type):
    registry: dict = {}

    def __new__(mcs, name, bases, names, **options):
        cls = super().__new__(mcs, name, bases, names)
        CREATED.append(name)
        mcs.registry[name] = cls
        return cls

    def __init__(cls, name, bases, names, **options):
        super().__init__(name, bases, names)


class Plugin:
    known: list = []
    living = weakref.WeakValueDictionary()

    def __init_subclass__(cls, *, key, **options):
        super().__init_subclass__(**options)
        cls.key = key
        Plugin.known.append(key)


class One(Plugin, key="one"):
    pass


class Two(One, key="two"):
    pass


class Shape(metaclass=Meta):
    pass


class Square(Shape, side=1):
    pass


@task
def look(two, square):
    assert Plugin.known == ["one", "two"], Plugin.known
    assert (two.key, type(two).key, One.key) == ("two", "two", "one")
    assert sorted(Meta.registry) == ["Shape", "Square"] and Meta.registry["Square"] is type(square)
    assert CREATED == ["Shape", "Square"], CREATED
    Plugin.living[1] = two
    return two, square


if __name__ == "__main__":
    with Pymonik():
        two, square = look.invoke(Two(), Square()).result(60)
        assert type(two) is Two and type(square) is Square
        assert Plugin.known == ["one", "two"] and CREATED == ["Shape", "Square"]
        assert not Plugin.living
