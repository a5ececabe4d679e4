"""Whose output it is: executor and parent in one process, with the files and marks they share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pymonik.executor import output_marks
from pymonik.executor.frames import Run
from pymonik.executor.output import Output, Part
from pymonik.executor.output_files import KEPT, last, spans
from pymonik.executor.output_marks import Marks, call_of, marks_file, run_and_place
from pymonik.executor.printed import Printed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Both:
    """An executor that prints what a test says, and its parent."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, Part]] = []
        self.parent = Output(self._told)
        self.printed = Printed(self.parent.fds, Marks(self.parent.marks_fd))

    def _told(self, run: Run, parts: Sequence[Part]) -> None:
        self.parts += [(run.task_id, part) for part in parts]

    def begin(self, number: int, *, is_idle: bool = True) -> None:
        run = Run(
            task_id=f"t{number}", session_id="", files={}, payload_id="", output_id="", folder=""
        )
        self.parent.begin(run, number, is_idle=is_idle)

    def out(self, text: str) -> None:
        os.write(self.parent.fds[0], text.encode())

    def err(self, text: str) -> None:
        os.write(self.parent.fds[1], text.encode())

    def call(self, run: int, place: int, text: str = "") -> None:
        """An executor runs a call."""
        if place == 0:
            self.printed.begin_run(run)
        self.out(text)
        self.printed.ended(place, 0.0)

    def texts(self) -> dict[tuple[str, int], str]:
        found: dict[tuple[str, int], str] = {}
        for task_id, part in self.parts:
            key = task_id, part.place
            found[key] = found.get(key, "") + part.text
        return found


@pytest.fixture
def both() -> Iterator[Both]:
    one = Both()
    yield one
    one.parent.close()


def test_each_call_of_a_chunk_has_what_it_printed(both: Both) -> None:
    both.begin(1)
    for place, text in enumerate(["a\n", "", "b\n", "c"]):
        both.call(1, place, text)
    both.parent.end(is_dead=False)
    assert both.texts() == {("t1", 0): "a\n", ("t1", 2): "b\n", ("t1", 3): "c\n"}
    parts, sizes = both.printed.columns(4)
    assert parts == [[(0, b"a\n")], [], [(0, b"b\n")], [(0, b"c")]]
    assert sizes == [2, 0, 2, 1]


def test_a_run_that_was_sent_ahead_keeps_its_own(both: Both) -> None:
    both.begin(1)
    both.call(1, 0, "first\n")
    both.call(2, 0, "second\n")  # before anybody has looked
    both.parent.end(is_dead=False)
    assert both.texts() == {("t1", 0): "first\n"}
    both.begin(2, is_idle=False)
    both.parent.end(is_dead=False)
    assert both.texts() == {("t1", 0): "first\n", ("t2", 0): "second\n"}


def test_what_a_running_call_has_printed_is_seen_before_it_ends(both: Both) -> None:
    both.begin(1)
    both.printed.begin_run(1)
    both.out("half a li")
    both.parent.look()
    assert both.texts() == {("t1", 0): "half a li"}
    both.out("ne\n")
    both.printed.ended(0, 0.0)
    both.parent.end(is_dead=False)
    assert both.texts() == {("t1", 0): "half a line\n"}


def test_the_order_of_both_streams_is_kept(both: Both) -> None:
    both.begin(1)
    both.printed.begin_run(1)
    for number in range(3):
        both.printed.turn()
        both.out(f"out {number}\n")
        both.printed.turn()
        both.err(f"err {number}\n")
    both.printed.ended(0, 0.0)
    both.parent.end(is_dead=False)
    said = [(part.stream, part.text) for _, part in both.parts]
    assert said == [
        (stream, f"{stream[3:]} {number}\n")
        for number in range(3)
        for stream in ("stdout", "stderr")
    ]
    text = "".join(f"out {n}\nerr {n}\n" for n in range(3))
    assert both.printed.last_of(0) == (text, (6,) * 6)


def test_what_a_thread_prints_after_the_end_of_its_call_is_no_others(both: Both) -> None:
    both.begin(1)
    both.call(1, 0, "mine\n")
    both.parent.end(is_dead=False)
    both.out("late\n")
    both.begin(2)
    both.call(2, 0, "next\n")
    both.parent.end(is_dead=False)
    assert both.texts() == {("t1", 0): "mine\n", ("t2", -1): "late\n", ("t2", 0): "next\n"}
    assert both.printed.last_of(0) == ("next\n", ())


