"""Load on an embedded cluster: many tasks, many clients, large results, large pages.

    python -m benchmarks.load                                  # all of it, with real executors
    python -m benchmarks.load --only listed --rounds 3         # memory after each DeleteSession
    python -m benchmarks.load --only curve --curve 1000 10000 100000

Parts, each on a cluster of its own:

    listed    one session of `--tasks` tasks, submitted by `--clients` clients, each with a channel;
              listed in pages of 10 000, deleted; `--rounds` times
    executed  `--clients` programs' worth of sessions at once, small ones, then ones of `--tasks`
              calls in all, run by executors; then one session of as many
    large     a result of `--gib` up and down, through gRPC
    curve     one session of each of these numbers of calls: time and memory for each call

Figures are printed: seconds, microseconds each, MiB of the cluster's process before, at its peak
and some seconds after DeleteSession, when it has given back what it does not need. Clients have
left by then: each that is connected costs the cluster 0.1 to 0.2 MiB more. Any error ends it.
"""

from __future__ import annotations

import argparse
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import psutil
from armonik.client import ArmoniKResults, ArmoniKSessions, ArmoniKTasks
from armonik.common import Result, Task, TaskDefinition, TaskOptions
from armonik.protogen.client.results_service_pb2_grpc import ResultsStub
from armonik.protogen.client.tasks_service_pb2_grpc import TasksStub
from armonik.protogen.common import (
    results_common_pb2,
    results_fields_pb2,
    sort_direction_pb2,
    tasks_common_pb2,
    tasks_fields_pb2,
)

from benchmarks.functions import add
from pymonik import Pymonik, task
from pymonik.cluster.local import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH = 500
PAGE = 10_000
CHUNK = 2 * 1024 * 1024
MIB = 2**20
CALM_S = 5.0  # the cluster gives back what was deleted 2 to 4 s after that


class Memory:
    """Follows the memory of a process."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()
        self.before = self.peak = self.now()
        self._thread = threading.Thread(target=self._follow, name="memory")

    def now(self) -> float:
        return float(self._process.memory_info().rss) / MIB

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stopped.wait(0.1):
            self.peak = max(self.peak, self.now())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that were asked for."""
    options = _parser().parse_args(arguments)
    parts = {"listed": _listed, "executed": _executed, "large": _large, "curve": _curve}
    for name in options.only or parts:
        print(f"-- {name}", flush=True)
        workers = 0 if name in ("listed", "large") else options.workers
        with (
            LocalCluster(partitions={"pymonik": workers}, port=0) as cluster,
            Memory(cluster.pid) as memory,
        ):
            parts[name](cluster, memory, options)
            left = sum(1 for one in cluster.storage_folder.iterdir() if one.name[0] != ".")
            print(f"memory, MiB: before {memory.before:.0f}, peak {memory.peak:.0f}, ", end="")
            print(f"at the end {memory.now():.0f}; objects left: {left}", flush=True)


# -- one session, many clients, listed -------------------------------------------------------------


def _listed(cluster: LocalCluster, memory: Memory, options: argparse.Namespace) -> None:
    address = cluster.endpoint.removeprefix("http://")
    share = options.tasks // options.clients
    for _ in range(options.rounds):
        with _channel(address) as channel:
            session_id = _new_session(channel)
            with (
                _timed("create results and submit", share * options.clients),
                ThreadPoolExecutor(options.clients) as pool,
            ):
                submitted = [
                    pool.submit(_submit, address, session_id, share) for _ in range(options.clients)
                ]
            for one in submitted:
                one.result()
            full = memory.now()
            print(
                f"each task and its result: {(full - memory.before) * 1024 / options.tasks:.2f} KiB"
            )
            with _timed(f"ListTasks in pages of {PAGE}", share * options.clients):
                _check(_list_tasks(channel, session_id), share * options.clients)
            with _timed(f"ListResults in pages of {PAGE}", share * options.clients):
                _check(_list_results(channel, session_id), (share + 1) * options.clients)
            full = memory.now()
            _delete(channel, session_id)
        _tell(full, memory)


def _submit(address: str, session_id: str, count: int) -> None:
    """One client: a payload, then batches of outputs and tasks."""
    with _channel(address) as channel:
        results, tasks = ArmoniKResults(channel), ArmoniKTasks(channel)
        payload = results.create_results({"payload": b"never read"}, session_id)["payload"]
        for start in range(0, count, BATCH):
            names = [str(number) for number in range(start, min(start + BATCH, count))]
            made = results.create_results_metadata(names, session_id, batch_size=BATCH)
            definitions = [
                TaskDefinition(payload_id=payload.result_id, expected_output_ids=[one.result_id])
                for one in made.values()
            ]
            tasks.submit_tasks(session_id, definitions, chunk_size=BATCH)


def _list_tasks(channel: grpc.Channel, session_id: str) -> Iterator[int]:
    """Rows of each page; without the package's classes, which take longer than the cluster."""
    field = tasks_fields_pb2.TaskField(
        task_summary_field={"field": tasks_fields_pb2.TASK_SUMMARY_ENUM_FIELD_CREATED_AT}
    )
    sort = {"field": field, "direction": sort_direction_pb2.SORT_DIRECTION_ASC}
    filters = (Task.session_id == session_id).to_message()
    for page in range(10**6):
        request = tasks_common_pb2.ListTasksRequest(
            page=page, page_size=PAGE, filters=filters, sort=sort
        )
        yield (found := len(TasksStub(channel).ListTasks(request).tasks))
        if not found:
            return


