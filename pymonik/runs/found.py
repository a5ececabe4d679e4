"""What the cluster lists, as a program filters, orders and counts it: `client.tasks()` and others.

The control plane is asked once; what follows works on the rows that came.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pymonik.errors import UsageError
from pymonik.runs.rows import LIVE, ResultRow, TaskRow
from pymonik.runs.tidying import KnownSession

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from typing_extensions import Self

    from pymonik.session.remote import RemoteSession

Row = TypeVar("Row")
_TOGETHER: Final = 1_000  # ids of tasks in one request to cancel them


class Found(list[Row]):
    """Rows that were found: a list.

    Args:
        rows: In order.
        session: Of the client that has asked.
    """

    def __init__(self, rows: Iterable[Row], session: RemoteSession) -> None:
        super().__init__(rows)
        self._session = session

    def where(self, predicate: Callable[[Row], object] | None = None, **fields: object) -> Self:
        """The rows that fit.

        Args:
            predicate: Gets a row.
            fields: What its attributes have to be; a set or tuple means any of these.

        Raises:
            UsageError: Rows have no such attribute.
        """
        chosen = (
            row
            for row in self
            if (predicate is None or predicate(row))
            and all(_fits(_field(row, name), wanted) for name, wanted in fields.items())
        )
        return type(self)(chosen, self._session)

    def order_by(self, field: str, *, descending: bool = False) -> Self:
        """The rows ordered by an attribute; those that have none come last.

        Raises:
            UsageError: Rows have no such attribute.
        """
        known = [row for row in self if _field(row, field) is not None]
        others = [row for row in self if _field(row, field) is None]
        known.sort(key=lambda row: getattr(row, field), reverse=descending)
        return type(self)([*known, *others], self._session)

    def tally(self, field: str = "status") -> dict[Any, int]:
        """How many there are of each value of an attribute, the most frequent first.

        Raises:
            UsageError: Rows have no such attribute.
        """
        return dict(Counter(_field(row, field) for row in self).most_common())


class FoundTasks(Found[TaskRow]):
    """Tasks."""

    def cancel(self) -> int:
        """Cancel those that have not ended; how many these were."""
        ids = [row.task_id for row in self if row.status in LIVE]
        for first in range(0, len(ids), _TOGETHER):
            self._session.lists.cancel_tasks(ids[first : first + _TOGETHER])
        return len(ids)


class FoundResults(Found[ResultRow]):
    """Results of a session."""

    def download(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the bytes of those that are there into files; their paths, in order.

        What a file of a task holds is that file; a value is a container, see the format.

        Args:
            folder: It is made; a file has the name of its result where that is a plain name that no
                other has, else its id.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        there = self.where(status="COMPLETED")
        names = Counter(row.name for row in there)
        paths = []
        for row in there:
            is_plain = names[row.name] == 1 and Path(row.name).name == row.name not in ("", "..")
            paths.append(place / (row.name if is_plain else row.result_id))
            paths[-1].write_bytes(self._session.content(row.result_id))
        return paths

    def delete(self) -> int:
        """Delete their data; how many had some."""
        ids = [row.result_id for row in self if row.status == "COMPLETED"]
        self._session.lists.delete_data(ids)
        return len(ids)


class FoundSessions(Found[KnownSession]):
    """Sessions."""

    def cancel(self) -> int:
        """Stop all that runs in those that have not ended; how many these were."""
        # Each session is cancelled by a request of its own: ArmoniK takes one at a time.
        open_ones: Sequence[KnownSession] = self.where(status="RUNNING")
        for one in open_ones:
            self._session.lists.cancel_session(one.session_id)
        return len(open_ones)


def _field(row: object, name: str) -> Any:
    try:
        return getattr(row, name)
    except AttributeError:
        known = ", ".join(one for one in dir(row) if not one.startswith("_"))
        raise UsageError(f"rows have no {name!r}: there are {known}") from None


def _fits(value: object, wanted: object) -> bool:
    return value in wanted if isinstance(wanted, set | frozenset | tuple) else value == wanted
