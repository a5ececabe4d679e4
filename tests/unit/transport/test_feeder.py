"""The feeder: what leaves together, what waits for what, and that nothing is left hanging."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.errors import (
    PymonikError,
    SessionClosedError,
    TaskCancelledError,
    UnavailableError,
    UsageError,
)
from pymonik.options import TaskOptions
from pymonik.session.result import Countdown, ResultState
from pymonik.transport.feeder import Feeder
from pymonik.transport.outbox import OutgoingTask
from pymonik.transport.pace import Pace
from pymonik.wire.call import MOST_CALLS
from tests.unit.transport.calls import FUNCTION, WAIT_S, call, chunk, state, states, submission

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.code.codec import Packed
    from pymonik.session.result import Inputs
    from pymonik.transport.chunks import Learn

WORKERS = 1  # so two tasks are under way at most


class Reader:
    """Ends items like their result; how long it took is for the test to say."""

    def __init__(self) -> None:
        self.seconds = 0.001  # of a call

    def follow(
        self,
        whole: ResultState,
        items: Sequence[ResultState],
        learn: Learn,
        inputs: Inputs | None,
    ) -> None:
        del inputs

        def ended(_: ResultState) -> None:
            for item in items:
                if whole.error is not None:
                    item.fail(whole.error)
                else:
                    item.complete()
            calls = 0 if whole.error is not None else max(1, len(items))
            learn(self.seconds * calls, calls)

        whole.when_final(ended)


class Sent:
    """Takes tasks; they end when the test says so, or at once."""

    def __init__(self) -> None:
        self.tasks: list[OutgoingTask] = []
        self.error: Exception | None = None
        self.at_once = False
        self.ended = 0
        self._changed = threading.Condition()

    def put(self, tasks: Sequence[OutgoingTask]) -> None:
        if self.error is not None:
            raise self.error
        with self._changed:
            for task in tasks:
                task.state.result_id = f"r{len(self.tasks)}"
                needed = [ref._state for one in task.calls for ref in one.refs]
                assert all(one.result_id or one.is_final for one in needed)
                for item in task.items:
                    item.result_id = task.state.result_id
                self.tasks.append(task)
            self._changed.notify_all()
        if self.at_once:
            self.complete()

    def wait(self, count: int) -> list[OutgoingTask]:
        """The tasks, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.tasks) >= count, WAIT_S)
            return list(self.tasks)

    def complete(self) -> None:
        """All that was sent has ended well."""
        while self.ended < len(self.tasks):
            self.ended += 1
            self.tasks[self.ended - 1].state.complete()

    @property
    def sizes(self) -> list[int]:
        return [len(task.calls) for task in self.tasks]

    @property
    def order(self) -> list[Packed]:
        return [one for task in self.tasks for one in task.calls]


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def feeder(sent: Sent, reader: Reader) -> Iterator[Feeder]:
    before = set(threading.enumerate())
    double: Any = reader
    one = Feeder(sent.put, double)
    yield one
    one.close(SessionClosedError("SubmitTasks", "the test is over"))
    assert set(threading.enumerate()) <= before


def add(feeder: Feeder, calls: Sequence[Packed], size: int | None = None) -> list[ResultState]:
    ours = states(len(calls))
    feeder.add(submission(calls), ours, Pace(WORKERS, size))
    return ours


def alone(one: Packed) -> OutgoingTask:
    return OutgoingTask(FUNCTION, (one,), TaskOptions(), state())


def settle(ours: Sequence[ResultState]) -> None:
    Countdown(ours).wait(WAIT_S)


def test_the_first_calls_go_alone_and_short_ones_then_share_tasks(
    feeder: Feeder, sent: Sent
) -> None:
    sent.at_once = True
    calls = [call() for _ in range(1000)]
    settle(add(feeder, calls))
    assert sent.order == calls
    assert sent.sizes[0] == 1
    assert max(sent.sizes) > 100


def test_no_more_tasks_leave_than_the_window_takes(feeder: Feeder, sent: Sent) -> None:
    ours = add(feeder, [call() for _ in range(20)], size=5)
    sent.wait(2)
    assert sent.sizes == [5, 5]
    sent.complete()
    sent.wait(4)
    sent.complete()
    settle(ours)
    assert sent.sizes == [5, 5, 5, 5]


def test_the_first_tasks_leave_while_others_are_packed(feeder: Feeder, sent: Sent) -> None:
    sent.at_once = True
    together: list[int] = []
    put = sent.put

    def count_and_put(tasks: Sequence[OutgoingTask]) -> None:
        together.append(sum(len(task.calls) for task in tasks))
        put(tasks)

    feeder._put = count_and_put
    ours = add(feeder, [call() for _ in range(10 * MOST_CALLS)], size=MOST_CALLS)
    feeder.flush()
    settle(ours)
    assert max(together) <= 2 * MOST_CALLS
    assert sum(together) == 10 * MOST_CALLS


