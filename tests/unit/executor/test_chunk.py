"""What becomes of the calls of a chunk that its executor does not finish."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.code import codec, opened_result
from pymonik.code.exceptions import exception_of
from pymonik.code.failure import describe
from pymonik.errors import TaskTimeoutError, WorkerLostError
from pymonik.executor.chunk import Chunk
from pymonik.executor.claims import Finished
from pymonik.executor.endings import Cancelled, Ending, Failed, Lost, Retry, TimedOut
from pymonik.executor.files import INLINE_LIMIT, load
from pymonik.executor.frames import Report, Run
from pymonik.executor.packed_options import packed
from pymonik.executor.submission import bind
from pymonik.options import TaskOptions
from pymonik.wire import containers
from pymonik.wire.call import (
    CallMeta,
    FunctionRef,
    ItemMeta,
    PayloadMeta,
    ResultMeta,
    ResultRef,
)
from pymonik.wire.failure import Failure

if TYPE_CHECKING:
    from pathlib import Path

    from pymonik.executor.frames import Subtask

SIZE = 6
LOST = Lost(describe(WorkerLostError("killed")))
TIMED_OUT = TimedOut(describe(TaskTimeoutError("too long")))
MEMORY = Failed(describe(WorkerLostError("too much memory")))


class Agent:
    """Takes what is handed over, and gives ids."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.reports: list[Report] = []

    def __call__(self, report: Report) -> list[str]:
        if self.error is not None:
            raise self.error
        bound = bind(report, lambda stand_in: f"id of {stand_in}")
        self.reports.append(bound)
        return [subtask.output for subtask in bound.subtasks]


class Made:
    """A chunk of calls with one number each; call n needs the result ``needed-n``."""

    def __init__(
        self,
        folder: Path,
        *,
        size: int = SIZE,
        attempt: int = 1,
        max_retries: int = 3,
        agent: Agent | None = None,
        padding: int = 0,
        earlier: int = 0,
    ) -> None:
        arguments = [codec.pack_call((number, bytes(padding)), {}) for number in range(size)]
        calls = [
            CallMeta(len(one.blobs), (ResultRef(f"needed-{number}"),))
            for number, one in enumerate(arguments)
        ]
        meta = PayloadMeta(
            function=FunctionRef("content", "function", "f"),
            calls=tuple(calls),
            chunked=True,
            earlier=earlier,
        )
        run = Run(
            task_id="t",
            session_id="s",
            attempt=attempt,
            files={},
            payload_id="p",
            output_id="o",
            packed_options=packed(TaskOptions(max_retries=max_retries, priority=7)),
            folder=str(folder),
        )
        self.agent = agent or Agent()
        self.chunk = Chunk(run, meta, [blob for one in arguments for blob in one.blobs], self.agent)

    def salvaged(self, ending: Ending, finished: int, begun: int) -> dict[int, Any]:
        """For each call: its value, its failure, or the task that it has become."""
        done = [finished_with(number) for number in range(finished)]
        report = self.chunk.salvaged(ending, done, begun)
        assert isinstance(report, Report)
        return ends(report)


class Task:
    """What a subtask would run."""

    def __init__(self, report: Report, subtask: Subtask) -> None:
        (created,) = [one for one in report.created if one.stand_in == subtask.payload]
        data = created.data if created.data is not None else load(str(created.path))
        meta, blobs = containers.split(data)
        assert isinstance(meta, PayloadMeta)
        starts = [0, *itertools.accumulate(one.blobs for one in meta.calls)]
        self.numbers = [
            codec.unpack(blobs[start:stop])[0][0] for start, stop in itertools.pairwise(starts)
        ]
        self.meta = meta
        self.subtask = subtask
        self.retries = subtask.options.max_retries
        self.attempt = meta.earlier + 1

    def __repr__(self) -> str:
        return f"<Task {self.numbers}>"


def finished_with(number: int, *, is_all: bool = True) -> Finished:
    packed = codec.pack(number * 10)
    return Finished(ItemMeta(len(packed.blobs)), packed.blobs, is_all)


def tasks_of(report: Report) -> dict[str, Task]:
    return {one.output: Task(report, one) for one in report.subtasks}


