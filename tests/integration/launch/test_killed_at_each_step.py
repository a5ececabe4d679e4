"""Each process of a program is killed at each step of its life: nobody, nothing is left, no hang.

::

    program ── cluster ── executor ── what its task has started, in sessions of their own too
                  │    └─ worker ──── executor ── ...
                  └────── uv ──────── what builds a package

A step is reached when a file says so, or the process is there. Then a victim gets a signal. What
may survive one (the cluster ignores Ctrl-C, a worker lets its task end) is let go on by another
file; after SIGKILL nothing is.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT_S = 90.0
MARK = "PYMONIK_TEST_OF_KILLS"  # a variable of all that a program starts
LOOK_S = 0.005

PROGRAM = """
import os, subprocess, sys, time
from pathlib import Path
from pymonik import LocalCluster, Pymonik, task

PLACE = Path(os.environ["PLACE"])

def reach(step):
    (PLACE / step).touch()

def is_let_go():
    return (PLACE / "go on").exists()

@task(max_retries=0)
def work():
    far = {"stdin": -3, "stdout": -3, "stderr": -3, "start_new_session": True}
    subprocess.Popen(["sleep", "600"], **far)
    subprocess.run(["sh", "-c", "setsid sleep 600 >&- 2>&- <&- &"])
    reach("running")
    while not is_let_go():
        try:
            time.sleep(0.01)
        except KeyboardInterrupt:
            if (PLACE / "interrupts are ignored").exists():
                continue
            raise
    return "done"

def main():
    step, is_worker = sys.argv[1], sys.argv[2] == "True"
    worker = [sys.executable, "-m", "pymonik.worker"] if is_worker else None
    place = PLACE / "clusters"
    with LocalCluster(workers=1, worker=worker, folder=place, grace_s=0.5) as cluster:
        with Pymonik(cluster, unavailable_timeout=2) as client:
            wanted = {"pmk_environment": ["slowly"]} if step == "building" else {}
            handle = work.invoke(**wanted)
            client.send()
            if step == "draining":
                while not (PLACE / "running").exists():
                    time.sleep(0.01)
                reach("draining")
                cluster.drain(60)
            if step != "stopping":
                print(repr(handle.exception(60))[:300], flush=True)
                return
            while not (PLACE / "running").exists():
                time.sleep(0.01)
            client.close(wait=False)
        reach("stopping")

if __name__ == "__main__":
    main()
"""

# Building this package says so, and waits.
BACKEND = """
import os, pathlib, time
place = pathlib.Path(os.environ["PLACE"])
def build_wheel(folder, settings=None, metadata=None):
    (place / "building").touch()
    while not (place / "go on").exists():
        time.sleep(0.01)
    raise SystemExit("there is no such package")
