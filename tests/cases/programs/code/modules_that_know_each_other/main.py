"""Modules that import each other, with locks: classes are the same ones however they are reached."""

import pickle

import pair
from pymonik import Pymonik, task


@task
def swap(thing):
    from pair.left import Left

    assert isinstance(thing, Left)
    assert type(pickle.loads(pickle.dumps(thing))) is Left
    return thing.other()


@task
def fail():
    raise pair.right.Right("text")


if __name__ == "__main__":
    with Pymonik():
        assert type(swap.invoke(pair.left.Left()).result(60)) is pair.right.Right
        try:
            fail.invoke().result(60)
        except pair.right.Right as error:
            assert error.args == ("text",)
