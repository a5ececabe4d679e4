"""What is told of a task while it runs: results of a certain name, which anybody can list.

::

    pymonik.log/<id of the task's output>/<attempt>/<number>       lines of JSON: `LogEntry`
    pymonik.report/<id of the task's output>/<attempt>/<number>    lines of JSON: `ReportEntry`

The id of the output is known before the task is sent, and stays through attempts.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

LOG_PREFIX: Final = "pymonik.log/"
REPORT_PREFIX: Final = "pymonik.report/"
LIVE_PREFIXES: Final = (LOG_PREFIX, REPORT_PREFIX)
EARLIER: Final = -1  # the place of what a call has printed after its end, by a thread of its own

_T = TypeVar("_T", bound=msgspec.Struct)


class LogEntry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Something that a call printed.

    Attributes:
        name: Of the function.
        text: Of the one stream, as it came; it need not end with a line.
        stream: ``"stdout"`` or ``"stderr"``.
        place: Of the call in its task, or `EARLIER`.
        index: Its number in its run, -1 where it has none.
    """

    name: str
    text: str
    stream: str = "stdout"
    place: int = 0
    index: int = -1


class ReportEntry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a call has reported.

    Attributes:
        at: When, in seconds since the epoch.
        count: The number of the report among those of its call, from 1.
        fields: As they were given.
        place: Of the call in its task.
        attempt: Of the task, 1 for the first.
        keep: Older reports of the call than the last so many are of no use.
    """

    at: float
    count: int
    fields: dict[str, Any]
    place: int = 0
    attempt: int = 1
    keep: int = 0


class LiveName(msgspec.Struct, frozen=True):
    """The parts of such a name.

    Attributes:
        prefix: `LOG_PREFIX` or `REPORT_PREFIX`.
        output_id: Of the task.
        attempt: 1 for the first.
        number: Among those of its kind and task.
    """

    prefix: str
    output_id: str
    attempt: int
    number: int

    def __str__(self) -> str:
        return f"{self.prefix}{self.output_id}/{self.attempt}/{self.number}"


def live_name(name: str) -> LiveName | None:
    """The parts of the name of a result; ``None`` if it is another one."""
    for prefix in LIVE_PREFIXES:
        if name.startswith(prefix):
            parts = name[len(prefix) :].rsplit("/", 2)
            if len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal():
                return LiveName(prefix, parts[0], int(parts[1]), int(parts[2]))
    return None


def encode_lines(entries: list[Any]) -> bytes:
    """Entries as lines of JSON."""
    return b"\n".join(map(_encode, entries))


def log_entries(data: bytes) -> list[LogEntry]:
    """The entries in the data of a log; those that are none are left out."""
    return _entries(data, _log_decoder)


def report_entries(data: bytes) -> list[ReportEntry]:
    """The entries in a result of reports."""
    return _entries(data, _report_decoder)


def _entries(data: bytes, decoder: msgspec.json.Decoder[_T]) -> list[_T]:
    found = []
    for line in data.splitlines():
        try:
            found.append(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError):  # noqa: PERF203 - of another version
            continue
    return found


_encode = msgspec.json.Encoder().encode
_log_decoder = msgspec.json.Decoder(LogEntry)
_report_decoder = msgspec.json.Decoder(ReportEntry)
