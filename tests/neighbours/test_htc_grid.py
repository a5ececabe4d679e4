"""Clients and handlers of HTC-Grid: the connector, and zips with packages."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, Task, UsageError
from pymonik import task as as_task
from pymonik.cli import main
from pymonik.htc_grid import AWSConnector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 50.0

ENGINE = """
import time
def lambda_handler(event, context):
    what = event["worker_arguments"][0]
    if what == "raise": raise ValueError("no price")
    time.sleep(int(what) / 1000)
    return {"results": [int(what)]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "app"
    place.mkdir()
    (place / "engine.py").write_text(ENGINE)
    return place


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as cluster:
        yield cluster


@pytest.fixture
def connector(folder: Path, cluster: LocalCluster) -> Iterator[AWSConnector]:
    config = {"bundle": folder, "handler": "engine.lambda_handler", "endpoint": cluster}
    made = AWSConnector()
    made.init({**config, "s3_bucket": "x", "redis_url": "y"}, username="me", password="p")
    made.authenticate()
    yield made
    made.close()


@as_task
def print_nothing(event: object) -> None:
    del event


def task(what: object) -> dict[str, Any]:
    return {"worker_arguments": [str(what), "1", "1"]}


def test_a_client_of_htc_grid_finds_its_dicts(connector: AWSConnector) -> None:
    sent = connector.send([task(10), task("raise"), task(20)])
    assert sent["task_ids"] == [f"{sent['session_id']}_{number}" for number in range(3)]
    results = connector.get_results(sent, timeout_sec=TIMEOUT_S)
    assert results["finished"] == [sent["task_ids"][0], sent["task_ids"][2]]
    assert [json.loads(text)["results"] for text in results["finished_OUTPUT"]] == [[10], [20]]
    assert results["failed"] == [sent["task_ids"][1]]
    assert results["failed_OUTPUT"] == ["ValueError: no price"]
    assert results["metadata"] == {"tasks_in_response": 3}
    assert "cancelled" not in results


def test_what_is_ready_at_the_time_out_and_what_was_cancelled(connector: AWSConnector) -> None:
    sent = connector.send([task(10), task(60_000), task(60_000), task(60_000)])
    some = connector.get_results(sent, timeout_sec=3)
    assert some["metadata"] == {"tasks_in_response": 1}
    said = connector.cancel_sessions([sent["session_id"]])[sent["session_id"]]
    assert said["cancelled_pending"] + said["cancelled_processing"] == 3
    assert said["tatal_cancelled_tasks"] == 3
    results = connector.get_results(sent, timeout_sec=TIMEOUT_S)
    assert len(results["finished"]) == 1
    assert len(results["cancelled"]) == 3
    assert results["metadata"] == {"tasks_in_response": 4}


def test_another_connector_has_the_results_and_cancels(
    connector: AWSConnector, cluster: LocalCluster
) -> None:
    sent = connector.send([task(10), task("raise"), task(20)])
    running = connector.send([task(60_000)] * 3)
    other = AWSConnector({"task": print_nothing, "endpoint": cluster})
    results = other.get_results(sent, timeout_sec=TIMEOUT_S)
    assert results["finished"] == [sent["task_ids"][0], sent["task_ids"][2]]
    assert results["failed_OUTPUT"] == ["ValueError: no price"]
    assert other.get_results(sent) == results == connector.get_results(sent)
    said = other.cancel_sessions([running["session_id"]])[running["session_id"]]
    assert said["total_cancelled_tasks"] == 3
    assert len(connector.get_results(running, timeout_sec=TIMEOUT_S)["cancelled"]) == 3
    with pytest.raises(UsageError, match="there is no session"):
        other.get_results({"session_id": "elsewhere"})
    other.close()
    late = AWSConnector({"task": print_nothing, "endpoint": cluster})
    assert late.get_results(sent) == results  # its session was closed meanwhile
    late.close()


def test_mistakes_of_a_configuration_are_told() -> None:
    with pytest.raises(UsageError, match="needs a 'bundle'"):
        AWSConnector({"grid_storage_service": "REDIS"})
    with pytest.raises(UsageError, match=r"call init\(\) first"):
        AWSConnector().send([])
    with pytest.raises(UsageError, match="is no task"):
        AWSConnector({"task": print})


# -- pymonik bundle --------------------------------------------------------------------------------


def names_in(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_a_bundle_has_the_handler_and_its_packages_and_always_the_same_bytes(
    folder: Path, tmp_path: Path, cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "engine.py").write_text(
        "import six\ndef version(event, context): return six.__file__"
    )
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "engine.pyc").write_bytes(b"")
    (folder / "requirements.txt").write_text("six==1.16.0\n")
    made = []
    for name in ("one.zip", "two.zip"):
        options = ["-r", str(folder / "requirements.txt"), "-o", str(tmp_path / name)]
        assert main(["bundle", str(folder), *options]) == 0
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    assert "MB" in capsys.readouterr().out
    names = names_in(tmp_path / "one.zip")
    assert {"engine.py", "six.py", "six-1.16.0.dist-info/METADATA"} <= set(names)
    assert not [name for name in names if name.endswith((".pyc", "RECORD"))]
    with Pymonik(cluster):
        handler = Task.from_lambda(tmp_path / "one.zip", "engine.version")
        assert "/archives/" in handler.invoke({}).get(timeout=TIMEOUT_S)


def test_an_extension_in_c_is_a_module_like_any_other(
    folder: Path, tmp_path: Path, cluster: LocalCluster
) -> None:
    source = folder / "fast.c"
    source.write_text(
        "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n"
        "static PyObject *twice(PyObject *self, PyObject *x) { return PyNumber_Add(x, x); }\n"
        'static PyMethodDef methods[] = {{"twice", twice, METH_O, ""}, {NULL}};\n'
        'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", "", -1, methods};\n'
        "PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }\n"
    )
    include = subprocess.run(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    command = ["cc", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(folder / "fast.so")]
    try:
        built = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        built = False
    if not built:
        pytest.skip("there is no compiler of C, or no headers of Python")
    (folder / "engine.py").write_text(
        "import fast\ndef go(event, context): return fast.twice(event)"
    )
    assert main(["bundle", str(folder), "-o", str(tmp_path / "c.zip")]) == 0
    with Pymonik(cluster):
        run = Task.from_lambda(tmp_path / "c.zip", "engine.go").map_invoke([1, 2.5, "ab", [0]])
        assert run.get(timeout=TIMEOUT_S) == [2, 5.0, "abab", [0, 0]]


def test_what_cannot_be_bundled_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", str(tmp_path / "z.zip")]
    assert main(["bundle", str(tmp_path / "absent"), *out]) == 2
    assert main(["bundle", str(folder), "-r", str(tmp_path / "absent.txt"), *out]) == 2
    assert main(["bundle", str(folder), "--package", "no-such-package-of-pymonik==1", *out]) == 2
    said = capsys.readouterr().err
    assert "is no folder" in said
    assert "no such file" in said
    assert "no-such-package-of-pymonik" in said
    assert not (tmp_path / "z.zip").exists()
