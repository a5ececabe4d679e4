"""Programs that end at random moments, in any way: soon, and nothing of theirs is left.

``PYMONIK_CHAOS_ENDINGS`` is how often each.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

from tests.chaos.test_endings import ENDINGS, LIMIT_S, none_left

if TYPE_CHECKING:
    import random
    from pathlib import Path

PROGRAM = """
    import os, random, signal, sys, threading, time
    from pymonik import Pymonik, task

    @task
    def nap(seconds):
        time.sleep(seconds)

    def leave(*_):
        raise SystemExit(3)

    def wait_for_ever():
        nap.invoke(1000).get()

    def work():
        while True:
            nap.map_invoke([(0.01,)] * 50).get()

    how, after_s = sys.argv[1], float(sys.argv[2])
    if __name__ == "__main__":
        if how == "handler":
            signal.signal(signal.SIGTERM, leave)
        if how == "os._exit":
            threading.Timer(after_s, os._exit, [3]).start()
        if how == "error":
            end = time.monotonic() + after_s
        print("begins", flush=True)
        client = Pymonik().create()
        if how == "waiting thread":
            threading.Thread(target=wait_for_ever, daemon=True).start()
        if how in ("waiting thread", "not closed"):
            nap.map_invoke([(0.01,)] * 50)
            time.sleep(after_s)
            sys.exit(3)
        if how == "closed":
            nap.map_invoke([(0.01,)] * 50)
            time.sleep(after_s)
            client.close()
            sys.exit(3)
        if how == "error":
            while time.monotonic() < end:
                nap.map_invoke([(0.01,)] * 50).get()
            raise OSError("an error of the program")
        work()
"""
SIGNALS = {"handler": signal.SIGTERM, "interrupt": signal.SIGINT, "terminated": signal.SIGTERM}
HOW = ["os._exit", "not closed", "closed", "waiting thread", "error", "killed", *SIGNALS]


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
def test_a_program_that_ends(rng: random.Random, mark: str, tmp_path: Path, how: str) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    for _ in range(max(1, ENDINGS // 4)):
        after_s = rng.uniform(0.0, 2.0)
        with (
            none_left(mark),
            subprocess.Popen(
                [sys.executable, "program.py", how, str(after_s)],
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as program,
        ):
            assert program.stdout is not None
            program.stdout.readline()
            if how in SIGNALS or how == "killed":
                time.sleep(after_s)
                program.send_signal(SIGNALS.get(how, signal.SIGKILL))
            program.wait(LIMIT_S)
