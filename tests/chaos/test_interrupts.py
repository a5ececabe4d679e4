"""Interrupts and signal handlers at any moment, in any call of the client: the next call works.

``PYMONIK_CHAOS_INTERRUPTS`` is how many each test makes.
"""

from __future__ import annotations

import faulthandler
import gc
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, PymonikError, ResultHandle, as_completed, task

if TYPE_CHECKING:
    import random

# An interrupt inside of a finalizer is swallowed by Python, with a word.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

INTERRUPTS = int(os.environ.get("PYMONIK_CHAOS_INTERRUPTS") or 400)
WAIT_S = 60.0
HANG_S = 300.0  # after which the stacks of all threads are printed, and the tests end


@task
def add(a: int, b: int) -> int:
    return a + b


class InterruptError(BaseException):
    """What a handler raises, as that of Ctrl-C does."""


class Alarm:
    """Rings after a random time, and does in the signal handler what a program may do there."""

    def __init__(self, rng: random.Random, client: Pymonik | None = None) -> None:
        self._rng = rng
        self._client = client
        self._kept: list[ResultHandle[int]] = []  # read in handlers
        self.hits = 0
        self.done: dict[str, int] = {}
        self._kinds: dict[str, Callable[[Pymonik, ResultHandle[int]], object]] = {
            "read": lambda _, handle: handle.get(timeout=WAIT_S),
            "invoke": lambda client, _: add.invoke(1, 1, pymonik=client).get(timeout=WAIT_S),
            "map": lambda client, _: add.map_invoke([(1, 2)] * 3, pymonik=client).get(WAIT_S),
            "cancel": lambda client, _: add.invoke(1, 1, pymonik=client).cancel(),
            "put": lambda client, _: client.put(1),
            "look": lambda client, handle: (repr(handle), list(client.runs)),
        }

    def __call__(self, *_: object) -> None:
        self.hits += 1
        if self._client is not None and self._kept and self._rng.random() < 0.5:
            kind = self._rng.choice(list(self._kinds))
            self._kinds[kind](self._client, self._rng.choice(self._kept))
            self.done[kind] = self.done.get(kind, 0) + 1
            if self._rng.random() < 0.5:
                return
        raise InterruptError

    def keep(self, handle: ResultHandle[int]) -> None:
        """Handlers may read it."""
        self._kept = [*self._kept[-9:], handle]


@contextmanager
def within(rng: random.Random, least_s: float, most_s: float) -> Iterator[None]:
    """The alarm rings once, if this still goes on then; what the handler raises ends here."""
    try:
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(least_s, most_s))
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)
    except InterruptError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def ringing(alarm: Callable[..., object]) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, alarm)
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


class Finalized:
    """Submits and waits when it is collected, in whatever thread that is."""

    def __init__(self, client: Pymonik) -> None:
        self.client, self.cycle = client, self

    def __del__(self) -> None:
        handle = add.invoke(1, 1, pymonik=self.client)
        if threading.current_thread() is threading.main_thread():
            handle.get(timeout=WAIT_S)


def fork(client: Pymonik) -> None:
    """A child that drops everything, as `multiprocessing` and `subprocess` make them."""
    pid = os.fork()
    if pid == 0:
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            gc.collect()
            client.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def call_back(client: Pymonik, number: int) -> None:
    told = threading.Event()
    handle = add.invoke(number, 1, pymonik=client)
    handle.add_done_callback(lambda _: told.set())
    assert told.wait(WAIT_S)


def work(client: Pymonik, number: int, alarm: Alarm) -> None:
    kind = number % 8
    if kind == 0:
        handle = add.invoke(number, 1, pymonik=client)
        alarm.keep(handle)
        assert handle.get(timeout=WAIT_S) == number + 1
    elif kind == 1:
        values = add.map_invoke([(n, number) for n in range(3)], pymonik=client).get(WAIT_S)
        assert values == [number, number + 1, number + 2]
    elif kind == 2:
        assert client.put(number).get() == number
    elif kind == 3:
        handle = add.invoke(number, 2, pymonik=client)
        handle.cancel()
        handle.exception(WAIT_S)
    elif kind == 4:
        handles = [add.invoke(n, 1, pymonik=client) for n in range(3)]
        assert sorted(one.get() for one in as_completed(handles, timeout=WAIT_S)) == [1, 2, 3]
    elif kind == 5:
        call_back(client, number)
    elif kind == 6:
        Finalized(client)
        chunked = add.map_invoke([(n, 1) for n in range(50)], pymonik=client, chunk_size=10)
        assert chunked.get(WAIT_S) == list(range(1, 51))
    else:
        add.invoke(number, 1, pymonik=client).wait(timeout=WAIT_S)
        client.session.send()


def work_for_ever(client: Pymonik, rng: random.Random) -> None:
    for number in itertools.count():
        work(client, number, Alarm(rng))


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gRPC"])
def test_an_interrupt_anywhere_leaves_a_client_that_works(rng: random.Random, direct: bool) -> None:
    with LocalCluster(workers=2) as cluster, Pymonik(cluster, direct=direct) as client:
        alarm = Alarm(rng, client)
        add.invoke(1, 1).get(timeout=WAIT_S)
        with ringing(alarm):
            for number in range(INTERRUPTS):
                with within(rng, 0.0001, 0.015):
                    work(client, number, alarm)
                if number % 50 == 0:
                    fork(client)
                    assert add.invoke(number, 1).get(timeout=WAIT_S) == number + 1
                    faulthandler.dump_traceback_later(HANG_S, exit=True)
        client.session.wait_for_all()
    sys.stdout.write(f"{alarm.hits} interrupts of {INTERRUPTS}, {alarm.done}\n")
    assert alarm.hits > INTERRUPTS // 20


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gRPC"])
def test_a_client_whose_opening_and_closing_are_interrupted_can_be_used_again(
    rng: random.Random, direct: bool
) -> None:
    alarm = Alarm(rng)
    with LocalCluster(workers=1) as cluster, ringing(alarm):
        for number in range(INTERRUPTS // 4):
            client: Any = Pymonik(cluster, direct=direct)
            with within(rng, 0.0005, 0.03), client:
                assert add.invoke(number, 1).get(timeout=WAIT_S) == number + 1
            client.close(wait=False)
            faulthandler.dump_traceback_later(HANG_S, exit=True)
        with Pymonik(cluster, direct=direct):
            assert add.invoke(1, 1).get(timeout=WAIT_S) == 2
    assert alarm.hits > INTERRUPTS // 80
    assert threading.active_count() < 30


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gRPC"])
def test_a_signal_handler_that_closes_or_cancels_the_session(
    rng: random.Random, direct: bool
) -> None:
    """Whoever waits then is told."""
    with LocalCluster(workers=1) as cluster:
        for _ in range(INTERRUPTS // 8):
            client = Pymonik(cluster, direct=direct).create()

            def end(*_: object, client: Pymonik = client) -> None:
                client.close(wait=False) if rng.random() < 0.5 else client.cancel()

            with ringing(end), within(rng, 0.0001, 0.02):
                with pytest.raises(PymonikError, match=r"cancelled|closed"):
                    work_for_ever(client, rng)
            client.close(wait=False)
