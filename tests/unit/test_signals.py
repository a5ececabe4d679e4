"""A client that is closed, opened and used by a signal handler while it opens: nothing waits."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import Pymonik
from pymonik.cluster import local
from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")


class _OpenedError(Exception):
    """The client would be open now."""


@pytest.fixture
def handle() -> Iterator[Callable[[Callable[[], object]], list[BaseException]]]:
    """Has something done by the handler of SIGUSR1; gives the errors of it."""
    before = signal.getsignal(signal.SIGUSR1)

    def set_handler(action: Callable[[], object]) -> list[BaseException]:
        errors: list[BaseException] = []

        def run(*_: object) -> None:
            try:
                action()
            except UsageError as error:
                errors.append(error)

        signal.signal(signal.SIGUSR1, run)
        return errors

    yield set_handler
    signal.signal(signal.SIGUSR1, before)


def _opens(*_: Any) -> Any:
    signal.raise_signal(signal.SIGUSR1)
    raise _OpenedError


@pytest.mark.parametrize("use", ["create", "session"])
def test_a_handler_cannot_wait_for_the_client_that_it_interrupted(
    use: str, handle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pymonik.client.opening.open_client", _opens)
    client = Pymonik()
    errors = handle(lambda: client.create() if use == "create" else client.session)
    with pytest.raises(_OpenedError):
        client.create()
    assert len(errors) == 1
    with pytest.raises(_OpenedError):  # and the next attempt is as good as the first
        client.create()


def test_a_handler_may_close_the_client_that_it_interrupted(
    handle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pymonik.client.opening.open_client", _opens)
    client = Pymonik()
    errors = handle(client.close)
    with pytest.raises(_OpenedError):
        client.create()
    assert not errors


def test_a_handler_cannot_wait_for_the_cluster_that_it_interrupted(
    handle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.LocalCluster, "start", _opens)
    shared = local._Shared()
    errors = handle(shared.get)
    with pytest.raises(_OpenedError):
        shared.get()
    assert len(errors) == 1
