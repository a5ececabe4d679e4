"""A machine without a session, and a control plane that is a few dictionaries."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, cast

from pymonik.code import codec, packed_function
from pymonik.code.exceptions import exception_of
from pymonik.code.failure import describe
from pymonik.code.opened_result import OpenedResult
from pymonik.code.references import Referable
from pymonik.session import events
from pymonik.session.machine import Machine
from pymonik.session.protocol import Series, Submission
from pymonik.session.result import ResultState
from pymonik.wire import containers
from pymonik.wire.call import ItemMeta, ResultMeta, ResultRef
from pymonik.wire.failure import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

NOWHERE = cast("Any", None)  # the session of states
FUNCTION = packed_function.PackedFunction("id", "f", b"")


class Handle(Referable):
    """As little of a handle as the codec needs."""

    def __init__(self, state: ResultState) -> None:
        self._state = state


class Observer:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.told: list[ResultState] = []
        self.error: BaseException | None = None

    def ended(self, state: ResultState) -> None:
        self.told.append(state)

    def unanswered(self, error: BaseException) -> None:
        self.error = error


def call(*needed: ResultState, nbytes: int = 0) -> codec.Packed:
    return codec.pack_call((bytes(nbytes), *map(Handle, needed)), {})


def container(*values: object, seconds: float = 1.0, chunked: bool = True) -> bytes:
    """A result of several calls: values, or references to where the values stand."""
    items: list[ItemMeta] = []
    blobs: list[containers.Buffer] = []
    for value in values:
        if isinstance(value, ResultRef):
            items.append(ItemMeta(0, ref=value))
            continue
        if isinstance(value, BaseException):
            items.append(ItemMeta(1, failed=True))
            blobs.append(encode(describe(value)))
            continue
        packed = codec.pack(value)
        items.append(ItemMeta(len(packed.blobs)))
        blobs += packed.blobs
    meta = ResultMeta(items=tuple(items), chunked=chunked, seconds=seconds)
    return b"".join(containers.join(meta, blobs))


def contents(data: bytes) -> events.Contents:
    """As the channel reads it."""
    opened = OpenedResult(data)
    failed = [n for n, item in enumerate(opened.meta.items) if item.failed]
    errors = {number: exception_of(opened.value(number)) for number in failed}
    return events.Contents(opened, errors)


class Bench:
    """A machine, a clock, and the requests that it has made."""

    def __init__(self, **settings: Any) -> None:
        self.machine = Machine(**settings)
        self.now = 0.0
        self.asked: list[events.Request] = []
        self._numbers = itertools.count()
        self.machine.start()
        self.turn()

    def turn(self, *happened: Any) -> None:
        """Events, and what the machine does about them."""
        for event in happened:
            self.machine.handle(event, self.now)
        self.machine.tick(self.now)
        self.asked += self.machine.take_requests()

    def sleep(self, seconds: float) -> None:
        """Let time pass, with a look whenever the machine wants one."""
        end = self.now + seconds
        for _ in range(10_000):
            at = self.machine.next_at(self.now)
            if at is None or at > end:
                break
            self.now = max(self.now, at)
            self.turn()
        self.now = end
        self.turn()

    def take(self, kind: type[Any]) -> list[Any]:
        """The requests of a kind that were made and not taken."""
        taken = [request for request in self.asked if type(request) is kind]
        self.asked = [request for request in self.asked if type(request) is not kind]
        return taken

    def submit(
        self, calls: Sequence[codec.Packed], *, chunk_size: int = 1, series: Series | None = None
    ) -> list[ResultState]:
        states = [ResultState(NOWHERE, "f") for _ in calls]
        submission = Submission(FUNCTION, calls, chunk_size=chunk_size, series=series or Series())
        self.turn(events.Submitted(submission, states))
        return states

    def observe(self, states: Sequence[ResultState]) -> Observer:
        observer = Observer()
        self.turn(events.Observed(states, observer))
        return observer

    def flush(self) -> events.Reply:
        reply = events.Reply()
        self.turn(events.Flushed(reply))
        return reply

    def send_all(self) -> list[Any]:
        """Answer the requests that submit, as a control plane does; the tasks."""
        tasks = []
        for request in self.take(events.Send):
            for task in request.tasks:
                if not task.result_id:
                    task.give_id(f"r{next(self._numbers)}")
            if not request.is_quick:
                self.turn(events.Created(request.tasks))
            for task in request.tasks:
                task.give_task_id(f"t{task.result_id}")
            self.turn(events.Answered(request, []))
            tasks += request.tasks
        return tasks
