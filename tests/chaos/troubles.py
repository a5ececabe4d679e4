"""Troubles that come at random moments, from a seed, while a program works."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import psutil

PAUSE_S = (0.2, 2.5)  # between troubles: an executor that is started must get to run something

Trouble = Callable[[random.Random], None]


class Troubles(threading.Thread):
    """Makes one of several kinds of trouble after the other, until it is told to stop.

    Args:
        kinds: What there is to choose from, by name.
        rng: Decides what comes when.

    Attributes:
        made: How often which kind came.
        error: What one of them raised that is no part of it.
    """

    def __init__(self, kinds: Mapping[str, Trouble], rng: random.Random) -> None:
        super().__init__(name="troubles", daemon=True)
        self._kinds = kinds
        self._rng = rng
        self._stop_now = threading.Event()
        self.made: dict[str, int] = {}
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._stop_now.wait(self._rng.uniform(*PAUSE_S)):
                name = self._rng.choice(list(self._kinds))
                self._kinds[name](self._rng)
                self.made[name] = self.made.get(name, 0) + 1
        except BaseException as error:  # noqa: BLE001 - the test must see it
            self.error = error

    def __enter__(self) -> Troubles:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_now.set()
        self.join(30)
        assert not self.is_alive()
        assert self.error is None, self.error


def below(pid: int, *words: str) -> list[int]:
    """Processes below ``pid`` whose command line has one of the words."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(word in part for part in process.cmdline() for word in words):
                    found.append(process.pid)
    return found


def kills(cluster_pid: int, *words: str, how: signal.Signals = signal.SIGKILL) -> Trouble:
    """Sends a signal to one of the processes that have one of the words in their command line."""

    def kill(rng: random.Random) -> None:
        if pids := below(cluster_pid, *words):
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(pids), how)

    return kill


def stops(find: Callable[[], Sequence[int]]) -> Trouble:
    """Stops a process for a while, after which it goes on."""

    def stop(rng: random.Random) -> None:
        if pids := find():
            with stopped(rng.choice(pids)):
                time.sleep(rng.uniform(0.01, 1.0))

    return stop


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
