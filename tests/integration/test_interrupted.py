"""Ctrl-C: the first stops the waiting, a second soon after it leaves; what has a name goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import IO, TYPE_CHECKING

import pytest

from pymonik import LocalCluster, Pymonik

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60.0

SILENT = """
    import sys
    from pymonik import Pymonik, task

    @task
    def square(n):
        return n * n

    if __name__ == "__main__":
        endpoint, name, how = sys.argv[1:]
        with Pymonik(endpoint, session=name, on_exit=how or None) as client:
            print(square.invoke(3).get(), flush=True)
            sys.stdin.readline()  # nobody answers from now on
            squares = square.map_invoke(range(50), label="squares")
            try:
                print("waits", flush=True)
                print(sum(squares.get()), flush=True)
            except KeyboardInterrupt:
                print("stopped", flush=True)
                raise
"""

FINISHING = """
    import sys, time
    from pymonik import Pymonik, task

    @task
    def slow(seconds):
        time.sleep(seconds)
        return seconds

    if __name__ == "__main__":
        endpoint, name = sys.argv[1:]
        with Pymonik(endpoint, session=name or None, on_exit="finish") as client:
            slow.invoke(2, pmk_label="slow")
            client.send()
            print(client.session_id, flush=True)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=1, port=0) as one:
        yield one


def start(folder: Path, text: str, *arguments: str) -> subprocess.Popen[str]:
    (folder / "program.py").write_text(textwrap.dedent(text))
    return subprocess.Popen(
        [sys.executable, "program.py", *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line(file: IO[str] | None) -> str:
    assert file is not None
    return file.readline().strip()


@pytest.mark.parametrize("how", ["", "keep", "finish", "cancel"])
def test_two_interrupts_leave_at_once_though_nobody_answers(
    cluster: LocalCluster, tmp_path: Path, how: str
) -> None:
    arguments = (cluster.endpoint, f"silent {how}", how)
    program = start(tmp_path, SILENT, *arguments)
    assert line(program.stdout) == "9"
    os.kill(cluster.pid, signal.SIGSTOP)
    try:
        assert program.stdin is not None
        print(file=program.stdin, flush=True)
        assert line(program.stdout) == "waits"
        program.send_signal(signal.SIGINT)
        assert line(program.stdout) == "stopped"
        time.sleep(0.3)  # it is leaving the block: nothing tells that
        program.send_signal(signal.SIGINT)
        _, told = program.communicate(timeout=WAIT_S / 2)
    finally:
        program.kill()
        os.kill(cluster.pid, signal.SIGCONT)
    assert program.returncode == -signal.SIGINT
    if how == "cancel":
        return
    assert "50 items may never have left" in told
    again = start(tmp_path, SILENT, *arguments)
    out, _ = again.communicate("\n", timeout=WAIT_S)
    assert str(sum(n * n for n in range(50))) in out


@pytest.mark.parametrize(("name", "expected"), [("finishing", "RUNNING"), ("", "CANCELLED")])
def test_an_interrupt_while_a_session_finishes_ends_the_wait_only_where_it_has_a_name(
    cluster: LocalCluster, tmp_path: Path, name: str, expected: str
) -> None:
    program = start(tmp_path, FINISHING, cluster.endpoint, name)
    session_id = line(program.stdout)
    time.sleep(0.3)  # it is leaving the block: nothing tells that
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=WAIT_S)
    assert program.returncode == -signal.SIGINT
    with Pymonik(cluster.endpoint) as client:
        row = client.session.lists.session(session_id)
    assert row is not None
    assert row.status == expected
    if name:
        with Pymonik(cluster.endpoint, session=name, on_exit="finish") as client:
            assert client.runs["slow"].get(timeout=WAIT_S) == [2]
