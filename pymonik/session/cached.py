"""Calls whose values may be there already: what a session is told of them, and remembers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.code.with_calls import Code
    from pymonik.session.protocol import Submission
    from pymonik.session.result import Observer
    from pymonik.wire.call import ResultRef


@dataclass(frozen=True, slots=True)
class CachedCall:
    """A call that is looked for among those of the past.

    Attributes:
        key: The same for calls that must give the same value; ``""`` where nobody can tell.
        place: Where the value stands, if one was found.
        seconds: How long it took to compute.
        why: Why there is no key.
        observer: Is told of the end of a call that is computed.
        at: When it was looked for, in seconds since the epoch.
    """

    key: str = ""
    place: ResultRef | None = None
    seconds: float = 0.0
    why: str = ""
    observer: Observer | None = None
    at: float = field(default_factory=time.time)


class Finder(Protocol):
    """Looks for values of calls; see `pymonik.cache`."""

    def found(self, submission: Submission, code: Code) -> Sequence[CachedCall]:
        """One for each call, in order.

        Args:
            submission: The calls.
            code: What of the program goes with them.
        """
