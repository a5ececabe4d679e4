"""Whatever breaks in the thread of a session: everybody who waits for anything is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from pymonik import LocalCluster, Pymonik, PymonikError, as_completed, task
from pymonik.session.asking import Asking
from pymonik.session.cancelling import Cancelling
from pymonik.session.deleting import Deleting
from pymonik.session.ends import Ends
from pymonik.session.items import Items
from pymonik.session.listening import Listening
from pymonik.session.machine import Machine
from pymonik.session.outgoing import Outgoing
from pymonik.session.paces import Paces
from pymonik.session.pending import Pending
from pymonik.session.sending import Sending
from pymonik.session.values import Values
from pymonik.session.waits import Waits

PATIENCE_S = 60.0
ROUNDS = 20
STEPS: list[tuple[type, str]] = [
    *((Asking, name) for name in ("act", "asked", "answered", "take_requests", "next_at")),
    (Cancelling, "cancelled"),
    *((Deleting, name) for name in ("forgot", "delete")),
    *((Ends, name) for name in ("fail", "fail_all")),
    *((Items, name) for name in ("follow",)),
    *((Listening, name) for name in ("news", "stream_up", "looked", "look_if_due", "next_at")),
    *((Machine, name) for name in ("handle", "tick", "next_at", "take_requests")),
    *((Outgoing, name) for name in ("submitted", "feed", "leave", "hurry", "next_at")),
    (Paces, "counted"),
    *((Pending, name) for name in ("watch", "take", "fail_all")),
    *((Sending, name) for name in ("send", "sent", "created", "settle_refused", "fail_all")),
    *((Values, name) for name in ("wanted", "read", "read_together", "give_up")),
    *((Waits, name) for name in ("observed", "unobserved", "flushed", "emptied", "reply_if_done")),
]


class BrokenError(BaseException):
    """What nobody expects."""


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def fail() -> None:
    raise OSError("no")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=1) as one:
        yield one


def wait_for_callback(client: Pymonik) -> None:
    called = threading.Event()
    handle = add.invoke(1, 1, pymonik=client)
    handle.add_done_callback(lambda _: called.set())
    assert called.wait(PATIENCE_S)
    handle.get()


def wait_in_a_loop(client: Pymonik) -> None:
    async def wait() -> None:
        await add.invoke(1, 1, pymonik=client)

    asyncio.run(wait())


def send(client: Pymonik) -> None:
    add.invoke(1, 1, pymonik=client)
    client.send()


def cancel(client: Pymonik) -> None:
    handle = add.invoke(1, 1, pymonik=client)
    handle.cancel()
    handle.exception()
    client.put(1)  # raises once the session has ended


WORK: list[Callable[[Pymonik], object]] = [
    lambda client: add.invoke(1, 1, pymonik=client).get(),
    lambda client: add.map_invoke([(n, n) for n in range(200)], pymonik=client).get(),
    lambda client: [
        one.get() for one in as_completed(add.map_invoke([(1, 1)] * 9, pymonik=client))
    ],
    lambda client: client.put([1] * 10).get(),
    send,
    lambda client: fail.invoke(pymonik=client).get(),
    lambda client: add.invoke(1, 1, pymonik=client).wait(timeout=PATIENCE_S),
    wait_for_callback,
    wait_in_a_loop,
    cancel,
]


def until_told(client: Pymonik, work: Callable[[Pymonik], object], told: list[str]) -> None:
    """Work until there is an error that no task has raised."""
    try:
        for _ in range(ROUNDS):
            with suppress(OSError):
                work(client)
        told.append("nothing happened")
    except (BrokenError, PymonikError) as error:
        told.append(repr(error))


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gRPC"])
@pytest.mark.parametrize(("part", "step"), STEPS, ids=lambda one: getattr(one, "__name__", one))
def test_a_thread_that_breaks_at_any_step_leaves_nobody_waiting(
    cluster: LocalCluster,
    monkeypatch: pytest.MonkeyPatch,
    part: type,
    step: str,
    direct: bool,
) -> None:
    is_broken = threading.Event()
    before: Any = getattr(part, step)

    def broken(*args: Any, **kwargs: Any) -> Any:
        if is_broken.is_set():
            raise BrokenError
        return before(*args, **kwargs)

    monkeypatch.setattr(part, step, broken)
    client = Pymonik(cluster, direct=direct).create()
    assert add.invoke(1, 1, pymonik=client).get(PATIENCE_S) == 2
    told: list[str] = []
    threads = [
        threading.Thread(target=until_told, args=(client, work, told), daemon=True) for work in WORK
    ]
    for number, thread in enumerate(threads):
        thread.start()
        if number == len(threads) // 2:
            is_broken.set()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    ended = threading.Thread(target=until_told, args=(client, Pymonik.cancel, told), daemon=True)
    ended.start()
    ended.join(PATIENCE_S)
    assert not ended.is_alive()
    assert len(told) == len(WORK) + 1
