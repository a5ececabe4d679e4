"""`Board`: what a program tells its running tasks, in one result whose data it replaces.

The id of the result stands in payloads, but is no dependency: tasks read it while they run, as
often as they like. A session has one board, which whoever else opens the session goes on with.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

NAME: Final = "pymonik.board"
MOST_BYTES: Final = 64 * 1024  # of a board: as many as executors have in memory for it


class Said(msgspec.Struct, frozen=True):
    """What stands on a board.

    Attributes:
        config: Settings by name, which running tasks see.
        stops: Results of monitors that are to end.
        monitors: Those that were started and whose end nobody has noticed: names by result.
    """

    config: dict[str, Any] = {}
    stops: list[str] = []
    monitors: dict[str, str] = {}


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

    Other programs that have the session open say something there too, so it is read before it is
    written: what they have said stays.

    Args:
        storing: Where it is.
        on_created: Called with its id before it is used.
    """

    def __init__(self, storing: Storing, on_created: Callable[[str], object]) -> None:
        self._storing = storing
        self._on_created = on_created
        # Reentrant: a signal handler may set something while its own thread does.
        self._lock = threading.RLock()
        self._result_id = ""
        self._said = Said()

    def open(self) -> None:
        """Have calls know of the board from now on."""
        with self._lock:
            if not self._result_id:
                found = self._storing.find()
                self._said = Said() if found is None else read(found[1])
                self._result_id = (
                    self._storing.create(_encoded(self._said)) if found is None else found[0]
                )
                self._on_created(self._result_id)

    def set(self, name: str, value: object) -> None:
        """Set a value under a name.

        Raises:
            UsageError: JSON does not know such a value, or it is too large.
        """
        with self._lock:
            said = self._latest()
            self._say(replace(said, config={**said.config, name: value}))

    def stop(self, output_id: str) -> None:
        """Ask the monitor that makes this result to end."""
        with self._lock:
            said = self._latest()
            if output_id not in said.stops:
                self._say(replace(said, stops=[*said.stops, output_id]))

    def add_monitor(self, output_id: str, name: str) -> None:
        """A monitor was started, which makes this result: whoever has the session finds it."""
        with self._lock:
            said = self._latest()
            self._say(replace(said, monitors={**said.monitors, output_id: name}))

    def forget_monitors(self, output_ids: Collection[str]) -> None:
        """Monitors have ended: the board names them no more, nor that they were to stop."""
        with self._lock:
            said = self._latest()
            going_on = {i: name for i, name in said.monitors.items() if i not in output_ids}
            stops = [one for one in said.stops if one not in output_ids]
            self._say(replace(said, monitors=going_on, stops=stops))

    def _latest(self) -> Said:
        self.open()
        found = self._storing.find()
        return self._said if found is None else read(found[1])

    def _say(self, said: Said) -> None:
        self._storing.replace(self._result_id, _encoded(said))
        self._said = said


def read(data: bytes) -> Said:
    """What stands on a board; nothing where it is none."""
    try:
        return msgspec.json.decode(data, type=Said)
    except msgspec.MsgspecError:
        return Said()


def _encoded(said: Said) -> bytes:
    try:
        data = msgspec.json.encode(said)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"set_config takes what JSON knows: {error}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(
            f"the settings of a session take {len(data)} bytes, and may take {MOST_BYTES}: put "
            "large values, and pass their handles to the tasks"
        )
    return data
