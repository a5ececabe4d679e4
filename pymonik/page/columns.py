"""A run with all of its calls as a frozen page keeps it: in columns, within a bound of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymonik.page import as_json, bars, details
from pymonik.page.run_views import HeldRun, RunView
from pymonik.runs.tally import Mark

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pymonik.runs.rows import TaskRow

_MOST_DETAILS: Final = 300  # calls with traceback and output; failed ones first
_MOST_PREPARED: Final = 2_000  # calls of others whose arguments are read
_MOST_ASKED: Final = 50  # calls of which the control plane is asked for attempts
_DETAILS_BYTES: Final = 1_500_000  # of those details, about, as they stand in the file
_ROWS_BYTES: Final = 2_500_000  # arguments and errors of all calls: the file stays below 5 MB


def run_data(
    view: RunView,
    rows: Sequence[TaskRow],
    now: float,
    *,
    share: int = 1,
    partly_failed: Collection[str] = (),
) -> dict[str, Any]:
    """What a frozen page knows of one run: all of its calls.

    Args:
        view: The run.
        rows: Its tasks.
        now: Seconds since the epoch.
        share: How many runs share the room of the file.
        partly_failed: Ids of tasks that ended well although calls of theirs failed.
    """
    snapshot = view.look(now)
    view.prepare(range(min(snapshot.total, _MOST_PREPARED)))
    lines = [view.row(place) for place in range(snapshot.total)]
    workers = list(dict.fromkeys(line["worker"] for line in lines))
    numbers = {worker: number for number, worker in enumerate(workers)}
    longest = max(8, _ROWS_BYTES // share // max(1, len(lines)) - 24)
    return {
        "run": as_json.run(view, snapshot),
        "marks": as_json.marks(snapshot),
        "index": _compact([line["index"] for line in lines]),
        "arguments": [_cut(line["arguments"], longest) for line in lines],
        "seconds": [_rounded(line["seconds"]) for line in lines],
        "attempt": _compact([line["attempt"] for line in lines]),
        "workers": workers,
        "worker": _compact([numbers[line["worker"]] for line in lines]),
        "errors": {line["place"]: _cut(line["error"], longest) for line in lines if line["error"]},
        "timeline": as_json.timeline(bars.lanes(rows, now, partly_failed)),
        "histogram": as_json.histogram([one for line in lines if (one := line["seconds"])]),
        "details": _details(view, snapshot.marks, _DETAILS_BYTES // share),
    }


def _compact(column: list[Any]) -> list[Any] | Any:
    """A column whose values are all the same is that value; one that counts is ``"places"``."""
    if column and column == list(range(len(column))):
        return "places"
    return column[0] if column and all(one == column[0] for one in column) else column


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else float(f"{seconds:.3g}")


def _details(view: RunView, marks: bytes, room: int) -> dict[int, dict[str, Any]]:
    """Details of failed calls first, then of others, as long as there is room."""
    if not isinstance(view, HeldRun):
        return {}
    order = sorted(range(len(marks)), key=lambda place: marks[place] != Mark.FAILED)
    found: dict[int, dict[str, Any]] = {}
    for place in order[:_MOST_DETAILS]:
        one = details.of_call(view, place, asks=len(found) < _MOST_ASKED)
        room -= sum(len(str(value)) for value in one.values())
        if room < 0:
            break
        found[place] = one
    return found
