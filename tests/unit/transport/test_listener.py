from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from pymonik.transport.listener import Listener

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_process_that_listens_is_alive_and_one_that_is_gone_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"
    listener = Listener(f"unix://{path}", patience_s=30)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert listener.is_alive()
    assert listener.is_alive(), "it may be started again"
    start = time.monotonic()
    for later in (8, 16, 24):
        monkeypatch.setattr(time, "monotonic", lambda: start + later)  # noqa: B023 - used at once
        assert listener.is_alive()
    monkeypatch.setattr(time, "monotonic", lambda: start + 31)
    assert not listener.is_alive()
    path.unlink()
    assert not listener.is_alive()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert listener.is_alive()


def test_a_second_restart_has_as_much_time_as_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener(f"unix://{tmp_path}/absent", patience_s=30)
    start = time.monotonic()
    assert listener.is_alive()
    monkeypatch.setattr(time, "monotonic", lambda: start + 3600)  # it answered in between
    assert listener.is_alive()
    monkeypatch.setattr(time, "monotonic", lambda: start + 3605)
    assert listener.is_alive()
