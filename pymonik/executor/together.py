"""Calls of a chunk that run at the same time, on one event loop: ``@task(concurrency=50)``.

::

    claim ──► arguments ──► awaited ──┐
    claim ──► arguments ──► awaited ──┼─► value or failure ──► journal, in the order of the calls
    claim ──► arguments ──► awaited ──┘

The process is put back to what it was only when none of them runs any more. What each of them has
for itself (its arguments, subtasks, random numbers, reports) is of its own object, found by the
context in which it runs; what it prints is told apart by lines.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Iterator, Sequence

    from pymonik.executor.claims import Claims
    from pymonik.executor.printed import Printed
    from pymonik.wire.call import ItemMeta, ResultRef
    from pymonik.wire.containers import Buffer

    Ended = tuple[ItemMeta, Sequence[Buffer], bool]

# Characters of a begun line that wait for its end; a longer one is given on in pieces, since a call
# that never ends its line would take memory without bound.
_MOST_OF_LINE = 8192
_place: ContextVar[int] = ContextVar("pymonik_place")  # of the call that runs in this context


class Share(Protocol):
    """What is known of the chunk; see `pymonik.executor.share.Share`."""

    claims: Claims
    printed: Printed

    def handed_over(self) -> list[ResultRef]:
        """Where the values of the calls will stand that were taken away: the last ones."""

    def end_if_asked(self) -> None:
        """End this process if the run was asked to end."""


class OneCall(Protocol):
    """A call beside others."""

    is_late: bool

    @property
    def surroundings(self) -> contextvars.Context:
        """The context of the call."""

    async def awaited(self) -> Ended:
        """The value of the call, or the failure that stands in its place; never raises."""


class Together:
    """Runs the calls of one chunk.

    Args:
        share: Of the chunk.
        call: Gives the call of a number.
        size: How many there are.
        most: How many may run at once.
        time_s: Seconds until those that have not ended are to run elsewhere, alone; ``None``
            without limit.

    Attributes:
        seconds: Of each call that ran here.
        elsewhere: Where the values of the others will stand.
    """

    def __init__(
        self,
        share: Share,
        call: Callable[[int], OneCall],
        size: int,
        most: int,
        time_s: float | None,
    ) -> None:
        self._share = share
        self._call = call
        self._size = size
        self._most = most
        self._deadline = None if time_s is None else time.monotonic() + time_s
        self._ended: dict[int, Ended] = {}
        self._noted = 0  # the first calls are in the journal
        self._begun = 0
        self._running: dict[asyncio.Task[None], OneCall] = {}
        self._seconds: dict[int, float] = {}
        self.elsewhere: list[ResultRef] = []

    def run(self) -> list[Ended]:
        """How the calls that ran here have ended, in their order."""
        with _lines_of_calls(self._share.printed):
            # `run` waits until tasks that calls have left on the loop are cancelled: none goes on
            # beside the next chunk.
            asyncio.run(self._all())
        return [self._ended[number] for number in range(self._begun)]

    @property
    def seconds(self) -> list[float]:
        """Seconds of the calls that ran here, in their order."""
        return [self._seconds[number] for number in range(self._begun)]

    async def _all(self) -> None:
        while True:
            self._begin_some()
            if not self._running:
                if self._begun == self._size or self.elsewhere:
                    return
                continue
            left_s = None if self._deadline is None else self._deadline - time.monotonic()
            done, _ = await asyncio.wait(
                self._running,
                timeout=None if left_s is None else max(left_s, 0.0),
                return_when=asyncio.FIRST_COMPLETED,
            )
            for one in done:
                del self._running[one]
                one.result()  # raises what is no failure of the call: the parent is gone, say
            if not done:
                self._let_go()

    def _let_go(self) -> None:
        """The time of the task is nearly over: what has not ended runs again, alone."""
        for running, call in self._running.items():
            call.is_late = True
            running.cancel()
        self._deadline = None  # one that goes on nevertheless is ended by the parent

    def _begin_some(self) -> None:
        while len(self._running) < self._most and self._begun < self._size and not self.elsewhere:
            if not self._share.claims.claim():
                # No byte in the pipe means that the parent has taken the rest, and tells in a frame
                # where it is.
                self.elsewhere = self._share.handed_over()  # nowhere: they are offered again
                continue
            number = self._begun
            self._begun += 1
            call = self._call(number)
            # A task of asyncio copies the context that it is made in.
            running = call.surroundings.copy().run(self._start, number, call)
            self._running[running] = call

    def _start(self, number: int, call: OneCall) -> asyncio.Task[None]:
        _place.set(number)
        return asyncio.get_running_loop().create_task(self._one(number, call))

    async def _one(self, number: int, call: OneCall) -> None:
        began = time.monotonic()
        ended = await call.awaited()
        self._share.end_if_asked()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, LinesOfCalls):
                stream.call_ended(number)
        self._seconds[number] = time.monotonic() - began
        self._ended[number] = ended
        while (first := self._ended.get(self._noted)) is not None:
            # The parent reads the journal as that of the first calls, so a call that ends before
            # its neighbours is noted after them.
            item, blobs, is_all = first
            self._share.claims.note(item, blobs, is_all=is_all)
            self._noted += 1


class LinesOfCalls:
    """A standard stream that gives on whole lines, and says whose they are.

    Args:
        stream: The stream of the executor.
        said: Told of the call whose lines were written just now.
    """

    def __init__(self, stream: Any, said: Callable[[int], object]) -> None:
        self._stream = stream
        self._said = said
        self._parts: dict[int, str] = {}  # begun lines, by call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Keep what is no whole line until its end comes, or the call has ended."""
        place = _place.get(-1)
        if place < 0:  # of no call
            return int(self._stream.write(text))
        whole = self._parts.pop(place, "") + text
        end = len(whole) if len(whole) > _MOST_OF_LINE else whole.rfind("\n") + 1
        if whole[end:]:
            self._parts[place] = whole[end:]
        if end:
            self._give(place, whole[:end])
        return len(text)

    def writelines(self, lines: Sequence[str]) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Lines leave as they end; the begun one of a call waits, for it would tear another's."""
        self._stream.flush()

    def call_ended(self, place: int) -> None:
        """Give on what a call has begun."""
        if rest := self._parts.pop(place, ""):
            self._give(place, f"{rest}\n")

    def _give(self, place: int, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
        self._said(place)


@contextmanager
def _lines_of_calls(printed: Printed) -> Iterator[None]:
    before = sys.stdout, sys.stderr
    ours: list[Any] = [LinesOfCalls(stream, printed.said) for stream in before]
    sys.stdout, sys.stderr = ours
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        printed.said(0)  # what came past the streams, from C or from other programs
