"""A package that was installed into a folder beside the program is there in tasks."""

import sys

sys.path.insert(0, "vendor")
import boxes
from pymonik import Pymonik, task


@task
def count(things):
    return boxes.count(things)


if __name__ == "__main__":
    with Pymonik():
        assert count.invoke([1, 2]).result(60) == 2
