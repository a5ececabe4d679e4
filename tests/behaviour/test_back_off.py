"""``@task(retry_backoff=...)``: a pause before each further attempt."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pymonik import Pymonik, PymonikContext, TaskCancelledError, UsageError, task

TIMEOUT_S = 50.0


@task(require_context=True, retry_on=OSError, retry_backoff=0.1, max_retries=3)
def third_time(ctx: PymonikContext, times: list[float]) -> float:
    if ctx.attempt < 3:
        raise OSError("not yet")
    return time.time()


@task(require_context=True, retry_on=OSError, retry_backoff=1000)
def waits_long(ctx: PymonikContext) -> None:
    if ctx.attempt == 1:
        raise OSError("not yet")


@pytest.mark.parametrize("chunk_size", [1, 2])
def test_each_further_attempt_waits_twice_as_long(client: Pymonik, chunk_size: int) -> None:
    began = time.time()
    ends = third_time.map_invoke([[], []], chunk_size=chunk_size).get(timeout=TIMEOUT_S)

    assert min(ends) - began > 0.1 + 0.2


def test_a_pause_can_be_cancelled(client: Pymonik) -> None:
    call = waits_long.invoke()
    while len(call.attempts) < 2:
        time.sleep(0.05)  # the first attempt has no event that a client sees
    call.cancel()
    assert isinstance(call.exception(timeout=TIMEOUT_S), TaskCancelledError)


@pytest.mark.parametrize("wrong", [0, -1, "soon"])
def test_a_pause_is_a_number_of_seconds(wrong: Any) -> None:
    with pytest.raises(UsageError, match="retry_backoff"):
        task(retry_backoff=wrong)(lambda: 0)
