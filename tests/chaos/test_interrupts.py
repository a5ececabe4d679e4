"""Interrupts and signal handlers at any moment, in any call of the client: the next call works.

``PYMONIK_CHAOS_INTERRUPTS`` is how many each test makes.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, PymonikError, ResultHandle, as_completed, task

if TYPE_CHECKING:
    import random

# An interrupt inside of a finalizer is swallowed by Python, with a word.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

INTERRUPTS = int(os.environ.get("PYMONIK_CHAOS_INTERRUPTS") or 400)
WAIT_S = 60.0
MOST_THREADS = 30
KINDS = 8  # of `work`
HANG_S = 300.0  # after which the stacks of all threads are printed, and the tests end


@task
def add(a: int, b: int) -> int:
    return a + b


class InterruptError(BaseException):
    """What a handler raises, as that of Ctrl-C does."""


class Handler:
    """Does in a signal handler what a program may do there; raises, or returns."""

    def __init__(self, rng: random.Random, client: Pymonik) -> None:
        self._rng = rng
        self._client = client
        self._kept: list[ResultHandle[int]] = []  # read in handlers
        self.done: dict[str, int] = {}
        self.kinds: dict[str, Callable[[Pymonik, ResultHandle[int]], object]] = {
            "read": lambda _, handle: handle.get(timeout=WAIT_S),
            "invoke": lambda client, _: add.invoke(1, 1, pymonik=client).get(timeout=WAIT_S),
            "map": lambda client, _: add.map_invoke([(1, 2)] * 3, pymonik=client).get(WAIT_S),
            "cancel": lambda client, _: add.invoke(1, 1, pymonik=client).cancel(),
            "put": lambda client, _: client.put(1),
            "look": lambda client, handle: (repr(handle), list(client.runs)),
        }

    def __call__(self) -> None:
        if self._rng.random() < 0.5:
            kind = self._rng.choice(list(self.kinds))
            self.kinds[kind](self._client, self._rng.choice(self._kept))
            self.done[kind] = self.done.get(kind, 0) + 1
            if self._rng.random() < 0.5:
                return
        raise InterruptError

    def keep(self, handle: ResultHandle[int]) -> None:
        """Handlers may read it."""
        self._kept = [*self._kept[-9:], handle]


def raise_interrupt() -> None:
    raise InterruptError


class Bell:
    """The alarm of the system: rings once, if what it was wound up for still goes on then."""

    def __init__(self, rng: random.Random, handler: Callable[[], object]) -> None:
        self._rng = rng
        self._handler = handler
        self._is_wound = False
        self.hits = 0

    def _ring(self, *_: object) -> None:
        if self._is_wound:  # else it rang while it was being stopped
            self._is_wound = False
            self.hits += 1
            self._handler()

    def __enter__(self) -> Bell:
        self._before = signal.signal(signal.SIGALRM, self._ring)
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGALRM, self._before)
        faulthandler.cancel_dump_traceback_later()

    def during(self, work: Callable[[], object], least_s: float, most_s: float) -> None:
        """Have it ring while ``work`` goes on; what the handler raises ends here."""
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        try:
            self._is_wound = True
            signal.setitimer(signal.ITIMER_REAL, self._rng.uniform(least_s, most_s))
            work()
            self._is_wound = False
        except InterruptError:
            pass
        finally:
            self._is_wound = False
            signal.setitimer(signal.ITIMER_REAL, 0)


class Finalized:
    """Submits and waits when it is collected, in whatever thread that is."""

    def __init__(self, client: Pymonik) -> None:
        self.client, self.cycle = client, self

    def __del__(self) -> None:
        # The session may have ended, and in our own threads waiting is refused.
        with contextlib.suppress(PymonikError):
            add.invoke(1, 1, pymonik=self.client).get(timeout=WAIT_S)


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


def work(client: Pymonik, number: int, keep: Callable[[ResultHandle[int]], object] = id) -> None:
    kind = number % KINDS
    if kind == 0:
        handle = add.invoke(number, 1, pymonik=client)
        keep(handle)
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


def work_in_a_block(client: Pymonik, number: int) -> None:
    with client:
        assert add.invoke(number, 1).get(timeout=WAIT_S) == number + 1


def work_for_ever(client: Pymonik) -> None:
    for number in itertools.count():
        work(client, number)


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gRPC"])
def test_an_interrupt_anywhere_leaves_a_client_that_works(rng: random.Random, direct: bool) -> None:
    with LocalCluster(workers=2) as cluster, Pymonik(cluster, direct=direct) as client:
        handler = Handler(rng, client)
        handler.keep(add.invoke(1, 1))
        # A handler that imports what it has interrupted the import of gets an ImportError.
        for kind in range(KINDS):
            work(client, kind)
        for do in handler.kinds.values():
            do(client, add.invoke(1, 1))
        with Bell(rng, handler) as bell:
            for number in range(INTERRUPTS):
                bell.during(partial(work, client, number, handler.keep), 0.0001, 0.015)
                if number % 50 == 0:
                    fork(client)
                    assert add.invoke(number, 1).get(timeout=WAIT_S) == number + 1
        client.session.wait_for_all()
    sys.stdout.write(f"{bell.hits} interrupts of {INTERRUPTS}, {handler.done}\n")
    assert bell.hits > INTERRUPTS // 20


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gRPC"])
def test_a_client_whose_opening_and_closing_are_interrupted_can_be_used_again(
    rng: random.Random, direct: bool
) -> None:
    with LocalCluster(workers=1) as cluster, Bell(rng, raise_interrupt) as bell:
        for number in range(INTERRUPTS // 4):
            client: Any = Pymonik(cluster, direct=direct)
            bell.during(partial(work_in_a_block, client, number), 0.0005, 0.03)
            client.close(wait=False)
        with Pymonik(cluster, direct=direct):
            assert add.invoke(1, 1).get(timeout=WAIT_S) == 2
    sys.stdout.write(f"{bell.hits} interrupts\n")
    assert bell.hits > INTERRUPTS // 80
    gc.collect()  # sessions whose opening was interrupted
    end = time.monotonic() + WAIT_S
    while threading.active_count() >= MOST_THREADS and time.monotonic() < end:
        time.sleep(0.1)  # threads of requests leave when they have been idle for a second
    left = [thread.name for thread in threading.enumerate()]
    assert len(left) < MOST_THREADS, left


@pytest.mark.slow
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gRPC"])
def test_a_signal_handler_that_closes_or_cancels_the_session(
    rng: random.Random, direct: bool
) -> None:
    """Whoever waits then is told."""
    with LocalCluster(workers=1) as cluster:
        for _ in range(INTERRUPTS // 8):
            client = Pymonik(cluster, direct=direct).create()

            def end(client: Pymonik = client) -> None:
                client.close(wait=False) if rng.random() < 0.5 else client.cancel()

            with (
                Bell(rng, end) as bell,
                pytest.raises(PymonikError, match=r"cancelled|closed"),
            ):
                bell.during(partial(work_for_ever, client), 0.0001, 0.02)
            client.close(wait=False)
