"""A cluster that keeps its data: killed, started again, found by other programs."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pymonik import ConfigError, ControlPlaneError, Pymonik, ResultHandle, UsageError, task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WAIT_S = 60.0
KILLS = int(os.environ.get("PYMONIK_KILLS", "8"))  # 200 of them take half an hour
SEED = int(os.environ.get("PYMONIK_SEED", "17"))


@task
def square(number: int) -> int:
    return number * number


@task
def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


class Cluster:
    """``pymonik cluster --data`` on a port of its own.

    Args:
        folder: Of the data.
        before: A command that starts the rest of the command line.
    """

    def __init__(self, folder: Path, before: Sequence[str] = ()) -> None:
        self.folder = folder
        self.before = before
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process = self.started()

    def started(self) -> subprocess.Popen[bytes]:
        command = ["cluster", "--port", str(self.port), "--workers", "2"]
        command += ["--data", str(self.folder)]
        return subprocess.Popen(
            [*self.before, sys.executable, "-m", "pymonik", *command], stdout=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)

    def kill_and_start(self) -> None:
        self.kill()
        self.process = self.started()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(WAIT_S)
        finally:
            self.process.kill()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    one = Cluster(tmp_path / "data")
    yield one
    one.stop()


def test_what_was_acknowledged_is_there_after_a_kill(cluster: Cluster) -> None:
    client = Pymonik(cluster.endpoint, session="kept", connect_timeout=WAIT_S).create()
    done = square.map_invoke(range(50), label="squares")
    assert done.get(timeout=WAIT_S)[7] == 49
    large = client.put(bytes(5_000_000))
    pending = slow.map_invoke([0.3] * 8, label="slow", chunk_size=1)
    client.send()
    cluster.kill_and_start()
    assert pending.get(timeout=WAIT_S) == [0.3] * 8  # what ran is run again
    assert large.get(timeout=WAIT_S) == bytes(5_000_000)
    client.leave()
    cluster.kill_and_start()
    with Pymonik(cluster.endpoint, session="kept", connect_timeout=WAIT_S) as back:
        assert back.runs["squares"].get(timeout=WAIT_S) == [n * n for n in range(50)]
        assert back.runs["slow"].get(timeout=WAIT_S) == [0.3] * 8


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    """A file system of 8 MiB, as others see it, and a command that runs another one inside."""
    place = tmp_path / "disk"
    place.mkdir()
    script = f'mount -t tmpfs -o size=8m tmpfs "{place}" && echo && exec sleep 600'
    if shutil.which("nsenter") is None or shutil.which("unshare") is None:
        pytest.skip("no program here makes namespaces")
    command = ["unshare", "-m", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdout is not None
        if not holder.stdout.readline():
            pytest.skip("this system lets nobody mount a file system here")
        yield Path(f"/proc/{holder.pid}/root{place}"), ["nsenter", f"-t{holder.pid}", "-m"]
        holder.kill()


def refused(request: Callable[[int], object]) -> str:
    """Make a request with one number after the other until it is refused; what is said then."""
    requests = map(request, range(200, 2_000))
    with pytest.raises(ControlPlaneError, match="No space left on device") as told:
        list(requests)
    return str(told.value)


def test_a_full_disk_refuses_and_what_was_acknowledged_is_there(
    small_disk: tuple[Path, list[str]], tmp_path: Path
) -> None:
    seen, before = small_disk
    cluster = Cluster(tmp_path / "disk" / "data", before)
    try:
        client = Pymonik(cluster.endpoint, session="full", connect_timeout=WAIT_S).create()
        acknowledged = {n: square.invoke(n) for n in range(20)}
        assert acknowledged[7].get(timeout=WAIT_S) == 49
        filler = seen / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        stored: list[ResultHandle[bytes]] = []
        # Until what the cluster had reserved before is used up.
        told = refused(lambda n: stored.append(client.put(os.urandom(10_000), f"value {n}")))
        assert "rows.log" in told
        told = refused(lambda n: acknowledged.update({n: square.invoke(n).wait(WAIT_S)}))
        assert "rows.log" in told
        refused(lambda _: Pymonik(cluster.endpoint).create().leave())
        values = [one.get(timeout=WAIT_S) for one in stored]  # what is there can be read
        assert acknowledged[3].get(timeout=WAIT_S) == 9
        filler.unlink()
        assert square.invoke(101, pymonik=client).get(timeout=WAIT_S) == 101 * 101
        cluster.kill_and_start()
        assert [one.get(timeout=WAIT_S) for one in stored] == values
        client.leave()
        with Pymonik(cluster.endpoint, session="full", connect_timeout=WAIT_S) as back:
            found = back.runs["square"].get(timeout=WAIT_S)
        assert {*(n * n for n in acknowledged), 101 * 101} <= set(found)
    finally:
        cluster.stop()


PROGRAM = """
    import sys, time
    from pymonik import Pymonik, task

    @task
    def work(number, pause):
        time.sleep(pause)
        return number * number + 1

    if __name__ == "__main__":
        pause = float(sys.argv[2])
        settings = {"connect_timeout": 60, "unavailable_timeout": 60}
        Pymonik(sys.argv[1], session="study", **settings).create()
        items = [(number, pause) for number in range(2000)]
        values = work.map_invoke(items, label="all", chunk_size=7).get()
        assert values == [n * n + 1 for n in range(2000)]
