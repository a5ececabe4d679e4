"""What an executor prints, as its parent reads it: whose it is, and the end of it for errors.

::

    files  ── look, now and then ──► parts, each of one call and stream ──► whoever shows them
    marks ─┘                    └──► the last of the present call, for the error if it dies

Nobody is woken by what is printed. While a run goes on somebody calls `Output.look` a few times a
second, and once when it has ended; what a flood prints faster than it is read is left out.
"""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.executor.output_files import (
    ERR,
    KEPT,
    NAMES,
    OUT,
    Ends,
    OutputFiles,
    Span,
    ends,
    last,
    pieces,
    read,
    spans,
)
from pymonik.executor.output_marks import MOST_BOARD, Marks, call_of, marks_file, run_and_place
from pymonik.wire.live import EARLIER

if TYPE_CHECKING:
    from pymonik.executor.frames import Run
    from pymonik.wire.streams import Piece

FIRST_LOOK_S: Final = 0.05  # after the start of a run: shorter calls are looked at when they end
_NEXT_LOOKS_S: Final = (0.1, 0.25)  # after something was printed, and after nothing was
_PORTION: Final = 256 * 1024  # bytes that are read, decoded and given on together
_MOST_PARTS: Final = 4096  # parts that are given on together: one line each, say
# Bytes between two looks. Of more, only the last are read: a call that floods its output would keep
# the thread that reads, and with it the run, behind for ever.
_MOST_BEHIND: Final = 64 * 1024 * 1024
_EMPTY_FROM: Final = 1 << 20  # bytes above which the files are emptied when the executor is idle


class Part(NamedTuple):
    """Something that a call printed.

    Attributes:
        place: Of the call in its run; `EARLIER` for one of a run before.
        stream: ``"stdout"`` or ``"stderr"``.
        text: Bytes that are no text are shown as escapes.
    """

    place: int
    stream: str
    text: str


OnOutput = Callable[["Run", Sequence[Part]], object]
"""Is told what a run has printed; in the thread that waits for the run."""


