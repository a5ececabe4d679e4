"""Each reason why a call has not ended, from rows as the control plane gives them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pymonik.runs.reasons import Evidence, explain
from pymonik.runs.rows import PartitionRow, ResultRow, TaskRow
from pymonik.wire.call import ENVIRONMENT_LABEL, FUNCTION_LABEL

NOW = 1000.0


def row(task_id: str, status: str, function: str = "load", **fields: object) -> TaskRow:
    made = TaskRow(task_id, "s", status, "cpu", task_id, options={FUNCTION_LABEL: function})
    return replace(made, **fields)  # type: ignore[arg-type]


def evidence(*rows: TaskRow, **fields: object) -> Evidence:
    """One call that waits for the first of the rows."""
    tasks = {one.first_id: one for one in rows}
    made = Evidence("simulate", 1, {rows[0].first_id: 1} if rows else {}, now=NOW, tasks=tasks)
    return replace(made, **fields)  # type: ignore[arg-type]


def text(found: Evidence) -> str:
    return str(explain(found))


def test_a_partition_without_pods_is_named() -> None:
    found = evidence(
        row("a", "SUBMITTED", partition="gpu"), partitions={"gpu": PartitionRow("gpu")}
    )
    assert 'queued     partition "gpu": 0 pods allowed; last task taken there: never' in text(found)
    assert text(found).endswith('→ likely: partition "gpu" has no pods')


def test_a_partition_whose_pods_have_not_come_is_told_from_one_that_is_busy() -> None:
    waiting = row("a", "SUBMITTED")
    idle = evidence(
        waiting, partitions={"cpu": PartitionRow("cpu", 0, 5)}, last_taken={"cpu": NOW - 90}
    )
    assert "at most 5 pods; last task taken there: 1 min 30 s ago" in text(idle)
    assert "it is starting, or cannot" in text(idle)
    busy = replace(idle, running={"cpu": [row("b", "PROCESSING", "nap", started=NOW - 8)]})
    assert "running there: nap for 8 s" in text(busy)
    assert "likely" not in text(busy)


def test_a_partition_that_does_not_exist_is_said_to_be_so() -> None:
    assert 'there is no partition "cpu"' in text(evidence(row("a", "SUBMITTED")))


def test_inputs_are_followed_to_the_task_that_holds_all_up() -> None:
    found = evidence(
        row("a", "PENDING", "third"),
        row("b", "PENDING", "second"),
        row("c", "PROCESSING", "first", worker="pod-7", started=NOW - 251),
        inputs={"a": ["rb"], "b": ["rc"]},
        results={"rb": ResultRow("rb", "CREATED", "b"), "rc": ResultRow("rc", "CREATED", "c")},
    )
    assert (
        "waits for  second (task b), which waits for first (task c), "
        "running: first on pod-7, for 4 min 11 s"
    ) in text(found)


@pytest.mark.parametrize(
    ("result", "owner", "words"),
    [
        (ResultRow("r", "ABORTED", "b"), None, "result r, which was aborted"),
        (ResultRow("r", "CREATED"), None, "which no task makes and nobody has uploaded"),
        (ResultRow("r", "CREATED", "b"), row("b", "COMPLETED"), "ended without this output"),
        (ResultRow("r", "CREATED", "b"), row("b", "ERROR"), "load (task b), which failed"),
        (ResultRow("r", "CREATED", "b###1"), row("b", "PAUSED"), "paused: its session is paused"),
        (ResultRow("r", "COMPLETED", "b"), None, "its inputs are there"),
        (ResultRow("r", "CREATED", "unlisted"), None, "of task unlisted"),
    ],
)
def test_what_is_the_matter_with_an_input(
    result: ResultRow, owner: TaskRow | None, words: str
) -> None:
    rows = [row("a", "PENDING")] + ([owner] if owner is not None else [])
    assert words in text(evidence(*rows, inputs={"a": ["r"]}, results={"r": result}))


def test_tasks_that_need_each_other_do_not_run_in_circles_here() -> None:
    found = evidence(
        row("a", "PENDING"),
        row("b", "PENDING"),
        inputs={"a": ["rb"], "b": ["ra"]},
        results={"rb": ResultRow("rb", "CREATED", "b"), "ra": ResultRow("ra", "CREATED", "a")},
    )
    assert "need each other" in text(found)


def test_a_running_task_says_where_and_how_the_attempt_before_ended() -> None:
    task = row("a###1", "PROCESSING", first_id="a", worker="pod-2", started=NOW - 5)
    before = row("a", "RETRIED", error="Traceback\n  in step\nMemoryError: killed at 7.9 GB")
    found = evidence(task, earlier={"a": [before]})
    assert "load on pod-2, for 5 s; attempt 2, the one before: MemoryError: killed" in text(found)


def test_a_worker_that_does_not_begin_is_suspicious_after_a_while() -> None:
    task = row("a", "DISPATCHED", worker="pod-2", acquired=NOW - 3)
    assert "pod-2 begins it" in text(evidence(task))
    assert "does not answer, or installs" in text(evidence(replace(task, acquired=NOW - 30)))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("PAUSED", "the session must be resumed"),
        ("CANCELLING", "no worker has come to end it"),
        ("COMPLETED", "the news has not come yet"),
    ],
)
def test_other_states(status: str, words: str) -> None:
    assert words in text(evidence(row("a", status)))


def test_a_task_that_is_gone_is_explained_by_its_session() -> None:
    found = evidence(waiting={"a": 1}, session="CANCELLED")
    assert "its session is CANCELLED" in text(found)
    assert "does not know the task" in text(found)
    assert "were not looked at" in text(evidence(waiting={"a": 1}, is_partial=True))


def test_calls_are_grouped_and_the_largest_group_comes_first() -> None:
    rows = [row(f"q{n}", "SUBMITTED") for n in range(3)] + [row("r", "PAUSED")]
    found = evidence(
        *rows,
        title="simulate · study",
        total=200,
        waiting={"q0": 100, "q1": 10, "q2": 1, "r": 2},
        unsent=5,
        since=NOW - 252,
        partitions={"cpu": PartitionRow("cpu", 0, 1)},
    )
    lines = text(found).splitlines()
    assert lines[0] == "simulate · study: 118 of 200 not ended, longest wait 4 min 12 s"
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["111", "queued"],
        ["2", "paused"],
        ["5", "held"],
    ]
    assert explain(found).brief == "\n".join(lines[:2])


def test_nothing_is_left_to_explain() -> None:
    assert text(evidence(total=7)) == "simulate: all of 7 ended"


def test_an_environment_that_is_being_made_is_told() -> None:
    label = {FUNCTION_LABEL: "load", ENVIRONMENT_LABEL: "abc"}
    waiting = evidence(
        row("a", "SUBMITTED", options=label),
        making={"abc": ("building", NOW - 12, ("numpy", "scipy", "six", "attrs"))},
    )
    said = "waits for  its environment, which is being installed for 12 s: numpy, scipy, six, ..."
    assert said in text(waiting)
    assert "likely" not in text(waiting)
    assert "its environment" not in text(replace(waiting, making={}))
