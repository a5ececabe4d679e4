"""Failures as text."""

from __future__ import annotations

from pymonik import TaskFailedError
from pymonik.code.failure import Failure, readable


def test_an_exception_goes_through_text():
    try:
        raise ValueError("wrong")
    except ValueError as error:
        text = Failure.of(error).to_text()
    failure = Failure.from_text(f"Task 123 failed: {text}")
    assert failure is not None
    restored = failure.to_exception("t", "r")
    assert isinstance(restored, ValueError)
    assert isinstance(restored.__cause__, TaskFailedError)
    assert "ValueError: wrong" in readable(text)
    assert Failure.from_text("something else") is None


def test_an_exception_that_cannot_be_read_back_travels_as_text():
    class Odd(Exception):  # noqa: N818 - as a user may name it
        def __init__(self, a, b):
            super().__init__(a)

    restored = Failure.of(Odd("a", "b")).to_exception("t")
    assert type(restored) is TaskFailedError
    assert "Odd: a" in str(restored)