def test_flush_sends_everything_before_anything_has_ended(feeder: Feeder, sent: Sent) -> None:
    ours = add(feeder, [call() for _ in range(3000)])
    feeder.flush()
    assert sum(sent.sizes) == 3000
    assert max(sent.sizes[4:]) > 1
    assert all(one.result_id for one in ours)


def test_flush_of_nothing_returns(feeder: Feeder) -> None:
    feeder.flush()
    feeder.join()


def test_flush_does_not_wait_for_what_comes_after_it(sent: Sent, reader: Reader) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def put(tasks: Sequence[OutgoingTask]) -> None:
        entered.set()
        assert go_on.wait(WAIT_S)
        sent.put(tasks)

    double: Any = reader
    feeder = Feeder(put, double)
    first = add(feeder, [call() for _ in range(10)], size=2)
    assert entered.wait(WAIT_S)
    flushing = threading.Thread(target=feeder.flush)
    flushing.start()
    later = add(feeder, [call() for _ in range(100)], size=2)
    go_on.set()
    flushing.join(WAIT_S)
    assert not flushing.is_alive()
    assert all(one.result_id for one in first)
    assert not all(one.result_id for one in later)
    feeder.close(SessionClosedError("SubmitTasks", "closed"))


def test_flush_from_its_own_thread_is_refused(reader: Reader) -> None:
    raised: list[BaseException] = []

    def put(tasks: Sequence[OutgoingTask]) -> None:
        try:
            own.flush()
        except UsageError as error:
            raised.append(error)
        for task in tasks:
            task.state.complete()

    double: Any = reader
    own = Feeder(put, double)
    settle(add(own, [call(), call()], size=2))
    assert raised
    own.close(SessionClosedError("SubmitTasks", "closed"))


def test_a_call_that_refers_to_what_is_held_leaves_after_it(feeder: Feeder, sent: Sent) -> None:
    calls = [call() for _ in range(10)]
    ours = add(feeder, calls, size=1)
    first, second = alone(call(ours[9])), alone(call())
    second.calls = (call(first.state),)
    assert feeder.hold([first])
    assert feeder.hold([second])
    sent.at_once = True
    sent.wait(2)
    sent.complete()
    settle([*ours, first.state, second.state])
    order = sent.order
    assert order.index(calls[9]) < order.index(first.calls[0]) < order.index(second.calls[0])


def test_what_refers_to_nothing_here_is_not_held(feeder: Feeder, sent: Sent) -> None:
    assert not feeder.hold([alone(call(state("known")))])
    ours = add(feeder, [call() for _ in range(10)], size=1)
    sent.wait(2)
    assert not feeder.hold([alone(call(state("known")))])
    assert feeder.hold([alone(call(ours[9]))])


@pytest.mark.parametrize("flushed", [False, True])
def test_calls_of_a_series_wait_for_the_held_ones_of_another(
    feeder: Feeder, sent: Sent, flushed: bool
) -> None:
    first = add(feeder, [call() for _ in range(100)], size=2)
    second = add(feeder, [call(one) for one in reversed(first)], size=2)
    if flushed:
        feeder.flush()
    sent.at_once = True  # `put` looks whether what is referred to has its id
    sent.wait(2)
    sent.complete()
    settle([*first, *second])
    assert len(sent.order) == 200
    assert not any(one.error for one in [*first, *second])


def test_calls_that_wait_for_different_results_are_never_together(
    feeder: Feeder, sent: Sent
) -> None:
    results = [chunk([state(), state()], f"pending{n}") for n in range(3)]
    for one in results:
        for item in one.items:
            item.whole = one
    done = state("done")
    done.complete()
    needed = [[item] for one in results for item in one.items]
    calls = [call(*needs) for needs in [*needed, [], [done], [results[0].items[0], done]]]
    add(feeder, calls, size=10)
    feeder.flush()
    assert sent.sizes == [2, 2, 2, 2, 1]


def test_calls_with_large_arguments_share_no_task(feeder: Feeder, sent: Sent) -> None:
    add(feeder, [call(nbytes=3 << 20) for _ in range(4)], size=4)
    feeder.flush()
    assert sent.sizes == [1, 1, 1, 1]


