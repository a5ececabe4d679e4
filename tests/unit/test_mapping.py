"""`map_invoke`: what comes again is stored once, and a long iterator is not drawn at once."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pymonik import ArgumentsError, SerializationError, Task, UsageError, as_completed
from pymonik.tasks import mapping
from tests.fakes import FakeSession, active

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = 100_000  # bytes


@pytest.fixture
def session() -> Iterator[FakeSession]:
    session = FakeSession()
    with active(session):
        yield session


@Task
def size_plus(data: Any, number: int) -> int:
    return len(data) + number


@Task
def size(data: Any) -> int:
    return len(data)


class Model:
    def __init__(self) -> None:
        self.weights = bytes(LARGE)

    @Task
    def apply(self, number: int) -> int:
        return len(self.weights) + number


@pytest.mark.parametrize("kind", [np.ndarray, bytes, str, list])
def test_a_large_argument_of_several_calls_is_stored_once(session: FakeSession, kind: Any) -> None:
    values = {np.ndarray: np.zeros(LARGE), bytes: b"x" * LARGE, str: "x" * LARGE}
    data = values.get(kind, list(range(LARGE)))
    assert size_plus.map_invoke([(data, n) for n in range(5)]).get() == [
        LARGE + n for n in range(5)
    ]
    assert len(session.stored) == 1
    assert all(call.nbytes < 1000 for call in session.submissions[0].calls)


def test_the_same_large_item_is_stored_once(session: FakeSession) -> None:
    assert size.map_invoke([np.zeros(LARGE)] * 3).get() == [LARGE] * 3
    assert len(session.stored) == 1


def test_a_large_argument_of_all_calls_is_stored_once(session: FakeSession) -> None:
    plus_size = Task(lambda number, data: number + len(data), func_name="plus_size")
    assert plus_size.map_invoke([1, 2], data=np.zeros(LARGE)).get() == [LARGE + 1, LARGE + 2]
    assert len(session.stored) == 1


def test_the_object_of_a_method_is_stored_once(session: FakeSession) -> None:
    assert Model().apply.map_invoke([1, 2, 3]).get() == [LARGE + n for n in (1, 2, 3)]
    assert len(session.stored) == 1


def test_small_and_single_arguments_travel_with_their_calls(session: FakeSession) -> None:
    small = [1, 2, 3]
    assert size_plus.map_invoke([(small, 1), (small, 2)]).get() == [4, 5]
    assert size.map_invoke([np.zeros(LARGE), np.zeros(LARGE)]).get() == [LARGE] * 2
    assert session.stored == []


def test_an_array_that_an_iterator_gives_again_is_taken_as_it_is_then(session: FakeSession) -> None:
    buffer: Any = np.zeros(LARGE, np.uint8)

    def frames() -> Iterator[Any]:
        for number in range(3):
            buffer[:] = number
            yield buffer

    first = Task(lambda data: int(data[0]), func_name="first")
    assert first.map_invoke(frames()).get() == [0, 1, 2]


def test_what_cannot_be_pickled_is_named_with_its_item(session: FakeSession) -> None:
    bad = [b"x" * LARGE, (n for n in "ab")]
    with pytest.raises(SerializationError, match=r"item 0: .*args\[0\]\[1\]"):
        size_plus.map_invoke([(bad, 1), (bad, 2)])
    assert session.submissions == []


def drawn(count: int, seen: list[int]) -> Iterator[int]:
    for number in range(count):
        seen.append(number)
        yield number


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "DRAWN_AT_FIRST", 10)
    monkeypatch.setattr("pymonik.handles.completion._MOST_DRAWN", 10)
    monkeypatch.setattr(mapping, "_DRAWN_TOGETHER", 4)


same = Task(lambda value: value, func_name="same")


@pytest.mark.usefixtures("_short")
def test_a_short_iterator_is_drawn_at_once(session: FakeSession) -> None:
    handles = same.map_invoke(iter(range(9)))
    assert len(handles) == 9
    assert len(session.submissions) == 1


@pytest.mark.usefixtures("_short")
def test_a_long_iterator_is_drawn_as_its_results_are_consumed(session: FakeSession) -> None:
    seen: list[int] = []
    values = []
    for count, handle in enumerate(same.map_invoke(drawn(100, seen)).as_completed()):
        assert len(seen) <= count + 1 + 10 + 4
        values.append(handle.get())
    assert sorted(values) == list(range(100))


@pytest.mark.usefixtures("_short")
def test_handles_that_were_consumed_are_not_kept(session: FakeSession) -> None:
    handles = same.map_invoke(iter(range(100)))
    assert sum(1 for _ in as_completed(handles)) == 100
    with pytest.raises(UsageError, match="list"):
        len(handles)
    with pytest.raises(UsageError, match="list"):
        handles.as_completed()


@pytest.mark.usefixtures("_short")
def test_whatever_else_is_asked_of_them_draws_all(session: FakeSession) -> None:
    assert len(same.map_invoke(iter(range(50)))) == 50
    assert same.map_invoke(iter(range(50))).get() == list(range(50))
    assert same.map_invoke(iter(range(50)))[-1].get() == 49
    handles = same.map_invoke(iter(range(50)))
    assert repr(handles) == "<MultiResultHandle of 10 and more: 10 ok>"
    assert len([handle.get() for handle in handles]) == 50
    assert sum(1 for _ in handles.as_completed()) == 50


@pytest.mark.usefixtures("_short")
def test_a_session_is_told_of_what_was_not_drawn(session: FakeSession) -> None:
    seen: list[int] = []
    same.map_invoke(drawn(50, seen))
    assert len(seen) == 10
    session.drawn.draw_all()
    assert len(seen) == 50


@pytest.mark.usefixtures("_short")
def test_an_item_that_does_not_fit_raises_after_the_results_of_those_before(
    session: FakeSession,
) -> None:
    handles = size_plus.map_invoke((b"", n) if n < 30 else (n,) for n in range(40))
    completed = handles.as_completed()
    assert [next(completed).get() for _ in range(30)] == list(range(30))
    with pytest.raises(ArgumentsError, match="item 30"):
        next(completed)


@pytest.mark.usefixtures("_short")
def test_an_item_among_the_first_that_does_not_fit_raises_before_anything_is_sent(
    session: FakeSession,
) -> None:
    with pytest.raises(ArgumentsError, match="item 3"):
        size_plus.map_invoke((b"", n) if n < 3 else (n,) for n in range(40))
    assert session.submissions == []


@pytest.mark.usefixtures("_short")
def test_an_endless_iterator_ends_with_the_loop_over_its_results(session: FakeSession) -> None:
    for handle in same.map_invoke(itertools.count()).as_completed():
        if handle.get() == 50:
            break
    assert session.drawn.is_exhausted


def test_an_iterator_that_raises_keeps_what_was_drawn_and_says_so_each_time(session, monkeypatch):
    monkeypatch.setattr("pymonik.tasks.mapping.DRAWN_AT_FIRST", 2)

    def items():
        yield from range(5)
        raise KeyError("broken")

    group = same.map_invoke(items())
    for _ in range(3):
        with pytest.raises(KeyError, match="broken"):
            group.get()
    assert len(session.submissions) == 2
    assert sum(len(one.calls) for one in session.submissions) == 5


@pytest.mark.usefixtures("_short")
def test_what_a_session_has_drawn_at_its_end_is_there_for_whoever_asks_later(
    session: FakeSession,
) -> None:
    handles = same.map_invoke(iter(range(50)))
    session.drawn.draw_all()
    assert handles.get() == list(range(50))
    completed = same.map_invoke(iter(range(50))).as_completed()
    first = next(completed).get()
    session.drawn.draw_all()
    assert sorted([first, *(handle.get() for handle in completed)]) == list(range(50))


@pytest.mark.usefixtures("_short")
def test_a_map_whose_drawing_was_interrupted_says_so_each_time(session: FakeSession) -> None:
    def items() -> Iterator[int]:
        yield from range(20)
        raise KeyboardInterrupt

    handles = same.map_invoke(items())
    with pytest.raises(KeyboardInterrupt):
        handles.get()
    for _ in range(2):
        with pytest.raises(UsageError, match="interrupted by KeyboardInterrupt"):
            handles.get()


@pytest.mark.usefixtures("_short")
def test_items_that_ask_for_their_own_map_are_refused(session: FakeSession) -> None:
    found: list[Any] = []

    def items() -> Iterator[int]:
        yield from range(20)
        with pytest.raises(UsageError, match="being drawn"):
            found[0].get()
        yield 20

    found.append(same.map_invoke(items()))
    assert found[0].get() == list(range(21))


def test_a_list_that_was_meant_as_the_arguments_is_told(session: FakeSession) -> None:
    two = Task(lambda first, second: first, func_name="two")
    with pytest.raises(ArgumentsError, match=r"item 0: two\(\).*a tuple holds the 2 arguments"):
        two.map_invoke([[1, 2]])
    with pytest.raises(ArgumentsError, match=r"item 0: two\(\)[^;]*$"):
        two.map_invoke([[1, 2, 3]])
