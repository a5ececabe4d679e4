"""The life of an embedded cluster: whatever happens, it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pymonik.cluster.local import LocalCluster, shared_local_cluster
from pymonik.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = [sys.executable, str(Path(__file__).parents[1] / "workers" / "small_worker.py")]
DEADLINE_S = 20.0

OWNER = """
import sys
from pathlib import Path
from pymonik.cluster.local import LocalCluster

folder, *worker = sys.argv[1:]
cluster = LocalCluster(workers=1, worker=worker, folder=Path(folder)).start()
print(cluster.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(short_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a cluster, in a folder of its own."""
    (short_path / "owner.py").write_text(OWNER)
    command = [sys.executable, str(short_path / "owner.py"), str(short_path), *WORKER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def _cluster_of(owner: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The cluster's process and all below it."""
    assert owner.stdout is not None
    cluster = psutil.Process(int(owner.stdout.readline()))
    return [cluster, *cluster.children(recursive=True)]


def _all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=DEADLINE_S)
    return not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def _folders(parent: Path) -> list[Path]:
    return list(parent.glob("pymonik-*"))


def test_it_starts_answers_and_stops_without_leftovers(short_path: Path) -> None:
    cluster = LocalCluster(workers=1, worker=WORKER, folder=short_path)
    assert not cluster.is_alive()
    with cluster:
        path = Path(cluster.endpoint.removeprefix("unix://"))
        assert path.is_socket()
        assert cluster.storage_folder.is_dir()
        assert (cluster.partitions, cluster.default_partition) == ({"pymonik": 1}, "pymonik")
        processes = [psutil.Process(cluster.pid)]
        processes += processes[0].children(recursive=True)
        assert cluster.is_alive()
    assert not cluster.is_alive()
    assert _all_gone(processes)
    assert not _folders(short_path)


def test_only_its_user_can_reach_its_socket() -> None:
    with LocalCluster(workers=1, worker=WORKER) as cluster:
        path = Path(cluster.endpoint.removeprefix("unix://"))
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert len(os.fsencode(path)) < 104


def test_it_can_be_started_again() -> None:
    cluster = LocalCluster(workers=1, worker=WORKER)
    with cluster:
        first = cluster.pid
    with cluster:
        assert cluster.pid != first


def test_killing_its_owner_ends_it_and_all_below(
    owner: subprocess.Popen[bytes], short_path: Path
) -> None:
    processes = _cluster_of(owner)
    assert len(processes) > 1
    owner.kill()
    assert _all_gone(processes)
    assert not _folders(short_path)


def test_killing_it_ends_its_workers(owner: subprocess.Popen[bytes]) -> None:
    processes = _cluster_of(owner)
    processes[0].kill()
    assert _all_gone(processes[1:])


def test_ctrl_c_is_not_for_it(owner: subprocess.Popen[bytes]) -> None:
    cluster, *_ = _cluster_of(owner)
    assert os.getpgid(cluster.pid) != os.getpgid(owner.pid)
    cluster.send_signal(signal.SIGINT)
    with pytest.raises(psutil.TimeoutExpired):
        cluster.wait(0.3)


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)):
            LocalCluster(workers=1, worker=WORKER, port=port).start()


def test_a_free_port_is_found() -> None:
    with LocalCluster(workers=1, worker=WORKER, port=0) as cluster:
        port = int(cluster.endpoint.removeprefix("http://127.0.0.1:"))
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_workers_and_partitions_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="either"):
        LocalCluster(workers=1, partitions={"a": 1})


def test_the_first_partition_is_the_default() -> None:
    assert LocalCluster(partitions={"b": 1, "a": 0}).default_partition == "b"


def test_a_partition_without_workers_is_allowed_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with LocalCluster(partitions={"a": 1, "none": 0}) as cluster:
        assert cluster.is_alive()
    texts = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert texts == ["partition 'none' has no workers: what is sent there waits"]


def test_the_shared_cluster_is_one_and_is_replaced_when_it_died() -> None:
    cluster = shared_local_cluster()
    try:
        first = cluster.pid
        assert shared_local_cluster().pid == first
        os.kill(first, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(first)], timeout=DEADLINE_S)
        assert shared_local_cluster().pid != first
    finally:
        cluster.stop()


LAST = """
import atexit, os

@atexit.register
def last():
    print(number.invoke().get(20), flush=True)

from pymonik import Pymonik, task
from pymonik.cluster.local import shared_local_cluster

@task
def number():
    return 7

client = Pymonik().create()
client.put(b"x" * 1_000_000)
print(shared_local_cluster().pid, flush=True)
"""


def test_what_was_registered_first_makes_the_last_call_and_the_cluster_ends(tmp_path: Path) -> None:
    (tmp_path / "last.py").write_text(LAST)
    command = [sys.executable, "-X", "dev", "-W", "error", str(tmp_path / "last.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        processes = _cluster_of(program)
        told, complaints = program.communicate(timeout=60)
    assert told.split() == [b"7"]
    assert complaints == b""
    assert _all_gone(processes)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it has threads
def test_a_fork_leaves_the_cluster_to_its_parent() -> None:
    with LocalCluster(workers=1, worker=WORKER) as cluster:
        child = os.fork()
        if child == 0:
            alive = cluster.is_alive()
            cluster.stop()
            os._exit(1 if alive else 0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert cluster.is_alive()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_stops_at_a_signal(number: signal.Signals, short_path: Path) -> None:
    command = [sys.executable, "-m", "pymonik", "cluster", "--port", "0", "--partition", "P=1"]
    command += ["--worker", " ".join(WORKER), "--folder", str(short_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(DEADLINE_S, process.kill)
        guard.start()
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait() == 0
        guard.cancel()
    assert not _folders(short_path)
