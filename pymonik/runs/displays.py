"""The one thread that refreshes whatever shows how calls come along.

It is started by the first display. While there is none it waits for one, and does nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from typing import Final, Protocol

_log = logging.getLogger(__name__)

INTERVAL_S: Final = 0.25  # seconds between two refreshes; each display may do less than that


class Display(Protocol):
    """Something that shows calls, and changes."""

    def refresh(self, now: float) -> bool:
        """Show what is so now; ``False`` where nothing will change any more."""


class Displays:
    """Displays that are to be refreshed. Thread-safe, also in signal handlers."""

    def __init__(self) -> None:
        # Appending to it is one step, so that an interrupt leaves nothing half done.
        self._new: queue.SimpleQueue[Display] = queue.SimpleQueue()
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None

    def add(self, display: Display) -> None:
        """Refresh ``display`` from now on, until it says that nothing will change."""
        self._new.put(display)
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="pymonik-displays", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        shown: list[Display] = []
        while True:
            with contextlib.suppress(queue.Empty):
                # The wait for a new display is the pause between two refreshes. Without displays it
                # has no end, and the thread costs nothing.
                shown.append(self._new.get(timeout=INTERVAL_S if shown else None))
            shown = [display for display in shown if _refreshed(display)]


def _refreshed(display: Display) -> bool:
    try:
        return display.refresh(time.time())
    except Exception:  # noqa: BLE001 - a terminal, or a notebook's connection, is not ours
        _log.debug("a display is given up", exc_info=True)
        return False


_displays = Displays()


def add(display: Display) -> None:
    """Refresh ``display`` from now on, until it says that nothing will change."""
    _displays.add(display)


def _after_fork() -> None:
    global _displays
    # The thread is the parent's, and the lock may have been held at the fork.
    _displays = Displays()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
