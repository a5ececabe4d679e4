"""What the cluster has of a task of another program: arguments, output, failures of its calls.

Nothing of it is unpickled: who looks at a page must not run code of whoever has sent the task.
"""

from __future__ import annotations

import contextlib
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pymonik.code.opened_result import OpenedResult
from pymonik.code.shown import shown_call
from pymonik.errors import PymonikError
from pymonik.runs.logs import stored_log
from pymonik.wire import containers
from pymonik.wire.call import FunctionRef, PayloadMeta, index_in
from pymonik.wire.traceback_text import traceback_text

if TYPE_CHECKING:
    from pymonik.runs.rows import Lists, ResultRow, TaskRow

_LARGEST_READ: Final = 1_000_000  # bytes of a payload or a result
_MOST_CALLS: Final = 50  # whose arguments are shown
_MOST_TRACEBACKS: Final = 5  # of calls that failed; more say the same, mostly
_LONGEST_CALL: Final = 200  # characters


class StoredTask(NamedTuple):
    """As texts.

    Attributes:
        calls: The arguments of each of the first ones.
        output: What they have printed, as far as it is kept.
        tracebacks: Of the first calls that failed among others.
    """

    calls: tuple[str, ...] = ()
    output: str = ""
    tracebacks: str = ""


def stored_task(row: TaskRow, lists: Lists) -> StoredTask:
    """What there is; nothing where the control plane does not answer, or has deleted it."""
    calls: tuple[str, ...] = ()
    output = tracebacks = ""
    with contextlib.suppress(PymonikError):
        (detailed,) = lists.tasks(ids=[row.task_id], details=True) or [row]
        wanted = [detailed.payload, *detailed.outputs[:1]]
        found = lists.results([one for one in wanted if one])
        with contextlib.suppress(PymonikError):  # payloads go first
            calls = _calls(lists, found.get(detailed.payload))
        for output_id in detailed.outputs[:1]:
            opened = _opened(lists, found.get(output_id))
            if opened is None:
                output = stored_log(lists, row.session_id, output_id)
            else:
                output, tracebacks = opened.output(), _tracebacks(opened)
    return StoredTask(calls, output, tracebacks)


class StoredCall(NamedTuple):
    """One of the calls of a task, as texts.

    Attributes:
        output: The last that it has printed.
        traceback: Of its failure, if it failed among others.
    """

    output: str = ""
    traceback: str = ""


def stored_call(lists: Lists, result: ResultRow, place: int) -> StoredCall:
    """What there is of a call; nothing where the control plane does not answer, or it is gone.

    Args:
        lists: Of the control plane.
        result: That holds its value.
        place: Of the call in it; below 0 where it is alone.
    """
    with contextlib.suppress(PymonikError):
        opened = _opened(lists, result)
        if opened is None:
            return StoredCall(stored_log(lists, result.session_id, result.result_id, place))
        is_failed = opened.item(place).failed
        told = _traceback(opened, max(place, 0)) if is_failed else ""
        return StoredCall(opened.output(place), told)
    return StoredCall()


def _calls(lists: Lists, payload: ResultRow | None) -> tuple[str, ...]:
    if payload is None or payload.status != "COMPLETED" or payload.size > _LARGEST_READ:
        return ()
    meta, blobs = containers.split(lists.data(payload))
    if not isinstance(meta, PayloadMeta) or not isinstance(meta.function, FunctionRef):
        return ()
    shown = []
    firsts = accumulate((call.blobs for call in meta.calls), initial=0)
    for place, first in zip(range(min(len(meta.calls), _MOST_CALLS)), firsts, strict=False):
        index = index_in(meta, place)
        name = f"{index}: " if index >= 0 else ""
        shown.append(name + shown_call(bytes(blobs[first]), (), _LONGEST_CALL))
    more = len(meta.calls) - len(shown)
    return (*shown, f"and {more} more") if more else tuple(shown)


def _opened(lists: Lists, result: ResultRow | None) -> OpenedResult | None:
    if result is None or result.status != "COMPLETED" or result.size > _LARGEST_READ:
        return None
    return OpenedResult(lists.data(result))


def _tracebacks(opened: OpenedResult) -> str:
    """Tracebacks of the calls that failed among others."""
    texts: list[str] = []
    for place, item in enumerate(opened.meta.items):
        if not item.failed or len(texts) == _MOST_TRACEBACKS:
            continue
        texts.append(_traceback(opened, place))
    return "\n\n".join(filter(None, texts))


def _traceback(opened: OpenedResult, place: int) -> str:
    with contextlib.suppress(msgspec.MsgspecError):  # of another version of ours
        failure = opened.value(place)
        return f"{failure.call}\n{traceback_text(failure)}".strip()
    return ""
