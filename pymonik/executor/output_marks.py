"""Marks of who printed what, in memory that an executor shares with its parent.

::

    executor                                     parent, now and then
    running = (run 7, call 3)
    mark: out 120, err 0, a turn                 everything up to out 120 belongs to the call of the
    mark: out 120, err 80, end of (7, 3)         next mark of an end; what follows the last mark to
    running = (run 7, call 4)                    the call that runs, if none has ended meanwhile

Positions are bytes since the files began. A turn is where Python's streams change from one to the
other: between two turns only one of them was written to, so that both can be put in order. Calls
that print nothing leave no mark. Each mark is complete before the number of marks says that it is
there; of more than `_ROOM` marks between two looks the first are lost, with them the knowledge
whose their text was: it is then the next call's.

Behind the marks stands the *board*: what the program tells its running tasks. Between them is one
number by which the executor says that spans of its calls are leaving.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.executor.nameless import SharedNumbers, nameless_file
from pymonik.wire.call import MOST_CALLS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

# Places of 8 bytes: the number of marks so far, the call that runs, the first number of the first
# mark.
_COUNT, _RUNNING, _FIRST = 0, 1, 2
# Marks in the ring, three numbers each (384 KiB). The kernel adds its pages when they are first
# written, so executors that print little have little of it.
_ROOM: Final = 1 << 14
_VERSION: Final = (
    _FIRST + 3 * _ROOM
)  # place of the version of the board, and of its size behind that
_SENDING: Final = _VERSION + 2  # place of a number that is 1 while spans are leaving
_BOARD: Final = 8 * (_SENDING + 1)  # where it begins, in bytes
MOST_BOARD: Final = 64 * 1024  # bytes of a board; a larger one is not shown to running tasks
_BYTES: Final = _BOARD + MOST_BOARD
_TURN: Final = 0  # stands in a mark instead of a call, whose numbers begin at 1 * MOST_CALLS
# Bytes: no position in a file is as large. A mark with a larger one was overwritten by user code.
_FARTHEST: Final = 1 << 48


class Mark(NamedTuple):
    """A boundary in what was printed.

    Attributes:
        call: The call that has ended there, see `call_of`; 0 for a turn.
        out: Position in what was written to standard output.
        err: The same of standard error.
    """

    call: int
    out: int
    err: int


def call_of(run: int, place: int) -> int:
    """A number for a call: its run, as executor and parent count them from 1, and its place."""
    return run * MOST_CALLS + place


def run_and_place(call: int) -> tuple[int, int]:
    """The inverse of `call_of`."""
    return divmod(call, MOST_CALLS)


class Marks(SharedNumbers):
    """One side of the marks.

    Args:
        fd: Of the file that `marks_file` made; it may be closed after that.
    """

    def __init__(self, fd: int) -> None:
        super().__init__(fd, _BYTES)

    # The executor's side.

    def begin(self, call: int) -> None:
        """A call runs."""
        self._places[_RUNNING] = call

    def end(self, call: int, out: int, err: int) -> None:
        """What a call printed ends here."""
        places = self._places
        count = places[_COUNT]
        place = _FIRST + 3 * (count % _ROOM)
        places[place], places[place + 1], places[place + 2] = call, out, err
        places[_COUNT] = count + 1  # last: see the top of this module

    def turn(self, out: int, err: int) -> None:
        """From here on the other stream is written to."""
        self.end(_TURN, out, err)

    def send(self, *, is_sending: bool) -> None:
        """Say whether spans of calls are leaving."""
        self._places[_SENDING] = is_sending

    @property
    def board_version(self) -> int:
        """Changes when the parent has written to the board."""
        return self._places[_VERSION]

    def board(self) -> bytes:
        """What stands on the board."""
        while True:
            version = self._places[_VERSION]
            data = self._mapping[_BOARD : _BOARD + self._places[_VERSION + 1]]
            # An odd version says that the parent is writing; another one than before the copy, that
            # it has written meanwhile. In both cases the copy may be half old and half new.
            if version % 2 == 0 and version == self._places[_VERSION]:
                return data

    # The parent's side.

    @property
    def is_sending(self) -> bool:
        """Whether spans are leaving, which a kill would lose."""
        return bool(self._places[_SENDING])

    def write_board(self, data: bytes) -> None:
        """Have this stand on the board."""
        # Odd from here on, even after the data are whole: see `board`.
        self._places[_VERSION] += 1
        self._places[_VERSION + 1] = len(data)
        self._mapping[_BOARD : _BOARD + len(data)] = data
        self._places[_VERSION] += 1

    @property
    def running(self) -> int:
        """The call that runs."""
        return self._places[_RUNNING]

    @property
    def count(self) -> int:
        """How many marks there were."""
        return self._places[_COUNT]

    def between(self, first: int, end: int) -> Iterator[tuple[int, Mark]]:
        """Marks with their numbers, without those that others have taken the place of.

        Never more than there is room for, and none at a place that no file has: a call that
        writes to every descriptor writes over the marks too, since the mapping keeps its file open.
        """
        for number in range(max(first, end - _ROOM), end):
            place = _FIRST + 3 * (number % _ROOM)
            found = Mark(*self._places[place : place + 3])
            # The last mark is left out: the executor may just be writing it.
            if self.count - number < _ROOM and max(found.out, found.err) < _FARTHEST:
                yield number, found


def marks_file() -> IO[bytes]:
    """A new file for them, without a name."""
    return nameless_file("marks", _BYTES)
