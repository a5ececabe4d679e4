"""Reads the records of runs, and how far their items are, from the control plane's lists."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pymonik.errors import ControlPlaneError, PymonikError, UnavailableError
from pymonik.runs.item_ends import ItemEnds, chunks_of
from pymonik.runs.rows import first_id
from pymonik.session.recorded import recorded_runs
from pymonik.wire import containers
from pymonik.wire.call import RUN_RECORD_PREFIX, RunRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pymonik.runs.rows import Lists, ResultRow
    from pymonik.session.recorded import RecordedRun

_log = logging.getLogger(__name__)

_MOST_RECORDS: Final = 100_000  # of one listing
_AT_ONCE: Final = 10  # downloads at the same time, over one connection


@dataclass(slots=True)
class Standing:
    """How many items of a run have ended, and how.

    Attributes:
        left: Items that never left the client that made the run.
        to_go: Items that have a task, and have not ended.
        running: Those of them whose task a worker has, where that was asked for.
    """

    total: int = 0
    ok: int = 0
    failed: int = 0
    cancelled: int = 0
    to_go: int = 0
    running: int = 0
    left: int = 0

    def __str__(self) -> str:
        parts = [f"{self.total} items", f"{self.ok} ok"]
        numbers = {"failed": self.failed, "cancelled": self.cancelled, "to go": self.to_go}
        parts += [f"{number} {word}" for word, number in numbers.items() if number]
        if self.left:
            parts.append(f"{self.left} never left")
        return ", ".join(parts)


def read_runs(lists: Lists, session_id: str = "", label: str = "") -> list[RecordedRun]:
    """The runs of a session, or of all, in the order in which they were started.

    Args:
        lists: Of the control plane.
        session_id: Of this session only.
        label: With this label only.
    """
    there = lists.results_named(
        RUN_RECORD_PREFIX + label, _MOST_RECORDS, session_id=session_id, exactly=bool(label)
    )
    return recorded_runs(read_records(lists, there))


def read_records(lists: Lists, rows: Sequence[ResultRow]) -> list[tuple[str, RunRecord]]:
    """The records in these results, each with the session that it was found in.

    Those that are gone, or are none of ours, are left out.
    """
    found = zip(rows, side_by_side(lists, rows), strict=True)
    records = [(row.session_id, _record(row, data)) for row, data in found if data is not None]
    return [(session_id, record) for session_id, record in records if record is not None]


def outputs_of(lists: Lists, runs: Iterable[RecordedRun]) -> dict[str, ResultRow]:
    """The rows of the results that runs produce, by id."""
    return lists.results(list(dict.fromkeys(one for run in runs for one in run.outputs)))


def drop_unsent(run: RecordedRun, rows: Mapping[str, ResultRow]) -> None:
    """Keep the items that have left, with the tasks that produce them.

    An item whose task the control plane does not know, or whose data were deleted, is what it was
    before that: its client ended between a record and a submission, and what had been computed for
    the item until then still holds. One that was nothing before is forgotten.
    """
    left = {}
    for number, item in run.items.items():
        for one in (item, *reversed(run.earlier.get(number, ()))):
            row = rows.get(one.output_id)
            if row is not None and is_known(row):
                left[number] = one._replace(task_id=first_id(row.owner))
                break
    run.items = left


def standing(
    lists: Lists,
    runs: Sequence[RecordedRun],
    rows: Mapping[str, ResultRow],
    running: Collection[str] = (),
) -> list[Standing]:
    """How far each of the runs is.

    Args:
        lists: Of the control plane.
        runs: Without the items that never left.
        rows: Of their outputs.
        running: First ids of the tasks that workers have.
    """
    items = [item.at for run in runs for item in run.items.values()]
    ends = ItemEnds(lists, rows)
    ends.look((output_id for output_id, _ in items), chunks_of(items))
    return [_standing(run, ends, running) for run in runs]


def _standing(run: RecordedRun, ends: ItemEnds, running: Collection[str]) -> Standing:
    found = Standing(total=run.total, left=run.total - len(run.items))
    for item in run.items.values():
        match ends.end_of(item.at):
            case "ok":
                found.ok += 1
            case "failed":
                found.failed += 1
            case "cancelled":
                found.cancelled += 1
            case _:
                found.to_go += 1
                found.running += ends.owner_of(item.at) in running
    return found


def is_known(row: ResultRow) -> bool:
    """Whether a task produces, or has produced, the result, and what it gave is there."""
    if row.status == "DELETED":
        return False
    return row.status != "CREATED" or row.owner not in ("", row.session_id)


def _record(row: ResultRow, data: bytes) -> RunRecord | None:
    try:
        meta, _ = containers.split(data)
    except PymonikError as error:
        _log.warning("the record %s cannot be read: %s", row.name, error)
        return None
    return meta if isinstance(meta, RunRecord) else None


def side_by_side(lists: Lists, rows: Sequence[ResultRow]) -> list[bytes | None]:
    """The data of small results, in order; ``None`` for those that are gone."""

    def read(row: ResultRow) -> bytes | None:
        try:
            return lists.data(row)
        # The control plane does not answer: an error, and not the same as data that are gone.
        except UnavailableError:
            raise
        except ControlPlaneError as error:  # somebody has deleted it meanwhile
            _log.debug("result %s: %s", row.result_id, error)
            return None

    if len(rows) <= 1:
        return [read(row) for row in rows]
    from concurrent.futures import ThreadPoolExecutor  # programs that only compute need none

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pymonik-records") as threads:
        return list(threads.map(read, rows))
