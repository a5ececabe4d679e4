"""Whatever is odd about the way to a control plane: every call has its value."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import TaskCancelledError
from tests.integration.odd.work import PATIENCE_S, add, mixed_work, nap, zeros
from tests.odd_plane.plane import Oddities

if TYPE_CHECKING:
    from tests.integration.odd.conftest import Far

ODDITIES = {
    "late": Oddities(late_s=0.5),
    "doubled": Oddities(is_doubled=True),
    "any order": Oddities(is_doubled=True, is_shuffled=True, late_s=0.05),
    "many pods": Oddities(pod_max=100),
    "slow to cancel": Oddities(cancel_s=2.0),
}
AWAY_S = 4.0  # longer than the silence that is told

both = pytest.mark.parametrize("polls", [False, True], ids=["stream", "polls"])


@both
@pytest.mark.parametrize("kind", ODDITIES)
def test_messages_that_are_odd(far: Callable[..., Far], kind: str, polls: bool) -> None:
    one = far(oddities=ODDITIES[kind], disable_events_client=polls)
    mixed_work(one.client)
    assert one.plane.counts["ListResults"] < 150  # what is late is looked at with pauses
    assert one.plane.counts["GetPartition"] == 1


@both
def test_a_network_that_is_far(far: Callable[..., Far], polls: bool) -> None:
    mixed_work(far(delay_s=0.02, disable_events_client=polls).client)


@both
def test_connections_that_break_all_the_time(far: Callable[..., Far], polls: bool) -> None:
    one = far(cut_every_s=0.4, disable_events_client=polls)
    for _ in range(3):
        mixed_work(one.client)


@contextmanager
def after_a_moment(begin: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    """In the middle of what the block does, for a while."""
    timers = [threading.Timer(0.2, begin), threading.Timer(0.2 + AWAY_S, end)]
    for timer in timers:
        timer.start()
    yield
    for timer in timers:
        timer.join()


@both
@pytest.mark.parametrize("how", ["away", "refused", "held"])
def test_an_outage_costs_nothing_but_time(
    far: Callable[..., Far], caplog: Any, how: str, polls: bool
) -> None:
    one = far(disable_events_client=polls)
    begin, end = {
        "away": (one.plane.go_away, one.plane.come_back),
        "refused": (one.network.refuse, one.network.accept),
        "held": (one.network.hold, one.network.go_on),
    }[how]
    with after_a_moment(begin, end):
        before = nap.invoke(1.0, pymonik=one.client)
        mixed_work(one.client)
        assert before.get(PATIENCE_S) == 1.0
        mixed_work(one.client)
    lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(lines) <= 2  # one when it is lost, one when it is back
    assert len(lines) == 2 or how == "held"


@both
def test_replicas_that_restart_one_after_the_other_lose_nothing(
    far: Callable[..., Far], polls: bool
) -> None:
    """Each tells its clients that it shuts down, and cuts them; the balancer leads elsewhere."""
    one, other = (far(disable_events_client=polls) for _ in range(2))
    over = threading.Event()

    def roll() -> None:
        planes = itertools.cycle([one.plane, other.plane])
        plane = next(planes)
        while not over.wait(0.7):
            plane, before = next(planes), plane
            one.network.lead_to(plane.endpoint)
            before.go_away()
            one.network.cut()
            before.come_back()

    thread = threading.Thread(target=roll)
    thread.start()
    try:
        for _ in range(3):
            mixed_work(one.client)
    finally:
        over.set()
        thread.join()


def test_a_connection_that_is_half_open_is_found_out(far: Callable[..., Far]) -> None:
    one = far()
    before = nap.invoke(1.0, pymonik=one.client)
    one.client.session.send()
    one.network.lose()
    assert before.get(PATIENCE_S) == 1.0
    mixed_work(one.client)


def test_what_is_larger_than_a_request_may_be_goes_as_a_stream(far: Callable[..., Far]) -> None:
    one = far()
    data = [one.client.put(bytes(9_000_000)) for _ in range(2)]
    large = [zeros.invoke(40_000_000, pymonik=one.client) for _ in range(2)]
    sizes = nbytes_of(data, large)
    assert sizes == [9_000_000] * 2 + [40_000_000] * 2


def nbytes_of(*groups: list[Any]) -> list[int]:
    return [len(handle.get(PATIENCE_S)) for group in groups for handle in group]


def test_cancelling_that_takes_seconds_keeps_nobody_waiting(far: Callable[..., Far]) -> None:
    one = far(oddities=Oddities(cancel_s=3.0))
    sleeping = nap.invoke(60.0, pymonik=one.client)
    one.client.session.send()
    sleeping.cancel()
    assert add.invoke(1, 2, pymonik=one.client).get(PATIENCE_S) == 3
    assert not sleeping.done()
    with pytest.raises(TaskCancelledError):
        sleeping.get(PATIENCE_S)


def test_a_thousand_calls_are_few_requests(far: Callable[..., Far]) -> None:
    one = far(delay_s=0.02)
    add.invoke(1, 1, pymonik=one.client).get(PATIENCE_S)
    before = one.plane.counts.copy()
    handles = [add.invoke(n, n, pymonik=one.client) for n in range(1000)]
    one.client.session.send()
    sent = one.plane.counts - before
    asked = {name: sent[name] for name in ("CreateResultsMetaData", "CreateResults", "SubmitTasks")}
    assert 0 < sum(asked.values()) <= 8, asked
    assert [handle.get(PATIENCE_S) for handle in handles] == [2 * n for n in range(1000)]


def test_values_are_asked_for_once_each_and_nothing_else_is(far: Callable[..., Far]) -> None:
    one = far(delay_s=0.01)
    waited_for = [add.invoke(n, 1, pymonik=one.client) for n in range(100)]
    for handle in waited_for:
        handle.wait(PATIENCE_S)
    handles = [add.invoke(n, 2, pymonik=one.client) for n in range(100)]
    for handle in handles:
        handle.wait(PATIENCE_S)
    before = one.plane.counts.copy()
    assert [handle.get(PATIENCE_S) for handle in handles] == [n + 2 for n in range(100)]
    asked = one.plane.counts - before
    assert 100 <= asked["DownloadResultData"] <= 132  # some of those that ended just before
    assert set(asked) == {"DownloadResultData"}  # the events have told the rest
    assert waited_for[0].get(PATIENCE_S) == 1
