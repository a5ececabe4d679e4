"""Which results are read together with one that somebody reads."""

from __future__ import annotations

import weakref
from typing import Any

from pymonik.session.unread import Unread


class _State:
    pass


STATE: Any = _State()


def filled(*ids: str) -> Unread:
    unread = Unread()
    for one in ids:
        unread.add(one, weakref.ref(STATE))
    return unread


def numbered(count: int, word: str = "r") -> list[str]:
    return [f"{word}{number}" for number in range(count)]


def taken(unread: Unread, result_id: str, most: int) -> list[str]:
    return [one for one, _ in unread.around(result_id, most)]


def test_those_that_ended_after_it_are_taken_once() -> None:
    unread = filled(*numbered(100))
    unread.discard("r0")
    assert taken(unread, "r0", 10) == numbered(11)[1:]
    unread.discard("r11")
    assert taken(unread, "r11", 5) == ["r12", "r13", "r14", "r15", "r16"]
    assert len(unread) == 100 - 2 - 10 - 5


def test_what_nobody_reads_is_not_read_instead() -> None:
    unread = filled(*numbered(1000, "waited for "), *numbered(100))
    unread.discard("r50")
    near = taken(unread, "r50", 64)
    assert set(near) <= set(numbered(100))
    assert near[0] == "r18"  # workers end calls in another order than that of reading


def test_of_an_unknown_one_nothing_is_near() -> None:
    assert taken(filled("a", "b"), "c", 10) == []


def test_those_that_were_read_take_no_room() -> None:
    unread = filled("first")
    for one in numbered(10_000):
        unread.add(one, weakref.ref(STATE))
        unread.discard(one)
    unread.add("last", weakref.ref(STATE))
    assert len(unread._order) < 2_000
    assert len(unread._places) < 2_000
    assert taken(unread, "first", 1) == ["first"]


def test_a_result_that_came_twice_is_taken_once() -> None:
    unread = filled("a", "b", "a", "c", "b")
    assert sorted(taken(unread, "a", 10)) == ["a", "b", "c"]
    assert len(unread) == 0
