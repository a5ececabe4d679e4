"""`pymonik.Executor` and joblib's backend beside loky: calls of 0, 1 and 10 ms, on 2 workers.

    python -m benchmarks.executors [--rounds 5]

Both have their workers up before anything is measured, and take turns. A call of so many
milliseconds computes for that long, so that 2 processors are all there is to win. Empty calls go in
batches: of 100 for `Executor.map`, of joblib's own choice for `Parallel`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import joblib
import loky

import pymonik
import pymonik.joblib

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

_WORKERS = 2
_CALLS = {0.0: 20_000, 0.001: 2_000, 0.01: 400}  # by the seconds of each
_BATCH = 100  # calls of 0 s that go together


def work(seconds: float) -> float:
    """Compute for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return seconds


def mapped(executor: Executor, seconds: float) -> float:
    """Seconds of a map of such calls."""
    calls = [seconds] * _CALLS[seconds]
    begun = time.perf_counter()
    found = list(executor.map(work, calls, chunksize=1 if seconds else _BATCH))
    spent = time.perf_counter() - begun
    if found != calls:
        raise RuntimeError("other values came back than were sent")
    return spent


def in_parallel(backend: str, seconds: float) -> float:
    """Seconds of joblib's `Parallel` with such calls."""
    calls = [seconds] * _CALLS[seconds]
    with joblib.parallel_config(backend=backend, n_jobs=_WORKERS):
        begun = time.perf_counter()
        found = joblib.Parallel()(joblib.delayed(work)(one) for one in calls)
        spent = time.perf_counter() - begun
    if found != calls:
        raise RuntimeError("other values came back than were sent")
    return spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.executors", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    pymonik.joblib.register()
    found: dict[tuple[str, float, str], list[float]] = defaultdict(list)
    with (
        pymonik.Executor(_WORKERS) as ours,
        loky.ProcessPoolExecutor(_WORKERS) as theirs,
    ):
        ways: list[tuple[str, str, Callable[[float], float]]] = [
            ("Executor.map", "pymonik", lambda seconds: mapped(ours, seconds)),
            ("Executor.map", "loky", lambda seconds: mapped(theirs, seconds)),
            ("joblib", "pymonik", lambda seconds: in_parallel("pymonik", seconds)),
            ("joblib", "loky", lambda seconds: in_parallel("loky", seconds)),
        ]
        for _, _, measure in ways:
            measure(0.001)
        for number in range(given.rounds):
            for seconds in _CALLS:
                for what, peer, measure in ways if number % 2 else ways[::-1]:
                    found[what, seconds, peer].append(measure(seconds))
    for what in ("Executor.map", "joblib"):
        for seconds in _CALLS:
            own, other = (
                statistics.median(found[what, seconds, peer]) for peer in ("pymonik", "loky")
            )
            sys.stdout.write(
                f"{what:12} {1000 * seconds:3.0f} ms   pymonik {own:7.3f} s   loky {other:7.3f} s"
                f"   {own / other:5.2f} times loky's\n"
            )


if __name__ == "__main__":
    main()
