"""A plug-in that the program has imported is registered in tasks, which do not name it."""

import extra
import kinds
from pymonik import Pymonik, task


@task
def run(name, text):
    return kinds.KNOWN[name](text)


if __name__ == "__main__":
    with Pymonik():
        assert run.invoke("shout", "a").result(60) == "A"
