"""Memory, and the processes that belong to a trial: they carry its mark in their environment."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "PYMONIK_BENCHMARK_TRIAL"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes; what is shared between processes counts once (proportional set size)."""

    client: int
    cluster: int


def now() -> Memory:
    """Memory of this process, and of all others of the trial."""
    own = psutil.Process()
    others = belonging(own.pid, os.environ.get(MARK, "")) - {own}
    return Memory(_bytes(own), sum(map(_bytes, others)))


def belonging(pid: int | None, mark: str) -> set[psutil.Process]:
    """The processes of a trial that run.

    Some were detached from it, others overwrote their environment to change how they are listed:
    those that carry the mark, and all below.

    Args:
        pid: Of the trial, if it runs: the number of one that ended may be another's by now.
        mark: What its environment says.
    """
    found = set(_marked(mark)) if mark else set()
    if pid is not None:
        with contextlib.suppress(psutil.Error):
            found.add(psutil.Process(pid))
    for one in list(found):
        with contextlib.suppress(psutil.Error):
            found.update(one.children(recursive=True))
    return found


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                yield process
        except psutil.Error:  # noqa: PERF203 - each may fail
            continue  # of another user, or just ended


def _bytes(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.Error:
        return 0  # just ended
    return int(getattr(full, "pss", full.rss))
