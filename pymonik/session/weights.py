"""`Weights`: a word about functions and calls that carry much with them, once for each function."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymonik.session.protocol import Submission

_log = logging.getLogger(__name__)

_HEAVY_BYTES = 10_000_000  # what is sent again with each call, or each version of a function


class Weights:
    """Looks at what is submitted to one session."""

    def __init__(self) -> None:
        self._told: set[str] = set()  # what was said, without the figures

    def look(self, submission: Submission) -> None:
        """Warn of what is heavy, the first time."""
        function = submission.function
        if not function.built_in and len(function.container) > _HEAVY_BYTES:
            what = f"the function {function.name} with the globals and closures that it uses"
            self._tell(what, len(function.container))
        for call in submission.calls:
            if call.nbytes > _HEAVY_BYTES:
                self._tell(f"the arguments of a call of {function.name}", call.nbytes)
                break

    def _tell(self, what: str, nbytes: int) -> None:
        if what in self._told:
            return
        self._told.add(what)
        _log.warning(
            "%s: %.0f MB; a large value is sent once if you `put` it and pass the handle",
            what,
            nbytes / 1e6,
        )
