"""From a `Failure` back to an exception: of the same class, with the frames of the user's files.

::

    Failure ──► classes ──► exceptions: cls.__new__, fields, attributes ──► cause, context, frames
                   │ one that is not here
                   └──► a `TaskFailedError` in its place

No text of a user's exception is made here: that would be code of the user in a thread of ours.
"""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING, Any, Final, cast

from pymonik.code import codec
from pymonik.code.class_making import HEAP_TYPE
from pymonik.code.remote_frames import remote_part, traceback_of
from pymonik.errors import CommandError, TaskFailedError
from pymonik.wire.failure import NONE
from pymonik.wire.traceback_text import traceback_text
from pymonik.wording import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.wire.command_lines import Ran
    from pymonik.wire.failure import Failure, Piece, Raised

_ITEM: Final = "item "  # begins our note on an error of a map
_OTHERS: Final = " more failed"  # ends that note
_MOST_KINDS: Final = 256  # classes of exceptions that are kept unpickled

# Getters and setters of `BaseException` itself: `error.args` and the like would run code of the
# user's class, which may have a property or a `__setattr__` of that name.
_dict = BaseException.__dict__
_set_args = _dict["args"].__set__
_attributes = _dict["__dict__"].__get__
_set_cause = _dict["__cause__"].__set__
_cause = _dict["__cause__"].__get__
_set_context = _dict["__context__"].__set__
_context = _dict["__context__"].__get__
_set_suppress = _dict["__suppress_context__"].__set__
_suppress = _dict["__suppress_context__"].__get__
_set_traceback = _dict["__traceback__"].__set__
_traceback = _dict["__traceback__"].__get__
_flags = type.__dict__["__flags__"].__get__


class Note(str):
    """What pymonik notes on an exception, so that it can be told from the user's own notes."""

    __slots__ = ()


def exception_of(failure: Failure, task_id: str = "", result_id: str = "") -> BaseException:
    """What to raise for ``failure``: the exception of the task, with one note of ours.

    An exception without a cause of its own gets a `TaskFailedError` as its ``__cause__``, which
    tells the rest on Python 3.10 too, where notes are not printed; it is falsy if it leads to no
    other exception. One that has a cause keeps it.
    Either has the text of the whole traceback, as ``error.__cause__.remote_traceback``, and
    what the call had printed, if that came with the failure, as ``remote_output``.
    """
    text = traceback_text(failure)
    error, teller = _told(failure, task_id, result_id, text)
    if failure.output:
        _attributes(teller)["remote_output"] = failure.output
        _attributes(teller)["remote_output_turns"] = failure.output_turns
    return error


def _told(
    failure: Failure, task_id: str, result_id: str, text: str
) -> tuple[BaseException, BaseException]:
    """The exception, and the one of the two that tells what it does not."""
    try:
        error = _Rebuilding(failure).exception(0)
    except BaseException:  # noqa: BLE001 - of a class of the user's: whoever waits must hear of it
        error = TaskFailedError(f"the task raised {failure.summary}")
    if failure.ran is not None and issubclass(type(error), CommandError):
        _tell_how(cast("CommandError", error), failure.ran)
    if issubclass(type(error), TaskFailedError):
        _complete(cast("TaskFailedError", error), task_id, result_id, text)
        return error, error
    cause = _cause(error)
    if cause is None:
        cause = TaskFailedError(f"the task raised {failure.summary}", task_id, result_id, text)
        # With a context behind it, it has to be printed: that is reached through it only.
        cause._only_tells = _suppress(error) or _context(error) is None
        if not _suppress(error):
            _set_context(cause, _context(error))
        _set_cause(error, cause)
    else:
        _attributes(cause)["remote_traceback"] = text
    if note := note_of(failure):
        add_note(error, note)
    return error, cause


def note_of(failure: Failure) -> str:
    """The call, the attempt, the worker and the time: what is known of them."""
    parts = [failure.call] if failure.call else []
    if failure.origin is not None:
        parts.append(f"attempt {failure.origin.attempt}")
        parts.append(f"worker {failure.origin.host}:{failure.origin.pid}")
    if failure.seconds:
        parts.append(span(failure.seconds))
    if failure.peak_bytes:
        parts.append(f"peak {failure.peak_bytes / 1e6:.0f} MB")
    return ", ".join(parts)


