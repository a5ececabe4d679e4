"""The last lines that a dead executor has printed, as its user needs them.

A crash in C makes `faulthandler` print a stack, the latest call first. Its lower half is ours, and
what C said about the crash stands above it: neither must push the other out of sight.
"""

from __future__ import annotations

import os
from typing import Final

_LINES: Final = 20  # lines that the failure of a lost executor shows
_BEFORE: Final = 5  # lines above the beginning of a crash: what C said
_CRASH: Final = "Fatal Python error: "
_STACK: Final = ("Thread 0x", "Current thread 0x")
_HIDDEN: Final = (
    "Extension modules: ",
    f'  File "{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}{os.sep}',  # noqa: PTH100, PTH120 - as texts
    '  File "<frozen runpy>"',
)


def last_words(text: str) -> str:
    """The end of it, or the crash that it tells of; without lines of pymonik."""
    lines = _without_ours(text.splitlines())
    crashes = [place for place, line in enumerate(lines) if line.startswith(_CRASH)]
    if crashes:
        return "\n".join(lines[max(0, crashes[-1] - _BEFORE) :][:_LINES])
    return "\n".join(lines[-_LINES:])


def _without_ours(lines: list[str]) -> list[str]:
    kept: list[str] = []
    for line in lines:
        if line.startswith(_HIDDEN) and ", in " not in line:  # as in tracebacks of Python
            continue
        if (not line or line.startswith(_STACK)) and kept and kept[-1].startswith(_STACK):
            kept.pop()  # of a thread with no line of the user
        if line or not kept or kept[-1]:  # no two empty lines that something stood between
            kept.append(line)
    while kept and (not kept[-1] or kept[-1].startswith(_STACK)):
        kept.pop()
    return kept
