"""Environments of a cluster: made once, beside the work of others, and ended with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import textwrap
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pymonik import EnvironmentSetupError, LocalCluster, Pymonik, TaskCancelledError, task
from pymonik.environments import cache_folder, folders, local_packages, locks
from pymonik.environments.asked import environment_of
from pymonik.environments.builds import Environments, State
from pymonik.environments.not_ready import NotReady, Unwanted
from pymonik.wire.environment import PackageFile

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 60.0

# The build of this package says its process, then waits until the gate is opened.
BACKEND = """
import os, pathlib, zipfile
def build_wheel(folder, settings=None, metadata=None):
    pathlib.Path(os.environ["GATE"] + ".pid").write_text(str(os.getpid()))
    with open(os.environ["GATE"]) as gate:
        gate.read()
    name = "slowly-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as file:
        info = "slowly-1.0.dist-info/"
        file.writestr("slowly.py", "")
        file.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: slowly\\nVersion: 1.0\\n")
        wheel = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        file.writestr(info + "WHEEL", wheel)
        file.writestr(info + "RECORD", "")
    return name
"""


@task
def version(name: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(name)


@task
def double(number: int) -> int:
    return 2 * number


@pytest.fixture(autouse=True)
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages in a folder, and no index: nothing here needs a network."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for number in ("1.0", "2.0"):
        write_wheel(folder, "pmk_probe", number)
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def write_wheel(folder: Path, name: str, number: str, files: dict[str, str] | None = None) -> None:
    info = f"{name}-{number}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as file:
        for path, text in (files or {f"{name}.py": ""}).items():
            file.writestr(path, text)
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


class Gate:
    """Holds up the build of ``slowly``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        os.mkfifo(path)

    def builder(self) -> psutil.Process:
        """The process that builds, once it does."""
        begun = threading.Event()
        file = Path(f"{self._path}.pid")
        while not (file.exists() and file.read_text()):
            begun.wait(0.02)
        return psutil.Process(int(file.read_text()))

    def open(self) -> None:
        """Let it go on."""
        self._path.write_text("go on")


@pytest.fixture
def gate(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    source = tmp_path / "slowly-1.0"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        "[build-system]\nrequires=[]\nbuild-backend='backend'\nbackend-path=['.']\n"
        "[project]\nname='slowly'\nversion='1.0'\n"
    )
    (source / "PKG-INFO").write_text("Metadata-Version: 2.2\nName: slowly\nVersion: 1.0\n")
    (source / "backend.py").write_text(BACKEND)
    with tarfile.open(wheels / "slowly-1.0.tar.gz", "w:gz") as file:
        file.add(source, "slowly-1.0")
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    return Gate(tmp_path / "gate")


@pytest.fixture
def cluster(gate: Gate) -> Iterator[LocalCluster]:  # the cluster inherits its variable
    with LocalCluster(workers=1) as running:
        yield running


def _is_gone(process: psutil.Process) -> bool:
    try:
        process.wait(LIMIT_S)
    except psutil.TimeoutExpired:
        return False
    return True


def test_calls_of_others_pass_while_an_environment_is_built(
    cluster: LocalCluster, gate: Gate
) -> None:
    with Pymonik(cluster) as other, Pymonik(cluster, environment=["slowly"]) as client:
        handles = [version.invoke("slowly", pymonik=client) for _ in range(3)]
        gate.builder()
        assert double.invoke(4, pymonik=other).result(LIMIT_S) == 8
        assert not any(handle.done() for handle in handles)
        assert "its environment, which is being installed for" in str(client.why())
        gate.open()
        assert [handle.result(LIMIT_S) for handle in handles] == ["1.0"] * 3


def test_a_build_ends_with_the_last_call_that_wants_it(cluster: LocalCluster, gate: Gate) -> None:
    with Pymonik(cluster) as other:
        with Pymonik(cluster, environment=["slowly"]) as client:
            first, last = (version.invoke("slowly", pymonik=client) for _ in range(2))
            builder = gate.builder()
            first.cancel()
            with pytest.raises(TaskCancelledError):
                first.result(LIMIT_S)
            assert builder.is_running()
            last.cancel()
            assert _is_gone(builder)
            with pytest.raises(TaskCancelledError):
                last.result(LIMIT_S)
        assert double.invoke(4, pymonik=other).result(LIMIT_S) == 8


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_ends_with_its_cluster(
    cluster: LocalCluster, gate: Gate, signal_number: int
) -> None:
    client = Pymonik(cluster, environment=["slowly"]).create()
    version.invoke("slowly", pymonik=client)
    builder = gate.builder()
    uv = builder.parent()
    assert uv is not None
    assert cluster.pid is not None
    os.kill(cluster.pid, signal_number)
    assert _is_gone(uv)
    assert _is_gone(builder)
    client.close(wait=False)


