"""Ancestors of tasks: what they tell, and what a chain of subtasks keeps of them."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from pymonik.cluster.state.ancestors import Ancestors

if TYPE_CHECKING:
    from collections.abc import Sequence


def chain(length: int) -> list[Sequence[str]]:
    ancestors: list[Sequence[str]] = [("session",)]
    for number in range(length):
        ancestors.append(Ancestors(ancestors[-1], f"task {number}"))
    return ancestors


def test_ancestors_are_told_from_the_session_on() -> None:
    ancestors = chain(3)[-1]
    assert list(ancestors) == ["session", "task 0", "task 1", "task 2"]
    assert (len(ancestors), ancestors[-1], ancestors[0]) == (4, "task 2", "session")
    assert ancestors[1:3] == ("task 0", "task 1")
    assert "task 1" in ancestors
    with pytest.raises(IndexError):
        ancestors[4]


def test_a_chain_keeps_each_task_once() -> None:
    tracemalloc.start()
    try:
        kept = chain(4_000)
        nbytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept[-1]) == 4_001
    assert nbytes < 4_000 * 500  # lists of their own would take 64 MB


def test_a_long_chain_goes_without_recursion() -> None:
    kept = chain(200_000)
    del kept[:-1]
    kept.clear()
