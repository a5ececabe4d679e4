"""`Weights`: a word about functions and calls that carry much with them, once for each function."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pymonik.code.packed_function import HEAVY_BYTES

if TYPE_CHECKING:
    from pymonik.session.protocol import Submission

_log = logging.getLogger(__name__)


class Weights:
    """Looks at what is submitted to one session."""

    def __init__(self) -> None:
        self._told: set[str] = set()  # warnings that were given, without their figures

    def look(self, submission: Submission) -> None:
        """Warn of what is heavy, the first time."""
        function = submission.function
        if not function.built_in and function.is_heavy:
            what = f"the function {function.name} with the globals and closures that it uses"
            largest = f", of which {function.heaviest} is the largest" if function.heaviest else ""
            self._tell(what, len(function.container), largest)
        for call in submission.calls:
            if call.nbytes > HEAVY_BYTES:
                self.look_at_arguments(function.name, call.nbytes)
                break

    def look_at_arguments(self, name: str, nbytes: int) -> None:
        """Warn of the heavy arguments of a call, the first time."""
        self._tell(f"the arguments of a call of {name}", nbytes)

    def _tell(self, what: str, nbytes: int, largest: str = "") -> None:
        if what in self._told:
            return
        self._told.add(what)
        _log.warning(
            "%s: %.0f MB%s; a large value that you `put` is looked at and sent once",
            what,
            nbytes / 1e6,
            largest,
        )
