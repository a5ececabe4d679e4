"""How spans of time, sizes and long ids are written for people."""

from __future__ import annotations

from typing import Final

_ID: Final = 8  # characters of an id that tell tasks of one session apart


def span(seconds: float) -> str:
    """A span of time in its two largest units: ``0.25 s``, ``2 min 10 s``, ``3 h 5 min``."""
    # From a tenth of a millisecond on ``0.1 ms`` says enough.
    if 0 < seconds < 0.000_1:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    for large, small, size in (("d", "h", 86_400), ("h", "min", 3_600), ("min", "s", 60)):
        if whole >= size:
            rest = whole % size // (size // {"d": 24, "h": 60, "min": 60}[large])
            return f"{whole // size} {large} {rest} {small}" if rest else f"{whole // size} {large}"
    return f"{whole} s"


def size(nbytes: int) -> str:
    """``812 MB``, ``1.9 GB``: powers of 1000, as `df` counts them."""
    amount = float(nbytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"


def short(identifier: str) -> str:
    """The start of an id, with an ellipsis."""
    return identifier if len(identifier) <= _ID else f"{identifier[:_ID]}…"


def count(number: int, noun: str) -> str:
    """``1 result``, ``3 results``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
