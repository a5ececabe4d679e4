"""Sessions: whose they are, how large and how old, which are lost; deleting them."""

from __future__ import annotations

import getpass
import os
import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pymonik.errors import ControlPlaneError, UsageError
from pymonik.runs.summaries import counts
from pymonik.wire.call import CLIENT_LABEL, RUN_RECORD_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymonik.runs.rows import Lists, SessionRow

_AGE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw]?)\s*")
_MOST_SESSIONS: Final = 10_000  # that are looked at
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class KnownSession:
    """A session of the cluster.

    Attributes:
        name: What a program called it; ``""`` without a name.
        status: ``"RUNNING"``, ``"CLOSED"``, ``"CANCELLED"``...
        client: Who opened it: user, machine and process.
        age_s: Seconds since it was opened.
        tasks: Their numbers by outcome.
        results: How many there are.
        nbytes: What they take; of the largest thousand.
        runs: Labels of its runs, where these are recorded.
    """

    session_id: str
    name: str
    status: str
    client: str
    age_s: float
    tasks: Mapping[str, int]
    results: int
    nbytes: int
    runs: tuple[str, ...]


def user() -> str:
    """The name of whoever runs this program."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a pod whose user has no name
        return str(os.getuid())


def this_client() -> str:
    """``user@host pid start``: a process that is gone, or another one with its number, shows."""
    # The number alone is used again by the system; with the start of the process it is one process.
    return f"{user()}@{socket.gethostname()} {os.getpid()} {process_start(os.getpid())}"


def process_start(pid: int) -> str:
    """When a process began, in ticks of its machine; ``""`` if there is none, or nobody says."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            # The name of the program stands in brackets, and may contain anything.
            # Field 22 of the line, ``starttime``; two fields stand before the bracket.
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def known(lists: Lists, row: SessionRow) -> KnownSession:
    """What is to be said of a session; four requests."""
    results, nbytes = lists.size_of_session(row.session_id)
    records = lists.results_named(RUN_RECORD_PREFIX, session_id=row.session_id)
    labels = (one.name.removeprefix(RUN_RECORD_PREFIX) for one in reversed(records))
    return KnownSession(
        session_id=row.session_id,
        name=row.name,
        status=row.status,
        client=client_of(row),
        age_s=max(0.0, time.time() - row.created) if row.created is not None else 0.0,
        tasks=counts(lists.count_tasks(row.session_id)),
        results=results,
        nbytes=nbytes,
        runs=tuple(dict.fromkeys(labels)),
    )


def client_of(row: SessionRow) -> str:
    """The client that opened a session, as `this_client` says it; ``""`` where nobody says."""
    return row.options.get(CLIENT_LABEL, "")


def is_mine(row: SessionRow) -> bool:
    """Whether a program of this user has opened it, on any machine."""
    return client_of(row).partition("@")[0] == user()


def is_lost(lists: Lists, row: SessionRow) -> bool:
    """Whether it takes calls for a program of this machine that has ended without closing it.

    Sessions with names, and those that were left, are meant to outlive their programs.
    """
    if not row.takes_calls or row.name:
        return False
    who, _, process = client_of(row).partition(" ")
    pid, _, started = process.partition(" ")
    if who.rpartition("@")[2] != socket.gethostname() or not pid.isdecimal() or not started:
        return False
    if process_start(int(pid)) == started:
        return False
    # A session with records was left on purpose: another program comes back to it.
    return not lists.results_named(RUN_RECORD_PREFIX, 1, session_id=row.session_id)


def delete(lists: Lists, row: SessionRow) -> None:
    """Delete a session with everything in it; what runs of it is stopped.

    Raises:
        ControlPlaneError: The control plane refuses, or cannot be reached.
    """
    if row.status in ("RUNNING", "PAUSED"):
        lists.cancel_session(row.session_id)
    try:
        # Deleting a session leaves its data in the object storage: they go first.
        lists.purge_session(row.session_id)
    except ControlPlaneError as error:
        # The text is ArmoniK's, which has one status for several refusals: here the session was
        # purged before.
        if not error.detail.startswith("The session transition is invalid"):  # they are gone
            raise
    lists.delete_session(row.session_id)


def delete_older(lists: Lists, oldest_s: float) -> None:
    """Delete the sessions of this user that were opened longer ago, and that have ended."""
    last = time.time() - oldest_s
    for row in lists.sessions(_MOST_SESSIONS):
        has_ended = row.status in ("CLOSED", "CANCELLED", "PURGED")
        if has_ended and is_mine(row) and row.created is not None and row.created < last:
            delete(lists, row)


def age_s(text: str) -> float:
    """Seconds in ``"7d"``, ``"12h"``, ``"90m"``, ``"30s"`` or ``"2w"``.

    Raises:
        UsageError: It is no span of time.
    """
    found = _AGE.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no span of time: write 7d, 12h, 90m or 30s")
    return float(found[1]) * _SECONDS[found[2]]