def _list_results(channel: grpc.Channel, session_id: str) -> Iterator[int]:
    field = results_fields_pb2.ResultField(
        result_raw_field={"field": results_fields_pb2.RESULT_RAW_ENUM_FIELD_NAME}
    )
    sort = {"field": field, "direction": sort_direction_pb2.SORT_DIRECTION_DESC}
    filters = (Result.session_id == session_id).to_message()
    for page in range(10**6):
        request = results_common_pb2.ListResultsRequest(
            page=page, page_size=PAGE, filters=filters, sort=sort
        )
        yield (found := len(ResultsStub(channel).ListResults(request).results))
        if not found:
            return


def _check(pages: Iterator[int], expected: int) -> None:
    listed = sum(pages)
    if listed != expected:
        raise SystemExit(f"{listed} rows in the pages, not {expected}")


# -- calls that run --------------------------------------------------------------------------------


def _executed(cluster: LocalCluster, memory: Memory, options: argparse.Namespace) -> None:
    share = options.tasks // options.clients
    with ThreadPoolExecutor(options.clients) as pool:
        small = list(pool.map(lambda _: _call(cluster, 20), range(options.clients)))
    _forget(cluster, memory, small)
    with (
        _timed(f"{options.clients} clients, {share} calls each", share * options.clients),
        ThreadPoolExecutor(options.clients) as pool,
    ):
        sessions = list(pool.map(lambda _: _call(cluster, share), range(options.clients)))
    _forget(cluster, memory, sessions)
    with _timed(f"one client, {options.tasks} calls", options.tasks):
        session_id = _call(cluster, options.tasks)
    _forget(cluster, memory, [session_id])


def _curve(cluster: LocalCluster, memory: Memory, options: argparse.Namespace) -> None:
    _forget(cluster, memory, [_call(cluster, 1_000)])  # everything is loaded
    for count in options.curve:
        before = memory.now()
        with _timed(f"{count} calls", count):
            session_id = _call(cluster, count)
        print(f"each call: {(memory.now() - before) * 1024 / count:.2f} KiB in the cluster")
        _forget(cluster, memory, [session_id])


def _call(cluster: LocalCluster, count: int) -> str:
    """One client: a session, single calls in a loop, all values; gives the session."""
    one = task(add)
    with Pymonik(cluster) as client:
        handles = [one.invoke(number, 1, pymonik=client) for number in range(count)]
        for number, handle in enumerate(handles):
            if handle.get() != number + 1:
                raise SystemExit("a wrong value")
        return client.session_id


def _forget(cluster: LocalCluster, memory: Memory, sessions: list[str]) -> None:
    full = memory.now()
    gc.collect()  # clients that were closed leave when they are collected
    with _channel(cluster.endpoint.removeprefix("http://")) as channel:
        for session_id in sessions:
            ArmoniKSessions(channel).delete_session(session_id)
    _tell(full, memory)


def _tell(full: float, memory: Memory) -> None:
    time.sleep(CALM_S)
    print(f"memory, MiB: before DeleteSession {full:.0f}, after {memory.now():.0f}", flush=True)


# -- large results ---------------------------------------------------------------------------------


def _large(cluster: LocalCluster, memory: Memory, options: argparse.Namespace) -> None:
    size = int(options.gib * 2**30)
    with _channel(cluster.endpoint.removeprefix("http://")) as channel:
        session_id, results = _new_session(channel), ArmoniKResults(channel)
        result_id = results.create_results_metadata(["large"], session_id)["large"].result_id
        with _timed(f"upload of {size / MIB:.0f} MiB"):
            ResultsStub(channel).UploadResultData(_chunks(session_id, result_id, size))
        request = results_common_pb2.DownloadResultDataRequest(
            session_id=session_id, result_id=result_id
        )
        with _timed(f"download of {size / MIB:.0f} MiB"):
            stream = ResultsStub(channel).DownloadResultData(request)
            if sum(len(one.data_chunk) for one in stream) != size:
                raise SystemExit("not what was uploaded")
        full = memory.now()
        _delete(channel, session_id)
    _tell(full, memory)


def _chunks(session_id: str, result_id: str, size: int) -> Iterator[Any]:
    message = results_common_pb2.UploadResultDataRequest
    yield message(id={"session_id": session_id, "result_id": result_id})
    chunk = bytes(CHUNK)
    for start in range(0, size, CHUNK):
        yield message(data_chunk=chunk[: min(CHUNK, size - start)])


# -- tools -----------------------------------------------------------------------------------------


def _new_session(channel: grpc.Channel) -> str:
    defaults = TaskOptions(timedelta(seconds=60), 1, 1, "pymonik")
    return str(ArmoniKSessions(channel).create_session(defaults, ["pymonik"]))


def _delete(channel: grpc.Channel, session_id: str) -> None:
    with _timed("DeleteSession"):
        ArmoniKSessions(channel).delete_session(session_id)


class _timed:  # noqa: N801 - used like a function
    def __init__(self, what: str, count: int = 0) -> None:
        self._what, self._count = what, count

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        took = time.monotonic() - self._start
        each = f", {took / self._count * 1e6:.0f} µs each" if self._count else ""
        print(f"{self._what}: {took:.2f} s{each}", flush=True)


def _channel(address: str) -> grpc.Channel:
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.insecure_channel(address, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=["listed", "executed", "large", "curve"])
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--curve", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    return parser


if __name__ == "__main__":
    main()
