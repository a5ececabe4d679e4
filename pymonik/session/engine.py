"""`Engine`: the one thread that runs a session's machine.

::

    callers ─┐
             ├─► queue ──► handle, tick ──► requests ──► channel
    channel ─┘      ▲                                      │
                    └──────────────── events ──────────────┘

Whoever has something to say appends it to the queue, which is one step, and wakes the thread by a
byte in a pipe: a signal handler, a finalizer or an interrupt at any moment finds nothing half done.
"""

from __future__ import annotations

import _thread
import contextlib
import logging
import os
import select
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from pymonik.session import broken, events, own_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.session.ends import Failures
    from pymonik.session.machine import Machine

_log = logging.getLogger(__name__)

# Events of one turn: after so many the machine acts, so that calls leave while a loop of `invoke`
# goes on.
_TOGETHER = 1000
# poll(2) tells of a hang-up and of an error unasked; both mean "read, and see".
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class Poller:
    """Waits for sockets, and calls whoever registered one. For the thread of the engine."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}

    def register(self, fd: int, handler: Callable[[int], None], *, writable: bool = False) -> None:
        """Have ``handler`` called with what poll says of ``fd``; replaces what was said before."""
        self._poll.register(fd, _READABLE | (select.POLLOUT if writable else 0))
        self._handlers[fd] = handler

    def unregister(self, fd: int) -> None:
        """Look at ``fd`` no more."""
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def wait(self, seconds: float | None) -> None:
        """Block until something is ready, or for so long."""
        for fd, mask in self._poll.poll(None if seconds is None else max(0, 1000 * seconds)):
            handler = self._handlers.get(fd)
            if handler is not None:
                handler(mask)


class Channel(Protocol):
    """Does what the machine asks for, without keeping its thread waiting."""

    def start(self, post: Callable[[Any], None], poller: Poller) -> None:
        """Have answers and news posted. Called once, by the thread of the engine."""

    def request(self, request: events.Request) -> None:
        """Begin it; it is answered exactly once."""

    def close(self) -> None:
        """The session is over: no news are wanted. Requests are still answered."""


class Engine:
    """Runs a machine in a thread; once the session is over, only while there is something to do.

    Args:
        machine: Nobody else may touch it.
        channel: Nobody else may ask it for anything.
    """

    def __init__(self, machine: Machine, channel: Channel) -> None:
        self._machine = machine
        self._channel = channel
        # `append` and `popleft` of a deque are one step each: no lock that a finalizer, or an
        # interrupt between two steps, could find taken.
        self._queue: deque[Any] = deque()
        self._forgotten: deque[str] = deque()
        self._is_asleep = False
        self._wakes_at = 1  # events in the queue from which one that is not urgent wakes the thread
        self._is_started = False
        # The event that is being handled: if the machine breaks with it, it is refused as well.
        self._event: Any = None
        self._asked: set[events.Reply] = set()  # replies that callers wait for
        self._broken: BaseException | None = None  # the exception that escaped from the machine
        self._owner: Callable[[], object] = lambda: None
        self._turn = _thread.allocate_lock()  # held by the thread for as long as it runs
        self._ident = 0  # of the thread; 0 where there is none
        self._poller = Poller()
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self._poller.register(self._pipe[0], self._drain_pipe)
        # Not at the exit of the interpreter: functions registered there may still wait and invoke.
        weakref.finalize(self, _close, self._pipe).atexit = False

    @property
    def is_crowded(self) -> bool:
        """Whether callers should wait before they submit more."""
        return self._machine.is_crowded or len(self._queue) > 4 * _TOGETHER

    @property
    def is_silent(self) -> bool:
        """Whether a request has been without an answer for long."""
        return self._machine.is_silent

    @property
    def failed_results(self) -> list[str]:
        """The results of calls that failed; see `Machine.failed_results`."""
        return self._machine.failed_results

    def tell(self, failures: Failures) -> None:
        """Have calls that fail remembered there, as long as somebody else refers to it."""
        self._machine.tell(failures)

    @property
    def is_current(self) -> bool:
        """Whether this is its thread, which a finalizer of the program may run in."""
        return self._ident == _thread.get_ident()

    def start(self) -> None:
        """Start the thread; it runs when this returns."""
        # By `_thread`, here and in `post`: `threading.Thread.start` takes locks, which a signal
        # handler or a finalizer in the same thread could find taken.
        started = events.Reply()
        _thread.start_new_thread(self._run, (started,))
        started.wait()

    def post(self, event: Any, *, is_urgent: bool = True) -> None:
        """Tell the machine; from any thread, signal handler or finalizer.

        Args:
            event: See `pymonik.session.events`.
            is_urgent: ``False``: it may wait for others like it.
        """
        self._queue.append(event)
        if self._is_asleep:
            if is_urgent or len(self._queue) >= self._wakes_at:
                self._wake()
        elif self._ident == 0:
            _thread.start_new_thread(self._run, (None,))

    def ask(self, event: Any) -> Any:
        """Tell the machine, and wait for its reply; raises the error that it gives."""
        self._asked.add(event.reply)
        try:
            self.post(event)
            return event.reply.get()
        finally:
            self._asked.discard(event.reply)

    def belong_to(self, session: object) -> None:
        """The calls of this session end when the machine breaks."""
        self._owner = weakref.ref(session)

    def forget(self, result_id: str) -> None:
        """Nothing refers to a result any more; called by the garbage collector, anywhere."""
        self._forgotten.append(result_id)
        if self._is_asleep and len(self._forgotten) == 1:
            self._wake()

    # -- thread --------------------------------------------------------------------------------

    def _wake(
        self,
        write: Callable[[int, bytes], int] = os.write,
        is_full: type[OSError] = OSError,
    ) -> None:
        # The defaults are looked up when the class is made: handles that go when the interpreter
        # has emptied its modules come here too, by `forget`, and would find no `os` any more.
        try:
            write(self._pipe[1], b"w")
        except is_full:  # the thread is about to wake
            return

    def _drain_pipe(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._pipe[0], 4096)

    def _run(self, started: events.Reply | None) -> None:
        """One thread at a time: a second one that was started meanwhile leaves."""
        own_threads.mark()
        while self._turn.acquire(blocking=False):
            self._ident = _thread.get_ident()
            if started is not None:
                started.give()
            try:
                if self._broken is None:
                    self._run_machine()
                else:
                    self._refuse(self._broken)
            except BaseException as error:  # noqa: BLE001 - nobody may be left waiting
                self._collapse(error)
            finally:
                self._ident = 0
                self._turn.release()
            # Something may have been posted after the last look and before `_ident` was 0, so that
            # its caller has started no thread: this one goes on.
            if not self._queue:
                return

    def _run_machine(self) -> None:
        machine, channel = self._machine, self._channel
        if not self._is_started:
            self._is_started = True
            channel.start(self._queue_up, self._poller)
            machine.start()
        while True:
            now = time.monotonic()
            self._handle_events(now)
            machine.tick(now)
            self._ask_channel()
            if machine.is_over:
                channel.close()
                machine.take_leave()
                if machine.is_idle and not self._queue:
                    return
            self._sleep(machine.next_at(now), now)

    def _queue_up(self, event: Any) -> None:
        self._queue.append(event)
        if self._is_asleep and not self.is_current:
            self._wake()

    def _handle_events(self, now: float) -> None:
        handle, queue = self._machine.handle, self._queue
        for _ in range(_TOGETHER):
            try:
                event = queue.popleft()
            except IndexError:
                break
            self._event = event
            handle(event, now)
        self._event = None
        if self._forgotten:
            ids = []
            with contextlib.suppress(IndexError):
                while True:
                    ids.append(self._forgotten.popleft())
            handle(events.Forgotten(ids), now)

    def _ask_channel(self) -> None:
        """A method, so that no request and no state in it is kept while the thread sleeps."""
        for request in self._machine.take_requests():
            self._channel.request(request)

    def _sleep(self, until: float | None, now: float) -> None:
        """Wait for events, or the next look; what is appended meanwhile wakes it."""
        self._wakes_at = self._machine.room
        # Before the last look at the queue: what is appended after that look finds this set, and
        # wakes.
        self._is_asleep = True
        seconds = None if until is None else max(0.0, until - now)
        self._poller.wait(0.0 if self._queue or self._forgotten else seconds)
        self._is_asleep = False

    def _collapse(self, error: BaseException) -> None:
        """Whatever escaped is the reason for everybody who waits, now and later."""
        _log.critical("the session broke: %r", error, exc_info=error)
        self._broken = error
        self._is_asleep = False  # who posts something starts a thread, which refuses it
        with contextlib.suppress(BaseException):  # the machine is broken, and may raise here, too
            self._machine.collapse(error)
        if (session := self._owner()) is not None:
            broken.fail_pending(session, error)
        if self._event is not None:
            self._queue.appendleft(self._event)
        self._refuse(error)
        for reply in list(self._asked):
            reply.give(error=error)
        with contextlib.suppress(Exception):
            self._channel.close()

    def _refuse(self, error: BaseException) -> None:
        self._event = None
        while self._queue:
            with contextlib.suppress(BaseException):
                broken.refuse(self._queue.popleft(), error)


def _close(pipe: tuple[int, int]) -> None:
    for end in pipe:
        os.close(end)
