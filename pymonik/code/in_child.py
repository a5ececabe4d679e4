"""Run in place of ``__main__`` by children of a task; see `pymonik.code.spawned`."""

from __future__ import annotations

from pymonik.code.spawned import handed_down

globals().update(
    (name, value) for name, value in handed_down().items() if name not in ("__name__", "__spec__")
)
