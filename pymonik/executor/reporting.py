"""What a call reports and asks while it runs, as the executor sees it: `PymonikContext.report`.

Nothing here fails a call, or makes it wait: what cannot be sent is left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.code.short_reprs import ShortReprs
from pymonik.executor.frames import Reported
from pymonik.wire.live import ReportEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.executor.frames import Run
    from pymonik.executor.output_marks import Marks
    from pymonik.executor.printed import Printed

_MOST_BYTES: Final = 64 * 1024  # of one report as JSON, and of a text in it
# Seconds between two reports of progress, but for the last: as long as the parent gathers reports,
# so more of them would reach nobody sooner.
_PROGRESS_S: Final = 0.05


class Reporting:
    """What the calls of this executor say and ask.

    Args:
        send: Sends a frame to the parent; from any thread.
        printed: Knows which call runs.
        marks: Where the parent writes the board.
    """

    def __init__(self, send: Callable[[Reported], None], printed: Printed, marks: Marks) -> None:
        self._send = send
        self._printed = printed
        self._marks = marks
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, int], int] = {}  # reports by task and place
        self._progress_at = 0.0
        self._board: tuple[int, dict[str, Any]] = 0, {}

    def report(
        self,
        run: Run,
        attempt: int,
        fields: dict[str, object],
        keep: int,
        output_id: str,
        place: int = -1,
    ) -> None:
        """Send a report of the running call.

        Args:
            run: The task.
            attempt: Of it.
            fields: What is reported.
            keep: Older reports than the last so many are of no use; 0: all are.
            output_id: Under which it is found.
            place: Of the call in its task; -1 where it is the only one that runs.
        """
        if os.getpid() != self._owner:  # a process of the call's: the connection is not its own
            return
        with self._lock:
            place = self._printed.place if place < 0 else place
            entry = ReportEntry(
                at=time.time(),
                count=self._count(run.task_id, place),
                fields=shortened(fields),
                place=place,
                attempt=attempt,
                keep=keep,
            )
        with contextlib.suppress(OSError):
            self._send(Reported(task_id=run.task_id, output_id=output_id, entry=entry))

    def may_tell_progress(self, *, is_last: bool) -> bool:
        """Whether so much time has passed since the last report of progress."""
        now = time.monotonic()
        if not is_last and now - self._progress_at < _PROGRESS_S:
            return False
        self._progress_at = now
        return True

    def _count(self, task_id: str, place: int) -> int:
        if len(self._counts) > 4096 or not any(key[0] == task_id for key in self._counts):
            self._counts.clear()
        number = self._counts[task_id, place] = self._counts.get((task_id, place), 0) + 1
        return number

    def board(self) -> dict[str, Any]:
        """What the program has set for running tasks, as it is now."""
        version = self._marks.board_version
        if version != self._board[0]:
            try:
                found = msgspec.json.decode(self._marks.board())
            except msgspec.MsgspecError:  # of a later version of pymonik
                found = {}
            self._board = version, found if isinstance(found, dict) else {}
        return self._board[1]


def shortened(fields: dict[str, object]) -> dict[str, Any]:
    """Fields as JSON has them, of a bounded size."""
    plain = {str(name): _plain(value) for name, value in fields.items()}
    if len(msgspec.json.encode(plain)) <= _MOST_BYTES:
        return plain
    shown = ShortReprs()
    # A hundred short texts stay below the limit of a report, whatever the fields were.
    return {name: shown.of(value) for name, value in list(plain.items())[:100]}


def _plain(value: object) -> Any:
    if type(value) in (str, int, float, bool, type(None)):
        return value if type(value) is not str else value[:_MOST_BYTES]
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        with contextlib.suppress(Exception):
            value = value.tolist()
    try:
        return json.loads(json.dumps(value, default=str))
    except Exception:  # noqa: BLE001 - a circle, or code of the user's
        return ShortReprs().of(value)
