"""Subtasks: a task that calls tasks, and hands its own result over to one of them.

python test_client/subtasking.py [--endpoint host:5001]
"""

import argparse

from pymonik import Pymonik, task


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def fibonacci(n: int):
    if n < 2:
        return n
    # A task never waits: `add` runs once both are there, and its result becomes the one of this.
    return add.invoke(fibonacci.invoke(n - 1), fibonacci.invoke(n - 2), delegate=True)


def main(endpoint: str | None) -> None:
    with Pymonik(endpoint=endpoint):
        number = fibonacci.invoke(8).wait().get()
    print(f"fibonacci(8) = {number}")
    assert number == 21


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Subtasks and delegation.")
    parser.add_argument("--endpoint", help="of a cluster; default: AKCONFIG, or this machine")
    main(parser.parse_args().endpoint)
