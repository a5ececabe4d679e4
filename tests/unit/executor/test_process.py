"""An executor that cannot be started leaves nothing open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pymonik.executor import process
from pymonik.executor.process import ExecutorProcess


def refuse(*_: object, **__: object) -> NoReturn:
    raise OSError("no more processes")


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize(("owner", "name"), [(process, "_start"), (os, "memfd_create")])
def test_what_was_opened_is_closed_when_the_system_refuses(
    owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, refuse)
    before = open_files()
    with pytest.raises(OSError, match="no more processes"):
        ExecutorProcess()
    assert open_files() == before
