"""A heavy function or argument is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.code.packed_function import PackedFunction, pack_function
from pymonik.session.protocol import Submission
from pymonik.session.weights import Weights
from pymonik.tasks.task import Task
from tests.unit.session.fakes import FUNCTION, call

if TYPE_CHECKING:
    import pytest


def test_heavy_arguments_are_told_once_for_each_function(caplog: pytest.LogCaptureFixture) -> None:
    weights = Weights()
    for _ in range(2):
        weights.look(Submission(FUNCTION, [call(), call(nbytes=12_000_000)]))
    (record,) = caplog.records
    assert "the arguments of a call of f: 12 MB" in record.getMessage()
    weights.look(Submission(PackedFunction("id2", "g", b""), [call(nbytes=11_000_000)]))
    assert len(caplog.records) == 2


def test_a_heavy_function_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Weights().look(Submission(PackedFunction("id", "f", bytes(11_000_000)), [call()]))
    (record,) = caplog.records
    assert "the function f with the globals" in record.getMessage()
    assert "11 MB" in record.getMessage()


def test_the_largest_of_its_globals_is_named_and_it_is_one_function_while_it_is_unchanged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table, small = bytes(12_000_000), bytes(1_000_000)

    def lookup(place: int) -> int:
        return table[place] + small[place]

    first, second = (pack_function(Task(lookup, func_name="lookup"), "lookup") for _ in range(2))
    weights = Weights()
    for packed in (first, second):
        weights.look(Submission(packed, [call()]))
    (record,) = caplog.records
    assert "of which variable 'table' is the largest" in record.getMessage()
    assert "put" in record.getMessage()
    assert first.content_id == second.content_id  # a session sends each content once


def test_light_calls_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    Weights().look(Submission(FUNCTION, [call(nbytes=9_000_000)]))
    assert not caplog.records