def test_calls_that_are_given_up_are_not_sent(feeder: Feeder, sent: Sent) -> None:
    ours = add(feeder, [call() for _ in range(20)], size=2)
    sent.wait(2)
    behind = alone(call(ours[19]))
    assert feeder.hold([behind])
    feeder.give_up([*ours[6:], behind.state])
    assert all(isinstance(one.error, TaskCancelledError) for one in [*ours[6:], behind.state])
    feeder.flush()
    assert sum(sent.sizes) == 6
    sent.complete()
    settle(ours)
    feeder.join()


def test_what_was_sent_is_not_given_up_here(feeder: Feeder, sent: Sent) -> None:
    ours = add(feeder, [call(), call()], size=2)
    feeder.flush()
    feeder.give_up(ours)
    assert not any(one.is_final for one in ours)


def test_closing_fails_what_waits(feeder: Feeder, sent: Sent) -> None:
    ours = add(feeder, [call() for _ in range(20)], size=2)
    sent.wait(2)
    behind = alone(call(ours[19]))
    assert feeder.hold([behind])
    error = SessionClosedError("SubmitTasks", "closed")
    feeder.close(error)
    assert [one.error for one in ours] == [None] * 4 + [error] * 16
    assert behind.state.error is error
    with pytest.raises(SessionClosedError):
        add(feeder, [call(), call()])
    feeder.flush()
    feeder.join()


def test_closing_while_tasks_are_put_waits_for_them(sent: Sent, reader: Reader) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def put(tasks: Sequence[OutgoingTask]) -> None:
        entered.set()
        assert go_on.wait(WAIT_S)
        sent.put(tasks)

    double: Any = reader
    feeder = Feeder(put, double)
    ours = add(feeder, [call() for _ in range(10)], size=2)
    assert entered.wait(WAIT_S)
    closing = threading.Thread(target=feeder.close, args=(TaskCancelledError("cancelled"),))
    closing.start()
    settle(ours[4:])
    go_on.set()
    closing.join(WAIT_S)
    assert not closing.is_alive()
    assert sent.sizes == [2, 2]
    assert not any(one.is_final for one in ours[:4])


def test_a_put_that_raises_fails_its_calls(feeder: Feeder, sent: Sent) -> None:
    sent.error = PymonikError("refused")
    ours = add(feeder, [call() for _ in range(10)], size=2)
    settle(ours)
    assert {str(one.error) for one in ours} == {"refused"}
    feeder.join()


def test_an_unavailable_control_plane_fails_what_is_held(feeder: Feeder, sent: Sent) -> None:
    ours = add(feeder, [call() for _ in range(100)], size=2)
    other = alone(call(ours[99]))
    assert feeder.hold([other])
    gone = UnavailableError("SubmitTasks", "gone")
    for task in sent.wait(2)[:1]:
        task.state.fail(gone)
    settle([*ours[:2], *ours[4:]])
    assert {one.error for one in ours[4:]} == {gone}
    assert other in sent.wait(3)  # whoever sends it finds out that what it needs has failed


def test_a_task_that_failed_does_not_stop_the_others(feeder: Feeder, sent: Sent) -> None:
    ours = add(feeder, [call() for _ in range(10)], size=2)
    sent.wait(2)[0].state.fail(PymonikError("mine"))
    sent.at_once = True
    sent.ended = 1
    sent.complete()
    settle(ours)
    assert [str(one.error) for one in ours if one.error] == ["mine", "mine"]


def test_a_slow_first_call_does_not_keep_the_others_alone(
    feeder: Feeder, sent: Sent, reader: Reader
) -> None:
    reader.seconds = 1.0  # it had to import much
    ours = add(feeder, [call() for _ in range(1000)])
    sent.wait(2)
    sent.at_once = True
    sent.complete()
    reader.seconds = 0.001
    settle(ours)
    assert max(sent.sizes) > 10


def test_what_was_sent_is_not_kept(feeder: Feeder, sent: Sent) -> None:
    add(feeder, [call(), call()], size=2)
    feeder.flush()
    assert not feeder._held
    assert not any(series.calls for series in feeder._series)


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_join_returns_when_everything_has_ended(feeder: Feeder, sent: Sent, end: str) -> None:
    ours = add(feeder, [call() for _ in range(4)], size=2)
    thread = threading.Thread(target=feeder.join)
    thread.start()
    for task in sent.wait(2):
        assert thread.is_alive()
        if end == "complete":
            task.state.complete()
        else:
            task.state.fail(PymonikError("no"))
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert all(one.is_final for one in ours)


def test_a_defect_in_its_thread_fails_what_waits(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(Pace, "size", fail)
    ours = add(feeder, [call() for _ in range(10)])
    settle(ours)
    assert all(isinstance(one.error, ZeroDivisionError) for one in ours)
