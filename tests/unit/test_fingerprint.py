"""A changed function is never stale, an unchanged one is not pickled again."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pymonik import Task
from pymonik.code import packed_function


def load(source, **names):
    """The names of a piece of a script."""
    space = {"__name__": "__main__", **names}
    exec(source, space)  # the cell of a notebook
    return space


@pytest.fixture
def count(monkeypatch):
    packs = SimpleNamespace(n=0)
    original = packed_function.pack_function

    def counted(*args):
        packs.n += 1
        return original(*args)

    monkeypatch.setattr(packed_function, "pack_function", counted)
    return packs


def test_an_unchanged_function_is_pickled_once(count):
    space = load("import math\nK = 2\ndef h(x): return x + K\ndef f(x): return math.sqrt(h(x))")
    task = Task(space["f"])
    assert task.packed() is task.packed()
    assert count.n == 1


@pytest.mark.parametrize(
    "change",
    ["K = 3", "def h(x): return x", "class C:\n  def m(self): return 9", "C.m = lambda self: 9",
     "C.extra = 5", "h.__code__ = (lambda x: -x).__code__", "h.__defaults__ = (7,)"],
)  # fmt: skip
def test_a_change_of_what_it_reaches_makes_another_function(change):
    space = load(
        "K = 2\nclass C:\n  def m(self): return K\ndef h(x): return C().m() + x\n"
        "def f(x): return h(x)"
    )
    task = Task(space["f"])
    before = task.packed()
    exec(change, space)
    assert task.packed().content_id != before.content_id


def test_what_changes_in_place_is_seen(count):
    space = load("D = {'a': 1}\ndef f(): return D")
    task = Task(space["f"])
    first = task.packed().content_id
    assert task.packed().content_id == first
    space["D"]["a"] = 2
    assert task.packed().content_id != first
    assert count.n == 2


def test_a_free_variable_that_changes_is_seen():
    value = 1

    def f():
        return value

    task = Task(f)
    before = task.packed().content_id
    value = 2
    assert task.packed().content_id != before


def test_a_name_that_appears_later_is_seen():
    space = load("def f(): return later()")
    task = Task(space["f"])
    before = task.packed().content_id
    exec("def later(): return 1", space)
    assert task.packed().content_id != before


def test_a_task_that_names_itself_or_another_is_pickled_once(count):
    space = load(
        "@Task\ndef even(n): return n == 0 or odd(n - 1)\n"
        "@Task\ndef odd(n): return n != 0 and even(n - 1)\n",
        Task=Task,
    )
    assert space["even"].packed() is space["even"].packed()
    assert count.n == 1
    loaded = packed_function.load_function(space["even"].packed().container)
    assert loaded(4)
    assert loaded.func.__globals__["odd"].func.__globals__["even"] is loaded
