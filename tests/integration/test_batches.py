"""Batches: files saved as calls end, and calls that need not run again."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pymonik import CommandError, File, LocalCluster, Pymonik, command, task
from pymonik.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 55.0
TARGET = "out/{i}_{name}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as started:
        yield started


@pytest.fixture
def client(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pymonik]:
    monkeypatch.chdir(tmp_path)
    with Pymonik(cluster) as client:
        yield client


@task(outputs=["*.log"])
def power(number: int, exponent: int = 2) -> File:
    Path("value.txt").write_text(str(number**exponent))
    Path("run.log").write_text(f"of {number}")
    return File("value.txt")


@task(outputs="sum.txt")
def add_up(files: list[File]) -> int:
    total = sum(int(Path(file).read_text()) for file in files)
    Path("sum.txt").write_text(str(total))
    return total


def saved() -> dict[str, str]:
    return {path.name: path.read_text() for path in Path("out").iterdir() if path.name[0] != "."}


def test_files_lie_there_once_somebody_has_the_value(client: Pymonik) -> None:
    run = power.map_invoke(range(3), save_to=TARGET)
    assert run[1].get(TIMEOUT_S).read_text() == "1"
    assert Path("out/1_value.txt").read_text() == "1"
    run.wait(TIMEOUT_S)
    assert saved() == {
        f"{i}_{name}": text
        for i in range(3)
        for name, text in (("value.txt", str(i * i)), ("run.log", f"of {i}"))
    }


def test_files_lie_there_after_the_block(cluster: LocalCluster, tmp_path: Path) -> None:
    with Pymonik(cluster):
        power.map_invoke(range(20), save_to=tmp_path / TARGET)
    assert len(list((tmp_path / "out").glob("*_value.txt"))) == 20


def test_what_is_there_is_not_done_again(client: Pymonik) -> None:
    power.map_invoke(range(4), save_to=TARGET).wait(TIMEOUT_S)
    Path("out/2_value.txt").unlink()
    Path("out/3_run.log").write_text("edited")
    again = power.map_invoke(range(5), save_to=TARGET, resume=True)
    assert [file.read_text() for file in again.get(TIMEOUT_S)] == ["0", "1", "4", "9", "16"]
    assert again.skipped == 2
    assert Path("out/3_run.log").read_text() == "of 3"
    assert sorted(again[0].files) == ["run.log", "value.txt"]
    third = power.map_invoke(range(5), save_to=TARGET, resume=True)
    assert (third.skipped, third.done(), len(third)) == (5, True, 5)


def test_other_arguments_are_other_calls(client: Pymonik) -> None:
    power.map_invoke(range(3), save_to=TARGET).wait(TIMEOUT_S)
    others = power.map_invoke([0, 1, 5], save_to=TARGET, resume=True)
    assert ([f.read_text() for f in others.get(TIMEOUT_S)], others.skipped) == (["0", "1", "25"], 2)
    cubes = power.map_invoke([0, 1, 5], exponent=3, save_to=TARGET, resume=True)
    assert ([f.read_text() for f in cubes.get(TIMEOUT_S)], cubes.skipped) == (["0", "1", "125"], 0)


def test_handles_of_calls_that_were_skipped_are_arguments(client: Pymonik) -> None:
    power.map_invoke(range(4), save_to=TARGET).wait(TIMEOUT_S)
    again = power.map_invoke(range(4), save_to=TARGET, resume=True)
    assert again.skipped == 4
    assert add_up.invoke(again).get(TIMEOUT_S) == 14
    assert command("cat {all}").invoke(all=list(again)).get(TIMEOUT_S).stdout == "0149"


def test_a_value_beside_the_files_is_kept(client: Pymonik, tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text("7")
    items = [([File(tmp_path / "n.txt")],)]
    assert add_up.map_invoke(items, save_to="o{i}").get(TIMEOUT_S) == [7]
    again = add_up.map_invoke(items, save_to="o{i}", resume=True)
    assert (again.get(TIMEOUT_S), again.skipped) == ([7], 1)
    (tmp_path / "n.txt").write_text("8")
    changed = add_up.map_invoke(items, save_to="o{i}", resume=True)
    assert (changed.get(TIMEOUT_S), changed.skipped, Path("o0").read_text()) == ([8], 0, "8")


def test_a_changed_file_or_line_makes_commands_due(client: Pymonik, tmp_path: Path) -> None:
    def run(line: str) -> int:
        work = command(line, files=["script.sh"], outputs="out.txt")
        done = work.map_invoke([{"n": n} for n in range(3)], save_to="c/{i}.txt", resume=True)
        assert [one.rc for one in done.get(TIMEOUT_S)] == [0] * 3
        return done.skipped

    Path("script.sh").write_text("echo $1 > out.txt")
    line = "sh script.sh {n}"
    assert [run(line), run(line)] == [0, 3]
    Path("script.sh").write_text("echo $1 $1 > out.txt")
    assert [run(line), run(line)] == [0, 3]
    assert run("sh script.sh {n} more") == 0


def test_a_changed_function_makes_calls_due(cluster: LocalCluster, tmp_path: Path) -> None:
    program = """
        import sys
        from pathlib import Path
        from pymonik import File, Pymonik, task
        import help_it

        @task
        def work(n: int) -> File:
            Path("w.txt").write_text(str(help_it.scale(n)))
            return File("w.txt")

        if __name__ == "__main__":
            with Pymonik(sys.argv[1]):
                run = work.map_invoke(range(3), save_to="w/{i}", resume=True)
                print([f.read_text() for f in run.get()], run.skipped)
    """
    (tmp_path / "main.py").write_text(textwrap.dedent(program))

    def run(helper: str) -> str:
        (tmp_path / "help_it.py").write_text(helper)
        words = [sys.executable, "main.py", cluster.endpoint]
        done = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    first = "def scale(n):\n    return n * 10\n"
    assert run(first) == "['0', '10', '20'] 0"
    assert run(first) == "['0', '10', '20'] 3"
    assert run(first.replace("10", "100")) == "['0', '100', '200'] 0"


def test_a_program_that_was_killed_goes_on_where_it_was(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    program = """
        import sys, time
        from pymonik import Pymonik, command
        work = command("sleep {s}; echo {n} > out.txt", outputs="out.txt")
        with Pymonik(sys.argv[1]):
            run = work.map_invoke(
                [{"n": n, "s": 0 if n < 3 or len(sys.argv) > 2 else 5} for n in range(5)],
                save_to="k/{i}.txt", resume=True,
            )
            run.wait()
            print(run.skipped)
    """
    (tmp_path / "main.py").write_text(textwrap.dedent(program))
    words = [sys.executable, "main.py", cluster.endpoint]
    first = subprocess.Popen(words, cwd=tmp_path)
    ledger = tmp_path / "k"
    deadline = time.monotonic() + TIMEOUT_S
    while sum(p.suffix == ".txt" for p in ledger.glob("*.txt")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    while sum(p.read_bytes().count(b"\n") for p in ledger.glob(".pymonik-*")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert not list(ledger.glob(".*.part"))
    again = subprocess.run(
        [*words, "quick"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert again.stdout.strip() == "3"
    assert len(list(ledger.glob("*.txt"))) == 5


def test_half_a_line_of_the_ledger_tells_nothing(client: Pymonik) -> None:
    power.map_invoke(range(3), save_to=TARGET).wait(TIMEOUT_S)
    (ledger,) = Path("out").glob(".pymonik-*")
    ledger.write_bytes(ledger.read_bytes()[:-20])
    again = power.map_invoke(range(3), save_to=TARGET, resume=True)
    again.wait(TIMEOUT_S)
    assert again.skipped == 2
    assert power.map_invoke(range(3), save_to=TARGET, resume=True).skipped == 3


def test_a_call_that_failed_is_done_again(client: Pymonik) -> None:
    work = command("echo {n} > out.txt; exit {n}", outputs="out.txt", outputs_on="always")
    run = work.map_invoke([0, 1], save_to="f/{i}.txt")
    errors = run.exceptions(TIMEOUT_S)
    assert [type(error) for error in errors] == [type(None), CommandError]
    assert Path("f/1.txt").read_text() == "1\n"
    assert work.map_invoke([0, 1], save_to="f/{i}.txt", resume=True).skipped == 1


def test_all_files_of_handles_can_be_saved_later(client: Pymonik) -> None:
    run = power.map_invoke(range(2))
    assert [path.as_posix() for path in run.save("later/{i:03}/{stem}{suffix}")] == [
        "later/000/value.txt",
        "later/000/run.log",
        "later/001/value.txt",
        "later/001/run.log",
    ]


def test_logs_and_statistics_are_files_too(client: Pymonik) -> None:
    work = command("echo said {n}; echo {n} > out.txt", outputs="out.txt")
    items = [{"n": n} for n in range(3)]
    run = work.map_invoke(items, save_to="b/{i}_{name}")
    run.wait(TIMEOUT_S)
    assert [path.read_text() for path in run.save_logs("b/{i}.log")] == [
        f"said {n}\n" for n in range(3)
    ]
    with run.to_csv("b/all.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["item"], row["status"]) for row in rows] == [("0", "ok"), ("1", "ok"), ("2", "ok")]
    assert float(rows[0]["seconds"]) > 0
    again = work.map_invoke(items, save_to="b/{i}_{name}", resume=True)
    assert (again.skipped, again.logs()) == (3, "")
    again.to_csv("b/again.csv")
    assert "3 ok" in str(again)


def test_what_is_wrong_is_said_at_once(client: Pymonik) -> None:
    for bad, reason in (("out/{name}", "{i}"), ("{i}_{nome}", "nome"), ("{i", "expected")):
        with pytest.raises(UsageError, match=reason):
            power.map_invoke(range(2), save_to=bad)
    with pytest.raises(UsageError, match="save_to"):
        power.map_invoke(range(2), resume=True)
    with pytest.raises(UsageError, match="gives none"):
        command("true").map_invoke([()], save_to=TARGET)
    run = power.map_invoke(range(1), save_to="one/{i}")
    with pytest.raises(UsageError, match=r"write \{name\}"):
        run.wait(TIMEOUT_S)


def test_a_full_disk_is_told_to_who_waits(client: Pymonik) -> None:
    Path("out").write_text("a file where a folder should be")
    with pytest.raises(OSError, match="out"):
        power.map_invoke(range(1), save_to=TARGET).wait(TIMEOUT_S)
    Path("out").unlink()
