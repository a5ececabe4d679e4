"""The life of a session.

    ┌── pause ──► PAUSED ── close ──┐
RUNNING ◄─ resume ──┘               ├──► CLOSED ── purge ──► PURGED
    ├──────────── close ────────────┘      │ cancel             ▲
    └── cancel (also from PAUSED) ──► CANCELLED ──── purge ─────┘
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pymonik.cluster.state.faults import (
    InvalidSessionTransition,
    PartitionNotFound,
    SessionNotFound,
    Unknown,
)
from pymonik.cluster.state.propagation import queue_or_hold
from pymonik.cluster.state.results import delete_data
from pymonik.cluster.state.rows import (
    FINAL,
    ResultStatus,
    Session,
    SessionStatus,
    Task,
    TaskStatus,
    span,
)
from pymonik.cluster.state.work import TaskOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymonik.cluster.state.tables import State

# The statuses that each request is allowed from; the others are refused with FAILED_PRECONDITION.
ALLOWED_FROM = {
    "pause": {SessionStatus.RUNNING},
    "resume": {SessionStatus.PAUSED, SessionStatus.RUNNING},
    "close": {SessionStatus.RUNNING, SessionStatus.PAUSED},
    "cancel": {SessionStatus.RUNNING, SessionStatus.PAUSED, SessionStatus.CLOSED},
    "purge": {SessionStatus.CLOSED, SessionStatus.CANCELLED},
}
# ArmoniK forgot these two in its table, and answers UNKNOWN.
FORGOTTEN = {("pause", SessionStatus.CLOSED), ("resume", SessionStatus.CLOSED)}


def create(
    state: State, session_id: str, options: TaskOptions, partition_ids: Sequence[str], now: int
) -> Session:
    """Open a session; missing partitions are the default one."""
    allowed = [partition_id for partition_id in partition_ids if partition_id]
    allowed = allowed or [state.default_partition]
    if any(partition_id not in state.partitions for partition_id in allowed):
        raise PartitionNotFound("One of the partitions does not exist")
    chosen = options.partition_id or state.default_partition
    if chosen not in state.partitions:
        raise PartitionNotFound("The partition in the task options does not exist")
    session = Session(session_id, tuple(allowed), replace(options, partition_id=chosen), now)
    state.sessions[session_id] = session
    # No event tells of sessions, but a journal keeps their rows.
    state.effects.quiet.append(session)
    return session


def pause(state: State, session_id: str, now: int) -> Session:  # noqa: ARG001
    """Hold what is queued; what runs goes on."""
    session = _checked(state, session_id, "pause")
    session.status = SessionStatus.PAUSED
    for task in _tasks(state, session_id):
        if task.status in (TaskStatus.SUBMITTED, TaskStatus.DISPATCHED):
            # A DISPATCHED task is taken from its runner, which hears of it when it says `start`.
            task.queued, task.environment = False, ""
            state.set_task_status(task, TaskStatus.PAUSED)
    state.sweep_queues(_tasks(state, session_id))
    return session


def resume(state: State, session_id: str, now: int) -> Session:  # noqa: ARG001
    """Queue what was held. Submission that was stopped stays stopped."""
    session = _checked(state, session_id, "resume")
    session.status = SessionStatus.RUNNING
    for task in _tasks(state, session_id):
        if task.status is TaskStatus.PAUSED:
            requeue(state, task)
    return session


def requeue(state: State, task: Task) -> None:
    """Queue a task again that no runner has any more."""
    let_go(task)
    queue_or_hold(state, task)


def let_go(task: Task) -> None:
    """No runner has the task any more, and it waits for nothing."""
    task.owner_pod_id = task.pod_hostname = task.environment = ""
    task.received_at = task.acquired_at = task.fetched_at = task.started_at = None


def stop_submission(state: State, session_id: str, *, client: bool, worker: bool) -> Session:
    """Refuse further tasks of clients, of workers, or of both, for good."""
    session = state.sessions.get(session_id)
    if session is None:
        raise SessionNotFound(f"Session {session_id} not found")  # here without a full stop
    state.effects.quiet.append(session)
    session.client_submission &= not client
    session.worker_submission &= not worker
    return session


def close(state: State, session_id: str, now: int) -> Session:
    """Let what runs end; what is queued is cancelled when a runner takes it."""
    session = _checked(state, session_id, "close")
    stop_submission(state, session_id, client=True, worker=True)
    session.status = SessionStatus.CLOSED
    session.closed_at = now
    session.duration = span(session.created_at, now)
    return session


def cancel(state: State, session_id: str, now: int) -> Session:
    """Cancel every task, and abort every result that is not completed."""
    session = _checked(state, session_id, "cancel")
    stop_submission(state, session_id, client=True, worker=True)
    session.status = SessionStatus.CANCELLED
    session.cancelled_at = now
    for result in state.results_of.get(session_id, {}).values():
        if result.status is ResultStatus.CREATED:
            # Without `completed_at`, and without a look at who waits for it: all tasks of the
            # session are cancelled next.
            state.set_result_status(result, ResultStatus.ABORTED)
    request_cancellation(state, _tasks(state, session_id), now)
    return session


def request_cancellation(state: State, tasks: Iterable[Task], now: int) -> None:
    """Tasks that have not ended are CANCELLING; those that run are to be stopped."""
    for task in tasks:
        if task.status in FINAL or task.status is TaskStatus.CANCELLING:
            continue
        if task.status in (TaskStatus.DISPATCHED, TaskStatus.PROCESSING):
            state.effects.stopped.append(task.task_id)
        if task.environment:  # it is in no queue, and a runner ends what is CANCELLING
            task.environment = ""
            state.enqueue(task)
        task.ended_at = now  # ArmoniK sets it with the request, not with the end
        state.set_task_status(task, TaskStatus.CANCELLING)


def purge(state: State, session_id: str, now: int) -> Session:
    """Delete the data of a session; like ArmoniK, also when the transition is then refused."""
    session = state.session(session_id)
    delete_data(state, list(state.results_of.get(session_id, {})))
    _checked(state, session_id, "purge")
    session.status = SessionStatus.PURGED
    session.purged_at = now
    return session


def delete(state: State, session_id: str, now: int) -> Session:
    """Forget a session, known or not, with everything in it; running tasks are stopped."""
    session = state.sessions.get(session_id)
    if session is None:
        nothing = TaskOptions(timedelta(), 0, 0, "")
        session = Session(session_id, (), nothing, now)
    for task in state.remove_session(session_id):
        if task.status in (TaskStatus.DISPATCHED, TaskStatus.PROCESSING, TaskStatus.CANCELLING):
            state.effects.stopped.append(task.task_id)
    session.status = SessionStatus.DELETED
    session.deleted_at = now
    return session


def _checked(state: State, session_id: str, verb: str) -> Session:
    session = state.session(session_id)
    if (verb, session.status) in FORGOTTEN:
        raise Unknown(f"{verb} of a session with status {session.status.name}")
    if session.status not in ALLOWED_FROM[verb]:
        status = session.status.name.capitalize()
        raise InvalidSessionTransition(f"Cannot {verb} a session with status {status}")
    state.effects.quiet.append(session)  # the caller changes it
    return session


def _tasks(state: State, session_id: str) -> list[Task]:
    return list(state.tasks_of.get(session_id, {}).values())
