"""What waits for what: functions that were called, and which results went where."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pymonik.runs.rows import Lists, TaskRow, first_id
from pymonik.runs.summaries import outcome
from pymonik.session.run import KeptCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymonik.session.result import ResultState

_LOOKED_INTO: Final = 1_000  # tasks whose inputs are listed, the newest
_MOST_INPUTS: Final = 2_000  # results whose owners are looked up
_MOST_STATES: Final = 20_000  # calls that are gone through where the program holds them
_Name = tuple[str, str]  # function and label


def of_rows(lists: Lists, session_id: str, rows: Iterable[TaskRow]) -> dict[str, Any]:
    """The functions of a session's newest tasks, and whose results they need.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    latest = {row.first_id: row for row in rows if row.session_id == session_id}
    names = {one: (row.function or "task", row.run) for one, row in latest.items()}
    counts: dict[_Name, Counter[str]] = {}
    for one, row in latest.items():
        counts.setdefault(names[one], Counter())[outcome(row.status)] += 1
    edges: Counter[tuple[_Name, _Name]] = Counter()
    for task, owner in _needed(lists, session_id):
        if task in names and owner in names and names[owner] != names[task]:
            edges[names[owner], names[task]] += 1
    return _as_json(counts, edges)


def of_states(states: Sequence[ResultState]) -> dict[str, Any]:
    """The graph of calls that a program holds, as far as it holds what they were given."""
    counts: dict[_Name, Counter[str]] = {}
    edges: Counter[tuple[_Name, _Name]] = Counter()
    for state in states[:_MOST_STATES]:
        name = _name(state)
        counts.setdefault(name, Counter())["calls"] += 1
        if not isinstance(state.call, KeptCall):
            continue
        for ref in state.call.refs:
            if (needed := ref()) is not None and (source := _name(needed)) != name:
                counts.setdefault(source, Counter())
                edges[source, name] += 1
    return _as_json(counts, edges)


def _name(state: ResultState) -> _Name:
    run = state.run
    return (run.name, run.label) if run is not None else ("data", "")


def _needed(lists: Lists, session_id: str) -> Iterable[tuple[str, str]]:
    """First ids of tasks, and of the tasks that made what they needed."""
    detailed = lists.tasks(
        session_id=session_id, limit=_LOOKED_INTO, newest_first=True, details=True
    )
    wanted = list(dict.fromkeys(one for row in detailed for one in row.dependencies))
    results = lists.results(wanted[:_MOST_INPUTS])
    for row in detailed:
        for one in row.dependencies:
            if (result := results.get(one)) is not None and result.owner:
                yield row.first_id, first_id(result.owner)


def _as_json(
    counts: dict[_Name, Counter[str]], edges: Counter[tuple[_Name, _Name]]
) -> dict[str, Any]:
    places = {name: place for place, name in enumerate(counts)}
    return {
        "nodes": [
            {"function": function, "label": label, "counts": dict(counted)}
            for (function, label), counted in counts.items()
        ],
        "edges": [
            [places[source], places[target], number] for (source, target), number in edges.items()
        ],
    }
