"""`CacheReport`: what the cache did for some calls, for people; what `m.cache` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymonik.cache.entries import entries_of, listed
from pymonik.cache.explaining import explain
from pymonik.session.remote import RemoteSession
from pymonik.wording import span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.session.result import ResultState


class CacheReport:
    """Hits and misses of calls.

    Attributes:
        hits: Calls whose values were there.
        misses: Calls that were looked for, and are computed.
        saved: Seconds that the hits took to compute.
    """

    def __init__(
        self, states: Sequence[ResultState], load: Callable[[], object] = lambda: None
    ) -> None:
        """Count.

        Args:
            states: Of the calls.
            load: Reads the values of these calls, before they are deleted.
        """
        self._states = states
        self._load = load
        looked = [state.cached for state in states if state.cached is not None]
        self.hits = sum(cached.place is not None for cached in looked)
        self.misses = len(looked) - self.hits
        self.saved = sum(cached.seconds for cached in looked if cached.place is not None)

    def explain(self, number: int = 0) -> str:
        """Why a call was found or not: what of its code has changed, function and lines.

        Asks the control plane.

        Args:
            number: Place of the call among these.
        """
        return explain(self._states[number])

    def clear(self) -> int:
        """Forget the values of these calls, which are computed again when they are called again.

        Handles that have not read their values read them first. Gives the number of values.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        by_session: dict[RemoteSession, set[str]] = {}
        for state in self._states:
            if state.cached is not None and isinstance(state.session, RemoteSession):
                by_session.setdefault(state.session, set()).add(state.cached.key)
        self._load()
        return sum(_clear(session, keys - {""}) for session, keys in by_session.items())

    def __repr__(self) -> str:
        if not self.hits and not self.misses:
            return "the cache was not asked: cache=True was not given"
        saved = f" ({span(self.saved)} saved)" if self.saved >= 1 else ""
        total = self.hits + self.misses
        return f"{self.hits} of {total} from the cache{saved}, {self.misses} to compute"


def _clear(session: RemoteSession, keys: set[str]) -> int:
    entries = entries_of(session)
    entries.write()
    gone: list[Any] = []
    for start in {key.rpartition(".")[0] for key in keys}:
        gone += [one for one in listed(session.lists, f"{start}.") if one.key in keys]
    entries.forget(gone)
    return len(gone)
