"""All that is known of one call or task: arguments, traceback, output, attempts."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, Final

from pymonik.errors import PymonikError, TaskFailedError
from pymonik.page import as_json
from pymonik.page.run_views import HeldRun, arguments_of
from pymonik.page.stored_task import StoredCall, stored_call, stored_task
from pymonik.runs.attempts import attempts
from pymonik.runs.error_lines import summary
from pymonik.runs.figures import seconds_of
from pymonik.runs.logs import logs_of
from pymonik.runs.table import status
from pymonik.runs.tally import Mark
from pymonik.session.again import past
from pymonik.session.result import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymonik.page.recorded_view import RecordedView
    from pymonik.page.run_views import ListedRun
    from pymonik.runs.item_ends import ItemEnds
    from pymonik.runs.rows import Lists, TaskRow
    from pymonik.session.result import ResultState

_LONGEST_ARGUMENTS: Final = 4_000  # characters of the arguments of one call
_LONGEST_TEXT: Final = 20_000  # of a traceback and of an output; their ends say most


def of_call(run: HeldRun, place: int, *, asks: bool = True) -> dict[str, Any]:
    """Details of a call whose handle the program holds.

    Args:
        run: The run.
        place: Of the call.
        asks: Ask the control plane for attempts and output, too.
    """
    state = run.states[place]
    return {
        **run.row(place),
        "status": status(state),
        "name": state.name,
        "task": state.task_id,
        "result": state.result_id,
        "arguments": arguments_of(state, _LONGEST_ARGUMENTS),
        "traceback": traceback_of(state),
        "output": _output(state, asks=asks),
        "attempts": _attempts(state) if asks else [],
        "before": [_earlier(one) for one in past(state)[:-1]],
    }


def _earlier(state: ResultState) -> dict[str, Any]:
    """How a call ended before it was run again."""
    return {
        "function": state.name,
        "status": status(state),
        "seconds": seconds_of(state),
        "worker": "",
        "error": "" if state.error is None else str(summary(state.error)),
    }


def _output(state: ResultState, *, asks: bool) -> str:
    """What a call has printed; a result that is known to hold no output is not read for it."""
    if state.status is Status.COMPLETED and state.head is not None and not state.head.output:
        return ""
    if not asks and state.error is None:
        return ""
    try:
        return tail(logs_of(state))
    except PymonikError:  # the cluster is gone, or its data
        return ""


def of_task(run: ListedRun, place: int, rows: Iterable[TaskRow], lists: Lists) -> dict[str, Any]:
    """Details of a task, with all of its attempts among these rows."""
    row = run.rows[place]
    tried = sorted(
        (one for one in rows if one.first_id == row.first_id), key=lambda one: one.attempt
    )
    stored = stored_task(row, lists)
    return {
        **run.row(place),
        "status": run.outcome_of(row),
        "name": row.function,
        "task": row.task_id,
        "result": "",
        "partition": row.partition,
        "arguments": "\n".join(stored.calls),
        "traceback": tail(row.error or stored.tracebacks),
        "output": tail(stored.output),
        "attempts": [as_json.task(one) for one in tried],
    }


def of_recorded(
    view: RecordedView, number: int, rows: Iterable[TaskRow], lists: Lists, ends: ItemEnds
) -> dict[str, Any]:
    """Of a call of another program, with all attempts at its task among these rows."""
    view.prepare([number])
    place, task = view.place(number), view.task(number)
    result = ends.row(place[0]) if place is not None else None
    stored = stored_call(lists, result, place[1]) if result and place else StoredCall()
    tried = [one for one in rows if task is not None and one.first_id == task.first_id]
    tried.sort(key=lambda one: one.attempt)
    shown = [as_json.task(one) for one in tried]
    mark = view.mark(number)
    if shown and mark == Mark.FAILED:  # of a task that ended well the row tells nothing of it
        shown[-1]["status"] = as_json.WORDS[mark]
    return {
        **view.row(number),
        "status": as_json.WORDS[mark],
        "name": view.function,
        "task": "" if task is None else task.task_id,
        "result": "" if place is None else place[0],
        "partition": "" if task is None else task.partition,
        "arguments": view.arguments(number, _LONGEST_ARGUMENTS),
        "traceback": tail(stored.traceback or ("" if task is None else task.error)),
        "output": tail(stored.output),
        "attempts": shown,
    }


def traceback_of(state: ResultState) -> str:
    """The error of a call as the interpreter would print it; ``""`` without one."""
    if state.error is None:
        return ""
    try:
        return tail("".join(_told(state.error).format()))
    except Exception as error:  # noqa: BLE001 - the text of an exception is code of the user
        return f"{type(state.error).__name__}, whose text cannot be had: {type(error).__name__}"


def _told(error: BaseException) -> traceback.TracebackException:
    """As it was raised there: without the one of ours that says in which task that was."""
    told = traceback.TracebackException.from_exception(error)
    part, cause = told, error.__cause__
    while cause is not None and part.__cause__ is not None:
        if isinstance(cause, TaskFailedError):
            part.__cause__ = None
            part.__suppress_context__ = True
            break
        part, cause = part.__cause__, cause.__cause__
    return told


def tail(text: str, longest: int = _LONGEST_TEXT) -> str:
    """The end of a text, and how much of it is left out."""
    if len(text) <= longest:
        return text
    return f"… ({len(text) - longest} characters before)\n{text[-longest:]}"


def _attempts(state: ResultState) -> list[dict[str, Any]]:
    try:
        found = attempts(state)
    except PymonikError:  # the control plane is gone: what is known here is shown
        return []
    return [
        {
            "task": one.task_id,
            "status": one.status,
            "worker": one.worker,
            "attempt": one.number,
            "seconds": one.seconds,
            "error": one.cause,
        }
        for one in found
    ]
