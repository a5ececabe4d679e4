"""Classes with attributes called ``__class__`` or as their metaclass's properties are sent as they are."""

from pymonik import Pymonik, task


class Proxy:
    def __init__(self, target):
        self.target = target

    @property
    def __class__(self):
        return type(self.target)

    def shout(self):
        return super().__repr__()[:1], self.target.upper()


class Meta(type):
    @property
    def table(cls):
        return f"table of {type.__getattribute__(cls, '__qualname__')}"


class Row(metaclass=Meta):
    table = "an attribute of rows"
    __name__ = property(lambda self: "row")


class Odd(Exception):
    @property
    def __class__(self):
        return int

    @property
    def args(self):
        raise ValueError("no arguments")


@task
def look(proxy, row):
    assert isinstance(proxy, str) and type(proxy) is Proxy
    assert proxy.shout() == ("<", "ABC")
    assert Row.table == "table of Row" and row.table == "an attribute of rows"
    assert row.__name__ == "row" and Row.__name__ == "Row"
    return type(proxy).__name__


@task
def fail(number):
    if number == 1:
        raise Odd("odd")
    return number


if __name__ == "__main__":
    with Pymonik():
        assert look.invoke(Proxy("abc"), Row()).result(60) == "Proxy"
        errors = fail.map_invoke(range(3), chunk_size=3).exceptions(60)
        assert [number for number, error in enumerate(errors) if error is None] == [0, 2]
        assert issubclass(type(errors[1]), Exception)
