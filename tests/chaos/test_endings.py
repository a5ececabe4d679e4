"""SIGTERM at random moments: clusters and workers end, with all that they started.

``PYMONIK_CHAOS_ENDINGS`` is how often each.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pymonik import LocalCluster, Pymonik, PymonikError, task
from tests.chaos.conftest import MARK
from tests.chaos.troubles import below
from tests.chaos.work import number_of_probe, wheel

if TYPE_CHECKING:
    import random

ENDINGS = int(os.environ.get("PYMONIK_CHAOS_ENDINGS") or 8)
LIMIT_S = 60.0


@task
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def shown(process: psutil.Process) -> dict[str, object]:
    return process.as_dict(["pid", "status", "cmdline", "ppid"])


@contextmanager
def none_left(mark: str) -> Iterator[None]:
    yield
    _, alive = psutil.wait_procs(marked(mark), timeout=LIMIT_S)
    assert not alive, list(map(shown, alive))


def short_work(client: Pymonik, _: Path, __: int) -> None:
    nap.map_invoke([(0.01,)] * 500, pymonik=client).exceptions(LIMIT_S)


def long_work(client: Pymonik, _: Path, __: int) -> None:
    nap.invoke(LIMIT_S, pymonik=client).exception(LIMIT_S)


def build(client: Pymonik, folder: Path, number: int) -> None:
    """An environment that nobody has built before."""
    packages = [str(wheel(folder, str(number)))]
    number_of_probe.invoke(pymonik=client, pmk_environment=packages).exception(LIMIT_S)


KINDS: list[Callable[[Pymonik, Path, int], None]] = [short_work, long_work, build]


def work(endpoint: str, folder: Path, number: int) -> threading.Thread:
    """A client in a thread, which goes on until nobody answers any more."""

    def run() -> None:
        with suppress(PymonikError, TimeoutError):
            client = Pymonik(endpoint, unavailable_timeout=1).create()
            try:
                KINDS[number % len(KINDS)](client, folder, number)
            finally:
                client.close(wait=False)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_the_command_ends_at_a_signal_whatever_it_does(
    rng: random.Random, mark: str, short_path: Path, tmp_path: Path
) -> None:
    for number in range(ENDINGS):
        folder = short_path / str(number)
        folder.mkdir()
        arguments = ["--workers", "1", "--socket", str(folder / "s"), "--folder", str(folder)]
        arguments += ["--drain", rng.choice(["0", "0.5"]), "--grace", "0.2"]
        with none_left(mark):
            process = subprocess.Popen(
                [sys.executable, "-m", "pymonik", "cluster", *arguments], stdout=subprocess.DEVNULL
            )
            client = work(f"unix:{folder / 's'}", tmp_path, number)
            time.sleep(rng.uniform(0.0, 4.0))
            process.send_signal(signal.SIGTERM)
            if rng.random() < 0.5:
                time.sleep(rng.uniform(0.0, 0.5))
                process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)
            client.join(LIMIT_S)
            assert not client.is_alive()


@pytest.mark.slow
def test_an_embedded_cluster_ends_at_a_signal_whatever_it_does(
    rng: random.Random, mark: str, tmp_path: Path
) -> None:
    for number in range(ENDINGS):
        with none_left(mark):
            cluster = LocalCluster(workers=1, grace_s=0.2).start()
            process = psutil.Process(cluster.pid)
            client = work(cluster.endpoint, tmp_path, number)
            time.sleep(rng.uniform(0.0, 2.0))
            drain = threading.Thread(target=drained, args=(cluster,), daemon=True)
            if rng.random() < 0.5:
                drain.start()
                time.sleep(rng.uniform(0.0, 0.5))
            process.terminate()
            process.wait(LIMIT_S)
            client.join(LIMIT_S)
            assert not client.is_alive()
            if drain.ident is not None:
                drain.join(LIMIT_S)
                assert not drain.is_alive()
            cluster.stop()


def drained(cluster: LocalCluster) -> None:
    with suppress(PymonikError):
        cluster.drain(10 * LIMIT_S)


def terminate_all(pids: list[int], word: str) -> list[psutil.Process]:
    """Send SIGTERM once to each process whose command line has ``word``; those that do not end.

    They are looked for again until all have ended: what has been sent the signal may have become
    the supervisor of what was to end, and a supervisor leaves the signal to its owner.
    """
    roots = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    seen = set(roots)
    told: set[int] = set()
    alive = list(roots)
    end = time.monotonic() + LIMIT_S
    while alive and time.monotonic() < end:
        for pid in {root.pid for root in roots}.union(*(below(root.pid, word) for root in roots)):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                seen.update([process, *process.children(recursive=True)])
                if pid not in told:
                    told.add(pid)
                    process.terminate()
        _, alive = psutil.wait_procs(seen, timeout=0.05)
    return alive


@pytest.mark.slow
def test_workers_end_at_a_signal_whatever_they_do(
    rng: random.Random, mark: str, tmp_path: Path
) -> None:
    worker = [sys.executable, "-m", "pymonik.worker"]
    with none_left(mark), LocalCluster(workers=1, worker=worker) as cluster:
        for number in range(ENDINGS):
            client = work(cluster.endpoint, tmp_path, number)
            time.sleep(rng.uniform(0.0, 3.0))
            alive = terminate_all(below(cluster.pid, "pymonik.worker"), "pymonik.worker")
            assert not alive, list(map(shown, alive))
            del client  # its call is tried again by the next worker
