"""Filters, sort and pages of List requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from armonik.protogen.common import results_common_pb2, results_filters_pb2

from pymonik.cluster.services.fields import RESULTS
from pymonik.cluster.services.filters import Query
from pymonik.cluster.services.lists import ListRequest
from pymonik.cluster.state.faults import InvalidArgument, Unknown

if TYPE_CHECKING:
    from pymonik.cluster.state.rows import Result
    from tests.unit.cluster.conftest import World

NAME, SESSION, COMPLETED_AT, RESULT_ID, SIZE = 2, 1, 6, 7, 8


def condition(field: int, **value: Any) -> Any:
    return results_filters_pb2.FilterField(field={"result_raw_field": {"field": field}}, **value)


def string(field: int, value: str, operator: int = 0) -> Any:
    return condition(field, filter_string={"value": value, "operator": operator})


def filters(*alternatives: list[Any]) -> Any:
    return results_filters_pb2.Filters(**{"or": [{"and": one} for one in alternatives]})


def request(**fields: Any) -> Any:
    sort = {"field": {"result_raw_field": {"field": RESULT_ID}}, "direction": 1}
    return results_common_pb2.ListResultsRequest(
        **{"page_size": 10, "filters": filters(), "sort": sort, **fields}
    )


def named(world: World, *names: str) -> dict[str, Result]:
    session = world.session()
    found = {name: world.result(session) for name in names}
    for name, result in found.items():
        result.name = name
    return found


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (0, {"a.b"}),
        (1, {"a%b", "A.b", "xa.bx"}),
        (2, {"a.b", "xa.bx"}),
        (3, {"a%b", "A.b"}),
        (4, {"a.b"}),
        (5, {"a.b"}),
    ],
)
def test_string_operators_are_literal_and_case_sensitive(
    world: World, operator: int, expected: set[str]
) -> None:
    rows = named(world, "a.b", "a%b", "A.b", "xa.bx")
    query = Query(RESULTS, filters([string(NAME, "a.b", operator)]))
    assert {name for name, row in rows.items() if query.matches(row)} == expected
    selected = query.select(world.state.results, world.state.results_of)
    assert {row.name for row in selected} == expected


def test_alternatives_by_id_by_session_and_by_name_give_each_row_once(world: World) -> None:
    rows = named(world, "a", "b", "c")
    other = world.result(world.session())
    query = Query(
        RESULTS,
        filters(
            [string(RESULT_ID, rows["a"].result_id)],
            [string(RESULT_ID, rows["a"].result_id), string(NAME, "not a")],
            [string(SESSION, rows["b"].session_id), string(NAME, "b")],
            [string(NAME, "a")],
        ),
    )
    found = query.select(world.state.results, world.state.results_of)
    assert sorted(row.name for row in found) == ["a", "b"]
    assert [query.matches(row) for row in (*rows.values(), other)] == [True, True, False, False]


def test_no_alternative_or_an_empty_one_match_everything(world: World) -> None:
    rows = named(world, "a", "b")
    for everything in (None, filters(), filters([])):
        found = Query(RESULTS, everything).select(world.state.results, {})
        assert found == list(rows.values())


@pytest.mark.parametrize(
    ("operator", "expected"), [(0, False), (1, True), (2, False), (3, False), (4, False)]
)
def test_only_not_equal_matches_what_is_not_set(
    world: World, operator: int, expected: bool
) -> None:
    row = world.result(world.session())
    date = condition(COMPLETED_AT, filter_date={"value": {"seconds": 1}, "operator": operator})
    assert Query(RESULTS, filters([date])).matches(row) is expected


def test_a_date_without_value_means_not_set(world: World) -> None:
    session = world.session()
    unset = condition(COMPLETED_AT, filter_date={"operator": 0})
    query = Query(RESULTS, filters([unset]))
    assert query.matches(world.result(session))
    assert not query.matches(world.result(session, data=True))


@pytest.mark.parametrize(
    "bad",
    [
        condition(NAME, filter_number={"value": 1}),
        condition(SIZE, filter_string={"value": "1"}),
        condition(NAME),
        condition(0, filter_string={"value": "a"}),
        results_filters_pb2.FilterField(filter_string={"value": "a"}),
    ],
)
def test_ill_typed_conditions_are_unknown_errors(bad: Any) -> None:
    with pytest.raises(Unknown):
        Query(RESULTS, filters([bad]))


def test_pages_are_disjoint_ordered_and_know_the_total(world: World) -> None:
    rows = named(world, *map(str, range(25)))
    state = world.state
    pages = [ListRequest(RESULTS, request(page=page)) for page in range(4)]
    found = [page.run(state.results, state.results_of) for page in pages]
    ids = [row.result_id for rows_of_page, _ in found for row in rows_of_page]
    assert ids == sorted(row.result_id for row in rows.values())
    assert [(len(page), total) for page, total in found] == [(10, 25), (10, 25), (5, 25), (0, 25)]
    nothing = ListRequest(RESULTS, request(page_size=0)).run(state.results, {})
    assert nothing == ([], 25)


@pytest.mark.parametrize(
    "changed",
    [
        {"page": -1},
        {"page_size": -1},
        {"filters": None},
        {"sort": None},
        {"sort": {"direction": 1}},
        {"sort": {"field": {"result_raw_field": {"field": 1}}}},
    ],
)
def test_incomplete_requests_are_invalid(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="failed validation"):
        ListRequest(RESULTS, request(**changed))
