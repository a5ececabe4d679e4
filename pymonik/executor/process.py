"""One executor, as its parent sees it: start it, give it a call, wait for what comes first.

::

    STARTING ── ready ──► IDLE ── run ──► RUNNING ── answer ──► IDLE
                           any of them ── death, kill ──► DEAD
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import os
import select
import shutil
import signal
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from pymonik.code.failure import describe
from pymonik.errors import TaskTimeoutError, WorkerLostError
from pymonik.executor.agent import Agent, Refusal, no_agent
from pymonik.executor.ahead import SLOW_S, Ahead
from pymonik.executor.channel import Answer, answer_decoder
from pymonik.executor.chunk import LATE_S
from pymonik.executor.claims import Offer
from pymonik.executor.endings import CUT_OFF, Ending, Failed, Lost, NotBegun, Retry, TimedOut
from pymonik.executor.frames import (
    AgentReply,
    AgentRequest,
    HandedOver,
    Ready,
    Report,
    Reported,
    Retires,
    Run,
)
from pymonik.executor.limits import in_mib
from pymonik.executor.memory_watch import MemoryWatch
from pymonik.executor.output import FIRST_LOOK_S, OnOutput, Output
from pymonik.executor.reports import OnReport, ReadBoard, Reports
from pymonik.executor.stop_request import StopRequest, page
from pymonik.launch.process import Supervised
from pymonik.launch.python import Plan
from pymonik.wire.framing import FramingError, Inbox, framed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pymonik.executor.chunk import Chunk
    from pymonik.wire.failure import Failure

_SPANS_S = 2.0  # that an executor may take to send the last spans of its calls
_SPANS_LOOK_S = 0.01  # nothing wakes the parent when it has
GRACE_S = 5.0  # from asking a run to end until it is killed
_START_LIMIT_S = 120.0
_LONGEST_POLL_S = 86_400.0
_LOOK_S = 0.02  # between two looks of another thread at whether it is up
_CUT_OFF_TEXT = "the call closed the connection of its executor, or wrote to it"
_CUT_OFF_S = 2.0  # from the end of its socket to the end of a process
_NOTHING = memoryview(b"")
_numbers = itertools.count(1)  # of executors, since this process started
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


@dataclass(frozen=True, slots=True)
class Place:
    """Where an executor runs.

    Attributes:
        folder: Its current folder; empty for that of its parent.
        is_shared: Else each executor has a folder of its own below it, which is emptied after each
            task and removed with the executor.
    """

    folder: str = ""
    is_shared: bool = True

    @contextlib.contextmanager
    def taken(self, number: str) -> Iterator[Place]:
        """The place of one executor, until it has ended."""
        if self.is_shared:
            yield self
            return
        own = os.path.join(self.folder, number)  # noqa: PTH118 - as a text of a command line
        os.mkdir(own, 0o700)  # noqa: PTH102
        try:
            yield Place(own, is_shared=False)
        finally:
            shutil.rmtree(own, ignore_errors=True)


class ExecutorProcess:
    """A running executor; one call at a time. `ask` and `kill` may come from any thread.

    Attributes:
        ahead: What it gets before it needs it.
    """

    def __init__(
        self,
        *,
        packages: str = "",
        archive: str = "",
        variables: Mapping[str, str] | None = None,
        uses_originals: bool = True,
        memory_limit: int | None = None,
        grace_s: float = GRACE_S,
        place: Place | None = None,
        on_output: OnOutput | None = None,
        on_report: OnReport | None = None,
        read_board: ReadBoard = lambda _run, _id: None,
    ) -> None:
        self._reports = Reports(on_report)
        self._read_board = read_board
        self._board_id = ""  # of the present run, and of those sent ahead
        self._lock = threading.Lock()  # guards the three below
        self._task_id = ""
        self._number = 0  # of the present run, as the executor counts them
        self._unwanted = ""  # the task that `ask` was called for last
        self._grace_s = grace_s
        self._grace_now_s = grace_s  # of the present run, when its time is over
        self._memory_limit = memory_limit
        self._memory_watch: MemoryWatch | None = None
        self._memory_at_start: int | None = None
        self._fate = ""  # why we ended it
        self._run: Run | None = None  # the present one
        self._agent: Agent = no_agent  # of the present run
        self._unsent = _NOTHING
        self._is_blocked = False  # the socket is full: told when there is room
        with ExitStack() as opened:
            self._offer = Offer()
            opened.callback(self._offer.close)
            self.ahead = Ahead()
            opened.callback(self.ahead.close)
            self._output = Output(on_output)
            opened.callback(self._output.close)
            ours, theirs = socket.socketpair()
            opened.callback(ours.close)
            with theirs, page() as request:
                self._stop_request = StopRequest(request.fileno())
                opened.callback(self._stop_request.close)
                shared = (*self._offer.fds, *self.ahead.fds, request.fileno())
                fds = (theirs.fileno(), *shared, self._output.marks_fd)
                number = str(next(_numbers))
                here = opened.enter_context((place or Place()).taken(number))
                is_near, has_own = str(int(uses_originals)), str(int(not here.is_shared))
                given = (str(memory_limit or 0), packages, is_near, number, archive, has_own)
                self._process = _start(fds, given, variables or {}, here, self._output.fds)
            self._opened = opened.pop_all()
        ours.settimeout(0)
        self._socket = ours
        self._inbox = Inbox(ours)
        self._poll = select.poll()
        for fd in (ours.fileno(), self._process.fileno()):
            self._poll.register(fd, _READABLE)

    @property
    def supervisor(self) -> int:
        """The id of the process above it, and above all that it starts."""
        return self._process.supervisor

    @property
    def is_alive(self) -> bool:
        """Whether it can take a call, as far as is known."""
        return self._process.death is None

    def run(
        self,
        run: Run,
        time_limit_s: float | None,
        chunk: Chunk | None = None,
        on_slow: Callable[[], None] | None = None,
        *,
        counts_loading: bool = False,
        board: str = "",
        agent: Agent = no_agent,
    ) -> Ending | NotBegun:
        """Run one task and wait; afterwards the executor may be dead, see `is_alive`.

        Args:
            run: The task.
            time_limit_s: After so many seconds it is asked to end, and killed after the grace.
            chunk: Its calls, if there are several.
            on_slow: Called when it takes long; of the runs sent ahead, `ahead` then counts only
                those that have begun nevertheless.
            counts_loading: Whether the limit includes the import of modules: somebody else counts
                as well, from the start of the task.
            board: The result in which the program tells its running tasks something.
            agent: ArmoniK's, for this task.
        """
        self._begin(run, agent, is_idle=True)
        self._board_id = board
        self._look_at_board()
        if self._memory_at_start is None and (ending := self._await_start()) is not None:
            return ending
        if chunk is not None:
            self._offer.offer(chunk.size)
        start = time.monotonic()
        self._order(run)
        if run.code and not isinstance(answer := self._await(_START_LIMIT_S), Ready):
            return self._ending(answer, chunk)
        if counts_loading and time_limit_s is not None:
            time_limit_s = max(time_limit_s - (time.monotonic() - start), 0.0)
        if chunk is not None:
            self._grace_now_s = chunk.grace_s(time_limit_s, self._grace_s)
            time_limit_s = chunk.time_limit_s(time_limit_s)
        return self._ending(self._await(time_limit_s, chunk, on_slow), chunk)

    def follow(
        self,
        run: Run,
        time_limit_s: float | None,
        on_slow: Callable[[], None] | None,
        agent: Agent = no_agent,
    ) -> Ending | NotBegun:
        """Like `run`, for the first of the runs that were sent ahead."""
        self.ahead.count -= 1
        self._begin(run, agent, is_idle=False)
        return self._ending(self._await(time_limit_s, None, on_slow), None)

    def _begin(self, run: Run, agent: Agent, *, is_idle: bool) -> None:
        self._run = run
        self._agent = agent
        with self._lock:
            self._task_id = run.task_id
            self._number += 1
            self._grace_now_s = self._grace_s
            if run.task_id == self._unwanted:
                self._ask(self._grace_s)
        if self._memory_watch is not None:
            self._memory_watch.begin_call()
        self._output.begin(run, self._number, is_idle=is_idle)

    def _order(self, order: Run | HandedOver | AgentReply) -> None:
        self._unsent = memoryview(bytes(self._unsent) + framed(order))
        self._send()

    def _take_back(self) -> None:
        """Take back what was sent ahead and has not begun; the present run has to begin."""
        waiting = self.ahead.count
        if self.ahead.take_back() > waiting and self._run is not None:
            self._order(self._run)

    def _ending(
        self, answer: Answer | TimedOut | Failed | None, chunk: Chunk | None
    ) -> Ending | NotBegun:
        self._output.end(is_dead=not self.is_alive)
        self._reports.flush(self._run)
        self._run, self._agent = None, no_agent  # an executor may be idle for long
        ending = self._checked(answer)
        if chunk is not None and not self.is_alive:
            ending = ending if isinstance(ending, NotBegun) else self._salvaged(chunk, ending)
        if chunk is not None:
            self._offer.clear()
        return ending

    def _checked(self, answer: Answer | TimedOut | Failed | None) -> Ending | NotBegun:
        if answer is None or isinstance(answer, Ready | Reported | AgentRequest):
            return Lost(self._obituary())
        if isinstance(answer, Retires):  # after the run before this one
            self.ahead.take_back()  # it claims none of them
            self.ahead.count = 0
            self.stop()
            return NotBegun()
        if isinstance(answer, Report | Failed | Retry) and answer.task_id not in (
            "",
            self._task_id,
        ):
            self.stop()  # its answers are off: none may be taken for another's
            return Lost(self._obituary(f"the executor answered for task {answer.task_id}"))
        if isinstance(answer, TimedOut | Failed) and not self.is_alive:  # we have ended it
            return msgspec.structs.replace(answer, failure=self._with_output(answer.failure))
        return answer

    def _salvaged(self, chunk: Chunk, ending: Ending) -> Ending:
        begun = chunk.kept - self._offer.take_back()
        finished = self._offer.finished()
        return chunk.salvaged(ending, finished, begun, self._output.of_calls(len(finished)))

    def _hand_over(self, chunk: Chunk) -> None:
        """The run takes its time: have what it has not begun run elsewhere."""
        left = self._offer.take_back()
        if not left:
            return
        places = chunk.hand_over(chunk.size - left, self._offer.count_finished())
        if places is None:
            self._offer.give_back(left)
        # Told in any case: having found no call, the executor may be waiting for it.
        self._order(HandedOver(items=places or []))

    def ask(self, task_id: str) -> None:
        """Ask a run to end, now or once it begins; its executor ends with it, after a grace."""
        with self._lock:
            if task_id == self._unwanted:
                return
            self._unwanted = task_id
            if task_id == self._task_id:
                self._ask(self._grace_s)

    def _ask(self, grace_s: float) -> None:
        """Called with the lock held."""
        is_running = self._stop_request.ask(self._number)
        # A run that has just ended, or not begun, gets no signal: the executor ends all the same.
        # One that is still starting would print where its own imports were interrupted.
        self._process.ask(signal.SIGINT if is_running else None, grace_s)

    def is_coming_up(self) -> bool:
        """Whether it has not told yet that it takes calls; from any thread."""
        return self._memory_at_start is None and self.is_alive and not self._has_something()

    def wait_until_up(self, most_s: float) -> None:
        """Wait until it takes calls, has ended, or the time is over; from any thread."""
        end = time.monotonic() + most_s
        # Whoever runs a call here may read first what this one waits for: it looks again.
        while self.is_coming_up() and time.monotonic() < end:
            self._has_something(_LOOK_S)

    def _has_something(self, wait_s: float = 0.0) -> bool:
        """Whether the executor or its supervisor has said something that nobody has read."""
        poll = select.poll()
        try:
            poll.register(self._socket.fileno(), _READABLE)
        except ValueError:  # it was closed
            return True
        return bool(poll.poll(wait_s * 1000))

    def drain(self) -> None:
        """Tell the running call that its executor is going to end."""
        self._stop_request.drain()

    def kill(self) -> None:
        """End it and whatever it started, at once; `run` then returns `Lost`."""
        self._process.kill()

    def close(self) -> None:
        """Kill it, wait for it, and free what belongs to it."""
        self._let_spans_leave()
        self._process.close()
        self._opened.close()

    # -- inside ----------------------------------------------------------------------------------

    def _let_spans_leave(self) -> None:
        """Wait for spans of calls that have ended, which a kill would lose, for a moment at most.

        Only executors whose calls are followed ever have some.
        """
        end = time.monotonic() + _SPANS_S
        while self._output.is_sending and self.is_alive and time.monotonic() < end:
            time.sleep(_SPANS_LOOK_S)

    def _await_start(self) -> Ending | None:
        started = self._await(_START_LIMIT_S)
        if isinstance(started, Ready):
            self._memory_at_start = started.memory
            return None
        self.stop("it took too long" if isinstance(started, TimedOut) else "")
        self._output.look(is_dead=True)
        return Lost(self._obituary("the executor did not start"))

    def _await(
        self,
        limit_s: float | None,
        chunk: Chunk | None = None,
        on_slow: Callable[[], None] | None = None,
    ) -> Answer | TimedOut | Failed | None:
        """What comes first: an answer, the end of the time or of the memory, or death (`None`)."""
        start = time.monotonic()
        look_s = FIRST_LOOK_S  # when to look at what was printed
        while True:
            if (answer := self._take_answer()) is not None:
                if not self._is_of_running(answer):
                    return answer
                continue
            if not self.is_alive:
                return None
            spent = time.monotonic() - start
            if limit_s is not None and spent >= limit_s:
                self._let_end()
                return timed_out(limit_s)
            if chunk is not None and spent >= LATE_S:
                self._hand_over(chunk)
                chunk = None
            if on_slow is not None and spent >= SLOW_S:
                self._take_back()
                on_slow()
                on_slow = None
            if spent >= look_s:
                look_s = spent + self._output.look()
                self._look_at_board()
            looks = (
                look_s,
                spent + self._reports.flush_if_due(self._run),
                limit_s,
                None if chunk is None else LATE_S,
                None if on_slow is None else SLOW_S,
            )
            next_look_s = min(look for look in looks if look is not None)
            if not self._wait(next_look_s - spent):
                return None
            if self._memory_watch is not None and self._memory_watch.is_exceeded():
                watch = self._memory_watch
                self.stop(
                    f"it used {in_mib(watch.peak)} of memory and may use {in_mib(watch.limit)}"
                )
                return _too_much_memory(watch)

    def _look_at_board(self) -> None:
        """Show the executor what the program tells its tasks."""
        if not self._board_id:
            self._output.write_board(b"{}")  # another session's is none of its business
        elif self._run is not None and (data := self._read_board(self._run, self._board_id)):
            self._output.write_board(data)

    def _is_of_running(self, answer: Answer) -> bool:
        """Do what a call wants while it goes on; whether the answer was of this kind."""
        if isinstance(answer, Reported):
            self._reports.add(self._run, answer)
        elif isinstance(answer, AgentRequest):
            self._order(self._agent_reply(answer))
        else:
            return False
        return True

    def _agent_reply(self, request: AgentRequest) -> AgentReply:
        if request.task_id != self._task_id:
            return AgentReply(number=request.number, refusal="the task has ended")
        try:
            message = self._agent(request.operation, request.message)
        except Refusal as refusal:
            return AgentReply(number=request.number, refusal=str(refusal) or "refused")
        return AgentReply(number=request.number, message=message)

    def _take_answer(self) -> Answer | None:
        """What the executor has said; user code that wrote to its socket has killed it."""
        try:
            return self._inbox.take(answer_decoder)
        except FramingError:
            self.stop(_CUT_OFF_TEXT)
            return None

    def _let_end(self) -> None:
        """Ask the present run to end, and wait until it has, or is killed after the grace."""
        with self._lock:
            self._ask(self._grace_now_s)
        while self._wait(FIRST_LOOK_S):
            self._output.look()
            while (answer := self._take_answer()) is not None:
                self._is_of_running(answer)

    def _wait(self, left_s: float | None) -> bool:
        """Until something happens, at most ``left_s``; ``False`` when the executor is dead."""
        if self._memory_limit is not None:
            if self._memory_watch is None:
                self._memory_watch = MemoryWatch(self._process, self._memory_limit)
            next_s = self._memory_watch.interval_s
            left_s = next_s if left_s is None else min(left_s, next_s)
        # The system takes an int of milliseconds, which ends after 24 days: look again each day.
        wait_ms = None if left_s is None else min(left_s, _LONGEST_POLL_S) * 1000
        events = dict(self._poll.poll(wait_ms))
        ours = self._socket.fileno()
        if events.get(ours, 0) & select.POLLOUT:
            self._send()
        if events.get(ours, 0) & _READABLE:  # an answer before death counts
            return self._inbox.pump() or self._is_cut_off()
        return self._process.fileno() not in events or self._process.pump()

    def _is_cut_off(self) -> bool:
        """The socket has ended: the process has too, or a call has closed it."""
        if self._process.wait(_CUT_OFF_S) is None:
            self.stop(_CUT_OFF_TEXT)
        return False

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            self._unsent = _NOTHING  # a part, even an empty one, keeps all of it
        except BlockingIOError:
            self._poll.modify(self._socket, _READABLE | select.POLLOUT)
            self._is_blocked = True
            return
        except ConnectionError:  # dead: the wait that follows finds out
            self._unsent = _NOTHING
        if self._is_blocked:
            self._is_blocked = False
            self._poll.modify(self._socket, _READABLE)

    def stop(self, why: str = "") -> None:
        """Kill it, and wait until it and all that it started are gone."""
        if self.is_alive:
            self._fate = self._fate or why
            self._process.end()

    def _obituary(self, what: str = "the executor died while it ran the task") -> Failure:
        text = f"{what}: {self._cause()}"
        for name in ("stdout", "stderr"):
            if lines := self._output.last_lines(name):
                text += f"\nlast lines of {name}:\n{lines}"
        return self._with_output(describe(WorkerLostError(text)))

    def _with_output(self, failure: Failure) -> Failure:
        """The failure of the present call with what that has printed."""
        output, turns = self._output.last_of_present()
        if not output:
            return failure
        return msgspec.structs.replace(failure, output=output, output_turns=turns)

    def _cause(self) -> str:
        if self._fate:
            return f"pymonik killed it, because {self._fate}"
        if self._process.death is not None and self._process.death.status == CUT_OFF:
            return _CUT_OFF_TEXT
        return f"{self._process.death}{self._memory()}"

    def _memory(self) -> str:
        death = self._process.death
        peak = 0 if death is None else death.peak_bytes
        if self._memory_watch is not None:
            peak = max(peak, self._memory_watch.peak)
            return f", peak memory {in_mib(peak)} of {in_mib(self._memory_limit or 0)}"
        if self._memory_at_start is None or peak <= self._memory_at_start:
            return ""
        return f", peak memory {in_mib(peak)}"


def _start(
    fds: tuple[int, ...],
    given: tuple[str, ...],
    variables: Mapping[str, str],
    place: Place,
    outputs: tuple[int, int],
) -> Supervised:
    arguments = [*map(str, fds), *given]
    return Supervised(
        Plan("pymonik.executor", arguments, last=_needed_folders(), folder=place.folder),
        fds=fds,
        stdout=outputs[0],
        stderr=outputs[1],
        # Libraries read some of them when they are imported.
        variables={"PYTHONHASHSEED": _hash_seed(), **variables},
    )


@functools.cache
def _needed_folders() -> tuple[str, ...]:
    """Where the packages lie that pymonik itself needs in an executor.

    They may be in a folder that this process has on its path and an interpreter does not know of.
    """
    specs = (importlib.util.find_spec(name) for name in ("msgspec", "cloudpickle"))
    files = (spec.origin for spec in specs if spec is not None and spec.origin)
    return tuple(dict.fromkeys(os.path.dirname(os.path.dirname(file)) for file in files))  # noqa: PTH120 - as texts of `sys.path`


def _hash_seed() -> str:
    """The seed of hashes, equal in all executors: programs rely on it that divide data by hashes.

    A constant, since workers of one session run on many machines that share nothing. What it gives
    up, protection against chosen keys, tasks do not need: they run their users' code anyway.
    """
    given = os.environ.get("PYTHONHASHSEED", "random")
    return "0" if given == "random" else given


def timed_out(limit_s: float | None) -> TimedOut:
    """A run took longer than it may."""
    error = TaskTimeoutError(f"the task ran longer than its max_duration of {limit_s:g} s")
    return TimedOut(describe(error))


def _too_much_memory(watch: MemoryWatch) -> Failed:
    error = WorkerLostError(
        f"the task used more memory than its executor may: {in_mib(watch.peak)}, with all that it "
        f"started, of {in_mib(watch.limit)}"
    )
    return Failed(describe(error))
