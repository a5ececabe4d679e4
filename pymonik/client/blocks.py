"""The `with` blocks of a client, and the session that is current in and around each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.session.current import activate, entered_session

if TYPE_CHECKING:
    from pymonik.session.protocol import Session


class Blocks:
    """One block within another, as they were entered."""

    def __init__(self) -> None:
        self._around: list[Session | None] = []  # what was current where each was entered

    def enter(self, session: Session | None) -> None:
        """Make the session current, in this thread or coroutine, until the block is left."""
        self._around.append(entered_session())
        activate(session)

    def leave(self, session: Session) -> bool:
        """Make the session around the block the current one again; whether there is a block."""
        if not self._around:
            return False
        around = self._around.pop()
        if entered_session() is session:
            activate(around)
        return True

    def step_out(self, session: Session | None) -> None:
        """The same for a coroutine: its block is left in a thread, which has a context of its own.

        What is current must be changed here, where the coroutine goes on.
        """
        if session is not None and entered_session() is session:
            activate(self._around[-1] if self._around else None)
