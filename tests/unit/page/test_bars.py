"""Tasks along time."""

from __future__ import annotations

import json
from itertools import pairwise

from pymonik.page import as_json
from pymonik.page.bars import Bar, lanes, merged
from pymonik.runs.rows import TaskRow
from pymonik.runs.tally import Mark, Snapshot


def ran(worker: str, start: float, end: float | None, status: str = "COMPLETED") -> TaskRow:
    return TaskRow(f"{worker}-{start}", "s", status, "p", worker=worker, started=start, ended=end)


def test_a_lane_has_the_tasks_of_its_worker() -> None:
    rows = [ran("b", 0, 10), ran("a", 0, 4), ran("a", 6, None, "PROCESSING"), ran("", 1, 2)]
    first, second = lanes(rows, now=9)
    assert (first.worker, first.busy_s, len(first.bars)) == ("a", 7, 2)
    assert first.bars[1][:3] == (6, 9, "running")
    assert (second.worker, second.busy_s) == ("b", 10)


def test_a_hundred_thousand_tasks_are_as_few_bars_as_can_be_seen() -> None:
    rows = [ran("a", start, start + 0.9) for start in range(100_000)]
    (lane,) = lanes(rows, now=0)
    assert len(lane.bars) <= 1_200
    assert sum(bar.tasks for bar in lane.bars) == 100_000
    assert all(one.start <= other.start for one, other in pairwise(lane.bars))
    assert len(json.dumps(as_json.timeline([lane]))) < 100_000


def test_a_failure_is_not_hidden_by_its_neighbours() -> None:
    bars = [Bar(0, 1, "ok", 1, "f"), Bar(1, 2, "failed", 1, "f"), Bar(2, 3, "ok", 1, "g")]
    assert list(merged(bars, step=10)) == [Bar(0, 3, "failed", 3, "several functions")]


def test_no_task_no_lane() -> None:
    assert lanes([], now=0) == []


def test_marks_are_as_short_as_they_are_dull() -> None:
    marks = bytes([Mark.OK] * 980 + [Mark.FAILED] + [Mark.OK] * 19 + [Mark.PENDING] * 99_000)
    assert as_json.marks(Snapshot("run", marks, range(len(marks)), 0.0)) == "o980f1o19p99000"
    assert as_json.marks(Snapshot("run", b"", (), 0.0)) == ""


def test_durations_are_counted_each_once() -> None:
    for seconds in ([0.5], [0.5, 0.5], [0.0, 1e-9, 3.0], [1.0, 2.0, 4.0, 1e5]):
        told = as_json.histogram(seconds)
        assert sum(told["bins"]) == len(seconds)
    assert as_json.histogram([])["bins"] == []
