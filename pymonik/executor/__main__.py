"""``python -m pymonik.executor``: the child process; its parent starts it, nobody else.

Arguments: the numbers of the socket, of the pipe and of the journal (see
`pymonik.executor.claims`), of the pipe and of the runs sent ahead (see `pymonik.executor.ahead`),
of the page of the stop request, of the marks (see `pymonik.executor.output_marks`), the memory
limit in bytes (0: none), the folder of packages (empty: none), whether files of the program may be
read where it has them (0 or 1), the number of the executor, the folder of the zip that its handlers
are in (empty: none), whether its current folder is its own (0 or 1).
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING

import msgspec

from pymonik.code import first_party, main_module
from pymonik.code.finder import bundles
from pymonik.code.settings import baselines
from pymonik.code.spawned import MainSpec
from pymonik.errors import ControlPlaneError, UsageError
from pymonik.executor import task_logging
from pymonik.executor.ahead import Behind
from pymonik.executor.cache import FunctionCache
from pymonik.executor.channel import order_decoder
from pymonik.executor.claims import Claims
from pymonik.executor.endings import CUT_OFF
from pymonik.executor.frames import (
    AgentReply,
    AgentRequest,
    HandedOver,
    Ready,
    Reported,
    Retires,
    Run,
)
from pymonik.executor.installed import stand_in_site_packages
from pymonik.executor.limits import limit_reservations, memory_error
from pymonik.executor.mappings import IDLE_S, inputs
from pymonik.executor.measures import Here
from pymonik.executor.output_marks import Marks
from pymonik.executor.printed import Printed, flush_c
from pymonik.executor.reporting import Reporting
from pymonik.executor.run import execute
from pymonik.executor.standard_streams import flush, set_up
from pymonik.executor.stop_request import StopRequest
from pymonik.executor.surroundings import Surroundings
from pymonik.executor.usage import peak_memory
from pymonik.wire.framing import Inbox, framed

# Items of a chunk that take less (seconds) get `put_back_little` instead of `put_back`: in so short
# a time a call starts no process, so what it may have changed is known, and a whole look (20 µs)
# would cost more than the item.
_NO_TIME_S = 0.001

if TYPE_CHECKING:
    from pymonik.executor.channel import Outcome
    from pymonik.wire.call import ResultRef


def main() -> None:
    """Answer runs until the parent closes the socket."""
    gc.enable()  # see `ENABLE_COLLECTION` of `pymonik.launch.entry`
    # The order is that of the command line that `pymonik.executor.process` builds; see the top of
    # this module.
    fds, given = [int(fd) for fd in sys.argv[1:8]], sys.argv[8:14]
    fd, pipe, journal, ahead, runs, page, marks = fds
    memory_limit, packages, originals, number, archive, has_own_folder = given
    for ours in fds:
        os.set_inheritable(ours, False)  # noqa: FBT003 - what user code starts has no business with them
    _die_with_parent(fd)
    # Sizes of both files are asked for by these copies: calls may close or redirect 1 and 2.
    outputs = os.dup(1), os.dup(2)
    shared = Marks(marks)
    printed = Printed(outputs, shared)
    set_up(printed)
    task_logging.set_up()
    _set_up_path(packages, archive)
    # Calls of several programs take turns here, so `__main__` is set before each of them.
    main_module.take_turns(MainSpec)
    # User code that parses `sys.argv` must not find the numbers of our descriptors.
    del sys.argv[1:]
    # Only the client compares variables of modules with what the files give; here it would be
    # wasted.
    baselines.is_watching = False
    bundles.uses_originals = originals == "1"
    Here.executor = int(number)
    sock = socket.socket(fileno=fd)
    behind = Behind((ahead, runs))
    stop_request = StopRequest(page)
    # Both files are mapped by now, and a mapping outlives the descriptor that it was made from.
    for mapped in (page, marks):
        os.close(mapped)
    claims = Claims(pipe, journal)
    surroundings = Surroundings(
        [fd, pipe, journal, ahead, runs, *outputs], has_own_folder=has_own_folder == "1"
    )
    share = _Share(sock, claims, behind, stop_request, surroundings, printed, shared)
    signal.signal(signal.SIGINT, share.interrupt)
    # After SIGINT has our handler: the handlers that are learnt here are those that each call
    # finds.
    surroundings.handlers.learn()
    _serve(sock, share, int(memory_limit))
    _settle_spans()
    # Threads that user code left behind must not keep the process.
    os._exit(0)


def _settle_spans() -> None:
    """Wait until the last spans have left, where calls were followed."""
    if (module := sys.modules.get("pymonik.executor.span_exports")) is not None:
        module.exports.settle()


def _serve(sock: socket.socket, share: _Share, memory_limit: int) -> None:
    functions = FunctionCache()
    owner = os.getpid()
    sock.sendall(framed(Ready(memory=peak_memory())))
    while (run := share.next_run()) is not None:
        share.begin(run.task_id)
        inputs.begin_call(run.files.values())
        answer = _answer(run, functions, share, memory_limit)
        if not answer.task_id:
            answer = msgspec.structs.replace(answer, task_id=run.task_id)
        frame = framed(answer)
        share.flush()
        if os.getpid() != owner:
            os._exit(0)  # a fork that user code made came back: it is not the executor
        # From `end` on no signal and no timer of this run can meet the next one; only then the
        # answer leaves.
        share.end()
        share.send_bytes(frame)
        # After the answer has left, so the caller does not wait for the 20 µs; the next run does.
        share.put_back()
        inputs.end_call()


class _Share:
    """The orders of the parent: runs, what it takes back of one, and that one is to end."""

    def __init__(
        self,
        sock: socket.socket,
        claims: Claims,
        behind: Behind,
        stop_request: StopRequest,
        surroundings: Surroundings,
        printed: Printed,
        marks: Marks,
    ) -> None:
        self.claims = claims
        self.printed = printed
        self._marks = marks
        self.reporting = Reporting(self.send, printed, marks)
        # Two frames that are written at the same time would be mixed up on the socket: threads of a
        # call report while the main thread answers.
        self._sending = threading.Lock()
        # Guards the four attributes below, and reading from the inbox during a run: threads of a
        # call ask the agent while the main thread waits for `HandedOver`.
        self._reading = threading.Lock()
        self._owner = os.getpid()  # children that user code forks have this object too
        self._runs = ""  # id of the task that may ask the agent; "" between two runs
        self._asked = 0  # requests to the agent so far: the number of the last one
        self._handed: HandedOver | None = None  # read while a thread waited for the agent's reply
        self._sock = sock
        self._inbox = Inbox(sock)
        self._behind = behind
        self._stop_request = stop_request
        self._surroundings = surroundings
        self._streams = surroundings.streams
        self._is_flushed = False  # whether the streams were flushed when the only call ended
        self._reason = ""  # why this executor retires after the present run; "" if it does not
        self._number = 0  # of the present run, as the parent counts them too
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._poll.register(behind.fd, select.POLLIN)

    def begin(self, task_id: str) -> None:
        """A run begins."""
        self._runs = task_id
        self._is_flushed = False
        self._number += 1
        # `running` is written before `end_if_asked` reads `asked`, and the parent does it the other
        # way round: one of the two always sees the other (see `stop_request`).
        self._stop_request.begin(self._number)
        self.printed.begin_run(self._number)
        self.end_if_asked()

    def end(self) -> None:
        """The run has ended, and its answer is about to leave."""
        with self._reading:  # the parent answers a thread that asks; from here on, we read
            self._runs = ""
            self._handed = None
        self._stop_request.end()
        self.printed.end_run()
        # A timer would kill the executor after the answer, and with it a call that is not to blame.
        self._surroundings.put_back_timers()
        self.end_if_asked()
        # The call has closed or replaced our socket, so the exit code is all that the parent can be
        # told.
        if not self._surroundings.can_answer:
            os._exit(CUT_OFF)

    def put_back(self) -> None:
        """Put back what the run has changed; an executor in which that cannot be done ends."""
        reason = self._surroundings.put_back()
        if reason := self._reason or reason:
            self.send_bytes(framed(Retires(reason=reason)))  # no call begins here any more
            _settle_spans()
            os._exit(0)

    def item_ended(self, place: int, seconds: float) -> None:
        """A call of several has ended."""
        if self._stop_request.was_asked(self._number):
            self.end_if_asked()
        are_there = self._streams.flush()
        if seconds < _NO_TIME_S:
            self.printed.ended(place, seconds)
            self._surroundings.put_back_little(are_there=are_there)
            return
        # C's own buffer must be empty before the sizes of the files are compared, or its text would
        # count for the next call.
        flush_c()
        self.printed.ended(place, seconds)
        self._surroundings.put_back_timers()
        self._reason = self._reason or self._surroundings.put_back()

    def call_ended(self, seconds: float) -> None:
        """The only call of a task has ended."""
        flush()
        flush_c()
        self._is_flushed = True
        self.printed.ended(0, seconds)

    def flush(self) -> None:
        """What the calls of the run have printed leaves, unless it has."""
        if not self._is_flushed:
            flush()

    def end_if_asked(self) -> None:
        """End this process if the present run was asked to end: nothing may begin after it."""
        if self._stop_request.was_asked(self._number):
            flush()
            os._exit(0)

    def sends(self, *, is_sending: bool) -> None:
        """Say whether spans of the calls are leaving."""
        self._marks.send(is_sending=is_sending)

    def is_stopping(self) -> bool:
        """Whether the running call is to come to its end."""
        return self._stop_request.is_stopping()

    def interrupt(self, *_: object) -> None:
        """SIGINT, of the parent or of anybody else: only a call is interrupted."""
        if self._stop_request.running:
            raise KeyboardInterrupt

    def send(self, frame: Reported) -> None:
        """Send a frame to the parent; from any thread."""
        self.send_bytes(framed(frame))

    def send_bytes(self, data: bytes) -> None:
        """Send frames that are encoded already."""
        with self._sending:
            self._sock.sendall(data)

    def is_loaded(self) -> None:
        """Tell the parent that the modules of the calls are imported: their time begins."""
        self.send_bytes(framed(Ready(memory=peak_memory())))

    def next_run(self) -> Run | None:
        """The next task; ``None`` when the parent is gone."""
        while True:
            if (run := self._behind.claim()) is not None:
                return run
            if not self._inbox.has_some() and not self._comes():
                continue
            order = self._inbox.wait(order_decoder)
            # A `HandedOver` or `AgentReply` that comes between two runs is of a run that ended
            # before it read it: its chunk had failed, or its thread was interrupted.
            if not isinstance(order, HandedOver | AgentReply):
                return order

    def _comes(self) -> bool:
        """Wait for something; whether it is an order."""
        # Only an executor that keeps mappings wakes after `IDLE_S`, to give them up; others sleep
        # until there is a run.
        found = self._poll.poll(IDLE_S * 1000 if inputs else None)
        if not found:
            inputs.clear()
        return any(fd != self._behind.fd for fd, _ in found)

    def handed_over(self) -> list[ResultRef]:
        """Where the values of the calls will stand that were taken away: the last ones."""
        with self._reading:
            while self._handed is None:
                self._next_order()
            handed, self._handed = self._handed, None
            return handed.items

    def ask_agent(self, task_id: str, operation: str, message: bytes) -> bytes:
        """Have ArmoniK's agent do something for the running task; from any thread of it.

        Raises:
            UsageError: The task does not run any more, or not in this process.
            ControlPlaneError: The agent refuses it.
        """
        if os.getpid() != self._owner:
            raise UsageError("task_handler works in the process of the task, not in its children")
        with self._reading:
            if task_id != self._runs:
                raise UsageError("the task of this task_handler has ended")
            self._asked += 1
            number = self._asked
            request = AgentRequest(
                task_id=task_id, number=number, operation=operation, message=message
            )
            self.send_bytes(framed(request))
            # An interrupt may have left a request whose reply is still on its way: replies are told
            # apart by number.
            while (reply := self._next_order()) is None or reply.number != number:
                pass  # the reply to a request that was interrupted
        if reply.refusal:
            raise ControlPlaneError(operation, reply.refusal)
        return reply.message

    def _next_order(self) -> AgentReply | None:
        """Read what comes during a run; what was handed over is kept. The lock is held."""
        order = self._inbox.wait(order_decoder)
        if isinstance(order, AgentReply):
            return order
        if not isinstance(order, HandedOver):
            os._exit(0)  # the parent is gone
        self._handed = order
        return None


def _answer(run: Run, functions: FunctionCache, share: _Share, memory_limit: int) -> Outcome:
    if not memory_limit:
        return execute(run, functions, share)
    limit_reservations(memory_limit, run.files.values())
    return execute(run, functions, share, lambda: memory_error(memory_limit))


def _set_up_path(packages: str, archive: str) -> None:
    """The current folder last, so that it hides no module; an archive first, as AWS has it."""
    # An interpreter that is started with `-m` or `-c` has the current folder first, where a file
    # `random.py` would hide that of the standard library.
    if sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - compared as text
        sys.path.append(sys.path.pop(0))
    if archive:
        from pymonik.launch.read_only import make_read_only  # few executors have one

        make_read_only(archive)
        sys.path.insert(0, archive)
        first_party.installed_in(archive)
    if packages:
        stand_in_site_packages(packages)
        first_party.installed_in(packages)  # else they would count as files of the program


def _die_with_parent(fd: int) -> None:
    """End when the parent does, in the middle of a call too; on Linux the kernel sees to it."""
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(fd,), name="lifeline", daemon=True).start()


def _watch(fd: int) -> None:
    """Wait until the other end is closed, without reading."""
    poll = select.poll()
    poll.register(fd, 0)
    poll.poll()
    # SIGKILL, since a call in C code would not let a Python handler run, nor `sys.exit` in a thread
    # end it.
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
