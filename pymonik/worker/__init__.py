"""An ArmoniK worker: the Worker service in front, executors behind.

::

    agent ── Process, HealthCheck ──► service ── Run ──► executor (user code)
      ▲                                  │ Ending
      └── results, subtasks ── delivery ─┘

User code never runs in this process, so that nothing it does can end it.
"""

from pymonik.worker.server import run_pymonik_worker

__all__ = ["run_pymonik_worker"]
