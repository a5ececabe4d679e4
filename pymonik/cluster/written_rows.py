"""Rows of the tables as values of msgpack, and back: what a `Journal` writes of them.

A row is the list of its fields, in the order of its class, without their names: a cluster of
another version, whose classes have other fields, must have another `_FORMAT` in the journal.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pymonik.cluster.state.ancestors import Ancestors
from pymonik.cluster.state.rows import Result, ResultStatus, Session, SessionStatus, Task
from pymonik.cluster.state.rows import TaskStatus as Status
from pymonik.cluster.state.work import TaskOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Fields of a task that `restore` finds again from the other rows, or that begin anew.
_NOT_KEPT: Final = frozenset({"number", "waiting_for", "queued", "environment"})
_SESSION: Final = tuple(one.name for one in fields(Session) if one.name != "recent")
_DURATION: Final = _SESSION.index("duration")
_TASK: Final = tuple(one.name for one in fields(Task) if one.name not in _NOT_KEPT)
_RESULT: Final = tuple(one.name for one in fields(Result) if one.name != "dependents")
_OPTIONS: Final = tuple(one.name for one in fields(TaskOptions))
_task_values = attrgetter(*_TASK)
_result_values = attrgetter(*_RESULT)
_option_values = attrgetter(*_OPTIONS)
_OPTIONS_OF_SESSION: Final = _SESSION.index("options")
_OPTIONS_OF_TASK: Final = _TASK.index("options")
_ANCESTORS: Final = _TASK.index("parent_task_ids")
_LIMIT: Final = _OPTIONS.index("max_duration")
_encode = msgspec.msgpack.Encoder().encode


def of_session(row: Session) -> list[Any]:
    """The values of a session."""
    values = [getattr(row, name) for name in _SESSION]
    values[_OPTIONS_OF_SESSION] = _of_options(row.options)
    if row.duration is not None:
        values[_DURATION] = _microseconds(row.duration)
    return values


def of_task(row: Task) -> list[Any]:
    """The values of a task."""
    values = list(_task_values(row))
    values[_OPTIONS_OF_TASK] = _of_options(row.options)
    # The last one names the others: a monitor has thousands of turns, and each would list all.
    values[_ANCESTORS] = (row.parent_task_ids[-1],)
    return values


def of_result(row: Result) -> tuple[Any, ...]:
    """The values of a result."""
    return tuple(_result_values(row))


def _of_options(options: TaskOptions) -> list[Any]:
    values = list(_option_values(options))
    values[_LIMIT] = _microseconds(options.max_duration)
    return values


def _options(values: Sequence[Any]) -> TaskOptions:
    named = dict(zip(_OPTIONS, values, strict=True))
    named["max_duration"] = timedelta(microseconds=named["max_duration"])
    return TaskOptions(**named)


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def session(values: Sequence[Any]) -> Session:
    """The session of these values."""
    named = dict(zip(_SESSION, values, strict=True))
    named["options"] = _options(named["options"])
    named["status"] = SessionStatus(named["status"])
    named["partition_ids"] = tuple(named["partition_ids"])
    if named["duration"] is not None:
        named["duration"] = timedelta(microseconds=named["duration"])
    return Session(**named)


class KnownOptions:
    """Gives one object for equal options: most tasks of a session have the same."""

    def __init__(self) -> None:
        self._by_values: dict[bytes, TaskOptions] = {}

    def of(self, values: Sequence[Any]) -> TaskOptions:
        """The options of these values."""
        key = _encode(values)
        if key not in self._by_values:
            self._by_values[key] = _options(values)
        return self._by_values[key]


def task(values: Sequence[Any], known: KnownOptions) -> Task:
    """The task of these values, which names its last ancestor only; see `tell_ancestors`."""
    named = dict(zip(_TASK, values, strict=True))
    named["options"] = known.of(named["options"])
    named["session_id"] = sys.intern(named["session_id"])  # as for results: one text for all rows
    named["status"] = Status(named["status"])
    for name in ("parent_task_ids", "retry_of_ids"):
        named[name] = tuple(named[name])
    return Task(**named)


def tell_ancestors(tasks: Mapping[str, Task]) -> None:
    """Have each row name all its ancestors again.

    Tasks stand here in the order of their creation, so a parent has its own when its children come.
    """
    of_children: dict[str, Ancestors] = {}
    for task in tasks.values():
        (last,) = task.parent_task_ids
        parent = tasks.get(last)  # of what a client has submitted it is the session
        if parent is not None:
            if last not in of_children:
                of_children[last] = Ancestors(parent.parent_task_ids, parent.task_id)
            task.parent_task_ids = of_children[last]


def result(values: Sequence[Any]) -> Result:
    """The result of these values."""
    named = dict(zip(_RESULT, values, strict=True))
    named["session_id"] = sys.intern(named["session_id"])
    named["status"] = ResultStatus(named["status"])
    return Result(**named)
