"""Each call runs with its own options, whatever was sent before, after and together with it."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymonik import Pymonik, PymonikContext, TaskOptions, task
from pymonik.wire.environment import Environment

TIMEOUT_S = 50.0

Seen = tuple[str, int, int, float, "str | None", "str | None"]


def seen(name: str, ctx: PymonikContext) -> Seen:
    options = ctx.options
    assert options.max_duration is not None
    return (
        name,
        options.priority or 0,
        -1 if options.max_retries is None else options.max_retries,
        options.max_duration.total_seconds(),
        options.options.get("who"),
        os.environ.get("PYMONIK_TEST_WHO"),
    )


@task(require_context=True, priority=2, max_retries=1)
def first(ctx: PymonikContext, _: int = 0) -> Seen:
    return seen("first", ctx)


@task(
    require_context=True,
    max_duration=500,
    environment={"env_variables": {"PYMONIK_TEST_WHO": "task"}},
)
def second(ctx: PymonikContext, _: int = 0) -> Seen:
    return seen("second", ctx)


@task(require_context=True)
def third(ctx: PymonikContext, _: int = 0) -> Seen:
    return seen("third", ctx)


@task
def parent(child: Any, options: TaskOptions) -> Any:
    return child.invoke(task_options=options)


TASKS = (first, second, third)

# Few values, so that many calls have the same options, and others almost the same.
given_options = st.builds(
    TaskOptions,
    max_duration=st.sampled_from([None, 400.0, 401.0]),
    priority=st.sampled_from([None, 1, 3]),
    max_retries=st.sampled_from([None, 0, 2]),
    options=st.sampled_from([{}, {"who": "a"}, {"who": "b"}]),
    environment=st.sampled_from([None, Environment(env_variables={"PYMONIK_TEST_WHO": "call"})]),
)
ways = st.sampled_from(["invoke", "map", "chunk", "subtask"])
calls = st.lists(st.tuples(st.sampled_from(TASKS), given_options, ways), min_size=1, max_size=30)


def expected(function: Any, options: TaskOptions) -> Seen:
    full = options.over(function.options)
    limit = full.max_duration.total_seconds() if full.max_duration else 3600.0
    variables = full.environment.env_variables if full.environment else {}
    return (
        function.name,
        full.priority or 1,
        3 if full.max_retries is None else full.max_retries,
        limit,
        full.options.get("who"),
        variables.get("PYMONIK_TEST_WHO"),
    )


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(calls=calls)
def test_calls_have_their_own_options_in_any_order(client: Pymonik, calls: Any) -> None:
    handles: list[Any] = []
    for function, given_to_call, way in calls:
        # A new object each time: options must not be told apart by where they lie in memory.
        options = TaskOptions().over(given_to_call)
        if way == "subtask":
            handles.append([parent.invoke(function, options)])
        elif way == "invoke":
            handles.append([function.invoke(task_options=options)])
        else:
            size = 1 if way == "map" else 3
            handles.append(function.map_invoke(range(4), task_options=options, chunk_size=size))
    for (function, options, _), group in zip(calls, handles, strict=True):
        assert {handle.result(TIMEOUT_S) for handle in group} == {expected(function, options)}


def test_alternating_calls_of_many_functions_keep_their_options(client: Pymonik) -> None:
    handles = [
        (number % 10, third.invoke(pmk_priority=1 + number % 10, pmk_options={"who": str(number)}))
        for number in range(300)
    ]
    for number, (tens, handle) in enumerate(handles):
        found = handle.result(TIMEOUT_S)
        assert (found[1], found[4]) == (1 + tens, str(number))


@task
def variable(name: str) -> str | None:
    return os.environ.get(name)


@pytest.mark.parametrize("size", [1, 4])
def test_variables_of_a_call_do_not_reach_its_neighbours(client: Pymonik, size: int) -> None:
    here = {"env_variables": {"PYMONIK_TEST_NEAR": "near"}}
    with_it = variable.map_invoke(["PYMONIK_TEST_NEAR"] * 4, pmk_environment=here, chunk_size=size)
    without = variable.map_invoke(["PYMONIK_TEST_NEAR"] * 4, chunk_size=size)
    assert with_it.result(TIMEOUT_S) == ["near"] * 4
    assert without.result(TIMEOUT_S) == [None] * 4


@task
def takes_label(label: str) -> str:
    return label


@task(require_context=True)
def run_label(ctx: PymonikContext) -> str | None:
    return ctx.options.options.get("pymonik.run")


@task
def parent_of_labelled() -> Any:
    return run_label.invoke()


def test_a_label_names_the_run_unless_the_function_takes_it(client: Pymonik) -> None:
    assert takes_label.invoke(label="mine").result(TIMEOUT_S) == "mine"
    assert run_label.invoke(label="study").result(TIMEOUT_S) == "study"
    assert run_label.invoke(pmk_label="study").result(TIMEOUT_S) == "study"
    assert run_label.invoke().result(TIMEOUT_S) is None
    assert parent_of_labelled.invoke(label="study").result(TIMEOUT_S) == "study"


@task(require_context=True)
def marks_its_options(ctx: PymonikContext, mark: str) -> tuple[bool, bool]:
    """Whether a call before this one has left its mark."""
    labels, variables = ctx.options.options, ctx.environment.env_variables
    found = "mark" in labels, "mark" in variables
    labels["mark"] = variables["mark"] = mark
    return found


def test_what_a_call_changes_in_its_own_options_is_not_what_the_next_one_finds(
    client: Pymonik,
) -> None:
    handles = [marks_its_options.invoke(str(i), pymonik=client) for i in range(8)]
    assert {handle.get(timeout=TIMEOUT_S) for handle in handles} == {(False, False)}
