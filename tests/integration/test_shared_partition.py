"""Several programs use one partition: those of a higher priority first, equal ones in turn."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from pymonik import LocalCluster, Pymonik, task

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 120

PROGRAM = """
import json, sys, time
from pymonik import Pymonik, task

@task
def stamp(number):
    return time.monotonic()

endpoint, priority = sys.argv[1], int(sys.argv[2])
with Pymonik(endpoint, priority=priority) as client:
    run = stamp.map_invoke(range(30), chunk_size=1)
    client.send()
    print("sent", flush=True)
    print(json.dumps(run.get()), flush=True)
"""


@task
def hold(path: str) -> None:
    import pathlib
    import time

    while not pathlib.Path(path).exists():
        time.sleep(0.01)


def test_three_programs_share_a_partition_by_their_priorities(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with LocalCluster(workers=1) as cluster, Pymonik(cluster) as client:
        gate = hold.invoke(str(tmp_path / "gate"))  # all have sent before anything runs
        client.send()
        programs = [
            subprocess.Popen(
                [sys.executable, str(program), cluster.endpoint, str(priority)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for priority in (1, 5, 9)
        ]
        watchdog = threading.Timer(WAIT_S, lambda: [*map(subprocess.Popen.kill, programs)])
        watchdog.start()
        try:
            for one in programs:
                assert one.stdout is not None
                assert one.stdout.readline() == "sent\n"
            (tmp_path / "gate").touch()
            low, middle, high = (json.loads(one.communicate()[0]) for one in programs)
        finally:
            watchdog.cancel()
            for one in programs:
                one.kill()
                one.wait()
        assert gate.exception(WAIT_S) is None
    # A runner may have had tasks ahead when others came: none here, since the gate was alone.
    assert max(high) < min(middle)
    assert max(middle) < min(low)


def test_programs_of_equal_priority_all_go_on(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with LocalCluster(workers=2) as cluster:
        programs = [
            subprocess.Popen(
                [sys.executable, str(program), cluster.endpoint, "3"],
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        told = [one.communicate(timeout=WAIT_S)[0].splitlines() for one in programs]
    assert [len(json.loads(lines[1])) for lines in told] == [30] * 3
