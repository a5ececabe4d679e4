"""Log lines as ArmoniK collects them: one JSON object a line (CLEF), on the standard output."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.runs.output_lines import Lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymonik.executor.frames import Run
    from pymonik.executor.output import Part

_LEVELS = {
    "DEBUG": "Debug",
    "INFO": "Information",
    "WARNING": "Warning",
    "ERROR": "Error",
    "CRITICAL": "Fatal",
}
READY = "is_clef"  # attribute of a record whose message is a CLEF line already
_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", READY}
_encoder = msgspec.json.Encoder(enc_hook=str)

output_logger = logging.getLogger("pymonik.worker.output")


class ClefFormatter(logging.Formatter):
    """Writes a record, with whatever was given as ``extra=``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        if getattr(record, READY, False):
            return record.getMessage()
        line: dict[str, Any] = {
            "@t": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "@m": record.getMessage(),
            "@l": _LEVELS.get(record.levelname, record.levelname),
            "SourceContext": record.name,
        }
        if record.exc_info:
            line["@x"] = self.formatException(record.exc_info)
        line |= {key: value for key, value in vars(record).items() if key not in _PLAIN}
        return _encoder.encode(line).decode()


def log_as_clef(level: str) -> None:
    """Send every record of this process to the standard output, as CLEF."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(ClefFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


class OutputLog:
    """Logs what user code writes, line by line."""

    def __init__(self) -> None:
        self._lines = Lines()

    def __call__(self, run: Run, parts: Sequence[Part]) -> None:
        """A run has printed this; the last of its calls ends with a line."""
        for part in parts:
            key = (run.task_id, part.place, part.stream)
            for line in self._lines.add(key, part.text):
                if line.strip():
                    extra = {"task_id": run.task_id, "stream": part.stream}
                    output_logger.info("%s", line, extra={**extra, READY: _as_clef(line)})


def _as_clef(line: str) -> bool:
    """Whether the line is a log line already: the logger of a task's context writes such."""
    if not line.startswith('{"@t"'):
        return False
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except msgspec.MsgspecError:
        return False
