"""Where the system has little to give: an error that names the place, and the next call works.

Each program runs in a process of its own with a limit, a small file system that only it sees, or
as another user. What it writes is compared: a line for each thing that it has tried.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TIMEOUT_S = 100.0
MIB = 1 << 20

_PROGRAM = """
import os, resource, sys, time
import numpy as np
import neighbour
from pymonik import LocalCluster, Pymonik, task

@task
def add(a, b): return a + b
@task
def make(n): return np.ones(n)
@task
def total(array): return float(array.sum())
@task
def use(x): return neighbour.double(x)
@task
def version():
    import six
    return six.__version__
@task
def limit(): return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

def tell(what):
    try:
        print("value", what(), flush=True)
    except Exception as error:
        print("error", type(error).__name__, str(error).replace("\\n", " "), flush=True)
    except BaseException as error:
        print("BASE", repr(error), flush=True)

def works(): tell(lambda: add.invoke(1, 2).get(timeout=60))

if __name__ == "__main__":
    def everything():
        options = {"folder": os.environ["FOLDER"]} if "FOLDER" in os.environ else {}
        with LocalCluster(workers=2, **options) as cluster, Pymonik(cluster) as client:
            exec(sys.argv[1], {**globals(), **locals()})
    tell(everything)
"""


class Program:
    """A program that tries things one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "main.py").write_text(_PROGRAM)
        (folder / "neighbour.py").write_text("def double(x): return 2 * x\n")

    def __call__(
        self, body: str, *before: str, limits: str = "", variables: dict[str, str] | None = None
    ) -> list[str]:
        """Its lines.

        Args:
            body: What it does while it has a cluster and a client.
            before: A command that starts the rest of the command line.
            limits: For the shell that starts it.
            variables: Of its environment.
        """
        command = ["sh", "-c", f'{limits or ":"}; exec "$@"', "sh"]
        command += [sys.executable, str(self.folder / "main.py"), body]
        done = subprocess.run(
            [*before, *command],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env={**os.environ, **(variables or {})},
            check=False,
        )
        lines = done.stdout.splitlines()
        assert done.returncode == 0, done.stderr[-3000:]
        assert lines, done.stderr[-3000:]
        return lines


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def mounted(place: Path, options: str) -> list[str]:
    """A command that runs another with a file system of its own; skips where that is forbidden."""
    script = f'mount -t tmpfs -o {options} tmpfs "{place}" && exec "$@"'
    place.mkdir(exist_ok=True)
    command = ["unshare", "-m", "sh", "-c", script, "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], check=False).returncode
    ):
        pytest.skip("this system lets nobody mount a file system here")
    return command


def as_another_user(number: int = 65000) -> list[str]:
    """A command that runs another as a user that may read all; skips where that is forbidden."""
    may = "+dac_override,+dac_read_search"
    command = [
        "setpriv",
        f"--reuid={number}",
        f"--regid={number}",
        "--clear-groups",
        f"--inh-caps={may}",
    ]
    command += [f"--ambient-caps={may}", f"--bounding-set=-all,{may}"]
    if (
        shutil.which("setpriv") is None
        or subprocess.run([*command, "true"], check=False).returncode
    ):
        pytest.skip("this system lets nobody become another user here")
    return command


# -- open files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [14, 24, 36, 48])
def test_too_few_open_files_are_told_before_anything_is_started(
    program: Program, number: int
) -> None:
    (line,) = program("works()", limits=f"ulimit -n {number}")
    assert line.startswith("error ConfigError the system grants")
    assert f"this process may have {number} (`ulimit -n`)" in line


@pytest.mark.parametrize("number", [56, 80])
def test_few_open_files_are_enough(program: Program, number: int) -> None:
    body = """
works()
tell(lambda: total.invoke(np.ones(1_000_000)).get(timeout=60))
tell(lambda: sum(add.map_invoke([(i, 1) for i in range(1000)]).get(timeout=60)))
other = {"env_variables": {"A": "1"}}
tell(lambda: add.invoke(2, 2, pmk_environment=other).get(timeout=60))
"""
    lines = program(body, limits=f"ulimit -n {number}")
    assert lines == ["value 3", "value 1000000.0", "value 500500", "value 4", "value None"]


def test_a_cluster_takes_more_open_files_than_the_program_has_and_tasks_do_not(
    program: Program,
) -> None:
    lines = program(
        "works(); tell(lambda: limit.invoke().get(timeout=60))", limits="ulimit -S -n 40"
    )
    assert lines == ["value 3", "value 40", "value None"]


def test_client_and_task_keep_more_arrays_than_files_may_be_open(program: Program) -> None:
    body = """
arrays = make.map_invoke([20_000] * 1500).get(timeout=60)
tell(lambda: sum(len(one) for one in arrays))
stored = client.put_many(arrays)
@task
def add_up(arrays): return sum(len(one) for one in arrays)
tell(lambda: add_up.invoke(list(stored)).get(timeout=60))
"""
    lines = program(body, limits="ulimit -n 256")
    assert lines == ["value 30000000", "value 30000000", "value None"]


