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

    @property
    def are_nested(self) -> bool:
        """Whether a block is within another one of the same client."""
        return len(self._around) > 1

    def enter(self, session: Session | None) -> None:
        """Make the session current, in this thread or coroutine, until the block is left."""
        self._around.append(entered_session())
        activate(session)

    def leave_inner(self) -> None:
        """Leave a block within another one, which goes on and in which the session is current."""
        self._around.pop()

    def leave(self, session: Session) -> bool:
        """Make the session around all blocks the current one again; whether there is a block.

        A client that is closed inside two of its blocks has left both: what was current between
        them is its own session, which takes no calls any more.
        """
        if not self._around:
            return False
        around = self._around[0]
        self._around.clear()
        if entered_session() is session:
            activate(around)
        return True

    def step_out(self, session: Session | None) -> None:
        """The same for a coroutine: its block is left in a thread, which has a context of its own.

        What is current must be changed here, where the coroutine goes on.
        """
        if self.are_nested:
            return
        if session is not None and entered_session() is session:
            activate(self._around[0] if self._around else None)
