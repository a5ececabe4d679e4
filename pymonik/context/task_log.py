"""`ContextLogger`: what a task logs, as a line for people, or for the tools of a pod.

Logging never fails a task: whatever is given, something is written, or nothing where there is
nowhere to write to.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from datetime import datetime, timezone
from typing import Final

from pymonik.code.failure import describe
from pymonik.code.short_reprs import ShortReprs, readable
from pymonik.wire.traceback_text import traceback_text

# ``clef`` in our worker of a pod; with anything else lines are written for people.
FORMAT_VARIABLE: Final = "PYMONIK_LOG_FORMAT"
CLEF: Final = "clef"  # one JSON object a line, which ArmoniK's log tools read

# The names of levels in CLEF, which are Serilog's and not Python's.
_LEVELS = {
    logging.DEBUG: "Debug",
    logging.INFO: "Information",
    logging.WARNING: "Warning",
    logging.ERROR: "Error",
    logging.CRITICAL: "Fatal",
}
# Types whose values go into a line as they are. Types are compared exactly: a subclass may run code
# of the user's when JSON asks it for its text.
_JSON = frozenset({str, int, float, bool, type(None)})


class ContextLogger:
    """Writes a line for a message and its fields: ``logger.info("step", n=3)``.

    In a task the line goes to stderr: ``INFO step n=3``, or JSON where the variable
    ``PYMONIK_LOG_FORMAT`` is ``clef``, as in our ArmoniK worker. In a local call it goes to the
    logger ``"pymonik.task"`` of the program.
    """

    def __init__(
        self, task_id: str = "", session_id: str = "", *, local: logging.Logger | None = None
    ) -> None:
        self._task_id = task_id
        self._session_id = session_id
        self._local = local or logging.getLogger("pymonik.task")

    def debug(self, message: object, *args: object, **fields: object) -> None:
        """For who looks for a defect."""
        self._write(logging.DEBUG, message, args, fields)

    def info(self, message: object, *args: object, **fields: object) -> None:
        """What goes as planned. ``args`` are put into the message with ``%``."""
        self._write(logging.INFO, message, args, fields)

    def warning(self, message: object, *args: object, **fields: object) -> None:
        """What may be wrong."""
        self._write(logging.WARNING, message, args, fields)

    def error(self, message: object, *args: object, **fields: object) -> None:
        """What went wrong."""
        self._write(logging.ERROR, message, args, fields)

    def critical(self, message: object, *args: object, **fields: object) -> None:
        """What ends the task."""
        self._write(logging.CRITICAL, message, args, fields)

    def exception(self, message: object, *args: object, **fields: object) -> None:
        """Like `error`, with the exception that is being handled."""
        self._write(logging.ERROR, message, args, {**fields, "exc_info": True})

    def _write(
        self, level: int, message: object, args: tuple[object, ...], fields: dict[str, object]
    ) -> None:
        with_exception = bool(fields.pop("exc_info", False))
        text = _message(message, args)
        if not self._task_id:
            extra = _shown(fields)
            # Three frames up is the line of the user's function that logs.
            self._local.log(level, "%s%s", text, extra, exc_info=with_exception, stacklevel=3)
            return
        trace = _exception() if with_exception else ""
        if os.environ.get(FORMAT_VARIABLE) == CLEF:
            line = self._clef(level, text, fields, trace)
        else:
            line = f"{logging.getLevelName(level)} {text}{_shown(fields)}"
            line = f"{line}\n{trace}" if trace else line
        # The task may have closed its stderr, or have none.
        with contextlib.suppress(Exception):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def _clef(self, level: int, text: str, fields: dict[str, object], trace: str) -> str:
        line: dict[str, object] = {
            "@t": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
            "@l": _LEVELS[level],
            "@m": text,
            "task_id": self._task_id,
            "session_id": self._session_id,
        }
        if trace:
            line["@x"] = trace
        # A field never hides what the line says of itself.
        for name, value in fields.items():
            line[name if name not in line else f"{name}_"] = _plain(value)
        return json.dumps(line)


def _message(message: object, args: tuple[object, ...]) -> str:
    try:
        text = str(message)
        return readable(text % args if args else text)
    except Exception:  # noqa: BLE001 - the message does not fit its arguments, or has no text
        shown = ShortReprs()
        text = message if type(message) is str else shown.of(message)
        return readable(f"{text} {shown.of(args)}" if args else text)


def _shown(fields: dict[str, object]) -> str:
    shown = ShortReprs()
    return "".join(f" {name}={shown.of(value)}" for name, value in fields.items())


def _plain(value: object) -> object:
    """The value as JSON has it, or its repr."""
    if type(value) in _JSON:
        return value
    try:
        # Written and read once more: what JSON changes (tuples, keys that are numbers) is changed
        # here, and a value that fails does so before the line is begun.
        return json.loads(json.dumps(value))
    except Exception:  # noqa: BLE001 - not of JSON's kinds, a circle, or code of the user's
        return ShortReprs().of(value)


def _exception() -> str:
    error = sys.exc_info()[1]
    return traceback_text(describe(error, with_locals=False)) if error is not None else ""
