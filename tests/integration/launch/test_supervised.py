"""Real processes with their supervisors: whatever is killed, nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import IO, TYPE_CHECKING

import psutil
import pytest

from pymonik.launch.process import Supervised
from pymonik.launch.python import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_S = 20.0
# Children in the group, in a session of its own, and without the parent that started it.
BUSY = """
    import os, subprocess, sys, time
    more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    near = subprocess.Popen(["sleep", "300"], **more)
    far = subprocess.Popen(["sleep", "300"], start_new_session=True, **more)
    lost = subprocess.run(["setsid", "sh", "-c", "sleep 300 >&- 2>&- & echo $!"], stdout=-1)
    print(os.getpid(), near.pid, far.pid, int(lost.stdout), flush=True)
    time.sleep(300)
"""


def python(program: str) -> Plan:
    return Plan(arguments=[sys.executable, "-c", textwrap.dedent(program)])


@pytest.fixture
def busy() -> Iterator[tuple[Supervised, list[psutil.Process]]]:
    process = Supervised(python(BUSY), stdout=subprocess.PIPE)
    yield process, numbers(process.stdout)
    process.close()


def numbers(pipe: IO[bytes] | None) -> list[psutil.Process]:
    return [psutil.Process(int(pid)) for pid in line(pipe).split()]


def line(pipe: IO[bytes] | None) -> bytes:
    assert pipe is not None
    read = b""
    while not read.endswith(b"\n"):
        read += os.read(pipe.fileno(), 1000)
    return read


def all_gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=LIMIT_S)[1]


def test_ending_it_ends_its_whole_tree(busy: tuple[Supervised, list[psutil.Process]]) -> None:
    process, tree = busy
    process.end()
    assert not [one for one in tree if one.is_running()]


def test_its_tree_ends_with_it(busy: tuple[Supervised, list[psutil.Process]]) -> None:
    process, tree = busy
    tree[0].send_signal(signal.SIGTERM)
    death = process.wait(LIMIT_S)
    assert death is not None
    assert death.status == -signal.SIGTERM
    assert not [one for one in tree if one.is_running()]


OWNER = """if True:
    import sys
    from pymonik.launch import orphans
    from pymonik.launch.process import Supervised
    from pymonik.launch.python import Plan
    orphans.adopt()
    one = Supervised(Plan(arguments=[sys.executable, "-c", sys.argv[1]]))
    print(one.wait(), flush=True)
"""


@pytest.fixture
def owner() -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    command = [sys.executable, "-c", OWNER, textwrap.dedent(BUSY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        yield process, numbers(process.stdout)
        process.kill()


def test_killing_the_supervisor_ends_the_tree_too(
    owner: tuple[subprocess.Popen[bytes], list[psutil.Process]],
) -> None:
    process, tree = owner
    os.kill(os.getpgid(tree[0].ppid()), signal.SIGKILL)
    assert process.stdout is not None
    assert b"supervisor was ended by SIGKILL, not by pymonik" in process.stdout.read()
    assert all_gone(tree)


def test_killing_the_owner_ends_the_tree(
    owner: tuple[subprocess.Popen[bytes], list[psutil.Process]],
) -> None:
    process, tree = owner
    process.kill()
    assert all_gone(tree)


def test_it_is_asked_before_it_is_killed() -> None:
    program = """
        import signal, sys, time
        try:
            print("on", flush=True)
            time.sleep(300)
        except KeyboardInterrupt:
            sys.exit(9)
    """
    process = Supervised(python(program), stdout=subprocess.PIPE)
    assert line(process.stdout) == b"on\n"
    process.ask(signal.SIGINT, LIMIT_S)
    death = process.wait(LIMIT_S)
    assert death is not None
    assert death.status == 9
    process.close()


def test_who_does_not_listen_is_killed_after_the_grace() -> None:
    process = Supervised(Plan(arguments=["sh", "-c", "trap '' INT; echo on; sleep 300"]), stdout=-1)
    assert line(process.stdout) == b"on\n"
    start = time.monotonic()
    process.ask(signal.SIGINT, 0.3)
    death = process.wait(LIMIT_S)
    assert death is not None
    assert death.status == -signal.SIGKILL
    assert 0.3 <= time.monotonic() - start < LIMIT_S
    process.close()


def test_signals_are_at_their_defaults_whatever_the_owner_ignores() -> None:
    owner = """if True:
        import signal, subprocess, sys
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
        from pymonik.launch.process import Supervised
        from pymonik.launch.python import Plan
        Supervised(Plan(arguments=["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"])).wait(20)
    """
    done = subprocess.run([sys.executable, "-c", owner], capture_output=True, text=True)
    masks = [int(line.split()[1], 16) for line in done.stdout.splitlines()]
    assert masks == [0, 0], done


def test_a_command_that_is_not_there_is_named() -> None:
    process = Supervised(Plan(arguments=["no-such-program"]), stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert b"cannot start 'no-such-program'" in process.stderr.read()
    process.close()


def test_other_sitecustomize_and_modules_are_not_met_and_the_variable_is_handed_on(
    tmp_path: Path,
) -> None:
    for name in ("sitecustomize", "json", "queue"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('met')")
    program = f"""if True:
        import os
        from pymonik.launch.process import Supervised
        from pymonik.launch.python import Plan
        os.environ["PYTHONPATH"] = {str(tmp_path)!r}
        os.chdir({str(tmp_path)!r})
        process = Supervised(Plan("json.tool", ["--help"]))
        print(process.wait(20).status)
        Supervised(Plan(arguments=["printenv", "PYTHONPATH"])).wait(20)
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stdout.splitlines()
    assert str(tmp_path) in lines
    assert "0" in lines
