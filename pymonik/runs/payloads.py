"""Arguments of calls that another program has made: read from their payloads, in the cluster."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any, Final

from pymonik.code.references import Sealed
from pymonik.errors import PymonikError
from pymonik.session.outputs import output_of
from pymonik.session.result import ResultState
from pymonik.session.run import KeptCall
from pymonik.wire import containers
from pymonik.wire.call import WHOLE, PayloadMeta

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymonik.runs.rows import TaskRow
    from pymonik.wire.call import CallMeta
    from pymonik.wire.containers import Buffer

_MOST_TASKS: Final = 10_000  # whose payloads are read for one table


def read_calls(states: Iterable[ResultState]) -> None:
    """Have the calls of these states at them, where the control plane still has their payloads."""
    missing = [one for one in states if one.call is None and one.result_id and not one.is_moved]
    by_session: dict[int, list[ResultState]] = {}
    for state in missing:
        by_session.setdefault(id(state.session), []).append(state)
    for group in by_session.values():
        session: Any = group[0].session
        if hasattr(session, "lists") and hasattr(session, "content"):
            _read(session, group)


def _read(session: Any, states: Sequence[ResultState]) -> None:
    by_result: dict[str, list[ResultState]] = {}
    for state in states:
        by_result.setdefault(state.result_id or "", []).append(state)
    with contextlib.suppress(PymonikError):  # a table without arguments is of use, too
        for row in _tasks(session, list(by_result)):
            if (payload := _payload(session, row)) is None:
                continue
            for state in (one for output in row.outputs for one in by_result.get(output, ())):
                _keep(state, *payload)


def _tasks(session: Any, outputs: Sequence[str]) -> list[TaskRow]:
    """The tasks that produce these results, whichever attempt that is."""
    rows = session.lists.results(outputs[:_MOST_TASKS])
    owners = list(dict.fromkeys(row.owner for row in rows.values() if row.owner))
    found: list[TaskRow] = session.lists.tasks(ids=owners, limit=len(owners), details=True)
    return found


def _payload(session: Any, row: TaskRow) -> tuple[PayloadMeta, Sequence[Buffer]] | None:
    try:
        # A payload is split and not unpickled: code of the user's runs when somebody asks for the
        # arguments.
        meta, blobs = containers.split(session.content(row.payload))
    except PymonikError:  # the payload was deleted, or is of another program
        return None
    return (meta, blobs) if isinstance(meta, PayloadMeta) else None


def _keep(state: ResultState, meta: PayloadMeta, blobs: Sequence[Buffer]) -> None:
    place = 0 if state.item == WHOLE else state.item
    if place >= len(meta.calls):
        return
    first = sum(call.blobs for call in meta.calls[:place])
    call = meta.calls[place]
    state.call = _kept(state, call, blobs[first : first + call.blobs])


def _kept(state: ResultState, call: CallMeta, blobs: Sequence[Buffer]) -> KeptCall:
    needed = tuple(ResultState(state.session, "", one.result_id, one.item) for one in call.refs)
    session: Any = state.session
    session.follow(list(needed))
    needed = tuple(output_of(one, ref.output) for one, ref in zip(needed, call.refs, strict=True))
    refs = tuple(weakref.ref(one) for one in needed)
    files = [Sealed(ref) for ref in call.files]
    return KeptCall([bytes(one) for one in blobs], refs, files, held=needed)
