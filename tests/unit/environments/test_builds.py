"""Environments tell when they are settled, whichever way they came to be."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from pymonik.environments import builds
from pymonik.environments.builds import Environments
from pymonik.environments.not_ready import NotReady
from pymonik.errors import EnvironmentSetupError
from pymonik.wire.environment import Environment

WAIT_S = 10.0


def test_who_looked_while_another_found_the_folder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    is_looking, may_find = threading.Event(), threading.Event()
    folder: Any = SimpleNamespace(path="/folder", is_there=lambda: True, close=lambda: None)

    def in_cache(environment: Environment) -> Any:
        is_looking.set()
        assert may_find.wait(WAIT_S)
        return folder

    monkeypatch.setattr(builds, "_in_cache", in_cache)
    told: list[str] = []
    environments = Environments(on_settled=told.append)
    wanted = Environment(pip=("six",))
    first = threading.Thread(target=environments.path, args=(wanted, lambda _: b""))
    first.start()
    assert is_looking.wait(WAIT_S)
    with pytest.raises(NotReady):
        environments.path(wanted, lambda _: b"")
    may_find.set()
    first.join(WAIT_S)

    assert told == [wanted.packages_id]


def test_a_cache_that_cannot_be_read_fails_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_cache(environment: Environment) -> Any:
        raise ValueError("the note is garbage")

    monkeypatch.setattr(builds, "_in_cache", in_cache)
    told: list[str] = []
    environments = Environments(on_settled=told.append)
    wanted = Environment(pip=("six",))
    with pytest.raises(EnvironmentSetupError, match="garbage"):
        environments.path(wanted, lambda _: b"")
    assert told == [wanted.packages_id]