def test_a_failed_build_says_the_reason_of_the_installer_for_all_its_calls(
    cluster: LocalCluster,
) -> None:
    with Pymonik(cluster, environment=["pmk-nonsense==9"]) as client:
        for handle in [version.invoke("x", pymonik=client) for _ in range(3)]:
            with pytest.raises(EnvironmentSetupError, match="pmk-nonsense"):
                handle.result(LIMIT_S)


def test_what_was_begun_by_a_killed_process_is_removed_by_the_next_build(tmp_path: Path) -> None:
    environments = Environments()
    environment = environment_of(["pmk-probe==1.0"])
    path = environments.wait(environment, _no_files, lambda: False)
    environments.close()
    (entry,) = folders.entries()
    left = tmp_path / "cache" / "pymonik" / "environments" / f".{entry.name}-left"
    left.mkdir()
    assert folders.remove(entry.name)
    assert not left.exists()
    assert not Path(path).exists()


def test_an_environment_is_made_once_for_all_that_want_it(tmp_path: Path) -> None:
    environment = environment_of(["pmk-probe==1.0"])
    environments = Environments()
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(environments.wait(environment, _no_files, lambda: False))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    (progress,) = environments.progress()
    assert progress.state is State.READY
    assert len(set(found)) == 1
    environments.close()
    again = Environments()
    assert again.path(environment, _no_files) == found[0]  # without waiting: it is in the cache
    again.close()


