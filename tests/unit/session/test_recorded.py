"""Runs put together from their records, and calls compared with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymonik import task
from pymonik.cache.keys import keys as code_keys
from pymonik.code import codec
from pymonik.kept.call_keys import CallKeys
from pymonik.options import TaskOptions
from pymonik.runs.reading import drop_unsent
from pymonik.runs.rows import ResultRow
from pymonik.session.protocol import Submission
from pymonik.session.recorded import RecordedRun, recorded_runs
from pymonik.session.recording import Recording
from pymonik.session.run import Run, SingleCalls
from pymonik.wire.call import KEY_BYTES, WHOLE, FunctionRef, RunRecord, RunTask
from pymonik.wire.environment import Environment

if TYPE_CHECKING:
    import pytest

    from pymonik.cache.keys import CodeKey

CALL_KEYS = CallKeys(Environment())
FUNCTION = FunctionRef("content", "function", "square")


@task
def square(number: int) -> int:
    return number * number


@task(function_name="square")
def edited(number: int) -> int:
    return number**2


def keys(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(KEY_BYTES, "little") for number in numbers)


def record(run: str, *tasks: RunTask, written: float = 1.0, total: int = 0) -> RunRecord:
    return RunRecord(
        run=run,
        label="squares",
        function=FUNCTION,
        tasks=tasks,
        written=written,
        started=written,
        total=total,
        nonce=f"nonce {written}",
    )


def test_records_of_one_run_are_one_run_with_its_items_in_order() -> None:
    later = record("a", RunTask("r1", (0, 1), keys(10, 11), chunked=True), written=2.0)
    first = record("a", RunTask("r2", (2,), keys(12)), written=1.0, total=5)
    (run,) = recorded_runs([("s", later), ("s", first)])
    assert [(n, item.output_id, item.place) for n, item in run.items.items()] == [
        (0, "r1", 0),
        (1, "r1", 1),
        (2, "r2", WHOLE),
    ]
    assert (run.total, run.started, run.nonces) == (5, 1.0, ["nonce 1.0", "nonce 2.0"])


def test_the_later_record_of_an_item_holds() -> None:
    old = record("a", RunTask("old", (0,), keys(1)), written=1.0)
    new = record("a", RunTask("new", (0,), keys(1)), written=2.0)
    (run,) = recorded_runs([("s", new), ("s", old)])
    assert run.items[0].output_id == "new"


def test_places_of_which_nothing_is_known_have_no_item() -> None:
    (run,) = recorded_runs([("s", record("a", RunTask("r", (-1, 4), b"", chunked=True)))])
    assert [(n, item.place, item.key) for n, item in run.items.items()] == [(4, 1, b"")]


def test_items_without_a_task_or_without_data_never_left() -> None:
    outputs = ("sent", "created", "deleted", "gone", "done")
    tasks = [RunTask(one, (n,), keys(n)) for n, one in enumerate(outputs)]
    (run,) = recorded_runs([("s", record("a", *tasks))])
    rows = {
        "sent": ResultRow("sent", "CREATED", owner="task", session_id="s"),
        "created": ResultRow("created", "CREATED", owner="", session_id="s"),
        "deleted": ResultRow("deleted", "DELETED", owner="task", session_id="s"),
        "done": ResultRow("done", "COMPLETED", owner="task", session_id="s"),
    }
    drop_unsent(run, rows)
    assert list(run.items) == [0, 4]


def test_an_item_that_was_run_again_in_vain_is_what_it_was_before() -> None:
    first = record("a", RunTask("first", (0, 1), keys(1, 2), chunked=True), written=1.0)
    second = record("a", RunTask("second", (1,), keys(2)), written=2.0)
    killed = record("a", RunTask("killed", (1,), keys(2)), written=3.0)  # its task never left
    (run,) = recorded_runs([("s", first), ("s", second), ("s", killed)])
    assert run.numbers() == {
        ("first", 0): 0,
        ("first", 1): 1,
        ("second", WHOLE): 1,
        ("killed", WHOLE): 1,
    }
    assert set(run.outputs) == {"first", "second", "killed"}
    rows = {
        one: ResultRow(one, "COMPLETED", owner=f"{one} task###2", session_id="s")
        for one in ("first", "second")
    }
    drop_unsent(run, rows)
    assert [item.at for item in run.items.values()] == [("first", 0), ("second", WHOLE)]
    assert [item.task_id for item in run.items.values()] == ["first task", "second task"]


def test_a_run_stays_that_of_the_function_that_it_was_started_with() -> None:
    first = record("a", RunTask("r0", (0,), keys(1)), written=1.0)
    again = RunRecord(
        run="a",
        label="squares",
        function=FunctionRef("other", "other", "fixed"),
        tasks=(RunTask("r1", (0,), keys(1)),),
        written=2.0,
    )
    (run,) = recorded_runs([("s", first), ("s", again)])
    assert (run.function, run.items[0].output_id) == (FUNCTION, "r1")


# -- comparing -----------------------------------------------------------------------------------


def submission(function: object, numbers: range, *, single: bool = False) -> Submission:
    kind = SingleCalls if single else Run
    return Submission(
        function.packed(),  # type: ignore[attr-defined]
        [codec.pack_call((number,), {}) for number in numbers],
        TaskOptions(label="squares"),
        run=kind(function, "square", "squares"),  # type: ignore[arg-type]
    )


def found(numbers: range, *, single: bool = False, run: str = "a") -> RecordedRun:
    """What a session has after these calls of `square`."""
    made, _ = Recording(CALL_KEYS).submitted(submission(square, numbers, single=single))
    one = RecordedRun(run, "s", "squares", FUNCTION, single=single, total=len(made))
    tasks = [RunTask(f"r{n}", (n,), key) for n, key in enumerate(made)]
    one.add(record(run, *tasks))
    return one


def taken(recording: Recording, function: object, numbers: range, **how: bool) -> list[str | None]:
    _, items = recording.submitted(submission(function, numbers, **how))
    return [None if item is None else item.output_id for item in items]


def test_the_same_calls_are_found_once() -> None:
    recording = Recording(CALL_KEYS, [found(range(3))])
    assert taken(recording, square, range(3)) == ["r0", "r1", "r2"]
    assert taken(recording, square, range(3)) == [None] * 3


def test_runs_of_one_label_are_found_in_their_order() -> None:
    recording = Recording(CALL_KEYS, [found(range(2), run="a"), found(range(2), run="b")])
    first = submission(square, range(2))
    recording.submitted(first)
    second = submission(square, range(2))
    recording.submitted(second)
    assert first.run is not None
    assert second.run is not None
    assert recording.numbers(first.run, ())[0] == "a"
    assert recording.numbers(second.run, ())[0] == "b"


def test_another_argument_makes_it_another_run() -> None:
    assert taken(Recording(CALL_KEYS, [found(range(3))]), square, range(1, 4)) == [None] * 3


def test_another_function_makes_it_another_run() -> None:
    assert taken(Recording(CALL_KEYS, [found(range(3))]), edited, range(3)) == [None] * 3


def test_items_that_are_missing_are_sent() -> None:
    run = found(range(4))
    del run.items[2]
    assert taken(Recording(CALL_KEYS, [run]), square, range(6)) == [
        "r0",
        "r1",
        None,
        "r3",
        None,
        None,
    ]


def test_single_calls_are_found_in_any_order() -> None:
    recording = Recording(CALL_KEYS, [found(range(3), single=True)])
    calls = submission(square, range(2, 3), single=True)
    again = Submission(calls.function, [codec.pack_call((0,), {})], calls.options, run=calls.run)
    _, items = recording.submitted(calls)
    assert [item and item.output_id for item in items] == ["r2"]
    _, items = recording.submitted(again)
    assert [item and item.output_id for item in items] == ["r0"]
    _, items = recording.submitted(again)
    assert items == [None]


def test_code_is_looked_at_once_for_all_calls_of_a_submission(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = []
    code = code_keys.code

    def counted(*args: Any) -> CodeKey:
        looks.append(args)
        return code(*args)

    monkeypatch.setattr(code_keys, "code", counted)
    made, _ = Recording(CALL_KEYS).submitted(submission(square, range(100)))
    assert (len(set(made)), len(looks)) == (100, 1)
