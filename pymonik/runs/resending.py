"""Calls run again of which the program has neither arguments nor function: the cluster has both.

::

    state ──► its result's owner ──► the task's payload ──► sent again as it is, or
                                                       └──► cut to some of its calls, stored, sent

Nothing is unpickled, and nothing is uploaded but a payload that was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pymonik.code.codec import Packed
from pymonik.code.references import Sealed
from pymonik.errors import UsageError
from pymonik.runs.rows import first_id
from pymonik.runs.stored_calls import StoredTask, read_task
from pymonik.session.again import Reference, RunAgain, replace
from pymonik.session.outputs import output_of
from pymonik.session.remote import RemoteSession
from pymonik.session.result import ResultState
from pymonik.session.tasks import RepeatedTask
from pymonik.wire import containers
from pymonik.wire.call import result_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.options import TaskOptions
    from pymonik.runs.rows import TaskRow


class Place(NamedTuple):
    """Where a call stands in the cluster."""

    task: StoredTask
    item: int


def places(states: Sequence[ResultState]) -> dict[ResultState, Place]:
    """Where the calls of these states stand, which are of one session.

    Raises:
        UsageError: The payload of one of them was deleted.
        ControlPlaneError: It cannot be asked.
    """
    session = states[0].session
    if not isinstance(session, RemoteSession):
        raise UsageError(f"{states[0].name} cannot be run again from here")
    rows = _rows(session, states)
    tasks: dict[str, StoredTask] = {}
    found = {}
    for state in states:
        row = rows.get(state)
        if row is None:
            raise UsageError(f"{state.name or 'this call'} has no task: it never left its program")
        if row.first_id not in tasks:
            tasks[row.first_id] = read_task(row, session.content)
        found[state] = Place(tasks[row.first_id], max(state.item, 0))
    return found


def _rows(session: RemoteSession, states: Sequence[ResultState]) -> dict[ResultState, TaskRow]:
    """The last attempts at their tasks: owners of their results."""
    results = session.lists.results([state.result_id or "" for state in states])
    firsts = {
        state: first_id(results[state.result_id].owner)
        for state in states
        if state.result_id in results
    }
    # A result that no task makes has its session for an owner, or nobody.
    wanted = sorted(set(firsts.values()) - {"", session.session_id})
    rows: dict[str, TaskRow] = {}
    for row in session.lists.tasks(first_ids=wanted, details=True) if wanted else ():
        if row.first_id not in rows or row.attempt > rows[row.first_id].attempt:
            rows[row.first_id] = row
    return {state: rows[first] for state, first in firsts.items() if first in rows}


def packed(state: ResultState, place: Place) -> Packed:
    """The arguments of a call as they travel, for another function."""
    session = state.session
    assert isinstance(session, RemoteSession)
    call, blobs = place.task.call(place.item)
    needed = [ResultState(session, "", ref.result_id, ref.item) for ref in call.refs]
    session.follow(needed)
    nbytes = sum(memoryview(blob).nbytes for blob in blobs)
    files = [Sealed(ref) for ref in call.files]
    pairs = zip(needed, call.refs, strict=True)
    refs = [Reference(output_of(one, ref.output)) for one, ref in pairs]
    return Packed(list(blobs), nbytes, refs, files=files)


def resend(found: dict[ResultState, Place], options: TaskOptions) -> dict[ResultState, ResultState]:
    """Send calls again; their new states, by the old ones.

    Args:
        found: The calls, all of one session.
        options: Over those of their tasks.
    """
    groups: dict[str, list[ResultState]] = {}
    for state, place in found.items():
        groups.setdefault(place.task.row.first_id, []).append(state)
    new: dict[ResultState, ResultState] = {}
    tasks = []
    for olds in groups.values():
        olds.sort(key=lambda state: found[state].item)
        task, states = _again(olds, [found[old] for old in olds], options)
        tasks.append(task)
        new.update(zip(olds, states, strict=True))
    session = next(iter(found)).session
    assert isinstance(session, RemoteSession)
    session.repeat(tasks)
    return new


def _again(
    olds: Sequence[ResultState], calls: Sequence[Place], options: TaskOptions
) -> tuple[RepeatedTask, list[ResultState]]:
    session, stored = olds[0].session, calls[0].task
    assert isinstance(session, RemoteSession)
    row, meta = stored.row, stored.meta
    assert row.limits is not None
    payload, dependencies = row.payload, row.dependencies
    # Then the payload can be used as it lies in the cluster.
    is_whole = [place.item for place in calls] == list(range(len(meta.calls)))
    if not is_whole:
        # Only some of its calls are run again: a smaller payload with the same head.
        meta = msgspec.structs.replace(
            meta,
            calls=tuple(stored.call(place.item)[0] for place in calls),
            traces=meta.traces_of([place.item for place in calls]),
        )
        blobs = [blob for place in calls for blob in stored.call(place.item)[1]]
        data = b"".join(containers.join(meta, blobs))
        (payload,) = session.store_notes([(row.function, data)])
        dependencies = result_ids(meta)
    limits = options.over(row.limits)
    states = [
        ResultState(session, old.name or row.function, None, number if meta.chunked else old.item)
        for number, old in enumerate(olds)
    ]
    for old, state in zip(olds, states, strict=True):
        state.index = old.index
        if old.run is not None:
            state.run = RunAgain(old.run.function, row.function, old.run, (), limits)
        replace(old, state)
    task = RepeatedTask(
        row.function, payload, dependencies, limits, states, chunked=meta.chunked, meta=meta
    )
    return task, states