# -- processes and threads -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [4, 12, 20, 27, 31, 34, 40])
def test_any_limit_of_processes_is_an_error_or_a_start_and_leaves_nobody(
    program: Program, tmp_path: Path, number: int
) -> None:
    tmp_path.chmod(0o1777)
    body = (
        "works(); tell(lambda: sum(add.map_invoke([(i, 1) for i in range(300)]).get(timeout=60)))"
    )
    variables = {"HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    user = as_another_user(65000 + number)  # whose processes are counted together
    lines = program(body, *user, limits=f"ulimit -u {number}", variables=variables)
    if lines[0].startswith("value"):
        assert lines == ["value 3", "value 45150", "value None"]
    else:
        assert "processes and threads (`ulimit -u`)" in lines[0]
    left = subprocess.run(
        ["ps", "-u", str(65000 + number), "-o", "args="], capture_output=True, check=False
    )
    assert not left.stdout


def test_a_user_without_a_name_and_a_home_has_a_cache(program: Program, tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    without_home = ["env", "-u", "HOME", "-u", "XDG_CACHE_HOME", f"TMPDIR={tmp_path}"]
    body = "tell(lambda: use.invoke(4).get(timeout=60)); works()"
    assert program(body, *as_another_user(), *without_home) == ["value 8", "value 3", "value None"]
    (cache,) = tmp_path.glob("pymonik-cache-*")
    assert cache.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o777)  # now everybody could put code there
    lines = program(body, *as_another_user(), *without_home)
    assert "belongs to somebody else; set XDG_CACHE_HOME" in lines[0]


# -- files ---------------------------------------------------------------------------------------


def test_what_is_larger_than_a_file_may_be_fails_alone(program: Program) -> None:
    body = """
works()
tell(lambda: total.invoke(np.ones(1_000_000)).get(timeout=60))
tell(lambda: make.invoke(1_000_000).get(timeout=60))
tell(lambda: sum(add.map_invoke([(i, 1) for i in range(300)]).get(timeout=60)))
"""
    lines = program(body, limits="ulimit -f 4000")  # of 512 bytes
    assert lines[0] == "value 3"
    assert "cannot be written" in lines[1]
    assert "File too large: '/" in lines[1]
    assert "a value of 8000" in lines[2]
    assert "File too large: '/" in lines[2]
    assert lines[3:] == ["value 45150", "value None"]


def test_a_limit_of_files_that_lets_no_executor_start_is_no_flood(program: Program) -> None:
    body = """
failed = add.map_invoke([(i, 1) for i in range(100)]).exceptions(timeout=60)
tell(lambda: {type(one).__name__ for one in failed})
print(failed[0])
"""
    lines = program(body, limits="ulimit -f 100")
    assert lines[0] == "value {'WorkerLostError'}"
    assert "an executor could not be started" in lines[1]
    assert "cannot be written in memory: File too large" in lines[1]


def test_a_full_object_storage_fails_what_does_not_fit_and_has_room_again_at_once(
    program: Program, short_path: Path
) -> None:
    body = """
works()
tell(lambda: total.invoke(np.ones(2_000_000)).get(timeout=60))
tell(lambda: make.invoke(2_000_000).get(timeout=60))
tell(lambda: client.put(np.ones(2_000_000)))
works()
kept = [make.invoke(100_000) for _ in range(12)]
fit = [handle.exception(timeout=60) is None for handle in kept]
tell(lambda: 0 < sum(fit) < 12)
works()
kept.clear()
for _ in range(200):
    about = os.statvfs(os.environ["FOLDER"])
    if about.f_bavail * about.f_frsize > 5 << 20: break
    time.sleep(0.05)
tell(lambda: len(make.invoke(500_000).get(timeout=60)))
"""
    place = short_path / "storage"
    before = mounted(place, "size=6m")
    lines = program(body, *before, variables={"FOLDER": str(place)})
    assert lines[0] == "value 3"
    for line in lines[1:4]:
        assert line.startswith("error")
        assert "No space left on device" in line
        assert f"'{place}/pymonik-" in line
    assert lines[4:] == ["value 3", "value True", "value 3", "value 500000", "value None"]


@pytest.mark.parametrize("direct", ["True", "False"])
def test_a_storage_that_is_full_for_grpc_says_where(
    program: Program, short_path: Path, direct: str
) -> None:
    body = f"""
with Pymonik(cluster.endpoint, direct={direct}) as other:
    tell(lambda: total.invoke(np.ones(2_000_000), pymonik=other).get(timeout=60))
    tell(lambda: add.invoke(1, 2, pymonik=other).get(timeout=60))
"""
    place = short_path / "storage"
    lines = program(body, *mounted(place, "size=6m"), variables={"FOLDER": str(place)})
    assert "the object storage cannot be written" in lines[0]
    assert f"'{place}/pymonik-" in lines[0]
    assert lines[1:] == ["value 3", "value None"]


@pytest.mark.parametrize("options", ["size=64k", "ro", "size=0k,nr_inodes=1"])
def test_a_cache_that_cannot_be_written_costs_environments_only(
    program: Program, tmp_path: Path, options: str
) -> None:
    body = """
tell(lambda: use.invoke(4).get(timeout=60))
tell(lambda: version.invoke(pmk_environment=["six"]).get(timeout=60))
works()
"""
    place = tmp_path / "cache"
    lines = program(body, *mounted(place, options), variables={"XDG_CACHE_HOME": str(place)})
    assert lines[0] == "value 8"
    assert lines[1].startswith("error EnvironmentSetupError the packages six could not")
    assert str(place) in lines[1]
    assert lines[2:] == ["value 3", "value None"]


@pytest.mark.parametrize("options", ["size=64k", "ro"])
def test_memory_for_files_that_is_small_or_cannot_be_written_is_not_used(
    program: Program, options: str
) -> None:
    body = "tell(lambda: total.invoke(np.ones(1_000_000)).get(timeout=60)); works()"
    lines = program(body, *mounted(Path("/dev/shm"), options))
    assert lines == ["value 1000000.0", "value 3", "value None"]
