"""What is said to somebody who uses pymonik for the first time, mistake by mistake."""

from __future__ import annotations

import pickle
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymonik import (
    ArgumentsError,
    File,
    Pymonik,
    SerializationError,
    UsageError,
    as_completed,
    task,
)
from tests.fakes import FakeSession, active


@task
def inc(number: Any) -> Any:
    return number + 1


@task
def add(first: Any, second: Any) -> Any:
    return first + second


@task
def wants_context(ctx: Any, number: int) -> int:
    return number


@pytest.fixture(autouse=True)
def session():
    with active(FakeSession()) as one:
        yield one


@pytest.mark.parametrize(
    "use",
    [
        lambda handle: handle + 1,
        lambda handle: 1 - handle,
        lambda handle: handle < 2,
        lambda handle: 2.5 / handle,
        lambda handle: -handle,
        int,
        float,
        round,
        lambda handle: sum([handle, handle]),
        lambda handle: np.array([handle, handle]) * 2,
        lambda handle: np.sum([handle, handle]),
        lambda handle: add(handle, 2),  # called, where `add.invoke` was meant
    ],
)
def test_a_handle_that_is_used_as_its_value_says_how_to_get_it(use: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"`handle\.get\(\)` waits for it"):
        use(inc.invoke(1))


def test_handles_are_compared_hashed_and_asked_whether_they_can_be_called() -> None:
    one, other = inc.invoke(1), inc.invoke(1)
    assert one == one
    assert one != other
    assert one in {one: 1}
    assert not callable(one)
    assert not hasattr(one, "__len__")


@pytest.mark.parametrize("name", ["map", "starmap", "submit", "delay", "remote", "get"])
def test_methods_that_tasks_have_elsewhere_are_named_as_here(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"a task has no '{name}': write inc\.(map_)?invoke"):
        getattr(inc, name)
    assert not hasattr(inc, name)


def test_another_attribute_that_a_task_does_not_have_is_told_as_python_does() -> None:
    with pytest.raises(AttributeError, match="'Task' object has no attribute 'colour'"):
        inc.colour  # type: ignore[attr-defined] # noqa: B018


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([1, 2], r"item 0: add\(\): missing .* 'second'; an item is one argument unless .* zip"),
        ([[1, 2]], r"a tuple holds the 2 arguments: tuple\(item\)"),
        (3, r"add\.map_invoke\(\) takes an iterable of arguments, not a int"),
    ],
)
def test_items_that_do_not_fit_say_what_an_item_is(items: Any, said: str) -> None:
    with pytest.raises(ArgumentsError, match=said):
        add.map_invoke(items)


def test_two_iterables_as_for_the_built_in_map_are_refused_with_zip() -> None:
    with pytest.raises(UsageError, match=r"not a list; map_invoke takes one iterable: zip"):
        add.map_invoke([1, 2], [3, 4])  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("given", "said"),
    [("localhost:5001", "not a str"), (Pymonik, r"Pymonik\(\.\.\.\)\.create\(\)"), (3, "an? int")],
)
def test_what_is_no_client_is_refused_where_one_is_wanted(given: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        inc.invoke(1, pymonik=given)


def test_a_parameter_for_the_context_tells_the_option_that_fills_it() -> None:
    with pytest.raises(ArgumentsError, match=r"@task\(require_context=True\) passes the context"):
        wants_context.invoke(1)


def test_as_completed_takes_handles_and_several_of_them() -> None:
    with pytest.raises(UsageError, match="several handles are needed"):
        as_completed(inc.invoke(1))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="handles are what invoke and map_invoke give, not a str"):
        as_completed(["a"])  # type: ignore[arg-type]


class HasLock:
    def __init__(self) -> None:
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: (i for i in range(3)), r"args\[0\] \(generator\) .*; pass a list: list"),
        (lambda: [{"a": HasLock()}], r"args\[0\]\[0\]\['a'\]\.lock .*@task\(setup=\.\.\.\)"),
        (lambda: sqlite3.connect(":memory:"), r"\(Connection\) .*@task\(setup=\.\.\.\)"),
        (Pymonik, r"args\[0\] \(Pymonik\) cannot be pickled: a client stays in its program"),
    ],
)
def test_what_cannot_travel_says_what_to_do_instead(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(SerializationError, match=said):
        inc.invoke(make())


def test_a_client_that_a_function_refers_to_is_named_and_nothing_inside_of_it() -> None:
    client = Pymonik()

    @task
    def nested() -> object:
        return inc.invoke(1, pymonik=client)

    with pytest.raises(
        SerializationError, match=r"function 'nested' \(variable 'client'\) .*need no"
    ):
        nested.invoke()
    with pytest.raises(TypeError, match="a client stays in its program"):
        pickle.dumps(client)


def test_a_file_that_is_not_there_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(SerializationError, match=r"\(File\) cannot be sent: .*No such file"):
        inc.invoke(File(tmp_path / "none.csv"))


def test_a_partition_that_is_no_name_is_refused_at_the_call() -> None:
    with pytest.raises(UsageError, match="partition must be a name or a list of names, not 3"):
        Pymonik(partition=3)  # type: ignore[arg-type]


def test_the_workers_of_a_client_are_those_of_its_cluster() -> None:
    with pytest.raises(ArgumentsError, match=r"LocalCluster\(workers=\.\.\.\) as cluster"):
        Pymonik(workers=4)  # type: ignore[arg-type]
