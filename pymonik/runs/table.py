"""Calls as a table: a row for each, with arguments, value and what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pymonik.code.short_reprs import ShortReprs
from pymonik.errors import PymonikError, TaskCancelledError, UsageError
from pymonik.runs.called import arguments, named
from pymonik.runs.error_lines import summary
from pymonik.runs.figures import measured, of_task
from pymonik.runs.payloads import read_calls
from pymonik.runs.watch import Listed
from pymonik.session.result import Status
from pymonik.session.run import RunOfOthers

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from pymonik.runs.rows import TaskRow
    from pymonik.session.result import ResultState

COLUMNS: Final = (
    "status", "value", "seconds", "cpu", "peak_mb", "attempt", "worker", "waited", "error",
)  # fmt: skip
# Tasks that the control plane is asked about: those without a result to read figures from.
_MOST_ASKED: Final = 1_000
_MB: Final = 1_000_000  # bytes of the unit of ``peak_mb``


def rows(states: Sequence[ResultState], values: Sequence[object]) -> list[dict[str, Any]]:
    """A dict for each call; all of them have the same keys in the same order.

    Args:
        states: Of the calls.
        values: Of those that have completed; ``None`` elsewhere.
    """
    read_calls(one for one in states if isinstance(one.run, RunOfOthers))  # all at once
    tasks = _tasks(states)
    called = [_called(state) for state in states]
    names = list(dict.fromkeys(name for one in called for name in one))
    return [
        {
            "item": place if state.index < 0 else state.index,
            **{_column(name): one.get(name) for name in names},
            **_outcome(state, value, tasks.get(state.task_id)),
        }
        for place, (state, value, one) in enumerate(zip(states, values, called, strict=True))
    ]


def frame(table: list[dict[str, Any]]) -> Any:
    """The rows as a `pandas.DataFrame`.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError("df() needs pandas, which is not installed; rows() gives dicts") from error
    return pd.DataFrame(table, columns=list(table[0]) if table else ["item", *COLUMNS])


def write_csv(table: list[dict[str, Any]], path: str | os.PathLike[str]) -> Path:
    """The rows as CSV; the path.

    Raises:
        OSError: It cannot be written.
    """
    import csv  # few ask for it

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]) if table else ["item", *COLUMNS])
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in table)
    return target


def _cell(value: object) -> object:
    if value is None or type(value) in (str, int, float, bool):
        return value
    return ShortReprs().of(value)


def status(state: ResultState) -> str:
    """``ok``, ``failed``, ``cancelled`` or ``pending``."""
    if state.status is Status.PENDING:
        return "pending"
    if state.status is Status.COMPLETED:
        return "ok"
    return "cancelled" if issubclass(type(state.error), TaskCancelledError) else "failed"


def _column(name: str) -> str:
    """A parameter may be called like a column of ours."""
    return f"{name}_" if name == "item" or name in COLUMNS else name


class _Mention(str):
    """A handle, or a stored argument, in a table: nothing is fetched for it."""

    __slots__ = ()

    @classmethod
    def of(cls, state: ResultState) -> _Mention:
        """Mention it by its name."""
        return cls(f"<{state.name or 'handle'}>")

    def __getitem__(self, _: object) -> _Mention:
        """The call has one of several values that were stored together."""
        return self


def _called(state: ResultState) -> dict[str, Any]:
    try:
        return named(state, *arguments(state, _Mention.of, _Mention.of))
    except PymonikError:  # not kept, or of a class that cannot be read: the row is still of use
        return {}


def _outcome(state: ResultState, value: object, task: TaskRow | None) -> dict[str, Any]:
    known = measured(state.head, state.item) if state.head is not None else of_task(task)
    started = known.started
    began = state.run.started if state.run is not None else None
    return {
        "status": status(state),
        "value": value,
        "seconds": known.seconds,
        "cpu": known.cpu_s,
        "peak_mb": None if known.peak_bytes is None else known.peak_bytes / _MB,
        "attempt": known.attempt,
        "worker": known.worker or None,
        "waited": None if started is None or began is None else max(0.0, started - began),
        "error": None if state.error is None else str(summary(state.error)),
    }


def _tasks(states: Sequence[ResultState]) -> dict[str, TaskRow]:
    """The latest attempts at the tasks that left no result, by the id of the first."""
    left = [state for state in states if state.head is None and state.task_id]
    found: dict[str, TaskRow] = {}
    for session in {id(state.session): state.session for state in left}.values():
        if not isinstance(session, Listed):
            continue
        ids = list(dict.fromkeys(one.task_id for one in left if one.session is session))
        try:
            for row in session.lists.tasks(first_ids=ids[:_MOST_ASKED], limit=4 * _MOST_ASKED):
                if row.first_id not in found or row.attempt > found[row.first_id].attempt:
                    found[row.first_id] = row
        except PymonikError:  # the control plane is gone: the values are here
            continue
    return found
