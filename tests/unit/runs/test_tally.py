"""What a look sees of calls, without a clock."""

from __future__ import annotations

import array

import pytest

from pymonik.errors import TaskCancelledError
from pymonik.runs.snapshot_lines import group, line
from pymonik.runs.tally import Mark, Tally
from pymonik.session.result import ResultState
from pymonik.wire.call import Figures, ItemMeta, Origin, ResultMeta


def calls(number: int) -> list[ResultState]:
    states = [ResultState(None, "f") for _ in range(number)]  # type: ignore[arg-type]
    for index, state in enumerate(states):
        state.index = index
        state.task_id = f"t{index}"
    return states


def test_counts_follow_what_has_ended() -> None:
    states = calls(5)
    tally = Tally(states, "f · study", 100.0)
    assert list(tally.look(100.0).marks) == [Mark.PENDING] * 5
    states[0].complete()
    states[1].fail(ValueError("no"))
    states[2].fail(TaskCancelledError("given up"))
    snapshot = tally.look(101.0, running={"t4", "t0"})
    assert list(snapshot.marks) == [
        Mark.OK,
        Mark.FAILED,
        Mark.CANCELLED,
        Mark.PENDING,
        Mark.RUNNING,
    ]
    assert snapshot.left == 2
    assert tally.look(102.0).count(Mark.RUNNING) == 0


def test_a_line_says_it() -> None:
    states = calls(10)
    tally = Tally(states, "f · study", 100.0)
    for state in states[:4]:
        state.complete()
    states[4].fail(ValueError("no"))
    assert line(tally.look(110.0)) == "f · study   4/10 ok · 1 failed · ETA 10 s"
    for state in states[5:]:
        state.complete()
    assert line(tally.look(111.0)) == "f · study   9/10 ok · 1 failed"


def test_the_rate_is_that_of_lately() -> None:
    states = calls(1000)
    tally = Tally(states, "f", 0.0)
    assert tally.look(0.5).eta_s is None
    for state in states[:100]:  # slow at first: ten a second
        state.complete()
    assert tally.look(10.0).rate == pytest.approx(10)
    for second in range(11, 60):
        for state in states[100 + 10 * (second - 11) : 100 + 10 * (second - 10)]:
            state.complete()
        tally.look(float(second))
    for state in states[590:890]:  # then a hundred
        state.complete()
    assert tally.look(62.0).rate == pytest.approx((890 - 300) / 32, rel=0.1)


def test_silence_is_measured_from_the_last_end() -> None:
    states = calls(2)
    tally = Tally(states, "f", 0.0)
    states[0].complete()
    assert tally.look(5.0).quiet_s == 0
    assert tally.look(45.0).quiet_s == 40
    states[1].complete()
    tally.look(50.0)
    assert tally.look(90.0).elapsed_s == 50


def test_errors_that_differ_in_numbers_are_one_group() -> None:
    states = calls(20)
    for index in (3, 7, 9, 11, 13, 15):
        states[index].fail(ValueError(f"negative volume {index * 1.5}"))
    states[4].fail(KeyError("x"))
    errors = Tally(states, "f", 0.0).look(1.0).errors
    assert [group(one) for one in errors] == [
        "ValueError x6: negative volume 4.5, items 3, 7, 9, 11, 13 …",
        "KeyError: 'x', item 4",
    ]


def test_an_error_whose_text_cannot_be_made_harms_nothing() -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    states = calls(1)
    states[0].fail(OddError())
    (only,) = Tally(states, "f", 0.0).look(1.0).errors
    assert group(only) == "OddError: <OddError: its str raises RuntimeError>, item 0"


def test_the_slowest_is_known_as_far_as_results_were_read() -> None:
    states = calls(4)
    seconds = array.array("f", [1.0, 8.0, 2.0])
    head = ResultMeta(
        items=(),
        chunked=True,
        origin=Origin("pod", 1, 0, 1, 5.0, "cpu", (3, 12)),
        figures=Figures(seconds=seconds.tobytes()),
    )
    for item, state in enumerate(states[:3]):
        state.head, state.item = head, item
        state.complete()
    states[3].complete()
    snapshot = Tally(states, "f", 0.0).look(1.0)
    assert snapshot.slowest == (1, 8.0)
    assert snapshot.median_s == 2.0


def test_an_item_of_a_result_without_figures_has_no_time() -> None:
    states = calls(1)
    states[0].head = ResultMeta(items=(ItemMeta(1),), chunked=True, seconds=4.0)
    states[0].complete()
    assert Tally(states, "f", 0.0).look(1.0).slowest is None


def test_the_most_memory_is_that_of_the_largest_result() -> None:
    states = calls(3)
    for item, state in enumerate(states):
        peaks = array.array("Q", [1_000, 812_000_000, 5]).tobytes()
        state.head = ResultMeta(items=(), chunked=True, figures=Figures(peak_bytes=peaks))
        state.item = item
        state.complete()
    assert Tally(states, "f", 0.0).look(1.0).peak_bytes == 812_000_000
    assert Tally(calls(2), "f", 0.0).look(1.0).peak_bytes == 0
