"""Tasks whose environment is being made: others pass them, and none waits for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cluster.state import execution, sessions, unready
from pymonik.cluster.state.rows import TaskStatus
from pymonik.cluster.state.work import Waiting

if TYPE_CHECKING:
    from pymonik.cluster.state.rows import Task
    from tests.unit.cluster.conftest import World


def _held(world: World) -> Task:
    task = world.task(world.session())
    world.finish(world.run(), Waiting("E"))
    return task


def test_others_pass_a_task_that_waits_and_it_runs_when_its_environment_is_settled(
    world: World,
) -> None:
    task = _held(world)
    other = world.task(world.session())
    assert (task.status, task.owner_pod_id) == (TaskStatus.SUBMITTED, "")
    assert world.acquire() is other
    assert world.acquire() is None
    unready.settled(world.state, "D")
    assert world.acquire() is None
    unready.settled(world.state, "E")
    assert world.acquire() is task
    assert task.retry_of_ids == ()


def test_an_environment_is_wanted_as_long_as_a_task_may_run_that_waits_for_it(
    world: World,
) -> None:
    task = _held(world)
    assert unready.is_wanted(world.state, "E")
    assert not unready.is_wanted(world.state, "D")
    execution.cancel_tasks(world.state, [task.task_id], world.now())
    assert not unready.is_wanted(world.state, "E")


def test_who_is_cancelled_while_it_waits_ends_before_its_environment_is_settled(
    world: World,
) -> None:
    task = _held(world)
    execution.cancel_tasks(world.state, [task.task_id], world.now())
    assert world.acquire() is None
    assert task.status is TaskStatus.CANCELLED
    unready.settled(world.state, "E")
    assert world.acquire() is None


def test_a_pause_takes_a_task_out_of_the_room_and_a_resume_queues_it_once(world: World) -> None:
    task = _held(world)
    sessions.pause(world.state, task.session_id, world.now())
    assert task.status is TaskStatus.PAUSED
    assert not unready.is_wanted(world.state, "E")
    sessions.resume(world.state, task.session_id, world.now())
    unready.settled(world.state, "E")
    assert world.acquire() is task
    assert world.acquire() is None


def test_a_task_given_back_to_a_paused_session_is_paused(world: World) -> None:
    task = world.task(world.session())
    world.run()
    sessions.pause(world.state, task.session_id, world.now())
    world.finish(task, Waiting("E"))
    assert task.status is TaskStatus.PAUSED


def test_a_closed_or_deleted_session_wants_nothing(world: World) -> None:
    closed, deleted = _held(world), _held(world)
    sessions.close(world.state, closed.session_id, world.now())
    sessions.delete(world.state, deleted.session_id, world.now())
    assert not unready.is_wanted(world.state, "E")
    unready.settled(world.state, "E")
    assert world.acquire() is None
    assert closed.status is TaskStatus.CANCELLED
