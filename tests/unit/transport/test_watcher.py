"""What the watcher does without any control plane: nobody waits for one that has stopped."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from pymonik.errors import TaskCancelledError, UnavailableError
from pymonik.session.result import Countdown
from pymonik.transport.messages import COMPLETED
from pymonik.transport.watcher import Watcher
from pymonik.wire.embedded import Ended
from tests.unit.transport.calls import state

if TYPE_CHECKING:
    from collections.abc import Sequence

WAIT_S = 20.0


def test_what_is_watched_after_the_end_fails_at_once() -> None:
    watcher = Watcher(cast("Any", None), "s")
    before, after = state("before"), state("after")
    watcher.watch([before])
    error = TaskCancelledError("the session was closed")
    watcher.stop(error)
    watcher.watch([after], unseen=True)
    assert [before.error, after.error] == [error, error]
    assert watcher.pending() == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_states_of_one_result_both_end(order: tuple[int, int]) -> None:
    watcher = Watcher(cast("Any", None), "s")
    both = [state("same"), state("same")]
    for number in order:
        watcher.watch([both[number]])
    watcher.stop(TaskCancelledError("the session was closed"))
    assert all(one.is_final for one in both)


def test_data_that_come_with_the_news_wait_at_their_state() -> None:
    watcher = Watcher(cast("Any", None), "s")
    one, other = state("one"), state("other")
    there: list[bytes | None] = []
    one.when_final(lambda ended: there.append(ended.news))
    watcher.watch([one, other])
    watcher._tell([Ended("other", COMPLETED), Ended("one", COMPLETED, b"1")])
    watcher._tell([Ended("one", COMPLETED, b"1"), Ended("unknown", COMPLETED, b"2")])  # it may be
    assert there == [b"1"]
    assert other.is_final
    assert other.news is None


def test_data_that_come_with_the_news_are_there_for_each_state_of_a_result() -> None:
    watcher = Watcher(cast("Any", None), "s")
    twins = state("one"), state("one")
    watcher.watch(twins)
    watcher._tell([Ended("one", COMPLETED, b"1")])
    assert [one.news for one in twins] == [b"1", b"1"]


class Standing:
    """A control plane whose stream is up, though nobody is behind it."""

    endpoint = "nowhere"

    def __init__(self) -> None:
        self.end = threading.Event()

    def results(self, _session_id: str) -> Any:
        return self

    def wait_until_up(self) -> None:
        """It is."""

    def __iter__(self) -> Any:
        self.end.wait(WAIT_S)
        return iter(())

    def cancel(self) -> None:
        self.end.set()

    def list_results(self, _ids: Sequence[str]) -> Any:
        raise UnavailableError("ListResults", "no answer in time")


def test_a_silent_stream_is_looked_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymonik.transport.watcher._SLOW_CHECK_S", 0.05)
    plane: Any = Standing()
    watcher = Watcher(plane, "s", patience_s=0.1)
    watcher.start()
    end = time.monotonic() + WAIT_S
    while not watcher._stream_up:
        assert time.monotonic() < end
        time.sleep(0.01)
    one = state("one")
    watcher.watch([one])
    Countdown([one]).wait(WAIT_S)
    assert isinstance(one.error, UnavailableError)
    watcher.stop()