def add_note(error: BaseException, text: str) -> None:
    """Note ``text`` on an exception, before what pymonik noted earlier: all in one note."""
    attributes = _attributes(error)
    notes = [note for note in attributes.get("__notes__", ()) if type(note) is not Note]
    ours = [note for note in attributes.get("__notes__", ()) if type(note) is Note]
    attributes["__notes__"] = [*notes, Note(", ".join([text, *ours]))]


def note_item(error: BaseException, index: int, total: int) -> None:
    """Note which call of several it was, once: calls that share an error have one note."""
    notes = _attributes(error).get("__notes__", ())
    if not any(type(note) is Note and note.startswith(_ITEM) for note in notes):
        add_note(error, f"{_ITEM}{index} of {total}")


def note_others(error: BaseException, others: int) -> None:
    """Note how many more calls have failed so far, in the place of what was noted earlier."""
    attributes = _attributes(error)
    notes = list(attributes.get("__notes__", ()))
    ours = [note for note in notes if type(note) is Note]
    said = [part for note in ours if (part := _without_others(note))]
    if others:
        said.append(f"{others}{_OTHERS}")
    kept = [note for note in notes if type(note) is not Note]
    attributes["__notes__"] = [*kept, Note("; ".join(said))] if said else kept


def _without_others(note: Note) -> str:
    return note.removesuffix(_OTHERS).rpartition("; ")[0] if note.endswith(_OTHERS) else str(note)


def again(error: BaseException) -> BaseException:
    """``error`` to be raised: with its frames from the task, without those of earlier raises."""
    _set_traceback(error, remote_part(_traceback(error)))
    return error


def _complete(error: TaskFailedError, task_id: str, result_id: str, text: str) -> None:
    """An error of ours that was made where the ids are not known gets them."""
    error.task_id = error.task_id or task_id
    error.result_id = error.result_id or result_id
    error.remote_traceback = error.remote_traceback or text
    error.args = (error.message, error.task_id, error.result_id, error.remote_traceback)


def _tell_how(error: CommandError, ran: Ran) -> None:
    """What is known of a command that failed; the error was made as data."""
    error.rc, error.seconds, error.command = ran.rc, ran.seconds, ran.command
    error.stdout = ran.stdout.decode("utf-8", "backslashreplace")
    error.stderr = ran.stderr.decode("utf-8", "backslashreplace")
    error.files = {}


class _Rebuilding:
    """Makes the exceptions of a failure, each once: they may refer to each other in circles."""

    def __init__(self, failure: Failure) -> None:
        self._failure = failure
        self._made: dict[int, BaseException] = {}
        self._waiting: set[int] = set()  # numbers of exceptions whose parts are being made

    def exception(self, number: int) -> BaseException:
        if number in self._made:
            return self._made[number]
        raised = self._failure.raised[number]
        self._waiting.add(number)
        error = self._new(raised)
        # An exception of the user's may be falsy.
        made = TaskFailedError(f"the task raised {raised.summary}") if error is None else error
        self._made[number] = made
        self._waiting.discard(number)
        if error is not None:
            self._set_fields(error, raised)
        self._fill(made, raised)
        return made

    def _other(self, number: int) -> BaseException | None:
        """The exception of this number; ``None`` if there is none, or it is not there yet."""
        if not 0 <= number < len(self._failure.raised) or number in self._waiting:
            return None
        return self.exception(number)

    def _new(self, raised: Raised) -> BaseException | None:
        """An exception of the class that was raised; ``None`` where that is not possible here."""
        kind = _kind_of(raised)
        if kind is None:
            return None
        error = _whole(raised, kind)
        if error is None:
            return self._of_parts(raised, kind)
        _set_args(error, tuple(self._value(piece) for piece in raised.args))
        return error

    def _of_parts(self, raised: Raised, kind: type[BaseException]) -> BaseException | None:
        args: list[object] = [self._value(piece) for piece in raised.args]
        if raised.members:
            members = [self._other(number) for number in raised.members]
            args.append([member for member in members if member is not None])
        error = _made_by_new(kind, args)
        if error is None:
            return None
        _initialise(error, args)
        if not raised.members:
            _set_args(error, tuple(args))
        return error

    def _set_fields(self, error: BaseException, raised: Raised) -> None:
        """Only now: a field may be the exception itself."""
        for piece in raised.slots:
            _set_attribute(error, piece.name, self._value(piece))
        attributes = _attributes(error)
        for piece in raised.attributes:
            attributes[piece.name] = self._value(piece)
        if issubclass(type(error), TaskFailedError) and "message" not in attributes:
            attributes["message"] = raised.text  # the failure was made as data, see `dependent`

    def _value(self, piece: Piece) -> object:
        if piece.raised != NONE:
            other = self._other(piece.raised)  # may be falsy, or raise where it is asked
            return piece.shown if other is None else other
        if not piece.blobs:
            return piece.shown
        try:
            return codec.unpack([piece.blobs[0], *map(bytearray, piece.blobs[1:])])
        except BaseException:  # noqa: BLE001 - code of the user's, or a module that is not here
            return piece.shown

    def _fill(self, error: BaseException, raised: Raised) -> None:
        """What does not belong to the class: notes, frames, and what led to it."""
        if raised.notes:
            _attributes(error)["__notes__"] = list(raised.notes)
        _set_traceback(error, traceback_of(raised.frames))
        _set_cause(error, self._other(raised.cause))
        _set_context(error, self._other(raised.context))
        _set_suppress(error, raised.suppress_context)


