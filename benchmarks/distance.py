"""What distance costs: a client that is far from its control plane, beside one that is near.

    python -m benchmarks.distance [--delay 0.04] [--rounds 3] [--calls 10000]

From a checkout: what delays bytes is the odd plane of the tests, in a process of its own. Both
clients go through it, so that only the distance differs. The bare requests are those that any
client of ArmoniK needs for 1 000 calls, one after the other: outputs, payloads, tasks.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from armonik.protogen.client.results_service_pb2_grpc import ResultsStub
from armonik.protogen.client.tasks_service_pb2_grpc import TasksStub
from armonik.protogen.common import results_common_pb2, tasks_common_pb2

from benchmarks import functions
from pymonik import LocalCluster, Pymonik, task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUBMITTED = 1000
READ = 300
_ROOT = Path(__file__).parent.parent

add = task(functions.add)
later = task(functions.pause)


@contextmanager
def far(endpoint: str, delay_s: float) -> Iterator[str]:
    """Where the same control plane listens, each byte ``delay_s`` later."""
    command = [sys.executable, "-m", "tests.odd_plane", endpoint, "--delay", str(delay_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as plane:
        assert plane.stdout is not None
        try:
            yield plane.stdout.readline().strip()
        finally:
            plane.terminate()


def _map(calls: int) -> float:
    start = time.perf_counter()
    values = add.map_invoke([(i, i) for i in range(calls)]).get()
    spent = time.perf_counter() - start
    assert values == [2 * i for i in range(calls)]
    return spent


def _ended(calls: int) -> list[Any]:
    handles = [add.invoke(i, i) for i in range(calls)]
    for handle in handles:
        handle.wait()
    return handles


def _one_by_one() -> float:
    handles = _ended(READ)
    start = time.perf_counter()
    values = [handle.get() for handle in handles]
    spent = time.perf_counter() - start
    assert values == [2 * i for i in range(READ)]
    return spent


def _together() -> float:
    handles = add.map_invoke([(i, i) for i in range(READ)], chunk_size=1)
    handles.wait()
    start = time.perf_counter()
    assert handles.get() == [2 * i for i in range(READ)]
    return time.perf_counter() - start


def _submitted() -> float:
    start = time.perf_counter()
    handles = [later.invoke(0.0) for _ in range(SUBMITTED)]
    while not all(handle._state.task_id for handle in handles):
        time.sleep(0.001)
    spent = time.perf_counter() - start
    for handle in handles:
        handle.wait()
    return spent


def _bare(endpoint: str, session_id: str) -> float:
    """Three requests, as they come; the tasks are none of ours, and fail."""
    with grpc.insecure_channel(endpoint.removeprefix("http://")) as channel:
        results, tasks = ResultsStub(channel), TasksStub(channel)
        grpc.channel_ready_future(channel).result(30)
        start = time.perf_counter()
        kind = results_common_pb2.CreateResultsMetaDataRequest
        outputs = results.CreateResultsMetaData(
            kind(session_id=session_id, results=[kind.ResultCreate(name="o")] * SUBMITTED)
        ).results
        filled = results_common_pb2.CreateResultsRequest
        payloads = results.CreateResults(
            filled(
                session_id=session_id,
                results=[filled.ResultCreate(name="p", data=bytes(300))] * SUBMITTED,
            )
        ).results
        pairs = zip(outputs, payloads, strict=True)
        creation = tasks_common_pb2.SubmitTasksRequest.TaskCreation
        tasks.SubmitTasks(
            tasks_common_pb2.SubmitTasksRequest(
                session_id=session_id,
                task_creations=[
                    creation(expected_output_keys=[one.result_id], payload_id=other.result_id)
                    for one, other in pairs
                ],
            )
        )
        return time.perf_counter() - start


def measure(endpoint: str, calls: int, *, polls: bool) -> dict[str, float]:
    """Seconds of each piece of work, by a client of this endpoint."""
    with Pymonik(endpoint, disable_events_client=polls) as client:
        for _ in range(3):
            assert add.invoke(1, 2).get() == 3  # what is loaded at first is loaded
        found = {"map": _map(calls), "one by one": _one_by_one(), "together": _together()}
        found["submitted"] = _submitted()
        found["bare"] = _bare(endpoint, client.session_id)
        client.cancel()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distance", description=__doc__)
    parser.add_argument("--delay", type=float, default=0.04, help="seconds, each way")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=10_000, help="of the map")
    given = parser.parse_args()
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with LocalCluster(workers=2) as cluster:
        for _ in range(given.rounds):
            for where, delay_s in (("near", 0.0), ("far", given.delay)):
                for how in ("told", "polls"):
                    with far(cluster.endpoint, delay_s) as endpoint:
                        measured = measure(endpoint, given.calls, polls=how == "polls")
                    for what, seconds in measured.items():
                        found[f"{where}, {how}", what].append(seconds)
    _report(lambda who, what: statistics.median(found[who, what]), given.calls)


def _report(median: Callable[[str, str], float], calls: int) -> None:
    write = sys.stdout.write
    for how in ("told", "polls"):
        near, away = f"near, {how}", f"far, {how}"
        bound = 3 * median(near, "map") + 1
        write(
            f"client that is {how}: map of {calls} near {median(near, 'map'):.2f} s, "
            f"far {median(away, 'map'):.2f} s (3 x near + 1 = {bound:.2f}; "
            f"{calls / median(away, 'map'):.0f} calls/s)\n"
            f"  {READ} values one by one {median(away, 'one by one'):.3f} s, "
            f"together {median(away, 'together'):.3f} s\n"
            f"  {SUBMITTED} calls submitted in {median(away, 'submitted'):.3f} s, "
            f"bare requests {median(away, 'bare'):.3f} s\n"
        )


if __name__ == "__main__":
    main()
