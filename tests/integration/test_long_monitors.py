"""Monitors that go on for long: what they leave behind, and who dies meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pymonik import LocalCluster, Pymonik, monitor

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 60
WORKER = [sys.executable, "-m", "pymonik.worker"]


@monitor(every=0.0005, max_retries=10)
def tick(context: Any, last: int, size: int, each: int) -> None:
    context.state["turns"] = context.state.get("turns", 0) + 1
    context.state["data"] = os.urandom(size)
    if context.count % each == 0:
        context.report(turns=context.state["turns"], pid=os.getpid())
    if context.count == last:
        context.stop(context.state["turns"])


def states_that_stay(client: Pymonik, size: int) -> int:
    return sum(row.status == "COMPLETED" and row.size >= size for row in client.results())


def test_states_that_turns_have_left_behind_go() -> None:
    size = 100_000
    with LocalCluster(workers=1) as cluster, Pymonik(cluster, output="quiet") as client:
        handle = tick.start(210, size, 100)  # over two ends of blocks
        assert handle.get(WAIT_S) == 210
        assert states_that_stay(client, size) <= 6  # what could be read again, at each end


def test_a_worker_of_armonik_that_reaches_the_control_plane_lets_states_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("PYMONIK_CONTROL_PLANE", f"http://127.0.0.1:{port}")
    size = 10_000
    with (
        LocalCluster(worker=WORKER, workers=1, port=port) as cluster,
        Pymonik(cluster.endpoint, output="quiet") as client,
    ):
        assert tick.start(30, size, 10).get(WAIT_S) == 30
        end = time.monotonic() + WAIT_S
        while states_that_stay(client, size) > 4 and time.monotonic() < end:
            time.sleep(0.1)  # the worker deletes beside its tasks, and tells nobody
        assert states_that_stay(client, size) <= 4


class Kept:
    """A cluster with data, as a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "c.sock"
        self.start()

    def start(self) -> None:
        command = ["-m", "pymonik.cli", "cluster", "--workers", "2", "--socket", str(self.socket)]
        self.process = subprocess.Popen(
            [sys.executable, *command, "--data", str(self.folder / "data")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + WAIT_S
        while not self._listens():
            assert self.process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as one:
            try:
                one.connect(str(self.socket))
            except OSError:
                return False
        return True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)

    @property
    def memory(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def data_bytes(self) -> int:
        return sum(one.stat().st_size for one in (self.folder / "data").rglob("*") if one.is_file())


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    cluster = Kept(tmp_path)
    yield cluster
    cluster.process.terminate()
    cluster.process.wait(WAIT_S)


@pytest.mark.slow
def test_ten_thousand_turns_over_ends_of_workers_and_of_the_cluster(kept: Kept) -> None:
    last, each = 10_000, 500
    before = kept.memory
    client = Pymonik(f"unix:{kept.socket}", unavailable_timeout=WAIT_S, output="quiet").create()
    handle = tick.start(last, 1_000, each, pymonik=client)
    seen = 0
    while seen < last:
        report = handle.next_report(2 * WAIT_S)
        if report["turns"] <= seen:
            continue  # what was not stored when its worker died is done again
        seen = report["turns"]
        if seen % 2_000 == 0 and seen < last:
            os.kill(report["pid"], signal.SIGKILL)
        if seen % 3_000 == 0:
            kept.kill()
            kept.start()
    assert handle.get(WAIT_S) == last  # no turn was lost, and none counted twice
    assert kept.memory - before < 60 << 20  # of rows: about three KiB for a turn
    assert kept.data_bytes < 80 << 20
    client.close()


@monitor(every=0.05, max_retries=50)
def frames(context: Any, folder: str) -> None:
    known = context.state.setdefault("files", [])
    new = sorted({path.name for path in Path(folder).glob("*.eer")}.difference(known))
    if new:
        known += new
        context.report(files=list(known), pid=os.getpid())
    if Path(folder, "stop").exists():
        context.stop(list(known))


@pytest.mark.slow
@pytest.mark.parametrize("worker", [None, WORKER], ids=["executors", "armonik worker"])
def test_a_watched_folder_over_ends_of_workers(worker: list[str] | None, tmp_path: Path) -> None:
    """An hour of an instrument in a minute: a file now and then, and who looks is killed."""
    count, each = 60, 6  # a kill for each 6 files
    with (
        LocalCluster(workers=2, worker=worker) as cluster,
        Pymonik(cluster, output="quiet", on_unseen="ignore") as client,
    ):
        watch = frames.start(str(tmp_path), pymonik=client)
        pids: set[int] = set()
        for number in range(count):
            (tmp_path / f"frame-{number:03}.eer").write_bytes(b"12345")
            seen = watch.next_report(timeout=WAIT_S)
            while seen["files"][-1] != f"frame-{number:03}.eer":
                seen = watch.next_report(timeout=WAIT_S)
            pids.add(seen["pid"])
            if number % each == each - 1:
                with suppress(ProcessLookupError):
                    os.kill(seen["pid"], signal.SIGKILL)
        (tmp_path / "stop").touch()
        # Each once, and in the order in which they came: a turn that was killed told nothing.
        assert watch.get(WAIT_S) == [f"frame-{number:03}.eer" for number in range(count)]
    assert len(pids) > count // each // 2
