"""The order in which batches of one session are submitted, though several get ready at a time.

::

    batch 1   code, outputs, payloads ─► SubmitTasks ──────────────► answer
    batch 2   outputs, payloads ────────── waits ─────► SubmitTasks ──────────────► answer

The control plane queues tasks in the order in which it has read requests. So a batch waits for the
answer to the one before, or, far away, for the time that reading takes: there an answer takes many
times as long, and requests that follow each other would cost their distance each.
"""

from __future__ import annotations

import threading
import time

_FAR_S = 0.015  # seconds there and back from which a control plane counts as far away
# Seconds that a submission has for itself before the next may follow it unanswered: near, longer
# than most answers take; far, what reading the request takes. Less, and tasks of two requests may
# be queued mixed up.
_HEAD_START_NEAR_S = 0.1
_HEAD_START_FAR_S = 0.005
# More for each of its tasks: what the control plane takes to read one.
_HEAD_START_OF_TASK_S = 50e-6
# Seconds that a batch waits for the one before to get ready, which may have gigabytes to send.
_MOST_S = 2.0


class Turns:
    """Gives out turns; for the one thread that knows the order."""

    def __init__(self) -> None:
        self._last: Turn | None = None

    def next(self) -> Turn:
        """The turn after all that were given out before."""
        self._last = turn = Turn(self._last)
        return turn


class Turn:
    """The place of one batch in the order: `wait`, `begin`, and in any case `end`.

    Args:
        before: The turn before, if that is known.
    """

    def __init__(self, before: Turn | None = None) -> None:
        self._before = before
        self._has_begun = threading.Event()  # or will never begin
        self._has_ended = threading.Event()
        self._alone_until = 0.0  # until then the next turn waits for the end of this one

    def wait(self) -> None:
        """Let the turn before have its head start."""
        before, self._before = self._before, None  # else each turn would keep all before it
        if before is not None and before._has_begun.wait(_MOST_S):
            before._has_ended.wait(max(0.0, before._alone_until - time.monotonic()))

    def begin(self, tasks: int, distance_s: float) -> None:
        """A request with so many tasks leaves now, for so far away, there and back."""
        if not self._has_begun.is_set():
            head_start_s = _HEAD_START_NEAR_S if distance_s < _FAR_S else _HEAD_START_FAR_S
            head_start_s += tasks * _HEAD_START_OF_TASK_S
            self._alone_until = time.monotonic() + head_start_s
            self._has_begun.set()

    def end(self) -> None:
        """The request was answered, or will not be made: the next one may begin."""
        self._has_ended.set()
        self._has_begun.set()
