"""Numbers as programs give them: checked once, where they come in.

Anything that Python itself takes for a whole number or a number of seconds is fine: numpy's scalars
and `timedelta` too. ``inf`` means "without limit". Nothing here imports numpy.
"""

from __future__ import annotations

import math
import operator
from datetime import timedelta
from typing import Final

from pymonik.errors import UsageError

LONGEST_WAIT_S: Final = 100 * 365 * 86_400.0  # Python's locks refuse more than 292 years
LONGEST_DURATION: Final = timedelta(days=3_650)  # protobuf, .NET and msgpack can all hold it


def whole_number(name: str, value: object, low: int, high: int) -> int:
    """``value`` as an ``int`` from ``low`` to ``high``.

    Raises:
        UsageError: It is something else; the message has ``name`` and the bounds.
    """
    if type(value) is int and low <= value <= high:
        return value
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not low <= number <= high:
        raise UsageError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
    return number


def wait_s(value: object, name: str = "timeout") -> float | None:
    """Seconds to wait; ``None`` without limit, which ``inf`` and centuries mean too.

    Raises:
        UsageError: It is no number of seconds.
    """
    if value is None:
        return None
    seconds = _seconds(name, value)
    return None if seconds > LONGEST_WAIT_S else seconds


def positive_s(value: object, name: str) -> float:
    """Seconds of a setting, more than zero; centuries and ``inf`` are one century.

    Raises:
        UsageError: It is no such number of seconds.
    """
    seconds = _seconds(name, value)
    if seconds <= 0:
        raise UsageError(f"{name} must be longer than zero, not {value!r}")
    return min(seconds, LONGEST_WAIT_S)


def duration(value: object, name: str) -> timedelta:
    """A time limit, longer than zero; ten years at most, which ``inf`` means too.

    Raises:
        UsageError: It is no such duration.
    """
    seconds = _seconds(name, value)
    if seconds <= 0:
        raise UsageError(f"{name} must be longer than zero, not {value!r}")
    if seconds >= LONGEST_DURATION.total_seconds():
        return LONGEST_DURATION
    if isinstance(value, timedelta):
        return value
    # Less than a microsecond would be rounded to nothing, and nothing means "inherit" in ArmoniK.
    return max(timedelta(seconds=seconds), timedelta.resolution)


def _seconds(name: str, value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    number = getattr(type(value), "__float__", None) or getattr(type(value), "__index__", None)
    if number is None or isinstance(value, bool):
        raise UsageError(f"{name} must be a number of seconds or a timedelta, not {value!r}")
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except OverflowError:  # a whole number past all floats
        seconds = math.inf
    except (TypeError, ValueError):  # an array of several numbers, for example
        seconds = math.nan
    if math.isnan(seconds):
        raise UsageError(f"{name} must be a number of seconds or a timedelta, not {value!r}")
    return seconds
