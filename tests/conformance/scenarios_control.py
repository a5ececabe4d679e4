"""Pause, cancel and close: what happens to the tasks of a session."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.conformance.client import status
from tests.conformance.ops import fail, send, sleep
from tests.conformance.registry import scenario
from tests.conformance.trial import StuckError, Trial, is_set

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY_TRIALS = 5


def _statuses(t: Trial, task_ids: list[str]) -> Callable[[], list[str]]:
    return lambda: [status(t.get_task(task_id)) for task_id in task_ids]


def busy(t: Trial, session_id: str, seconds: float) -> list[str]:
    """One running task for each worker, all at the same time."""
    for _ in range(BUSY_TRIALS):
        creations = [t.creation(session_id, [sleep(seconds)]) for _ in range(t.settings.workers)]
        blockers = t.submit(session_id, *creations)
        for task_id in blockers:
            t.reaches(task_id, "PROCESSING", "COMPLETED")
        if set(_statuses(t, blockers)()) == {"PROCESSING"}:
            return blockers
        # A worker had prefetched the task of another one.
        for task_id in blockers:
            t.reaches(task_id, "COMPLETED")
    raise StuckError(f"{t.settings.workers} workers are never busy at once: is --workers right?")


@scenario(96, "Tasks of a paused session")
def paused(t: Trial) -> None:
    session_id = t.session()
    dependency = t.meta(session_id)
    t.on_session("Pause", session_id)
    ready = t.task(session_id)
    waiting = t.task(session_id, deps=[dependency])
    task = t.reaches(ready, "PAUSED")
    t.equal("ready", is_set(task, "submitted_at"), {"submitted_at": True})
    t.stays("waiting", lambda: status(t.get_task(waiting)), "PENDING", 1)
    t.upload(session_id, dependency, b"")
    task = t.reaches(waiting, "PAUSED")
    t.equal("waiting", is_set(task, "submitted_at"), {"submitted_at": True})
    t.stays("both", _statuses(t, [ready, waiting]), ["PAUSED", "PAUSED"], 2)
    t.on_session("Resume", session_id)
    t.ends(ready)
    t.ends(waiting)


@scenario(97, "Pause while tasks run and others are queued", alone=True)
def pause_running(t: Trial) -> None:
    session_id = t.session()
    running = busy(t, session_id, 3)
    queued = t.submit(session_id, *(t.creation(session_id) for _ in range(3)))
    t.on_session("Pause", session_id)
    t.equal("running, after Pause", set(_statuses(t, running)()), {"PROCESSING"})
    wanted = ["PAUSED"] * len(queued)
    t.poll("the queued tasks to be PAUSED", _statuses(t, queued), lambda found: found == wanted)
    t.all_end("running", running)
    t.stays("queued", _statuses(t, queued), wanted, 1)
    t.on_session("Resume", session_id)
    t.all_end("queued", queued)


@scenario(98, "CancelTasks of a running task")
def cancel_running(t: Trial) -> None:
    session_id = t.session()
    result_id, other = t.meta(session_id), t.meta(session_id)
    task_id, dependent = t.submit(
        session_id,
        t.creation(session_id, [sleep(30), send("@0", "late")], out=[result_id]),
        t.creation(session_id, out=[other], deps=[result_id]),
    )
    t.reaches(task_id, "PROCESSING")
    before = time.monotonic()
    reply = t.cancel(task_id)
    t.equal("reply: tasks", list(reply), [task_id])
    t.among("reply: status", reply.get(task_id), "CANCELLING", "CANCELLED")
    t.ends(task_id, "CANCELLED")
    t.holds("it does not run to its end", time.monotonic() - before < 20)
    error = t.ends(dependent, "ERROR").output.error
    text = f"Client requested cancellation of tasks {task_id}"
    t.holds("error of the dependent", error.startswith(text), error)
    time.sleep(1)
    for one in (result_id, other):
        raw = t.result_is(f"{t.names.text(one)}, later", one, "ABORTED")
        t.equal("completed_at", is_set(raw, "completed_at"), {"completed_at": True})
    t.equal("task, later", status(t.get_task(task_id)), "CANCELLED")


@scenario(99, "CancelTasks of a queued task, of a waiting task", tags="div", parts="Q")
def cancel_waiting(t: Trial) -> None:
    session_id = t.session()
    result_id, other = t.meta(session_id), t.meta(session_id)
    waiting = t.task(session_id, out=[result_id], deps=[t.meta(session_id)])
    dependent = t.task(session_id, out=[other], deps=[result_id])
    t.among("waiting: reply", t.cancel(waiting).get(waiting), "CANCELLING", "CANCELLED")
    t.result_is("output of the waiting task", result_id, "ABORTED")
    t.result_is("output of its dependent", other, "ABORTED")
    task = t.get_task(dependent)
    t.equal("dependent", status(task), "ERROR")
    text = f"Client requested cancellation of tasks {waiting}"
    t.holds("error of the dependent", task.output.error.startswith(text), task.output.error)
    t.equal("waiting", is_set(t.get_task(waiting), "ended_at"), {"ended_at": True})
    time.sleep(5)
    t.among("waiting, later", status(t.get_task(waiting)), "CANCELLING", "CANCELLED")
    if t.part("Q"):
        partition = str(t.settings.empty_partition)
        elsewhere = t.create_session(t.options(partition_id=partition), [partition])
        output = t.meta(elsewhere)
        queued = t.task(elsewhere, out=[output])
        t.reaches(queued, "SUBMITTED")
        t.among("queued: reply", t.cancel(queued).get(queued), "CANCELLING", "CANCELLED")
        t.result_is("output of the queued task", output, "ABORTED")
        time.sleep(5)
        t.among("queued, later", status(t.get_task(queued)), "CANCELLING", "CANCELLED")


@scenario(100, "CancelTasks of ended and unknown tasks")
def cancel_ended(t: Trial) -> None:
    session_id = t.session()
    one, two = t.meta(session_id), t.meta(session_id)
    completed = t.task(session_id, [send("@0", "abc")], out=[one])
    failed = t.task(session_id, [fail("boom")], out=[two])
    before = [t.ends(completed), t.ends(failed, "ERROR")]
    t.result_reaches(two, "ABORTED")
    reply = t.cancel(completed, t.unknown(), failed)
    t.equal("reply", reply, {completed: "COMPLETED", failed: "ERROR"})
    t.holds("the tasks are unchanged", [t.get_task(task.id) for task in before] == before)
    t.result_is("output", one, "COMPLETED", content=b"abc")
    t.equal("nothing to cancel", t.cancel(), {})


@scenario(101, "CancelSession")
def cancel_session(t: Trial) -> None:
    session_id = t.session()
    done, created, output = t.metas(session_id, "done", "created", "output")
    completed = t.task(session_id, [send("@0", "abc")], out=[done])
    t.ends(completed)
    waiting = t.task(session_id, out=[output], deps=[created])
    sleepers = t.submit(
        session_id, *(t.creation(session_id, [sleep(30)]) for _ in range(2 + t.settings.workers))
    )
    # Tasks of one request are queued in any order.
    t.poll("one of them to run", _statuses(t, sleepers), lambda found: "PROCESSING" in found)
    before = time.monotonic()
    t.equal("reply", status(t.on_session("Cancel", session_id)), "CANCELLED")
    for result_id in (created, output):
        raw = t.result_is(t.names.text(result_id), result_id, "ABORTED")
        t.equal("completed_at", is_set(raw, "completed_at"), {"completed_at": False})
    t.all_end("running and queued", sleepers, "CANCELLED")
    t.holds("they do not run to their ends", time.monotonic() - before < 20)
    task = t.get_task(waiting)
    t.among("waiting", status(task), "CANCELLING", "CANCELLED")
    t.equal("waiting: ended_at", is_set(task, "ended_at"), {"ended_at": True})
    t.equal("completed", status(t.get_task(completed)), "COMPLETED")
    t.result_is("its output", done, "COMPLETED", content=b"abc")


@scenario(102, "CloseSession while tasks run and others are queued", alone=True)
def close_session(t: Trial) -> None:
    session_id = t.session()
    running = busy(t, session_id, 3)
    queued: dict[str, tuple[str, str, str]] = {}
    for _ in range(3 + t.settings.workers):
        result_id, other = t.meta(session_id), t.meta(session_id)
        task_id, dependent = t.submit(
            session_id,
            t.creation(session_id, [send("@0", "abc")], out=[result_id]),
            t.creation(session_id, out=[other], deps=[result_id]),
        )
        queued[task_id] = result_id, dependent, other
    t.equal("reply", status(t.on_session("Close", session_id)), "CLOSED")
    t.all_end("running", running)
    ended = {task_id: t.reaches(task_id, "CANCELLED", "COMPLETED") for task_id in queued}
    cancelled = [task_id for task_id, task in ended.items() if status(task) == "CANCELLED"]
    t.holds(
        "all queued tasks are cancelled, but one for each worker",
        len(queued) - len(cancelled) <= t.settings.workers,
    )
    for task_id in cancelled[-2:]:
        result_id, dependent, other = queued[task_id]
        t.equal("a cancelled task: error", ended[task_id].output.error, "")
        t.equal("a cancelled task: success", ended[task_id].output.success, False)
        t.result_becomes("output of a cancelled task", result_id, "ABORTED")
        task = t.reaches(dependent, "ERROR")
        t.equal(
            "error of its dependent",
            task.output.error.replace(task_id, "T"),
            f"Task T has been cancelled because its session {session_id} is Closed",
        )
        t.result_becomes("output of its dependent", other, "ABORTED")
