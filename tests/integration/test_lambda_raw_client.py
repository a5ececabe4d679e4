"""A program that knows ArmoniK and not pymonik runs a Lambda handler, as docs/format.md tells."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from pymonik import LocalCluster

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 90.0

CLIENT = """
import datetime, hashlib, json, pathlib, struct, sys
import grpc, msgspec
from armonik.client import ArmoniKEvents, ArmoniKResults, ArmoniKSessions, ArmoniKTasks
from armonik.common import TaskDefinition, TaskOptions

endpoint, path, partition = sys.argv[1:]

def container(head, *blobs):
    packed = msgspec.msgpack.encode(head)
    data = b"PMK2" + struct.pack("<IQ", len(packed), len(blobs))
    data += b"".join(struct.pack("<Q", len(blob)) for blob in blobs) + packed
    for blob in blobs:
        if len(blob) >= 2048: data += bytes(-len(data) % 64)
        data += blob
    return data

def opened(data):
    assert data[:4] == b"PMK2"
    size, count = struct.unpack_from("<IQ", data, 4)
    sizes = struct.unpack_from(f"<{count}Q", data, 16)
    head = msgspec.msgpack.decode(data[16 + 8 * count:][:size])
    return head, data[16 + 8 * count + size:][:sum(sizes)]

with grpc.insecure_channel(endpoint.removeprefix("http://"),
                           options=[("grpc.default_authority", "localhost")]) as channel:
    sessions, results = ArmoniKSessions(channel), ArmoniKResults(channel)
    tasks = ArmoniKTasks(channel)
    options = TaskOptions(max_duration=datetime.timedelta(seconds=30), priority=1, max_retries=1,
                          partition_id=partition)
    session = sessions.create_session(options, [partition])
    zipped = pathlib.Path(path).read_bytes()
    digest = hashlib.sha256(zipped).hexdigest()
    (archive,) = results.create_results({"lambda.zip": zipped}, session).values()
    file = ["lambda.zip", len(zipped), digest, archive.result_id]
    head = {"type": "payload", "version": 3, "python": [0, 0], "archive": digest,
            "function": {"type": "lambda", "name": "double", "handler": "m.handler",
                         "files": [file]},
            "calls": [[1]]}
    payload = container(head, json.dumps({"n": 21}).encode())
    (sent,) = results.create_results({"payload": payload}, session).values()
    (output,) = results.create_results_metadata(["output"], session).values()
    (task,) = tasks.submit_tasks(session, [TaskDefinition(
        payload_id=sent.result_id, expected_output_ids=[output.result_id],
        data_dependencies=[archive.result_id])])
    ArmoniKEvents(channel).wait_for_result_availability([output.result_id], session)
    head, blobs = opened(results.download_result_data(output.result_id, session))
    assert head["type"] == "result" and head["items"][0][3:4] == [1], head
    print(json.loads(blobs))
assert not [name for name in sys.modules if name.split(".")[0] in ("pymonik", "cloudpickle")]
"""


@pytest.mark.parametrize("is_worker", [False, True])
def test_a_client_that_knows_armonik_only_runs_a_handler(tmp_path: Path, is_worker: bool) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("m.py", "def handler(event, context): return {'twice': 2 * event['n']}")
    worker = [sys.executable, "-m", "pymonik.worker"] if is_worker else None
    (tmp_path / "client.py").write_text(CLIENT)
    with LocalCluster(workers=1, port=0, worker=worker) as cluster:
        arguments = [cluster.endpoint, str(tmp_path / "m.zip"), cluster.default_partition]
        done = subprocess.run(
            [sys.executable, str(tmp_path / "client.py"), *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'twice': 42}\n"
