"""The maps whose handles the program holds, for a page that shows what it does.

They are held weakly: what the program lets go is forgotten here too.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from pymonik.session.result import ResultState

    class Held(Hashable, Protocol):
        """Handles of calls, as many as were drawn until now."""

        def drawn_states(self) -> list[ResultState]:
            """The states of their results."""

        def rerun(self, which: Iterable[Any] | None = None) -> object:
            """Run calls again: these, or those that failed or were cancelled."""

        def __getitem__(self, index: int) -> Any:
            """The handle of one call."""


_maps: weakref.WeakSet[Held] = weakref.WeakSet()


def add(handles: Held) -> None:
    """Remember what a `map_invoke` gave; costs about a microsecond."""
    _maps.add(handles)


def maps() -> list[Held]:
    """The maps that the program still has."""
    return list(_maps)
