"""A heavy function or argument is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.code.packed_function import PackedFunction
from pymonik.session.protocol import Submission
from pymonik.session.weights import Weights
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


def test_light_calls_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    Weights().look(Submission(FUNCTION, [call(nbytes=9_000_000)]))
    assert not caplog.records
