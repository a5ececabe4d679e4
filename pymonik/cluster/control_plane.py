"""The control plane: one lock around the pure state, and what its transitions ask of the world.

Services call it for clients, runners call it to get tasks and to report on them. Nothing slow
happens under the lock: bytes are written before it is taken, and objects are removed and runners
stopped after it is released.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pymonik.cluster.events import EventHub, Interest, Subscription
from pymonik.cluster.ids import new_id
from pymonik.cluster.state import execution, results, sessions, submission
from pymonik.cluster.state.faults import ObjectDataNotFound
from pymonik.cluster.state.rows import Effects, Result, ResultStatus, Session, Stored, Task
from pymonik.cluster.state.tables import State
from pymonik.cluster.state.work import Assignment, Lost, Outcome, Start, Succeeded, TaskOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pymonik.cluster.state.options import RequestedOptions
    from pymonik.cluster.state.rows import Partition
    from pymonik.cluster.state.submission import TaskCreation
    from pymonik.cluster.storage import Storage
    from pymonik.core.codec import Buffer

logger = logging.getLogger(__name__)

T = TypeVar("T")

MANY_TASKS = 16  # in a queue


def microseconds() -> int:
    """Now, in nanoseconds, as precise as ArmoniK keeps it."""
    return time.time_ns() // 1000 * 1000


class ControlPlane:
    """State, object storage and subscribers; safe to use from any thread.

    Args:
        partitions: The partitions, fixed for its life.
        storage: Where bytes are.
        default_partition: For sessions that name none; empty for "they must".
        max_priority: The highest that a submission may ask for.
        clock: Nanoseconds since the epoch.
        on_shrunk: Called when at least as many rows are gone as are left.
    """

    def __init__(
        self,
        partitions: Sequence[Partition],
        storage: Storage,
        *,
        default_partition: str = "",
        max_priority: int = 10,
        clock: Callable[[], int] = microseconds,
        on_shrunk: Callable[[], None] = lambda: None,
    ) -> None:
        self.storage = storage
        self._clock = clock
        self._on_shrunk = on_shrunk
        self._state = State(
            partitions, default_partition=default_partition, max_priority=max_priority
        )
        self._hub = EventHub()
        self._lock = threading.Lock()
        self._changing = _Changing(self._begin, self._end)
        self._ready = {key: threading.Condition(self._lock) for key in self._state.partitions}
        self._on_cancel: dict[str, Callable[[str], None]] = {}  # by task held by a runner
        self._closed = False

    # For runners.

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
            The task, now DISPATCHED; ``None`` once the control plane is closed.
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
                self._let_go(task_id, pod_id)
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
            self._let_go(task_id, pod_id)
            execution.finish(state, task_id, outcome, stored, now, pod_id=pod_id)

    def go_on(
        self,
        task_id: str,
        outcome: Outcome,
        waiting: int,
        most: int,
        *,
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
            partition_id: As for `acquire`.
            pod_id: As for `acquire`.
            hostname: As for `acquire`.
            on_cancel: As for `acquire`.
        """
        outcome, stored = self._stored(task_id, outcome)
        with self._changing as (state, now):
            self._let_go(task_id, pod_id)
            execution.finish(state, task_id, outcome, stored, now, pod_id=pod_id)
            most = 0 if self._closed else most
            tasks = execution.take_more(
                state, partition_id, waiting, most, pod_id=pod_id, hostname=hostname, now=now
            )
            for task in tasks:
                self._on_cancel[task.task_id] = on_cancel
            taken = [self._taken(task, on_cancel) for task in tasks]
        assignments = [self._assignment(*one, pod_id) for one in taken]
        return [one for one in assignments if one is not None]

    def _stored(self, task_id: str, outcome: Outcome) -> tuple[Outcome, dict[str, Stored]]:
        """What a task made, stored; or that it was lost, if that cannot be done."""
        if not isinstance(outcome, Succeeded):
            return outcome, {}
        try:
            return outcome, self._store_all(outcome)
        except OSError:
            logger.exception("cannot store the results of a task", extra={"task_id": task_id})
            return Lost(execution.INTERNAL_ERROR), {}

    def fetch(self, result_id: str) -> Path | None:
        """The file of a completed result of any session, else ``None``."""
        with self._lock:
            result = self._state.results.get(result_id)
            opaque_id = result.opaque_id if result and _is_completed(result) else ""
        return Path(self.storage.file(opaque_id)) if self.storage.exists(opaque_id) else None

    def merge_options(self, session_id: str, requested: RequestedOptions | None) -> TaskOptions:
        """The options of a request for subtasks over those of the session.

        Merge options of single tasks over the answer with `pymonik.cluster.state.options.merged`:
        those are not validated.

        Raises:
            SessionNotFound: The session was deleted.
            Unknown: The partition is not one of the session's, or `max_duration` is missing.
            InvalidArgument: The priority is too high.
        """
        with self._lock:
            session = self._state.session(session_id)
            return submission.checked_options(self._state, session, requested)

    def close(self) -> None:
        """End every `acquire` and every subscription."""
        with self._lock:
            self._closed = True
            self._notify_all()
            self._hub.stop()

    # For services: one method for each request that changes something.

    def create_session(self, options: TaskOptions, partition_ids: Sequence[str]) -> Session:
        """Open a session."""
        with self._changing as (state, now):
            return sessions.create(state, new_id(), options, partition_ids, now)

    def change_session(
        self,
        transition: Callable[[State, str, int], Session],
        session_id: str,
        view: Callable[[Session], T],
    ) -> T:
        """Apply one of the transitions of `pymonik.cluster.state.sessions`."""
        with self._changing as (state, now):
            return view(transition(state, session_id, now))

    def submit(
        self,
        session_id: str,
        requested: RequestedOptions | None,
        creations: Sequence[TaskCreation],
    ) -> list[Task]:
        """Create tasks."""
        with self._changing as (state, now):
            return submission.submit(
                state, session_id, requested, creations, new_id=new_id, now=now
            )

    def cancel_tasks(self, task_ids: Sequence[str], view: Callable[[Task], T]) -> list[T]:
        """Cancel tasks; gives those that exist."""
        with self._changing as (state, now):
            return [view(task) for task in execution.cancel_tasks(state, task_ids, now)]

    def create_results(
        self,
        session_id: str,
        creations: Iterable[tuple[str, bool, bytes | None]],
        view: Callable[[Result], T],
        *,
        for_workers: bool = False,
    ) -> list[T]:
        """Create results from names, whether they survive deletions, and bytes if there are.

        With `for_workers` small bytes are not made files.
        """
        store = self._hold if for_workers else self._store
        stored: list[tuple[str, str, bool, Stored | None]] = []
        try:
            for name, manual, data in creations:
                result_id = new_id()
                one = None if data is None else store(data, result_id)
                stored.append((result_id, name, manual, one))
        except OSError:  # all or nothing
            for _, _, _, one in stored:
                if one is not None:
                    self.storage.delete(one.opaque_id)
            raise
        with self._changing as (state, now):
            return [
                view(
                    results.create(
                        state,
                        result_id,
                        session_id,
                        name,
                        now,
                        manual_deletion=manual_deletion,
                        stored=one,
                    )
                )
                for result_id, name, manual_deletion, one in stored
            ]

    def upload(
        self,
        session_id: str,
        result_id: str,
        chunks: Iterable[Buffer],
        view: Callable[[Result, int | None], T],
    ) -> T:
        """Complete a result with a stream of bytes; the view also gets the last completion."""
        stored = self.storage.receive(chunks)
        with self._changing as (state, now):
            return view(*results.upload(state, session_id, result_id, stored, now))

    def import_data(
        self, session_id: str, imports: Sequence[tuple[str, str]], view: Callable[[Result], T]
    ) -> list[T]:
        """Complete results with objects that are in the storage."""
        sizes = {
            opaque_id: size
            for _, opaque_id in imports
            if (size := self.storage.size(opaque_id)) is not None
        }
        with self._changing as (state, now):
            return [
                view(result)
                for result in results.import_data(state, session_id, imports, sizes, now)
            ]

    def delete_data(self, result_ids: Sequence[str]) -> None:
        """Delete the bytes of results."""
        with self._changing as (state, _):
            results.delete_data(state, result_ids)

    # For services: reading.

    @contextmanager
    def reading(self) -> Iterator[State]:
        """The state, to look at while nothing changes."""
        with self._lock:
            yield self._state

    def download(self, result_id: str, chunk_size: int) -> Iterator[bytes]:
        """The bytes of a result, whatever its session."""
        with self._lock:
            opaque_id = self._state.result(result_id).opaque_id
        if not self.storage.exists(opaque_id):
            raise ObjectDataNotFound(f"result {result_id} has no data")
        return self.storage.read(opaque_id, chunk_size)

    def is_busy(self) -> bool:
        """Whether many tasks wait for a runner, as it looks without holding the lock."""
        return any(len(queue) >= MANY_TASKS for queue in self._state.queues.values())

    def subscribe(self, interest: Interest) -> Subscription:
        """The changes of a session from now on, after the rows that exist."""
        with self._lock:
            subscription = self._hub.subscribe(
                interest,
                self._state.tasks_of.get(interest.session_id, {}).values(),
                self._state.results_of.get(interest.session_id, {}).values(),
                self._leave,
            )
            if self._closed:
                subscription.stop()
            return subscription

    # Inside.

    def _begin(self) -> tuple[State, int]:
        self._lock.acquire()
        return self._state, self._clock()

    def _end(self) -> None:
        try:
            effects = self._state.take_effects()
            stops = self._announce(effects)
        finally:
            self._lock.release()
        for on_cancel, task_id in stops:
            on_cancel(task_id)
        for opaque_id in effects.garbage:
            self.storage.delete(opaque_id)
        if effects.shrunk:
            self._on_shrunk()

    def _announce(self, effects: Effects) -> list[tuple[Callable[[str], None], str]]:
        """Tell subscribers and waiting runners; gives whom to call about tasks to stop."""
        self._hub.publish(effects.changes)
        for partition_id in effects.ready:
            self._ready[partition_id].notify()
        return [
            (self._on_cancel.pop(task_id), task_id)
            for task_id in effects.stopped
            if task_id in self._on_cancel
        ]

    def _next_task(
        self, partition_id: str, pod_id: str, hostname: str, on_cancel: Callable[[str], None]
    ) -> tuple[Task, Session | None, dict[str, str]] | None:
        while True:
            with self._changing as (state, now):
                if self._closed:
                    return None
                task = execution.acquire(
                    state, partition_id, pod_id=pod_id, hostname=hostname, now=now
                )
                if task is not None:
                    return self._taken(task, on_cancel)
                if not state.effects.changes:
                    self._ready[partition_id].wait()

    def _taken(
        self, task: Task, on_cancel: Callable[[str], None]
    ) -> tuple[Task, Session | None, dict[str, str]]:
        """What `_assignment` needs to know: the session, and the objects of the inputs."""
        self._on_cancel[task.task_id] = on_cancel
        inputs = self._state.known_results(task.inputs)
        objects = {one.result_id: one.opaque_id for one in inputs}
        session = self._state.sessions.get(task.session_id)
        return task, session, objects

    def _assignment(
        self, task: Task, session: Session | None, objects: dict[str, str], pod_id: str
    ) -> Assignment | None:
        """What a runner needs; ``None``, and an error, if the bytes of an input are gone."""
        assignment = self._opened(task, session, objects)
        if assignment is None:
            with self._changing as (state, now):
                self._let_go(task.task_id, pod_id)
                execution.inputs_missing(state, task.task_id, pod_id, now)
        return assignment

    def _opened(
        self, task: Task, session: Session | None, objects: dict[str, str]
    ) -> Assignment | None:
        if len(objects) != len(task.inputs):
            return None
        try:
            payload = self.storage.small(objects[task.payload_id])
            if payload is not None:
                del objects[task.payload_id]
            files = {key: self.storage.file(opaque_id) for key, opaque_id in objects.items()}
        except (ValueError, FileNotFoundError):
            return None
        return Assignment(
            task_id=task.task_id,
            session_id=task.session_id,
            payload_id=task.payload_id,
            inputs=files,
            data_dependencies=task.data_dependencies,
            expected_output_ids=task.expected_output_ids,
            options=task.options,
            attempt=len(task.retry_of_ids) + 1,
            worker_submission=session is not None and session.worker_submission,
            payload=payload,
        )

    def _let_go(self, task_id: str, pod_id: str | None) -> None:
        """Forget whom to tell about a cancellation, unless another pod has the task by now."""
        if pod_id is None or not execution.is_held_elsewhere(self._state, task_id, pod_id):
            self._on_cancel.pop(task_id, None)

    def _store_all(self, outcome: Succeeded) -> dict[str, Stored]:
        return {result_id: self._store(data, result_id) for result_id, data in outcome.data.items()}

    def _hold(self, data: bytes, result_id: str) -> Stored:
        return Stored(self.storage.hold(data, result_id), len(data))

    def _store(self, data: bytes | Path, result_id: str) -> Stored:
        if isinstance(data, bytes):
            return Stored(self.storage.write(data, result_id), len(data))
        size = data.stat().st_size
        return Stored(self.storage.adopt(data, result_id), size)

    def _leave(self, subscription: Subscription) -> None:
        with self._lock:
            self._hub.leave(subscription)

    def _notify_all(self) -> None:
        for condition in self._ready.values():
            condition.notify_all()


class _Changing:
    """Hold the lock for a transition, announce it, then carry out what is slow.

    A refused request has effects too: a purge deletes data before it is refused. One object serves
    all threads, many times for each task.
    """

    def __init__(self, begin: Callable[[], tuple[State, int]], end: Callable[[], None]) -> None:
        self._begin = begin
        self._end = end

    def __enter__(self) -> tuple[State, int]:
        return self._begin()

    def __exit__(self, *_: object) -> None:
        self._end()


def _is_completed(result: Result) -> bool:
    return result.status is ResultStatus.COMPLETED
