"""What is measured: one function for each workload.

A workload yields ``(metric, value)`` as soon as each is known, so that one that runs into its limit
still says what it found. The peer is started and warm, except for ``start``.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import functions, memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.peer import Peer

    Metrics = Iterator[tuple[str, float]]

KB, MB, GB = 1_000, 1_000_000, 1_000_000_000
_SIZES = {"1 kB": KB, "1 MB": MB, "32 MB": 32 * MB, "200 MB": 200 * MB, "1 GiB": 2**30}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything.

    Attributes:
        divisor: The numbers of calls are divided by it.
        most_bytes: Larger values are left out.
        workers: Worker processes of each peer.
    """

    divisor: int = 1
    most_bytes: int = 2**30
    workers: int = 2

    def number(self, of: int) -> int:
        return max(10, of // self.divisor)


FULL = Scale()
QUICK = Scale(divisor=100, most_bytes=MB)


@dataclass(frozen=True, slots=True)
class Workload:
    """A thing to measure.

    Attributes:
        title: For people.
        unit: Of all its metrics.
        measure: Yields the metrics.
        limit_s: After which the process of the peer is ended.
        more_is_better: Whether larger numbers are better.
        starts: Whether it starts the peer itself.
    """

    title: str
    unit: str
    measure: Callable[[Peer, Scale], Metrics]
    limit_s: float = 60.0
    more_is_better: bool = False
    starts: bool = False


def start(peer: Peer, scale: Scale) -> Metrics:
    begin = time.perf_counter()
    peer.start(scale.workers)
    _expect(peer.gather([peer.submit(functions.increment, 1)]), [2])
    yield "first result", time.perf_counter() - begin


def round_trip(peer: Peer, scale: Scale) -> Metrics:
    seconds = [
        _timed(lambda: peer.gather([peer.submit(functions.increment, 1)]))
        for _ in range(scale.number(500))
    ]
    yield "median", 1e3 * statistics.median(seconds)
    yield "95 %", 1e3 * statistics.quantiles(seconds, n=20)[-1]


def loop(peer: Peer, scale: Scale) -> Metrics:
    number = scale.number(10_000)
    yield "loop", number / _timed(lambda: _submit_loop(peer, number))


def map_calls(peer: Peer, scale: Scale) -> Metrics:
    number = scale.number(10_000)

    def run() -> None:
        values = peer.gather(peer.map(functions.increment, range(number)))
        _expect(values, list(range(1, number + 1)))

    yield "map", number / _timed(run)


def chunks(peer: Peer, scale: Scale) -> Metrics:
    number = scale.number(100_000)

    def run() -> None:
        values = peer.map_chunks(functions.increment, range(number))
        _expect(list(values), list(range(1, number + 1)))

    yield "chunks", number / _timed(run)


def chain(peer: Peer, scale: Scale) -> Metrics:
    number = scale.number(300)

    def run() -> None:
        handle = peer.submit(functions.increment, 0)
        for _ in range(number - 1):
            handle = peer.submit(functions.increment, handle)
        _expect([peer.get(handle)], [number])

    yield "chain", number / _timed(run)


def tree(peer: Peer, scale: Scale) -> Metrics:
    leaves = 4096 if scale.divisor == 1 else 32

    def run() -> None:
        level = [peer.submit(functions.same, n) for n in range(leaves)]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [peer.submit(functions.add, left, right) for left, right in pairs]
        _expect([peer.get(level[0])], [leaves * (leaves - 1) // 2])

    yield "tree", (2 * leaves - 1) / _timed(run)


def data(peer: Peer, scale: Scale) -> Metrics:
    for label, size in _SIZES.items():
        if size <= scale.most_bytes:
            value = functions.zeros(size)
            begin = time.perf_counter()
            handle = peer.put(value)
            yield f"put {label}", time.perf_counter() - begin
            pages = functions.read(value)
            begin = time.perf_counter()
            _expect([functions.read(peer.get(handle))], [pages])
            yield f"get {label}", time.perf_counter() - begin


def results(peer: Peer, scale: Scale) -> Metrics:
    _warm_arrays(peer)
    for label, size in _SIZES.items():
        if size <= scale.most_bytes:
            begin = time.perf_counter()
            functions.read(peer.get(peer.submit(functions.zeros, size)))
            yield f"result {label}", time.perf_counter() - begin


def shared(peer: Peer, scale: Scale) -> Metrics:
    _warm_arrays(peer)
    size = min(200 * MB, scale.most_bytes)
    value = functions.zeros(size)
    handle = peer.put(value)
    number = scale.number(100)
    pages = functions.read(value)

    def run() -> None:
        calls = [peer.submit(functions.read, handle) for _ in range(number)]
        _expect(peer.gather(calls), [pages] * number)

    yield "100 readers", _timed(run)


def efficiency(peer: Peer, scale: Scale) -> Metrics:
    number, seconds = scale.number(1000), 0.01

    def run() -> None:
        peer.gather([peer.submit(functions.pause, seconds) for _ in range(number)])

    ideal = number * seconds / scale.workers
    yield "10 ms tasks", 100 * ideal / _timed(run)


def scaling(peer: Peer, scale: Scale) -> Metrics:
    number = 10
    while number <= scale.number(100_000):
        yield f"{number}", number / _timed(lambda n=number: _submit_loop(peer, n))  # type: ignore[misc]
        number *= 10


def footprint(peer: Peer, scale: Scale) -> Metrics:
    number = scale.number(20_000)
    before = memory.now()
    handles = [peer.submit(functions.increment, n) for n in range(number)]
    peer.gather(handles)
    after = memory.now()
    share = 100_000 / number / MB
    yield "client", (after.client - before.client) * share
    yield "cluster", (after.cluster - before.cluster) * share


def warm(peer: Peer) -> None:
    """Have every worker started, and know the function."""
    peer.gather([peer.submit(functions.increment, n) for n in range(50)])


def _warm_arrays(peer: Peer) -> None:
    """Have numpy imported by the workers: that is not what is measured."""
    peer.gather([peer.submit(functions.zeros, 10) for _ in range(20)])


def _submit_loop(peer: Peer, number: int) -> None:
    handles = [peer.submit(functions.increment, n) for n in range(number)]
    _expect(peer.gather(handles), list(range(1, number + 1)))


def _timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _expect(found: list[Any], expected: list[Any]) -> None:
    if found != expected:
        raise AssertionError("the peer gave other values than a loop would")


WORKLOADS = {
    "start": Workload("Start-up to first result", "s", start, starts=True),
    "round_trip": Workload("One call, there and back", "ms", round_trip),
    "loop": Workload("Loop of 10 000 calls", "calls/s", loop, more_is_better=True),
    "map": Workload("Map of 10 000 calls", "calls/s", map_calls, more_is_better=True),
    "chunks": Workload("100 000 tiny calls in chunks", "calls/s", chunks, more_is_better=True),
    "chain": Workload("Chain of 300 calls", "calls/s", chain, more_is_better=True),
    "tree": Workload("Tree reduction of 4 096", "calls/s", tree, more_is_better=True),
    "data": Workload("Put and get an array", "s", data),
    "results": Workload("Array as result of a call", "s", results),
    "shared": Workload("100 tasks read one 200 MB array", "s", shared),
    "efficiency": Workload("1 000 tasks of 10 ms, of ideal", "%", efficiency, more_is_better=True),
    "scaling": Workload("Loop of n calls", "calls/s", scaling, limit_s=90.0, more_is_better=True),
    "footprint": Workload("Memory for 100 000 calls", "MB", footprint, limit_s=90.0),
}
