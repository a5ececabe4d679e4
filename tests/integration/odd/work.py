"""Work of every kind, with values that are known."""

from __future__ import annotations

import time

import pytest

from pymonik import Pymonik, TaskFailedError, task

PATIENCE_S = 100.0  # a hang is what fails


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def tree(depth: int) -> int:
    if depth == 0:
        return 1
    halves = [tree.invoke(depth - 1), tree.invoke(depth - 1)]
    return total.invoke(halves)  # type: ignore[return-value]


@task
def odd_only(number: int) -> int:
    if number % 2 == 0:
        raise ValueError(f"{number} is even")
    return number


@task
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@task
def zeros(nbytes: int) -> bytes:
    return bytes(nbytes)


def mixed_work(client: Pymonik) -> None:
    """Everything that a program does, each value looked at."""
    mapped = add.map_invoke([(n, n) for n in range(1000)], pymonik=client)
    pieces = add.map_invoke([(n, 1) for n in range(200)], pymonik=client, chunk_size=20)
    singles = [add.invoke(n, 2, pymonik=client) for n in range(30)]
    chain = add.invoke(0, 1, pymonik=client)
    for _ in range(20):
        chain = add.invoke(chain, 1, pymonik=client)
    grown = tree.invoke(3, pymonik=client)
    sums = total.map_invoke([([pieces[n], singles[n % 30]],) for n in range(60)], pymonik=client)
    failing = odd_only.map_invoke([(n,) for n in range(40)], pymonik=client, chunk_size=8)
    large = zeros.invoke(3_000_000, pymonik=client)
    data = client.put([1, 2, 3])

    assert mapped.get(PATIENCE_S) == [2 * n for n in range(1000)]
    assert [one.get(PATIENCE_S) for one in singles] == [n + 2 for n in range(30)]
    assert chain.get(PATIENCE_S) == 21
    assert grown.get(PATIENCE_S) == 8
    assert pieces.get(PATIENCE_S) == [n + 1 for n in range(200)]
    assert sums.get(PATIENCE_S) == [n + 1 + n % 30 + 2 for n in range(60)]
    found = failing.get(PATIENCE_S, return_exceptions=True)
    for number, value in enumerate(found):
        assert value == number if number % 2 else isinstance(value, TaskFailedError | ValueError)
    assert len(large.get(PATIENCE_S)) == 3_000_000
    assert total.invoke(data, pymonik=client).get(PATIENCE_S) == 6
    with pytest.raises(ValueError, match="4 is even"):
        odd_only.invoke(4, pymonik=client).get(PATIENCE_S)
