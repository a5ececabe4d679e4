"""A cluster on port 5001, as the getting-started guide has it, shared by all test processes."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 5001
OTHERS_S = 300  # a run of another checkout or Python has the port, and ends its cluster by then
_SHARED = Path(tempfile.gettempdir()) / f"pymonik-tests-{os.getuid()}-{PORT}"


class Program(NamedTuple):
    """What a program left behind."""

    returncode: int
    output: str
    errors: str


class Programs:
    """Runs Python programs in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str | Path, **variables: str) -> Program:
        environment = {k: v for k, v in os.environ.items() if k != "AKCONFIG"} | variables
        ended = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Program(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


@pytest.fixture(scope="session")
def cluster_on_5001() -> Iterator[str]:
    """Its endpoint; the first process that needs it starts it, the last one stops it."""
    user = f"{os.getpid()}\n"
    deadline = time.monotonic() + OTHERS_S
    while not _join(user):
        if time.monotonic() > deadline:
            pytest.fail(f"other code has had a cluster on port {PORT} for {OTHERS_S} s")
        time.sleep(0.5)  # not a child of this process; there is no event to wait for
    yield f"localhost:{PORT}"
    with _locked() as users:
        cluster, *others = users.read_text().splitlines()
        others.remove(user.strip())
        users.write_text("\n".join([cluster, *others]) + "\n")
        if not any(_exists(int(other)) for other in others):
            users.unlink()
            (_SHARED / "code").unlink(missing_ok=True)
            _stop_cluster(int(cluster))


def _join(user: str) -> bool:
    """False while the port has a cluster of another checkout or Python: not what is tested."""
    code = f"{sys.executable} {Path(__file__).parents[2]}"
    running = _SHARED / "code"
    with _locked() as users:
        if not _alive(users):
            users.write_text(f"{_start_cluster()}\n")
            running.write_text(code)
        elif not running.exists() or running.read_text() != code:
            return False
        users.write_text(users.read_text() + user)
        return True


@contextmanager
def _locked() -> Iterator[Path]:
    _SHARED.mkdir(mode=0o700, exist_ok=True)
    with (_SHARED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield _SHARED / "users"


def _alive(users: Path) -> bool:
    return users.exists() and _exists(int(users.read_text().split()[0]))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _start_cluster() -> int:
    """Its process id, once it says that it listens."""
    command = [str(Path(sys.executable).parent / "pymonik"), "cluster", "--port", str(PORT)]
    command += ["--partition", "pymonik=2", "--partition", "my_pymonik_partition=1"]
    log = _SHARED / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    deadline = time.monotonic() + 60
    while "listening" not in (said := log.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"no cluster on port {PORT}:\n{said}")
        time.sleep(0.05)  # another process writes the log; there is no event to wait for
    process.returncode = 0  # the last process that uses it ends it, which may be another one
    return process.pid


def _stop_cluster(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while _exists(pid) and time.monotonic() < deadline:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return
        except ChildProcessError:
            pass  # started by another test process
        time.sleep(0.05)