def ends(report: Report) -> dict[int, Any]:
    tasks = tasks_of(report)
    assert report.output is not None
    opened = opened_result.OpenedResult(report.output)
    found: dict[int, Any] = {}
    for number, item in enumerate(opened.meta.items):
        if item.ref is None:
            found[number] = opened.value(number)
        elif item.ref.result_id in tasks:
            task = tasks[item.ref.result_id]
            assert task.numbers[item.ref.item] == number  # the right place of the right task
            found[number] = task
        else:
            found[number] = item.ref
    return found


def test_what_has_finished_stays_and_the_guilty_is_tried_again_alone(tmp_path: Path) -> None:
    found = Made(tmp_path).salvaged(LOST, finished=2, begun=3)
    assert [found[0], found[1]] == [0, 10]
    guilty = found[2]
    assert (guilty.numbers, guilty.retries, guilty.attempt) == ([2], 2, 2)
    assert found[3].numbers == [3, 4]  # as many together as have finished
    assert found[5].numbers == [5]
    assert (found[3].retries, found[3].attempt) == (3, 1)


@pytest.mark.parametrize("finished", range(SIZE + 1))
@pytest.mark.parametrize("ending", [LOST, TIMED_OUT, MEMORY])
@pytest.mark.parametrize("max_retries", [0, 1])
def test_every_call_ends_in_one_place(
    tmp_path: Path, ending: Ending, finished: int, max_retries: int
) -> None:
    for begun in {finished, min(finished + 1, SIZE)} - {0}:
        found = Made(tmp_path, max_retries=max_retries).salvaged(ending, finished, begun)
        assert list(found) == list(range(SIZE))
        assert [found[n] for n in range(finished)] == [n * 10 for n in range(finished)]
        for number in range(begun, SIZE):
            assert found[number].attempt == 1
            assert found[number].retries == max_retries
        if begun > finished:
            again = ending is TIMED_OUT or (ending is LOST and max_retries > 0)
            assert isinstance(found[finished], Task if again else Failure)


def test_without_retries_left_the_guilty_fails_in_its_place(tmp_path: Path) -> None:
    found = Made(tmp_path, attempt=3, max_retries=2).salvaged(LOST, finished=2, begun=3)
    assert isinstance(exception_of(found[2]), WorkerLostError)
    assert isinstance(found[3], Task)


def test_attempts_before_count(tmp_path: Path) -> None:
    made = Made(tmp_path, attempt=2, earlier=4, max_retries=5)
    guilty = made.salvaged(LOST, finished=0, begun=1)[0]
    assert (guilty.attempt, guilty.retries) == (7, 3)


def test_too_much_memory_is_not_tried_again(tmp_path: Path) -> None:
    found = Made(tmp_path).salvaged(MEMORY, finished=1, begun=2)
    assert "memory" in str(exception_of(found[1]))


def test_a_call_past_its_time_gets_all_of_it_alone_and_then_fails(tmp_path: Path) -> None:
    among_others = Made(tmp_path).salvaged(TIMED_OUT, finished=1, begun=2)[1]
    assert among_others.numbers == [1]
    alone = Made(tmp_path, size=1).salvaged(TIMED_OUT, finished=0, begun=1)[0]
    assert isinstance(exception_of(alone), TaskTimeoutError)


def test_a_call_alone_may_use_its_whole_time(tmp_path: Path) -> None:
    assert Made(tmp_path, size=1).chunk.time_limit_s(10) == 10
    assert Made(tmp_path).chunk.time_limit_s(10) == 9
    assert Made(tmp_path).chunk.time_limit_s(1) == 0.9
    assert Made(tmp_path).chunk.time_limit_s(None) is None


def test_all_may_have_finished(tmp_path: Path) -> None:
    found = Made(tmp_path).salvaged(LOST, finished=SIZE, begun=SIZE)
    assert found == {number: number * 10 for number in range(SIZE)}


def test_what_is_not_in_the_journal_runs_again_without_losing_an_attempt(tmp_path: Path) -> None:
    found = Made(tmp_path).salvaged(LOST, finished=1, begun=4)  # its disk was full after the first
    assert [found[n].attempt for n in (1, 2, 3)] == [1, 1, 2]
    assert [found[n].numbers for n in (1, 2, 3)] == [[1], [2], [3]]


def test_a_call_whose_subtasks_are_lost_runs_again(tmp_path: Path) -> None:
    chunk = Made(tmp_path).chunk
    done = [finished_with(0), finished_with(1, is_all=False), finished_with(2)]
    report = chunk.salvaged(LOST, done, 4)
    assert isinstance(report, Report)
    found = ends(report)
    assert (found[0], found[1].numbers, found[2], found[3].numbers) == (0, [1], 20, [3])


