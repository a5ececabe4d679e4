"""Random requests and random ends of tasks: what must hold whatever happens, in any order."""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pymonik.cluster.state import execution, results, sessions, submission, unready
from pymonik.cluster.state.faults import Fault
from pymonik.cluster.state.requested_options import RequestedOptions
from pymonik.cluster.state.rows import (
    FINAL,
    Kind,
    Partition,
    Result,
    ResultStatus,
    SessionStatus,
    Stored,
    Task,
    TaskStatus,
)
from pymonik.cluster.state.submission import TaskCreation
from pymonik.cluster.state.tables import State
from pymonik.cluster.state.work import (
    Failed,
    Lost,
    NewResult,
    NewTask,
    Outcome,
    Released,
    Start,
    Stopped,
    Succeeded,
    TaskOptions,
    TimedOut,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

T = TypeVar("T")

# From → to, as ArmoniK documents them, without the ends that overwrite CANCELLING.
TASK_EDGES = {
    TaskStatus.CREATING: {TaskStatus.PENDING, TaskStatus.ERROR, TaskStatus.CANCELLED},
    TaskStatus.PENDING: {
        TaskStatus.SUBMITTED,
        TaskStatus.PAUSED,
        TaskStatus.ERROR,
        TaskStatus.CANCELLING,
    },
    TaskStatus.SUBMITTED: {
        TaskStatus.DISPATCHED,
        TaskStatus.PAUSED,
        TaskStatus.CANCELLING,
        TaskStatus.CANCELLED,  # its session was closed
    },
    TaskStatus.DISPATCHED: {
        TaskStatus.PROCESSING,
        TaskStatus.SUBMITTED,
        TaskStatus.PAUSED,
        TaskStatus.CANCELLING,
        TaskStatus.ERROR,  # the bytes of an input are gone
    },
    TaskStatus.PROCESSING: {
        TaskStatus.COMPLETED,
        TaskStatus.ERROR,
        TaskStatus.TIMEOUT,
        TaskStatus.RETRIED,
        TaskStatus.SUBMITTED,
        TaskStatus.PAUSED,  # released while its session is paused
        TaskStatus.CANCELLING,
    },
    TaskStatus.PAUSED: {TaskStatus.SUBMITTED, TaskStatus.CANCELLING},
    TaskStatus.CANCELLING: {TaskStatus.CANCELLED},
}
RESULT_EDGES = {
    ResultStatus.CREATED: {ResultStatus.COMPLETED, ResultStatus.ABORTED, ResultStatus.DELETED},
    ResultStatus.COMPLETED: {ResultStatus.COMPLETED, ResultStatus.DELETED},
    ResultStatus.ABORTED: {ResultStatus.COMPLETED, ResultStatus.DELETED},
    ResultStatus.DELETED: {ResultStatus.COMPLETED},
}
TRANSITIONS = {
    "pause": sessions.pause,
    "resume": sessions.resume,
    "close": sessions.close,
    "cancel": sessions.cancel,
    "purge": sessions.purge,
}
INDEX = st.integers(0, 30)
FEW = st.lists(INDEX, max_size=3)
PRODUCED = st.one_of(st.none(), FEW)  # all it can, or these
SUBTASKS = st.lists(st.tuples(INDEX, FEW, FEW), max_size=2)  # payload, dependencies, outputs
ENDS = st.sampled_from(
    [Failed("no"), Lost("gone"), TimedOut(), Released(), Waiting("E"), Stopped()]
)


class Held(NamedTuple):
    """A task, and the runner that was given it."""

    task_id: str
    pod_id: str


class Tables(RuleBasedStateMachine):
    """The tables of the control plane, a set of objects for its storage, and runners.

    Sessions, tasks and results are drawn by position among those that exist.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state = State([Partition("P"), Partition("Q")], default_partition="P")
        self.now = 0
        self.ids = (f"id{number}" for number in itertools.count())
        self.objects: set[str] = set()
        self.held: list[Held] = []  # what runners have, or believe to have
        self.started: set[str] = set()  # runners that were told to run what they have
        self.task_status: dict[str, TaskStatus] = {}
        self.result_status: dict[str, ResultStatus] = {}
        self.ever_completed: set[str] = set()
        self.silent: set[str] = set()  # tasks that succeeded without producing all

    @initialize(results=st.integers(2, 6))
    def begin(self, results: int) -> None:
        """Start with something to work on: most rules need it."""
        self.open_session("P", 1)
        for number in range(results):
            self.create_result(0, completed=number % 2 == 0, kept=False)

    # What clients do.

    @precondition(lambda self: len(self.state.sessions) < 3)
    @rule(partition_id=st.sampled_from("PQ"), retries=st.integers(1, 2))
    def open_session(self, partition_id: str, retries: int) -> None:
        options = TaskOptions(timedelta(seconds=1), retries, 1, partition_id)
        with self.change():
            sessions.create(self.state, next(self.ids), options, [partition_id], self.now)

    @precondition(lambda self: self.state.sessions)
    @rule(session=INDEX, completed=st.booleans(), kept=st.booleans())
    def create_result(self, session: int, completed: bool, kept: bool) -> None:
        session_id = pick(self.state.sessions, session)
        stored = self.store() if completed else None
        with self.change():
            results.create(
                self.state,
                next(self.ids),
                session_id,
                "",
                self.now,
                manual_deletion=kept,
                stored=stored,
            )

    @precondition(lambda self: self.state.results)
    @rule(result=INDEX)
    def upload(self, result: int) -> None:
        row = self.state.results[pick(self.state.results, result)]
        stored = self.store()
        with self.change():
            results.upload(self.state, row.session_id, row.result_id, stored, self.now)

    @precondition(lambda self: len(self.state.results) > 1)
    @rule(result=INDEX, other=INDEX)
    def share_an_object(self, result: int, other: int) -> None:
        row = self.state.results[pick(self.state.results, result)]
        opaque_id = self.state.results[pick(self.state.results, other)].opaque_id
        sizes = {opaque_id: 1} if opaque_id in self.objects else {}
        with self.change():
            imports = [(row.result_id, opaque_id)]
            results.import_data(self.state, row.session_id, imports, sizes, self.now)

    @precondition(lambda self: len(self.state.tasks) > 3)
    @rule(chosen=st.lists(INDEX, min_size=1, max_size=1))
    def delete_data(self, chosen: list[int]) -> None:
        with self.change():
            results.delete_data(self.state, [pick(self.state.results, one) for one in chosen])

    @precondition(lambda self: self.state.sessions and self.state.results)
    @rule(session=INDEX, payload=INDEX, deps=FEW, outputs=FEW, priority=st.integers(0, 3))
    def submit_anything(
        self, session: int, payload: int, deps: list[int], outputs: list[int], priority: int
    ) -> None:
        session_id = pick(self.state.sessions, session)
        own = list(self.state.results_of.get(session_id, {}))
        inputs = [pick(self.state.results, one) for one in (payload, *deps)]
        self.submit(session_id, inputs, [pick(own, one) for one in outputs if own], priority)

    @precondition(lambda self: self.usable())
    @rule(session=INDEX, inputs=st.lists(INDEX, min_size=1, max_size=3), outputs=st.integers(0, 2))
    def submit_what_can_run(self, session: int, inputs: list[int], outputs: int) -> None:
        session_id = pick(self.state.sessions, session)
        known = [pick(self.usable(), one) for one in inputs]
        known_before = set(self.state.results)
        for _ in range(outputs):
            self.create_result(session, completed=False, kept=False)
        new = [key for key in self.state.results if key not in known_before]
        self.submit(session_id, list(dict.fromkeys(known)), new, priority=1)

    def submit(
        self, session_id: str, inputs: Sequence[str], outputs: Sequence[str], priority: int
    ) -> None:
        creation = TaskCreation(
            payload_id=inputs[0],
            data_dependencies=inputs[1:],
            expected_output_ids=outputs,
            options=RequestedOptions(timedelta(), priority=priority),
        )
        with self.change():
            submission.submit(
                self.state,
                session_id,
                None,
                [creation],
                new_id=lambda: next(self.ids),
                now=self.now,
            )

    def usable(self) -> list[str]:
        """Results that a task may depend on, those to come first: they make chains."""
        rows = self.state.results.values()
        waiting = [one.result_id for one in rows if one.status is ResultStatus.CREATED]
        there = [one.result_id for one in rows if one.status is ResultStatus.COMPLETED]
        return waiting[-4:] + there[-3:] if self.state.sessions else []

    @precondition(lambda self: self.state.tasks)
    @rule(chosen=st.lists(INDEX, min_size=1, max_size=2))
    def cancel_tasks(self, chosen: list[int]) -> None:
        task_ids = [pick(self.state.tasks, one) for one in chosen]
        open_ones = {one for one in task_ids if self.state.tasks[one].status not in FINAL}
        with self.change(), self.aborting(*open_ones):
            execution.cancel_tasks(self.state, task_ids, self.now)

    @precondition(lambda self: self.state.sessions)
    @rule(session=INDEX, verb=st.sampled_from(["pause", "resume"]))
    def pause_or_resume(self, session: int, verb: str) -> None:
        self.change_session(session, verb)

    @precondition(lambda self: len(self.state.tasks) > 6)
    @rule(session=INDEX, verb=st.sampled_from(sorted(TRANSITIONS)))
    def change_session(self, session: int, verb: str) -> None:
        with self.change(refused_with_effects=verb == "purge"):
            TRANSITIONS[verb](self.state, pick(self.state.sessions, session), self.now)

    @precondition(lambda self: len(self.state.tasks) > 8)
    @rule(session=INDEX)
    def delete_session(self, session: int) -> None:
        self.forget(pick(self.state.sessions, session))

    @rule()
    def environment_settled(self) -> None:
        with self.change():
            unready.settled(self.state, "E")
        assert not any(task.environment for task in self.state.tasks.values())

    # What runners do.

    @rule(partition_id=st.sampled_from("PQ"))
    def run_next(self, partition_id: str) -> None:
        count = len(self.held)
        self.acquire(partition_id)
        if len(self.held) > count:
            self.start(count)

    @rule(partition_id=st.sampled_from("PQ"))
    def acquire(self, partition_id: str) -> None:
        pod_id = next(self.ids)
        with self.change():
            task = execution.acquire(
                self.state, partition_id, pod_id=pod_id, hostname="host", now=self.now
            )
        if task is None:
            assert not any(self.may_run(one, partition_id) for one in self.state.tasks.values())
            return
        before = [one.pod_id for one in self.held if one.task_id == task.task_id]
        assert not self.started & set(before)  # a pause takes it from those that have not begun
        assert self.state.sessions[task.session_id].status is SessionStatus.RUNNING
        assert set(task.inputs) <= self.ever_completed
        first = (task.options.priority, -task.number)
        others = (one for one in self.state.tasks.values() if self.may_run(one, partition_id))
        assert all((one.options.priority, -one.number) < first for one in others)
        self.held.append(Held(task.task_id, pod_id))

    @precondition(lambda self: self.held)
    @rule(runner=INDEX)
    def start(self, runner: int) -> None:
        held = pick(self.held, runner)
        task = self.state.tasks.get(held.task_id)
        if held.pod_id in self.started:
            return
        mine = task if task is not None and task.owner_pod_id == held.pod_id else None
        if mine and mine.status is TaskStatus.DISPATCHED and not self.readable(mine):
            with self.change(), self.aborting(held.task_id):
                execution.inputs_missing(self.state, held.task_id, held.pod_id, "gone", self.now)
            self.held.remove(held)
            return
        with self.change():
            answer = execution.start(self.state, held.task_id, held.pod_id, self.now)
        assert answer is Start.DROP or mine
        if answer is Start.RUN:
            self.started.add(held.pod_id)
        else:
            self.held.remove(held)

    @rule(partition_id=st.sampled_from("PQ"), produced=PRODUCED, subtasks=SUBTASKS)
    def run_to_success(
        self,
        partition_id: str,
        produced: list[int] | None,
        subtasks: list[tuple[int, list[int], list[int]]],
    ) -> None:
        self.run_next(partition_id)
        if self.running():
            self.succeed(len(self.running()) - 1, produced, 1, subtasks)

    @rule(partition_id=st.sampled_from("PQ"), outcome=ENDS)
    def run_to_failure(self, partition_id: str, outcome: Outcome) -> None:
        self.run_next(partition_id)
        if self.running():
            self.fail(len(self.running()) - 1, outcome)

    @precondition(lambda self: self.running())
    @rule(runner=INDEX, produced=PRODUCED, created=st.integers(0, 2), subtasks=SUBTASKS)
    def succeed(
        self,
        runner: int,
        produced: list[int] | None,
        created: int,
        subtasks: list[tuple[int, list[int], list[int]]],
    ) -> None:
        task = self.state.tasks[pick(self.running(), runner)]
        news = [NewResult(next(self.ids)) for _ in range(created)]
        mine = [*task.expected_output_ids, *(one.result_id for one in news)]
        chosen = mine if produced is None else [pick(mine, one) for one in produced if mine]
        stored = {one: self.store() for one in dict.fromkeys(chosen)}
        inputs = [*self.usable(), *(one.result_id for one in news)]
        definitions = [
            NewTask(
                next(self.ids),
                pick(inputs, payload),
                [pick(mine, one) for one in outputs if mine],
                [pick(inputs, one) for one in deps],
                task.options,
            )
            for payload, deps, outputs in subtasks
            if inputs
        ]
        if produced is not None:
            self.silent.add(task.task_id)
        self.end(task, Succeeded(news, dict.fromkeys(stored, b""), definitions), stored)

    @precondition(lambda self: self.running())
    @rule(runner=INDEX, outcome=ENDS)
    def fail(self, runner: int, outcome: Outcome) -> None:
        self.end(self.state.tasks[pick(self.running(), runner)], outcome, {})

    @precondition(lambda self: self.held)
    @rule(runner=INDEX)
    def give_back(self, runner: int) -> None:
        held = pick(self.held, runner)
        self.held.remove(held)
        task = self.state.tasks.get(held.task_id)
        before = None if task is None else (task.status, task.owner_pod_id)
        with self.change():
            execution.finish(self.state, held.task_id, Released(), {}, self.now, pod_id=held.pod_id)
        if task is not None and task.owner_pod_id not in ("", held.pod_id):
            assert (task.status, task.owner_pod_id) == before  # another has it

    # What must hold.

    @invariant()
    def every_object_belongs_to_a_result_and_every_result_has_its_object(self) -> None:
        assert {
            one.opaque_id for one in self.state.results.values() if one.opaque_id
        } == self.objects
        for one in self.state.results.values():
            assert bool(one.opaque_id) == (one.status is ResultStatus.COMPLETED)

    @invariant()
    def every_result_is_final_or_has_an_owner_that_lives(self) -> None:
        for one in self.state.results.values():
            owner = self.state.tasks.get(one.owner_task_id)
            if one.status is ResultStatus.CREATED and owner is not None:
                assert owner.status not in FINAL or owner.task_id in self.silent
                assert owner.status is not TaskStatus.CANCELLING

    @invariant()
    def nobody_waits_for_what_is_there_or_lost_by_its_owner(self) -> None:
        for task in self.state.tasks.values():
            if task.status is not TaskStatus.PENDING:
                continue
            assert task.waiting_for
            inputs = self.state.known_results(task.inputs)
            waited = [one for one in inputs if task.task_id in (one.dependents or ())]
            gone = len(task.inputs) - len(inputs)  # with their session
            assert len(waited) <= task.waiting_for <= len(waited) + gone
            assert all(one.status is not ResultStatus.COMPLETED for one in waited)

    @invariant()
    def the_indexes_tell_the_same_as_the_tables(self) -> None:
        state = self.state
        assert {key for rows in state.tasks_of.values() for key in rows} == set(state.tasks)
        assert {key for rows in state.results_of.values() for key in rows} == set(state.results)
        assert state.tasks_of.keys() <= state.sessions.keys()
        for result in state.results.values():
            assert set(result.dependents or ()) <= set(state.tasks)
        queued = {task.task_id for task in state.tasks.values() if task.queued}
        ready = {
            task.task_id for task in state.tasks.values() if task.status is TaskStatus.SUBMITTED
        }
        held = {task.task_id for task in state.tasks.values() if task.environment}
        assert ready <= queued | held
        assert not held & queued
        assert held <= set(state.waiting.get("E", ()))
        entries = [entry[2] for queue in state.queues.values() for entry in queue._entries]
        assert sorted(entries) == sorted(queued)

    def teardown(self) -> None:
        """Whatever happened, nothing is left of sessions that are deleted."""
        for session_id in list(self.state.sessions):
            self.forget(session_id)
        state = self.state
        for table in (state.tasks, state.results, state.tasks_of, state.results_of):
            assert not table
        assert not self.objects
        assert not +state._references
        for held in self.held:  # the runners still report
            late = Failed("late")
            execution.finish(state, held.task_id, late, {}, self.now, pod_id=held.pod_id)
        for partition_id, queue in state.queues.items():
            assert not queue._entries
            assert execution.acquire(state, partition_id, pod_id="", hostname="", now=0) is None

    # How it is done.

    @contextmanager
    def change(self, *, refused_with_effects: bool = False) -> Iterator[None]:
        """Do one request; a refused one must change nothing."""
        self.now += 1000
        refused = False
        try:
            yield
        except Fault:
            refused = True
        effects = self.state.take_effects()
        assert not refused or refused_with_effects or not effects.changes
        for change in effects.changes:
            self.follow(change.kind, change.row, change.value)
        assert not Counter(effects.garbage) - Counter(self.objects)
        self.objects -= set(effects.garbage)
        assert set(effects.stopped) <= self.task_status.keys()

    def follow(self, kind: Kind, row: Task | Result, value: object) -> None:
        """Check one announced change against what was announced before."""
        if kind is Kind.NEW_TASK and isinstance(row, Task):
            assert row.task_id not in self.task_status
            self.task_status[row.task_id] = TaskStatus.CREATING
        elif kind is Kind.TASK_STATUS and isinstance(row, Task):
            status = TaskStatus(value)  # type: ignore[arg-type]
            before = self.task_status[row.task_id]
            assert status in TASK_EDGES.get(before, ()), f"{before.name} → {status.name}"
            self.task_status[row.task_id] = status
        elif kind is Kind.NEW_RESULT and isinstance(row, Result):
            assert row.result_id not in self.result_status
            assert isinstance(value, tuple)
            self.reach(row, value[1])
        elif kind is Kind.RESULT_STATUS and isinstance(row, Result):
            status_now = ResultStatus(value)  # type: ignore[arg-type]
            known = self.result_status[row.result_id]
            assert status_now in RESULT_EDGES[known], f"{known.name} → {status_now.name}"
            self.reach(row, status_now)

    def reach(self, row: Result, status: ResultStatus) -> None:
        self.result_status[row.result_id] = status
        if status is ResultStatus.COMPLETED:
            self.ever_completed.add(row.result_id)

    @contextmanager
    def aborting(self, *task_ids: str) -> Iterator[None]:
        """What happens inside aborts what these tasks own and what waits for that: nothing else."""
        before = {key: one.status for key, one in self.state.results.items()}
        lost_tasks, lost_results = self.dependents_of(task_ids)
        in_error = {key for key, one in self.state.tasks.items() if one.status is TaskStatus.ERROR}
        yield
        aborted = {
            key
            for key, one in self.state.results.items()
            if one.status is ResultStatus.ABORTED and before[key] is not ResultStatus.ABORTED
        }
        assert aborted == lost_results
        failed = {key for key, one in self.state.tasks.items() if one.status is TaskStatus.ERROR}
        assert failed - in_error - set(task_ids) == lost_tasks - set(task_ids)

    def dependents_of(self, task_ids: Iterable[str]) -> tuple[set[str], set[str]]:
        """Waiting tasks and results that cannot be, by asking every row until nothing changes."""
        tasks, results_ = set(task_ids), set[str]()
        while True:
            lost = {
                key
                for key, one in self.state.results.items()
                if one.status is ResultStatus.CREATED and one.owner_task_id in tasks
            }
            waiting = {
                key
                for key, one in self.state.tasks.items()
                if one.status is TaskStatus.PENDING and lost & set(one.inputs)
            }
            if lost == results_ and waiting <= tasks:
                return tasks - set(task_ids), lost
            results_, tasks = lost, tasks | waiting

    def end(self, task: Task, outcome: Outcome, stored: dict[str, Stored]) -> None:
        """Report the end of a running task."""
        task_id, outputs = task.task_id, self.state.known_results(task.expected_output_ids)
        owed = [one for one in outputs if one.status is ResultStatus.CREATED]
        again = isinstance(outcome, Lost) and len(task.retry_of_ids) < task.options.max_retries
        final = isinstance(outcome, Failed | TimedOut | Lost) and not again
        final = final and task.status is TaskStatus.PROCESSING
        again = again and task.status is TaskStatus.PROCESSING
        (held,) = (
            one for one in self.held if one.task_id == task_id and one.pod_id in self.started
        )
        self.held.remove(held)
        with self.change(), self.aborting(task_id) if final else nullcontext():
            execution.finish(self.state, task_id, outcome, stored, self.now, pod_id=held.pod_id)
        if again:
            assert task.status is TaskStatus.RETRIED
            attempt = f"{task.initial_task_id}###{len(task.retry_of_ids) + 1}"
            assert attempt in self.state.tasks
            assert all(one.owner_task_id == attempt for one in outputs)
            assert all(one.status is ResultStatus.CREATED for one in owed)

    def forget(self, session_id: str) -> None:
        """Delete a session, and look for what it leaves."""
        with self.change():
            sessions.delete(self.state, session_id, self.now)
        assert session_id not in self.state.sessions
        rows: Sequence[Task | Result] = [*self.state.tasks.values(), *self.state.results.values()]
        assert all(row.session_id != session_id for row in rows)

    def store(self) -> Stored:
        stored = Stored(f"object-{next(self.ids)}", 1)
        self.objects.add(stored.opaque_id)
        return stored

    def running(self) -> list[str]:
        """Tasks that a runner executes: the control plane may have cancelled or lost them."""
        begun = [one.task_id for one in self.held if one.pod_id in self.started]
        return [task_id for task_id in begun if task_id in self.state.tasks]

    def readable(self, task: Task) -> bool:
        return all(one.opaque_id in self.objects for one in self.state.known_results(task.inputs))

    def may_run(self, task: Task, partition_id: str) -> bool:
        return (
            task.status is TaskStatus.SUBMITTED
            and not task.environment
            and task.options.partition_id == partition_id
            and self.state.sessions[task.session_id].status is SessionStatus.RUNNING
        )


def pick(keys: Iterable[T], number: int) -> T:
    """One of `keys`, which are not empty."""
    found = list(keys)
    return found[number % len(found)]


TestTables = Tables.TestCase
TestTables.settings = settings(
    max_examples=300,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
