"""The request that a run ends meets that run and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pymonik.executor.stop_request import StopRequest, page

if TYPE_CHECKING:
    from collections.abc import Iterator

Sides = tuple[StopRequest, StopRequest]


@pytest.fixture
def sides() -> Iterator[Sides]:
    with page() as file:
        parent, executor = StopRequest(file.fileno()), StopRequest(file.fileno())
    yield parent, executor
    parent.close()
    executor.close()


def test_a_running_call_is_to_get_a_signal(sides: Sides) -> None:
    parent, executor = sides
    executor.begin(1)
    assert not executor.is_stopping()
    assert parent.ask(1)
    assert executor.is_stopping()
    assert executor.was_asked(1)


def test_a_call_that_ended_gets_none_and_the_next_does_not_see_it(sides: Sides) -> None:
    parent, executor = sides
    executor.begin(1)
    executor.end()
    assert not parent.ask(1)
    executor.begin(2)
    assert not executor.is_stopping()
    assert not executor.was_asked(2)


def test_a_call_that_has_not_begun_finds_out(sides: Sides) -> None:
    parent, executor = sides
    assert not parent.ask(1)
    executor.begin(1)
    assert executor.was_asked(1)


def test_draining_is_told_and_interrupts_nothing(sides: Sides) -> None:
    parent, executor = sides
    executor.begin(1)
    parent.drain()
    assert executor.is_stopping()
    assert not executor.was_asked(1)
