"""A slot that runs tasks of pymonik in the executors of this machine.

The counterpart of `foreign` without gRPC: acquire, run in the pool, finish. What an executor
reports names new results by stand-ins; here they get their IDs.

::

    acquire ─► start ─► pool.run_line ─► ended: go_on (finish this, acquire and start the next)
                             ▲    │         │
                             │    │ slow    │ several if the queue is long and tasks are short
                             │    ▼         │
                             │  not_begun   │
                             └──────────────┘
"""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymonik.cluster.ids import new_id
from pymonik.cluster.state.faults import Fault, SubmissionClosed
from pymonik.cluster.state.requested_options import RequestedOptions
from pymonik.cluster.state.work import (
    Assignment,
    Failed,
    Lost,
    NewResult,
    NewTask,
    Outcome,
    Released,
    Start,
    Stopped,
    Succeeded,
    TaskOptions,
    TimedOut,
    Waiting,
)
from pymonik.code.failure import describe
from pymonik.content import objects
from pymonik.errors import ControlPlaneError
from pymonik.executor import endings
from pymonik.executor.ahead import DEPTH, SLOW_S
from pymonik.executor.frames import Report, Run, Subtask
from pymonik.executor.line import Call
from pymonik.executor.nonces import nonce_of
from pymonik.executor.packed_options import packed
from pymonik.executor.submission import bind
from pymonik.options import MAX_PRIORITY
from pymonik.options import TaskOptions as UserOptions
from pymonik.wire.error_text import error_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import msgspec

    from pymonik.cluster.dispatch import Dispatch
    from pymonik.cluster.runners.task_agent import ExecutorAgent
    from pymonik.executor.endings import Ending
    from pymonik.executor.pool import ExecutorPool
    from pymonik.wire.failure import Failure

logger = logging.getLogger(__name__)

LONGEST_CALL_S = 365 * 86_400.0  # a year: no wait may be as long as a `timedelta` can be
NO_RETRY = -1  # zero means "inherit" in ArmoniK
# Seconds between two attempts to cancel a task in the pool, and how many: 5 s. There is a moment
# between the state, which says that this slot has a task, and the pool, which does not know of it
# yet.
CANCEL_AGAIN_S, CANCEL_TRIES = 0.02, 250


