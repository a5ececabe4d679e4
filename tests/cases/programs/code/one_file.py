"""A function of a script uses helpers and constants of the script."""

from pymonik import Pymonik, task

RATE = 3


def raised(amount):
    return amount * RATE


@task
def total(amounts):
    return sum(map(raised, amounts))


if __name__ == "__main__":
    with Pymonik():
        assert total.invoke([1, 2, 3]).result(60) == 18
