"""What the machine of a session does about events, without a thread, a clock or a socket."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pymonik.errors import (
    ControlPlaneError,
    DependencyFailedError,
    SerializationError,
    TaskCancelledError,
    TaskFailedError,
    UnavailableError,
)
from pymonik.session import events
from pymonik.session.result import ResultState, Status
from pymonik.wire.call import ResultRef
from pymonik.wire.embedded import ABORTED, COMPLETED, Ended
from tests.unit.session.fakes import NOWHERE, Bench, call, container, contents

AWAY = UnavailableError("Any", "nobody is there")


@pytest.fixture
def bench() -> Bench:
    """Of a session over gRPC whose stream is up."""
    one = Bench()
    one.turn(events.StreamUp())
    return one


@pytest.fixture
def direct() -> Bench:
    """Of a session that makes the ids, and has uploaded its function."""
    numbers = itertools.count()
    one = Bench(new_id=lambda: f"own{next(numbers)}", reads_ahead=False)
    one.turn(events.StreamUp())
    one.submit([call()])
    one.flush()
    (task,) = one.send_all()
    one.turn([Ended(task.result_id, COMPLETED, container(1, chunked=False))])
    return one


def ids_of(bench: Bench, kind: type[Any]) -> list[str]:
    return [one for request in bench.take(kind) for one in request.ids]


# -- leaving -------------------------------------------------------------------------------------


def test_a_call_waits_a_moment_for_others_then_leaves(bench: Bench) -> None:
    bench.submit([call()])
    assert not bench.take(events.Send)
    bench.submit([call()])
    bench.sleep(0.01)
    (request,) = bench.take(events.Send)
    assert len(request.tasks) == 2


def test_who_waits_has_it_sent_at_once(bench: Bench) -> None:
    (state,) = bench.submit([call()])
    bench.observe([state])
    assert len(bench.take(events.Send)) == 1


def test_calls_that_need_each_other_leave_in_one_batch(bench: Bench) -> None:
    (first,) = bench.submit([call()])
    bench.submit([call(first)])
    bench.flush()
    (request,) = bench.take(events.Send)
    assert [len(task.inputs) for task in request.tasks] == [0, 1]


def test_a_call_waits_for_the_id_of_what_it_needs(bench: Bench) -> None:
    (first,) = bench.submit([call()])
    bench.flush()
    (sending,) = bench.take(events.Send)
    bench.submit([call(first)])
    bench.flush()
    assert not bench.take(events.Send)
    sending.tasks[0].give_id("r")
    bench.turn(events.Created(sending.tasks))
    assert len(bench.take(events.Send)) == 1


def test_ids_of_ones_own_let_calls_follow_each_other_at_once(direct: Bench) -> None:
    (first,) = direct.submit([call()])
    direct.flush()
    direct.submit([call(first)])
    direct.flush()
    assert [request.is_quick for request in direct.take(events.Send)] == [True, True]


def test_no_batch_overtakes_the_one_that_brings_the_function() -> None:
    numbers = itertools.count()
    direct = Bench(new_id=lambda: f"own{next(numbers)}", reads_ahead=False)
    direct.turn(events.StreamUp())
    first = direct.submit([call()])
    direct.flush()
    (request,) = direct.take(events.Send)
    second = direct.submit([call()])
    direct.flush()
    assert not direct.take(events.Send)
    direct.turn(events.Answered(request, []))
    (behind,) = direct.take(events.Send)
    assert behind.is_quick
    assert [one.status for one in (*first, *second)] == [Status.PENDING] * 2


def test_a_batch_that_nobody_answered_is_sent_again_until_somebody_does(bench: Bench) -> None:
    (state,) = bench.submit([call()])
    reply = bench.flush()
    for _ in range(20):
        (request,) = bench.take(events.Send)
        bench.turn(events.Answered(request, error=AWAY))
        bench.sleep(2.5)
    assert state.status is Status.PENDING
    assert not reply.wait(0)
    bench.send_all()
    assert reply.wait(0)


def test_a_quick_batch_that_is_refused_is_looked_into(direct: Bench) -> None:
    good, bad = direct.submit([call()]) + direct.submit([call()])
    direct.flush()
    (quick,) = direct.take(events.Send)
    direct.turn(events.Answered(quick, error=ControlPlaneError("SubmitTasks", "no")))
    (slow,) = direct.take(events.Send)
    assert not slow.is_quick
    refused = ControlPlaneError("SubmitTasks", "too large")
    direct.turn(events.Answered(slow, [(slow.tasks[1], refused)]))
    assert (good.status, bad.error) == (Status.PENDING, refused)


def test_what_needs_a_refused_call_does_not_wait_for_ever(bench: Bench) -> None:
    (bad,) = bench.submit([call()])
    (needy,) = bench.submit([call(bad)])
    (last,) = bench.submit([call(needy)])
    bench.flush()
    (request,) = bench.take(events.Send)
    for number, task in enumerate(request.tasks):
        task.give_id(f"r{number}")
    bench.turn(events.Created(request.tasks))
    refused = ControlPlaneError("SubmitTasks", "too large")
    bench.turn(events.Answered(request, [(request.tasks[0], refused)]))
    assert bad.error is refused
    assert isinstance(needy.error, DependencyFailedError)
    assert isinstance(last.error, DependencyFailedError)
    (cancel,) = bench.take(events.CancelTasks)
    assert len(cancel.tasks) == 2


def test_a_chain_behind_a_refused_call_may_be_of_any_length(bench: Bench) -> None:
    """Each link needs the one before: to end them by recursion would break the session."""
    chain = bench.submit([call()])
    for _ in range(2_000):
        chain += bench.submit([call(chain[-1])])
    bench.flush()
    (first,) = requests = bench.take(events.Send)
    while requests:
        for request in requests:
            for task in request.tasks:
                task.give_id(f"r{id(task)}")
            bench.turn(events.Created(request.tasks))
            if request is not first:
                bench.turn(events.Answered(request, []))
        requests = bench.take(events.Send)
    refused = ControlPlaneError("SubmitTasks", "too large")
    bench.turn(events.Answered(first, [(first.tasks[0], refused)]))
    assert chain[0].error is refused
    assert all(isinstance(state.error, DependencyFailedError) for state in chain[1:])


def test_what_is_leaving_while_what_it_needs_is_refused_does_not_wait_for_ever(
    bench: Bench,
) -> None:
    (bad,) = bench.submit([call()])
    bench.flush()
    (first,) = bench.take(events.Send)
    first.tasks[0].give_id("r0")
    bench.turn(events.Created(first.tasks))
    (needy,) = bench.submit([call(bad)])
    bench.flush()
    (second,) = bench.take(events.Send)
    refused = ControlPlaneError("SubmitTasks", "too large")
    bench.turn(events.Answered(first, [(first.tasks[0], refused)]))
    second.tasks[0].give_id("r1")
    bench.turn(events.Created(second.tasks))
    bench.turn(events.Answered(second, []))
    assert isinstance(needy.error, DependencyFailedError)
    assert len(bench.take(events.CancelTasks)) == 1


def test_a_refusal_for_a_failed_input_waits_for_the_reason(bench: Bench) -> None:
    (first,) = bench.submit([call()])
    bench.flush()
    (task,) = bench.send_all()
    (second,) = bench.submit([call(first)])
    bench.flush()
    (request,) = bench.take(events.Send)
    error = ControlPlaneError("SubmitTasks", "Some dependencies have invalid status")
    bench.turn(events.Answered(request, [(request.tasks[0], error)]))
    assert second.status is Status.PENDING
    bench.turn([Ended(task.result_id, ABORTED)])
    (look,) = bench.take(events.Look)
    why = TaskFailedError("it broke")
    bench.turn(events.Answered(look, events.Looked([], {task.result_id: why})))
    assert isinstance(second.error, DependencyFailedError)
    assert second.error.__cause__ is why


def test_the_error_of_a_chain_names_the_first_failure_only(bench: Bench) -> None:
    (state,) = bench.submit([call()])
    bench.turn(events.Cancelled([state]))
    for _ in range(100):
        (state,) = bench.submit([call(state)])
        bench.flush()
    assert len(str(state.error)) < 300


# -- chunks --------------------------------------------------------------------------------------


def test_the_first_calls_of_a_map_go_alone_and_their_seconds_size_the_next(bench: Bench) -> None:
    states = bench.submit([call() for _ in range(1000)], chunk_size=0)
    (workers,) = bench.take(events.CountWorkers)
    bench.turn(events.Answered(workers, 2))
    tasks = bench.send_all()
    assert {len(task.states) for task in tasks} == {1}
    for task in tasks:
        bench.turn([Ended(task.result_id, COMPLETED)])
    reads = bench.take(events.Read)
    assert all(read.most_bytes is not None for read in reads)  # values may be large
    for read in reads:
        tiny = [contents(container(1, chunked=False, seconds=1e-5)) for _ in read.ids]
        bench.turn(events.Answered(read, tiny))
    assert max(len(task.states) for task in bench.send_all()) > 100
    assert states[0].status is Status.COMPLETED


def test_a_map_whose_first_calls_fail_learns_from_how_long_they_had_run(bench: Bench) -> None:
    states = bench.submit([call() for _ in range(1000)], chunk_size=0)
    tasks = bench.send_all()
    for task in tasks:
        bench.turn([Ended(task.result_id, ABORTED)])
    (look,) = bench.take(events.Look)
    why = {one: TaskFailedError("it broke") for one in look.ids}
    seconds = dict.fromkeys(look.ids, 1e-5)
    bench.turn(events.Answered(look, events.Looked([], why, seconds)))
    bench.sleep(0.1)
    assert states[0].status is Status.FAILED
    assert max(len(task.states) for task in bench.send_all()) > 100


def test_how_long_a_request_took_says_nothing_about_a_call(bench: Bench) -> None:
    bench.submit([call() for _ in range(1000)], chunk_size=0)
    first = bench.send_all()
    bench.now += 30.0  # far away
    for task in first:
        bench.turn([Ended(task.result_id, COMPLETED)])
    for read in bench.take(events.Read):
        tiny = [contents(container(1, chunked=False, seconds=1e-5)) for _ in read.ids]
        bench.turn(events.Answered(read, tiny))
    assert max(len(task.states) for task in bench.send_all()) > 100


def chunk(bench: Bench, *calls: Any) -> tuple[list[ResultState], Any]:
    """The states of calls that share a task, which was sent."""
    states = bench.submit(calls or [call(), call()], chunk_size=10)
    (task,) = bench.send_all()
    return states, task


def test_items_end_as_their_result_says(bench: Bench) -> None:
    states, task = chunk(bench)
    bench.turn([Ended(task.result_id, COMPLETED)])
    assert not states[0].is_final
    (read,) = bench.take(events.Read)
    bench.turn(events.Answered(read, [contents(container(1, ValueError("no")))]))
    assert states[0].status is Status.COMPLETED
    assert isinstance(states[1].error, ValueError)


def test_a_failed_download_ends_nothing(bench: Bench) -> None:
    states, task = chunk(bench)
    bench.turn([Ended(task.result_id, COMPLETED)])
    for error in [AWAY] * 30 + [ControlPlaneError("DownloadResultData", "not found")] * 30:
        (read,) = bench.take(events.Read)
        bench.turn(events.Answered(read, [error]))
        bench.sleep(2.5)
    assert {state.status for state in states} == {Status.PENDING}
    (read,) = bench.take(events.Read)
    bench.turn(events.Answered(read, [contents(container(1, 2))]))
    assert {state.status for state in states} == {Status.COMPLETED}


def test_data_that_are_no_result_fail_the_items(bench: Bench) -> None:
    states, task = chunk(bench)
    bench.turn([Ended(task.result_id, COMPLETED)])
    (read,) = bench.take(events.Read)
    bench.turn(events.Answered(read, [SerializationError("this is not a result")]))
    assert all(isinstance(state.error, SerializationError) for state in states)


def test_an_item_that_stands_elsewhere_ends_with_that_result(bench: Bench) -> None:
    states, task = chunk(bench)
    bench.turn([Ended(task.result_id, COMPLETED)])
    (read,) = bench.take(events.Read)
    bench.turn(events.Answered(read, [contents(container(1, ResultRef("other", 3)))]))
    assert states[1].place == ResultRef("other", 3)
    assert "other" in ids_of(bench, events.Look)
    bench.turn([Ended("other", COMPLETED)])
    (read,) = bench.take(events.Read)
    bench.turn(events.Answered(read, [contents(container(0, 0, 0, 7))]))
    assert states[1].status is Status.COMPLETED


def test_a_task_is_cancelled_with_the_last_of_its_calls(bench: Bench) -> None:
    states, task = chunk(bench)
    bench.turn(events.Cancelled(states[:1]))
    assert isinstance(states[0].error, TaskCancelledError)
    assert not bench.take(events.CancelTasks)
    bench.turn(events.Cancelled(states[1:]))
    (request,) = bench.take(events.CancelTasks)
    assert request.tasks == {task.result_id: task.task_id}


def test_a_call_that_is_cancelled_while_it_leaves_is_cancelled_once_it_was_sent(
    bench: Bench,
) -> None:
    (state,) = bench.submit([call()])
    bench.flush()
    bench.turn(events.Cancelled([state]))
    assert not bench.take(events.CancelTasks)
    bench.send_all()
    assert len(bench.take(events.CancelTasks)) == 1


# -- news and lists ------------------------------------------------------------------------------


def sent(bench: Bench) -> tuple[ResultState, str]:
    (state,) = bench.submit([call()])
    bench.flush()
    (task,) = bench.send_all()
    return state, task.result_id


def test_news_that_come_twice_count_once(bench: Bench) -> None:
    state, result_id = sent(bench)
    observer = bench.observe([state])
    bench.turn([Ended(result_id, COMPLETED), Ended(result_id, COMPLETED)])
    bench.turn([Ended(result_id, ABORTED)])
    assert observer.told == [state]
    assert state.status is Status.COMPLETED


def test_what_ended_while_nobody_listened_is_found_in_a_list(bench: Bench) -> None:
    state, result_id = sent(bench)
    bench.turn(events.StreamLost(AWAY))
    bench.sleep(1.0)
    assert bench.take(events.Subscribe)
    looks = bench.take(events.Look)
    bench.turn(events.Answered(looks[0], error=AWAY))
    bench.turn(events.StreamUp())
    bench.sleep(1.0)
    (look,) = bench.take(events.Look)
    assert list(look.ids) == [result_id]
    bench.turn(events.Answered(look, events.Looked([result_id], {})))
    assert state.status is Status.COMPLETED


def test_a_result_whose_request_was_not_answered_is_not_taken_for_deleted(direct: Bench) -> None:
    direct.submit([call()])
    direct.flush()
    direct.turn(events.StreamLost(AWAY))
    direct.sleep(0.5)
    direct.turn(events.StreamUp())
    direct.sleep(0.5)
    assert not ids_of(direct, events.Look)
    (task,) = direct.send_all()
    direct.sleep(0.1)
    assert ids_of(direct, events.Look) == [task.result_id]


def test_no_result_is_doomed_by_time(bench: Bench) -> None:
    state, _ = sent(bench)
    bench.turn(events.StreamLost(AWAY))
    for _ in range(100):
        for request in [*bench.take(events.Look), *bench.take(events.Subscribe)]:
            if isinstance(request, events.Look):
                bench.turn(events.Answered(request, error=AWAY))
            else:
                bench.turn(events.StreamLost(AWAY))
        bench.sleep(60)
    assert state.status is Status.PENDING


def test_a_loss_is_told_once_and_the_return_too(bench: Bench, caplog: Any) -> None:
    sent(bench)
    bench.turn(events.StreamLost(AWAY))
    for _ in range(50):
        for look in bench.take(events.Look):
            bench.turn(events.Answered(look, error=AWAY))
        bench.sleep(1.0)
    bench.turn(events.StreamUp())
    bench.sleep(1.0)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(",")[0].partition(";")[0] for line in lines] == [
        "the control plane does not answer",
        "the control plane answers again",
    ]


def test_what_waits_to_be_repeated_is_asked_at_once_when_somebody_answers_again(
    bench: Bench,
) -> None:
    sent(bench)
    bench.submit([call()])
    bench.flush()
    while bench.now < 20.0:
        for request in bench.take(events.Send) + bench.take(events.Look):
            bench.turn(events.Answered(request, error=AWAY))
        bench.sleep(0.1)
    question = events.ListPartitions()
    bench.turn(events.Asked(question, events.Reply()))
    bench.take(events.Send)
    bench.turn(events.Answered(question, ["a"]))
    assert bench.take(events.Send)


def test_a_stream_that_is_cut_and_back_at_once_is_no_news(bench: Bench, caplog: Any) -> None:
    sent(bench)
    for _ in range(20):
        bench.turn(events.StreamLost(AWAY))
        bench.sleep(0.3)
        bench.turn(events.StreamUp())
        bench.sleep(5.0)
    assert not caplog.records


def test_a_stream_that_opens_only_to_be_refused_proves_nothing(bench: Bench, caplog: Any) -> None:
    sent(bench)
    asked = 0
    bench.turn(events.StreamLost(AWAY))
    for _ in range(600):
        bench.sleep(0.1)
        if bench.take(events.Subscribe):
            asked += 1
            bench.turn(events.StreamUp(), events.StreamLost(AWAY))
        for look in bench.take(events.Look):
            bench.turn(events.Answered(look, error=AWAY))
    assert asked < 60  # pauses have grown to two seconds
    assert len(caplog.records) == 1


def test_the_row_of_a_failure_that_is_late_is_looked_at_with_pauses(bench: Bench) -> None:
    state, result_id = sent(bench)
    bench.turn([Ended(result_id, ABORTED)])
    looks = 0
    while bench.now < 5.0:
        for look in bench.take(events.Look):
            looks += 1
            bench.turn(events.Answered(look, events.Looked([], {})))
        bench.sleep(0.01)
    assert 5 < looks < 30
    bench.sleep(1.0)
    (look,) = bench.take(events.Look)
    error = TaskFailedError("it broke")
    bench.turn(events.Answered(look, events.Looked([], {result_id: error})))
    assert state.error is error


def test_the_workers_of_a_partition_are_asked_for_once(bench: Bench) -> None:
    for _ in range(3):
        bench.submit([call(), call()], chunk_size=0)
    (request,) = bench.take(events.CountWorkers)
    bench.turn(events.Answered(request, error=AWAY))
    bench.submit([call(), call()], chunk_size=0)
    assert bench.take(events.CountWorkers)


def test_who_polls_looks_soon_then_less_often() -> None:
    bench = Bench(polling_s=0.5)
    assert not bench.take(events.Subscribe)
    sent(bench)
    times = []
    for _ in range(12):
        bench.sleep(0.0)
        at = bench.machine.next_at(bench.now)
        assert at is not None
        bench.now = at
        bench.turn()
        for look in bench.take(events.Look):
            times.append(bench.now)
            bench.turn(events.Answered(look, events.Looked([], {})))
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses[0] < 0.05
    assert max(pauses) == pytest.approx(0.5)


def test_a_cluster_that_has_ended_is_not_waited_for(bench: Bench) -> None:
    state, _ = sent(bench)
    (unsent,) = bench.submit([call()])
    bench.turn(events.Gone(AWAY))
    assert state.error is AWAY
    assert unsent.error is AWAY


def test_items_are_not_waited_for_whose_cluster_ended_while_they_were_read(bench: Bench) -> None:
    states, task = chunk(bench)
    bench.turn([Ended(task.result_id, COMPLETED)])
    bench.turn(events.Gone(AWAY))
    assert [state.error for state in states] == [AWAY, AWAY]


# -- data ----------------------------------------------------------------------------------------


def want(bench: Bench, *ids: str) -> events.Reply:
    reply = events.Reply()
    bench.turn(events.Wanted(ids, reply))
    return reply


def test_data_that_are_late_are_asked_for_again(bench: Bench) -> None:
    reply = want(bench, "r")
    for _ in range(5):
        (read,) = bench.take(events.Read)
        bench.turn(events.Answered(read, [ControlPlaneError("DownloadResultData", "none")]))
        bench.sleep(1.0)
    (read,) = bench.take(events.Read)
    bench.turn(events.Answered(read, [contents(container(5, chunked=False))]))
    assert reply.get()[0].value() == 5


def test_who_waits_for_data_is_told_when_nobody_answers_for_long() -> None:
    bench = Bench(patience_s=10.0)
    reply = want(bench, "r")
    while not reply.wait(0):
        assert bench.now < 30
        for read in bench.take(events.Read):
            bench.turn(events.Answered(read, [AWAY], AWAY))
        bench.sleep(1.0)
    assert reply.error is AWAY
    again = want(bench, "r")  # nothing has ended by that
    (read,) = bench.take(events.Read)
    bench.turn(events.Answered(read, [contents(container(5, chunked=False))]))
    assert again.get()[0].value() == 5


def test_small_values_that_ended_are_read_with_the_one_that_is_wanted(bench: Bench) -> None:
    ended = [sent(bench) for _ in range(40)]
    bench.turn([Ended(result_id, COMPLETED) for _, result_id in ended])
    want(bench, ended[0][1])
    reads = bench.take(events.Read)
    assert {one for read in reads for one in read.ids} == {result_id for _, result_id in ended}
    for read in reads:
        data = [contents(container(5, chunked=False)) for _ in read.ids]
        bench.turn(events.Answered(read, data))
    assert all(state.news is not None for state, _ in ended[1:])


def test_what_is_read_ahead_has_a_bound(bench: Bench) -> None:
    ended = [sent(bench) for _ in range(3)]
    bench.turn([Ended(result_id, COMPLETED) for _, result_id in ended])
    want(bench, ended[0][1])
    for read in bench.take(events.Read):
        data = [contents(container(bytes(40_000_000), chunked=False)) for _ in read.ids]
        bench.turn(events.Answered(read, data))
    kept = [state.news for state, _ in ended if state.news is not None]
    assert [news.opened is not None for news in kept if not isinstance(news, bytes)] == [
        False,
        True,
    ]


# -- the end -------------------------------------------------------------------------------------


def test_the_end_waits_for_an_answer_and_ends_what_is_pending(bench: Bench) -> None:
    state, _ = sent(bench)
    (unsent,) = bench.submit([call()])
    reply = events.Reply()
    bench.turn(events.Ending(is_cancelled=True, reply=reply))
    assert isinstance(unsent.error, TaskCancelledError)
    (request,) = bench.take(events.End)
    bench.turn(events.Answered(request))
    bench.machine.take_leave()
    assert isinstance(state.error, TaskCancelledError)
    assert reply.wait(0)
    assert bench.machine.is_idle


def test_who_waits_for_everything_is_told_when_the_last_item_is_read(bench: Bench) -> None:
    reply = events.Reply()
    _, task = chunk(bench)
    bench.turn(events.Emptied(reply))
    bench.turn([Ended(task.result_id, COMPLETED)])
    assert not reply.wait(0)
    (read,) = bench.take(events.Read)
    bench.turn(events.Answered(read, [contents(container(1, 2))]))
    assert reply.wait(0)


def test_a_machine_that_broke_fails_all_that_waits(bench: Bench) -> None:
    state, _ = sent(bench)
    items, task = chunk(bench)
    bench.turn([Ended(task.result_id, COMPLETED)])
    (unsent,) = bench.submit([call()])
    replies = [want(bench, "x"), events.Reply(), events.Reply()]
    bench.turn(events.Emptied(replies[1]), events.Asked(events.ListPartitions(), replies[2]))
    broken = ZeroDivisionError("a defect")
    bench.machine.collapse(broken)
    assert [one.error for one in (state, unsent, *items)] == [broken] * 4
    assert all(reply.wait(0) for reply in replies)
    late = ResultState(NOWHERE, "f")
    bench.turn(events.Attached([late]))
    assert late.error is broken


def test_what_breaks_while_the_items_of_a_result_end_fails_all_of_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, task = chunk(bench)
    bench.turn([Ended(task.result_id, COMPLETED)])
    (read,) = bench.take(events.Read)
    broken = ZeroDivisionError("a defect")

    def breaks(_: ResultState, _status: Status, _now: float | None = None) -> None:
        raise broken

    with monkeypatch.context() as patch:
        patch.setattr(ResultState, "end", breaks)
        with pytest.raises(ZeroDivisionError):
            bench.turn(events.Answered(read, [contents(container(1, 2))]))
    bench.machine.collapse(broken)
    assert [one.error for one in items] == [broken, broken]


# -- patience ------------------------------------------------------------------------------------


def test_who_waits_without_an_end_is_let_go_when_nobody_answers_for_long() -> None:
    bench = Bench(patience_s=10.0)
    state, _ = sent(bench)
    (unsent,) = bench.submit([call()])
    observers = [bench.observe([state]), bench.observe([state, unsent])]
    replies = [bench.flush(), events.Reply()]
    bench.turn(events.Emptied(replies[1]), events.StreamLost(AWAY))
    while bench.now < 9.0:
        silent(bench)
    assert not any(observer.error for observer in observers)
    while bench.now < 12.0:
        silent(bench)
    assert all(isinstance(observer.error, UnavailableError) for observer in observers)
    assert all(isinstance(reply.error, UnavailableError) for reply in replies)
    assert not state.is_final
    assert not unsent.is_final


def silent(bench: Bench) -> None:
    for request in bench.take(events.Send) + bench.take(events.Look):
        bench.turn(events.Answered(request, error=AWAY))
    bench.sleep(0.1)


def test_a_silence_that_ends_in_time_is_told_to_nobody_who_waits() -> None:
    bench = Bench(patience_s=10.0)
    state, _ = sent(bench)
    observer = bench.observe([state])
    for _ in range(5):
        bench.turn(events.StreamLost(AWAY))
        until = bench.now + 8.0
        while bench.now < until:
            silent(bench)
        bench.turn(events.StreamUp())
        bench.sleep(2.0)
    assert observer.error is None


def test_ending_a_session_does_not_take_for_ever() -> None:
    bench = Bench(patience_s=3600.0)
    reply = events.Reply()
    bench.turn(events.Ending(is_cancelled=False, reply=reply))
    while not bench.machine.is_over:
        assert bench.now < 60
        for request in bench.take(events.End):
            bench.turn(events.Answered(request, error=AWAY))
        bench.sleep(1.0)
    bench.machine.take_leave()
    assert reply.error is AWAY
