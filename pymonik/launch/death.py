"""How a process ended, in words that are true: by itself, by whom, or by the kernel for memory."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

from pymonik.launch import cgroups

_MACHINE = Path("/proc/vmstat")


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended, of which this one is not the cause.

    Attributes:
        status: The exit code, or the negative number of the signal.
        peak_bytes: Memory of the largest process of its tree.
        is_oom: Whether the kernel killed a process for lack of memory meanwhile.
        time_limit_s: Seconds of processor time that the process had, if it died of using them.
        is_of_supervisor: Whether its supervisor was killed, and the process with it.
        error: Why it could not be started.
    """

    status: int | None = None
    peak_bytes: int = 0
    is_oom: bool = False
    time_limit_s: int = 0
    is_of_supervisor: bool = False
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return f"it could not be started: {self.error}"
        if self.is_of_supervisor:
            return f"its supervisor was ended by {ending(self.status)}, not by pymonik"
        text = ending(self.status)
        if self.time_limit_s:
            return (
                f"{text}, sent by the system because it had used its processor time of "
                f"{self.time_limit_s} s (`ulimit -t`)"
            )
        if self.status != -signal.SIGKILL:
            return text
        if self.is_oom:
            return f"{text}, sent by the system because memory was short"
        return f"{text}, sent neither by pymonik nor by the system for lack of memory"


def ending(status: int | None) -> str:
    """An exit code or a signal, by its name."""
    if status is None or status >= 0:
        return f"exit code {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:  # a real-time signal
        return f"signal {-status}"


class OomKills:
    """Whether the kernel has killed a process for lack of memory since this was made."""

    def __init__(self) -> None:
        self._before = _oom_kills()

    def has_new(self, status: int) -> bool:
        """Whether it did so, if this is how a process ended."""
        # The kernel kills with SIGKILL, as everybody can: only its own count tells that it was the
        # one.
        return status == -signal.SIGKILL and _oom_kills() > self._before


def _oom_kills() -> int:
    """How often it has done so: in this group of processes if it counts there, else at all."""
    texts = cgroups.texts("memory", "memory.events", "memory.oom_control")
    with contextlib.suppress(OSError):
        # Last, as it counts what was killed anywhere on the machine: taken where no group has a
        # count.
        texts.append((_MACHINE.read_text(), True))
    lines = (line.split() for text, _ in texts for line in text.splitlines())
    return next((int(line[1]) for line in lines if line[0] == "oom_kill"), 0)
