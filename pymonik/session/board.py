"""`Board`: what a program tells its running tasks, in one result whose data it replaces.

The id of the result stands in payloads, but is no dependency: tasks read it while they run, as
often as they like. A session has one board, which whoever else opens the session goes on with.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "pymonik.board"
MOST_BYTES: Final = 64 * 1024  # what a worker shows its executors


class Storing(Protocol):
    """The data of the board in the cluster."""

    def find(self) -> tuple[str, bytes] | None:
        """The board that the session has, and what stands there."""

    def create(self, data: bytes) -> str:
        """A new one; its id."""

    def replace(self, result_id: str, data: bytes) -> None:
        """Have this stand there instead."""


class Board:
    """What the program has said. Thread-safe.

    Args:
        storing: Where it is.
        on_created: Called with its id before it is used.
    """

    def __init__(self, storing: Storing, on_created: Callable[[str], object]) -> None:
        self._storing = storing
        self._on_created = on_created
        self._lock = threading.RLock()  # a signal handler may say something, too
        self._result_id = ""
        self._config: dict[str, Any] = {}
        self._stops: list[str] = []

    def open(self) -> None:
        """Have calls know of the board from now on."""
        with self._lock:
            if not self._result_id:
                self._found_or_created()

    def set(self, name: str, value: object) -> None:
        """Set a value under a name.

        Raises:
            UsageError: JSON does not know such a value, or it is too large.
        """
        with self._lock:
            self.open()
            self._say({**self._config, name: value}, self._stops)

    def stop(self, output_id: str) -> None:
        """Ask the monitor that makes this result to end."""
        with self._lock:
            self.open()
            if output_id not in self._stops:
                self._say(self._config, [*self._stops, output_id])

    def forget_stop(self, output_id: str) -> None:
        """The monitor has ended: with the next change the board does not name it any more."""
        with self._lock:
            self._stops = [one for one in self._stops if one != output_id]

    def _found_or_created(self) -> None:
        found = self._storing.find()
        if found is None:
            self._result_id = self._storing.create(_encoded(self._config, self._stops))
        else:
            self._result_id, data = found
            try:
                said = msgspec.json.decode(data)
            except msgspec.MsgspecError:
                said = {}
            self._config, self._stops = said.get("config", {}), said.get("stops", [])
        self._on_created(self._result_id)

    def _say(self, config: dict[str, Any], stops: list[str]) -> None:
        self._storing.replace(self._result_id, _encoded(config, stops))
        self._config, self._stops = config, stops


def _encoded(config: dict[str, Any], stops: list[str]) -> bytes:
    try:
        data = msgspec.json.encode({"config": config, "stops": stops})
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"set_config takes what JSON knows: {error}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(
            f"the settings of a session take {len(data)} bytes, and may take {MOST_BYTES}: put "
            "large values, and pass their handles to the tasks"
        )
    return data
