"""A control plane's state with a clock and IDs that tests can predict."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pymonik.cluster.state import execution, results, sessions, submission
from pymonik.cluster.state.rows import Kind, Partition, Result, Session, Stored, Task
from pymonik.cluster.state.submission import TaskCreation
from pymonik.cluster.state.tables import State
from pymonik.cluster.state.work import Outcome, Succeeded, TaskOptions

if TYPE_CHECKING:
    from pymonik.cluster.state.requested_options import RequestedOptions

OPTIONS = TaskOptions(timedelta(seconds=60), max_retries=2, priority=1, partition_id="P")


class World:
    """The state, driven like the control plane does, one instant later each time."""

    options = OPTIONS

    def __init__(self) -> None:
        self.state = State([Partition("P"), Partition("Q")], default_partition="P")
        self._instants = itertools.count(1_000_000, 1_000)
        self._ids = itertools.count()
        self.stopped: list[str] = []
        self.garbage: list[str] = []

    def now(self) -> int:
        return next(self._instants)

    def new_id(self, prefix: str = "t") -> str:
        return f"{prefix}{next(self._ids)}"

    def session(self, options: TaskOptions = OPTIONS) -> Session:
        return sessions.create(self.state, self.new_id("s"), options, ("P", "Q"), self.now())

    def result(self, session: Session, *, data: bool = False) -> Result:
        stored = self.stored() if data else None
        return results.create(
            self.state, self.new_id("r"), session.session_id, "", self.now(), stored=stored
        )

    def stored(self) -> Stored:
        return Stored(self.new_id("o"), 3)

    def task(
        self,
        session: Session,
        *,
        out: list[Result] | None = None,
        deps: list[Result] | None = None,
        payload: Result | None = None,
        options: RequestedOptions | None = None,
        own_payload: bool = False,
    ) -> Task:
        payload = payload or self.result(session, data=True)
        creation = TaskCreation(
            payload.result_id,
            tuple(one.result_id for one in out or ()),
            tuple(one.result_id for one in deps or ()),
            options,
        )
        (task,) = submission.submit(
            self.state,
            session.session_id,
            None,
            [creation],
            own_payloads=own_payload,
            new_id=self.new_id,
            now=self.now(),
        )
        return task

    def upload(self, result: Result) -> None:
        results.upload(self.state, result.session_id, result.result_id, self.stored(), self.now())

    def acquire(self, partition_id: str = "P", pod_id: str = "pod") -> Task | None:
        return execution.acquire(
            self.state, partition_id, pod_id=pod_id, hostname="host", now=self.now()
        )

    def run(self) -> Task:
        """Acquire and start the next task."""
        task = self.acquire()
        assert task is not None
        execution.start(self.state, task.task_id, "pod", self.now())
        return task

    def finish(self, task: Task, outcome: Outcome) -> None:
        stored = (
            {result_id: self.stored() for result_id in outcome.data}
            if isinstance(outcome, Succeeded)
            else {}
        )
        execution.finish(self.state, task.task_id, outcome, stored, self.now())

    def succeed(self, task: Task) -> None:
        """End a task with all its outputs."""
        self.finish(task, Succeeded(data=dict.fromkeys(task.expected_output_ids, b"abc")))

    def take(self) -> list[tuple[Kind, str, object]]:
        """What was announced since the last call."""
        effects = self.state.take_effects()
        self.stopped += effects.stopped
        self.garbage += effects.garbage
        return [(one.kind, _id(one.row), one.value) for one in effects.changes]


def _id(row: Task | Result) -> str:
    return row.task_id if isinstance(row, Task) else row.result_id


@pytest.fixture
def world() -> World:
    return World()
