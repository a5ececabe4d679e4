"""Memory is given back once it is calm."""

from __future__ import annotations

import queue
import threading

import pytest

from pymonik.cluster import freed_memory

WAIT_S = 20.0


@pytest.fixture
def given_back(monkeypatch: pytest.MonkeyPatch) -> queue.SimpleQueue[int]:
    """Gets the threads that gave memory back."""
    threads = queue.SimpleQueue[int]()
    monkeypatch.setattr(freed_memory, "give_back", lambda: threads.put(threading.get_ident()))
    monkeypatch.setattr(freed_memory, "CALM_S", 0.001)
    return threads


def test_memory_is_given_back_each_time_it_is_asked_for(
    given_back: queue.SimpleQueue[int],
) -> None:
    giving_back = freed_memory.GivingBack()
    giving_back.start()
    for _ in range(3):
        giving_back.ask()
        assert given_back.get(timeout=WAIT_S) != threading.get_ident()  # whoever asks goes on
    giving_back.stop()


def test_it_is_not_given_back_before_it_is_calm(
    given_back: queue.SimpleQueue[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freed_memory, "CALM_S", 3600.0)
    giving_back = freed_memory.GivingBack()
    giving_back.start()
    giving_back.ask()
    giving_back.stop()  # does not wait for that
    assert given_back.empty()


def test_what_was_never_started_can_be_stopped() -> None:
    freed_memory.GivingBack().stop()


def test_giving_back_works_on_this_system() -> None:
    freed_memory.give_back()
