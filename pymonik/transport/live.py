"""Hears of results that tell of running tasks, by ArmoniK's events; see `pymonik.wire.live`.

Events tell of ids only, so the names are asked for. Where there is no stream, what was told is
found when the session ends.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from pymonik.errors import PymonikError
from pymonik.transport.grpc_errors import rpc_errors
from pymonik.wire.live import LIVE_PREFIXES

if TYPE_CHECKING:
    from pymonik.runs.live import Live
    from pymonik.transport.control_plane import ControlPlane

_log = logging.getLogger(__name__)

_AGAIN_S: Final = 2.0  # seconds from the end of a stream to the next one
_MOST: Final = 100_000  # results of a session that are listed
_COMPLETED: Final = 2  # of ArmoniK's ResultStatus


class LiveEvents:
    """Follows a session in a thread, from `start` to `stop`.

    Args:
        plane: Of the session.
        session_id: The session.
        live: What hears.
    """

    def __init__(self, plane: ControlPlane, session_id: str, live: Live) -> None:
        self._plane = plane
        self._lists = plane.lists
        self._session_id = session_id
        self._live = live
        self._is_over = threading.Event()
        self._stream: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Hear from now on, and of what there is; does nothing the second time."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="pymonik-live-events", daemon=True
            )
            self._thread.start()

    def give_up(self) -> None:
        """Hear no more."""
        self._is_over.set()
        if self._stream is not None:
            self._stream.cancel()

    def stop(self) -> None:
        """Look for what was missed, and hear no more."""
        if self._thread is None:
            return
        self.give_up()
        try:
            self._list()
        except PymonikError as error:
            _log.debug("what tasks told last is not known: %s", error)

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                self._stream = self._plane.live_events(self._session_id)
                if self._is_over.is_set():  # before there was a stream to cancel
                    self._stream.cancel()
                # First the stream, then the list: what is told between the two is heard twice, and
                # not missed.
                self._stream.initial_metadata()
                self._list()
                for event in self._stream:
                    self._heard(event)
            except rpc_errors() as error:
                _log.debug("no events of running tasks: %s", error)
            except (PymonikError, ValueError) as error:  # the channel was closed
                _log.debug("no events of running tasks: %s", error)
            self._is_over.wait(_AGAIN_S)

    def _heard(self, event: Any) -> None:
        kind = event.WhichOneof("update")
        update = getattr(event, kind) if kind else None
        if update is not None and update.status == _COMPLETED:
            for row in self._lists.results([update.result_id]).values():
                # A result that a worker creates as a client of the control plane has the session
                # for its owner. One that comes through an agent, with the end of its task, has the
                # task.
                self._live.is_live |= row.owner == self._session_id
                self._live.heard(row.name, row.result_id)

    def _list(self) -> None:
        rows = self._lists.results_named(LIVE_PREFIXES, _MOST, session_id=self._session_id)
        for row in reversed(rows):  # the list has the newest first
            self._live.heard(row.name, row.result_id)