def test_of_a_dead_executor_all_is_read(both: Both) -> None:
    both.begin(1)
    both.call(1, 0, "done\n")
    both.out("last words")
    both.parent.end(is_dead=True)
    assert both.texts() == {("t1", 0): "done\n", ("t1", 1): "last words\n"}
    assert both.parent.last_of_present() == ("last words", ())
    assert both.parent.last_lines("stdout") == "last words"
    assert both.parent.of_calls(1) == [[(0, b"done\n")]]


def test_a_file_that_was_emptied_begins_again(both: Both) -> None:
    both.begin(1)
    both.call(1, 0, "long before\n" * 10)
    os.ftruncate(both.parent.fds[0], 0)
    both.call(1, 1, "after\n")
    both.parent.end(is_dead=False)
    assert both.texts()["t1", 1].endswith("after\n")


def test_bytes_that_are_no_text_are_shown_and_characters_are_not_cut(both: Both) -> None:
    both.begin(1)
    both.printed.begin_run(1)
    os.write(both.parent.fds[0], "é".encode()[:1])
    both.parent.look()
    os.write(both.parent.fds[0], "é".encode()[1:] + b"\xff\n")
    both.printed.ended(0, 0.0)
    both.parent.end(is_dead=False)
    assert both.texts() == {("t1", 0): "é\\xff\n"}


def test_a_flood_gives_its_memory_back_and_its_end_is_kept(both: Both) -> None:
    both.begin(1)
    both.printed.begin_run(1)
    for number in range(40):
        both.out(f"{number:04}" * (1 << 18))
        both.parent.look()
    blocks = os.fstat(both.parent.fds[0]).st_blocks * 512
    assert blocks < 10 << 20
    both.printed.ended(0, 0.0)
    assert both.printed.last_of(0) == ("0039" * (KEPT // 4), ())
    assert sum(len(part.text) for _, part in both.parts) == 40 << 20


def test_of_many_marks_the_last_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with marks_file() as file:
        marks = Marks(file.fileno())
        for number in range(output_marks._ROOM + 10):
            marks.end(call_of(1, number % 4096), number, 0)
        assert marks.count == output_marks._ROOM + 10
        found = list(marks.between(0, marks.count))
        assert len(found) == output_marks._ROOM - 1
        number, mark = found[-1]
        assert number == marks.count - 1
        assert run_and_place(mark.call) == (1, number % 4096)
        marks.close()


def test_a_call_that_writes_over_the_marks_does_not_have_the_parent_read_for_ever() -> None:
    with marks_file() as file:
        marks = Marks(file.fileno())
        os.pwrite(file.fileno(), b"\xff" * 100, 0)
        assert len(list(marks.between(0, marks.count))) <= output_marks._ROOM
        marks.close()


def test_the_last_bytes_of_several_spans() -> None:
    found = spans([(0, 0), (10, 0), (10, 5)])
    assert found == [(0, 0, 10), (1, 0, 5)]
    assert last(found, 8) == [(0, 7, 10), (1, 0, 5)]
    assert last(found, 3) == [(1, 2, 5)]


def test_many_silent_calls_are_not_looked_at_but_what_python_prints_is_seen(both: Both) -> None:
    both.begin(1)
    for place in range(100):
        both.call(1, place)
    both.printed.has_written = True  # as a stream of Python says
    both.call(1, 100, "here\n")
    both.call(1, 101)
    both.parent.end(is_dead=False)
    assert both.texts() == {("t1", 100): "here\n"}


def test_calls_that_write_without_python_are_all_looked_at(both: Both) -> None:
    both.begin(1)
    for place in range(200):
        both.call(1, place, f"{place}\n" if place % 3 == 0 else "")
    both.parent.end(is_dead=False)
    assert both.texts() == {("t1", place): f"{place}\n" for place in range(0, 200, 3)}


def test_what_is_said_between_the_end_of_a_call_and_its_answer_is_given_on(both: Both) -> None:
    both.begin(1)
    both.call(1, 0)
    both.printed.has_written = True  # as a stream says
    both.out("late\n")
    both.printed.end_run()
    both.parent.end(is_dead=False)
    assert both.texts() == {("t1", 0): "late\n"}
