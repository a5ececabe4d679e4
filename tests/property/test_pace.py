"""How many calls go into a task: whatever is measured, all calls leave and no worker waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pymonik.session.pace import Pace
from pymonik.wire.call import MOST_CALLS

workers = st.integers(0, 1000)
lefts = st.integers(1, 1_000_000)
call_seconds = st.floats(0, 1e6)
measured = st.lists(st.tuples(call_seconds, st.integers(1, MOST_CALLS)), max_size=10)
sizes = st.none() | st.integers(1, 10**6)
waits = st.floats(0, 1e9)


def paced(workers: int, size: int | None, measured: list[tuple[float, int]]) -> Pace:
    pace = Pace(workers, size)
    for seconds, calls in measured:
        pace.learn(seconds * calls, calls)
    return pace


@given(workers, sizes, measured, lefts)
def test_a_task_has_a_call_at_least_and_no_more_than_there_are(workers, size, measured, left):
    assert 1 <= paced(workers, size, measured).size(left) <= min(left, MOST_CALLS)


@given(workers, st.integers(1, MOST_CALLS), measured, lefts)
def test_a_size_that_was_asked_for_is_kept(workers, size, measured, left):
    assert paced(workers, size, measured).size(left) == min(left, size)


@given(workers, measured, lefts, st.floats(0.1, 1e6))
def test_a_call_that_takes_long_is_alone(workers, measured, left, seconds):
    pace = Pace(workers)
    for _, calls in [*measured, (0, 1)]:
        pace.learn(seconds * calls * 1.001, calls)
    assert pace.size(left) == 1


@given(workers, measured, lefts)
def test_a_task_takes_no_longer_than_half_a_second(workers, measured, left):
    pace = paced(workers, None, measured)
    assert pace.size(left) == 1 or pace.size(left) * pace.call_s <= 0.5


@given(workers, sizes, measured, st.integers(1, 5000))
def test_all_calls_leave(workers, size, measured, left):
    pace = paced(workers, size, measured)
    while left > 0:
        left -= pace.size(left)
    assert left == 0


@given(st.integers(1, 1000), sizes, measured, waits)
def test_no_worker_waits_once_something_is_known_or_after_a_while(workers, size, measured, waited):
    pace = paced(workers, size, measured)
    assert 1 <= pace.window(waited) <= max(4, 16 * workers)
    if pace.is_known or waited > 1.2:
        assert pace.window(waited) > workers


@given(st.integers(1, 100))
def test_more_tasks_wait_at_the_workers_once_some_have_ended(workers):
    pace = Pace(workers)
    windows = []
    for _ in range(20 * workers):
        pace.learn(1e-3, 100)
        windows.append(pace.window(0))
    assert windows == sorted(windows)
    assert (windows[0], windows[-1]) == (2 * workers, 16 * workers)


@given(workers, waits)
def test_the_window_grows_by_itself_until_it_is_wide(workers, waited):
    pace = Pace(workers)
    look = pace.next_look_s(waited)
    if look is None:
        assert pace.window(waited) == pace.window(1e9)
    else:
        assert 0 < look <= 0.1001
        assert pace.window(waited + look + 1e-6) > pace.window(waited) or waited > 1e6


@given(st.integers(1, 16), measured, st.floats(1e-6, 0.01))
def test_what_was_learnt_lately_counts_most(workers, measured, seconds):
    pace = paced(workers, None, measured)
    for _ in range(60):
        pace.learn(seconds * 100, 100)
    assert abs(pace.call_s - seconds) <= 0.01 * seconds