class ExecutorSlot:
    """The thread that gives tasks of one partition to the pool: one, and short ones behind it.

    Args:
        dispatch: Where tasks come from.
        partition_id: The partition served.
        pool: Runs them; has a place for each slot.
        folder: A folder for this slot's large results, on the file system of the storage.
        hostname: Shown as the host of the tasks' pod.

    Attributes:
        ready: Done at once: the first task waits for its executor.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        partition_id: str,
        pool: ExecutorPool,
        folder: Path,
        *,
        hostname: str,
    ) -> None:
        self.ready: Future[None] = Future()
        self.ready.set_result(None)
        self._dispatch = dispatch
        self._pool = pool
        self._folder = folder
        self._pod_id = folder.name
        self._last_options: tuple[TaskOptions, msgspec.Raw] | None = None
        self._pod: dict[str, Any] = {
            "partition_id": partition_id,
            "pod_id": self._pod_id,
            "hostname": hostname,
            "on_cancel": self._cancel,
        }
        self._acquire = partial(dispatch.acquire, **self._pod)
        self._changed = threading.Condition()  # guards the two below
        self._held: dict[str, Assignment] = {}  # tasks that run here, or are going to
        self._is_going_on = False  # the state has given tasks that are not yet among them
        self._since = 0.0  # when the running task began
        self._left_files = False  # whether a call may have left files in `_folder`, see `_clean`
        self._agent: ExecutorAgent | None = None  # of the running task, if it has asked for one
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"slot {self._pod_id}")

    def start(self) -> None:
        """Start the thread."""
        objects.make(self._folder)
        self._thread.start()

    def stop(self) -> None:
        """Take no more tasks; closing the pool and the state ends the running one."""
        self._stopping.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the thread has ended; whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set() and self._run_line():
            pass

    def _run_line(self) -> bool:
        """Wait for a task, run it and those that follow it; false when there will be no more.

        A method, so that nothing of a task is kept while waiting for the next.
        """
        assignment = self._acquire()
        if assignment is None:
            return False
        with self._changed:
            self._held[assignment.task_id] = assignment
        try:
            if self._dispatch.start(assignment.task_id, pod_id=self._pod_id) is Start.RUN:
                self._since = time.monotonic()
                self._pool.run_line(self._call(assignment), self)
        except Exception as error:
            # A slot outlives whatever a task brings about; the client gets to read it.
            logger.exception("task %s could not be run", assignment.task_id)
            self._lose(error)
        with self._changed:
            self._held.clear()
            self._changed.notify_all()
        self._last_options = None
        if self._left_files:  # else the storage has every file
            self._left_files = not self._clean()
        return True

    def _call(self, assignment: Assignment) -> Call:
        limit_s = assignment.options.max_duration.total_seconds()
        run = Run(
            task_id=assignment.task_id,
            session_id=assignment.session_id,
            attempt=assignment.attempt,
            files=assignment.files,
            data=assignment.data,
            payload_id=assignment.payload_id,
            output_id=next(iter(assignment.expected_output_ids), ""),
            packed_options=self._travelling(assignment.options),
            folder=str(self._folder),
        )
        return Call(
            run,
            min(limit_s, LONGEST_CALL_S),
            lambda report: self._hand_over(report, assignment),
            agent=partial(self._ask_agent, assignment),
        )

    # What the pool tells, in the slot's thread.

    def ended(self, call: Call, ending: Ending) -> Sequence[Call]:
        """A task ended; those that follow are PROCESSING from now on."""
        if self._stopping.is_set():
            return ()
        assignment = self._held[call.run.task_id]
        outcome = self._outcome(ending, assignment)
        self._agent = None
        waiting = len(self._held) - 1
        most = self._most(outcome, waiting)
        with self._changed:
            self._is_going_on = True
        held = dict(self._held)  # `finally` restores this if `go_on` raises
        # Dicts keep the order of insertion, in which the executor has the runs.
        follows = next((one for one in held if one != assignment.task_id), "")
        try:
            more = self._dispatch.go_on(
                assignment.task_id, outcome, waiting, most, next_id=follows, **self._pod
            )
            del held[assignment.task_id]
            held.update((one.task_id, one) for one in more)
        finally:
            with self._changed:
                self._is_going_on, self._held = False, held
                self._changed.notify_all()
        if isinstance(outcome, Waiting) and self._pool.is_settled(outcome.packages_id):
            # The environment was settled after the pool has looked and before the task began to
            # wait.
            self._dispatch.environment_settled(outcome.packages_id)
        return [self._call(one) for one in more]

    def not_begun(self, call: Call) -> None:
        """A task that was to follow goes back to the queue: who is free can take it."""
        if not self._stopping.is_set():
            self._dispatch.finish(call.run.task_id, Released(), pod_id=self._pod_id)
        with self._changed:
            self._held.pop(call.run.task_id, None)
            self._changed.notify_all()

    def _most(self, outcome: Outcome, waiting: int) -> int:
        """How many tasks to have now: more than one if all take no longer than this one did.

        Several are taken at a time, when half of them are done.
        """
        before, self._since = self._since, time.monotonic()
        spent = self._since - before
        self._left_files |= not isinstance(outcome, Succeeded | Waiting)
        if self._left_files:
            return 0
        # As many as end within `SLOW_S`, after which those that wait would be given back.
        most = 1 + int(min(SLOW_S / max(spent, 1e-6), DEPTH - 1))
        if waiting > most // 2:
            return waiting  # enough for now
        return most

    def _outcome(self, ending: Ending, assignment: Assignment) -> Outcome:
        try:
            return self._translated(ending, assignment)
        except Exception as error:
            # A slot outlives whatever a task brings about; the client gets to read it.
            logger.exception("task %s could not be run", assignment.task_id)
            return Lost(_told(describe(error), assignment))

    def _lose(self, error: Exception) -> None:
        for task_id, assignment in list(self._held.items()):
            lost = Lost(_told(describe(error), assignment))
            self._dispatch.finish(task_id, lost, pod_id=self._pod_id)

    def _hand_over(self, report: Report, assignment: Assignment) -> list[str]:
        """Have subtasks run while the task that submits them goes on."""
        bound = bind(report, lambda _stand_in: new_id())
        self._dispatch.contribute(assignment.task_id, self._made(bound, assignment))
        return [subtask.output for subtask in bound.subtasks]

    def _ask_agent(self, assignment: Assignment, operation: str, message: bytes) -> bytes:
        """The function of the running task has asked the agent for something."""
        if self._agent is None or self._agent.task_id != assignment.task_id:
            # The cluster imports gRPC while its executors start, not before: it takes 0.1 s.
            from pymonik.cluster.runners.task_agent import ExecutorAgent

            self._agent = ExecutorAgent(self._dispatch, assignment, self._folder)
            self._left_files = True  # the folder of the agent goes when the line has ended
        return self._agent.ask(operation, message)

    def _travelling(self, options: TaskOptions) -> msgspec.Raw:
        """Options for the executor; tasks of one request have the same, one after the other."""
        if self._last_options is None or self._last_options[0] is not options:
            self._last_options = options, packed(_shown(options))
        return self._last_options[1]

    def _translated(self, ending: Ending, assignment: Assignment) -> Outcome:
        if isinstance(ending, Report):
            return self._success(ending, assignment)
        if isinstance(ending, endings.Failed):
            return Failed(_told(ending.failure, assignment))
        if isinstance(ending, endings.Waiting):
            return Waiting(ending.packages_id)
        if isinstance(ending, endings.Retry | endings.Lost):
            return Lost(_told(ending.failure, assignment))
        return TimedOut() if isinstance(ending, endings.TimedOut) else Stopped()

    def _success(self, report: Report, assignment: Assignment) -> Outcome:
        bound = bind(report, lambda _stand_in: new_id())
        try:
            made = self._made(bound, assignment)
            return made if self._agent is None else self._agent.with_report(made)
        except Fault as fault:
            error = ControlPlaneError("submit subtasks", fault.detail)
            return Failed(_told(describe(error), assignment))

    def _made(self, bound: Report, assignment: Assignment) -> Succeeded:
        return Succeeded(
            created=[NewResult(one.stand_in, one.name) for one in bound.created],
            data=_data(bound, assignment),
            tasks=[self._subtask(one, assignment) for one in bound.subtasks],
            forgotten=bound.forgotten,
        )

    def _subtask(self, subtask: Subtask, assignment: Assignment) -> NewTask:
        if not assignment.worker_submission:
            raise SubmissionClosed("Worker submission is closed")
        requested = _requested(subtask.options, assignment.options)
        return NewTask(
            task_id=new_id(),
            payload_id=subtask.payload,
            expected_output_ids=[subtask.output],
            data_dependencies=subtask.dependencies,
            options=self._dispatch.merge_options(assignment.session_id, requested),
            owns_payload=True,
        )

    def _cancel(self, task_id: str) -> None:
        """The task is to be stopped; called from another thread."""
        for _ in range(CANCEL_TRIES):  # the pool may not know of the task yet, or it waits
            with self._changed:
                if task_id not in self._held and not self._is_going_on:
                    return
            self._pool.cancel(task_id)
            with self._changed:
                if task_id in self._held or self._is_going_on:
                    self._changed.wait(CANCEL_AGAIN_S)

    def _clean(self) -> bool:
        """Remove what a call that failed, or a killed executor, has left in its folder.

        False where that cannot be done now, for want of a descriptor perhaps: a later task does it.
        """
        try:
            large = objects.large_folder(self._folder)
            for path in itertools.chain(self._folder.iterdir(), large.iterdir()):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != objects.LARGE_FOLDER:
                    path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the folder of a slot could not be emptied: %s", error)
            return False
        return True


def _told(failure: Failure, assignment: Assignment) -> str:
    """The error of the task; only whoever has the session's nonce believes its last line."""
    payload_id = assignment.payload_id
    payload = assignment.data.get(payload_id) or assignment.files.get(payload_id)
    return error_text(failure, nonce_of(payload))


