"""What the watcher does without any control plane: nobody waits for one that has stopped."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pymonik.errors import TaskCancelledError
from pymonik.transport.watcher import Watcher
from tests.unit.transport.calls import state


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
