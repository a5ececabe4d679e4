"""What only Linux has is not relied on: the same work in processes that do not have it.

These run on Linux, and show less than macOS itself would; but each function that is missing there
is missing here, in the client, the cluster and the executors.
"""

from __future__ import annotations

import subprocess
import sysconfig
import venv
from pathlib import Path
from textwrap import dedent

import pytest

import pymonik

_MISSING = """
import mmap
import os

for name in (
    "memfd_create",
    "posix_fallocate",
    "copy_file_range",
    "pidfd_open",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getscheduler",
    "getresuid",
    "getresgid",
    "eventfd",
    "splice",
):
    if hasattr(os, name):
        delattr(os, name)
for name in ("MADV_HUGEPAGE", "MAP_POPULATE"):
    if hasattr(mmap, name):
        delattr(mmap, name)
"""

_WORK = """
import contextlib
import os
import subprocess
import sys

from pymonik import File, LocalCluster, Pymonik, command, task


@task
def same(value):
    return value


@task
def is_missing():
    return not hasattr(os, "memfd_create")


@task
def size_of(file):
    return os.path.getsize(file)


@contextlib.contextmanager
def with_data():
    command = [sys.executable, "-m", "pymonik", "cluster", "--workers", "2", "--port", "0"]
    command += ["--data", "kept"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().partition("listening on ")[2].split()[0]
        finally:
            process.terminate()


with open("large.bin", "wb") as file:
    file.write(bytes(30_000_000))
with CLUSTER as place, Pymonik(place, session="work") as client:
    assert is_missing.invoke().get()
    assert same.map_invoke(range(300)).get() == list(range(300))
    data = bytes(20_000_000)
    assert same.invoke(client.put(data)).get() == data
    assert size_of.invoke(File("large.bin")).get() == 30_000_000
    assert command("echo hi").invoke().get().stdout == "hi\\n"
print("done")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that finds what this one does, and lacks what other systems lack."""
    folder = tmp_path_factory.mktemp("other system") / "venv"
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    packages.joinpath("missing_here.py").write_text(_MISSING)
    root = Path(pymonik.__file__).parents[1]
    packages.joinpath("missing_here.pth").write_text(
        f"{sysconfig.get_path('purelib')}\n{root}\nimport missing_here\n"
    )
    return folder / "bin" / "python"


@pytest.mark.parametrize(
    "cluster",
    ["LocalCluster(workers=2)", "LocalCluster(workers=2, memory_limit='2G')", "with_data()"],
    ids=["plain", "limit", "data"],
)
def test_it_works_without_what_only_linux_has(python: Path, cluster: str, short_path: Path) -> None:
    ended = subprocess.run(
        [python, "-c", dedent(_WORK).replace("CLUSTER", cluster)],
        cwd=short_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout[-5:]) == (0, "done\n"), ended.stderr
