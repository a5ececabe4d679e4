"""What happened to calls, in order: `history` of a handle, or of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.code.short_reprs import ShortReprs, cut
from pymonik.runs.attempts import attempts
from pymonik.runs.error_lines import summary
from pymonik.runs.reports import heard
from pymonik.session.again import past
from pymonik.session.result import ResultState, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LONGEST: Final = 80  # characters of a value
_ID: Final = 4  # characters of the id of a function's content: enough to see that it changed


class Event(NamedTuple):
    """Something that happened to a call.

    Attributes:
        item: Number of the call among those of its `map_invoke`; ``None`` for a call alone.
        what: ``created``, ``started``, ``report``, then ``completed``, ``failed``, ``cancelled`` or
            ``pending``.
        function: Name of the function, and the start of its content's id: ``simulate@a1f0``.
        text: Value, error, what was reported, or where an attempt was made.
        at: In seconds since the epoch, where that is known.
    """

    item: int | None
    what: str
    function: str
    text: str = ""
    at: float | None = None


class History(list[Event]):
    """Events in order; prints as a line for each call that was run again, or as all of one call.

    Args:
        events: In order.
        lines: What it prints as.
    """

    def __init__(self, events: Sequence[Event], lines: Sequence[str]) -> None:
        super().__init__(events)
        self._lines = lines

    def __str__(self) -> str:
        return "\n".join(self._lines) or "no call was run again"

    __repr__ = __str__


def of_call(state: ResultState, value_of: Callable[[ResultState], object]) -> History:
    """What happened to one call; asks the control plane for attempts.

    Args:
        state: Of the call, as it is now.
        value_of: Gives the value of one that has completed.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    events = [event for one in past(state) for event in _events(one, value_of, with_attempts=True)]
    return History(events, [" ".join(filter(None, _words(event))) for event in events])


def of_calls(states: Sequence[ResultState], value_of: Callable[[ResultState], object]) -> History:
    """What happened to several calls, without their attempts.

    Args:
        states: Of the calls, as they are now.
        value_of: Gives the value of one that has completed.
    """
    events: list[Event] = []
    lines = []
    for state in states:
        times = past(state)
        parts = [_events(one, value_of, with_attempts=False) for one in times]
        events += [event for part in parts for event in part]
        if len(times) > 1:
            steps = " → ".join(f"{part[-1].text or part[-1].what} ({part[-1].function})"
                               for part in parts)  # fmt: skip
            lines.append(f"{_item(state)}: {steps}")
    return History(events, lines)


def _events(
    state: ResultState, value_of: Callable[[ResultState], object], *, with_attempts: bool
) -> list[Event]:
    item = state.index if state.index >= 0 else None
    function = _function(state)
    started = state.run.started if state.run is not None else None
    events = [Event(item, "created", function, "", started)]
    if with_attempts:
        for one in attempts(state):
            where = f"{one.number} on {one.worker}" if one.worker else str(one.number)
            text = f"{where}: {one.cause}" if one.cause else where
            events.append(Event(item, "started", function, text, one.started))
        for report in heard(state):
            text = cut(ShortReprs().of(report), _LONGEST)
            events.append(Event(item, "report", function, text, report["at"]))
    what, text = _end(state, value_of)
    return [*sorted(events, key=lambda event: event.at or 0.0), Event(item, what, function, text)]


def _end(state: ResultState, value_of: Callable[[ResultState], object]) -> tuple[str, str]:
    from pymonik.runs.table import status

    if state.status is Status.COMPLETED:
        try:
            return "completed", cut(ShortReprs().of(value_of(state)), _LONGEST)
        except Exception as error:  # noqa: BLE001 - a class of the user's that is not here any more
            return "completed", f"a value that cannot be read ({type(error).__name__})"
    return status(state), "" if state.error is None else str(summary(state.error))


def _function(state: ResultState) -> str:
    content_id = state.run.content_id if state.run is not None else ""
    return f"{state.name}@{content_id[:_ID]}" if content_id else state.name


def _item(state: ResultState) -> str:
    return f"item {state.index}" if state.index >= 0 else state.name


def _words(event: Event) -> tuple[str, str]:
    return (f"{event.what}:" if event.text else event.what, event.text)
