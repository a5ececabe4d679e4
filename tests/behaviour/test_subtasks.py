"""What a task can do: submit, delegate, store; and what it cannot: wait."""

from __future__ import annotations

from typing import Any

import pytest

from pymonik import Pymonik, PymonikContext, TaskOptions, get_context, task
from pymonik.errors import UsageError

TIMEOUT_S = 50.0


@task
def add(a: Any, b: Any) -> Any:
    return a + b


@task
def total(values: Any) -> Any:
    return sum(values)


@task
def delegating(a: int) -> Any:
    return add.invoke(add.invoke(a, 1), 1, delegate=True)


@task
def returning(a: int) -> Any:
    return add.invoke(a, 1)


@task
def returning_list(n: int) -> Any:
    return [add.invoke(i, 1) for i in range(n)]


@task
def returning_dict(a: int) -> Any:
    return {"plain": a, "handle": add.invoke(a, 1)}


@task
def tree_sum(values: list[int]) -> Any:
    if len(values) <= 2:
        return sum(values)
    middle = len(values) // 2
    return add.invoke(tree_sum.invoke(values[:middle]), tree_sum.invoke(values[middle:]))


@task
def mapping(n: int) -> Any:
    return total.invoke(add.map_invoke([(i, 1) for i in range(n)]), delegate=True)


@task
def fire_and_forget(a: int) -> int:
    add.invoke(a, 1)
    return a


@task(require_context=True)
def put_with_context(ctx: PymonikContext, values: list[int]) -> Any:
    return total.invoke(ctx.put(values), delegate=True)


@task
def put_twice(a: int, b: int) -> Any:
    context = get_context()
    return add.invoke(context.put(a), context.put(b))


@task
def returning_put(value: Any) -> Any:
    return get_context().put(value)


@task
def waiting() -> Any:
    return add.invoke(1, 1).wait()


@task
def getting() -> Any:
    return add.invoke(1, 1).get()


@task
def failing_subtask() -> Any:
    return divide.invoke(1, 0)


@task
def divide(a: int, b: int) -> float:
    return a / b


@task(require_context=True)
def options_seen(ctx: PymonikContext) -> Any:
    options = ctx.options
    return options.priority, options.max_retries, options.options.get("colour")


@task
def options_of_a_subtask() -> Any:
    return options_seen.invoke()


@task
def options_of_a_call_in_a_subtask() -> Any:
    return options_seen.invoke(task_options=TaskOptions(priority=7))


def test_a_delegated_subtask_gives_the_value_of_its_parent(client: Pymonik) -> None:
    assert delegating.invoke(1).result(timeout=TIMEOUT_S) == 3


def test_a_returned_handle_gives_the_value_of_its_parent(client: Pymonik) -> None:
    assert returning.invoke(1).result(timeout=TIMEOUT_S) == 2


def test_returned_handles_in_a_list_are_a_list_of_values(client: Pymonik) -> None:
    assert list(returning_list.invoke(3).result(timeout=TIMEOUT_S)) == [1, 2, 3]


def test_a_returned_handle_in_a_dict_becomes_its_value(client: Pymonik) -> None:
    assert returning_dict.invoke(1).result(timeout=TIMEOUT_S) == {"plain": 1, "handle": 2}


def test_a_recursive_task_runs(client: Pymonik) -> None:
    assert tree_sum.invoke(list(range(9))).result(timeout=TIMEOUT_S) == 36


def test_map_invoke_works_in_a_task(client: Pymonik) -> None:
    assert mapping.invoke(4).result(timeout=TIMEOUT_S) == 10


def test_a_subtask_nobody_needs_does_not_change_the_result(client: Pymonik) -> None:
    assert fire_and_forget.invoke(5).result(timeout=TIMEOUT_S) == 5


def test_a_task_stores_values_for_its_subtasks(client: Pymonik) -> None:
    assert put_with_context.invoke([1, 2, 3]).result(timeout=TIMEOUT_S) == 6
    assert put_twice.invoke(1, 2).result(timeout=TIMEOUT_S) == 3


def test_a_stored_value_can_be_returned(client: Pymonik) -> None:
    assert returning_put.invoke([1, 2]).result(timeout=TIMEOUT_S) == [1, 2]


@pytest.mark.parametrize("function", [waiting, getting])
def test_waiting_in_a_task_is_refused_with_a_reason(client: Pymonik, function: Any) -> None:
    with pytest.raises(UsageError, match="wait"):
        function.invoke().result(timeout=TIMEOUT_S)


def test_the_exception_of_a_delegated_subtask_reaches_the_client(client: Pymonik) -> None:
    with pytest.raises(ZeroDivisionError):
        failing_subtask.invoke().result(timeout=TIMEOUT_S)


def test_a_subtask_inherits_the_options_of_its_parent(client: Pymonik) -> None:
    options = TaskOptions(priority=5, max_retries=1, options={"colour": "red"})
    handle = options_of_a_subtask.invoke(task_options=options)
    assert tuple(handle.result(timeout=TIMEOUT_S)) == (5, 1, "red")
    other = options_of_a_call_in_a_subtask.invoke(task_options=options)
    assert tuple(other.result(timeout=TIMEOUT_S)) == (7, 1, "red")


def test_delegating_outside_a_task_is_refused(client: Pymonik) -> None:
    with pytest.raises(UsageError, match="delegate"):
        add.invoke(1, 2, delegate=True)
