"""Frames of another process as a real traceback of this one.

Python prints a traceback with source and carets, debuggers step into its frames, pytest and
IPython show it: all of them ask real frame objects. So for each frame a tiny module is compiled
that raises at the same place of the same file, in a function of the same name, and it is run.
(tblib does the same; it knows no columns, and its frames hold on to those of whoever made them.)
"""

from __future__ import annotations

import ast
import linecache
import sys
import types
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import CodeType, TracebackType

    from pymonik.wire.failure import Frame

# Names among the globals of a made frame: that it is one, the exception that it raises, and the
# generator that has to stay suspended as long as the frame lives.
_MARK: Final = "__pymonik_remote__"
_RAISED: Final = "__pymonik_raised__"
_MAKER: Final = "__pymonik_maker__"
_MOST_FILES: Final = 512  # files in `linecache` up to which lines of frames are added to it


class RemoteValue:
    """Stands for a local variable of another process: prints as it did there."""

    __slots__ = ("_shown",)

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __repr__(self) -> str:
        return self._shown


class _MadeError(Exception):
    """Raised where a frame is wanted."""


def traceback_of(frames: Sequence[Frame]) -> TracebackType | None:
    """The frames as a traceback, the outermost first."""
    trace: TracebackType | None = None
    for frame in reversed(frames):
        made = _made(frame)
        if made is not None:
            made.tb_next = trace
            trace = made
    return trace


def remote_part(trace: TracebackType | None) -> TracebackType | None:
    """What `traceback_of` made of a traceback to which frames of this process were added."""
    while trace is not None and _MARK not in trace.tb_frame.f_globals:
        trace = trace.tb_next
    return trace


def _made(frame: Frame) -> TracebackType | None:
    begins = (frame.file, frame.name, frame.first_line)
    try:
        code = _code(*begins, frame.line, frame.end_line, frame.column, frame.end_column)
    except (ValueError, SyntaxError, OverflowError):  # a position that no source has
        code = _code(frame.file, frame.name, 1, max(1, min(frame.line, 1 << 20)), 0, -1, -1)
    _keep_source(frame)
    maker = _run(code, frame.locals)
    trace = next(maker, None)
    if trace is not None:
        trace.tb_frame.f_globals[_MAKER] = maker
    return trace


def _run(code: CodeType, shown: Mapping[str, str]) -> Iterator[TracebackType]:
    """Run the code.

    A generator: while it is suspended, its frame refers to no frame that called it. Those would be
    kept with everything in them, for as long as the exception is. It stays suspended as long as the
    frame that it made: from Python 3.12 on, the frame of one that has ended keeps its last caller.
    """
    scope: dict[str, Any] = {"__name__": "", "__file__": code.co_filename, _MARK: True}
    scope[_RAISED] = _MadeError
    values = {name: RemoteValue(text) for name, text in shown.items()}
    try:
        exec(code, scope, values)
    except _MadeError as error:
        for name in values.keys() - shown.keys():  # Python's own names at the start of a class body
            del values[name]
        trace = error.__traceback__
        error.__traceback__ = None
        if trace is not None and trace.tb_next is not None:
            yield trace.tb_next


@lru_cache(maxsize=2048)
def _code(
    file: str,
    name: str,
    first_line: int,
    line: int,
    end_line: int,
    column: int,
    end_column: int,
) -> CodeType:
    """Code of the name that raises at a place, in something that begins at ``first_line``.

    IPython shows the lines from there on, and debuggers do. The body of a class is what has both:
    its code says where it begins, and its variables are those of a mapping.
    """
    has_columns = column >= 0 and end_line >= line and sys.version_info >= (3, 11)
    place = {
        "lineno": max(1, line),
        "end_lineno": end_line if has_columns else max(1, line),
        "col_offset": column if has_columns else 0,
        "end_col_offset": end_column if has_columns else 0,
    }
    raising = ast.Raise(exc=ast.Name(id=_RAISED, ctx=ast.Load(), **place), cause=None, **place)
    around: Any = ast.parse("class _: ...").body[0]
    around.lineno = around.end_lineno = max(1, min(first_line, line))
    around.body = [raising]
    module = compile(ast.Module(body=[around], type_ignores=[]), file, "exec")
    code = next(one for one in module.co_consts if isinstance(one, types.CodeType))
    names = {"co_name": name}
    if sys.version_info >= (3, 11):
        names["co_qualname"] = name
    return code.replace(**names)  # type: ignore[arg-type]


def _keep_source(frame: Frame) -> None:
    """Have Python print the line of a file that is not here, or not with this line."""
    if not frame.source or not frame.line or not _is_missing(frame):
        return
    known = linecache.cache.get(frame.file)
    lines = list(known[2]) if known is not None and len(known) == 4 else []
    ours = frame.source.split("\n")
    missing = frame.line - 1 + len(ours) - len(lines)
    lines += ["\n"] * max(0, missing)
    lines[frame.line - 1 : frame.line - 1 + len(ours)] = [f"{text}\n" for text in ours]
    if len(linecache.cache) > _MOST_FILES and frame.file not in linecache.cache:
        return
    # Without a time of change, `linecache.checkcache` keeps the lines.
    linecache.cache[frame.file] = (sum(map(len, lines)), None, lines, frame.file)


def _is_missing(frame: Frame) -> bool:
    if linecache.getline(frame.file, frame.line).rstrip("\n") == frame.source.partition("\n")[0]:
        return False
    return not Path(frame.file).is_file()
