"""Our ArmoniK worker as containers run it: the first process, read-only, short of this and that.

Each has namespaces of its own, which only some systems grant: else the tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pymonik import LocalCluster, Pymonik, task
from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S = 60.0
CONTAINERS = {
    "as any": "true",
    "without memory for files": "umount -l /dev/shm",
    "read-only": 'mount --bind "$PLACE" "$PLACE" && mount -o remount,ro,bind /',
}
USER = 64_999


@task
def lose_children() -> int:
    subprocess.run("sleep 0.1 & setsid sleep 0.2 & (setsid sh -c 'exit 3' &)", shell=True)
    return os.getpid()


@task
def look() -> tuple[list[str], list[str]]:
    """Processes that have ended and that nobody has waited for; command lines of all."""
    there = list(psutil.process_iter())
    dead = [one.name() for one in there if one.status() == psutil.STATUS_ZOMBIE]
    return dead, [" ".join(one.cmdline()) for one in there if one.pid == 1]


@task
def write_temporary_file() -> str:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x" * 1000)
    return tempfile.gettempdir()


@task
def double(number: int) -> int:
    return 2 * number


@task
def wait_for(path: str) -> str:
    Path(f"{path}.begun").touch()
    while not Path(path).exists():
        time.sleep(0.01)
    return "done"


@pytest.fixture
def in_container(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Gives the command of a worker that is the first process of a container."""
    monkeypatch.setenv("PLACE", str(short_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(short_path / "cache"))

    def command(prepare: str, *before: str) -> list[str]:
        alone = ["unshare", "-pfm", "--mount-proc", "--kill-child", "sh", "-c"]
        alone += [f'{prepare} && exec "$@"', "sh", *before]
        if (
            shutil.which("unshare") is None
            or subprocess.run([*alone, "true"], check=False).returncode
        ):
            pytest.skip("this system makes no containers here")
        return [*alone, sys.executable, "-m", "pymonik.worker"]

    return command


@pytest.mark.parametrize("kind", CONTAINERS)
def test_it_works_as_the_first_process_and_reaps_what_tasks_lose(
    in_container: Callable[..., list[str]], short_path: Path, kind: str
) -> None:
    worker = in_container(CONTAINERS[kind])
    with (
        LocalCluster(workers=1, worker=worker, folder=short_path) as cluster,
        Pymonik(cluster.endpoint),
    ):
        assert lose_children.invoke().get(timeout=TIMEOUT_S) > 1
        assert write_temporary_file.invoke().get(timeout=TIMEOUT_S)
        assert double.invoke(4).get(timeout=TIMEOUT_S) == 8
        end = time.monotonic() + TIMEOUT_S
        dead, first = look.invoke().get(timeout=TIMEOUT_S)
        while dead and time.monotonic() < end:
            dead, first = look.invoke().get(timeout=TIMEOUT_S)
        assert not dead
        assert "pymonik.worker" in first[0]


def test_another_user_who_may_not_write_the_cache_is_told_so(
    in_container: Callable[..., list[str]], short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/nonexistent")
    user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    user += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    worker = in_container("true", *user)
    with pytest.raises(ConfigError, match=f"user {USER} cannot write its cache, .*/nonexistent"):
        LocalCluster(workers=1, worker=worker, folder=short_path).start()


@pytest.mark.parametrize("state", ["idle", "told twice"])
def test_sigterm_ends_a_first_process_that_is_idle_or_told_twice(
    in_container: Callable[..., list[str]], short_path: Path, state: str
) -> None:
    worker = in_container("true")
    with (
        LocalCluster(workers=1, worker=worker, folder=short_path) as cluster,
        Pymonik(cluster.endpoint),
    ):
        running = None
        if state == "idle":
            assert double.invoke(1).get(timeout=TIMEOUT_S) == 2
        elif state == "told twice":
            running = wait_for.invoke(str(short_path / "go"))
            while not (short_path / "go.begun").exists():
                time.sleep(0.01)
        first = _first_process(cluster)
        first.send_signal(signal.SIGTERM)
        if running is not None:
            first.send_signal(signal.SIGTERM)  # now nobody waits for the task
        first.wait(TIMEOUT_S)
        (short_path / "go").touch()
        if running is not None:
            assert running.get(timeout=TIMEOUT_S) == "done"  # by another attempt
        assert double.invoke(2).get(timeout=TIMEOUT_S) == 4


def _first_process(cluster: LocalCluster) -> psutil.Process:
    """That of the container, once it is there."""
    while True:
        tree = psutil.Process(cluster.pid).children(recursive=True)
        for outside in tree:
            if outside.name() == "unshare" and (inside := outside.children()):
                return inside[0]
        time.sleep(0.01)


def test_at_sigterm_the_running_task_ends_and_the_first_process_too(
    in_container: Callable[..., list[str]], short_path: Path
) -> None:
    worker = in_container("true")
    with (
        LocalCluster(workers=1, worker=worker, folder=short_path) as cluster,
        Pymonik(cluster.endpoint),
    ):
        running = wait_for.invoke(str(short_path / "go"))
        while not (short_path / "go.begun").exists():
            time.sleep(0.01)
        first = _first_process(cluster)
        first.send_signal(signal.SIGTERM)
        (short_path / "go").touch()
        assert running.get(timeout=TIMEOUT_S) == "done"
        first.wait(TIMEOUT_S)
        assert double.invoke(2).get(timeout=TIMEOUT_S) == 4  # another worker takes its place
