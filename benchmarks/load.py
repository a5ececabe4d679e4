"""Load on an embedded cluster: many tasks, many clients, a large result, large pages.

    python benchmarks/load.py [--tasks 100000] [--clients 50] [--gib 1] [--workers 0]

Prints figures: time per task, sizes, and the memory of the cluster's process before, at its peak
and after DeleteSession. Without workers the tasks are submitted and listed, but not run.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import psutil
from armonik.client import ArmoniKResults, ArmoniKSessions, ArmoniKTasks
from armonik.common import Task, TaskDefinition, TaskOptions

from pymonik.cluster.local import LocalCluster

WORKER = Path(__file__).parents[1] / "tests" / "workers" / "small_worker.py"
BATCH = 500
PAGE = 10_000
LIMIT_S = 600.0


class Memory:
    """Follows the memory of a process."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()
        self.before = self.now()
        self.peak = self.before
        self._thread = threading.Thread(target=self._follow, name="memory")
        self._thread.start()

    def now(self) -> float:
        return float(self._process.memory_info().rss) / 2**20

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stopped.wait(0.1):
            self.peak = max(self.peak, self.now())


def main() -> None:
    options = _arguments()
    count = max(options.workers, 0)
    command = [sys.executable, str(WORKER)]
    with LocalCluster(partitions={"P": count}, worker=command, port=0) as cluster:
        address = cluster.endpoint.removeprefix("http://")
        memory = Memory(cluster.pid)
        try:
            with _channel(address) as channel:
                session_id = _run(channel, address, options)
                full = memory.now()
                with _timed("DeleteSession"):
                    ArmoniKSessions(channel).delete_session(session_id)
                print(f"objects left: {len(list(cluster.storage_folder.iterdir()))}")
        finally:
            memory.stop()
        print(f"memory, MiB: before {memory.before:.0f}, peak {memory.peak:.0f}, ", end="")
        print(f"before DeleteSession {full:.0f}, after {memory.now():.0f}")


def _run(channel: grpc.Channel, address: str, options: argparse.Namespace) -> str:
    defaults = TaskOptions(timedelta(seconds=60), 1, 1, "P")
    session_id = str(ArmoniKSessions(channel).create_session(defaults, ["P"]))
    share = options.tasks // options.clients
    with (
        _timed("create results and submit", options.tasks),
        ThreadPoolExecutor(options.clients) as pool,
    ):
        list(pool.map(lambda _: _submit(address, session_id, share), range(options.clients)))
    tasks = ArmoniKTasks(channel)
    total = share * options.clients
    if options.workers:
        with _timed("until all tasks have ended", total):
            _until_ended(tasks, session_id, total)
    with _timed(f"list in pages of {PAGE}", total):
        pages = -(-total // PAGE)
        mine = Task.session_id == session_id
        lists = [tasks.list_tasks(mine, page=page, page_size=PAGE)[1] for page in range(pages)]
    print(f"listed: {sum(len(one) for one in lists)}")
    _large(channel, session_id, int(options.gib * 2**30))
    return session_id


def _submit(address: str, session_id: str, count: int) -> None:
    """One client: a payload, then batches of outputs and tasks."""
    with _channel(address) as channel:
        results, tasks = ArmoniKResults(channel), ArmoniKTasks(channel)
        payload = results.create_results({"payload": b"double 21"}, session_id)["payload"]
        for start in range(0, count, BATCH):
            names = [str(number) for number in range(start, min(start + BATCH, count))]
            made = results.create_results_metadata(names, session_id, batch_size=BATCH)
            definitions = [
                TaskDefinition(payload_id=payload.result_id, expected_output_ids=[one.result_id])
                for one in made.values()
            ]
            tasks.submit_tasks(session_id, definitions, chunk_size=BATCH)


def _large(channel: grpc.Channel, session_id: str, size: int) -> None:
    results = ArmoniKResults(channel)
    result_id = results.create_results_metadata(["large"], session_id)["large"].result_id
    with _timed(f"upload of {size / 2**20:.0f} MiB"):
        results.upload_result_data(result_id, session_id, bytes(size))
    with _timed(f"download of {size / 2**20:.0f} MiB"):
        assert len(results.download_result_data(result_id, session_id)) == size


def _until_ended(tasks: Any, session_id: str, total: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        counts = tasks.count_tasks_by_status(Task.session_id == session_id)
        if sum(number for status, number in counts.items() if status.name == "COMPLETED") == total:
            return
        time.sleep(0.2)
    raise SystemExit(f"not ended after {LIMIT_S:.0f} s: {counts}")


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
