"""Lines that a client logs at INFO about its session: where it is, and how it came out.

None has arguments, variables, addresses of package indexes, or texts of exceptions in it: each may
hold what is secret.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from pymonik.errors import PymonikError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.runs.rows import Lists
    from pymonik.wire.environment import Environment

_log = logging.getLogger("pymonik")

_MOST_RETRIES: Final = 1000  # attempts that are looked at, in one request
_CLASS: Final = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")  # the last line of a traceback


def opened(
    endpoint: str, session_id: str, partitions: Sequence[str], environment: Environment
) -> None:
    """A session was opened."""
    where = f", partition {', '.join(partitions)}" if partitions else ""
    packages = len(environment.pip)
    around = f", {packages} packages asked for" if packages else ""
    _log.info("connected to %s: session %s%s%s", endpoint, session_id, where, around)


def closed(lists: Lists, session_id: str) -> None:
    """A session was closed: how many tasks ended how, and why some were tried again."""
    if not _log.isEnabledFor(logging.INFO):  # else somebody is asked for nothing
        return
    try:
        counts = lists.count_tasks(session_id)
        retried = lists.tasks(session_id=session_id, statuses=("RETRIED",), limit=_MOST_RETRIES)
    except PymonikError as error:
        _log.info("session %s closed; its tasks cannot be counted: %s", session_id, error)
        return
    for (function, cause), number in Counter(
        (row.function, cause_of(row.error)) for row in retried
    ).items():
        _log.info("%s was tried again %d times: %s", function or "a task", number, cause)
    words = ", ".join(f"{number} {status.lower()}" for status, number in sorted(counts.items()))
    _log.info("session %s closed: %s", session_id, words or "no tasks")


def cause_of(error: str) -> str:
    """The class of the exception in the error of a task."""
    for line in reversed(error.strip().splitlines()):
        if found := _CLASS.match(line):
            return found[1].rpartition(".")[2]
    return "an error"
