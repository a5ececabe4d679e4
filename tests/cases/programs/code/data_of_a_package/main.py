"""Data files of a package, and those that a module alone names, are where the module looks."""

import alone
from pymonik import Pymonik, task
from shop import stock


@task
def read():
    return stock.of_file(), stock.of_resource(), alone.note()


if __name__ == "__main__":
    with Pymonik():
        assert read.invoke().result(60) == ("pears", "pears", "ripe")
