"""An interrupt at any moment, in any call of the client: the next call works."""

from __future__ import annotations

import faulthandler
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, task

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

# An interrupt inside of a finalizer is swallowed by Python, with a word.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

INTERRUPTS = int(os.environ.get("PYMONIK_CHAOS_INTERRUPTS") or 400)
WAIT_S = 30.0


@task
def add(a: int, b: int) -> int:
    return a + b


class InterruptError(BaseException):
    """What a handler raises, as that of Ctrl-C does."""


@pytest.fixture
def alarms() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise InterruptError

    before = signal.signal(signal.SIGALRM, ring)
    faulthandler.dump_traceback_later(300, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


def work(client: Pymonik, number: int) -> None:
    kind = number % 4
    if kind == 0:
        assert add.invoke(number, 1, pymonik=client).get(timeout=WAIT_S) == number + 1
    elif kind == 1:
        values = add.map_invoke([(n, number) for n in range(3)], pymonik=client).get(WAIT_S)
        assert values == [number, number + 1, number + 2]
    elif kind == 2:
        assert client.put(number).get() == number
    else:
        handle = add.invoke(number, 2, pymonik=client)
        handle.cancel()
        handle.exception(WAIT_S)


@pytest.mark.parametrize("direct", [True, False])
def test_an_interrupt_anywhere_leaves_a_client_that_works(
    rng: random.Random, alarms: None, direct: bool
) -> None:
    hits = 0
    with LocalCluster(workers=2) as cluster, Pymonik(cluster, direct=direct) as client:
        add.invoke(1, 1).get(timeout=WAIT_S)
        for number in range(INTERRUPTS):
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0001, 0.005))
                work(client, number)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except InterruptError:
                hits += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            if number % 50 == 0:
                assert add.invoke(number, 1).get(timeout=WAIT_S) == number + 1
        client.session.wait_for_all()
    assert hits > INTERRUPTS // 20


def test_a_client_whose_opening_and_closing_are_interrupted_can_be_used_again(
    rng: random.Random, alarms: None
) -> None:
    with LocalCluster(workers=1) as cluster:
        for number in range(INTERRUPTS // 10):
            client: Any = Pymonik(cluster)
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0005, 0.03))
                with client:
                    assert add.invoke(number, 1).get(timeout=WAIT_S) == number + 1
                signal.setitimer(signal.ITIMER_REAL, 0)
            except InterruptError:
                client.cancel()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        with Pymonik(cluster):
            assert add.invoke(1, 1).get(timeout=WAIT_S) == 2
