"""What a dead executor has printed is told from its end, or from its crash."""

from __future__ import annotations

from pathlib import Path

import pymonik
from pymonik.executor.last_words import last_words

OURS = f'  File "{Path(pymonik.__file__).parent}/executor/run.py", line 1 in _call'
STACK = "Current thread 0x01 (most recent call first):"


def test_the_end_of_what_was_printed() -> None:
    text = "\n".join(map(str, range(30)))
    assert last_words(text).splitlines() == list(map(str, range(10, 30)))
    assert last_words("") == ""


def test_a_crash_is_told_from_what_c_has_said_on() -> None:
    calls = [f'  File "mine.py", line {number} in f' for number in range(100)]
    lines = ["much"] * 30 + [
        "assertion failed",
        "Fatal Python error: Aborted",
        "",
        STACK,
        *calls,
        OURS,
    ]
    told = last_words("\n".join([*lines, "", "Extension modules: x (total: 1)"])).splitlines()
    assert told[:8] == [*["much"] * 4, "assertion failed", "Fatal Python error: Aborted", "", STACK]
    assert told[8:] == calls[:12]


def test_threads_without_a_line_of_the_user_are_left_out() -> None:
    thread = "Thread 0x02 (most recent call first):"
    lines = [
        "Fatal Python error: Aborted",
        "",
        thread,
        OURS,
        "",
        STACK,
        '  File "mine.py", line 2 in f',
    ]
    assert last_words("\n".join(lines)).splitlines() == [lines[0], "", STACK, lines[-1]]
