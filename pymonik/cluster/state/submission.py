"""New tasks: the checks, in ArmoniK's order, then the rows. A refused request changes nothing."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - of a NamedTuple
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from pymonik.cluster.state.faults import (
    InvalidArgument,
    ResultInvalidStatus,
    ResultNotFound,
    SubmissionClosed,
    Unknown,
)
from pymonik.cluster.state.propagation import make_ready
from pymonik.cluster.state.requested_options import RequestedOptions, merged
from pymonik.cluster.state.results import create
from pymonik.cluster.state.rows import ResultStatus, Session, Task, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pymonik.cluster.state.rows import Stored
    from pymonik.cluster.state.tables import State
    from pymonik.cluster.state.work import TaskOptions

PAYLOAD = "payload"  # the name of those that come with their tasks
LOST = (ResultStatus.ABORTED, ResultStatus.DELETED)


class TaskCreation(NamedTuple):
    """One task of a submission. A tuple, which takes a tenth of the time of a frozen dataclass."""

    payload_id: str
    expected_output_ids: Sequence[str] = ()
    data_dependencies: Sequence[str] = ()
    options: RequestedOptions | None = None


def submit(
    state: State,
    session_id: str,
    requested: RequestedOptions | None,
    creations: Sequence[TaskCreation],
    payloads: Mapping[str, Stored] = MappingProxyType({}),
    outputs: Sequence[str] = (),
    *,
    own_payloads: bool = False,
    new_id: Callable[[], str],
    now: int,
) -> list[Task]:
    """Create the tasks of a client; those with all inputs are queued.

    Args:
        state: The tables.
        session_id: Of the session.
        requested: Options of the request.
        creations: The tasks.
        payloads: Results that are made for them, unless they are refused.
        outputs: Names of the outputs to create with the ids that the tasks expect, one for each
            task; those that exist are left alone.
        own_payloads: Whether nobody else has to do with the payloads: they end with their tasks.
        new_id: Gives the IDs of tasks.
        now: The instant.
    """
    session = state.session(session_id)
    base = checked_options(state, session, requested)
    if not session.client_submission:
        raise SubmissionClosed("Client submission is closed")
    # One object for equal options: a million tasks of a map have the same.
    options = [session.shared(merged(creation.options, base)) for creation in creations]
    made = _named_outputs(state, creations, outputs)
    inputs = [(one.payload_id, *one.data_dependencies) for one in creations]
    check_inputs(state, inputs, created={**payloads, **made} if made else payloads)
    for result_id, name in made.items():
        create(state, result_id, session.session_id, name, now)
    for result_id, stored in payloads.items():
        create(state, result_id, session.session_id, PAYLOAD, now, stored=stored)
    tasks, parents = [], (session.session_id,)
    for creation, chosen in zip(creations, options, strict=True):
        task_id = new_id()
        task = Task(
            task_id=task_id,
            session_id=session.session_id,
            payload_id=creation.payload_id,
            expected_output_ids=creation.expected_output_ids,
            data_dependencies=creation.data_dependencies,
            options=chosen,
            parent_task_ids=parents,
            created_by="",
            initial_task_id=task_id,
            created_at=now,
            owns_payload=own_payloads,
        )
        tasks.append(task)
    insert(state, tasks, now)
    return tasks


def _named_outputs(
    state: State, creations: Sequence[TaskCreation], names: Sequence[str]
) -> dict[str, str]:
    """Outputs that do not exist, and what they are to be called."""
    return {
        result_id: name
        for creation, name in zip(creations, names)  # noqa: B905 - mostly there are no names
        for result_id in creation.expected_output_ids
        if result_id not in state.results
    }


def checked_options(
    state: State, session: Session, requested: RequestedOptions | None
) -> TaskOptions:
    """The options of a request over those of its session; only these are validated."""
    options = session.shared(merged(requested, session.options))
    if options.partition_id not in session.partition_ids:
        raise Unknown(f"partition {options.partition_id!r} is not one of the session's")
    if options.priority > state.max_priority:
        raise InvalidArgument(f"Max priority is {state.max_priority}")
    return options


def check_inputs(
    state: State,
    inputs: Sequence[Sequence[str]],
    *,
    created: Collection[str] = (),
    completed: Collection[str] = (),
) -> None:
    """Refuse tasks whose payload or dependencies are repeated, unknown or lost.

    Args:
        state: The tables.
        inputs: Payload and dependencies of each task.
        created: Results that are about to exist.
        completed: Results that are about to be completed, whatever their status is.
    """
    if any(len(set(one)) != len(one) for one in inputs):
        raise Unknown("a data dependency is repeated, or is also the payload")
    wanted = dict.fromkeys(result_id for one in inputs for result_id in one)
    missing = [key for key in wanted if key not in state.results and key not in created]
    if missing:
        raise ResultNotFound(
            f"Some dependencies do not exist in the ResultTable: {', '.join(missing)}"
        )
    lost = [
        result.result_id
        for result in state.known_results(wanted)
        if result.status in LOST and result.result_id not in completed
    ]
    if lost:
        raise ResultInvalidStatus(f"Some dependencies have invalid status: {', '.join(lost)}")


def insert(state: State, tasks: Sequence[Task], now: int, parent: Task | None = None) -> None:
    """Insert tasks, give them their outputs, register what they wait for, queue what is ready."""
    for task in tasks:
        state.add_task(task)
        _wait_for_inputs(state, task)
    _claim_outputs(state, tasks)
    if parent is not None:
        delegate(state, parent, tasks)
    for task in tasks:
        # All are inserted, and own their outputs, before the first one is ready: a task may need
        # the output of a neighbour.
        state.set_task_status(task, TaskStatus.PENDING)
        if not task.waiting_for:
            make_ready(state, task, now)


def delegate(state: State, parent: Task, tasks: Sequence[Task]) -> None:
    """Hand outputs of `parent` that a subtask claims over to that subtask."""
    mine = set(parent.expected_output_ids)
    for task in tasks:
        claimed = state.known_results(mine.intersection(task.expected_output_ids))
        for output in claimed:
            # An output that the parent does not own any more was delegated before, and stays with
            # that task.
            if output.owner_task_id == parent.task_id:
                state.set_owner(output, task.task_id)


def _claim_outputs(state: State, tasks: Sequence[Task]) -> None:
    """Outputs without owner get one: the last of the tasks that name it."""
    owners = {result_id: task.task_id for task in tasks for result_id in task.expected_output_ids}
    for output in state.known_results(owners):
        if not output.owner_task_id:
            state.set_owner(output, owners[output.result_id])


def _wait_for_inputs(state: State, task: Task) -> None:
    for result in state.known_results(task.inputs):
        if result.status is not ResultStatus.COMPLETED:
            if result.dependents is None:
                result.dependents = {}
            result.dependents[task.task_id] = None
            task.waiting_for += 1
