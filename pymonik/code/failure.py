"""An exception of a task as it travels to the client: readable first, machine-readable behind."""

from __future__ import annotations

import base64
import traceback
import zlib

import msgspec

from pymonik.code import codec
from pymonik.errors import TaskFailedError

_MARK = "\n--- pymonik failure: "
_MAX_PICKLE = 256 * 1024  # bytes; a larger exception travels as text only
_MAX_TEXT = 256 * 1024  # characters of a traceback


class Failure(msgspec.Struct, frozen=True):
    """What is known of an exception that ended a task.

    Attributes:
        kind: Name of its class.
        message: Its text.
        traceback: As Python prints it, in the task.
        pickle: The exception itself; ``None`` where it does not pickle.
    """

    kind: str
    message: str
    traceback: str
    pickle: bytes | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What to send of ``error``."""
        data = codec.dump_exception(error)
        if data is not None and len(data) > _MAX_PICKLE:
            data = None
        return cls(type(error).__name__, _text_of(error), _traceback_of(error), data)

    def to_text(self) -> str:
        """For ``Output.error``: the traceback, then what `from_text` reads."""
        data = base64.b64encode(zlib.compress(msgspec.msgpack.encode(self))).decode()
        return f"{self.traceback.rstrip()}{_MARK}{data}"

    @classmethod
    def from_text(cls, text: str) -> Failure | None:
        """The failure in the error of a task, also of one that quotes another's; else ``None``."""
        _, mark, data = text.partition(_MARK)
        if not mark:
            return None
        try:
            raw = zlib.decompress(base64.b64decode(data.split()[0], validate=True))
            return msgspec.msgpack.decode(raw, type=cls)
        except (ValueError, IndexError, zlib.error, msgspec.MsgspecError):
            return None

    def to_exception(self, task_id: str = "", result_id: str = "") -> BaseException:
        """The original exception with a `TaskFailedError` as cause, or that error alone."""
        summary = f"{self.kind}: {self.message}" if self.message else self.kind
        cause = TaskFailedError(f"the task raised {summary}", task_id, result_id, self.traceback)
        original = codec.load_exception(self.pickle) if self.pickle is not None else None
        if original is None:
            return cause
        if isinstance(original, TaskFailedError):
            return original
        original.__cause__ = cause
        return original


def readable(text: str) -> str:
    """The error of a task without the part that is for machines."""
    return text.partition(_MARK)[0]


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the __str__ of a user's exception
        return "(its text cannot be made)"


def _traceback_of(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - the __str__ of a user's exception
        text = "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}\n... (cut)"
