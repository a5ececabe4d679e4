"""Commands beside `xargs`, a large file for many calls beside `cp`, and how soon a report is read.

    python -m benchmarks.files_and_commands [--commands 1000] [--mb 1024] [--reports 50]

Commands: `true`, on two workers, and by ``xargs -P 2`` right before it. The file goes to 20 calls,
first with a digest that nobody knows, then once it is known; both as multiples of a copy on the
same disk. A report: from just before ``report`` until its reader has it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymonik import File, LocalCluster, Pymonik, command, get_context, task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WORKERS = 2
_READERS = 20
_TURNS = 3


@task
def size_of(file: File) -> int:
    """The size of a file that the call has."""
    return os.stat(file).st_size  # noqa: PTH116 - measured, without an object more


@task
def tell(count: int) -> None:
    """Report the time, again and again."""
    for _ in range(count):
        get_context().report(told=time.time())
        time.sleep(0.02)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--commands", type=int, default=1000)
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--reports", type=int, default=50)
    options = parser.parse_args(arguments)
    with LocalCluster(workers=_WORKERS) as cluster:
        commands(cluster, options.commands)
        large_file(cluster, options.mb)
        reports(cluster, options.reports)


def commands(cluster: LocalCluster, count: int) -> None:
    """How many commands end in a second."""
    lines = "\n" * count

    def by_xargs() -> None:
        subprocess.run(
            ["xargs", "-P", str(_WORKERS), "-d", "\\n", "-n", "1", "true"],
            input=lines,
            text=True,
            check=True,
        )

    with Pymonik(cluster):
        run = command(["true"])
        run.map_invoke([() for _ in range(20)]).get()  # executors are there

        def ours() -> None:
            run.map_invoke([() for _ in range(count)]).get()

        pairs = [(seconds(by_xargs), seconds(ours)) for _ in range(_TURNS)]
    xargs, own = (count / min(column) for column in zip(*pairs, strict=True))
    print(f"commands of true: {own:.0f}/s, xargs -P {_WORKERS}: {xargs:.0f}/s")


def large_file(cluster: LocalCluster, mb: int) -> None:
    """A file for many calls, beside a copy of it."""
    with tempfile.TemporaryDirectory() as name, Pymonik(cluster) as client:
        source = Path(name, "large")
        with source.open("wb") as file:
            for _ in range(mb):
                file.write(os.urandom(1 << 20))
        past = time.time() - 10
        os.utime(source, (past, past))  # a digest is remembered only of what is not quite new
        copy = min(
            seconds(lambda: shutil.copyfile(source, Path(name, "copy"))) for _ in range(_TURNS)
        )

        def to_all() -> None:
            sizes = size_of.map_invoke([(File(source),)] * _READERS, chunk_size=1).get()
            assert sizes == [mb << 20] * _READERS

        first = seconds(to_all)
        stored = [row for row in client.results(name="large") if row.size == mb << 20]
        with Pymonik(cluster):  # another session: it is sent again, and its digest is known
            known = seconds(to_all)
    print(
        f"{mb} MB to {_READERS} calls: {len(stored)} stored; {first / copy:.2f} x cp at first, "
        f"{known / copy:.2f} x cp once its digest is known (cp: {copy:.2f} s)"
    )


def reports(cluster: LocalCluster, count: int) -> None:
    """How late reports are at their reader."""
    with Pymonik(cluster):
        late = [time.time() - report["told"] for report in tell.invoke(count).follow(60)]
    print(f"a report is read after {statistics.median(late):.4f} s, at most {max(late):.4f} s")


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
