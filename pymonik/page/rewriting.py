"""The page in a file that is written again and again, for who cannot be reached by a server."""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING, Final

from pymonik.errors import PymonikError
from pymonik.page import frozen
from pymonik.quantities import positive_s

if TYPE_CHECKING:
    from pathlib import Path

    from pymonik.page.board import Board

_log = logging.getLogger(__name__)

_LONGEST_STOP_S: Final = 5.0  # seconds for the last version, before the client closes


class Rewriting:
    """Writes a file, and again until it is told to stop.

    Args:
        path: Of the file.
        board: What it shows.
        every: Seconds from one version to the next; ``None`` writes one.

    Raises:
        UsageError: ``every`` is no number of seconds.
        ControlPlaneError: The cluster cannot be asked.
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path, board: Board, every: float | None) -> None:
        self._every_s = None if every is None else positive_s(every, "every")
        self.path = path
        self._board = board
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pymonik-page", daemon=True)
        # Once in the thread of the caller, who is told at once why it cannot be written.
        self._write()

    def start(self) -> None:
        """Go on in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write it once more, and no more after that."""
        self._stopping.set()
        self._thread.join(_LONGEST_STOP_S)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(self._every_s)
            try:
                self._write()
            except (PymonikError, OSError) as error:
                _log.warning("the page %s is not written: %s", self.path, error)

    def _write(self) -> None:
        # The last version does not change any more: the browser need not read it again.
        refresh_s = 0 if self._every_s is None or self._stopping.is_set() else self._every_s
        text = frozen.cluster_page(self._board, math.ceil(refresh_s))
        frozen.write(self.path, text)
