"""The lines of a traceback as data: files, positions, source, and reprs of variables."""

from __future__ import annotations

import linecache
import types
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from pymonik.code.short_reprs import readable
from pymonik.code.sources import OWN_FOLDER
from pymonik.wire.failure import Frame
from pymonik.wire.traceback_text import FIRST_FRAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymonik.code.short_reprs import ShortReprs

_LAST_FRAMES: Final = 40  # of a deep traceback, behind the first ones
_FRAMES_WITH_LOCALS: Final = 20  # the innermost
_MOST_LOCALS: Final = 50  # variables of a frame
_MOST_LINES: Final = 10  # of one statement


def frames_of(
    trace: types.TracebackType | None, reprs: ShortReprs | None
) -> tuple[tuple[Frame, ...], int]:
    """The frames of ``trace``, the outermost first; and how many are left out in the middle.

    Frames of pymonik itself are not among them, unless there are no others.

    Args:
        trace: Of an exception.
        reprs: Makes those of the variables; ``None`` leaves them out.
    """
    every = list(_chain(trace))
    own = [one for one in every if not one.tb_frame.f_code.co_filename.startswith(OWN_FOLDER)]
    shown = own or every
    left_out = max(0, len(shown) - FIRST_FRAMES - _LAST_FRAMES)
    if left_out:
        shown = shown[:FIRST_FRAMES] + shown[-_LAST_FRAMES:]
    first_with_locals = len(shown) - _FRAMES_WITH_LOCALS
    frames = [
        _frame(one, reprs if index >= first_with_locals else None)
        for index, one in enumerate(shown)
    ]
    return tuple(frames), left_out


def _chain(trace: types.TracebackType | None) -> Iterator[types.TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _frame(trace: types.TracebackType, reprs: ShortReprs | None) -> Frame:
    code = trace.tb_frame.f_code
    line, end_line, column, end_column = _position(code, trace)
    return Frame(
        readable(code.co_filename),
        line,
        readable(code.co_name),
        _source(trace, line, end_line),
        end_line,
        column,
        end_column,
        {} if reprs is None else _locals(trace.tb_frame, reprs),
        code.co_firstlineno,
    )


def _position(code: types.CodeType, trace: types.TracebackType) -> tuple[int, int, int, int]:
    """First and last line, and the columns; Python 3.10 knows the first line only."""
    line = trace.tb_lineno or 0
    positions = getattr(code, "co_positions", None)
    if positions is not None:
        found: Any = next(islice(positions(), trace.tb_lasti // 2, None), None)
        if found is not None and found[0] == line and None not in found:
            return cast("tuple[int, int, int, int]", found)
    return line, line, -1, -1


def _source(trace: types.TracebackType, line: int, end_line: int) -> str:
    if not line:
        return ""
    frame = trace.tb_frame
    file = frame.f_code.co_filename
    try:
        linecache.checkcache(file)  # a file may have been edited since
        numbers = range(line, min(end_line, line + _MOST_LINES - 1) + 1)
        lines = [linecache.getline(file, number, frame.f_globals) for number in numbers]
    except Exception:  # noqa: BLE001 - a loader of the user's, or a file that is not text
        return ""
    return readable("".join(lines).rstrip("\n"))


def _locals(frame: types.FrameType, reprs: ShortReprs) -> dict[str, str]:
    """The local variables of a frame as texts, without what a reader knows from the source."""
    found: dict[str, str] = {}
    for name, value in list(frame.f_locals.items()):
        if len(found) >= _MOST_LOCALS:
            break
        if type(name) is str and not name.startswith("__") and type(value) not in _KNOWN:
            found[readable(name)] = reprs.of(value)
    return found


_KNOWN = frozenset(
    {types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, type}
)
