"""Subtasks have the modules and the settings of the program, in whichever executor they run."""

import low
import work

from pymonik import Pymonik

low.FACTOR = 10
with Pymonik():
    assert work.fan.invoke(30).get(timeout=60) == [10 * n * n for n in range(30)]
    node = work.build.invoke(4).get(timeout=60)
    assert type(node) is work.Node
    assert node.depth() == 4