def _whole(raised: Raised, kind: type[BaseException]) -> BaseException | None:
    """By the class's own ``__reduce__``, which has worked in the task."""
    if not raised.whole:
        return None
    try:
        error = codec.unpack([raised.whole[0], *map(bytearray, raised.whole[1:])])
    except BaseException:  # noqa: BLE001 - code of the user's, or a module that is not here
        return None
    return error if type(error) is kind else None


def _made_by_new(kind: type[BaseException], args: Sequence[object]) -> BaseException | None:
    for make in (kind, _python_base(kind), BaseException):
        try:
            error: object = make.__new__(kind, *args)
        except BaseException:  # noqa: BLE001 - code of the user's, or not for this class
            continue
        if type(error) is kind:
            return error
    return None


def _initialise(error: BaseException, args: Sequence[object]) -> None:
    """Set the fields of Python's own class, such as the ``errno`` of an `OSError`.

    The ``__init__`` of the user's class is not called: it may want other arguments.
    """
    try:
        _python_base(type(error)).__init__(error, *args)
    except Exception:  # noqa: BLE001 - the arguments are not those of Python's class
        return


def _set_attribute(error: BaseException, name: str, value: object) -> None:
    try:
        object.__setattr__(error, name, value)
    except Exception:  # noqa: BLE001 - a field that cannot be set
        return


def _python_base(kind: type[BaseException]) -> type[BaseException]:
    """The nearest class that is written in C, as nearly all of Python's own are."""
    return next(base for base in type.mro(kind) if not _flags(base) & HEAP_TYPE)


# -- classes -------------------------------------------------------------------------------------

_kinds: dict[tuple[bytes, ...], type[BaseException]] = {}


def _kind_of(raised: Raised) -> type[BaseException] | None:
    """The class of an exception, here; ``None`` if it is not."""
    kind: object
    if raised.module == "builtins":
        kind = getattr(builtins, raised.name, None)
    else:
        kind = _unpickled(raised.kind) or _named(raised)
    return kind if isinstance(kind, type) and issubclass(kind, BaseException) else None


def _unpickled(blobs: tuple[bytes, ...]) -> object:
    known = _kinds.get(blobs)
    if known is None and blobs:
        try:
            known = codec.unpack([blobs[0], *map(bytearray, blobs[1:])])
        except BaseException:  # noqa: BLE001 - code of the user's, or a module that is not here
            return None
        if len(_kinds) >= _MOST_KINDS:
            _kinds.clear()
        _kinds[blobs] = known
    return known


def _named(raised: Raised) -> object:
    """A class that this program has, where its pickle did not fit: nothing is imported for it."""
    found: Any = sys.modules.get(raised.module)
    for part in raised.name.split("."):
        found = getattr(found, part, None)
    return found
