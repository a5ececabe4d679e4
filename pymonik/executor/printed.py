"""What calls print, as the executor sees it: where each call's part ends, and the last of it.

C code has a buffer of its own for standard output, which Python does not flush: `flush_c` does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING, Final

from pymonik.executor.output_files import ERR, KEPT, OUT, Ends, ends, pieces, spans
from pymonik.executor.output_marks import call_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.executor.output_marks import Marks
    from pymonik.wire.streams import Piece

# Bytes of all calls of a task that go into its result; calls past it have a size, but no text.
_MOST_OF_CHUNK: Final = 16 * 1024 * 1024
_MOST_TURNS: Final = 1024  # of one call; the order of what came before them is lost
# The first calls of a run, and calls that take longer (seconds), are followed by a look at the
# sizes of the files. Others are only if a stream of Python was written to: see `Printed.ended`.
_FIRST: Final = 64
_TINY_S: Final = 0.00002
# Seconds: a shorter call starts no process, and only another process can have emptied a file and
# filled it to the same size.
_NO_TIME_S: Final = 0.001


class Printed:
    """What the calls of this executor print.

    Args:
        fds: Of the two files.
        marks: Where the parent learns whose it is.
    """

    def __init__(self, fds: tuple[int, int], marks: Marks) -> None:
        self._fds = fds
        self._marks = marks
        self._base = 0  # `call_of` the first call of the run; the others follow it
        self.place = 0  # of the running call in its run
        self._last = 0  # the call that ended last, to which belongs what threads print between runs
        self.has_written = False  # whether a stream of Python was written to since the last look
        # Whether calls of this run write past Python, as C code or children do.
        self._is_raw = False
        self._ends: Ends = ends(fds)
        self._changed = _changed(
            fds
        )  # times of the last change of both files, when `_ends` was read
        self._turns: list[Ends] = []
        self._kept: dict[int, list[Piece]] = {}
        self._sizes: dict[int, int] = {}
        self._nbytes = 0
        self._is_ours = True
        # A forked child has the marks mapped too; marks of its own would give its text to the wrong
        # call.
        os.register_at_fork(after_in_child=self._disown)

    def _disown(self) -> None:
        self._is_ours = False

    def begin_run(self, number: int) -> None:
        """The first call of a run begins: what came since the last one ended is the last one's."""
        self._kept, self._sizes, self._nbytes = {}, {}, 0
        self._is_raw = False
        self._base = call_of(number, 0)
        self.place = 0
        self._note_late(self._look())
        self._marks.begin(self._base)

    def end_run(self) -> None:
        """The answer is about to leave: what a thread has said since the call ended goes with it.

        The parent looks where there is a mark; else this would wait for the next run.
        """
        if self.has_written:
            self._note_late(self._look())

    def _note_late(self, found: Ends) -> None:
        """What came since the last call ended is that call's."""
        if found != self._ends or self._turns:
            self._turns.clear()
            self._note(found)
            self._marks.end(self._last, *found)
        self.has_written = False

    def turn(self) -> None:
        """Note that Python is about to write to its other stream."""
        if self._is_ours:
            if len(self._turns) >= _MOST_TURNS:
                self._turns.clear()
            found = self._look()
            self._turns.append(found)
            self._marks.turn(*found)

    def ended(self, place: int, seconds: float) -> None:
        """A call has ended, and its streams are flushed; the next one of the run begins.

        Asking for the sizes of the files takes a tenth of what the shortest calls do. So they are
        not asked for after one that has written nothing by Python's streams, if the first calls of
        its run have not written in another way either.

        Args:
            place: Of the call in its run.
            seconds: How long it took.
        """
        call = self._base + place
        if self.has_written or self._is_raw or place < _FIRST or seconds >= _TINY_S:
            self._look_at(call, place, seconds)
        self._last = call
        self.place = place + 1
        self._marks.begin(call + 1)

    def said(self, place: int) -> None:
        """A call has written whole lines, and goes on beside others."""
        if self._is_ours:
            found = self._look()
            if found != self._ends:
                self._keep(self._base + place, place, found)
            self.has_written = False

    def _look_at(self, call: int, place: int, seconds: float) -> None:
        found = self._look()
        if found != self._ends:
            self._is_raw = self._is_raw or not self.has_written
            self._keep(call, place, found)
        elif seconds >= _NO_TIME_S and self._was_rewritten():  # by a process that it has started
            self._turns = [(0, 0)]
            self._marks.turn(0, 0)
            self._keep(call, place, found)
        self.has_written = False

    def _was_rewritten(self) -> bool:
        """Whether a file was emptied, and has as much in it as before."""
        try:
            out, err = _changed(self._fds)
        except OSError:
            return False
        return out > self._changed[OUT] or err > self._changed[ERR]

    def _note(self, found: Ends) -> None:
        self._ends = found
        with contextlib.suppress(OSError):
            self._changed = _changed(self._fds)

    def _look(self) -> Ends:
        try:
            return ends(self._fds)
        except OSError:  # the call has closed all descriptors: this executor is going to retire
            return self._ends

    def _keep(self, call: int, place: int, found: Ends) -> None:
        parts = spans([self._ends, *self._turns, found])
        self._turns.clear()
        self._note(found)
        self._marks.end(call, *found)
        if self._nbytes < _MOST_OF_CHUNK:
            kept = pieces(self._fds, parts)
            self._nbytes += sum(len(data) for _, data in kept)
            if place in self._kept:  # it runs beside others, or prints after its end
                from pymonik.wire.streams import last_of

                kept = last_of([*self._kept[place], *kept], KEPT)
            self._kept[place] = kept
        size = sum(end - start for _, start, end in parts)
        self._sizes[place] = self._sizes.get(place, 0) + size

    # -- of the present run ----------------------------------------------------------------------

    @property
    def is_something(self) -> bool:
        """Whether its calls have printed anything."""
        return bool(self._sizes)

    def last_of(self, place: int) -> tuple[str, tuple[int, ...]]:
        """The last that a call has printed, and its turns: see `pymonik.wire.streams`."""
        from pymonik.wire.streams import as_text  # most calls print nothing

        return as_text(self._kept.get(place, ()))

    def columns(self, calls: int) -> tuple[list[list[Piece]], list[int]]:
        """What is kept of each of the first calls, and how many bytes each has printed."""
        places = range(calls)
        kept, sizes = self._kept, self._sizes
        return [kept.get(one, []) for one in places], [sizes.get(one, 0) for one in places]


def _changed(fds: tuple[int, int]) -> tuple[int, int]:
    """When each file was written to last."""
    return os.fstat(fds[0]).st_mtime_ns, os.fstat(fds[1]).st_mtime_ns


def _flusher_of_c() -> Callable[[], object]:
    """What flushes the standard output of C, and nothing else.

    Flushing all of its streams would wait for a thread that reads one.
    """
    libc = ctypes.CDLL(None)
    for name in ("stdout", "__stdoutp"):  # of Linux, of macOS
        try:
            stream = ctypes.c_void_p.in_dll(libc, name)
        except ValueError:
            continue
        return lambda: libc.fflush(stream)
    return lambda: None


flush_c = _flusher_of_c()
