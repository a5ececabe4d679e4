"""Threads are tried before gRPC needs them."""

from __future__ import annotations

import threading

import pytest

from pymonik.errors import ConfigError
from pymonik.launch import threads


def test_enough_threads_are_no_error_and_end() -> None:
    threads.check(5)
    assert not [one for one in threading.enumerate() if one.name.startswith("trial")]


def test_a_system_that_refuses_is_told_with_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    granted = iter([None] * 3)

    def refuse(thread: threading.Thread) -> None:
        if next(granted, False) is False:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(ConfigError, match=r"the system grants 3 of 5 threads .* processes"):
        threads.check(5)
