"""A failure: what is known of an exception that ended a call, as data.

Exceptions refer to each other (cause, context, members of groups, attributes), and may do so in
circles: a `Failure` is a list of them, and a reference is a number in that list. Nothing here makes
or reads a pickle; see `pymonik.code.failure` and `pymonik.code.exceptions`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pymonik.wire.call import Origin
from pymonik.wire.command_lines import Ran

NONE: Final = -1  # a reference to no exception


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of a traceback.

    Attributes:
        file: As the user knows it.
        line: The first line of the statement, from 1; 0 where it is not known.
        name: Of the function.
        source: The lines from ``line`` to ``end_line``, as they stand in the file.
        column: Where the expression begins, in bytes of its line, from 0; -1 where unknown.
        end_column: Where it ends, in bytes of the last line.
        locals: The reprs of the local variables, shortened.
        first_line: Where the function begins, from 1; 0 where it is not known.
    """

    file: str
    line: int
    name: str
    source: str = ""
    end_line: int = 0
    column: int = -1
    end_column: int = -1
    locals: dict[str, str] = {}
    first_line: int = 0


class Piece(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One argument or attribute of an exception.

    Attributes:
        name: Of the attribute, ``""`` for an argument.
        blobs: Its pickle and the buffers of that; none if it cannot travel.
        shown: Its repr, which stands for it where it cannot be read.
        raised: It is this other exception.
    """

    name: str
    blobs: tuple[bytes, ...] = ()
    shown: str = ""
    raised: int = NONE


class Raised(msgspec.Struct, frozen=True, omit_defaults=True):
    """One exception.

    Attributes:
        module: Of its class.
        name: Qualified name of its class.
        text: What ``str`` gave in the task.
        kind: Pickle of the class; none for one of Python's own.
        whole: Pickle by the class's own ``__reduce__``, if that was tried and works.
        args: Its ``args``.
        attributes: What is in its ``__dict__``, without notes.
        slots: Values of ``__slots__`` and of the fields of Python's own classes.
        notes: As they are printed below the text.
        frames: Of its traceback, the outermost first.
        left_out: Frames between the first and the last ones of a deep traceback.
        cause: The number of its ``__cause__``, like the two that follow.
        members: Of an exception group.
    """

    module: str
    name: str
    text: str = ""
    kind: tuple[bytes, ...] = ()
    whole: tuple[bytes, ...] = ()
    args: tuple[Piece, ...] = ()
    attributes: tuple[Piece, ...] = ()
    slots: tuple[Piece, ...] = ()
    notes: tuple[str, ...] = ()
    frames: tuple[Frame, ...] = ()
    left_out: int = 0
    cause: int = NONE
    context: int = NONE
    suppress_context: bool = False
    members: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """The class as Python prints it."""
        plain = self.module in ("builtins", "__main__", "")
        return self.name if plain else f"{self.module}.{self.name}"

    @property
    def summary(self) -> str:
        """Class and text, as the last line of a traceback."""
        return f"{self.title}: {self.text}" if self.text else self.title


class Failure(msgspec.Struct, frozen=True, omit_defaults=True, tag="failure"):
    """Why a call has no value.

    Attributes:
        raised: The exception that ended the call, then those that it refers to.
        call: Function and arguments, shortened: ``simulate(mesh=17, dt=0.5)``.
        origin: Where it happened; ``None`` where the executor could not tell.
        seconds: How long the call had run.
        ran: How the command ended that was the call.
        output: The last that it has printed, where no result tells it: the call had no neighbours,
            or its executor died.
        peak_bytes: The most memory that the executor had meanwhile; 0 where nobody measured it.
        output_turns: Which part of ``output`` went to which stream; see `pymonik.wire.streams`.
    """

    raised: tuple[Raised, ...]
    call: str = ""
    origin: Origin | None = None
    seconds: float = 0.0
    ran: Ran | None = None
    output: str = ""
    peak_bytes: int = 0
    output_turns: tuple[int, ...] = ()

    @property
    def summary(self) -> str:
        """Class and text of the exception that ended the call."""
        return self.raised[0].summary


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Failure).decode


def follows(failure: Failure, raised: Raised) -> int:
    """The number of the exception that Python prints before ``raised``; `NONE` if there is none."""
    before = raised.cause
    if before == NONE and not raised.suppress_context:
        before = raised.context
    return before if before < len(failure.raised) else NONE


def dependent(failure: Failure) -> Failure:
    """For a call that needs the value of one that failed.

    It names the failure at the root only, so that texts do not grow along a chain of calls.
    """
    first = failure.raised[0]
    if (first.module, first.name) == _DEPENDENT and first.cause != NONE:
        return failure
    text = f"an argument is the result of a call that failed: {failure.summary}"
    shifted = tuple(_shifted(one) for one in failure.raised)
    error = Raised(*_DEPENDENT, text=text, cause=1, suppress_context=True)
    return Failure((error, *shifted), origin=failure.origin)


_DEPENDENT = ("pymonik.errors", "DependencyFailedError")


def _shifted(raised: Raised) -> Raised:
    """The exception with all numbers one higher."""

    def up(number: int) -> int:
        return number if number == NONE else number + 1

    def piece(one: Piece) -> Piece:
        return one if one.raised == NONE else msgspec.structs.replace(one, raised=up(one.raised))

    return msgspec.structs.replace(
        raised,
        args=tuple(map(piece, raised.args)),
        attributes=tuple(map(piece, raised.attributes)),
        slots=tuple(map(piece, raised.slots)),
        cause=up(raised.cause),
        context=up(raised.context),
        members=tuple(map(up, raised.members)),
    )
