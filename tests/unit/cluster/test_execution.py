"""A task from its submission to its end, and what its end means for others."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pymonik.cluster.state import execution, results, sessions
from pymonik.cluster.state.faults import ResultInvalidStatus, ResultNotFound, Unknown
from pymonik.cluster.state.requested_options import RequestedOptions
from pymonik.cluster.state.rows import Kind, ResultStatus, TaskStatus
from pymonik.cluster.state.work import (
    Failed,
    Lost,
    NewResult,
    NewTask,
    Released,
    Start,
    Stopped,
    Succeeded,
    TimedOut,
)

if TYPE_CHECKING:
    from pymonik.cluster.state.work import Outcome
    from tests.unit.cluster.conftest import World


def test_the_life_of_a_task_is_announced_in_order_each_change_once(world: World) -> None:
    session = world.session()
    output = world.result(session)
    payload = world.result(session, data=True)
    world.take()
    task = world.task(session, out=[output], payload=payload)
    world.succeed(world.run())
    assert world.take() == [
        (Kind.NEW_TASK, task.task_id, TaskStatus.CREATING),
        (Kind.RESULT_OWNER, output.result_id, task.task_id),
        (Kind.TASK_STATUS, task.task_id, TaskStatus.PENDING),
        (Kind.TASK_STATUS, task.task_id, TaskStatus.SUBMITTED),
        (Kind.TASK_STATUS, task.task_id, TaskStatus.DISPATCHED),
        (Kind.TASK_STATUS, task.task_id, TaskStatus.PROCESSING),
        (Kind.RESULT_STATUS, output.result_id, ResultStatus.COMPLETED),
        (Kind.TASK_STATUS, task.task_id, TaskStatus.COMPLETED),
    ]


def test_a_task_waits_for_payload_and_dependencies(world: World) -> None:
    session = world.session()
    payload, dependency = world.result(session), world.result(session)
    task = world.task(session, payload=payload, deps=[dependency])
    world.upload(payload)
    assert (task.status, task.submitted_at) == (TaskStatus.PENDING, None)
    world.upload(dependency)
    assert task.status is TaskStatus.SUBMITTED
    assert task.submitted_at is not None


def test_the_highest_priority_runs_first_then_the_oldest(world: World) -> None:
    session = world.session()

    def priority(value: int) -> RequestedOptions:
        return RequestedOptions(max_duration=timedelta(), priority=value)

    low = [world.task(session, options=priority(0)) for _ in range(2)]
    high = [world.task(session, options=priority(5)) for _ in range(2)]
    assert [world.acquire() for _ in range(4)] == [*high, *low]
    assert world.acquire() is None


def test_a_refused_submission_changes_nothing(world: World) -> None:
    session = world.session()
    output, lost = world.result(session), world.result(session)
    results.delete_data(world.state, [lost.result_id])
    unknown = world.result(world.session())
    del world.state.results[unknown.result_id]
    world.take()
    with pytest.raises(ResultNotFound):
        world.task(session, out=[output], payload=output, deps=[unknown])
    with pytest.raises(ResultInvalidStatus):
        world.task(session, out=[output], payload=output, deps=[lost])
    with pytest.raises(Unknown):
        world.task(session, out=[output], payload=output, deps=[output])
    assert world.take() == []
    assert output.owner_task_id == ""


def test_a_payload_of_its_own_ends_with_a_task(world: World) -> None:
    session = world.session()
    own, other = world.result(session, data=True), world.result(session, data=True)
    objects = [own.opaque_id, other.opaque_id]
    world.task(session, payload=own, own_payload=True)
    world.task(session, payload=other)
    for _ in range(2):
        world.finish(world.run(), Succeeded())
    world.take()
    assert (own.status, own.opaque_id) == (ResultStatus.DELETED, "")
    assert (other.status, other.opaque_id) == (ResultStatus.COMPLETED, objects[1])
    assert world.garbage == objects[:1]


@pytest.mark.parametrize("outcome", [Failed("boom"), TimedOut()])
def test_a_payload_of_its_own_stays_when_its_task_fails(world: World, outcome: Outcome) -> None:
    session = world.session()
    own = world.result(session, data=True)
    world.task(session, payload=own, own_payload=True)
    world.finish(world.run(), outcome)
    assert own.status is ResultStatus.COMPLETED
    world.task(session, payload=own, own_payload=True)  # sent again: it takes the payload over
    world.finish(world.run(), Succeeded())
    assert (own.status, own.opaque_id) == (ResultStatus.DELETED, "")


def test_payloads_of_failed_tasks_go_with_their_session(world: World) -> None:
    session = world.session()
    own = world.result(session, data=True)
    world.task(session, payload=own, own_payload=True)
    world.finish(world.run(), Failed("boom"))
    world.state.remove_session(session.session_id)
    assert world.state.kept_payloads.add("another", 1) == []


def test_a_payload_of_its_own_serves_all_attempts(world: World) -> None:
    session = world.session()
    payload = world.result(session, data=True)
    world.task(session, payload=payload, own_payload=True)
    for _ in range(2):
        world.finish(world.run(), Lost("gone"))
    assert payload.opaque_id
    world.finish(world.run(), Succeeded())
    assert not payload.opaque_id


def test_a_cancelled_task_leaves_no_payload_of_its_own(world: World) -> None:
    session = world.session()
    waits, runs = world.result(session, data=True), world.result(session, data=True)
    running = world.task(session, payload=runs, own_payload=True)
    world.run()
    waiting = world.task(session, payload=waits, own_payload=True)
    execution.cancel_tasks(world.state, [running.task_id, waiting.task_id], world.now())
    assert runs.status is ResultStatus.COMPLETED  # it may be read
    world.finish(running, Stopped())
    assert world.acquire() is None
    assert [waits.status, runs.status] == [ResultStatus.DELETED] * 2


def test_an_error_is_not_retried_and_reaches_everything_that_waits(world: World) -> None:
    session = world.session()
    a, b, c, other = (world.result(session) for _ in range(4))
    first = world.task(session, out=[a])
    second = world.task(session, out=[b], deps=[a])
    third = world.task(session, out=[c], deps=[b])
    bystander = world.task(session, deps=[other])
    world.finish(world.run(), Failed("boom"))
    assert (first.status, first.error) == (TaskStatus.ERROR, "boom")
    reason = f"Task {first.task_id} failed:\nboom"
    assert [(one.status, one.error) for one in (second, third)] == [(TaskStatus.ERROR, reason)] * 2
    assert {one.status for one in (a, b, c)} == {ResultStatus.ABORTED}
    assert bystander.status is TaskStatus.PENDING


def test_a_lost_worker_costs_retries_and_then_aborts_the_results(world: World) -> None:
    session = world.session()
    output = world.result(session)
    task = world.task(session, out=[output])
    for _ in range(3):
        world.finish(world.run(), Lost("gone"))
    ids = [task.task_id, f"{task.task_id}###1", f"{task.task_id}###2"]
    attempts = [world.state.tasks[task_id] for task_id in ids]
    retried = TaskStatus.RETRIED
    assert [one.status for one in attempts] == [retried, retried, TaskStatus.ERROR]
    assert [list(one.retry_of_ids) for one in attempts] == [[], ids[:1], ids[:2]]
    assert [one.created_by for one in attempts] == ["", *ids[:2]]
    assert {one.initial_task_id for one in attempts} == {task.task_id}
    assert (output.owner_task_id, output.status) == (ids[2], ResultStatus.ABORTED)


def test_a_timeout_is_not_retried(world: World) -> None:
    session = world.session()
    output = world.result(session)
    task = world.task(session, out=[output])
    waiting = world.task(session, deps=[output])
    world.finish(world.run(), TimedOut())
    assert (task.status, task.error) == (TaskStatus.TIMEOUT, "Deadline Exceeded")
    assert waiting.error == f"Task {task.task_id} timed-out:\nDeadline Exceeded"


def test_a_released_task_runs_again_without_losing_an_attempt(world: World) -> None:
    session = world.session()
    task = world.task(session)
    world.finish(world.run(), Released())
    assert (task.status, task.owner_pod_id) == (TaskStatus.SUBMITTED, "")
    assert world.acquire() is task
    assert task.retry_of_ids == ()


def test_subtasks_and_results_exist_only_after_success(world: World) -> None:
    session = world.session()
    output = world.result(session)
    parent = world.task(session, out=[output])
    created = NewResult("x", "name")
    subtask = NewTask("sub", "x", (output.result_id,), (), parent.options)
    world.finish(world.run(), Succeeded([created], {"x": b"abc"}, [subtask]))
    child = world.state.tasks["sub"]
    assert parent.status is TaskStatus.COMPLETED
    assert tuple(child.parent_task_ids) == (session.session_id, parent.task_id)
    assert child.created_by == world.state.results["x"].created_by == parent.task_id
    assert (output.status, output.owner_task_id) == (ResultStatus.CREATED, "sub")
    world.finish(world.run(), Failed("boom"))
    assert parent.status is TaskStatus.COMPLETED
    assert output.status is ResultStatus.ABORTED


def test_a_success_that_cannot_be_applied_is_retried_as_if_nothing_was_done(world: World) -> None:
    session = world.session()
    output = world.result(session)
    parent = world.task(session, out=[output])
    subtask = NewTask("sub", "unknown", (), (), parent.options)
    world.finish(
        world.run(), Succeeded([NewResult("x")], {output.result_id: b"", "x": b""}, [subtask])
    )
    world.take()
    assert parent.status is TaskStatus.RETRIED
    assert parent.error.startswith("Agent got an internal error")
    assert output.status is ResultStatus.CREATED
    assert not {"sub", "x"} & {*world.state.tasks, *world.state.results}
    assert len(world.garbage) == 2


def test_an_output_that_is_never_produced_stays_created(world: World) -> None:
    session = world.session()
    output = world.result(session)
    task = world.task(session, out=[output])
    world.finish(world.run(), Succeeded())
    assert (task.status, output.status) == (TaskStatus.COMPLETED, ResultStatus.CREATED)


def test_a_running_task_that_is_cancelled_ends_cancelled_whatever_its_runner_says(
    world: World,
) -> None:
    session = world.session()
    output = world.result(session)
    task = world.task(session, out=[output])
    waiting = world.task(session, deps=[output])
    world.run()
    execution.cancel_tasks(world.state, [task.task_id], world.now())
    assert (task.status, output.status) == (TaskStatus.CANCELLING, ResultStatus.ABORTED)
    assert waiting.error == f"Client requested cancellation of tasks {task.task_id}"
    world.succeed(task)
    world.take()
    assert world.stopped == [task.task_id]
    assert (task.status, output.status) == (TaskStatus.CANCELLED, ResultStatus.ABORTED)
    assert len(world.garbage) == 1


def test_a_queued_task_that_is_cancelled_is_cancelled_when_a_runner_comes(world: World) -> None:
    session = world.session()
    queued, pending = world.task(session), world.task(session, deps=[world.result(session)])
    ids = [queued.task_id, pending.task_id, "unknown"]
    assert execution.cancel_tasks(world.state, ids, world.now()) == [queued, pending]
    assert world.acquire() is None
    assert queued.status is TaskStatus.CANCELLED
    assert pending.status is TaskStatus.CANCELLING  # nothing will ever look at it, as in ArmoniK


def test_a_task_cancelled_before_it_starts_is_dropped(world: World) -> None:
    task = world.task(world.session())
    assert world.acquire() is task
    execution.cancel_tasks(world.state, [task.task_id], world.now())
    assert execution.start(world.state, task.task_id, "pod", world.now()) is Start.DROP
    world.finish(task, Stopped())
    assert task.status is TaskStatus.CANCELLED


def test_a_task_taken_over_during_a_pause_starts_only_where_it_is_now(world: World) -> None:
    session = world.session()
    task = world.task(session)
    assert world.acquire(pod_id="first") is task
    sessions.pause(world.state, session.session_id, world.now())
    sessions.resume(world.state, session.session_id, world.now())
    assert world.acquire(pod_id="second") is task
    assert execution.start(world.state, task.task_id, "first", world.now()) is Start.DROP
    assert execution.start(world.state, task.task_id, "second", world.now()) is Start.RUN


def test_the_highest_priority_runs_first_then_what_was_submitted_first(world: World) -> None:
    session = world.session()
    options = [RequestedOptions(timedelta(seconds=1), priority=number) for number in (1, 3, 2)]
    tasks = [world.task(session, options=one) for one in options for _ in range(3)]
    wanted = [*tasks[3:6], *tasks[6:9], *tasks[0:3]]
    assert [world.acquire() for _ in tasks] == wanted


def test_what_a_pod_says_of_a_task_that_another_has_is_ignored(world: World) -> None:
    session = world.session()
    task = world.task(session, out=[world.result(session)])
    assert world.acquire(pod_id="first") is task
    sessions.pause(world.state, session.session_id, world.now())
    sessions.resume(world.state, session.session_id, world.now())
    assert world.acquire(pod_id="second") is task
    stored = {task.expected_output_ids[0]: world.stored()}
    for outcome in (Released(), Failed("no"), Lost("gone"), Succeeded(data={"": b""})):
        execution.finish(world.state, task.task_id, outcome, stored, world.now(), pod_id="first")
    execution.inputs_missing(world.state, task.task_id, "first", "gone", world.now())
    assert (task.status, task.owner_pod_id) == (TaskStatus.DISPATCHED, "second")
    world.take()
    assert world.garbage == [stored[task.expected_output_ids[0]].opaque_id] * 4


def test_missing_inputs_end_a_task_in_error_without_retry(world: World) -> None:
    task = world.task(world.session())
    world.acquire()
    execution.inputs_missing(world.state, task.task_id, "pod", "gone", world.now())
    assert (task.status, task.started_at) == (TaskStatus.ERROR, None)


def test_reports_about_deleted_tasks_are_ignored(world: World) -> None:
    task = world.task(world.session())
    world.run()
    world.state.remove_session(task.session_id)
    world.take()
    world.finish(task, Succeeded(data={"unknown": b"abc"}))
    assert world.take() == []
    assert len(world.garbage) == 2  # the payload, and what came too late
