"""The pause before a further attempt, for ``@task(retry_backoff=...)``."""

from __future__ import annotations

import time
from typing import Final

_LONGEST_S: Final = 300.0


def back_off(first_s: float, attempt: int) -> None:
    """Wait before an attempt after the first: ``first_s``, then twice as long each time.

    ArmoniK has no task that starts later, so the executor waits, and its time limit runs meanwhile.
    A cancellation ends the pause as it ends a call.
    """
    if attempt > 1:
        time.sleep(min(first_s * 2.0 ** min(attempt - 2, 30), _LONGEST_S))
