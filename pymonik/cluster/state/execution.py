"""A task from the queue to its end.

    SUBMITTED ── acquire ──► DISPATCHED ── start ──► PROCESSING ── finish ──► COMPLETED, ERROR,
        ▲                                                 │                   TIMEOUT or RETRIED
        └──────────────── released ───────────────────────┘
        └─── waits for its environment, in no queue ──────┘

A task that is CANCELLING ends CANCELLED, whatever its runner reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cluster.state.ancestors import Ancestors
from pymonik.cluster.state.faults import Fault, TaskNotFound
from pymonik.cluster.state.propagation import end, make_ready, resolve, terminate
from pymonik.cluster.state.rows import Result, SessionStatus, Stored, Task, TaskStatus
from pymonik.cluster.state.sessions import request_cancellation, requeue
from pymonik.cluster.state.submission import check_inputs, insert
from pymonik.cluster.state.unready import hold
from pymonik.cluster.state.work import (
    Failed,
    Lost,
    NewTask,
    Outcome,
    Released,
    Start,
    Stopped,
    Succeeded,
    TimedOut,
    Waiting,
)
from pymonik.wire.call import LETTER_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymonik.cluster.state.tables import State

# A queued task of such a session is cancelled when a runner takes it, as ArmoniK's agent does;
# tasks that run when a session is closed go on.
NOT_EXECUTABLE = (SessionStatus.CANCELLED, SessionStatus.CLOSED, SessionStatus.PURGED)
HELD = (TaskStatus.DISPATCHED, TaskStatus.PROCESSING)  # a runner has the task
# Queued tasks for each runner of the partition from which on a runner may take several at a time.
# With fewer, a task that one runner has ahead is a task that another waits for.
MANY_FOR_EACH = 2
INTERNAL_ERROR = "Agent got an internal error\nSee cluster logs"  # the text of ArmoniK's agent


def acquire(
    state: State, partition_id: str, *, pod_id: str, hostname: str, now: int
) -> Task | None:
    """Take the next task of a partition; on the way, end those that must not run any more."""
    queue = state.queues[partition_id]
    while task := queue.pop(state.tasks):
        session = state.sessions[task.session_id]
        # A cancelled task keeps its place in the queue, as its message does in ArmoniK: whoever
        # takes it ends it.
        if task.status is TaskStatus.CANCELLING:
            _cancelled(state, task, f"Task {task.task_id} has been cancelled:\n", now)
        elif session.status in NOT_EXECUTABLE:
            status = session.status.name.capitalize()
            reason = f"because its session {session.session_id} is {status}"
            _cancelled(state, task, f"Task {task.task_id} has been cancelled {reason}", now)
        else:
            # The message is pulled (received) and the task acquired in one step here; ArmoniK's
            # agent tells the two instants apart.
            task.owner_pod_id, task.pod_hostname = pod_id, hostname
            task.received_at = task.acquired_at = now
            state.set_task_status(task, TaskStatus.DISPATCHED)
            return task
    return None


def take_more(
    state: State,
    partition_id: str,
    waiting: int,
    most: int,
    *,
    pod_id: str,
    hostname: str,
    now: int,
) -> list[Task]:
    """Take tasks for a runner that has ended one: what it runs now, and what it runs next.

    They are PROCESSING at once: the executor may begin them before anybody could say so. Only one
    is taken that others might have to wait for, and only to run now.

    Args:
        state: The tables.
        partition_id: Of the runner.
        waiting: How many tasks it has.
        most: How many it is to have.
        pod_id: The runner.
        hostname: Of the runner.
        now: The instant.
    """
    taken: list[Task] = []
    queue, pods = state.queues[partition_id], state.partitions[partition_id].pod_max
    while waiting < most and (not waiting or len(queue) >= MANY_FOR_EACH * pods):
        task = acquire(state, partition_id, pod_id=pod_id, hostname=hostname, now=now)
        if task is None:
            break
        start(state, task.task_id, pod_id, now)
        taken.append(task)
        waiting += 1
    return taken


def start(state: State, task_id: str, pod_id: str, now: int) -> Start:
    """DISPATCHED → PROCESSING, and from nothing else, for the pod that holds the task.

    A pause takes a task from a pod that has not begun, and a resume may give it to another.
    """
    task = state.tasks.get(task_id)
    if is_held_elsewhere(state, task_id, pod_id):
        return Start.DROP
    if task is None or task.status is not TaskStatus.DISPATCHED:
        if task is not None and task.status is TaskStatus.CANCELLING:
            _cancelled(state, task, f"Task {task_id} has been cancelled:\n", now)
        return Start.DROP
    task.fetched_at = task.started_at = now
    state.set_task_status(task, TaskStatus.PROCESSING)
    return Start.RUN


def begin(state: State, task_id: str, now: int) -> None:
    """A task that an executor had ahead begins, now that the one before it has ended."""
    task = state.tasks.get(task_id)
    if task is not None and task.status is TaskStatus.PROCESSING:
        task.started_at = now


def is_held_elsewhere(state: State, task_id: str, pod_id: str) -> bool:
    """Whether another pod than this one has the task now."""
    task = state.tasks.get(task_id)
    return task is not None and task.status in HELD and task.owner_pod_id != pod_id


def inputs_missing(state: State, task_id: str, pod_id: str, reason: str, now: int) -> None:
    """The bytes of an input are gone: ERROR, not retried."""
    task = state.tasks.get(task_id)
    if task is not None and task.status in HELD and task.owner_pod_id == pod_id:
        _fail(state, task, f"{INTERNAL_ERROR}\nan input cannot be had: {reason}", now)


def cancel_tasks(state: State, task_ids: Sequence[str], now: int) -> list[Task]:
    """Cancel tasks that have not ended; their dependents end in ERROR at once."""
    tasks = state.known_tasks(dict.fromkeys(task_ids))
    request_cancellation(state, tasks, now)
    reason = f"Client requested cancellation of tasks {', '.join(task_ids)}"
    terminate(state, task_ids, reason, now)
    return tasks


def finish(
    state: State,
    task_id: str,
    outcome: Outcome,
    stored: Mapping[str, Stored],
    now: int,
    *,
    pod_id: str | None = None,
) -> None:
    """A runner reports how a task ended.

    Args:
        state: The tables.
        task_id: The task; one that is gone, or not held by a runner, is ignored.
        outcome: The report.
        stored: Where the data of a success are; what is not used is removed.
        now: The instant.
        pod_id: The runner, which may have lost the task to another; ``None`` for whoever has it.
    """
    task = state.tasks.get(task_id)
    if pod_id is not None and is_held_elsewhere(state, task_id, pod_id):
        task = None
    if task is not None and task.status is TaskStatus.CANCELLING:
        # The output and durations of a task that was stopped stay as they are, and nothing that it
        # made exists: ArmoniK writes no more of it. Its outputs were aborted with the request.
        task.ended_at = now
        state.set_task_status(task, TaskStatus.CANCELLED)
    elif task is not None and task.status in HELD:
        _ended(state, task, outcome, stored, now)
    # Bytes that a result has taken over are referred to, and stay; the others are garbage.
    for one in stored.values():
        state.discard(one.opaque_id)


def _ended(
    state: State, task: Task, outcome: Outcome, stored: Mapping[str, Stored], now: int
) -> None:
    if isinstance(outcome, Released | Stopped):
        requeue(state, task)  # not run: no attempt is consumed
        return
    if isinstance(outcome, Waiting):
        hold(state, task, outcome.packages_id)
        return
    if task.status is TaskStatus.PROCESSING:
        task.processed_at = now
    match outcome:
        case Succeeded():
            try:
                _succeed(state, task, outcome, stored, now)
            # ArmoniK accepts subtasks unseen while the task runs. What turns out to be wrong with
            # them at its end, as an unknown dependency, is an internal error, which is retried.
            except Fault:
                retry(state, task, INTERNAL_ERROR, now)
        case Lost(error):
            retry(state, task, error, now)
        case Failed(error):
            _fail(state, task, error, now)
        case TimedOut():
            error = "Deadline Exceeded"
            end(state, task, TaskStatus.TIMEOUT, now, error=error)
            reason = f"Task {task.task_id} timed-out:\n{error}"
            terminate(state, [task.task_id], reason, now)


def _succeed(
    state: State, task: Task, outcome: Succeeded, stored: Mapping[str, Stored], now: int
) -> None:
    """Apply what a task did, results before the task itself; refused as a whole or not at all."""
    completed = _apply(state, task, outcome, stored, now)
    resolve(state, completed, now)
    end(state, task, TaskStatus.COMPLETED, now)


def contribute(
    state: State, task_id: str, part: Succeeded, stored: Mapping[str, Stored], now: int
) -> None:
    """A task that goes on has created results and tasks.

    Raises:
        Fault: They are refused, or the task does not run any more.
    """
    task = state.tasks.get(task_id)
    try:
        if task is None or task.status is not TaskStatus.PROCESSING:
            raise TaskNotFound(f"Task '{task_id}' does not run")
        resolve(state, _apply(state, task, part, stored, now), now)
    finally:
        for one in stored.values():
            state.discard(one.opaque_id)


def _apply(
    state: State, task: Task, outcome: Succeeded, stored: Mapping[str, Stored], now: int
) -> list[Result]:
    """Create what a task made; gives the results that have their data now."""
    created = {result.result_id for result in outcome.created}
    inputs = [(one.payload_id, *one.data_dependencies) for one in outcome.tasks]
    # First, and before any row is made: the only refusal, so a task's work is applied as a whole or
    # not at all.
    check_inputs(state, inputs, created=created, completed=stored)
    for new in outcome.created:
        row = Result(new.result_id, task.session_id, new.name, now, created_by=task.task_id)
        state.add_result(row)
    # A task may send data for any result; ids that do not exist are ignored, as ArmoniK does.
    completed = state.known_results(stored)
    for result in completed:
        state.complete(result, stored[result.result_id], now)
    if outcome.tasks:
        ancestors = Ancestors(task.parent_task_ids, task.task_id)
        new_tasks = [_subtask(task, ancestors, new, now) for new in outcome.tasks]
        insert(state, new_tasks, now, parent=task)
    # Calls that failed among others, which were left to be sent again: bounded like payloads of
    # failed tasks.
    kept = [new.result_id for new in outcome.created if new.name.startswith(LETTER_PREFIX)]
    for result in state.known_results(kept):
        state.keep(result)
    for result in state.known_results(outcome.forgotten):
        # A task is believed about its own session only: ids of others may have reached it by its
        # arguments.
        if result.session_id == task.session_id:
            state.forget(result)
    return completed


def _subtask(parent: Task, ancestors: Sequence[str], new: NewTask, now: int) -> Task:
    return Task(
        task_id=new.task_id,
        session_id=parent.session_id,
        payload_id=new.payload_id,
        expected_output_ids=new.expected_output_ids,
        data_dependencies=new.data_dependencies,
        options=new.options,
        parent_task_ids=ancestors,
        created_by=parent.task_id,
        initial_task_id=new.task_id,
        created_at=now,
        owns_payload=new.owns_payload,
    )


def retry(state: State, task: Task, error: str, now: int) -> None:
    """Try again as a new task while attempts remain, else ERROR."""
    # `max_retries` N allows N + 1 attempts; a negative number, none but the first.
    if len(task.retry_of_ids) >= task.options.max_retries:
        _fail(state, task, error, now)
        return
    attempt = _next_attempt(task, now)
    state.add_task(attempt)
    for output in state.known_results(task.expected_output_ids):
        # A client that looks for the task of an output finds the new attempt before the old one has
        # ended.
        state.set_owner(output, attempt.task_id)
    end(state, task, TaskStatus.RETRIED, now, error=error)
    state.set_task_status(attempt, TaskStatus.PENDING)
    make_ready(state, attempt, now)


def _next_attempt(task: Task, now: int) -> Task:
    return Task(
        # The form of ArmoniK's ids of attempts.
        task_id=f"{task.initial_task_id}###{len(task.retry_of_ids) + 1}",
        session_id=task.session_id,
        payload_id=task.payload_id,
        expected_output_ids=task.expected_output_ids,
        data_dependencies=task.data_dependencies,
        options=task.options,
        parent_task_ids=task.parent_task_ids,
        created_by=task.task_id,
        initial_task_id=task.initial_task_id,
        created_at=now,
        retry_of_ids=(*task.retry_of_ids, task.task_id),
        # `TaskDetailed.output.success` is true from the creation of a first attempt on, and false
        # of all others until they end: so in ArmoniK.
        success=False,
        owns_payload=task.owns_payload,
    )


def _fail(state: State, task: Task, error: str, now: int) -> None:
    end(state, task, TaskStatus.ERROR, now, error=error)
    terminate(state, [task.task_id], f"Task {task.task_id} failed:\n{error}", now)


def _cancelled(state: State, task: Task, reason: str, now: int) -> None:
    """A queued task that must not run: CANCELLED, and with it what it would have produced."""
    end(state, task, TaskStatus.CANCELLED, now)
    terminate(state, [task.task_id], reason, now)