"""
PYPROJECT = (
    "[build-system]\nrequires=[]\nbuild-backend='backend'\nbackend-path=['.']\n"
    "[project]\nname='slowly'\nversion='1.0'\n"
)

WORDS = {
    "cluster": "pymonik.cluster",
    "executor": "pymonik.executor",
    "supervisor": "pymonik.executor",
    "worker": "pymonik.worker",
    "uv": "/uv",
}
STEPS = {
    "client": ("starting", "building", "running", "draining", "stopping"),
    "cluster": ("starting", "building", "running", "draining", "stopping"),
    "executor": ("starting", "running", "draining", "stopping"),
    "supervisor": ("running", "draining", "stopping"),
    "worker": ("starting", "building", "running", "draining", "stopping"),
    "uv": ("building",),
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KILLS = [
    (who, step, how)
    for who, steps in STEPS.items()
    for step in steps
    for how in SIGNALS
    if who != "supervisor" or how == signal.SIGKILL  # it ignores the others
]


@dataclass
class Running:
    """A program, and all that it has started."""

    process: psutil.Popen
    place: Path
    mark: str

    def await_step(self, step: str) -> None:
        """Wait until a step is reached."""
        self.wait(lambda: (self.place / step).exists(), step)

    def victim(self, who: str) -> psutil.Process | None:
        """One of its processes, once it is there; `None` if the program has ended before."""
        if who == "client":
            return self.process
        found: list[psutil.Process] = []
        self.wait(lambda: self._find(who, found) or self.process.poll() is not None, who)
        return found[0] if found else None

    def _find(self, who: str, found: list[psutil.Process]) -> bool:
        for one in self.process.children(recursive=True):
            try:
                # A supervisor has the command line of the process below it, which has none below.
                is_supervisor = any(one.cmdline() == below.cmdline() for below in one.children())
                if is_supervisor == (who == "supervisor") and any(
                    WORDS[who] in word for word in one.cmdline()
                ):
                    found.append(one)
                    return True
            except psutil.NoSuchProcess:  # noqa: PERF203 - it ended in the meantime
                continue
        return False

    def wait(self, is_true: Callable[[], bool], what: str) -> None:
        """Wait for something that no event tells."""
        end = time.monotonic() + LIMIT_S
        while not is_true():
            assert time.monotonic() < end, what
            time.sleep(LOOK_S)

    def left(self) -> list[str]:
        """Command lines of what still runs and bears the mark."""
        found = []
        for one in psutil.process_iter():
            try:
                if one.environ().get(MARK) == self.mark and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(one.cmdline()))
            except psutil.Error:  # noqa: PERF203 - gone, or another user's
                continue
        return found


@pytest.fixture
def start(tmp_path: Path, short_path: Path) -> Iterator[Callable[..., Running]]:
    source = tmp_path / "slowly-1.0"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "PKG-INFO").write_text("Metadata-Version: 2.2\nName: slowly\nVersion: 1.0\n")
    (source / "backend.py").write_text(BACKEND)
    with tarfile.open(tmp_path / "slowly-1.0.tar.gz", "w:gz") as file:
        file.add(source, "slowly-1.0")
    (tmp_path / "program.py").write_text(PROGRAM)
    for name in ("clusters", "temporary"):
        (short_path / name).mkdir()
    mark = str(uuid.uuid4())
    variables = {
        **os.environ,
        MARK: mark,
        "PLACE": str(short_path),
        "TMPDIR": str(short_path / "temporary"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_NO_INDEX": "1",
    }
    started: list[Running] = []

    def start_now(step: str, *, is_worker: bool) -> Running:
        command = [sys.executable, str(tmp_path / "program.py"), step, str(is_worker)]
        process = psutil.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(Running(process, short_path, mark))
        return started[0]

    yield start_now
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "step", "how"), KILLS, ids=[f"{who}-{step}-{how.name}" for who, step, how in KILLS]
)
def test_nothing_is_left(
    start: Callable[..., Running], tmp_path: Path, who: str, step: str, how: signal.Signals
) -> None:
    program = start(step, is_worker=who == "worker")
    if step == "starting":
        # A program that has started nobody yet would leave nobody: its cluster is there first.
        victim = program.victim("cluster" if who == "client" else who)
        victim = program.process if who == "client" else victim
    else:
        victim = program.victim(who) if step == "stopping" else None
        program.await_step(step)
        victim = victim or program.victim(who)
    assert victim is not None, program.process.communicate()
    try:
        victim.send_signal(how)
    except psutil.NoSuchProcess:
        assert step == "stopping"  # it was faster
    if how != signal.SIGKILL:
        (program.place / "go on").touch()
    out, err = program.process.communicate(timeout=LIMIT_S)
    program.wait(lambda: not program.left(), f"survivors: {program.left()}\n{out}\n{err}")
    assert not list((program.place / "clusters").iterdir()), (out, err)
    assert not list((program.place / "temporary").glob("pymonik*")), (out, err)
    for lock in tmp_path.glob("cache/**/*.lock"):
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