"""


@pytest.mark.slow
def test_kills_of_client_and_cluster_at_any_moment_lose_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    chance = random.Random(SEED)
    # The work of two workers takes as long as a good third of all pauses between kills.
    pause_s = f"{KILLS * 1.5 * 0.4 * 2 / 2000:.4f}"
    met = 0  # kills while the run went on

    def program() -> subprocess.Popen[bytes]:
        command = [sys.executable, "program.py", cluster.endpoint, pause_s]
        return subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)

    running = program()
    for _ in range(KILLS):
        time.sleep(3.0 * chance.random())  # the moment is what varies
        met += running.poll() is None
        if running.poll() is not None or chance.random() < 0.5:
            running.kill()
            running.communicate()
            running = program()
        else:
            cluster.kill_and_start()
    _, errors = running.communicate(timeout=3 * WAIT_S + KILLS)
    assert running.returncode == 0, errors.decode()
    with Pymonik(cluster.endpoint, session="study", connect_timeout=WAIT_S) as client:
        values = client.runs["all"].get(timeout=WAIT_S)
    assert values == [n * n + 1 for n in range(2000)], f"seed {SEED}"
    assert met >= KILLS // 4


# -- the cluster that stays ------------------------------------------------------------------------


@pytest.fixture
def kept_home(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the kept cluster of this test lies; ended after it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(short_path))
    yield short_path
    subprocess.run([sys.executable, "-m", "pymonik", "cluster", "--stop"], check=True)


KEEPING = """
    import os, signal
    from pymonik import Pymonik, task

    @task
    def square(number):
        return number * number

    if __name__ == "__main__":
        client = Pymonik(keep=True, session="stays").create()
        squares = square.map_invoke(range(20), label="squares")
        client.leave("job.json", squares)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kept_cluster_is_found_by_other_programs(kept_home: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(KEEPING))
    ended = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, timeout=WAIT_S, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    with Pymonik(keep=True, session="stays") as client:
        assert client.runs["squares"].get(timeout=WAIT_S) == [n * n for n in range(20)]
    with Pymonik.attach(tmp_path / "job.json") as client:
        assert client.handles.get(timeout=WAIT_S) == [n * n for n in range(20)]
    subprocess.run([sys.executable, "-m", "pymonik", "cluster", "--stop"], check=True)
    with Pymonik(keep=True, session="stays") as client:  # another process, the same data
        assert client.runs["squares"].get(timeout=WAIT_S) == [n * n for n in range(20)]


def test_a_kept_cluster_has_no_endpoint_of_others(kept_home: Path) -> None:
    with pytest.raises(UsageError, match="keep=True"):
        Pymonik("http://127.0.0.1:5001", keep=True)
    (kept_home / "pymonik").write_text("a file in the way")
    with pytest.raises((ConfigError, OSError)):
        Pymonik(keep=True).create()
    (kept_home / "pymonik").unlink()
