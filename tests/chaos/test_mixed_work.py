"""Work of every kind while processes are killed and stopped, and networks break.

``PYMONIK_CHAOS_SECONDS`` is how long each test goes on; a seed that was printed can be given again.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from pymonik import LocalCluster, Pymonik, PymonikError
from tests.chaos.troubles import Trouble, Troubles, below, kills, stops
from tests.chaos.work import Work
from tests.integration.odd.work import PATIENCE_S, add, nap
from tests.odd_plane.network import Network
from tests.odd_plane.plane import Oddities, Plane

SECONDS = float(os.environ.get("PYMONIK_CHAOS_SECONDS") or 20)
EXECUTOR = "pymonik.executor"
WORKER = [sys.executable, "-m", "pymonik.worker"]
RETRIES = 200  # a call that is killed again and again is none that fails


@contextmanager
def nothing_left(cluster: LocalCluster) -> Iterator[None]:
    """What the cluster has started ends with it."""
    yield
    started = [psutil.Process(pid) for pid in below(cluster.pid, "")]
    cluster.stop()
    _, alive = psutil.wait_procs(started, timeout=PATIENCE_S)
    assert not alive


class Interrupts:
    """Interrupts what the main thread does with a client, as Ctrl-C does."""

    def __init__(self) -> None:
        self._is_working = False

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGALRM, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGALRM, self._before)

    def _interrupt(self, *_: object) -> None:
        if self._is_working:
            self._is_working = False
            raise KeyboardInterrupt

    def trouble(self, _: random.Random) -> None:
        os.kill(os.getpid(), signal.SIGALRM)

    def work(self, client: Pymonik) -> None:
        """Calls, one after the other."""
        with suppress(KeyboardInterrupt):
            self._is_working = True
            assert add.map_invoke([(n, 1) for n in range(5)], pymonik=client).get(PATIENCE_S) == [
                *range(1, 6)
            ]
            assert nap.invoke(0.1, pymonik=client).get(PATIENCE_S) == 0.1
            self._is_working = False


def work_on(client: Pymonik, folder: Path, rng: random.Random, interrupts: Interrupts) -> int:
    """Rounds of work in a thread, and beside them calls that are interrupted; how many rounds."""
    work, end = Work(folder, rng), time.monotonic() + SECONDS

    def rounds() -> int:
        done = 0
        while time.monotonic() < end:
            work.do(client)
            done += 1
        return done

    with ThreadPoolExecutor(1) as threads:
        rounds_done = threads.submit(rounds)
        while not rounds_done.done():
            interrupts.work(client)
        return rounds_done.result()


def tell(rounds: int, troubles: Troubles) -> None:
    sys.stdout.write(f"{rounds} rounds, {troubles.made}\n")


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gRPC"])
def test_executors_that_are_killed_and_stopped(
    rng: random.Random, tmp_path: Path, direct: bool
) -> None:
    with (
        Interrupts() as interrupts,
        LocalCluster(workers=2) as cluster,
        nothing_left(cluster),
        Pymonik(cluster, direct=direct, max_retries=RETRIES) as client,
    ):
        kinds = {
            "executor killed": kills(cluster.pid, EXECUTOR),
            "executor stopped": stops(lambda: below(cluster.pid, EXECUTOR)),
            "cluster stopped": stops(lambda: [cluster.pid]),
            "interrupt": interrupts.trouble,
        }
        with Troubles(kinds, rng) as troubles:
            rounds = work_on(client, tmp_path, rng, interrupts)
        tell(rounds, troubles)


def networks(network: Network, plane: Plane) -> dict[str, Trouble]:
    def cut(_: random.Random) -> None:
        network.cut()

    def hold(rng: random.Random) -> None:
        network.hold()
        time.sleep(rng.uniform(0.1, 3.0))
        network.go_on()

    def refuse(rng: random.Random) -> None:
        network.refuse()
        time.sleep(rng.uniform(0.1, 3.0))
        network.accept()

    def go_away(rng: random.Random) -> None:
        plane.go_away()
        time.sleep(rng.uniform(0.1, 3.0))
        plane.come_back()

    def delay(rng: random.Random) -> None:
        network.delay_s = rng.choice([0.0, 0.005, 0.05])

    return {"cut": cut, "held": hold, "refused": refuse, "away": go_away, "delay": delay}


@pytest.mark.parametrize("polls", [False, True], ids=["stream", "polls"])
def test_networks_that_break_and_workers_that_are_killed(
    rng: random.Random, tmp_path: Path, polls: bool
) -> None:
    oddities = Oddities(late_s=0.1, is_doubled=True, is_shuffled=True, pod_max=100)
    with (
        Interrupts() as interrupts,
        LocalCluster(workers=2, worker=WORKER) as cluster,
        nothing_left(cluster),
        Plane(cluster.endpoint, oddities, rng.randrange(2**32)) as plane,
        Network(plane.endpoint) as network,
        Pymonik(network.endpoint, disable_events_client=polls, max_retries=RETRIES) as client,
    ):
        kinds = {
            **networks(network, plane),
            "executor killed": kills(cluster.pid, EXECUTOR),
            "worker killed": kills(cluster.pid, "pymonik.worker"),
            "worker asked to end": kills(cluster.pid, "pymonik.worker", how=signal.SIGTERM),
            "interrupt": interrupts.trouble,
        }
        with Troubles(kinds, rng) as troubles:
            rounds = work_on(client, tmp_path, rng, interrupts)
        tell(rounds, troubles)


ENDINGS: dict[str, Callable[[LocalCluster], None]] = {
    "killed": lambda cluster: psutil.Process(cluster.pid).kill(),
    "asked to end": lambda cluster: psutil.Process(cluster.pid).terminate(),
}


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "gRPC"])
@pytest.mark.parametrize("how", ENDINGS)
def test_a_cluster_that_ends_in_the_middle(rng: random.Random, how: str, direct: bool) -> None:
    for _ in range(max(1, int(SECONDS / 10))):
        cluster = LocalCluster(workers=2).start()
        started = [psutil.Process(pid) for pid in (cluster.pid, *below(cluster.pid, ""))]
        client = Pymonik(cluster, direct=direct).create()
        handles = nap.map_invoke([(0.01,)] * 2000, pymonik=client)
        time.sleep(rng.uniform(0.0, 1.0))
        ENDINGS[how](cluster)
        handles.exceptions(PATIENCE_S)
        ended = handles.counts
        assert ended["ok"] + ended["failed"] + ended["cancelled"] == 2000
        with suppress(PymonikError):  # nobody is there to close it
            client.close()
        cluster.stop()
        _, alive = psutil.wait_procs(started, timeout=PATIENCE_S)
        assert not alive