def _data(report: Report, assignment: Assignment) -> dict[str, bytes | Path]:
    data: dict[str, bytes | Path] = {}
    for one in report.created:
        if one.path is not None:
            data[one.stand_in] = Path(one.path)
        elif one.data is not None:
            data[one.stand_in] = one.data
    for output_id in assignment.expected_output_ids[:1]:
        if report.output_path is not None:
            data[output_id] = Path(report.output_path)
        elif report.output is not None:
            data[output_id] = report.output
    return data


def _shown(options: TaskOptions) -> UserOptions:
    """The options as the function sees them; what only other clients can say is left out."""
    return UserOptions(
        max_duration=options.max_duration or None,  # other clients may say zero
        priority=min(options.priority, MAX_PRIORITY) if options.priority > 0 else None,
        max_retries=max(options.max_retries, 0),
        partition_id=options.partition_id,
        options=dict(options.options),
        application_name=options.application_name or None,
        application_version=options.application_version or None,
        application_namespace=options.application_namespace or None,
        application_service=options.application_service or None,
        engine_type=options.engine_type or None,
    )


def _requested(options: UserOptions, parent: TaskOptions) -> RequestedOptions:
    """What a subtask asks for; what it does not say is its parent's."""
    retries = parent.max_retries if options.max_retries is None else options.max_retries
    return RequestedOptions(
        max_duration=options.max_duration or parent.max_duration,
        max_retries=retries or NO_RETRY,
        priority=options.priority or parent.priority,
        partition_id=options.partition_id or parent.partition_id,
        options=options.options,
        application_name=options.application_name or "",
        application_version=options.application_version or "",
        application_namespace=options.application_namespace or "",
        application_service=options.application_service or "",
        engine_type=options.engine_type or "",
    )
