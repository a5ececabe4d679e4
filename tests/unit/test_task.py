"""Calls: what reaches the function, whatever way it was written."""

from __future__ import annotations

import functools
import operator
import threading
from typing import Any

import numpy as np
import pytest

from pymonik import (
    PymonikContext,
    SerializationError,
    Task,
    TaskOptions,
    UsageError,
    get_context,
    task,
)
from pymonik.code import packed_function
from tests.fakes import FakeSession, active


@pytest.fixture
def session():
    session = FakeSession()
    with active(session):
        yield session


@task
def add(a, b=1):
    """Add."""
    return a + b


@task
def factorial_step(n):
    return 1 if n == 0 else factorial_step.invoke(n - 1)


@task(require_context=True)
def who(context, suffix=""):
    return context.task_id + suffix


def test_positional_and_keyword_arguments_reach_the_function(session):
    assert add.invoke(1).get() == 2
    assert add.invoke(1, b=5).get() == 6
    assert add.invoke(a=1, b=2).get() == 3


def test_a_task_keeps_the_name_and_the_documentation_of_its_function():
    assert add.__name__ == "add"
    assert add.__doc__ == "Add."
    assert repr(add) == "<Task add>"


@pytest.mark.parametrize("call", [(), (1, 2, 3)])
def test_arguments_that_do_not_fit_raise_at_the_call(session, call):
    with pytest.raises(TypeError, match=r"add\(\)"):
        add.invoke(*call)
    with pytest.raises(UsageError, match="'c'"):
        add.invoke(1, c=3)


def test_the_context_is_not_counted_among_the_arguments(session):
    assert who.invoke("!").get() == "task-0!"
    assert who("!") == "!"
    assert who(PymonikContext(task_id="x")) == "x"
    with pytest.raises(TypeError):
        who.invoke("a", "b")


def test_any_callable_can_be_a_task(session):
    assert Task(functools.partial(operator.add, 1)).invoke(2).get() == 3
    assert Task(np.add).invoke(1, 2).get() == 3
    assert Task(np.sum).invoke([1, 2]).get() == 3
    assert Task(len).invoke([1]).get() == 1
    assert Task(lambda x: x).invoke("__no_input__").get() == "__no_input__"


class Account:
    def __init__(self, money):
        self.money = money

    @task
    def plus(self, x):
        return self.money + x

    @task(require_context=True)
    def named(self, context, x):
        return self.money + x, context.task_id


def test_a_method_takes_its_object_along(session):
    assert Account(3).plus.invoke(1).get() == 4
    assert Account(3).plus(1) == 4
    assert Account(3).plus.map_invoke([1, (2,), 3]).get() == [4, 5, 6]
    assert Account(3).named.invoke(1).get() == (4, "task-4")
    assert Account(3).named(1) == (4, "")


def test_a_task_refers_to_itself(session):
    assert factorial_step.invoke(3).get() == 1


def test_without_a_session_the_message_says_what_to_do():
    with pytest.raises(UsageError, match="pymonik="):
        add.invoke(1)
    assert add.invoke(1, pymonik=FakeSession()).get() == 2


def test_options_of_the_call_go_over_those_of_the_task(session):
    @task(priority=2, partition="gpu")
    def f():
        return None

    f.invoke(pmk_priority=5, task_options=TaskOptions(priority=4, max_retries=0))
    options = session.submissions[-1].options
    assert (options.priority, options.max_retries, options.partition_id) == (5, 0, "gpu")
    with pytest.raises(UsageError, match="pmk_speed"):
        f.invoke(pmk_speed=1)


def test_a_parameter_that_invoke_uses_itself_is_refused_by_keyword(session):
    @task
    def f(delegate=False):
        return delegate

    assert f.invoke(5).get() == 5
    with pytest.raises(UsageError, match="delegate"):
        f.invoke(delegate=True)


@pytest.mark.parametrize(
    ("items", "values"),
    [
        (["abc"], ["abc"]),
        ([1, 2], [1, 2]),
        ([(1,)], [1]),
        ([((1, 2),)], [(1, 2)]),
        ([[1, 2]], [[1, 2]]),
        ([{"a": 1}], [{"a": 1}]),
        ([], []),
        (range(2), [0, 1]),
    ],
)
def test_each_item_is_the_argument_of_a_function_of_one_parameter(session, items, values):
    assert Task(lambda x: x).map_invoke(items).get() == values


def test_items_are_arguments_of_a_function_of_several_parameters(session):
    assert add.map_invoke([(1, 2), {"a": 3, "b": 4}, 5]).get() == [3, 7, 6]
    assert add.map_invoke([(1,), 2], b=7).get() == [8, 9]
    assert len(session.functions) == 1


def test_an_item_that_does_not_fit_is_named(session):
    with pytest.raises(TypeError, match="item 1: add"):
        add.map_invoke([(1, 2), (1, 2, 3)])
    with pytest.raises(SerializationError, match=r"item 0: args\[0\]"):
        add.map_invoke([(threading.Lock(), 1)])


def test_a_dict_that_could_mean_two_things_is_refused(session):
    with pytest.raises(UsageError, match="could be"):
        Task(lambda x: x).map_invoke([{"x": 1}])
    with pytest.raises(UsageError, match="could be"):
        add.map_invoke([{"a": 1}], b=2)


def test_the_context_is_known_inside_a_task_only(session):
    assert Task(lambda: get_context().task_id).invoke().get() == "task-0"
    with pytest.raises(UsageError, match="from_local"):
        get_context()


def test_a_task_that_was_adopted_is_not_pickled_again(session, monkeypatch):
    container = add.packed().container
    loaded = packed_function.load_function(container)
    loaded.adopt("known")
    monkeypatch.setattr(packed_function, "pack_function", lambda *_: pytest.fail("pickled"))
    assert loaded.packed().content_id == "known"


def test_an_adopted_task_can_still_be_read(session):
    loaded = packed_function.load_function(add.packed().container)
    loaded.adopt("known")
    assert packed_function.load_function(loaded.packed().container)(1) == 2


class Scale:
    factor = 3

    @task
    @classmethod
    def by_class(cls, x: int) -> int:
        return cls.factor * x

    @staticmethod
    @task
    def plain(x: int) -> int:
        return 2 * x

    @task
    @staticmethod
    def plain_below(x: int) -> int:
        return 4 * x


class Larger(Scale):
    factor = 5


def test_methods_of_a_class_are_tasks(session):
    assert Scale.by_class.invoke(2).get() == 6
    assert Larger.by_class.map_invoke([2, 3]).get() == [10, 15]
    assert Larger().by_class(2) == 10
    assert Scale.plain.invoke(2).get() == 4
    assert Scale.plain_below.invoke(2).get() == 8
    assert Scale().plain_below(2) == 8


def test_a_decorator_below_that_makes_no_function_is_refused():
    value: Any = property(lambda self: self)
    with pytest.raises(UsageError, match="not a property"):
        task(value)
