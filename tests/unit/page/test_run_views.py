"""Runs as the page shows them."""

from __future__ import annotations

from typing import Any

from pymonik.page.run_views import HeldRun, ListedRun
from pymonik.runs.rows import TaskRow
from pymonik.runs.tally import Mark
from pymonik.session.result import ResultState


def calls(number: int) -> list[ResultState]:
    states = [ResultState(None, "f") for _ in range(number)]  # type: ignore[arg-type]
    for index, state in enumerate(states):
        state.index = index
    return states


def ended(task_id: str, status: str, error: str = "", **times: Any) -> TaskRow:
    first, _, _ = task_id.partition("###")
    options = {"pymonik.function": "f", "pymonik.run": "study"}
    return TaskRow(task_id, "s", status, "p", first_id=first, error=error, options=options, **times)


def test_a_call_that_left_with_another_task_belongs_to_its_run() -> None:
    states = calls(2)
    view = HeldRun("k", states, "f", 0.0)
    assert view.tasks() == set()
    states[0].task_id = states[1].task_id = "chunk"
    assert view.tasks() == {"chunk"}
    states[0].complete()
    states[1].task_id = "rest"  # the chunk ended before it came to this one
    assert view.tasks() == {"chunk", "rest"}
    states[1].complete()
    assert view.tasks() == {"chunk", "rest"}


def test_the_last_attempt_is_what_is_shown_of_a_task() -> None:
    rows = [
        ended("a", "RETRIED", created=1.0, started=2.0, ended=3.0),
        ended("b", "COMPLETED", created=1.5, started=4.0, ended=6.0),
        ended("a###1", "ERROR", "Traceback...\n  File\nValueError: bad 1", created=3.5),
        ended("c", "PROCESSING", created=2.0, started=7.0),
    ]
    view = ListedRun("k", rows)
    snapshot = view.look(10.0)
    assert list(snapshot.marks) == [Mark.FAILED, Mark.OK, Mark.RUNNING]
    assert [str(one.fault) for one in snapshot.errors] == ["ValueError: bad 1"]
    assert snapshot.slowest == (1, 2.0)
    assert snapshot.elapsed_s == 9.0
    assert (view.function, view.label, view.tasks()) == ("f", "study", {"a", "b", "c"})


def test_errors_of_tasks_that_differ_in_numbers_are_one_group() -> None:
    rows = [ended(str(n), "ERROR", f"ValueError: bad {n}", created=float(n)) for n in range(8)] + [
        ended("x", "ERROR", "", created=9.0)
    ]
    groups = ListedRun("k", rows).look(20.0).errors
    assert [(one.count, one.items) for one in groups] == [(8, (0, 1, 2, 3, 4)), (1, (8,))]
