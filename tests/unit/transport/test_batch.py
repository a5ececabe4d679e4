"""One batch as requests: which calls are in it, where some of them need what has failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pymonik.code import codec
from pymonik.errors import DependencyFailedError, PymonikError, TaskCancelledError
from pymonik.options import TaskOptions
from pymonik.transport.batch import BatchSender
from pymonik.transport.data import INLINE_BYTES
from pymonik.transport.outbox import OutgoingTask
from pymonik.wire import containers
from pymonik.wire.call import PayloadMeta, ResultRef
from pymonik.wire.environment import Environment
from tests.unit.transport.calls import FUNCTION, call, chunk, state, states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.code.codec import Packed
    from pymonik.session.result import ResultState
    from pymonik.transport.messages import NewTask


class Plane:
    """Takes requests."""

    def __init__(self) -> None:
        self.submitted: list[NewTask] = []
        self.cancelled: list[str] = []
        self.results = 0
        self.takes_payloads = False

    def create_results_metadata(self, session_id: str, names: Sequence[str]) -> list[str]:
        return [self.new_id() for _ in names]

    def new_id(self) -> str:
        self.results += 1
        return f"r{self.results}"

    def submit_tasks(self, session_id: str, options: Any, tasks: Sequence[NewTask]) -> list[str]:
        self.submitted += tasks
        return [f"task-{task.output_id}" for task in tasks]

    def cancel_tasks(self, ids: Sequence[str]) -> None:
        self.cancelled += ids


class Data:
    """Keeps what is stored."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.payloads: list[PayloadMeta] = []

    def store(self, items: Sequence[tuple[str, Sequence[Any]]]) -> list[str]:
        for _, segments in items:
            if data := b"".join(segments):
                meta, _ = containers.split(data)
                assert isinstance(meta, PayloadMeta)
                self.payloads.append(meta)
        return [self.plane.new_id() for _ in items]


class Sender:
    def __init__(self) -> None:
        plane: Any = Plane()
        data: Any = Data(plane)
        self.plane, self.data = plane, data
        self.watched: list[ResultState] = []
        self.send = BatchSender(
            plane,
            "s",
            data,
            environment=Environment(),
            options=TaskOptions(),
            nonce="n",
            watch=lambda watched: self.watched.extend(watched),
        )

    @property
    def refs(self) -> list[list[ResultRef]]:
        """What the calls need that were sent, task by task."""
        return [[ref for one in meta.calls for ref in one.refs] for meta in self.data.payloads]


@pytest.fixture
def sender() -> Sender:
    return Sender()


def together(calls: Sequence[Packed]) -> OutgoingTask:
    items = states(len(calls))
    whole = chunk(items)
    whole.result_id = None
    for item in items:
        item.result_id = None
        whole.when_final(lambda one, item=item: item.fail(one.error) if one.error else None)  # type: ignore[misc]
    return OutgoingTask(FUNCTION, calls, TaskOptions(), whole, items)


def needed(count: int) -> list[ResultState]:
    return list(chunk(states(count), "needed").items)


def test_a_call_whose_dependency_failed_fails_and_its_neighbours_go(sender: Sender) -> None:
    ours = needed(4)
    ours[1].fail(ValueError("mine"))
    task = together([call(one) for one in ours])
    items = list(task.items)
    sender.send([task])
    assert isinstance(items[1].error, DependencyFailedError)
    assert [one.item for one in items if not one.error] == [0, 1, 2]
    assert sender.refs == [[ResultRef("needed", n) for n in (0, 2, 3)]]
    assert len(sender.plane.submitted) == 1


def test_calls_that_were_given_up_do_not_go(sender: Sender) -> None:
    ours = needed(3)
    task = together([call(one) for one in ours])
    task.items[0].fail(TaskCancelledError("given up"))
    sender.send([task])
    assert sender.refs == [[ResultRef("needed", 1), ResultRef("needed", 2)]]


def test_a_task_of_one_call_that_is_left_still_has_items(sender: Sender) -> None:
    ours = needed(2)
    ours[0].fail(ValueError("mine"))
    sender.send([together([call(one) for one in ours])])
    assert [(len(meta.calls), meta.chunked) for meta in sender.data.payloads] == [(1, True)]


def test_where_all_calls_need_what_failed_nothing_is_sent(sender: Sender) -> None:
    ours = needed(2)
    for one in ours:
        one.fail(ValueError("mine"))
    task = together([call(one) for one in ours])
    sender.send([task])
    assert all(isinstance(one.error, DependencyFailedError) for one in task.items)
    assert sender.plane.submitted == sender.watched == []


def test_a_call_alone_fails_with_what_it_needs(sender: Sender) -> None:
    lost, done = state("lost"), state("done")
    lost.fail(ValueError("mine"))
    done.complete()
    tasks = [OutgoingTask(FUNCTION, (call(one),), TaskOptions(), state()) for one in (lost, done)]
    sender.send(tasks)
    assert isinstance(tasks[0].state.error, DependencyFailedError)
    assert sender.refs == [[ResultRef("done")]]


def test_a_call_that_was_cancelled_before_it_left_is_not_sent(sender: Sender) -> None:
    task = OutgoingTask(FUNCTION, (call(),), TaskOptions(), state())
    task.state.fail(TaskCancelledError("cancelled"))
    sender.send([task])
    assert sender.plane.submitted == []


def test_a_task_whose_item_failed_after_it_was_sent_is_not_cancelled(sender: Sender) -> None:
    """Another task of the batch is refused, so those that need it are looked for."""
    ours = needed(2)
    running = together([call(one) for one in ours])
    refused = OutgoingTask(FUNCTION, (call(),), TaskOptions(), state())
    submit = sender.plane.submit_tasks

    def fail_one(session_id: str, options: Any, tasks: Sequence[NewTask]) -> list[str]:
        ids: list[str] = submit(session_id, options, tasks)
        ours[0].fail(ValueError("just now"))
        refused.state.fail(PymonikError("refused"))
        return ids

    sender.plane.submit_tasks = fail_one
    sender.send([running, refused])
    assert sender.plane.cancelled == []
    assert not running.state.is_final


def test_small_payloads_go_with_their_tasks_where_they_can(sender: Sender) -> None:
    plane: Any = sender.plane
    plane.takes_payloads = True
    large = codec.pack_call((bytes(2 * INLINE_BYTES),), {})
    calls = [codec.pack_call((1,), {}), large, codec.pack_call((2,), {})]
    sender.send([OutgoingTask(FUNCTION, (one,), TaskOptions(), state()) for one in calls])
    assert [type(one.payload) for one in sender.plane.submitted] == [bytes, str, bytes]
    assert len(sender.data.payloads) == 1
