"""What a program, a cluster and an executor load before they do anything: a start is for imports.

Each of these names was loaded once, and half of a start went into them. Whoever adds to what is
loaded raises a count here, knowingly; about a millisecond for two modules, two of them where no
bytecode is kept.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

import pymonik

# What most programs, clusters and executors never ask for.
_OTHERS = {
    *("IPython", "asyncio", "configparser", "email", "grpc", "importlib.metadata", "numpy"),
    *("pandas", "psutil", "tarfile", "yaml"),
}
_NOT_OF_CALLS = {"armonik", "google.protobuf", "random", "shutil", "subprocess", "tempfile"}
if sys.version_info < (3, 11):  # whose `platform` imports it, which `uuid` does, which msgspec does
    _NOT_OF_CALLS -= {"subprocess"}
_OURS = {
    *("batches", "cache", "cli", "code.bundle", "code.exceptions", "code.literals"),
    *("code.program", "content.archives", "environments.installer", "files.completed"),
    *("files.file", "files.stored", "handles.awaiting", "kept", "neighbours", "page"),
    *("runs.figures", "runs.logs", "runs.output", "runs.repair", "session.detached"),
    *("session.machine", "session.remote", "tasks.commands", "tasks.lambdas", "tasks.mapping"),
    *("tasks.methods", "tasks.monitors", "tasks.resumed", "transport.control_plane", "worker"),
}
_OF_CLUSTERS = {"cluster.control_plane", "cluster.host", "cluster.state.tables", "code.codec"}


def _loaded(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "most", "unasked"),
    [
        ("import pymonik", 2, {*_OTHERS, *_NOT_OF_CALLS, "msgspec", "inspect", "logging"}),
        ("from pymonik import task", 74, _OTHERS | _NOT_OF_CALLS),
        ("from pymonik import LocalCluster, Pymonik, task", 95, _OTHERS | {"google.protobuf"}),
        ("import pymonik.executor.__main__", 130, _OTHERS | _NOT_OF_CALLS),
        ("import pymonik.cluster.__main__", 92, _OTHERS | {"cloudpickle", "google.protobuf"}),
    ],
)
def test_a_start_loads_what_it_needs(statement: str, most: int, unasked: set[str]) -> None:
    loaded = _loaded(statement) - _loaded("pass")  # an editable install may bring some
    assert not {*unasked, *(f"pymonik.{name}" for name in _OURS)} & loaded
    if "cluster" in statement:
        assert not {f"pymonik.{name}" for name in _OF_CLUSTERS} & loaded
    ours = sorted(name for name in loaded if name.partition(".")[0] == "pymonik")
    assert len(ours) <= most, ours


@pytest.mark.parametrize(
    "statement",
    [
        "import pymonik.client.opening",
        "from pymonik.cluster import host; from pymonik.cluster.services import direct, public_api",
    ],
)
def test_who_speaks_over_the_direct_socket_loads_no_grpc(statement: str) -> None:
    assert not _OTHERS & (_loaded(statement) - _loaded("pass"))


def test_a_name_that_is_loaded_when_it_is_asked_for_is_the_same_ever_after() -> None:
    for name in pymonik.__all__:
        assert getattr(pymonik, name) is getattr(pymonik, name)
    assert callable(pymonik.task)  # and not the module of that name
    assert pymonik.File.__module__ == "pymonik.files.file"


def test_a_star_import_gives_all_names() -> None:
    code = "from pymonik import *; import pymonik; print(set(pymonik.__all__) - set(globals()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
