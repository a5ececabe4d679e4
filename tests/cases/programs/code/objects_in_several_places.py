"""An object in several names and classes of a script is one object in tasks, whatever changes."""

from pymonik import Pymonik, task

ITEMS = [1]
FIRST = {"items": ITEMS, "n": 1}
SECOND = {"items": ITEMS}


class Store:
    items = ITEMS
    n = 1

    def add(self, item):
        self.items.append(item)


class Shop(Store):
    first = FIRST


@task
def run():
    are_one = all(one is ITEMS for one in (FIRST["items"], SECOND["items"], Store.items))
    return are_one, Shop.first is FIRST, FIRST["n"], Store.n, list(ITEMS)


@task
def add(item):
    Shop().add(item)
    return ITEMS[-1], Store.items is SECOND["items"]


if __name__ == "__main__":
    with Pymonik():
        assert run.invoke().result(60) == (True, True, 1, 1, [1])
        FIRST["n"] = 2
        assert run.invoke().result(60) == (True, True, 2, 1, [1])
        Store.n = 3
        assert run.invoke().result(60) == (True, True, 2, 3, [1])
        ITEMS.append(2)
        assert run.invoke().result(60) == (True, True, 2, 3, [1, 2])
        assert add.invoke("x").result(60) == ("x", True)
        ITEMS = [5]
        assert run.invoke().result(60) == (False, True, 2, 3, [5])
    assert Store.items == [1, 2]
