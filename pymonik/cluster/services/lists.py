"""List requests: validation, filter, sort, page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymonik.cluster.services.filters import Query
from pymonik.cluster.state.faults import BrokenRule, ValidationFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymonik.cluster.services.fields import Field, Table

ASCENDING = 1


class ListRequest:
    """A validated List request; refused requests never get here.

    Args:
        table: The fields of the rows.
        message: Any of ArmoniK's ``List*Request``.
    """

    def __init__(self, table: Table, message: Any) -> None:
        _validate(table, message)
        self._page, self._page_size = message.page, message.page_size
        self._query = Query(table, message.filters)
        sort = message.sort
        named = sort.fields if _has_several(sort) else [sort.field]
        self._fields = [table.field(one) for one in named]
        self._ascending = sort.direction == ASCENDING

    def run(
        self, rows: Mapping[Any, Any], by_session: Mapping[str, Mapping[Any, Any]]
    ) -> tuple[Sequence[Any], int]:
        """The rows of the page, and how many match in all."""
        found = self._query.select(rows, by_session)
        if self._page_size:  # 0 asks for the total only
            found = _sorted(found, self._fields, descending=not self._ascending)
        start = self._page * self._page_size
        return found[start : start + self._page_size], len(found)


def _sorted(rows: list[Any], fields: Sequence[Field], *, descending: bool) -> list[Any]:
    """Values that are not set come first, as in MongoDB; rows that compare equal stay in order.

    That order is the one of their creation, so that a new row is on a later page than these.
    """
    # By the last field first: sorting is stable, so the first field decides.
    for field in reversed(fields):
        unset = [row for row in rows if field.get(row) is None]
        given = [row for row in rows if field.get(row) is not None] if unset else rows
        given.sort(key=field.get, reverse=descending)
        rows = given + unset if descending else unset + given
    return rows


def _has_several(sort: Any) -> bool:
    return "fields" in sort.DESCRIPTOR.fields_by_name


def _validate(table: Table, message: Any) -> None:
    errors = [
        BrokenRule(
            path,
            f"'{table.display_name}.{path}' must be greater than or equal to '0'.",
            value,
        )
        for path, value in (("Page", message.page), ("PageSize", message.page_size))
        if value < 0
    ]
    errors += [
        BrokenRule(path, f"'{table.display_name}.{path}' must not be empty.")
        for path in _absent(message)
    ]
    if errors:
        raise ValidationFailed(errors)


def _absent(message: Any) -> list[str]:
    """What must be given and is not; twice for a message, whose two rules both fail."""
    absent = []
    if not message.HasField("filters"):
        absent += ["Filters", "Filters"]
    if not message.HasField("sort"):
        return [*absent, "Sort", "Sort"]
    if not message.sort.direction:
        absent.append("Sort.Direction")
    if _has_several(message.sort):
        if not message.sort.fields:
            absent.append("Sort.Fields")
    elif not message.sort.HasField("field"):
        absent += ["Sort.Field", "Sort.Field"]
    return absent
