"""Packages of a call: built by the installer from a folder of wheels, without a network."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.code import codec, opened_result, packed_function
from pymonik.code.exceptions import exception_of
from pymonik.errors import EnvironmentSetupError
from pymonik.executor.endings import Failed
from pymonik.executor.frames import Report, Run
from pymonik.executor.pool import ExecutorPool
from pymonik.tasks.task import Task
from pymonik.wire import containers
from pymonik.wire.call import CallMeta, FunctionRef, PayloadMeta
from pymonik.wire.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path


def version() -> str:
    import pmk_probe  # type: ignore[import-not-found]

    return str(pmk_probe.VERSION)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for version in ("1.0", "2.0"):
        _write_wheel(tmp_path, version)
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pymonik" / "environments"


def _write_wheel(folder: Path, version: str) -> None:
    info = f"pmk_probe-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: pmk-probe\nVersion: {version}\n"
    wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"pmk_probe-{version}-py3-none-any.whl", "w") as file:
        file.writestr("pmk_probe.py", f"VERSION = {version!r}\n")
        file.writestr(f"{info}/METADATA", metadata)
        file.writestr(f"{info}/WHEEL", wheel)
        file.writestr(f"{info}/RECORD", "")


def _run(folder: Path, *pip: str) -> Run:
    function = packed_function.pack_function(Task(version), "version")
    call = codec.pack_call((), {})
    meta = PayloadMeta(
        function=FunctionRef(function.content_id, "f", "version"),
        calls=(CallMeta(len(call.blobs)),),
        environment=Environment(pip=pip),
    )
    (folder / "function").write_bytes(function.container)
    payload = folder / f"payload-{'-'.join(pip)}"
    payload.write_bytes(b"".join(containers.join(meta, call.blobs)))
    return Run(
        task_id="t",
        session_id="s",
        files={"f": str(folder / "function"), "p": str(payload)},
        payload_id="p",
        output_id="o",
        folder=str(folder),
    )


@pytest.mark.parametrize("size", [1, 2])
def test_versions_live_side_by_side_whatever_the_number_of_executors(
    tmp_path: Path, size: int
) -> None:
    versions: list[Any] = []
    with ExecutorPool(folder=tmp_path, size=size) as pool:
        for version in ("1.0", "2.0", "1.0"):
            ending = pool.run(_run(tmp_path, f"pmk-probe=={version}"), time_limit_s=30)
            assert isinstance(ending, Report), ending
            versions.append(opened_result.OpenedResult(ending.output or b"").value())
        ending = pool.run(_run(tmp_path), time_limit_s=30)
        assert isinstance(ending, Failed)
        assert "No module named 'pmk_probe'" in ending.failure.summary
    assert versions == ["1.0", "2.0", "1.0"]


def test_packages_that_cannot_be_installed_fail_the_call_with_the_installers_words(
    tmp_path: Path, cache: Path
) -> None:
    with ExecutorPool(folder=tmp_path, size=1) as pool:
        ending = pool.run(_run(tmp_path, "pmk-nonsense==9"), time_limit_s=30)
    assert isinstance(ending, Failed)
    error = exception_of(ending.failure)
    assert isinstance(error, EnvironmentSetupError)
    assert "pmk-nonsense" in str(error)
    assert not [path for path in cache.glob("*cpython*") if path.is_dir()]
