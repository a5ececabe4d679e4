"""Classes whose bases or type arguments refer back to them arrive, whichever a task reaches first."""

import typing
from typing import Generic, TypeVar

from pymonik import LocalCluster, Pymonik, task


class Base:
    kinds: typing.ClassVar = []

    def __init_subclass__(cls, tag=None, **more):
        super().__init_subclass__(**more)
        cls.tag = tag
        Base.kinds.append(cls)


class First(Base, tag="one"):
    pass


class Second(Base, tag="two"):
    pass


class Item:
    store: typing.ClassVar = None


T = TypeVar("T", bound=Item)


class Store(Generic[T]):
    pass


class Items(Store[Item]):
    pass


Item.store = Items


class Registry(type):
    made: typing.ClassVar = {}

    def __init__(cls, name, bases, names):
        super().__init__(name, bases, names)
        Registry.made[name] = cls


class Plugin(metaclass=Registry):
    pass


class Zip(Plugin):
    pass


@task
def by_name():
    assert Second.tag == "two" and Base.kinds == [First, Second] and Base.kinds[0] is First
    assert Items.__orig_bases__ == (Store[Item],) and Item.store is Items
    assert Registry.made == {"Plugin": Plugin, "Zip": Zip}
    type("Third", (Base,), {}, tag="three")
    assert Base.kinds.pop().tag == "three"
    return Zip


@task
def only_the_last():
    return Second.kinds, Items.__bases__, Zip.__name__


@task
def kind_of(value):
    return type(value)


if __name__ == "__main__":
    with LocalCluster(workers=1) as cluster, Pymonik(cluster):
        assert only_the_last.invoke().result(60) == (Base.kinds, (Store,), "Zip")
    with Pymonik():
        for value in (Second(), Items(), Zip(), First(), Item()):
            assert kind_of.invoke(value).result(60) is type(value)
        assert by_name.invoke().result(60) is Zip
    for kind in (Zip, Second, Items, Item, Base):
        with Pymonik():
            assert kind_of.invoke(kind()).result(60) is kind
