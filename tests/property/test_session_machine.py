"""The machine of a session, whatever happens to it: in any order, twice, late, never."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pymonik.errors import ControlPlaneError, TaskFailedError, UnavailableError
from pymonik.session import events
from pymonik.session.protocol import Series, Submission
from pymonik.session.result import ResultState, Status
from pymonik.wire.call import WHOLE
from pymonik.wire.embedded import ABORTED, COMPLETED, Ended
from tests.unit.session.fakes import FUNCTION, NOWHERE, Bench, Observer, call, container, contents

if TYPE_CHECKING:
    from pymonik.session.tasks import OutgoingTask

AWAY = UnavailableError("Any", "nobody is there")


class World:
    """A control plane: results by id, and what came of them."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}  # of completed results
        self.failed: dict[str, BaseException] = {}
        self.tasks: dict[str, OutgoingTask] = {}
        self.inputs: dict[str, list[ResultState]] = {}
        self.shape: dict[str, list[ResultState]] = {}
        self._numbers = itertools.count()

    def new_id(self) -> str:
        return f"r{next(self._numbers)}"

    def accept(self, task: OutgoingTask) -> None:
        """Take a task; a second request for the same is found by its output."""
        if task.result_id not in self.tasks:
            self.tasks[task.result_id] = task
            self.shape[task.result_id] = list(task.states)
            self.inputs[task.result_id] = [ref._state for ref in task.inputs]
        task.give_task_id(f"t{task.result_id}")

    def running(self) -> list[str]:
        ended = self.data.keys() | self.failed.keys()
        return [one for one in self.tasks if one not in ended]


