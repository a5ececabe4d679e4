"""A `Snapshot` as one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.runs.tally import Mark
from pymonik.wording import span

if TYPE_CHECKING:
    from pymonik.runs.tally import ErrorGroup, Snapshot


def line(snapshot: Snapshot) -> str:
    """``simulate · mesh-study   412/1000 ok · 3 failed · 8 running · ETA 2 min 10 s``."""
    parts = [f"{snapshot.count(Mark.OK)}/{snapshot.total} ok"]
    for mark, name in (
        (Mark.FAILED, "failed"),
        (Mark.CANCELLED, "cancelled"),
        (Mark.RUNNING, "running"),
    ):
        if number := snapshot.count(mark):
            parts.append(f"{number} {name}")
    if snapshot.eta_s is not None:
        parts.append(f"ETA {span(snapshot.eta_s)}")
    elif snapshot.left:
        parts.append(f"{span(max(0.0, snapshot.elapsed_s))} so far")
    return f"{snapshot.title}   {' · '.join(parts)}"


def group(errors: ErrorGroup) -> str:
    """``ValueError x3: negative volume, items 17, 88, 901``."""
    times = f" x{errors.count}" if errors.count > 1 else ""
    text = f": {errors.fault.text}" if errors.fault.text else ""
    noun = "item" if errors.count == 1 else "items"
    more = " …" if errors.count > len(errors.items) else ""
    return f"{errors.fault.kind}{times}{text}, {noun} {', '.join(map(str, errors.items))}{more}"
