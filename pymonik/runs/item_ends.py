"""How calls have ended whose values stand in results, without reading a value.

::

    result ABORTED ──────────────► its task: cancelled, or failed
    result COMPLETED, one call ──► ok
    result COMPLETED, a chunk ───► its head: which calls failed, and which of them were given to
                                   another task, whose result is looked at in turn

A call of a chunk is given away when its executor died, or when the task took its time; see
`pymonik.executor.chunk`. To take such a call for ended with the chunk would hide its failure.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from pymonik.errors import ControlPlaneError, UnavailableError
from pymonik.runs.rows import FAILED, first_id
from pymonik.wire.call import WHOLE, ResultMeta

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from pymonik.runs.rows import Lists, ResultRow

    At = tuple[str, int]  # a result, and a place in it

_log = logging.getLogger(__name__)

ENDED: Final = frozenset({"COMPLETED", "ABORTED", "DELETED"})
_SIDE_BY_SIDE: Final = 10  # downloads over one connection
_OWNERS_AT_ONCE: Final = 5_000  # tasks of one question


class ChunkHead(NamedTuple):
    """What the head of a chunk's result says.

    Attributes:
        meta: Without its items, which are as many as the calls.
        failed: Places of calls that failed.
        moved: Where the values of calls stand that were given away.
    """

    meta: ResultMeta
    failed: frozenset[int]
    moved: Mapping[int, At]


class ItemEnds:
    """Ends of calls, look by look: what has ended is not asked for again. Not thread-safe.

    Args:
        lists: Of the control plane.
        rows: Of results that somebody has just listed.
    """

    def __init__(self, lists: Lists, rows: Mapping[str, ResultRow] | None = None) -> None:
        self._lists = lists
        self._rows: dict[str, ResultRow] = dict(rows or {})
        self._fresh = set(self._rows)  # that the first look takes as they are
        self._heads: dict[str, ChunkHead | None] = {}  # ``None`` for what is none of ours, or gone
        self._cancelled: dict[str, bool] = {}  # by first id of the owner of an aborted result
        self._targets: dict[str, None] = {}  # results to which calls were given, in order
        self._sources: dict[str, set[str]] = {}  # by such a result: whose calls these were

    def row(self, result_id: str) -> ResultRow | None:
        """The result as it was listed last."""
        return self._rows.get(result_id)

    def head(self, result_id: str) -> ChunkHead | None:
        """The head of a chunk's result, where that was read."""
        return self._heads.get(result_id)

    def is_read(self, result_id: str) -> bool:
        """Whether its head was read, or nothing is to be had of it."""
        row = self._rows.get(result_id)
        return result_id in self._heads or (row is not None and row.status in ENDED - {"COMPLETED"})

    def look(
        self,
        outputs: Iterable[str],
        chunks: Collection[str],
        *,
        is_live: Callable[[str], bool] = lambda _: False,
        most_heads: int | None = None,
    ) -> set[str]:
        """Bring results up to date, and those to which their calls were given.

        Args:
            outputs: Ids of the results.
            chunks: Those of them that hold several calls.
            is_live: Whether a task, by its first id, is known not to have ended: its result is not
                asked for.
            most_heads: That are read by this look; the others are by the next ones.

        Returns:
            The results whose calls are not what they were.

        Raises:
            ControlPlaneError: It cannot be asked.
        """
        changed, self._fresh = self._fresh, set()
        fresh = frozenset(changed)
        wanted = [*outputs, *self._targets]
        while wanted:
            asked = (one for one in dict.fromkeys(wanted) if one not in fresh)
            changed |= self._ask([one for one in asked if self._may_have_news(one, is_live)])
            unread = [one for one in dict.fromkeys(wanted) if self._lacks_head(one, chunks)]
            read = self._read(unread[:most_heads])
            most_heads = None if most_heads is None else most_heads - len(read)
            changed |= read
            wanted = [at[0] for one in read for at in self._moved(one) if at[0] not in self._rows]
        self._learn_owners(changed)
        return self._with_sources(changed)

    def place_of(self, at: At) -> At:
        """Where the value of a call is now, wherever it was given."""
        seen: set[At] = set()
        while (
            at not in seen
        ):  # a result that refers to itself is none of ours, and no reason to hang
            seen.add(at)
            head = self._heads.get(at[0])
            if head is None or at[1] not in head.moved:
                break
            at = head.moved[at[1]]
        return at

    def owner_of(self, at: At) -> str:
        """First id of the task that has the call now; ``""`` where no result is known."""
        row = self._rows.get(self.place_of(at)[0])
        return "" if row is None else first_id(row.owner)

    def end_of(self, at: At) -> str:
        """``"ok"``, ``"failed"``, ``"cancelled"`` or ``"pending"``."""
        result_id, place = self.place_of(at)
        row = self._rows.get(result_id)
        if row is None or row.status not in ENDED:
            return "pending"
        if row.status == "ABORTED":
            return "cancelled" if self._cancelled.get(first_id(row.owner)) else "failed"
        head = self._heads.get(result_id)
        return "failed" if head is not None and max(place, 0) in head.failed else "ok"

    # -- asking --------------------------------------------------------------------------------

    def _may_have_news(self, result_id: str, is_live: Callable[[str], bool]) -> bool:
        row = self._rows.get(result_id)
        if row is None:
            return True
        return row.status not in ENDED and not is_live(first_id(row.owner))

    def _ask(self, result_ids: Sequence[str]) -> set[str]:
        rows = self._lists.results(result_ids) if result_ids else {}
        changed = {one for one, row in rows.items() if self._rows.get(one) != row}
        self._rows |= rows
        return changed

    def _lacks_head(self, result_id: str, chunks: Collection[str]) -> bool:
        row = self._rows.get(result_id)
        is_chunk = result_id in chunks or result_id in self._targets
        has_values = row is not None and row.status == "COMPLETED"
        return has_values and is_chunk and result_id not in self._heads

    def _read(self, result_ids: Sequence[str]) -> set[str]:
        rows = [self._rows[one] for one in result_ids]
        for row, meta in zip(rows, heads(self._lists, rows), strict=True):
            head = _chunk_head(meta) if isinstance(meta, ResultMeta) else None
            self._heads[row.result_id] = head
            for target, _ in head.moved.values() if head is not None else ():
                self._targets[target] = None
                self._sources.setdefault(target, set()).add(row.result_id)
        return set(result_ids)

    def _moved(self, result_id: str) -> Iterable[At]:
        head = self._heads.get(result_id)
        return head.moved.values() if head is not None else ()

    def _learn_owners(self, changed: Iterable[str]) -> None:
        """Which tasks of aborted results were cancelled: a result does not tell."""
        aborted = [self._rows[one] for one in changed if self._rows[one].status == "ABORTED"]
        owners = list(dict.fromkeys(row.owner for row in aborted))
        unknown = [one for one in owners if first_id(one) not in self._cancelled]
        for start in range(0, len(unknown), _OWNERS_AT_ONCE):
            part = unknown[start : start + _OWNERS_AT_ONCE]
            # Of a task that nobody knows any more, as of a call that never left, the session ended.
            self._cancelled |= {first_id(one): True for one in part}
            for task in self._lists.tasks(ids=part, limit=len(part)):
                self._cancelled[task.first_id] = task.status not in FAILED

    def _with_sources(self, changed: set[str]) -> set[str]:
        """These, and the results that refer to them."""
        found: set[str] = set()
        left = list(changed)
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left += self._sources.get(one, ())
        return found


def _chunk_head(meta: ResultMeta) -> ChunkHead:
    failed = frozenset(place for place, item in enumerate(meta.items) if item.failed)
    moved = {
        place: (item.ref.result_id, item.ref.item)
        for place, item in enumerate(meta.items)
        if item.ref is not None
    }
    return ChunkHead(meta.without_items(), failed, moved)


def heads(lists: Lists, rows: Sequence[ResultRow]) -> Iterator[object]:
    """The heads of results, in order; ``None`` for those that are gone, or none of ours."""

    def read(row: ResultRow) -> object:
        try:
            return lists.head(row)
        except UnavailableError:
            raise
        except ControlPlaneError as error:  # somebody has deleted it meanwhile
            _log.debug("result %s: %s", row.result_id, error)
            return None

    if len(rows) <= 1:
        yield from map(read, rows)
        return
    from concurrent.futures import ThreadPoolExecutor  # programs that only compute need none

    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="pymonik-heads") as threads:
        yield from threads.map(read, rows)


def chunks_of(items: Iterable[At]) -> set[str]:
    """Those of the results that hold several calls."""
    return {result_id for result_id, place in items if place != WHOLE}
