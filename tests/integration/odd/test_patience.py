"""Nobody answers for longer than `unavailable_timeout`: whoever waits is told, no call is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import MultiResultHandle, Pymonik, ResultHandle, UnavailableError, WaitTimeoutError
from tests.integration.odd.work import PATIENCE_S, add, nap

if TYPE_CHECKING:
    from tests.integration.odd.conftest import Far

TIMEOUT_S = 2.0


async def awaited(handle: ResultHandle[float]) -> float:
    return await handle


async def first_of(handles: MultiResultHandle[float]) -> None:
    async for _ in handles.as_completed():
        return


WAITS: dict[str, Callable[[Pymonik, MultiResultHandle[float]], Any]] = {
    "get": lambda _, handles: handles[0].get(),
    "get of many": lambda _, handles: handles.get(),
    "wait": lambda _, handles: handles.wait(),
    "as_completed": lambda _, handles: next(iter(handles.as_completed())),
    "await": lambda _, handles: asyncio.run(awaited(handles[0])),
    "async for": lambda _, handles: asyncio.run(first_of(handles)),
    "exception": lambda _, handles: handles[0].exception(),
    "put": lambda client, _: client.put(5),
    "send": lambda client, _: add.invoke(1, 2, pymonik=client).result_id,
    "partitions": lambda client, _: client.session.list_partitions(),
}


@pytest.mark.parametrize("how", WAITS)
def test_a_wait_ends_and_no_call_is_lost(far: Callable[..., Far], how: str) -> None:
    one = far(unavailable_timeout=TIMEOUT_S)
    handles = nap.map_invoke([(2.0,), (2.5,)], pymonik=one.client)
    one.client.session.send()
    one.network.refuse()
    with pytest.raises(UnavailableError):
        WAITS[how](one.client, handles)
    one.network.accept()
    assert handles.get(PATIENCE_S) == [2.0, 2.5]


def test_a_time_out_of_ones_own_is_what_counts(far: Callable[..., Far]) -> None:
    one = far(unavailable_timeout=0.5)
    handle = nap.invoke(1.0, pymonik=one.client)
    one.client.session.send()
    one.network.refuse()
    with pytest.raises(WaitTimeoutError):
        handle.wait(3.0)
    one.network.accept()
    assert handle.get(PATIENCE_S) == 1.0


def test_leaving_the_block_ends_too(far: Callable[..., Far]) -> None:
    one = far()
    client = Pymonik(one.network.endpoint, unavailable_timeout=TIMEOUT_S).create()
    nap.invoke(60.0, pymonik=client)
    client.session.send()
    one.network.refuse()
    with pytest.raises(UnavailableError):
        client.close()
    one.network.accept()
