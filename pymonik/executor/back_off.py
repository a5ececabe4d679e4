"""The pause before a further attempt, for ``@task(retry_backoff=...)``."""

from __future__ import annotations

import time
from typing import Final

# Seconds: the pause counts for the task's time limit, so it must not grow without bound.
_LONGEST_S: Final = 300.0


def back_off(first_s: float, attempt: int) -> None:
    """Wait before an attempt after the first: ``first_s``, then twice as long each time.

    ArmoniK has no task that starts later, so the executor waits, and its time limit runs meanwhile.
    A cancellation ends the pause as it ends a call.
    """
    if attempt > 1:
        # At most 2 ** 30: a float is too small for the power of an attempt number above a thousand.
        time.sleep(min(first_s * 2.0 ** min(attempt - 2, 30), _LONGEST_S))
