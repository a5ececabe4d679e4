"""`attempts` of a handle: each one with its worker, seconds, cause and output."""

from __future__ import annotations

from pymonik import Pymonik, PymonikContext, task

TIMEOUT_S = 50.0


@task(require_context=True, retry_on=OSError, max_retries=2)
def third_time(ctx: PymonikContext) -> str:
    print("attempt", ctx.attempt)  # noqa: T201
    if ctx.attempt < 3:
        raise OSError(f"not at {ctx.attempt}")
    return "done"


def test_each_attempt_tells_what_it_printed(client: Pymonik) -> None:
    del client
    call = third_time.invoke()
    assert call.get(timeout=TIMEOUT_S) == "done"
    first, second, third = call.attempts

    assert [one.number for one in (first, second, third)] == [1, 2, 3]
    assert all(one.worker and one.seconds is not None for one in (first, second, third))
    assert ["OSError: not at 1" in first.error, third.cause] == [True, ""]
    assert third.output == "attempt 3\n"
    # All that a worker of ArmoniK can send home of the first two is their failure: it has the end.
    assert [first.output, second.output] == ["attempt 1\n", "attempt 2\n"]
