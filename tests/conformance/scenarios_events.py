"""Events.GetEvents, and the waiting of the Python client on it."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

from armonik.client import ArmoniKEvents

from tests.conformance.client import Event, EventStream, status
from tests.conformance.ops import create, fail, first, raise_, send, sleep, submit
from tests.conformance.queries import RESULTS, TASKS, string
from tests.conformance.registry import scenario

if TYPE_CHECKING:
    from tests.conformance.trial import Trial

SILENCE_S = 3.0


def _steps(events: list[Event], subject: str, kind: str) -> list[str]:
    """States that the events of a kind give to a task or result."""
    return [event.state for event in events if (event.subject, event.kind) == (subject, kind)]


def _subscribed(t: Trial, stream: EventStream, result_id: str) -> None:
    """Wait until the stream is live: it starts with the results that exist already."""
    seen = stream.wait(lambda found: any(one.subject == result_id for one in found), 10)
    t.holds("the stream starts with an existing result", seen)


def _sees(t: Trial, stream: EventStream, subject: str, kind: str, state: str) -> None:
    """The stream must give this event."""
    found = stream.wait(lambda found: state in _steps(found, subject, kind), t.settings.timeout_s)
    t.holds(f"{kind} {t.names.text(subject)} {t.names.text(state)}", found)


@scenario(103, "Subscription after the end: what exists, then silence")
def snapshot(t: Trial) -> None:
    session_id = t.session()
    result_id = t.meta(session_id)
    payload = t.payload(session_id, [send("@0", "abc")])
    task_id = t.task(session_id, payload=payload, out=[result_id])
    t.ends(task_id)
    with t.events(session_id) as stream:
        time.sleep(SILENCE_S)
        found = stream.settle()
        kinds = sorted((one.kind, t.names.text(one.subject), one.state) for one in found)
        wanted = [
            ("new_result", t.names.text(payload), "COMPLETED"),
            ("new_result", t.names.text(result_id), "COMPLETED"),
            ("new_task", t.names.text(task_id), "COMPLETED"),
        ]
        t.equal("events", kinds, sorted(wanted))
        for event in found:
            if event.kind == "new_task":
                t.equal("new_task: payload_id", event.message.payload_id, payload)
                t.equal("new_task: outputs", list(event.message.expected_output_keys), [result_id])
                t.equal("new_task: parents", list(event.message.parent_task_ids), [session_id])
                t.equal("new_task: origin_task_id", event.message.origin_task_id, task_id)
            elif event.subject == result_id:
                t.equal("new_result: owner_id", event.message.owner_id, task_id)
        t.equal("end of the stream", stream.end, None)


@scenario(104, "Subscription to updates only, after the end: silence")
def updates_only(t: Trial) -> None:
    session_id = t.session()
    result_id = t.meta(session_id)
    t.ends(t.task(session_id, [send("@0", "abc")], out=[result_id]))
    other = t.meta(session_id)
    with t.events(session_id, types=["RESULT_STATUS_UPDATE"]) as stream:
        time.sleep(SILENCE_S)
        t.equal("events", [(one.kind, one.subject) for one in stream], [])
        t.equal("end of the stream", stream.end, None)
        t.upload(session_id, other, b"abc")
        _sees(t, stream, other, "result_status_update", "COMPLETED")
        t.equal("kinds", {one.kind for one in stream.settle()}, {"result_status_update"})


@scenario(105, "The life of a task")
def life(t: Trial) -> None:
    session_id = t.session()
    probe = t.meta(session_id)
    with t.events(session_id) as stream:
        _subscribed(t, stream, probe)
        result_id = t.meta(session_id)
        _sees(t, stream, result_id, "new_result", "CREATED")
        task_id = t.task(session_id, [send("@0", "abc")], out=[result_id])
        t.ends(task_id)
        _sees(t, stream, result_id, "result_owner_update", task_id)
        _sees(t, stream, result_id, "result_status_update", "COMPLETED")
        _sees(t, stream, task_id, "task_status_update", "COMPLETED")
        found = stream.settle()
    t.see_events("events", found)
    t.equal("new_task", len(_steps(found, task_id, "new_task")) > 0, True)
    t.equal("last status", _steps(found, task_id, "task_status_update")[-1:], ["COMPLETED"])
    previous = {one.message.previous_owner_id for one in found if one.kind == "result_owner_update"}
    t.equal("previous_owner_id", previous, {""})


@scenario(106, "Filters on results and on tasks")
def filters(t: Trial) -> None:
    session_id = t.session()
    a, b, c = t.metas(session_id, "a", "b", "c")
    only_a = RESULTS.all(RESULTS.where("RESULT_ID", string(a)))
    a_or_b = RESULTS.any(*((RESULTS.where("RESULT_ID", string(one)),) for one in (a, b)))
    no_task = TASKS.all(TASKS.where("TASK_ID", string(t.unknown())))
    with (
        t.events(session_id, results=only_a) as one,
        t.events(session_id, results=a_or_b, tasks=no_task) as two,
    ):
        for stream in (one, two):
            _subscribed(t, stream, a)
        task_id = t.task(
            session_id, [send("@0", "x"), send("@1", "x"), send("@2", "x")], out=[a, b, c]
        )
        t.ends(task_id)
        _sees(t, one, a, "result_status_update", "COMPLETED")
        _sees(t, one, task_id, "task_status_update", "COMPLETED")
        _sees(t, two, a, "result_status_update", "COMPLETED")
        _sees(t, two, b, "result_status_update", "COMPLETED")
        t.equal("a", {event.subject for event in one.settle()}, {a, task_id})
        t.equal("a or b, no task", {event.subject for event in two.settle()}, {a, b})


@scenario(107, "Events of a retry", tags="aerr")
def retry(t: Trial) -> None:
    session_id = t.session()
    result_id = t.meta(session_id)
    with t.events(session_id) as stream:
        _subscribed(t, stream, result_id)
        ops = [first(1, t.counter(), raise_("INTERNAL")), send("@0", "abc")]
        task_id = t.task(session_id, ops, out=[result_id])
        retry_id = f"{task_id}###1"
        t.attempts(task_id, 2)
        _sees(t, stream, task_id, "task_status_update", "RETRIED")
        _sees(t, stream, result_id, "result_owner_update", retry_id)
        _sees(t, stream, retry_id, "task_status_update", "COMPLETED")
        found = stream.settle()
    t.see_events("events", found)
    new = [one.message for one in found if (one.kind, one.subject) == ("new_task", retry_id)]
    t.equal("new_task of the retry: origin", {one.origin_task_id for one in new}, {task_id})
    t.equal(
        "new_task of the retry: retry_of", {tuple(one.retry_of_ids) for one in new}, {(task_id,)}
    )


@scenario(108, "Events of a subtask, of a result created by a task")
def subtask(t: Trial) -> None:
    session_id = t.session()
    result_id = t.meta(session_id)
    with t.events(session_id) as stream:
        _subscribed(t, stream, result_id)
        ops = [create("x", "abc"), submit([send("@0", "abc")], out=["@0"]), sleep(2)]
        parent_id = t.task(session_id, ops, out=[result_id])
        t.reaches(parent_id, "PROCESSING")
        known = {parent_id, result_id, t.get_task(parent_id).payload_id}
        t.stays("other subjects", lambda: {one.subject for one in stream} - known, set(), 1)
        t.equal("parent", status(t.get_task(parent_id)), "PROCESSING")
        t.ends(parent_id)
        child = t.subtask(result_id)
        t.ends(child.id)
        (created,) = t.named(session_id, "x")
        _sees(t, stream, created.result_id, "result_status_update", "COMPLETED")
        _sees(t, stream, result_id, "result_owner_update", child.id)
        _sees(t, stream, child.id, "task_status_update", "COMPLETED")
        found = stream.settle()
    t.see_events("events", found)
    t.holds("new_result", len(_steps(found, created.result_id, "new_result")) > 0)
    parents = {
        tuple(one.message.parent_task_ids)
        for one in found
        if one.kind == "new_task" and one.subject == child.id
    }
    t.equal("new_task: parent_task_ids", parents, {(session_id, parent_id)})


@scenario(109, "Streams do not end by themselves")
def endless(t: Trial) -> None:
    closed, cancelled = t.session(), t.session()
    probes = {closed: t.meta(closed), cancelled: t.meta(cancelled)}
    with (
        t.events(t.unknown()) as unknown,
        t.events(closed) as first_stream,
        t.events(cancelled) as second_stream,
    ):
        _subscribed(t, first_stream, probes[closed])
        _subscribed(t, second_stream, probes[cancelled])
        steps = [(closed, verb) for verb in ("Close", "Purge", "Delete")]
        steps += [(cancelled, verb) for verb in ("Cancel", "Purge", "Delete")]
        for session_id, verb in steps:
            t.on_session(verb, session_id)
            time.sleep(0.5)
            streams = {"closed": first_stream, "cancelled": second_stream, "unknown": unknown}
            for name, stream in streams.items():
                t.equal(f"{verb}: end of the stream, {name}", stream.end, None)
        _sees(t, first_stream, probes[closed], "result_status_update", "DELETED")
        t.equal("unknown session: events", [(one.kind, one.subject) for one in unknown], [])


@scenario(110, "wait_for_result_availability of the Python client")
def python_client(t: Trial) -> None:
    session_id = t.session()
    gate, one, two = t.metas(session_id, "gate", "one", "two")
    t.submit(
        session_id,
        t.creation(session_id, [send("@0", "abc")], out=[one], deps=[gate]),
        t.creation(session_id, [fail("boom")], out=[two], deps=[gate]),
    )
    early = {name: _waiter(t, session_id, name) for name in (one, two)}
    time.sleep(1)
    for name, answers in early.items():
        t.holds(f"{t.names.text(name)}: waits", answers.empty())
    t.upload(session_id, gate, b"")
    outcomes = {one: "returned", two: f"RuntimeError: Result {two} has been aborted."}
    for name, answers in early.items():
        t.equal(f"{t.names.text(name)}: before", _answer(t, answers), outcomes[name])
    for name, wanted in outcomes.items():
        answer = _answer(t, _waiter(t, session_id, name))
        t.equal(f"{t.names.text(name)}: after", answer, wanted)


def _waiter(t: Trial, session_id: str, result_id: str) -> queue.Queue[str]:
    """What the wait of the Python client for a result gives, once it ends."""
    answers: queue.Queue[str] = queue.Queue()

    def wait() -> None:
        try:
            ArmoniKEvents(t.cluster.channel).wait_for_result_availability(result_id, session_id)
        except (RuntimeError, ValueError) as error:
            answers.put(f"{type(error).__name__}: {error}")
        else:
            answers.put("returned")

    threading.Thread(target=wait, name="waiter", daemon=True).start()
    return answers


def _answer(t: Trial, answers: queue.Queue[str]) -> str:
    try:
        return answers.get(timeout=t.settings.timeout_s)
    except queue.Empty:
        return "still waiting"


@scenario(111, "Two subscribers")
def two_subscribers(t: Trial) -> None:
    session_id = t.session()
    result_id = t.meta(session_id)
    with t.events(session_id) as one, t.events(session_id) as two:
        for stream in (one, two):
            _subscribed(t, stream, result_id)
        task_id = t.task(session_id, [send("@0", "abc")], out=[result_id])
        t.ends(task_id)
        lives = []
        for stream in (one, two):
            _sees(t, stream, result_id, "result_status_update", "COMPLETED")
            _sees(t, stream, task_id, "task_status_update", "COMPLETED")
            lives.append({(event.kind, event.subject) for event in stream.settle()})
    t.equal("the same events", lives[0], lives[1])
