"""Whatever clients and runners do, in any order, the tables stay consistent."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pymonik.cluster.state import execution, results, sessions, unready
from pymonik.cluster.state.faults import Fault
from pymonik.cluster.state.rows import FINAL, Kind, ResultStatus, SessionStatus, TaskStatus
from pymonik.cluster.state.work import (
    Failed,
    Lost,
    NewResult,
    NewTask,
    Released,
    Stopped,
    Succeeded,
    Waiting,
)

if TYPE_CHECKING:
    from pymonik.cluster.state.rows import Result, Session, Task
    from tests.unit.cluster.conftest import World

picks = st.integers(0, 1_000_000)
OUTCOMES = [Failed("no"), Lost("lost"), Released(), Waiting("E"), Stopped()]


class History(RuleBasedStateMachine):
    """Random requests against a state; rows are picked by number among those that exist."""

    new_world: type[World]

    def __init__(self) -> None:
        super().__init__()
        self.world = self.new_world()
        self.state = self.world.state
        self.told: dict[str, Any] = {}  # last status announced, by row
        self.world.session()

    def pick(self, rows: dict[str, Any], number: int) -> Any:
        return list(rows.values())[number % len(rows)] if rows else None

    def some_session(self, number: int) -> Session:
        found: Session = self.pick(self.state.sessions, number) or self.world.session()
        return found

    def some_result(self, number: int, session: Session) -> Result:
        found: Result = self.pick(self.state.results, number) or self.world.result(session)
        return found

    @rule(number=picks, data=st.booleans())
    def create(self, number: int, data: bool) -> None:
        self.world.result(self.some_session(number), data=data)

    @rule(number=picks, out=picks, dependencies=st.lists(picks, max_size=3))
    def submit(self, number: int, out: int, dependencies: list[int]) -> None:
        session = self.some_session(number)
        deps = [self.some_result(one, session) for one in dependencies]
        with contextlib.suppress(Fault):
            self.world.task(session, out=[self.some_result(out, session)], deps=deps)

    @rule()
    def start(self) -> None:
        task = self.world.acquire()
        if task is not None:
            execution.start(self.state, task.task_id, "pod", self.world.now())

    @rule(number=picks, outcome=st.sampled_from(OUTCOMES))
    def fail(self, number: int, outcome: Any) -> None:
        task = self.pick(self.state.tasks, number)
        if task is not None:
            self.world.finish(task, outcome)

    @rule(number=picks, delegates=st.booleans())
    def succeed(self, number: int, delegates: bool) -> None:
        task: Task | None = self.pick(self.state.tasks, number)
        if task is None:
            return
        new = self.world.new_id("n")
        subtask = NewTask(f"sub-{new}", new, task.expected_output_ids, (), task.options)
        if delegates:
            self.world.finish(task, Succeeded([NewResult(new)], {new: b""}, [subtask]))
        else:
            self.world.succeed(task)

    @rule(number=picks, needed=picks)
    def contribute(self, number: int, needed: int) -> None:
        task: Task | None = self.pick(self.state.tasks, number)
        if task is None:
            return
        new, output = self.world.new_id("n"), self.world.new_id("n")
        needs = [self.some_result(needed, self.some_session(needed)).result_id]
        subtask = NewTask(f"sub-{new}", new, (output,), needs, task.options)
        part = Succeeded([NewResult(new), NewResult(output)], {new: b""}, [subtask])
        stored = {new: self.world.stored()}
        with contextlib.suppress(Fault):
            execution.contribute(self.state, task.task_id, part, stored, self.world.now())

    @rule(number=picks)
    def upload(self, number: int) -> None:
        result = self.pick(self.state.results, number)
        if result is not None:
            self.world.upload(result)

    @rule(number=picks)
    def cancel_task(self, number: int) -> None:
        task = self.pick(self.state.tasks, number)
        if task is not None:
            execution.cancel_tasks(self.state, [task.task_id], self.world.now())

    @rule(number=picks)
    def delete_data(self, number: int) -> None:
        result = self.pick(self.state.results, number)
        if result is not None:
            results.delete_data(self.state, [result.result_id])

    @rule(number=picks, verb=st.sampled_from(["pause", "resume", "close", "cancel", "purge"]))
    def change_session(self, number: int, verb: str) -> None:
        session_id = self.some_session(number).session_id
        with contextlib.suppress(Fault):
            getattr(sessions, verb)(self.state, session_id, self.world.now())

    @rule()
    def environment_settled(self) -> None:
        unready.settled(self.state, "E")

    @rule(number=picks)
    def delete_session(self, number: int) -> None:
        session_id = self.some_session(number).session_id
        sessions.delete(self.state, session_id, self.world.now())

    @invariant()
    def waiting_is_mutual(self) -> None:
        for task in self.state.tasks.values():
            inputs = self.state.known_results(task.inputs)
            waited = [one for one in inputs if task.task_id in (one.dependents or ())]
            gone = len(task.inputs) - len(inputs)  # with their session, which may be another
            assert len(waited) <= task.waiting_for <= len(waited) + gone
            assert all(one.status is not ResultStatus.COMPLETED for one in waited)
        for result in self.state.results.values():
            for task in self.state.known_tasks(result.dependents or ()):
                assert result.result_id in task.inputs

    @invariant()
    def each_task_can_go_on(self) -> None:
        for task in self.state.tasks.values():
            paused = self.state.sessions[task.session_id].status is SessionStatus.PAUSED
            if task.status is TaskStatus.PENDING:
                assert task.waiting_for
            if task.status is TaskStatus.SUBMITTED:
                assert task.queued is not bool(task.environment)
                assert not task.waiting_for
                assert not paused
            if task.status is TaskStatus.PAUSED:
                assert not task.queued
            if task.status in FINAL:
                assert task.ended_at is not None

    @invariant()
    def what_was_announced_is_what_is(self) -> None:
        for kind, row_id, value in self.world.take():
            if kind in (Kind.NEW_TASK, Kind.TASK_STATUS, Kind.RESULT_STATUS):
                assert kind is Kind.RESULT_STATUS or self.told.get(row_id) != value
                self.told[row_id] = value
            elif kind is Kind.NEW_RESULT:
                assert isinstance(value, tuple)
                self.told[row_id] = value[1]
        statuses: dict[str, Any] = {key: task.status for key, task in self.state.tasks.items()}
        statuses |= {key: result.status for key, result in self.state.results.items()}
        assert {key: self.told[key] for key in statuses} == statuses

    @invariant()
    def objects_are_kept_as_long_as_a_result_has_them(self) -> None:
        used = {result.opaque_id for result in self.state.results.values()} - {""}
        assert used.isdisjoint(self.world.garbage)
        assert used == set(self.state._references)
        for result in self.state.results.values():
            assert bool(result.opaque_id) == (result.status is ResultStatus.COMPLETED)


def test_any_history_leaves_consistent_tables(world: World) -> None:
    class OfWorlds(History):
        new_world = type(world)

    run_state_machine_as_test(
        OfWorlds,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
