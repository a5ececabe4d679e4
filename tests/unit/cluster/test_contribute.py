"""What a task hands over while it goes on: applied as a whole, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pymonik.cluster.state import execution, results, sessions
from pymonik.cluster.state.faults import (
    Fault,
    ResultInvalidStatus,
    ResultNotFound,
    TaskNotFound,
    Unknown,
)
from pymonik.cluster.state.rows import Result, ResultStatus, Session, Task, TaskStatus
from pymonik.cluster.state.work import Failed, Lost, NewResult, NewTask, Released, Succeeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.cluster.conftest import World


def running(world: World) -> tuple[Session, Result, Task]:
    session = world.session()
    output = world.result(session)
    world.task(session, out=[output])
    task = world.run()
    world.take()
    return session, output, task


def part(
    parent: Task, *, name: str = "a", payload: str = "", needs: Sequence[str] = ()
) -> Succeeded:
    """One subtask, with its payload and its output."""
    payload = payload or f"{name}-payload"
    return Succeeded(
        [NewResult(f"{name}-payload"), NewResult(f"{name}-output")],
        {f"{name}-payload": b"abc"},
        [NewTask(f"{name}-task", payload, (f"{name}-output",), tuple(needs), parent.options)],
    )


def contribute(world: World, task_id: str, one: Succeeded) -> None:
    stored = {result_id: world.stored() for result_id in one.data}
    execution.contribute(world.state, task_id, one, stored, world.now())


def test_subtasks_run_while_their_parent_does(world: World) -> None:
    session, output, parent = running(world)
    contribute(world, parent.task_id, part(parent))
    child = world.run()
    assert (child.task_id, child.status) == ("a-task", TaskStatus.PROCESSING)
    assert (parent.status, output.status) == (TaskStatus.PROCESSING, ResultStatus.CREATED)
    assert tuple(child.parent_task_ids) == (session.session_id, parent.task_id)
    assert child.created_by == world.state.results["a-output"].created_by == parent.task_id
    world.succeed(child)
    assert world.state.results["a-output"].status is ResultStatus.COMPLETED
    world.succeed(parent)
    assert output.status is ResultStatus.COMPLETED
    world.take()
    assert world.garbage == []


def test_a_task_may_contribute_many_times(world: World) -> None:
    _, _, parent = running(world)
    for name in "abc":
        contribute(world, parent.task_id, part(parent, name=name))
    assert [world.run().task_id for _ in range(3)] == ["a-task", "b-task", "c-task"]


def test_subtasks_wait_for_what_they_need(world: World) -> None:
    session, _, parent = running(world)
    needed = world.result(session)
    contribute(world, parent.task_id, part(parent, needs=[needed.result_id]))
    assert world.acquire() is None
    world.upload(needed)
    assert world.run().task_id == "a-task"


def refused(world: World, parent: Task, one: Succeeded, fault: type[Fault]) -> None:
    tasks, rows = set(world.state.tasks), set(world.state.results)
    kept = len(world.garbage)
    with pytest.raises(fault):
        contribute(world, parent.task_id, one)
    assert world.take() == []
    assert (set(world.state.tasks), set(world.state.results)) == (tasks, rows)
    assert len(world.garbage) == kept + len(one.data)  # nobody will read it


def test_what_is_refused_changes_nothing_and_the_task_goes_on(world: World) -> None:
    session, output, parent = running(world)
    lost = world.result(session)
    results.delete_data(world.state, [lost.result_id])
    world.take()
    for needs, fault in (
        (["unknown"], ResultNotFound),
        ([lost.result_id], ResultInvalidStatus),
        (["a-payload"], Unknown),
    ):
        refused(world, parent, part(parent, needs=needs), fault)
    assert parent.status is TaskStatus.PROCESSING
    world.succeed(parent)
    assert output.status is ResultStatus.COMPLETED


@pytest.mark.parametrize("outcome", [Failed("no"), Lost("gone"), Released(), Succeeded()])
def test_a_task_that_has_ended_contributes_nothing(world: World, outcome: Failed) -> None:
    _, _, parent = running(world)
    world.finish(parent, outcome)
    world.take()
    refused(world, parent, part(parent), TaskNotFound)


def test_a_task_that_is_cancelled_contributes_nothing(world: World) -> None:
    _, _, parent = running(world)
    execution.cancel_tasks(world.state, [parent.task_id], world.now())
    world.take()
    refused(world, parent, part(parent), TaskNotFound)


def test_a_task_that_was_not_started_contributes_nothing(world: World) -> None:
    session = world.session()
    world.task(session)
    waiting = world.acquire()
    assert waiting is not None
    world.take()
    refused(world, waiting, part(waiting), TaskNotFound)


def test_a_task_that_is_not_known_contributes_nothing(world: World) -> None:
    _, _, parent = running(world)
    sessions.delete(world.state, parent.session_id, world.now())
    world.take()
    refused(world, parent, part(parent), TaskNotFound)


def test_what_was_contributed_outlives_a_parent_that_fails_or_is_tried_again(world: World) -> None:
    _, output, parent = running(world)
    contribute(world, parent.task_id, part(parent))
    world.finish(parent, Lost("gone"))
    assert world.state.tasks["a-task"].status is TaskStatus.SUBMITTED
    again = world.state.tasks[f"{parent.task_id}###1"]
    assert again.status is TaskStatus.SUBMITTED
    child = world.run()
    assert child.task_id == "a-task"
    world.succeed(child)
    second = world.run()
    contribute(world, second.task_id, part(second, name="b"))
    world.finish(second, Failed("no"))
    assert output.status is ResultStatus.ABORTED
    assert world.state.tasks["b-task"].status is TaskStatus.SUBMITTED


def test_a_delegated_output_belongs_to_the_subtask(world: World) -> None:
    _, output, parent = running(world)
    delegating = Succeeded(
        [NewResult("a-payload")],
        {"a-payload": b"abc"},
        [NewTask("a-task", "a-payload", (output.result_id,), (), parent.options)],
    )
    contribute(world, parent.task_id, delegating)
    assert output.owner_task_id == "a-task"
