"""The kept cluster: one process of the user that goes on when the program ends that started it.

Its data and its socket are in one folder, so that every program of the user finds it there, and a
cluster that is started after a reboot goes on with the same sessions at the same address.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from pymonik.cluster.announcement import running_clusters
from pymonik.errors import ConfigError
from pymonik.launch.listening import answers
from pymonik.launch.python import Plan, variables

SOCKET: Final = "control_plane.sock"
LOG: Final = "cluster.log"
_START_S: Final = 60.0  # seconds until a start counts as failed: it may have much to restore
_LOOK_S: Final = 0.05  # seconds between two looks whether it answers, or has ended
_MOST_SHOWN: Final = 2_000  # characters of its log, the last ones, in the error
_END_S: Final = 20.0  # seconds that `stop` waits for its end
_IN_USE: Final = 2  # exit code: another cluster has the folder, which is about to answer


def folder() -> Path:
    """Where the kept cluster of this user is."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "pymonik" / "cluster"


def endpoint() -> str:
    """The address of the kept cluster, which is started if it does not run.

    Raises:
        ConfigError: It cannot be started.
    """
    place = folder()
    if not answers(place / SOCKET):
        _start(place)
    return f"unix://{place / SOCKET}"


def stop() -> bool:
    """End the kept cluster; whether there was one. What is in it stays on the disk."""
    address = f"unix://{folder() / SOCKET}"
    found = [one.pid for one in running_clusters() if one.endpoint == address]
    for pid in found:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + _END_S
    while found and time.monotonic() < end:
        if not any(one.pid in found for one in running_clusters()):
            return True
        time.sleep(_LOOK_S)
    return bool(found)


def _start(place: Path) -> None:
    """Start it, and wait until it answers; another program may start it at the same moment."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = ["cluster", "--data", str(place), "--socket", str(place / SOCKET)]
    plan = Plan("pymonik", command, folder=str(Path.home()))
    with (place / LOG).open("wb") as log:
        process = subprocess.Popen(
            plan.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=variables(),
            start_new_session=True,  # neither Ctrl-C nor the end of the terminal is for it
        )
    end = time.monotonic() + _START_S
    while not answers(place / SOCKET):
        if time.monotonic() > end:
            raise ConfigError(
                f"the kept cluster did not start in {_START_S:g} s; see {place / LOG}"
            )
        if process.poll() not in (None, _IN_USE):
            said = (place / LOG).read_text(errors="replace")[-_MOST_SHOWN:]
            raise ConfigError(f"the kept cluster cannot be started: {said}")
        time.sleep(_LOOK_S)
    # The cluster outlives this process: `subprocess` would warn of a child left behind.
    process.returncode = 0
