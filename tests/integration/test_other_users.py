"""Clusters and programs of users who have little, and who must not come at each other's.

The tests run as root, who can become anybody: each program has a user of its own without rights,
in namespaces where the interpreter can be read, even if root keeps it in a folder of his own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pymonik import LocalCluster, Pymonik, task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_S = 60.0
USER, OTHER_USER = 64_997, 64_998
GROUP = 64_990  # of both, as where a whole department has one
ROOT = Path(__file__).parents[2]
SECRET = "of-nobody-else"

PROGRAM = """
import os, tempfile, neighbour
from pymonik import Pymonik, task

@task
def who(): return os.getuid()
@task
def use(x): return neighbour.double(x)
@task
def keep():
    with tempfile.NamedTemporaryFile() as file: return file.write(b"x")
@task
def answer():
    import tinypackage
    return tinypackage.ANSWER

def tell(what):
    try:
        print("value", what(), flush=True)
    except Exception as error:
        print("error", type(error).__name__, str(error).replace("\\n", " "), flush=True)

if __name__ == "__main__":
    with Pymonik():
        tell(lambda: who.invoke().get(timeout=60))
        tell(lambda: sum(use.map_invoke(range(100)).get(timeout=60)))
        tell(lambda: keep.invoke().get(timeout=60))
        wheel = os.environ["WHEEL"]
        tell(lambda: answer.invoke(pmk_environment=[wheel]).get(timeout=60))
"""

# Tries to come at the files and sockets of somebody else; prints what it could do.
INTRUDER = """
import os, socket, sys
from pathlib import Path
from pymonik.cluster.announcement import running_clusters

endpoint, secret, *places = sys.argv[1:]
print("looks")
for cluster in running_clusters():
    print("finds", cluster)
for place in [endpoint.removeprefix("unix://"), *places]:
    found = [Path(folder, name) for folder, _, names in os.walk(place) for name in ["", *names]]
    for path in [Path(place), *found]:
        try:
            if path.is_socket():
                socket.socket(socket.AF_UNIX).connect(str(path))
            elif path.is_dir():
                (path / "mine").touch()
            else:
                path.open("rb").close()
            print("reaches", path)
        except OSError:
            continue
for process in Path("/proc").glob("[0-9]*"):
    for name in ("cmdline", "environ"):
        try:
            is_there = secret.encode() in (process / name).read_bytes()
        except OSError:
            continue
        if is_there and int(process.name) != os.getpid():
            print("reads", process, name)
