"""Handles in event loops: asyncio, trio, and anyio on each of them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from pymonik import Pymonik, as_completed, task
from pymonik.errors import WaitTimeoutError

if TYPE_CHECKING:
    from pymonik.cluster.local import LocalCluster

TIMEOUT_S = 55.0


@task
def double(n: int) -> int:
    return 2 * n


@task
def inverse(n: int) -> float:
    return 1 / n


@task(concurrency=10)
async def later(n: int) -> int:
    await asyncio.sleep(0.01)
    return n


@task
def waits() -> None:
    threading.Event().wait()


@pytest.fixture(params=["asyncio", "trio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(loop: str, function: Any, *args: object) -> Any:
    async def limited() -> Any:
        with anyio.fail_after(TIMEOUT_S):
            return await function(*args)

    return anyio.run(limited, backend=loop)


def test_handles_are_awaited_and_gathered(loop: str, cluster: LocalCluster):
    async def program() -> None:
        async with Pymonik(cluster):
            assert await double.invoke(2) == 4
            assert await double.map_invoke(range(5)) == [0, 2, 4, 6, 8]
            assert await later.map_invoke(range(5)) == list(range(5))
            handles = double.map_invoke(range(10))
            found = [handle.get() async for handle in as_completed(handles)]
            assert sorted(found) == [2 * n for n in range(10)]
            with pytest.raises(ZeroDivisionError):
                await inverse.invoke(0)
            values: list[int] = []

            async def one(n: int) -> None:
                values.append(await double.invoke(n))

            async with anyio.create_task_group() as group:
                for n in range(5):
                    group.start_soon(one, n)
            assert sorted(values) == [0, 2, 4, 6, 8]

    run(loop, program)


def test_whoever_awaits_can_be_cancelled_and_the_call_goes_on(loop: str, client: Pymonik):
    async def program() -> None:
        handle = waits.invoke(pymonik=client)
        with anyio.move_on_after(0.05) as scope:
            await handle
        assert scope.cancelled_caught
        assert not handle.done()
        handle.cancel()
        assert handle.outcome(timeout=TIMEOUT_S).status == "cancelled"
        assert await double.invoke(1, pymonik=client) == 2

    run(loop, program)


def test_a_time_limit_ends_the_iteration(loop: str, client: Pymonik):
    async def program() -> None:
        handle = waits.invoke(pymonik=client)
        with pytest.raises(WaitTimeoutError):
            async for _ in as_completed([handle], timeout=0.05):
                pass
        handle.cancel()

    run(loop, program)


def test_without_an_event_loop_there_is_nothing_to_await(client: Pymonik):
    handle = waits.invoke(pymonik=client)
    with pytest.raises(RuntimeError, match="no running event loop"):
        handle.__await__().send(None)
    handle.cancel()