class Output:
    """The output of one executor.

    Args:
        on_output: Who wants it.
    """

    def __init__(self, on_output: OnOutput | None) -> None:
        self._on_output = on_output
        self._run: Run | None = None
        self._number = 0  # of the run
        self._read_to: Ends = (0, 0)  # positions in both files up to which all was given on
        self._seen = 0  # marks whose text was given on
        self._owner = 0  # the call whose text was read last
        self._begins: Ends = (0, 0)  # where that text began
        self._first_mark = 0  # of the run
        self._run_begins: Ends = (0, 0)
        self._decoders = _decoders()
        self._is_in_line = [False, False]  # of the owner: the end of a line has not come
        self._has_text = False  # of the owner, that `_finish_texts` may have to end
        self._parts: list[Part] = []  # to be given on
        self._board = b""
        with contextlib.ExitStack() as opened:
            self._files = OutputFiles()
            opened.callback(self._files.close)
            self._marks_file = opened.enter_context(marks_file())
            self._marks = Marks(self._marks_file.fileno())
            opened.pop_all()

    @property
    def fds(self) -> tuple[int, int]:
        """What the executor has for its standard output and standard error."""
        return self._files.fds

    @property
    def is_sending(self) -> bool:
        """Whether the executor says that spans of its calls are leaving."""
        return self._marks.is_sending

    @property
    def marks_fd(self) -> int:
        """The file of the marks."""
        return self._marks_file.fileno()

    def write_board(self, data: bytes) -> None:
        """Show the executor what the program tells its running tasks."""
        if data != self._board and len(data) <= MOST_BOARD:
            self._board = data
            self._marks.write_board(data)

    def close(self) -> None:
        """Free what belongs to it."""
        self._files.close()
        self._marks.close()
        self._marks_file.close()

    # -- reading ---------------------------------------------------------------------------------

    def begin(self, run: Run, number: int, *, is_idle: bool) -> None:
        """A run begins, or has begun.

        Args:
            run: The run.
            number: As the executor counts runs.
            is_idle: Whether the executor has nothing to do until it hears of this run.
        """
        self._run, self._number = run, number
        if is_idle:
            self._look(number - 1, is_over=True)
            self._pass_on()
            # Only while the executor is idle: one that prints would write behind the hole between
            # the two steps.
            if sum(self._read_to) > _EMPTY_FROM:
                self._files.empty()
                self._read_to = (0, 0)
        self._first_mark, self._run_begins = self._seen, self._read_to

    def look(self, *, is_dead: bool = False) -> float:
        """Read what was printed; seconds until the next look.

        Args:
            is_dead: The executor has ended: all that is there belongs to this run.
        """
        before = self._read_to
        self._look(self._number, is_over=is_dead)
        self._pass_on()
        return _NEXT_LOOKS_S[self._read_to == before]

    def _look(self, run: int, *, is_over: bool) -> None:
        """Read what is of this run, or of earlier ones.

        Args:
            run: Its number.
            is_over: Whether what follows the last mark is of the call that ran last.
        """
        running = self._marks.running  # before the marks: a call that ends now has one
        # Both are read after `running`, and compared with it again below: a call that ends in
        # between has left a mark, and its text must not count for the call that follows.
        count, found = self._marks.count, self._now()
        points = [self._read_to]
        for number, mark in self._marks.between(self._seen, count):
            if mark.call and run_and_place(mark.call)[0] > run:
                return  # of a run that was sent ahead
            points.append((mark.out, mark.err))
            if mark.call:
                self._give(mark.call, points)
                points = [self._read_to]
                self._seen = number + 1
        is_its = running == self._marks.running and self._marks.count == count
        if is_over or (is_its and run_and_place(running)[0] == run):
            self._give(running or call_of(run, 0), [*points, found])
            self._seen = count

    def _now(self) -> Ends:
        out, err = ends(self.fds)
        before = self._read_to
        # Emptied by something that opened it anew: what is there now begins at 0.
        self._read_to = (min(out, before[OUT]), min(err, before[ERR]))
        return out, err

    # -- giving on -------------------------------------------------------------------------------

    def _give(self, owner: int, points: list[Ends]) -> None:
        if owner != self._owner:
            self._finish_texts()
            self._owner, self._begins = owner, points[0]
        self._read_to = points[-1]
        parts = spans(points)
        if not parts or self._on_output is None or self._run is None:
            self._files.release(self._read_to)
            return
        self._has_text = True
        left_out = sum(end - start for _, start, end in parts) - _MOST_BEHIND
        if left_out > 0:
            parts = last(parts, _MOST_BEHIND)
            self._add(OUT, f"[{left_out} bytes were printed faster than they can be read]\n")
        for stream, start, end in parts:
            for first in range(start, end, _PORTION):
                data = read(self.fds, (stream, first, min(first + _PORTION, end)))
                self._add(stream, self._decoders[stream].decode(data))
        self._files.release(self._read_to)

    def _add(self, stream: int, text: str) -> None:
        if not text:
            return
        run, place = run_and_place(self._owner)
        self._is_in_line[stream] = text[-1] != "\n"
        self._parts.append(Part(place if run == self._number else EARLIER, NAMES[stream], text))
        if len(text) >= _PORTION or len(self._parts) >= _MOST_PARTS:
            self._pass_on()

    def _pass_on(self) -> None:
        parts, self._parts = self._parts, []
        if parts and self._on_output is not None and self._run is not None:
            self._on_output(self._run, parts)

    def _finish_texts(self) -> None:
        """End the text of a call: its last lines, and bytes that need others to be a character."""
        if not self._has_text:
            return
        self._has_text = False
        for stream in (OUT, ERR):
            self._add(stream, self._decoders[stream].decode(b"", final=True))
            if self._is_in_line[stream]:
                self._add(stream, "\n")

    def end(self, *, is_dead: bool) -> None:
        """The run has ended: give on what it has printed."""
        if not is_dead and self._has_nothing():  # as after most calls
            self._run = None
            return
        self._look(self._number, is_over=is_dead)
        self._finish_texts()
        self._pass_on()
        self._run = None  # an executor may be idle for long

    def _has_nothing(self) -> bool:
        """Whether nothing was printed since the last look, and all that was is given on.

        The executor leaves a mark where the call has printed anything. To ask the system for the
        sizes of the files would give the interpreter lock away twice for each task, which costs
        a busy cluster more than all that stands here.
        """
        return self._marks.count == self._seen and not self._has_text

    # -- when the executor died ------------------------------------------------------------------

    def last_lines(self, stream: str) -> str:
        """The last lines that the present call has printed."""
        from pymonik.executor.last_words import last_words  # few executors die

        number = NAMES.index(stream)
        parts = [span for span in self._of_present() if span[0] == number]
        data = b"".join(read(self.fds, span) for span in last(parts, KEPT // 4))
        return last_words(_text(data))

    def last_of_present(self) -> tuple[str, tuple[int, ...]]:
        """The last that the present call has printed, and its turns: `pymonik.wire.streams`."""
        from pymonik.wire.streams import as_text  # few executors die

        return as_text(pieces(self.fds, self._of_present()))

    def _of_present(self) -> list[Span]:
        if self._owner != (self._marks.running or call_of(self._number, 0)):
            return []
        return spans([self._begins, self._read_to])

    def of_calls(self, calls: int) -> list[list[Piece]]:
        """The last that each of the first calls of the run has printed."""
        from pymonik.wire.streams import joined, last_of  # few executors die

        kept: list[list[Piece]] = [[] for _ in range(calls)]
        points = [self._run_begins]
        for _, mark in self._marks.between(self._first_mark, self._seen):
            points.append((mark.out, mark.err))
            run, place = run_and_place(mark.call)
            if mark.call and run == self._number and place < calls:
                # Calls that run at the same time have a mark for each of their lines.
                said = pieces(self.fds, spans(points))
                kept[place] = last_of([*kept[place], *said], KEPT)
            if mark.call:
                points = points[-1:]
        # Memory that was given back reads as zeros.
        return [joined((stream, data.lstrip(b"\0")) for stream, data in one) for one in kept]


def _decoders() -> list[codecs.IncrementalDecoder]:
    return [codecs.getincrementaldecoder("utf-8")("backslashreplace") for _ in NAMES]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
