"""What the program sets in its modules has that value in tasks; what tasks keep there stays."""

import limits
import price
from pymonik import Pymonik, task


@task
def of(n):
    return price.of(n)


if __name__ == "__main__":
    limits.RATE = 3
    limits.start()
    with Pymonik():
        value, early, at_import, names, seen = of.invoke(2).result(60)
        assert (value, early, at_import, names) == (6, 1, 100, ["first"]), (value, early, at_import)
        limits.NAMES.append("second")
        limits.RATE = 4
        handles = []
        for rate in (5, 6, 7):
            limits.RATE = rate
            handles.append(of.invoke(1))
        values = [handle.result(60) for handle in handles]
        assert [value[0] for value in values] == [5, 6, 7], values
        assert values[0][3] == ["first", "second"], values
