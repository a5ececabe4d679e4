"""Lines of what tasks print, and how many of them a person is shown."""

from __future__ import annotations

import time

import pytest

from pymonik.errors import UsageError
from pymonik.runs import output
from pymonik.runs.output import Output, OutputLine, shown
from pymonik.runs.output_lines import Lines
from pymonik.wire.live import LogEntry


def test_lines_come_when_they_are_whole() -> None:
    lines = Lines()
    assert lines.add("a", "one\ntw") == ["one"]
    assert lines.add("b", "other\n") == ["other"]
    assert lines.add("a", "o\n\n") == ["two", ""]


def test_a_bar_that_draws_itself_anew_leaves_what_it_shows_last() -> None:
    lines = Lines()
    for percent in range(100):
        assert lines.add("bar", f"\r{percent}%") == []
    assert lines.add("bar", "\r100%\n") == ["100%"]
    assert lines.add("windows", "text\r") == []
    assert lines.add("windows", "\nmore\r\n") == ["text", "more"]


def test_bars_below_a_bar_leave_nothing() -> None:
    lines = Lines()
    for outer in range(3):
        assert lines.add("bars", f"\router {outer}") == []
        for inner in range(50):
            assert lines.add("bars", f"\n\rinner {inner}\x1b[A") == []
        assert lines.add("bars", "\n\n\rdeep\x1b[A\x1b[A") == []
    assert lines.add("bars", "\router 3\n") == ["outer 3"]
    assert lines.add("late", "above\n") == ["above"]  # a look came between the two
    assert lines.add("late", "\rinner\x1b[A\rabove, again\n") == ["above, again"]


def test_a_line_without_an_end_is_cut_and_takes_no_memory() -> None:
    lines = Lines()
    pieces = [line for _ in range(10) for line in lines.add("long", "x" * 50_000)]
    assert sum(map(len, pieces)) + sum(map(len, lines._begun.values())) == 500_000
    assert max(map(len, pieces)) < 200_000


def entry(text: str, index: int = -1) -> LogEntry:
    return LogEntry("f", text, index=index)


def test_a_person_is_shown_so_many_lines_of_a_second_and_told_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    lines: list[OutputLine] = []
    showing = Output(lines.append, lambda: True)
    showing.add("task", entry("x\n" * 1000, 7))
    assert len(lines) == output._MOST_LINES
    showing.pause()
    assert str(lines[-1]).startswith("[f 7] … 800 more lines")
    showing.pause()
    assert len(lines) == output._MOST_LINES + 1


def test_into_a_file_goes_every_line() -> None:
    lines: list[OutputLine] = []
    Output(lines.append).add("task", entry("x\n" * 100_000))
    assert len(lines) == 100_000
    assert str(lines[0]) == "[f] x"


def test_a_function_that_fails_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def fail(line: OutputLine) -> None:
        raise ValueError(line.text)

    showing = shown(fail)
    assert showing is not None
    showing.add("task", entry("a\nb\nc\n"))
    assert len(caplog.records) == 1


def test_what_is_no_way_to_show_output_is_refused() -> None:
    with pytest.raises(UsageError, match="'live', 'quiet' or a function"):
        shown("loud")  # type: ignore[arg-type]
    assert shown("quiet") is None
