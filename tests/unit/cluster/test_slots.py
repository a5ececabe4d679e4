"""How the end of a call in an executor becomes the outcome of a task."""

from __future__ import annotations

import queue
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.cluster.runners.slots import ExecutorSlot
from pymonik.cluster.state.requested_options import merged
from pymonik.cluster.state.work import (
    Assignment,
    Failed,
    Lost,
    Outcome,
    Start,
    Stopped,
    Succeeded,
    TaskOptions,
    TimedOut,
)
from pymonik.code.failure import describe
from pymonik.executor import endings
from pymonik.executor.ahead import DEPTH, SLOW_S
from pymonik.executor.frames import Created, Report, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.executor.line import Call, Source

WHY = describe(ValueError("why"))
OPTIONS = TaskOptions(timedelta(seconds=9), 3, 1, "P")


class FakeDispatch:
    """Gives one task, keeps its outcome."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignments = [assignment]
        self.outcomes: queue.Queue[Outcome] = queue.Queue()
        self.cancel: Callable[[str], None] | None = None

    def acquire(self, *, on_cancel: Any, **_: str) -> Assignment | None:
        self.cancel = on_cancel
        return self.assignments.pop() if self.assignments else None

    def start(self, _task_id: str, *, pod_id: str) -> Start:
        return Start.RUN

    def finish(self, _task_id: str, outcome: Outcome, *, pod_id: str) -> None:
        self.outcomes.put(outcome)

    def go_on(self, _task_id: str, outcome: Outcome, *_: int, **__: Any) -> list[Assignment]:
        self.outcomes.put(outcome)
        return []

    def merge_options(self, _session_id: str, requested: Any) -> TaskOptions:
        return merged(requested, OPTIONS)


class FakePool:
    """Ends each call as told."""

    def __init__(self, end: Callable[[Run], endings.Ending]) -> None:
        self.end = end

    def run_line(self, first: Call, source: Source) -> None:
        assert not source.ended(first, self.end(first.run))


def _outcome(tmp_path: Path, end: Callable[[Run], endings.Ending], **changes: Any) -> Outcome:
    fields: dict[str, Any] = {"options": OPTIONS, "worker_submission": True, **changes}
    assignment = Assignment("t", "s", "p", {"p": "/p"}, {}, (), ("out",), attempt=1, **fields)
    dispatch: Any = FakeDispatch(assignment)
    pool: Any = FakePool(end)
    slot = ExecutorSlot(dispatch, "P", pool, tmp_path / "w0", hostname="here")
    slot.start()
    slot.join()
    outcome: Outcome = dispatch.outcomes.get_nowait()
    return outcome


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        (endings.Failed(WHY), Failed("ValueError: why")),
        (endings.Retry(WHY), Lost("ValueError: why")),
        (endings.Lost(WHY), Lost("ValueError: why")),
        (endings.TimedOut(WHY), TimedOut()),
        (endings.Cancelled(), Stopped()),
        (Report(output=b"1"), Succeeded([], {"out": b"1"}, [])),
        (Report(output_path="/f"), Succeeded([], {"out": Path("/f")}, [])),
    ],
)
def test_each_ending_has_its_outcome(
    tmp_path: Path, ending: endings.Ending, outcome: Outcome
) -> None:
    assert _outcome(tmp_path, lambda run: ending) == outcome


def test_created_results_get_ids(tmp_path: Path) -> None:
    report = Report(created=[Created(stand_in="new:0", name="x", data=b"2")])
    outcome = _outcome(tmp_path, lambda run: report)
    assert isinstance(outcome, Succeeded)
    (created,) = outcome.created
    assert created.name == "x"
    assert created.result_id != "new:0"
    assert outcome.data == {created.result_id: b"2"}


def test_what_goes_wrong_here_is_told_and_the_task_is_tried_again(tmp_path: Path) -> None:
    def run(run: Run) -> endings.Ending:
        raise OSError("the disk is full")

    outcome = _outcome(tmp_path, run)
    assert isinstance(outcome, Lost)
    assert "the disk is full" in outcome.error


def test_files_that_an_executor_left_are_removed(tmp_path: Path) -> None:
    def run(run: Run) -> endings.Ending:
        (Path(run.folder) / "left").touch()
        return endings.Cancelled()

    _outcome(tmp_path, run)
    assert not list((tmp_path / "w0").iterdir())


def test_a_slot_has_several_short_tasks_and_takes_more_when_half_are_done(tmp_path: Path) -> None:
    assignment = Assignment("t", "s", "p", {}, {}, (), (), OPTIONS, 1, worker_submission=True)
    dispatch: Any = FakeDispatch(assignment)
    pool: Any = None
    slot = ExecutorSlot(dispatch, "P", pool, tmp_path / "w0", hostname="here")

    def most(waiting: int, spent_s: float) -> int:
        slot._since = time.monotonic() - spent_s
        return slot._most(Succeeded(), waiting)

    assert [most(waiting, 0.0) for waiting in (0, DEPTH // 2)] == [DEPTH, DEPTH]
    assert most(DEPTH - 1, 0.0) == DEPTH - 1
    assert most(0, SLOW_S / 2) in (2, 3)
    assert most(0, SLOW_S + 1) == 1
    slot._most(Lost("gone"), 0)
    assert most(0, 0.0) == 0  # it may have left files: they are to be removed first
