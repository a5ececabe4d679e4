"""One workload on one peer, in this process: ``python -m benchmarks.trial PEER WORKLOAD SCALE``.

Writes lines of JSON to the file descriptor that it is given: metrics, and how it ended.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.peer import PEERS, Peer, UnsupportedError
from benchmarks.workloads import FULL, QUICK, WORKLOADS, Scale, warm

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALES = {"full": FULL, "quick": QUICK}


@dataclass(frozen=True, slots=True)
class Reporter:
    """Writes what is found at once: the process may be ended at any time."""

    descriptor: int

    def metric(self, name: str, value: float) -> None:
        self._line({"metric": name, "value": value})

    def end(self, how: str) -> None:
        self._line({"end": how})

    def _line(self, message: dict[str, object]) -> None:
        os.write(self.descriptor, (json.dumps(message) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trial", description=__doc__)
    parser.add_argument("peer", choices=list(PEERS))
    parser.add_argument("workload", choices=list(WORKLOADS))
    parser.add_argument("scale", choices=list(SCALES))
    parser.add_argument("--report", type=int, default=1, help="file descriptor for the report")
    options = parser.parse_args(arguments)
    reporter = Reporter(options.report)
    begin = time.perf_counter()
    peer = PEERS[options.peer].load()
    if WORKLOADS[options.workload].starts:
        reporter.metric("import", time.perf_counter() - begin)
    try:
        _measure(peer, options.workload, SCALES[options.scale], reporter)
    except UnsupportedError as error:
        reporter.end(f"unsupported: {error}")
    else:
        reporter.end("")
    peer.stop()
    return 0


def _measure(peer: Peer, name: str, scale: Scale, reporter: Reporter) -> None:
    workload = WORKLOADS[name]
    if not workload.starts:
        peer.start(scale.workers)
        warm(peer)
    for metric, value in workload.measure(peer, scale):
        reporter.metric(metric, value)


if __name__ == "__main__":
    raise SystemExit(main())
