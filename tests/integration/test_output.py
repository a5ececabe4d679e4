"""What calls print: shown while they run, each line with its call, and there afterwards."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymonik.runs.output import OutputLine

WAIT_S = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2, grace_s=0.2) as started:
        yield started


class Screen:
    """Has the lines that were shown."""

    def __init__(self) -> None:
        self.lines: list[OutputLine] = []
        self.changed = threading.Condition()

    def __call__(self, line: OutputLine) -> None:
        with self.changed:
            self.lines.append(line)
            self.changed.notify_all()

    @property
    def texts(self) -> list[str]:
        return [str(line) for line in self.lines]

    def wait_for(self, text: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: text in self.texts, WAIT_S), self.texts


@task
def say(text: str) -> str:
    print(text)  # noqa: T201
    return text


@task
def say_and_wait(text: str, path: str) -> None:
    print(text)  # noqa: T201
    while not os.path.exists(path):  # noqa: PTH110
        time.sleep(0.01)
    print("free")  # noqa: T201


@pytest.mark.parametrize("direct", [True, False])
def test_lines_are_shown_while_the_call_runs(
    cluster: LocalCluster, tmp_path: Path, *, direct: bool
) -> None:
    screen, gate = Screen(), tmp_path / "gate"
    with Pymonik(cluster, output=screen, direct=direct):
        handle = say_and_wait.invoke("hello", str(gate))
        screen.wait_for("[say_and_wait] hello")
        assert not handle.done()
        assert handle.logs() == "hello\n"
        gate.touch()
        handle.wait(WAIT_S)
        assert handle.logs() == "hello\nfree\n"
    assert screen.texts == ["[say_and_wait] hello", "[say_and_wait] free"]


@pytest.mark.parametrize("chunk_size", [1, 7])
def test_each_item_of_a_map_has_its_lines(cluster: LocalCluster, chunk_size: int) -> None:
    screen = Screen()
    with Pymonik(cluster, output=screen):
        run = say.map_invoke([f"text {n}" for n in range(20)], chunk_size=chunk_size)
        run.get(WAIT_S)
        assert [handle.logs() for handle in run] == [f"text {n}\n" for n in range(20)]
        assert run.logs(grep="1[05]") == "[say 10] text 10\n[say 15] text 15\n"
    assert sorted(screen.texts) == sorted(f"[say {n}] text {n}" for n in range(20))


@task
def every_way(libc: str) -> None:
    print("python")  # noqa: T201
    os.write(1, b"system\n")
    subprocess.run(["echo", "child"], check=True)
    ctypes.CDLL(libc or None).printf(b"c\n")
    print("error", file=sys.stderr)  # noqa: T201
    subprocess.run("echo child error >&2", shell=True, check=True)
    print("last", end="")  # noqa: T201


def test_c_code_children_and_both_streams_are_of_the_call_and_in_order(
    cluster: LocalCluster,
) -> None:
    screen = Screen()
    with Pymonik(cluster, output=screen):
        run = every_way.map_invoke([""] * 4, chunk_size=2)
        run.get(WAIT_S)
        for handle in run:
            assert set(handle.logs().splitlines()) == {
                "python", "system", "child", "c", "error", "child error", "last"
            }  # fmt: skip
            without_c = handle.logs().replace("c\n", "", 1)
            assert without_c == "python\nsystem\nchild\nerror\nchild error\nlast"
    errors = {line.text for line in screen.lines if line.stream == "stderr"}
    assert errors == {"error", "child error"}


@task(max_retries=0)
def fail(text: str) -> None:
    print(text)  # noqa: T201
    raise ValueError(text)


@task(max_retries=0)
def die(text: str) -> None:
    print(text)  # noqa: T201
    os._exit(3)


def test_a_call_that_fails_or_dies_keeps_what_it_printed(cluster: LocalCluster) -> None:
    with Pymonik(cluster, output="quiet", on_unseen="ignore"):
        for function in (fail, die):
            single = function.invoke("alone")
            assert single.exception(WAIT_S) is not None
            assert single.logs() == "alone\n"
            run = function.map_invoke(["a", "b", "c"], chunk_size=3)
            run.exceptions(WAIT_S)
            assert [handle.logs() for handle in run] == ["a\n", "b\n", "c\n"]


def test_what_neighbours_have_printed_of_one_that_dies_is_kept(cluster: LocalCluster) -> None:
    @task(max_retries=0)
    def some_die(number: int) -> int:
        print("number", number)  # noqa: T201
        if number == 3:
            os._exit(1)
        return number

    with Pymonik(cluster, output="quiet", on_unseen="ignore"):
        run = some_die.map_invoke(range(6), chunk_size=6)
        run.exceptions(WAIT_S)
        assert [handle.logs() for handle in run] == [f"number {n}\n" for n in range(6)]


def test_a_call_that_was_cancelled_or_took_too_long_has_what_it_printed(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    screen = Screen()
    with Pymonik(cluster, output=screen, on_unseen="ignore"):
        handle = say_and_wait.invoke("begun", str(tmp_path / "never"))
        screen.wait_for("[say_and_wait] begun")
        handle.cancel()
        assert handle.exception(WAIT_S) is not None
        assert handle.logs() == "begun\n"
        slow = say_and_wait.invoke("slow", str(tmp_path / "never"), pmk_max_duration=1.5)
        assert slow.exception(WAIT_S) is not None
        assert "slow\n" in slow.logs()


def test_a_child_that_writes_its_output_anew_harms_nobody(cluster: LocalCluster) -> None:
    @task
    def tee() -> None:
        print("before")  # noqa: T201
        subprocess.run("echo again | tee /dev/stderr > /dev/stdout", shell=True, check=True)
        print("after")  # noqa: T201

    with Pymonik(cluster, output="quiet"):
        handles = [tee.invoke() for _ in range(3)]
        for handle in handles:
            handle.wait(WAIT_S)
            assert "again\n" in handle.logs()
            assert "after\n" in handle.logs()
        last = say.invoke("x")
        last.wait(WAIT_S)
        assert last.logs() == "x\n"


def test_of_a_flood_the_end_is_kept(cluster: LocalCluster) -> None:
    @task
    def flood() -> None:
        for number in range(200_000):
            print("line", number)  # noqa: T201

    with Pymonik(cluster, output="quiet"):
        handle = flood.invoke()
        handle.wait(WAIT_S)
        logs = handle.logs()
        assert logs.endswith("line 199998\nline 199999\n")
        assert 60_000 < len(logs) <= 65_536


def test_values_with_arrays_come_with_output(cluster: LocalCluster) -> None:
    np = pytest.importorskip("numpy")

    @task
    def make(count: int) -> Any:
        print("made", count)  # noqa: T201
        return np.arange(count)

    with Pymonik(cluster, output="quiet"):
        for handle in (make.invoke(100_000), *make.map_invoke([100_000, 3], chunk_size=2)):
            value = handle.get(WAIT_S)
            value[0] = 1  # can be written to
            assert handle.logs() == f"made {len(value)}\n"


PROGRAM = """
import logging
import sys
from pymonik import Pymonik, get_context, task

@task
def speak():
    print("printed")
    logging.getLogger("mine").warning("logged")
    logging.getLogger("mine").info("in passing")
    logging.getLogger("mine").debug("not wanted")
    logging.error("of the root")  # adds a handler to the root logger
    logging.getLogger("mine").warning("logged after it")
    get_context().logger.info("told", n=3)
    for n in range(5):
        print(f"\\r{n} of 4", end="", file=sys.stderr)
    print(file=sys.stderr)

logging.basicConfig(level="INFO", handlers=[logging.NullHandler()])
with Pymonik():
    speak.invoke().get()
    print("the program goes on")
"""


def test_a_program_keeps_its_standard_output(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    assert done.stdout == "the program goes on\n"
    assert done.stderr.splitlines() == [
        "[speak] printed",
        "[speak] WARNING mine: logged",
        "[speak] INFO mine: in passing",
        "[speak] ERROR root: of the root",
        "[speak] WARNING mine: logged after it",
        "[speak] INFO told n=3",
        "[speak] 4 of 4",
    ]
