"""The data of a session's board; see `pymonik.session.board`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.errors import ControlPlaneError
from pymonik.session.board import MOST_BYTES, NAME

if TYPE_CHECKING:
    from pymonik.transport.control_plane import ControlPlane


class BoardData:
    """One result of the session, found by its name.

    Args:
        plane: Of the session.
        session_id: The session.
    """

    def __init__(self, plane: ControlPlane, session_id: str) -> None:
        self._plane = plane
        self._session_id = session_id

    def find(self) -> tuple[str, bytes] | None:
        """The board that the session has, and what stands there."""
        lists = self._plane.lists
        rows = lists.results_named(NAME, 1, session_id=self._session_id, exactly=True)
        if not rows:
            return None
        try:
            return rows[0].result_id, lists.data(rows[0])
        except ControlPlaneError:  # the board was deleted meanwhile
            return None

    def create(self, data: bytes) -> str:
        """A new one; its id."""
        return self._plane.create_results(self._session_id, [(NAME, data)])[0]

    def replace(self, result_id: str, data: bytes) -> None:
        """Have this stand there instead."""
        self._plane.upload(self._session_id, result_id, lambda: [data], MOST_BYTES)
