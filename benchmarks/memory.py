"""Memory, and the processes that belong to a trial: they carry its mark in their environment."""

from __future__ import annotations

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
    others = marked(os.environ[MARK]) if MARK in os.environ else own.children(recursive=True)
    return Memory(_bytes(own), sum(_bytes(one) for one in others if one.pid != own.pid))


def marked(mark: str) -> Iterator[psutil.Process]:
    """The processes of a trial, also those that were detached from it."""
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