@pytest.mark.parametrize(
    "ending", [Cancelled(), Retry(describe(ValueError("again"))), Report(output=b"")]
)
def test_other_endings_stay_as_they_are(tmp_path: Path, ending: Ending) -> None:
    assert Made(tmp_path).chunk.salvaged(ending, [finished_with(0)], 2) is ending


@pytest.mark.parametrize("ending", [LOST, TIMED_OUT, MEMORY])
def test_where_no_call_had_begun_it_ends_as_it_did(tmp_path: Path, ending: Ending) -> None:
    assert Made(tmp_path).chunk.salvaged(ending, [], 0) is ending


# -- handing over --------------------------------------------------------------------------------


def handed(agent: Agent) -> list[list[int]]:
    (report,) = agent.reports
    return [task.numbers for task in tasks_of(report).values()]


@pytest.mark.parametrize(
    ("begun", "finished", "groups"),
    [
        (1, 0, [[1], [2], [3], [4], [5]]),
        (2, 1, [[2], [3], [4], [5]]),
        (3, 2, [[3, 4], [5]]),
        (3, 3, [[3, 4, 5]]),
        (5, 4, [[5]]),
    ],
)
def test_as_many_calls_go_together_as_have_finished(
    tmp_path: Path, begun: int, finished: int, groups: list[list[int]]
) -> None:
    made = Made(tmp_path)
    places = made.chunk.hand_over(begun, finished)
    assert places is not None
    assert handed(made.agent) == groups
    assert made.chunk.kept == begun
    tasks = tasks_of(made.agent.reports[0])
    numbers = [tasks[place.result_id].numbers[place.item] for place in places]
    assert numbers == list(range(begun, SIZE))


def test_a_task_that_is_handed_over_has_the_options_and_needs_what_its_calls_need(
    tmp_path: Path,
) -> None:
    made = Made(tmp_path)
    made.chunk.hand_over(3, 2)
    first, second = tasks_of(made.agent.reports[0]).values()
    assert first.subtask.dependencies == ["function", "needed-3", "needed-4"]
    assert second.subtask.dependencies == ["function", "needed-5"]
    assert first.subtask.options == TaskOptions(max_retries=3, priority=7)
    assert second.meta.chunked  # its failure is a value too


def test_large_calls_are_handed_over_as_files(tmp_path: Path) -> None:
    made = Made(tmp_path, padding=2 * INLINE_LIMIT)
    made.chunk.hand_over(3, 2)
    assert handed(made.agent) == [[3, 4], [5]]


@pytest.mark.parametrize("error", [OSError("disk"), RuntimeError("refused")])
def test_a_refused_hand_over_keeps_all_calls(tmp_path: Path, error: Exception) -> None:
    made = Made(tmp_path, agent=Agent(error))
    assert made.chunk.hand_over(3, 2) is None
    assert made.chunk.kept == SIZE
    assert list(made.salvaged(LOST, finished=3, begun=4)) == list(range(SIZE))


def test_without_somebody_to_hand_over_to_all_calls_stay(tmp_path: Path) -> None:
    chunk = Made(tmp_path).chunk
    chunk._hand_over = None
    assert chunk.hand_over(3, 2) is None
    assert chunk.kept == SIZE


@pytest.mark.parametrize("finished", range(4))
@pytest.mark.parametrize("ending", [LOST, TIMED_OUT, MEMORY])
def test_what_was_handed_over_stays_where_it_is_when_the_executor_dies(
    tmp_path: Path, ending: Ending, finished: int
) -> None:
    made = Made(tmp_path)
    places = made.chunk.hand_over(3, 2)
    found = made.salvaged(ending, finished, begun=made.chunk.kept)
    assert [found[n] for n in range(3, SIZE)] == places
    assert [found[n] for n in range(finished)] == [n * 10 for n in range(finished)]
    assert all(isinstance(found[n], Task | Failure) for n in range(finished, 3))


def test_the_head_of_a_salvaged_result_does_not_claim_to_know_how_long_calls_take(
    tmp_path: Path,
) -> None:
    report = Made(tmp_path).chunk.salvaged(LOST, [finished_with(0)], 2)
    assert isinstance(report, Report)
    assert report.output is not None
    meta, _ = containers.split(report.output)
    assert isinstance(meta, ResultMeta)
    assert (meta.chunked, meta.seconds) == (True, 0.0)
