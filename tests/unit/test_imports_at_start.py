"""What a program and an executor load before they do anything: each module costs its start.

Each of these names was loaded once, and half of the start of an executor went into them. Whoever
adds to what is loaded raises a count here, knowingly; about a millisecond for two modules.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

import pymonik

# What most programs and most executors never ask for.
_OURS = (
    *(
        "batches",
        "cache",
        "client",
        "handles.awaiting",
        "cluster",
        "code.bundle",
        "code.exceptions",
        "code.literals",
    ),
    *(
        "code.program",
        "tasks.commands",
        "content.archives",
        "environments.installer",
        "files.completed",
    ),
    *(
        "files.file",
        "files.stored",
        "neighbours",
        "tasks.lambdas",
        "tasks.methods",
        "kept",
        "tasks.mapping",
        "tasks.monitors",
        "page",
    ),
    *(
        "tasks.resumed",
        "runs.figures",
        "runs.logs",
        "runs.output",
        "runs.repair",
        "session.detached",
    ),
    *("session.remote", "transport", "worker"),
)
_OTHERS = (
    *("armonik", "asyncio", "configparser", "grpc", "psutil", "random", "shutil", "subprocess"),
    *("tarfile", "tempfile", "zipfile"),
)


def _loaded(module: str) -> set[str]:
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(("module", "most"), [("pymonik", 74), ("pymonik.executor.__main__", 130)])
def test_a_start_loads_what_it_needs(module: str, most: int) -> None:
    loaded = _loaded(module) - _loaded("sys")  # an editable install may bring some
    unasked = {*_OTHERS, *(f"pymonik.{name}" for name in _OURS)}
    assert not unasked & loaded
    ours = sorted(name for name in loaded if name.partition(".")[0] == "pymonik")
    assert len(ours) <= most, ours


def test_a_name_that_is_loaded_when_it_is_asked_for_is_the_same_ever_after() -> None:
    for name in pymonik.__all__:
        assert getattr(pymonik, name) is getattr(pymonik, name)
    assert callable(pymonik.task)  # and not the module of that name
    assert pymonik.File.__module__ == "pymonik.files.file"


def test_a_star_import_gives_all_names() -> None:
    code = "from pymonik import *; import pymonik; print(set(pymonik.__all__) - set(globals()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_cluster_starts_its_executors_before_it_loads_grpc() -> None:
    assert not {"grpc", "armonik", "asyncio"} & _loaded("pymonik.cluster.__main__")