class SessionMachine(RuleBasedStateMachine):
    """Rules are what callers, the network and the cluster do."""

    maps = Bundle("maps")

    @initialize(makes_ids=st.booleans(), polls=st.booleans())
    def open(self, makes_ids: bool, polls: bool) -> None:
        self.world = World()
        self.bench = Bench(
            new_id=self.world.new_id if makes_ids else None,
            polling_s=0.5 if polls else None,
            batch_tasks=8,
        )
        self.states: list[ResultState] = []
        self.observers: list[tuple[list[ResultState], Observer]] = []
        self.news: list[Ended] = []  # that are under way
        self.cancelled: set[int] = set()
        self.needs_of: dict[int, list[ResultState]] = {}

    # -- callers -------------------------------------------------------------------------------

    @rule(
        target=maps,
        count=st.integers(1, 6),
        size=st.sampled_from([0, 1, 2, 3]),
        data=st.data(),
    )
    def submit(self, count: int, size: int, data: Any) -> list[ResultState]:
        known = self.states[-20:]
        needs = [
            data.draw(st.lists(st.sampled_from(known), max_size=2)) if known else []
            for _ in range(count)
        ]
        states = [ResultState(NOWHERE, "f") for _ in range(count)]
        for state, needed in zip(states, needs, strict=True):
            self.needs_of[id(state)] = needed
        calls = [call(*needed) for needed in needs]
        submission = Submission(FUNCTION, calls, chunk_size=size, series=Series())
        self.bench.turn(events.Submitted(submission, states))
        self.states += states
        return states

    @rule(states=maps)
    def observe(self, states: list[ResultState]) -> None:
        pending = [state for state in states if not state.is_final]
        observer = self.bench.observe(pending)
        self.observers.append((pending, observer))

    @rule(states=maps, index=st.integers(0, 5))
    def cancel(self, states: list[ResultState], index: int) -> None:
        state = states[index % len(states)]
        self.cancelled.add(id(state))
        self.bench.turn(events.Cancelled([state]))

    @rule()
    def flush(self) -> None:
        self.bench.flush()

    # -- the cluster ---------------------------------------------------------------------------

    @precondition(lambda self: self.world.running())
    @rule(data=st.data(), fails=st.sampled_from([False, False, False, True]))
    def finish(self, data: Any, fails: bool) -> None:
        self._finish(data.draw(st.sampled_from(self.world.running())), fails=fails)

    def _finish(self, result_id: str, *, fails: bool) -> None:
        needed = self.world.inputs[result_id]
        if any(not state.is_final and state.result_id in self.world.running() for state in needed):
            return  # it waits
        if fails:
            self.world.failed[result_id] = TaskFailedError("it broke")
            self.news.append(Ended(result_id, ABORTED))
            return
        states = self.world.shape[result_id]
        if states[0].item == WHOLE:
            made = container(id(states[0]), chunked=False, seconds=0.001)
        else:
            made = container(*map(id, states), seconds=0.001)
        self.world.data[result_id] = made
        self.news.append(Ended(result_id, COMPLETED))

    # -- the network ---------------------------------------------------------------------------

    @precondition(lambda self: self.news)
    @rule(data=st.data(), how=st.sampled_from(["told", "twice", "lost"]), with_data=st.booleans())
    def tell(self, data: Any, how: str, with_data: bool) -> None:
        one = data.draw(st.sampled_from(self.news))
        self.news.remove(one)
        if how == "lost":
            self.bench.turn(events.StreamLost(AWAY))
            return
        if with_data:
            one = Ended(one.result_id, one.status, self.world.data.get(one.result_id))
        self.bench.turn([one])
        if how == "twice":
            self.bench.turn([one])

    @rule()
    def stream(self) -> None:
        if self.bench.take(events.Subscribe):
            self.bench.turn(events.StreamUp())

    @precondition(lambda self: self.bench.asked)
    @rule(data=st.data(), outcome=st.sampled_from(["done", "done", "unheard", "away"]))
    def answer(self, data: Any, outcome: str) -> None:
        request = data.draw(st.sampled_from(self.bench.asked))
        if isinstance(request, events.Subscribe):
            return
        self.bench.asked.remove(request)
        self._answer(request, outcome)

    def _answer(self, request: events.Request, outcome: str) -> None:
        if outcome == "away":
            self.bench.turn(events.Answered(request, error=AWAY))
            return
        value = self._performed(request)
        error = AWAY if outcome == "unheard" else None  # done, and the answer was lost
        self.bench.turn(events.Answered(request, None if error else value, error))

    def _performed(self, request: events.Request) -> object:
        world = self.world
        if isinstance(request, events.Send):
            for task in request.tasks:
                if not task.result_id:
                    task.give_id(world.new_id())
            if not request.is_quick:
                self.bench.turn(events.Created(request.tasks))
            for task in request.tasks:
                world.accept(task)
            return []
        if isinstance(request, events.Look):
            completed = [one for one in request.ids if one in world.data]
            failed = {one: world.failed[one] for one in request.ids if one in world.failed}
            return events.Looked(completed, failed)
        if isinstance(request, events.Read):
            late = ControlPlaneError("DownloadResultData", "none")
            return [contents(world.data[one]) if one in world.data else late for one in request.ids]
        if isinstance(request, events.CancelTasks):
            for one in request.tasks:
                if one in world.running():
                    world.failed[one] = TaskFailedError("cancelled")
                    self.news.append(Ended(one, ABORTED))
        return 2 if isinstance(request, events.CountWorkers) else None

    @rule(seconds=st.sampled_from([0.001, 0.1, 3.0, 60.0]))
    def sleep(self, seconds: float) -> None:
        self.bench.sleep(seconds)

    # -- what holds ----------------------------------------------------------------------------

    @invariant()
    def what_ended_stays_as_it_is_and_observers_are_told_once(self) -> None:
        for states, observer in getattr(self, "observers", ()):
            ended = [state for state in states if state.is_final]
            assert sorted(map(id, observer.told)) == sorted(map(id, ended))

    @invariant()
    def a_completed_call_has_its_own_value(self) -> None:
        for state in getattr(self, "states", ()):
            if state.status is not Status.COMPLETED:
                continue
            opened = contents(self.world.data[state.result_id or ""]).opened
            assert opened.value(state.item) == id(state)

    def teardown(self) -> None:
        """Whatever has happened: once the network is there, everything ends."""
        if not hasattr(self, "bench"):
            return
        reply = events.Reply()
        self.bench.turn(events.Emptied(reply))
        for _ in range(400):
            if reply.wait(0):
                break
            self.stream()
            asked, self.bench.asked = self.bench.asked, []
            for request in asked:
                self._answer(request, "done")
            for result_id in self.world.running():
                self._finish(result_id, fails=False)
            told, self.news = self.news, []
            self.bench.turn(told)
            self.bench.sleep(1.0)
        assert reply.wait(0), [state.status for state in self.states]
        assert all(state.is_final for state in self.states)


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
