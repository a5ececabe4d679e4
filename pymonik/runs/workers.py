"""The workers of a cluster: what they have, and what they do.

ArmoniK has no list of workers. Here are joined what workers say of themselves
(`pymonik.wire.inventory`) and what the tasks tell that they have or had.

::

    active   it has a task, or had one within two minutes
    idle     it has none, and nothing says that it is gone
    lost     nothing was heard of it for an hour, or for two minutes of one that says it is there
             every half minute; pods that were scaled down are lost too
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from pymonik.errors import PymonikError
from pymonik.runs.rows import FAILED, RUNNING, Lists, PartitionRow, TaskRow
from pymonik.wire.inventory import POD_KEY, WORKER_PREFIX, Gpu, Inventory, decoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ACTIVE_S: Final = 120.0  # seconds since the last task
LOST_S: Final = 3_600.0  # seconds since anything was heard of a worker, or of its tasks
# Seconds, for workers that say that they are there: four times their interval.
SILENT_S: Final = 120.0
_RECENT: Final = 1_000  # tasks, those that were taken last
_COUNTED: Final = 50  # workers whose tasks are counted one by one; of more, the recent tasks are

_Key = tuple[str, str]  # of a worker: partition, host


@dataclass(frozen=True, slots=True)
class Worker:
    """A partition at a host: all the workers of that partition there.

    Attributes:
        host: Of the machine or pod.
        state: ``active``, ``idle`` or ``lost``.
        cpus: Processors that it may use, by affinity and quota; ``None`` where nobody said it.
        memory: Bytes that it may use, by the limit of its container.
        gpus: Empty also where nobody said it.
        python: Version, ``""`` where nobody said it, as is `pymonik`.
        image: Of its container, where the deployment says it.
        connected: When it started.
        last_seen: When it last was heard of.
        running: How many tasks it has.
        done: How many tasks ended well there.
        failed: How many did not, those that were tried again elsewhere too.
        functions: What it runs now, by number of tasks.
    """

    host: str
    partition: str
    state: str
    cpus: int | None = None
    memory: int | None = None
    gpus: list[Gpu] = field(default_factory=list)
    python: str = ""
    pymonik: str = ""
    image: str = ""
    connected: datetime | None = None
    last_seen: datetime | None = None
    running: int = 0
    done: int = 0
    failed: int = 0
    functions: Mapping[str, int] = field(default_factory=dict)


def workers(lists: Lists, now: float) -> list[Worker]:
    """The workers that said what they have, or whose tasks tell of them, by host and partition.

    Raises:
        ControlPlaneError: It cannot be asked.
    """
    present = of_cluster(lists.partitions())
    said = of_results(lists)
    tasks = recent_tasks(lists)
    keys = {*present, *said, *tasks}
    return [
        _worker(
            key,
            said.get(key) or present.get(key),
            tasks.get(key, ()),
            lists if len(keys) <= _COUNTED else None,
            now,
            is_here=key in present,
        )
        # By host first, and by partition of each.
        for key in sorted(keys, key=lambda key: key[::-1])
    ]


def of_cluster(partitions: Iterable[PartitionRow]) -> dict[_Key, Inventory]:
    """What an embedded cluster says of its own workers: they live as long as it answers."""
    found = (decoded(row.pods.get(POD_KEY, "")) for row in partitions)
    return {(one.partition, one.host): one for one in found if one is not None}


def of_results(lists: Lists) -> dict[_Key, Inventory]:
    """What workers said with a task, the last time."""
    found: dict[_Key, Inventory] = {}
    for row in lists.results_named(WORKER_PREFIX):
        partition, _, host = row.name.removeprefix(WORKER_PREFIX).rpartition("/")
        # Rows come with the newest first: what a worker said later counts.
        if (partition, host) in found:
            continue
        try:
            one = decoded(lists.data(row))
        except PymonikError:  # the session of the result is being deleted
            continue
        if one is not None:
            found[partition, host] = one
    return found


def recent_tasks(lists: Lists) -> dict[_Key, list[TaskRow]]:
    """Tasks by worker: those that run, and those that were taken last."""
    rows = {row.task_id: row for row in lists.tasks(acquired_last=True, limit=_RECENT)}
    rows |= {row.task_id: row for row in lists.tasks(statuses=sorted(RUNNING), limit=_RECENT)}
    found: dict[_Key, list[TaskRow]] = {}
    for row in rows.values():
        if row.worker:
            found.setdefault((row.partition, host_of(row)), []).append(row)
    return found


def host_of(row: TaskRow) -> str:
    """The host of a task's worker: a machine with several workers adds their number to it."""
    return row.worker.partition("/")[0]


def _worker(
    key: _Key,
    said: Inventory | None,
    tasks: Iterable[TaskRow],
    lists: Lists | None,
    now: float,
    *,
    is_here: bool,
) -> Worker:
    partition, host = key
    tasks = list(tasks)
    held = [row for row in tasks if row.status in RUNNING]
    counted = _counted(lists, host, partition) or Counter(row.status for row in tasks)
    instants = [one for row in tasks for one in (row.acquired, row.ended) if one is not None]
    busy = now if held else max(instants, default=0.0)  # when it last had a task
    has = said if said is not None else Inventory(host=host, partition=partition)
    seen = now if is_here else max(busy, has.started, has.seen)
    lost_s = SILENT_S if has.seen else LOST_S
    return Worker(
        host=host,
        partition=partition,
        state=_state(now - busy, now - seen, lost_s),
        cpus=has.cpus or None,
        memory=has.memory or None,
        gpus=list(has.gpus),
        python=has.python,
        pymonik=has.pymonik,
        image=has.image,
        connected=_instant(has.started),
        last_seen=_instant(seen),
        running=len(held),
        done=counted["COMPLETED"],
        failed=sum(counted[status] for status in (*FAILED, "RETRIED")),
        functions=dict(Counter(row.function or row.task_id for row in held)),
    )


def _counted(lists: Lists | None, host: str, partition: str) -> Counter[str]:
    return Counter(lists.count_tasks_of(host, partition) if lists is not None else {})


def _state(busy_s: float, seen_s: float, lost_s: float) -> str:
    """From the seconds since it last had a task, since it was heard of, and until it is lost."""
    if busy_s < ACTIVE_S:
        return "active"
    return "idle" if seen_s < lost_s else "lost"


def _instant(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None
