"""Classes and texts of failures that stand among the values of chunks; nothing is unpickled."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from pymonik.code.opened_result import OpenedResult
from pymonik.errors import PymonikError
from pymonik.runs.error_lines import Fault, first_line
from pymonik.runs.reading import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymonik.runs.rows import Lists, ResultRow

    At = tuple[str, int]  # a result, and a place in it

_LARGEST_READ: Final = 1_000_000  # bytes of a result
_TOO_LARGE: Final = Fault("failure", "in a result that is too large to be read here")
_GONE: Final = Fault("failure", "in a result that is not there any more")


def told_failures(
    lists: Lists, rows: Iterable[ResultRow], failed: Mapping[str, Iterable[int]]
) -> dict[At, Fault]:
    """What the failures in some results say.

    Args:
        lists: Of the control plane.
        rows: Of the results.
        failed: The places of the failures, by result.

    Raises:
        UnavailableError: The control plane does not answer.
    """
    rows = list(rows)
    found = {(row.result_id, place): _TOO_LARGE for row in rows for place in failed[row.result_id]}
    small = [row for row in rows if row.size <= _LARGEST_READ]
    for row, data in zip(small, side_by_side(lists, small), strict=True):
        told = _faults(data, failed[row.result_id])
        found |= {(row.result_id, place): fault for place, fault in told.items()}
    return found


def _faults(data: bytes | None, places: Iterable[int]) -> dict[int, Fault]:
    found = dict.fromkeys(places, _GONE)
    if data is None:
        return found
    with contextlib.suppress(PymonikError, msgspec.MsgspecError):  # of another version of ours
        opened = OpenedResult(data)
        for place in found:
            raised = opened.value(place).raised[0]
            found[place] = Fault(raised.name, first_line(raised.text))
    return found
