"""Sessions that have names: found again by them, or made."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymonik.errors import UsageError
from pymonik.runs.reading import drop_unsent, outputs_of, read_runs, standing
from pymonik.runs.rows import LIVE
from pymonik.session.recording import Recording
from pymonik.wording import count, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.runs.rows import Lists, SessionRow
    from pymonik.session.recorded import RecordedRun
    from pymonik.session.recording import CallKeys

_log = logging.getLogger("pymonik")

_MOST_TOLD = 5  # runs that the line about an attached session names
_FIRST_PAUSE_S = 0.05  # seconds between two questions whether all tasks have ended; it doubles
_LONGEST_PAUSE_S = 2.0  # seconds up to which it doubles
_OF_A_NAME = 100  # sessions of a name that are looked at for one that takes calls


@dataclass(frozen=True, slots=True)
class Joined:
    """A session that existed before, and what is in it.

    Attributes:
        recording: For the calls of this program.
        nonces: Of the clients that it had before.
    """

    row: SessionRow
    recording: Recording
    nonces: tuple[str, ...]


def check_name(name: object) -> None:
    """Refuse what cannot be the name of a session."""
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"session must be a name, not {name!r}")


def find_session(lists: Lists, name: str) -> SessionRow | None:
    """The session of this name that takes calls, or the one that has this id.

    Of several the oldest: two programs that both made one at the same time agree on it.
    """
    named = [row for row in lists.sessions(_OF_A_NAME, name=name) if row.takes_calls]
    return named[-1] if named else lists.session(name)


def join(lists: Lists, row: SessionRow, call_keys: CallKeys) -> Joined:
    """Read what is in the session, and tell it."""
    runs = read_runs(lists, row.session_id)
    outputs = outputs_of(lists, runs)
    for run in runs:
        drop_unsent(run, outputs)
    _tell(row, runs, [str(one) for one in standing(lists, runs, outputs)])
    nonces = dict.fromkeys(nonce for run in runs for nonce in run.nonces if nonce)
    return Joined(row, Recording(call_keys, runs), tuple(nonces))


def wait_for_others(lists: Lists, session_id: str) -> None:
    """Wait until all tasks of a session have ended, those of other clients too.

    Nobody tells of their ends what a client has not submitted: the number is asked for.
    """
    pause_s = _FIRST_PAUSE_S
    while any(status in LIVE and n for status, n in lists.count_tasks(session_id).items()):
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _tell(row: SessionRow, runs: Sequence[RecordedRun], standings: Sequence[str]) -> None:

    told = [f"{run.title} ({text})" for run, text in zip(runs, standings, strict=True)]
    shown = told[-_MOST_TOLD:]
    more = f" and {len(told) - len(shown)} before" if len(told) > len(shown) else ""
    started = f", started {_instant(row.created)}" if row.created else ""
    what = f": {', '.join(shown)}{more}" if shown else ""
    _log.warning(
        "attached: session %s, %s%s%s", _named(row), count(len(runs), "run"), what, started
    )


def _named(row: SessionRow) -> str:
    return f"{row.name} ({short(row.session_id)})" if row.name else short(row.session_id)


def _instant(seconds: float) -> str:
    """A date as people say it: today and yesterday by name."""
    then, now = time.localtime(seconds), time.localtime()
    yesterday = time.localtime(time.time() - 86_400)
    clock = time.strftime("%H:%M", then)
    if then[:3] == now[:3]:
        return f"today {clock}"
    if then[:3] == yesterday[:3]:
        return f"yesterday {clock}"
    return time.strftime("%Y-%m-%d %H:%M", then)
