"""What a call was given is freed with the call, and not when the collector of cycles next runs.

The collector counts objects and not bytes, so a few large arguments would stay for as long as it
likes.
"""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from pymonik import LocalCluster, Outputs, Pymonik, Task, get_context, task

if TYPE_CHECKING:
    from collections.abc import Iterator

_seen: list[weakref.ref[Large]] = []


class Large:
    """Stands for an argument of many bytes."""


@task
def begin() -> None:
    """From here on nothing is freed by the collector."""
    gc.collect()
    gc.disable()
    _seen.clear()


@task
def still_there() -> tuple[int, int]:
    """How many of the arguments that came have not been freed, and how many came."""
    gc.enable()
    return sum(one() is not None for one in _seen), len(_seen)


@task
def plain(large: Large) -> None:
    _seen.append(weakref.ref(large))


@task
def asks_its_context(large: Large) -> None:
    _seen.append(weakref.ref(large))
    get_context().logger.debug("the context exists")


@task
def several(large: Large) -> Outputs:
    _seen.append(weakref.ref(large))
    return Outputs(a=1, b=2)


@task
def subtask(large: Large) -> object:
    _seen.append(weakref.ref(large))
    return plain.invoke(Large())


@task
def fails(large: Large) -> None:
    _seen.append(weakref.ref(large))
    raise ValueError("on purpose")


@task(concurrency=4)
async def at_the_same_time(large: Large) -> None:
    _seen.append(weakref.ref(large))


@pytest.fixture(scope="module")
def one_executor() -> Iterator[Pymonik]:
    """All calls run in the same process."""
    with LocalCluster(workers=1) as cluster, Pymonik(cluster) as client:
        yield client


@pytest.mark.parametrize(
    "work", [plain, asks_its_context, several, subtask, fails, at_the_same_time], ids=str
)
@pytest.mark.parametrize("chunk_size", [1, 5])
def test_arguments_are_freed_with_their_call(
    one_executor: Pymonik, work: Task[..., object], chunk_size: int
) -> None:
    begin.invoke().get()
    calls = work.map_invoke([Large() for _ in range(10)], chunk_size=chunk_size)
    calls.get(return_exceptions=True)
    left, came = still_there.invoke().get()
    assert (left, came >= 10) == (0, True)
