"""`Dispatch`: what runners ask, that is tasks to run, how they end, and what they need meanwhile.

Bytes are written before the state is locked, and files of inputs are found, or made, after that.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.cluster.state import execution, submission
from pymonik.cluster.state.faults import NoRoom
from pymonik.cluster.state.rows import Effects, ResultStatus
from pymonik.cluster.state.unready import is_wanted, settled
from pymonik.cluster.state.work import Assignment, Lost, Outcome, Start, Succeeded, TaskOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymonik.cluster.locked_state import LockedState
    from pymonik.cluster.state.requested_options import RequestedOptions
    from pymonik.cluster.state.rows import Result, Session, Stored, Task
    from pymonik.cluster.state.tables import State
    from pymonik.cluster.storage import Storage

logger = logging.getLogger(__name__)

# Bytes of the small inputs that travel with a task, one more input at most: the others are files,
# whose paths travel.
MOST_BYTES = 1 << 14


class Dispatch:
    """Gives tasks to runners and learns from them; safe to use from any thread.

    Args:
        locked: The state.
        storage: Where bytes are.
    """

    def __init__(self, locked: LockedState, storage: Storage) -> None:
        self._locked = locked
        self._storage = storage
        self._changing = locked.changing
        self._ready = locked.ready
        self._on_cancel = locked.on_cancel

    def acquire(
        self, partition_id: str, *, pod_id: str, hostname: str, on_cancel: Callable[[str], None]
    ) -> Assignment | None:
        """Wait for a task of a partition: the highest priority first, then the oldest.

        Args:
            partition_id: A partition of this cluster.
            pod_id: Of the runner.
            hostname: Of the runner.
            on_cancel: Called with the task's ID when it is to be stopped, from another thread; it
                may happen before this call returns.

        Returns:
            The task, now DISPATCHED; ``None`` once the state is closed.
        """
        while True:
            taken = self._next_task(partition_id, pod_id, hostname, on_cancel)
            if taken is None:
                return None
            assignment = self._assignment(*taken, pod_id)
            if assignment is not None:
                return assignment

    def start(self, task_id: str, *, pod_id: str) -> Start:
        """The task starts now: DISPATCHED → PROCESSING, or it is to be dropped."""
        with self._changing as (state, now):
            answer = execution.start(state, task_id, pod_id, now)
            if answer is Start.DROP:
                self._let_go(state, task_id, pod_id)
            return answer

    def contribute(self, task_id: str, part: Succeeded) -> None:
        """The task created this and goes on; it exists from now on, however the task ends.

        Raises:
            Fault: It is refused, or the task does not run any more.
            OSError: The data cannot be stored.
        """
        stored = self._store_all(part)
        with self._changing as (state, now):
            execution.contribute(state, task_id, part, stored, now)

    def finish(self, task_id: str, outcome: Outcome, *, pod_id: str | None = None) -> None:
        """The task ended; what it created exists from now on, if it succeeded.

        Args:
            task_id: The task.
            outcome: How it ended.
            pod_id: Who says so, as to `acquire`: ignored if another has the task by now.
        """
        outcome, stored = self._stored(task_id, outcome)
        with self._changing as (state, now):
            self._let_go(state, task_id, pod_id)
            execution.finish(state, task_id, outcome, stored, now, pod_id=pod_id)

    def go_on(
        self,
        task_id: str,
        outcome: Outcome,
        waiting: int,
        most: int,
        *,
        next_id: str = "",
        partition_id: str,
        pod_id: str,
        hostname: str,
        on_cancel: Callable[[str], None],
    ) -> list[Assignment]:
        """`finish`, `acquire` and `start` in one step, without waiting.

        Args:
            task_id: As for `finish`.
            outcome: As for `finish`.
            waiting: How many tasks the runner has besides.
            most: How many it is to have; it gets fewer rather than have tasks wait for nothing.
            next_id: Of the task that the runner has and that begins now, if it has one.
            partition_id: As for `acquire`.
            pod_id: As for `acquire`.
            hostname: As for `acquire`.
            on_cancel: As for `acquire`.
        """
        outcome, stored = self._stored(task_id, outcome)
        with self._changing as (state, now):
            self._let_go(state, task_id, pod_id)
            execution.finish(state, task_id, outcome, stored, now, pod_id=pod_id)
            if next_id:
                execution.begin(state, next_id, now)
            # The lock is held, so none is taken after `drain` has looked at what runs.
            most = 0 if self._locked.closed or self._locked.draining else most
            tasks = execution.take_more(
                state, partition_id, waiting, most, pod_id=pod_id, hostname=hostname, now=now
            )
            taken = [self._taken(state, task, on_cancel) for task in tasks]
        assignments = [self._assignment(*one, pod_id) for one in taken]
        return [one for one in assignments if one is not None]

    def environment_settled(self, packages_id: str) -> None:
        """Tasks that have waited for this environment can run, or be told why not."""
        with self._changing as (state, _):
            settled(state, packages_id)

    def is_environment_wanted(self, packages_id: str) -> bool:
        """Whether a task that may still run waits for this environment."""
        with self._locked.reading() as state:
            return is_wanted(state, packages_id)

    def fetch(self, result_id: str) -> Path | None:
        """The file of a completed result of any session, else ``None``."""
        with self._locked.reading() as state:
            result = state.results.get(result_id)
            opaque_id = result.opaque_id if result and _is_completed(result) else ""
        return Path(self._storage.file(opaque_id)) if self._storage.exists(opaque_id) else None

    def content(self, result_id: str) -> bytes | None:
        """What a small result holds now; ``None`` if it has no data."""
        with self._locked.reading() as state:
            result = state.results.get(result_id)
            opaque_id = result.opaque_id if result and _is_completed(result) else ""
        if not opaque_id:
            return None
        try:
            small = self._storage.small(opaque_id)
            return Path(self._storage.file(opaque_id)).read_bytes() if small is None else small
        except (OSError, ValueError):  # it was replaced meanwhile
            return None

    def merge_options(self, session_id: str, requested: RequestedOptions | None) -> TaskOptions:
        """The options of a request for subtasks over those of the session.

        Options of single tasks are merged over the answer with `requested_options.merged`, since
        those are not validated.

        Raises:
            SessionNotFound: The session was deleted.
            Unknown: The partition is not one of the session's, or `max_duration` is missing.
            InvalidArgument: The priority is too high.
        """
        with self._locked.reading() as state:
            session = state.session(session_id)
            return submission.checked_options(state, session, requested)

    # Taking a task: under the lock, then its inputs.

    def _next_task(
        self, partition_id: str, pod_id: str, hostname: str, on_cancel: Callable[[str], None]
    ) -> tuple[Task, Session | None, dict[str, str]] | None:
        while True:
            with self._changing as (state, now):
                if self._locked.closed or self._locked.draining:
                    return None
                task = execution.acquire(
                    state, partition_id, pod_id=pod_id, hostname=hostname, now=now
                )
                if task is not None:
                    return self._taken(state, task, on_cancel)
                # `acquire` may have ended cancelled tasks. Whoever waits for those has to hear of
                # it before this thread sleeps, which the end of the block sees to: once more then.
                if state.effects == Effects():
                    self._ready[partition_id].wait()

    def _taken(
        self, state: State, task: Task, on_cancel: Callable[[str], None]
    ) -> tuple[Task, Session | None, dict[str, str]]:
        """What `_assignment` needs to know: the session, and the objects of the inputs."""
        # Under the lock in which the task was taken: a cancellation comes either before, and the
        # task is not given, or after, and finds whom to tell.
        self._on_cancel[task.task_id] = on_cancel
        inputs = state.known_results(task.inputs)
        objects = {one.result_id: one.opaque_id for one in inputs}
        session = state.sessions.get(task.session_id)
        return task, session, objects

    def _assignment(
        self, task: Task, session: Session | None, objects: dict[str, str], pod_id: str
    ) -> Assignment | None:
        """What a runner needs; ``None``, and an error, if the bytes of an input are gone."""
        try:
            return self._opened(task, session, objects)
        except (ValueError, OSError) as error:  # gone, or this process can open no more files
            logger.warning("an input of a task cannot be had: %s", error)
            with self._changing as (state, now):
                self._let_go(state, task.task_id, pod_id)
                execution.inputs_missing(state, task.task_id, pod_id, str(error), now)
            return None

    def _opened(self, task: Task, session: Session | None, objects: dict[str, str]) -> Assignment:
        # A result was deleted, with its session or alone, between the submission and now.
        if len(objects) != len(task.inputs):
            raise ValueError("the result does not exist any more")
        files, small = self._inputs(task, objects)
        return Assignment(
            task_id=task.task_id,
            session_id=task.session_id,
            payload_id=task.payload_id,
            files=files,
            data=small,
            data_dependencies=task.data_dependencies,
            expected_output_ids=task.expected_output_ids,
            options=task.options,
            attempt=len(task.retry_of_ids) + 1,
            worker_submission=session is not None and session.worker_submission,
        )

    def _inputs(
        self, task: Task, objects: Mapping[str, str]
    ) -> tuple[dict[str, str], dict[str, bytes]]:
        """The files of the objects, and what the small ones contain."""
        files: dict[str, str] = {}
        small: dict[str, bytes] = {}
        room = MOST_BYTES
        for result_id, opaque_id in objects.items():
            if result_id == task.payload_id:
                data = self._storage.small(opaque_id)
            else:
                # The first task of an input gets its bytes; for others it becomes a file: a
                # function of a thousand tasks is not sent to executors a thousand times.
                data = self._storage.first_use(opaque_id) if room > 0 else None
                room -= len(data or b"")
            where = self._file_or_bytes(opaque_id) if data is None else data
            if isinstance(where, str):
                files[result_id] = where
            else:
                small[result_id] = where
        return files, small

    def _file_or_bytes(self, opaque_id: str) -> str | bytes:
        """The file of an object; where there is no room to make one, the bytes in memory."""
        try:
            return self._storage.file(opaque_id)
        except OSError:
            if (data := self._storage.held(opaque_id)) is None:
                raise
            return data

    # Letting go of a task, and keeping what it made.

    def _let_go(self, state: State, task_id: str, pod_id: str | None) -> None:
        """Forget whom to tell about a cancellation, unless another pod has the task by now."""
        if pod_id is None or not execution.is_held_elsewhere(state, task_id, pod_id):
            self._on_cancel.pop(task_id, None)

    def _stored(self, task_id: str, outcome: Outcome) -> tuple[Outcome, dict[str, Stored]]:
        """What a task made, stored; or that it was lost, if that cannot be done."""
        if not isinstance(outcome, Succeeded):
            return outcome, {}
        try:
            return outcome, self._store_all(outcome)
        except OSError as error:
            logger.warning("cannot store the results of task %s: %s", task_id, error)
            return Lost(f"{execution.INTERNAL_ERROR}\n{NoRoom(str(error)).detail}"), {}

    def _store_all(self, outcome: Succeeded) -> dict[str, Stored]:
        return {result_id: self._store(data, result_id) for result_id, data in outcome.data.items()}

    def _store(self, data: bytes | Path, result_id: str) -> Stored:
        if isinstance(data, bytes):
            return self._storage.write(data, result_id)
        return self._storage.adopt(data, result_id)


def _is_completed(result: Result) -> bool:
    return result.status is ResultStatus.COMPLETED
