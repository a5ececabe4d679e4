"""Failures: errors, retries, time limits, and how they reach the dependents."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.conformance.client import status
from tests.conformance.ops import (
    Op,
    crash,
    create,
    fail,
    first,
    none,
    raise_,
    send,
    sleep,
    submit,
    throw,
)
from tests.conformance.queries import TASKS, string
from tests.conformance.registry import scenario
from tests.conformance.trial import Trial, instant, is_set

if TYPE_CHECKING:
    from armonik.protogen.common import tasks_common_pb2 as tasks_pb

NEVER_RUN = {"submitted_at": False, "started_at": False}


def _always_fails(t: Trial, op: Op, *beginnings: str, times: float = 1.0) -> None:
    """A task whose worker call always fails: three attempts, then the output is aborted."""
    session_id = t.session(max_retries=2)
    result_id = t.meta(session_id)
    task_id = t.task(session_id, [op], out=[result_id])
    _retried(t, task_id, result_id, *beginnings, times=times)


def _retried(
    t: Trial, task_id: str, result_id: str, *beginnings: str, times: float
) -> list[tasks_pb.TaskDetailed]:
    ids = [task_id, f"{task_id}###1", f"{task_id}###2"]
    attempts = t.attempts(task_id, 3, times)
    t.equal("IDs", [task.id for task in attempts], ids)
    t.equal("statuses", [status(task) for task in attempts], ["RETRIED", "RETRIED", "ERROR"])
    t.equal("retry_of_ids", [list(task.retry_of_ids) for task in attempts], [[], ids[:1], ids[:2]])
    t.equal("created_by", [task.created_by for task in attempts], ["", *ids[:2]])
    t.equal("initial_task_id", {task.initial_task_id for task in attempts}, {task_id})
    t.equal("success", [task.output.success for task in attempts], [False, False, False])
    parents = {tuple(task.parent_task_ids) for task in attempts}
    t.equal("parent_task_ids", parents, {tuple(attempts[0].parent_task_ids)})
    raw = t.result_becomes("output", result_id, "ABORTED")
    t.equal("owner of the output", raw.owner_task_id, ids[2])
    if t.part("post"):
        for task in attempts:
            found = next((text for text in beginnings if task.output.error.startswith(text)), None)
            t.holds(f"error of {t.names.text(task.id)}", found is not None, task.output.error)
    return attempts


@scenario(84, "Output.error: no retry")
def error(t: Trial) -> None:
    session_id = t.session()
    one, two = t.meta(session_id), t.meta(session_id)
    task_id = t.task(session_id, [send("@1", "x"), fail("boom")], out=[one, two])
    task = t.ends(task_id, "ERROR")
    t.equal("output", [task.output.success, task.output.error], [False, "boom"])
    t.equal("retry_of_ids", list(task.retry_of_ids), [])
    t.equal(
        "times", is_set(task, "ended_at", "processed_at"), {"ended_at": True, "processed_at": True}
    )
    for result_id in (one, two):
        raw = t.result_becomes(t.names.text(result_id), result_id, "ABORTED")
        t.equal("completed_at", is_set(raw, "completed_at"), {"completed_at": True})
    t.refused("a retry", "NOT_FOUND", t.get_task, f"{task_id}###1")
    t.attempts(task_id, 1)


@scenario(85, "What a failed task did never happened")
def nothing_kept(t: Trial) -> None:
    session_id = t.session()
    result_id = t.meta(session_id)
    ops = [
        send("@0", "abc"),
        create("x", "abc"),
        submit([], name="sub"),
        fail("$x $sub"),
    ]
    task_id = t.task(session_id, ops, out=[result_id])
    task = t.ends(task_id, "ERROR")
    t.result_becomes("output", result_id, "ABORTED")
    created, subtask = task.output.error.split()
    t.names.label("created", created)
    t.names.label("subtask", subtask)
    t.holds("both calls were accepted", "$" not in task.output.error, task.output.error)
    t.refused("created result", "NOT_FOUND", t.get_result, created)
    t.refused("subtask", "NOT_FOUND", t.get_task, subtask)
    t.equal("results named x", len(t.named(session_id, "x")), 0)
    t.equal("tasks", [one.id for one in t.tasks_of(session_id)], [task_id])


@scenario(86, "An error reaches the dependents, and theirs")
def propagation(t: Trial) -> None:
    session_id = t.session()
    a, b, c = t.metas(session_id, "a", "b", "c")
    first_id, *waiting = t.submit(
        session_id,
        t.creation(session_id, [sleep(0.5), fail("boom")], out=[a]),
        t.creation(session_id, [send("@0", "x")], out=[b], deps=[a]),
        t.creation(session_id, [send("@0", "x")], out=[c], deps=[b]),
    )
    t.ends(first_id, "ERROR")
    for task_id in waiting:
        task = t.ends(task_id, "ERROR")
        name = t.names.text(task_id)
        t.equal(f"{name}: error", task.output.error, f"Task {first_id} failed:\nboom")
        t.equal(f"{name}: success", task.output.success, False)
        t.equal(f"{name}: times", is_set(task, *NEVER_RUN), NEVER_RUN)
    for result_id in (a, b, c):
        raw = t.result_becomes(t.names.text(result_id), result_id, "ABORTED")
        t.equal("completed_at", is_set(raw, "completed_at"), {"completed_at": True})


@scenario(87, "An error does not reach the others")
def siblings(t: Trial) -> None:
    session_id = t.session()
    a, gate, output = t.metas(session_id, "a", "gate", "output")
    failing, sibling = t.submit(
        session_id,
        t.creation(session_id, [fail("boom")], out=[a]),
        t.creation(session_id, [send("@0", "abc")], out=[output], deps=[gate]),
    )
    t.ends(failing, "ERROR")
    t.result_becomes("output of the failed task", a, "ABORTED")
    t.equal("sibling", status(t.get_task(sibling)), "PENDING")
    t.result_is("output of the sibling", output, "CREATED")
    t.upload(session_id, gate, b"")
    t.ends(sibling)
    t.result_is("output of the sibling", output, "COMPLETED", content=b"abc")


@scenario(88, "A gRPC error of the worker: retries, then error", tags="aerr", parts="post")
def grpc_error(t: Trial) -> None:
    _always_fails(t, raise_("INTERNAL"), "Worker returned error Internal:")


@scenario(89, "An uncaught exception of a Python worker", tags="aerr", parts="post")
def exception(t: Trial) -> None:
    _always_fails(t, throw(), "Worker returned error Internal:")


@scenario(90, "A failure, then a success", tags="aerr")
def second_attempt(t: Trial) -> None:
    session_id = t.session()
    result_id = t.meta(session_id)
    ops = [first(1, t.counter(), raise_("INTERNAL")), send("@0", "abc")]
    task_id = t.task(session_id, ops, out=[result_id])
    retry_id = f"{task_id}###1"
    attempts = t.attempts(task_id, 2)
    found = [(task.id, status(task)) for task in attempts]
    t.equal("attempts", found, [(task_id, "RETRIED"), (retry_id, "COMPLETED")])
    t.equal("output of the last", attempts[-1].output.success, True)
    raw = t.result_is("output", result_id, "COMPLETED", content=b"abc")
    t.equal("owner", raw.owner_task_id, retry_id)
    filters = TASKS.all(TASKS.where("INITIAL_TASK_ID", string(task_id)))
    total = t.cluster.tasks.ListTasks(TASKS.page(filters, "CREATED_AT", size=0)).total
    t.equal("ListTasks: total", total, 2)


@scenario(91, "A worker which crashes", tags="aerr slow", parts="post")
def crashing(t: Trial) -> None:
    texts = ("Worker went down with error", "Agent had connectivity error")
    _always_fails(t, crash(), *texts, times=4)


@scenario(92, "Replies without output", tags="aerr", parts="post")
def malformed(t: Trial) -> None:
    _always_fails(t, none("reply"), "Agent got an internal error")
    _always_fails(t, none("output"), "Agent got an internal error")


def _times_out(t: Trial, name: str, op: Op) -> tasks_pb.TaskDetailed:
    session_id = t.session(max_duration=1)
    result_id, other = t.meta(session_id), t.meta(session_id)
    task_id, dependent = t.submit(
        session_id,
        t.creation(session_id, [op, send("@0", "late")], out=[result_id]),
        t.creation(session_id, out=[other], deps=[result_id]),
    )
    task = t.ends(task_id, "TIMEOUT")
    t.equal(
        f"{name}: output", [task.output.success, task.output.error], [False, "Deadline Exceeded"]
    )
    error = t.ends(dependent, "ERROR").output.error
    t.holds(
        f"{name}: error of the dependent",
        error.startswith(f"Task {task_id} timed-out:"),
        error,
    )
    for one in (result_id, other):
        t.result_becomes(f"{name}: {t.names.text(one)}", one, "ABORTED")
    t.attempts(task_id, 1)
    time.sleep(1)
    t.result_is(f"{name}: output, later", result_id, "ABORTED")
    return task


@scenario(93, "max_duration exceeded: no retry")
def timeout(t: Trial) -> None:
    task = _times_out(t, "sleep", sleep(10))
    took = instant(task, "ended_at") - instant(task, "started_at")
    t.holds("sleep: it took between 0.9 and 5 s", 0.9 <= took <= 5)
    _times_out(t, "status", raise_("DEADLINE_EXCEEDED"))


@scenario(94, "A subtask fails after its parent has delegated the output")
def failing_subtask(t: Trial) -> None:
    session_id = t.session()
    result_id, other = t.meta(session_id), t.meta(session_id)
    child = [sleep(1), fail("boom")]
    parent_id, dependent = t.submit(
        session_id,
        t.creation(session_id, [submit(child, out=["@0"])], out=[result_id]),
        t.creation(session_id, out=[other], deps=[result_id]),
    )
    t.ends(parent_id)
    subtask = t.subtask(result_id)
    t.equal("the owner is a subtask", subtask.created_by, parent_id)
    t.ends(subtask.id, "ERROR")
    t.result_becomes("output", result_id, "ABORTED")
    error = t.ends(dependent, "ERROR").output.error
    t.equal("error of the dependent", error, f"Task {subtask.id} failed:\nboom")
    t.equal("parent", status(t.get_task(parent_id)), "COMPLETED")


@scenario(95, "The payload is deleted before the task starts")
def lost_payload(t: Trial) -> None:
    session_id = t.session()
    result_id = t.meta(session_id)
    payload = t.payload(session_id, [send("@0", "abc")])
    t.on_session("Pause", session_id)
    task_id = t.task(session_id, payload=payload, out=[result_id])
    t.reaches(task_id, "PAUSED")
    t.delete_data(session_id, payload)
    t.on_session("Resume", session_id)
    task = t.ends(task_id, "ERROR")
    t.equal("started_at", is_set(task, "started_at"), {"started_at": False})
    t.holds("the error is not empty", bool(task.output.error))
    t.attempts(task_id, 1)
    t.result_becomes("output", result_id, "ABORTED")
