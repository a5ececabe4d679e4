"""The life of a session, and what it means for its tasks and results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pymonik.cluster.state import sessions
from pymonik.cluster.state.faults import (
    Fault,
    InvalidSessionTransition,
    PartitionNotFound,
    SubmissionClosed,
    Unknown,
)
from pymonik.cluster.state.rows import ResultStatus, SessionStatus, TaskStatus

if TYPE_CHECKING:
    from tests.unit.cluster.conftest import World

TRANSITIONS = {
    "pause": sessions.pause,
    "resume": sessions.resume,
    "close": sessions.close,
    "cancel": sessions.cancel,
    "purge": sessions.purge,
}


@pytest.mark.parametrize("status", list(SessionStatus)[:5])
@pytest.mark.parametrize("verb", TRANSITIONS)
def test_transitions_are_those_of_the_table(world: World, verb: str, status: SessionStatus) -> None:
    session = world.session()
    session.status = status
    refused: type[Fault] | None = None
    if status not in sessions.ALLOWED_FROM[verb]:
        refused = InvalidSessionTransition
    if (verb, status) in sessions.FORGOTTEN:
        refused = Unknown
    if refused is None:
        TRANSITIONS[verb](world.state, session.session_id, world.now())
    else:
        with pytest.raises(refused):
            TRANSITIONS[verb](world.state, session.session_id, world.now())
        assert session.status is status


def test_partitions_must_exist(world: World) -> None:
    with pytest.raises(PartitionNotFound, match="One of the partitions"):
        sessions.create(world.state, "s", world.options, ("P", "R"), 0)
    assert sessions.create(world.state, "s", world.options, ("",), 0).partition_ids == ("P",)


def test_a_paused_session_holds_what_is_queued_and_what_becomes_ready(world: World) -> None:
    session = world.session()
    dependency = world.result(session)
    running, queued = world.task(session), world.task(session)
    waiting = world.task(session, deps=[dependency])
    world.run()
    sessions.pause(world.state, session.session_id, world.now())
    world.upload(dependency)
    late = world.task(session)
    held = [queued, waiting, late]
    assert running.status is TaskStatus.PROCESSING
    assert {task.status for task in held} == {TaskStatus.PAUSED}
    assert world.acquire() is None
    sessions.resume(world.state, session.session_id, world.now())
    assert [world.acquire() for _ in range(4)] == [*held, None]


def test_closing_cancels_what_is_queued_and_lets_run_what_runs(world: World) -> None:
    session = world.session()
    output = world.result(session)
    running, queued = world.task(session), world.task(session, out=[output])
    waiting = world.task(session, deps=[output])
    world.run()
    sessions.close(world.state, session.session_id, world.now())
    with pytest.raises(SubmissionClosed):
        world.task(session)
    world.succeed(running)
    assert world.acquire() is None
    assert (running.status, queued.status) == (TaskStatus.COMPLETED, TaskStatus.CANCELLED)
    assert output.status is ResultStatus.ABORTED
    assert waiting.error.endswith(f"because its session {session.session_id} is Closed")


def test_cancelling_a_session_aborts_results_and_stops_tasks(world: World) -> None:
    session = world.session()
    running, waiting = world.task(session), world.task(session, deps=[world.result(session)])
    done = world.result(session, data=True)
    world.run()
    sessions.cancel(world.state, session.session_id, world.now())
    world.take()
    assert world.stopped == [running.task_id]
    assert {running.status, waiting.status} == {TaskStatus.CANCELLING}
    assert done.status is ResultStatus.COMPLETED
    aborted = world.state.results[waiting.data_dependencies[0]]
    assert (aborted.status, aborted.completed_at) == (ResultStatus.ABORTED, None)


def test_a_refused_purge_deletes_data_all_the_same(world: World) -> None:
    session = world.session()
    result = world.result(session, data=True)
    with pytest.raises(InvalidSessionTransition):
        sessions.purge(world.state, session.session_id, world.now())
    assert result.status is ResultStatus.DELETED


def test_deleting_a_session_leaves_nothing(world: World) -> None:
    session, other = world.session(), world.session()
    foreign = world.result(other)
    world.task(session, out=[world.result(session)], deps=[foreign])
    sessions.delete(world.state, session.session_id, world.now())
    world.take()
    state = world.state
    assert [state.tasks, state.tasks_of, foreign.dependents] == [{}, {}, {}]
    assert not any(queue._entries for queue in state.queues.values())
    assert list(state.results) == [foreign.result_id]
    assert len(world.garbage) == 1
    assert sessions.delete(state, "unknown", world.now()).status is SessionStatus.DELETED
