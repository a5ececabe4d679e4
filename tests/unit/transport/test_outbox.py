"""The outbox: what leaves together, and that nothing is ever left hanging."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from pymonik.code import codec
from pymonik.errors import PymonikError, SessionClosedError, TaskCancelledError
from pymonik.options import TaskOptions
from pymonik.session.result import Countdown, ResultState
from pymonik.transport.outbox import Outbox, OutgoingTask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WAIT_S = 10.0
FUNCTION = codec.PackedFunction("id", "f", b"")


def calls(count: int) -> list[OutgoingTask]:
    packed = codec.pack_call((1,), {})
    session = cast("Any", None)
    return [
        OutgoingTask(FUNCTION, (packed,), TaskOptions(), ResultState(session)) for _ in range(count)
    ]


def started(send: Callable[[Sequence[OutgoingTask]], None], **settings: Any) -> Outbox:
    outbox = Outbox(send, **settings)
    outbox.start()
    return outbox


def test_calls_leave_in_order_in_batches_of_limited_size() -> None:
    batches: list[Sequence[OutgoingTask]] = []
    outbox = started(batches.append, batch_tasks=10)
    put = calls(35)
    outbox.put(put)
    outbox.drain()
    assert [call for batch in batches for call in batch] == put
    assert max(map(len, batches)) == 10
    outbox.close()


def test_the_first_batches_are_small_so_that_workers_begin() -> None:
    batches: list[Sequence[OutgoingTask]] = []
    outbox = started(batches.append)
    outbox.put(calls(2000))
    outbox.drain()
    assert [len(batch) for batch in batches] == [32, 64, 128, 256, 512, 1000, 8]
    outbox.put(calls(1000))
    outbox.drain()
    assert [len(batch) for batch in batches[7:9]] == [32, 64]
    outbox.close()


def test_calls_leave_without_anybody_waiting() -> None:
    left = threading.Event()
    outbox = started(lambda _: left.set())
    outbox.put(calls(1))
    assert left.wait(WAIT_S)
    outbox.close()


def test_a_batch_that_fails_tells_its_states_and_the_next_one_leaves() -> None:
    answers: list[Exception | None] = [PymonikError("refused"), None]

    def send(batch: Sequence[OutgoingTask]) -> None:
        if error := answers.pop(0):
            raise error
        for call in batch:
            call.state.complete()

    outbox = started(send)
    bad, good = calls(3), calls(3)
    outbox.put(bad)
    outbox.drain()
    outbox.put(good)
    outbox.drain()
    Countdown([call.state for call in [*bad, *good]]).wait(WAIT_S)
    assert {str(call.state.error) for call in bad} == {"refused"}
    assert {call.state.error for call in good} == {None}
    outbox.close()


def test_closing_sends_what_waits_and_takes_no_more() -> None:
    sent: list[OutgoingTask] = []
    outbox = started(sent.extend)
    outbox.put(calls(5))
    outbox.close()
    assert len(sent) == 5
    with pytest.raises(SessionClosedError, match="Pymonik"):
        outbox.put(calls(1))


def test_closing_with_an_error_drops_what_waits() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def send(batch: Sequence[OutgoingTask]) -> None:
        entered.set()
        go_on.wait(WAIT_S)

    outbox = started(send, batch_tasks=1)
    first, second = calls(1), calls(1)
    outbox.put(first)
    assert entered.wait(WAIT_S)
    outbox.put(second)
    threading.Timer(0.05, go_on.set).start()
    outbox.close(TaskCancelledError("the session was cancelled"))
    assert isinstance(second[0].state.error, TaskCancelledError)