"""


def _closed_around(paths: list[Path]) -> Path | None:
    """The first folder around one of them that others cannot enter."""
    for path in paths:
        for folder in reversed(path.parents):
            if not folder.stat().st_mode & 0o001:
                return folder
    return None


@pytest.fixture
def as_user() -> Callable[[int], list[str]]:
    """Gives the beginning of a command that runs the rest of it as a user without rights."""
    wanted = [Path(sys.base_prefix), Path(sys.prefix), ROOT]
    script = ""
    if closed := _closed_around(wanted):
        inside = [path for path in wanted if path.is_relative_to(closed)]
        shown = "".join(
            f'mkdir -p "$p{path}" && mount --bind "{path}" "$p{path}" && ' for path in inside
        )
        moved = "".join(
            f'mkdir -p "{path}" && mount --bind "$p{path}" "{path}" && ' for path in inside
        )
        empty = f'mount -t tmpfs -o mode=755 tmpfs "{closed}"'
        script = f"p=/mnt && mount -t tmpfs tmpfs $p && {shown} {empty} && {moved}"
    script += f'exec setpriv --reuid="$0" --regid={GROUP} --clear-groups --bounding-set=-all "$@"'

    def command(number: int) -> list[str]:
        return ["unshare", "-m", "sh", "-c", script, str(number)]

    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*command(USER), sys.executable, "-c", "import pymonik"], check=False
        ).returncode
    ):
        pytest.skip("this system lets nobody become another user here")
    return command


@pytest.fixture
def wheel(short_path: Path) -> Path:
    """A package of one line, which everybody may read."""
    short_path.chmod(0o755)
    wheel = short_path / "tinypackage-1.0-py3-none-any.whl"
    info = "tinypackage-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tinypackage.py", "ANSWER = 42\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinypackage\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


# Variables of a program, in which {own} is a folder of its user and {others} one of root; and
# whether it has a place for packages.
HOMES: dict[str, tuple[dict[str, str], bool]] = {
    "of its own": ({"HOME": "{own}"}, True),
    "none, and no name": ({}, True),
    "that is not there": ({"HOME": "/nonexistent"}, False),
    "that it cannot write": ({"HOME": "{others}"}, False),
    "that it cannot enter": ({"HOME": "{closed}"}, False),
    "and a cache that it cannot write": ({"HOME": "{own}", "XDG_CACHE_HOME": "{others}"}, False),
    "and temporary files elsewhere": ({"HOME": "{own}", "TMPDIR": "{others}"}, True),
    "and no folder of temporary files": ({"HOME": "{own}", "TMPDIR": "/nonexistent"}, True),
}


@pytest.mark.parametrize("home", HOMES)
def test_a_user_with_a_home(
    as_user: Callable[[int], list[str]], short_path: Path, wheel: Path, home: str
) -> None:
    folders = {name: short_path / name for name in ("own", "others", "closed")}
    for folder in folders.values():
        folder.mkdir(mode=0o755)
    os.chown(folders["own"], USER, GROUP)
    folders["closed"].chmod(0o700)
    (short_path / "main.py").write_text(PROGRAM)
    (short_path / "neighbour.py").write_text("def double(x): return 2 * x\n")
    variables, has_cache = HOMES[home]
    given = {name: value.format(**folders) for name, value in variables.items()}
    done = subprocess.run(
        [*as_user(USER), sys.executable, str(short_path / "main.py")],
        env={"PATH": os.environ["PATH"], "WHEEL": str(wheel), **given},
        stdout=subprocess.PIPE,
        text=True,
        timeout=2 * TIMEOUT_S,
        check=True,
    )
    *lines, last = done.stdout.splitlines()
    assert lines == [f"value {USER}", "value 9900", "value 1"]
    if has_cache:
        assert last == "value 42"
    else:
        assert "Permission denied: " in last
        assert "the variable XDG_CACHE_HOME moves the cache" in last


@pytest.fixture
def cluster(
    as_user: Callable[[int], list[str]], short_path: Path
) -> Iterator[tuple[str, list[Path]]]:
    """A cluster of a user to whom everybody may write by default: endpoint, folders."""
    own, data = short_path / "own", short_path / "own" / "data"
    short_path.chmod(0o755)
    own.mkdir()
    own.chmod(0o755)
    os.chown(own, OTHER_USER, GROUP)
    command = ["sh", "-c", 'umask 0; exec "$@"', "sh", *as_user(OTHER_USER), sys.executable]
    process = subprocess.Popen(
        [*command, "-m", "pymonik", "cluster", "--data", str(data)],
        env={"PATH": os.environ["PATH"], "HOME": str(own)},
    )
    while not (data / "control_plane.sock").exists() and process.poll() is None:
        time.sleep(0.01)
    theirs = [one for one in Path("/dev/shm").glob("pymonik-*") if one.stat().st_uid == OTHER_USER]
    yield f"unix://{data}/control_plane.sock", [own, *theirs]
    process.terminate()
    process.wait(TIMEOUT_S)


@task
def work(_: bytes) -> bytes:
    return os.urandom(3_000_000)


@task
def answer() -> int:
    import tinypackage  # type: ignore[import-not-found]

    return int(tinypackage.ANSWER)


def test_nobody_else_comes_at_a_cluster_and_what_it_keeps(
    as_user: Callable[[int], list[str]],
    short_path: Path,
    wheel: Path,
    cluster: tuple[str, list[Path]],
) -> None:
    endpoint, places = cluster
    environment: dict[str, Any] = {"pip": [str(wheel)], "env_variables": {"TOKEN": SECRET}}
    (short_path / "intruder.py").write_text(INTRUDER)
    with Pymonik(endpoint, environment=environment) as client:  # of root, who may do anything
        assert len(work.invoke(bytes(3_000_000)).get(timeout=TIMEOUT_S)) == 3_000_000
        assert answer.invoke().get(timeout=TIMEOUT_S) == 42
        client.send()
        tries = [
            sys.executable,
            str(short_path / "intruder.py"),
            endpoint,
            SECRET,
            *map(str, places),
        ]
        assert _run([*as_user(USER), *tries]) == ["looks"]
        # The same attempts of the user whose they are: else it is not the users that differ.
        own = _run([*as_user(OTHER_USER), *tries])
        for word in ("finds", "reaches", "reads"):
            assert any(line.startswith(word) for line in own), (word, own)


def test_whoever_comes_to_the_socket_of_somebody_else_is_told_so(
    as_user: Callable[[int], list[str]], short_path: Path, cluster: tuple[str, list[Path]]
) -> None:
    endpoint, _ = cluster
    program = f"from pymonik import Pymonik\nPymonik({endpoint!r}, unavailable_timeout=1).create()"
    done = subprocess.run(
        [*as_user(USER), sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert "Permission denied" in last
    assert "as the same user as this program?" in last


@task
def start_as(user: int) -> int:
    started = subprocess.Popen(
        ["sleep", "600"], user=user, start_new_session=True, stdout=subprocess.DEVNULL
    )
    os.seteuid(user)  # this process too: no other call has it
    return started.pid


@task
def who() -> int:
    return os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody but root becomes another user")
def test_a_task_that_becomes_another_user_leaves_nothing_of_him() -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster):
        pid = start_as.invoke(USER)
        assert who.invoke().get(timeout=TIMEOUT_S) == 0
        assert not psutil.pid_exists(pid.get(timeout=TIMEOUT_S))


def _run(command: list[str]) -> list[str]:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=True, cwd="/"
    )
    return done.stdout.splitlines()
