"""What a runner gets when it has ended a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.cluster.state import execution, sessions
from pymonik.cluster.state.execution import MANY_FOR_EACH
from pymonik.cluster.state.rows import Partition, TaskStatus
from pymonik.cluster.state.work import Released

if TYPE_CHECKING:
    from pymonik.cluster.state.rows import Task
    from tests.unit.cluster.conftest import World

PODS = 3
MANY = MANY_FOR_EACH * PODS


def take(world: World, waiting: int, most: int) -> list[Task]:
    world.state.partitions["P"] = Partition("P", pod_max=PODS)
    return execution.take_more(
        world.state, "P", waiting, most, pod_id="pod", hostname="host", now=world.now()
    )


def test_an_idle_runner_gets_the_next_task_and_runs_it(world: World) -> None:
    session = world.session()
    first, _ = world.task(session), world.task(session)
    assert take(world, 0, 4) == [first]
    assert first.status is TaskStatus.PROCESSING
    assert take(world, 1, 4) == []


def test_without_tasks_it_gets_nothing(world: World) -> None:
    assert take(world, 0, 4) == []


def test_of_many_tasks_it_gets_several_while_enough_are_left_for_all(world: World) -> None:
    session = world.session()
    tasks = [world.task(session) for _ in range(MANY + 1)]
    assert take(world, 0, 4) == tasks[:2]
    assert take(world, 1, 4) == []


def test_it_gets_no_more_than_it_wants(world: World) -> None:
    session = world.session()
    tasks = [world.task(session) for _ in range(2 * MANY)]
    assert take(world, 2, 3) == tasks[:1]
    assert take(world, 3, 3) == take(world, 0, 0) == []


def test_what_it_gives_back_is_first_in_the_queue_and_held_by_a_pause(world: World) -> None:
    session = world.session()
    tasks = [world.task(session) for _ in range(2 * MANY)]
    assert take(world, 0, 3) == tasks[:3]
    world.finish(tasks[1], Released())
    assert world.acquire() is tasks[1]
    sessions.pause(world.state, session.session_id, world.now())
    held = [tasks[2].status]
    world.finish(tasks[2], Released())
    held.append(tasks[2].status)
    assert held == [TaskStatus.PROCESSING, TaskStatus.PAUSED]  # it may have begun
    assert take(world, 0, 4) == []
    sessions.resume(world.state, session.session_id, world.now())
    assert world.acquire() is tasks[1]
