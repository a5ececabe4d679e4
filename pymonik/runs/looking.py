"""Finds out why calls have not ended: a few list requests, and then `pymonik.runs.reasons`.

How many requests there are does not depend on how many calls there are: of what waits for inputs
only some tasks are looked into, and of thousands of tasks only some of those that have not ended.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from pymonik.runs.reasons import Evidence, Why, explain
from pymonik.runs.rows import (
    LIVE,
    RUNNING,
    Lists,
    PartitionRow,
    ResultRow,
    TaskRow,
    first_id,
)
from pymonik.wire.call import ENVIRONMENT_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pymonik.environments.making import Note

# Tasks that are listed by their ids; of more, all of the session are listed that have not ended.
# Each id is a condition of its own in the filter of the request.
_LISTED_BY_ID: Final = 500
_MOST_TASKS: Final = 5_000  # rows of a session
_LOOKED_INTO: Final = 20  # tasks of each level whose inputs are listed
_MOST_INPUTS: Final = 500  # results of each level
_DEEPEST: Final = 10  # levels of inputs of inputs
_MOST_PARTITIONS: Final = 5  # those in which most tasks are queued; two requests for each


def why(
    lists: Lists,
    session_id: str,
    *,
    title: str,
    waiting: Mapping[str, int],
    unsent: int = 0,
    total: int | None = None,
) -> Why:
    """Why calls have not ended.

    Args:
        lists: Of their control plane.
        session_id: Their session.
        title: What they are.
        waiting: Calls that have not ended, by the task that was submitted for them.
        unsent: Calls that were not sent yet.
        total: All calls, ended ones too.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    look = _Look(lists)
    if waiting:
        look.find_tasks(session_id, list(waiting))
    look.follow_inputs([one for one in waiting if one in look.tasks])
    look.find_partitions()
    session = lists.session(session_id)
    since = [row.created for one in waiting if (row := look.tasks.get(one)) and row.created]
    return explain(
        Evidence(
            title=title,
            total=sum(waiting.values()) + unsent if total is None else total,
            waiting=waiting,
            unsent=unsent,
            now=time.time(),
            since=min(since, default=None),
            session=session.status if session is not None else "",
            tasks=look.tasks,
            earlier=look.earlier,
            inputs=look.inputs,
            results=look.results,
            partitions=look.partitions,
            running=look.running,
            last_taken=look.last_taken,
            making={n.packages_id: (n.state, n.since, n.asked) for n in _notes(look.tasks)},
            is_partial=look.is_partial,
        )
    )


def why_session(lists: Lists, session_id: str, unsent: int = 0) -> Why:
    """Why tasks of a session have not ended, each of them standing for one call.

    Args:
        lists: Of its control plane.
        session_id: The session.
        unsent: Calls of which only the client knows.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    counts = lists.count_tasks(session_id)
    live = lists.tasks(session_id=session_id, statuses=LIVE, limit=_MOST_TASKS)
    total = sum(number for status, number in counts.items() if status != "RETRIED")
    return why(
        lists,
        session_id,
        title=f"session {session_id}",
        waiting=Counter(row.first_id for row in live),
        unsent=unsent,
        total=total + unsent,
    )


def _notes(tasks: Mapping[str, TaskRow]) -> Sequence[Note]:
    """What is made on this machine, if any of these tasks has packages at all."""
    if not any(ENVIRONMENT_LABEL in row.options for row in tasks.values()):
        return ()
    from pymonik.environments import making  # most programs have no packages

    try:
        return making.notes()
    except OSError:
        return ()


class _Look:
    """What has been found out so far; see `Evidence` for the attributes."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self.tasks: dict[str, TaskRow] = {}
        self.earlier: dict[str, list[TaskRow]] = {}
        self.inputs: dict[str, Sequence[str]] = {}
        self.results: dict[str, ResultRow] = {}
        self.partitions: dict[str, PartitionRow] = {}
        self.running: dict[str, Sequence[TaskRow]] = {}
        self.last_taken: dict[str, float | None] = {}
        self.is_partial = False

    def find_tasks(self, session_id: str, first_ids: Sequence[str]) -> None:
        """List the tasks that were submitted as these."""
        if len(first_ids) <= _LISTED_BY_ID:
            self._add(self._lists.tasks(first_ids=first_ids, limit=_MOST_TASKS))
            return
        asked = set(first_ids)
        live = self._lists.tasks(session_id=session_id, statuses=LIVE, limit=_MOST_TASKS)
        self._add(row for row in live if row.first_id in asked)
        # Calls whose news has not come yet: their tasks have ended, and are not among those that
        # live.
        ended = [one for one in first_ids if one not in self.tasks][:_LISTED_BY_ID]
        if ended:
            self._add(self._lists.tasks(first_ids=ended, limit=_MOST_TASKS))
        self.is_partial = len(self.tasks) < len(asked)

    def _add(self, rows: Iterable[TaskRow]) -> None:
        for row in rows:
            # An attempt that was retried is no task's latest, whatever the order of the rows.
            if row.status == "RETRIED":
                self.earlier.setdefault(row.first_id, []).append(row)
            else:
                self.tasks[row.first_id] = row

    def follow_inputs(self, first_ids: Sequence[str]) -> None:
        """List what tasks wait for, and what that waits for, and so on."""
        for _ in range(_DEEPEST):
            waiting = [
                one
                for one in first_ids
                if one not in self.inputs and self.tasks[one].status in ("CREATING", "PENDING")
            ][:_LOOKED_INTO]
            if not waiting:
                return
            owners = self._find_inputs(waiting)
            new = [one for one in owners if one not in self.tasks]
            if new:
                self._add(self._lists.tasks(first_ids=new, limit=_MOST_INPUTS))
            first_ids = [one for one in owners if one in self.tasks]

    def _find_inputs(self, first_ids: Sequence[str]) -> list[str]:
        """List the inputs of tasks; gives the tasks that make those which are not there."""
        ids = [self.tasks[one].task_id for one in first_ids]
        for row in self._lists.tasks(ids=ids, details=True):
            self.inputs[row.first_id] = row.dependencies
        needed = dict.fromkeys(one for task in first_ids for one in self.inputs.get(task, ()))
        new = [one for one in needed if one not in self.results][:_MOST_INPUTS]
        found = self._lists.results(new)
        self.results |= found
        missing = [result for result in found.values() if result.status == "CREATED"]
        return list(dict.fromkeys(first_id(result.owner) for result in missing if result.owner))

    def find_partitions(self) -> None:
        """List the partitions in which tasks are queued, with what runs there."""
        queued = Counter(row.partition for row in self.tasks.values() if row.status == "SUBMITTED")
        if not queued:
            return
        self.partitions = {partition.name: partition for partition in self._lists.partitions()}
        for name, _ in queued.most_common(_MOST_PARTITIONS):
            self.running[name] = self._lists.tasks(
                partition=name, statuses=sorted(RUNNING), limit=100
            )
            last = self._lists.tasks(partition=name, acquired_last=True, limit=1)
            self.last_taken[name] = last[0].acquired if last else None
