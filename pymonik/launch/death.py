"""How a process ended, in words that are true: by itself, by whom, or by the kernel for memory."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_MACHINE = Path("/proc/vmstat")


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended, of which this one is not the cause.

    Attributes:
        status: The exit code, or the negative number of the signal.
        peak_bytes: Memory of the largest process of its tree.
        is_oom: Whether the kernel killed a process for lack of memory meanwhile.
        is_of_supervisor: Whether its supervisor was killed, and the process with it.
        error: Why it could not be started.
    """

    status: int | None = None
    peak_bytes: int = 0
    is_oom: bool = False
    is_of_supervisor: bool = False
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return f"it could not be started: {self.error}"
        if self.is_of_supervisor:
            return f"its supervisor was ended by {ending(self.status)}, not by pymonik"
        text = ending(self.status)
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
        return status == -signal.SIGKILL and _oom_kills() > self._before


def _oom_kills() -> int:
    """How often it has done so: in this group of processes if it counts there, else at all."""
    for path in (*_counters(), _MACHINE):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        counts = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
        if counts:
            return int(counts[0])
    return 0


def _counters() -> list[Path]:
    """Where the kernel counts them for the group of this process, in both kinds of cgroups."""
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        inside = place.lstrip("/")
        if not controllers:
            found += [_CGROUPS / inside / "memory.events", _CGROUPS / "memory.events"]
        elif "memory" in controllers.split(","):
            kind = _CGROUPS / "memory"
            found += [kind / inside / "memory.oom_control", kind / "memory.oom_control"]
    return found
