"""An error that leaves a `with` block, or ends a program without one, shows lines of its user."""

import subprocess
import sys
from pathlib import Path

CALLED = """
from pymonik import Pymonik, task

def inner(x):
    return 1 / x  # here

@task
def risk(x):
    return inner(x)

if __name__ == "__main__":
"""
BLOCK = "    with Pymonik():\n        risk.map_invoke([3, 0, 1]).get()\n"
NO_BLOCK = "    Pymonik().create()\n    risk.map_invoke([3, 0, 1]).get()\n"
CANCELLED_AT_ONCE = "    with Pymonik():\n        many = risk.map_invoke([1] * 8)\n        1 / 0\n"


def error_of(name, text):
    Path(name).write_text(CALLED + text)
    done = subprocess.run(
        [sys.executable, name], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done
    return done.stderr


if __name__ == "__main__":
    for text in (BLOCK, NO_BLOCK):
        shown = error_of("study.py", text)
        assert "return 1 / x" in shown and "item 1 of 3, risk(0)" in shown, shown
        assert "pymonik/" not in shown and "TaskFailedError" not in shown, shown
        assert len(shown.splitlines()) <= 14, shown
    # Executors that are still starting then say nothing of it.
    shown = error_of("early.py", CANCELLED_AT_ONCE)
    assert "KeyboardInterrupt" not in shown, shown
    assert len(shown.splitlines()) <= 6, shown
