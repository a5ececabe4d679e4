"""What calls have printed, for who asks afterwards, or while they run.

::

    ended well ──► the head of its result    running, cancelled ──► what was heard of it
    failed ──► what came with the failure    of a program before ──► results of a certain name
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from pymonik.errors import PymonikError, UsageError
from pymonik.runs.output import OutputLine
from pymonik.session.result import Status, learn
from pymonik.wire.live import LOG_PREFIX, live_name, log_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.runs.live import Live
    from pymonik.runs.rows import Lists
    from pymonik.session.result import ResultState


@runtime_checkable
class _Hearing(Protocol):
    """A session that hears of its running tasks, and whose control plane can be asked."""

    session_id: str
    lists: Lists
    live: Live


def logs_of(state: ResultState) -> str:
    """The last 64 KiB that a call has printed.

    Raises:
        ControlPlaneError: Its result cannot be read.
    """
    if state.status is Status.COMPLETED and state.result_id is None:
        return ""  # the call was not run: its files had been saved before
    if state.status is Status.COMPLETED:
        opened = state.session.fetch([state])
        learn([state], opened)
        return opened[0].output(state.item)
    if (text := printed_by(state.error)) or state.result_id is None:
        return text
    if not isinstance(state.session, _Hearing):
        return ""
    session = cast("_Hearing", state.session)
    text = session.live.tail(state.result_id, state.item)
    return text or stored_log(session.lists, session.session_id, state.result_id, state.item)


def logs_of_all(states: Sequence[ResultState], grep: str | None) -> str:
    """What calls have printed, each line with its call.

    Args:
        states: Of the calls.
        grep: A regular expression: only lines in which it is found.

    Raises:
        UsageError: It is none.
    """
    try:
        wanted = None if grep is None else re.compile(grep)
    except re.error as error:
        raise UsageError(f"grep={grep!r} is no regular expression: {error}") from error
    lines = [
        str(OutputLine(text, "stdout", state.name, None if state.index < 0 else state.index))
        for state in states
        for text in logs_of(state).splitlines()
        if wanted is None or wanted.search(text)
    ]
    return "".join(f"{line}\n" for line in lines)


def printed_by(error: BaseException | None) -> str:
    """What the call had printed that raised this, as far as it came with the failure."""
    return said_by(error)[0]


def said_by(error: BaseException | None) -> tuple[str, tuple[int, ...]]:
    """`printed_by`, and which part of it went to which stream: see `pymonik.wire.streams`."""
    # A user's exception has the `TaskFailedError` for its cause, which has the output. `vars`,
    # since an attribute may run code of the user's class.
    for one in (error, error.__cause__ if error is not None else None):
        if one is not None and (text := vars(one).get("remote_output")):
            return str(text), tuple(vars(one).get("remote_output_turns", ()))
    return "", ()


def stored_log(
    lists: Lists, session_id: str, output_id: str, place: int = -1, attempt: int = 0
) -> str:
    """What is in the cluster of what a task has printed while it ran.

    Args:
        lists: Of the control plane.
        session_id: Of the task.
        output_id: The id of the task's output.
        place: Of the call in the task; below 0, all of them.
        attempt: Of the task, 1 for the first; 0, all of them.
    """
    try:
        rows = lists.results_named(f"{LOG_PREFIX}{output_id}/", session_id=session_id)
    except PymonikError:  # it may be forbidden
        return ""
    names = [(live_name(row.name), row) for row in rows]
    found = [(name, row) for name, row in names if name and attempt in (0, name.attempt)]
    found.sort(key=lambda pair: (pair[0].attempt, pair[0].number))
    entries = [entry for _, row in found for entry in log_entries(lists.data(row))]
    return "".join(entry.text for entry in entries if place < 0 or entry.place == place)
