from __future__ import annotations

import pytest

from pymonik.executor import numeric_threads
from pymonik.executor.numeric_threads import thread_limits


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numeric_threads, "processors", lambda: 8)


@pytest.mark.parametrize(("executors", "share"), [(1, "8"), (3, "2"), (8, "1"), (100, "1")])
def test_each_executor_has_its_share_of_the_processors(executors: int, share: str) -> None:
    limits = thread_limits({}, executors)
    assert set(limits.values()) == {share}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} <= set(limits)


def test_what_the_user_says_stays_and_holds_for_libraries_that_follow_it() -> None:
    limits = thread_limits({"OMP_NUM_THREADS": "4"}, 8)
    assert not {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} & set(limits)
    assert limits["NUMBA_NUM_THREADS"] == "1"
    assert "OPENBLAS_NUM_THREADS" not in thread_limits({"OPENBLAS_NUM_THREADS": "2"}, 8)
