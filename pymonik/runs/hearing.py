"""Waits for the news of what has ended in the cluster, where the program has only found it.

A program that comes to a session follows calls of which it does not know yet whether they have
ended: the news of that are on their way. Who asks "which have failed?" must not get an answer that
depends on how fast they are.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from pymonik.errors import PymonikError, WaitTimeoutError
from pymonik.session.remote import RemoteSession
from pymonik.session.run import RunOfOthers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.session.result import ResultState

# Seconds: a list has told the ends already, and reading their heads takes less time than that.
_NEWS_S: Final = 10.0
_ENDED: Final = frozenset({"COMPLETED", "ABORTED", "DELETED"})  # results


def hear_of_found(states: Iterable[ResultState]) -> None:
    """Wait for news of calls of other programs that have ended; asks for one list a session.

    Calls of this program are not asked about: what is known of them is as new as the program.
    """
    found: dict[RemoteSession, dict[str, list[ResultState]]] = {}
    for state in dict.fromkeys(one.whole for one in states):
        if state.is_final or not state.result_id or not _is_of_others(state):
            continue
        if isinstance(state.session, RemoteSession):
            found.setdefault(state.session, {}).setdefault(state.result_id, []).append(state)
    for session, by_result in found.items():
        rows = session.lists.results(list(by_result))
        ended = [one for key, row in rows.items() if row.status in _ENDED for one in by_result[key]]
        with contextlib.suppress(WaitTimeoutError):
            session.wait(ended, _NEWS_S)


def hear_once(states: Iterable[ResultState]) -> None:
    """`hear_of_found` for runs that nobody has looked at yet: later news come by themselves.

    Whoever prints a run must get a line, so a cluster that does not answer is no error here.
    """
    fresh: dict[RunOfOthers, list[ResultState]] = {}
    for state in states:
        run = None if state.is_final or state.run is None else state.run.root
        if isinstance(run, RunOfOthers) and not run.was_heard:
            fresh.setdefault(run, []).append(state)
    for run, pending in fresh.items():
        with contextlib.suppress(PymonikError):
            hear_of_found(pending)
        run.was_heard = True


def _is_of_others(state: ResultState) -> bool:
    return state.run is None or isinstance(state.run.root, RunOfOthers)
