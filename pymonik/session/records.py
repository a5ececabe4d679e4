"""The records of the tasks that leave together; see `RunRecord`."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from pymonik.session.run import SingleCalls
from pymonik.wire import containers
from pymonik.wire.call import (
    KEY_BYTES,
    RUN_RECORD_PREFIX,
    WHOLE,
    FunctionRef,
    RunRecord,
    RunTask,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymonik.session.recording import Recording
    from pymonik.session.result import ResultState
    from pymonik.session.run import Run
    from pymonik.session.tasks import OutgoingTask
    from pymonik.wire.call import PayloadMeta
    from pymonik.wire.containers import Buffer


def records(
    tasks: Sequence[OutgoingTask],
    recording: Recording,
    meta_of: Callable[[OutgoingTask], PayloadMeta],
) -> list[tuple[str, list[Buffer]]]:
    """Names and segments of the records of these tasks, whose outputs have their ids.

    Args:
        tasks: About to be submitted.
        recording: Of the session.
        meta_of: The head of a task's payload, without its calls.
    """
    groups: dict[tuple[Run, str], list[OutgoingTask]] = {}
    for task in tasks:
        run = task.states[0].run if task.states else None
        if run is not None:
            label = run.root.label or task.options.label or run.root.name
            groups.setdefault((run, label), []).append(task)
    return [
        _record(run, label, group, recording, meta_of(group[0]))
        for (run, label), group in groups.items()
    ]


def _record(
    run: Run,
    label: str,
    tasks: Sequence[OutgoingTask],
    recording: Recording,
    meta: PayloadMeta,
) -> tuple[str, list[Buffer]]:
    run_id, _ = recording.numbers(run, ())
    record = RunRecord(
        run=run_id,
        label=label,
        function=meta.function,
        parameters=run.root.parameters,
        source=run.source,
        environment=meta.environment.packages_id,
        bundle=meta.bundle,
        total=run.root.total,
        single=isinstance(run.root, SingleCalls),
        tasks=tuple(_task(run, task, recording) for task in tasks),
        nonce=meta.nonce,
        started=run.root.started,
        written=time.time(),
    )
    return f"{RUN_RECORD_PREFIX}{label}", containers.join(record, ())


def _task(run: Run, task: OutgoingTask, recording: Recording) -> RunTask:
    _, numbers = recording.numbers(run, task.states)
    keys = b"".join(recording.key(state) for state in task.states)
    return RunTask(task.result_id, tuple(numbers), keys, task.chunked)


def of_cached(
    run: Run, label: str, states: Sequence[ResultState], recording: Recording, nonce: str
) -> list[tuple[str, list[Buffer]]]:
    """Records of calls whose values are those of earlier ones: no task is submitted for them.

    Args:
        run: Of the calls.
        label: Of the run.
        states: Of the calls: where the values stand is known.
        recording: Of the session.
        nonce: Of the session.
    """
    run_id, numbers = recording.numbers(run, states)
    by_result: dict[str, dict[int, tuple[int, bytes]]] = {}
    for number, state in zip(numbers, states, strict=True):
        places = by_result.setdefault(state.result_id or "", {})
        places[state.item] = number, recording.key(state)
    record = RunRecord(
        run=run_id,
        label=label,
        function=FunctionRef("", "", run.name),
        parameters=run.root.parameters,
        source=run.source,
        total=run.root.total,
        single=isinstance(run.root, SingleCalls),
        tasks=tuple(_cached_task(*one) for one in by_result.items()),
        nonce=nonce,
        started=run.root.started,
        written=time.time(),
    )
    return [(f"{RUN_RECORD_PREFIX}{label}", containers.join(record, ()))]


def _cached_task(result_id: str, places: dict[int, tuple[int, bytes]]) -> RunTask:
    """Some of the values in a result that another run has left."""
    if WHOLE in places:
        number, key = places[WHOLE]
        return RunTask(result_id, (number,), key)
    nothing = -1, bytes(KEY_BYTES)
    items = [places.get(place, nothing) for place in range(1 + max(places))]
    keys = b"".join(key for _, key in items)
    return RunTask(result_id, tuple(number for number, _ in items), keys, chunked=True)


def of_states(states: Sequence[ResultState], nonce: str) -> list[tuple[str, list[Buffer]]]:
    """Records of calls of a session that is not recorded, of which only handles are known.

    Nothing of them can be compared with other calls, and where the function is they do not know.

    Args:
        states: Of calls that have been sent.
        nonce: Of the session.
    """
    groups: dict[Run, list[ResultState]] = {}
    for state in states:
        if state.run is not None and state.result_id:
            groups.setdefault(state.run, []).append(state)
    return [_of_group(run, group, nonce) for run, group in groups.items()]


def _of_group(run: Run, states: Sequence[ResultState], nonce: str) -> tuple[str, list[Buffer]]:
    tasks: dict[str, list[tuple[int, int]]] = {}
    for number, state in enumerate(states):
        index = state.index if state.index >= 0 else number
        tasks.setdefault(state.result_id or "", []).append((state.item, index))
    label = run.label or run.name
    record = RunRecord(
        run=secrets.token_hex(8),
        label=label,
        function=FunctionRef("", "", run.name),
        parameters=run.parameters,
        source=run.source,
        total=max(run.total, len(states)),
        single=isinstance(run, SingleCalls),
        tasks=tuple(_items_of(result_id, items) for result_id, items in tasks.items()),
        nonce=nonce,
        started=run.started,
        written=time.time(),
    )
    return f"{RUN_RECORD_PREFIX}{label}", containers.join(record, ())


def _items_of(result_id: str, items: Sequence[tuple[int, int]]) -> RunTask:
    """Where only some places of a result are known, the others have no item."""
    if items[0][0] == WHOLE:
        return RunTask(result_id, (items[0][1],), b"")
    numbers = [-1] * (1 + max(place for place, _ in items))
    for place, number in items:
        numbers[place] = number
    return RunTask(result_id, tuple(numbers), b"", chunked=True)
