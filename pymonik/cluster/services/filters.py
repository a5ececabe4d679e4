"""Filters of List requests and event subscriptions: an OR of ANDs, compiled to a `Query`.

Null values follow MongoDB: only "not equal" and "not contains" match them. Requests name rows by ID
or by session nearly always, so a query keeps these apart: neither a list nor an event walks
through everything for them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pymonik.cluster.state.faults import Unknown

if TYPE_CHECKING:
    from pymonik.cluster.services.fields import Table

Predicate = Callable[[Any], bool]
EQUAL, NOT_EQUAL = 0, 1


def _contains(value: Any, operand: Any) -> bool:
    return operand in value


def _not_contains(value: Any, operand: Any) -> bool:
    return operand not in value


ORDER = (operator.eq, operator.ne, operator.lt, operator.le, operator.ge, operator.gt)
# By kind, in the order of the enums of filters_common.proto.
OPERATORS: Mapping[str, tuple[Callable[[Any, Any], bool], ...]] = {
    "string": (
        operator.eq,
        operator.ne,
        _contains,
        _not_contains,
        str.startswith,
        str.endswith,
    ),
    "number": ORDER,
    "date": ORDER,
    "duration": ORDER,
    "status": (operator.eq, operator.ne),
    "boolean": (operator.eq,),
    "array": (_contains, _not_contains),
}
MATCH_NULL = (
    operator.ne,
    _not_contains,
)  # as in MongoDB: a field that is not set is unequal to all


class Query:
    """Filters, ready to be asked.

    Attributes:
        takes_all: Whether there is none.
    """

    def __init__(self, table: Table, filters: Any | None) -> None:
        self._key = table.fields[table.key].get if table.key else None
        self._by_key: dict[str, list[Predicate]] = {}
        self._by_session: dict[str, list[Predicate]] = {}
        self._others: list[Predicate] = []
        alternatives = getattr(filters, "or") if filters is not None else ()
        for alternative in alternatives:
            self._add(table, list(getattr(alternative, "and")))
        self.takes_all = not alternatives
        if not alternatives:
            self._others.append(_all(()))
        self._anywhere = [
            *self._others,
            *(one for several in self._by_session.values() for one in several),
        ]

    def matches(self, row: Any) -> bool:
        """Whether a row passes."""
        named = self._by_key.get(self._key(row), ()) if self._by_key and self._key else ()
        return any(one(row) for one in named) or any(one(row) for one in self._anywhere)

    def select(
        self, rows: Mapping[Any, Any], by_session: Mapping[str, Mapping[Any, Any]]
    ) -> list[Any]:
        """The rows that pass, each once."""
        found: dict[Any, Any] = {}
        for pool, alternatives in self._pools(rows, by_session):
            test = _any(alternatives)
            found |= {key: row for key, row in pool.items() if test(row)}
        return list(found.values())

    def _pools(
        self, rows: Mapping[Any, Any], by_session: Mapping[str, Mapping[Any, Any]]
    ) -> Iterator[tuple[Mapping[Any, Any], list[Predicate]]]:
        for key, alternatives in self._by_key.items():
            if key in rows:
                yield {key: rows[key]}, alternatives
        for session_id, alternatives in self._by_session.items():
            yield by_session.get(session_id, {}), alternatives
        if self._others:
            yield rows, self._others

    def _add(self, table: Table, conditions: list[Any]) -> None:
        predicate = _all(tuple(_condition(table, one) for one in conditions))
        named = {
            table.number(one.field): one.filter_string.value
            for one in conditions
            if one.WhichOneof("value_condition") == "filter_string"
            and one.filter_string.operator == EQUAL
        }
        if table.key and table.key in named:
            self._by_key.setdefault(named[table.key], []).append(predicate)
        elif table.session and table.session in named:
            self._by_session.setdefault(named[table.session], []).append(predicate)
        else:
            self._others.append(predicate)


def _any(predicates: Sequence[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    return lambda row: any(one(row) for one in predicates)


def _all(predicates: tuple[Predicate, ...]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    return lambda row: all(one(row) for one in predicates)


def _condition(table: Table, message: Any) -> Predicate:
    """One comparison, which must be of the field's kind."""
    field = table.field(message.field)
    which = message.WhichOneof("value_condition")
    if which is None:
        raise Unknown("a filter without condition")
    kind = which.removeprefix("filter_")
    if kind != field.kind:
        raise Unknown(f"{which} on a {field.kind}")
    condition = getattr(message, which)
    operators = OPERATORS[kind]
    if condition.operator >= len(operators):
        raise Unknown(f"operator {condition.operator} of {which}")
    operand = _operand(kind, condition)
    if operand is None and not table.null_dates:
        raise Unknown("a date condition without value")
    return _comparison(field.get, operators[condition.operator], operand)


def _comparison(
    get: Callable[[Any], Any], compare: Callable[[Any, Any], bool], operand: Any
) -> Predicate:
    def test(row: Any) -> bool:
        value = get(row)
        if value is None or operand is None:
            same = value is operand
            return same if compare is operator.eq else not same and compare in MATCH_NULL
        return compare(value, operand)

    return test


def _operand(kind: str, condition: Any) -> Any:
    if kind == "date":
        return condition.value.ToNanoseconds() if condition.HasField("value") else None
    if kind == "duration":
        if not condition.HasField("value"):
            return None
        return timedelta(microseconds=condition.value.ToMicroseconds())
    return condition.value