def test_whoever_gives_up_waiting_ends_the_build(gate: Gate) -> None:
    environments = Environments()
    given_up = threading.Event()
    ended: list[type[BaseException]] = []

    def wait() -> None:
        try:
            environments.wait(environment_of(["slowly"]), _no_files, given_up.is_set)
        except Unwanted as error:
            ended.append(type(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    builder = gate.builder()
    given_up.set()
    waiting.join(LIMIT_S)
    assert ended == [Unwanted]
    assert _is_gone(builder)
    environments.close()


def test_another_folder_of_wheels_or_a_new_one_in_it_is_another_environment(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = environment_of(["pmk-probe"])

    def made() -> str:
        environments = Environments()
        path = environments.wait(environment, _no_files, lambda: False)
        environments.close()
        return next(one.name for one in Path(path).glob("pmk_probe-*"))

    assert made() == "pmk_probe-2.0.dist-info"
    write_wheel(wheels, "pmk_probe", "3.0")
    assert made() == "pmk_probe-3.0.dist-info"
    other = wheels.parent / "other"
    other.mkdir()
    write_wheel(other, "pmk_probe", "0.1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(other))
    assert made() == "pmk_probe-0.1.dist-info"


def test_packages_of_before_are_used_when_the_index_is_out_of_reach(
    wheels: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "_contents", list)  # an index does not tell what is new in it
    environment = environment_of(["pmk-probe"])
    paths: list[str] = []
    for _ in range(2):
        environments = Environments()
        paths.append(environments.wait(environment, _no_files, lambda: False))
        environments.close()
        for wheel in wheels.glob("*.whl"):  # the index is gone, and the lock is from yesterday
            wheel.unlink()
        for lock in (cache_folder.folder() / "locks").iterdir():
            os.utime(lock, (1, 1))
    assert len(set(paths)) == 1
    assert "those of before are used" in caplog.text


def test_what_was_not_used_for_the_longest_time_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    environments = Environments()
    for number in ("1.0", "2.0"):
        environments.wait(environment_of([f"pmk-probe=={number}"]), _no_files, lambda: False)
    assert len(folders.entries()) == 2
    assert folders.make_room(0) == []  # both are used
    environments.close()
    older, newer = folders.entries()
    assert older.about is not None
    assert newer.about is not None
    assert folders.make_room(newer.about.nbytes) == [older.name]
    assert [entry.name for entry in folders.entries()] == [newer.name]


def test_an_environment_that_is_not_ready_is_no_error_for_who_listens(gate: Gate) -> None:
    settled = threading.Event()
    environments = Environments(
        is_wanted=lambda _packages_id: True, on_settled=lambda _packages_id: settled.set()
    )
    environment = environment_of(["slowly"])
    with pytest.raises(NotReady):
        environments.path(environment, _no_files)
    gate.builder()
    assert not environments.is_settled(environment.packages_id)
    gate.open()
    assert settled.wait(LIMIT_S)
    assert environments.path(environment, _no_files)
    environments.close()


def _no_files(result_id: str) -> bytes:
    raise KeyError(result_id)


# -- programs ------------------------------------------------------------------------------------


def _run(folder: Path, text: str, **variables: str) -> str:
    program = folder / "program.py"
    program.write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=2 * LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_package_in_a_folder_travels_as_a_wheel_and_an_edit_is_another_one(
    tmp_path: Path,
) -> None:
    project = tmp_path / "mine"
    project.mkdir()
    backend = BACKEND.replace("slowly", "mine").replace(
        '    with open(os.environ["GATE"]) as gate:\n        gate.read()\n', ""
    )
    (project / "backend.py").write_text(backend)
    (project / "pyproject.toml").write_text(
        "[build-system]\nrequires=[]\nbuild-backend='backend'\nbackend-path=['.']\n"
        "[project]\nname='mine'\nversion='1.0'\n"
    )
    program = """
        from pymonik import Pymonik, task
        @task
        def found(): import mine; return mine.__file__
        if __name__ == "__main__":
            with Pymonik(environment={"pip": ["-e ./mine"]}):
                print(found.invoke().get())
    """
    variables = {"GATE": str(tmp_path / "gate")}
    first = _run(tmp_path, program, **variables)
    assert "site-packages" in first
    assert _run(tmp_path, program, **variables) == first
    (project / "backend.py").write_text(backend.replace('"mine.py", ""', '"mine.py", "A = 1"'))
    assert _run(tmp_path, program, **variables) != first


def test_a_subtask_has_packages_of_its_own_that_travel_too(tmp_path: Path, wheels: Path) -> None:
    write_wheel(tmp_path, "pmk_local", "1.5")
    output = _run(
        tmp_path,
        """
        import importlib.metadata
        from pymonik import Pymonik, task
        @task(environment=["./pmk_local-1.5-py3-none-any.whl"])
        def inner(): return importlib.metadata.version("pmk-local")
        @task
        def outer(): return inner.invoke()
        @task(environment=["pmk-probe==1.0"])
        def between(): return inner.invoke()
        if __name__ == "__main__":
            with Pymonik():
                print(outer.invoke().get(), between.invoke().get(), inner.invoke().get())
        """,
    )
    assert output == "1.5 1.5 1.5\n"


def test_the_standard_library_stands_before_packages_and_children_have_the_same(
    tmp_path: Path, wheels: Path
) -> None:
    write_wheel(wheels, "asyncio", "3.4.3", {"asyncio/__init__.py": "raise ImportError('wrong')"})
    write_wheel(wheels, "tool", "1.0", {"tool.py": "print('tool')"})
    output = _run(
        tmp_path,
        """
        import subprocess, sys
        from pymonik import Pymonik, task
        @task
        def look():
            import asyncio, os
            child = subprocess.run([sys.executable, "-m", "tool"], capture_output=True, text=True)
            return asyncio.__file__, child.stdout + child.stderr, os.environ.get("PYTHONPATH")
        if __name__ == "__main__":
            with Pymonik(environment=["asyncio", "tool"]):
                print(*look.invoke().get())
        """,
    )
    assert "site-packages" not in output.split()[0]
    assert "tool" in output
    assert "cpython" not in output


def test_an_offline_environment_needs_no_index_at_the_worker(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = environment_of(
        {"pip": [str(wheels / "pmk_probe-1.0-py3-none-any.whl")], "offline": True}
    )
    assert [file.name for file in environment.files] == ["pmk_probe-1.0-py3-none-any.whl"]
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with (
        LocalCluster(workers=1) as running,
        Pymonik(running, environment=environment) as client,
    ):
        assert version.invoke("pmk-probe", pymonik=client).result(LIMIT_S) == "1.0"


def test_a_wheel_that_is_not_what_it_says_is_refused() -> None:
    environment: Any = environment_of([])
    assert environment.packages_id == ""
    for name in ("../x.whl", "x-1.0-py3-none-any.whl"):
        with pytest.raises(EnvironmentSetupError, match="is not the file"):
            local_packages.receive(PackageFile(name, "00"), b"abc")


def test_numerical_libraries_have_the_share_of_an_executor_unless_the_user_says_otherwise(
    tmp_path: Path,
) -> None:
    output = _run(
        tmp_path,
        """
        import os
        from pymonik import LocalCluster, Pymonik, task
        @task
        def threads():
            return os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]
        if __name__ == "__main__":
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
                os.environ.pop(name, None)
            given = {"env_variables": {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "5"}}
            with LocalCluster(workers=os.cpu_count()) as cluster:
                with Pymonik(cluster): print(*threads.invoke().get())
                with Pymonik(cluster, environment=given): print(*threads.invoke().get())
        """,
    )
    assert output == "1 1\n3 5\n"
