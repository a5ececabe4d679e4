"""A package that runs as a module imports its own parts relatively, in tasks too."""

from pymonik import Pymonik, task

from .parts import SIZE


@task
def size():
    from .parts import SIZE as inside

    return SIZE + inside


if __name__ == "__main__":
    with Pymonik():
        assert size.invoke().result(60) == 8
