"""Variables that helpers set between calls that follow at once are in tasks, in a program of many modules."""

import model.parts.part_3
import model.setup
from model import work
from pymonik import Pymonik, task


@task
def values():
    return work.values()


if __name__ == "__main__":
    with Pymonik():
        assert values.invoke().result(60) == (0, 0, 0, [], 0), values.invoke().result(60)
        handles = []
        for number in range(1, 300):
            model.setup.by_attribute(number)
            model.setup.by_global(number)
            model.setup.by_text(SEED=number)
            model.setup.in_place(number)
            model.parts.part_3.SIZE = number
            handles.append(values.invoke())
        for number, handle in enumerate(handles, 1):
            found = handle.result(60)
            assert found == (number, number, number, [number], number), (number, found)
