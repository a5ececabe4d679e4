"""A namespace package that is spread over folders with odd names is one package in tasks."""

import sys

from pymonik import Pymonik, task


@task
def both():
    from place.tools import first, zweites

    return first.first() + zweites.zweites()


if __name__ == "__main__":
    with Pymonik():
        sys.path[:0] = ["lib one", "lib zwei"]
        assert both.invoke().result(60) == 3
