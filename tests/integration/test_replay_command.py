"""`pymonik replay`: a call of the past runs here, with only its id."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pymonik import LocalCluster, Pymonik, task

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import sys
from pymonik import Pymonik, task
import helper
import settings

SCALE = {"a": 2}

class Box:
    def __init__(self, n):
        self.n = n

@task
def half(n):
    return n // 2

@task
def step(box, n):
    if n == 7:
        raise ValueError(f"negative volume {helper.flux(n)} {settings.LEVEL}")  # the line
    return box.n * SCALE["a"] + n

@task(require_context=True)
def tree(ctx, n):
    total = step.invoke(Box(1), half.invoke(n))
    return total if ctx else None

@task
def fails_after(total):
    raise KeyError(total)

if __name__ == "__main__":
    settings.LEVEL = 5
    with Pymonik(sys.argv[1], session="replays", on_exit="keep", on_unseen="ignore") as pk:
        single = step.invoke(Box(3), half.invoke(14))
        m = step.map_invoke([(Box(1), n) for n in (1, 7, 2)], chunk_size=3)
        branch = tree.invoke(8)
        last = fails_after.invoke(branch)
        m.exceptions(), single.exception(), last.exception()
        print(single.task_id, m[0].task_id, branch.task_id, last.task_id, m[0].result_id)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2, port=0) as started:
        yield started


@pytest.fixture(scope="module")
def ids(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of tasks that a program has left behind, whose files are gone."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "helper.py").write_text("def flux(n):\n    return n * 10\n")
    (folder / "settings.py").write_text("LEVEL = 0\n")
    ended = subprocess.run(
        [sys.executable, "program.py", cluster.endpoint],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()
    return ended.stdout.split()


def replay(
    cluster: LocalCluster, *arguments: str, cwd: Path, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pymonik", "replay", *arguments, "--endpoint", cluster.endpoint],
        cwd=cwd,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "AKCONFIG"},
    )


def test_a_call_that_failed_fails_here_with_its_line(cluster, ids, tmp_path):
    ended = replay(cluster, ids[0], cwd=tmp_path)
    assert ended.returncode == 1, ended.stderr
    assert "ValueError: negative volume 70 5" in ended.stderr
    assert "# the line" in ended.stderr
    assert "/pymonik/" not in ended.stderr


def test_one_of_several_calls_is_named_by_its_place(cluster, ids, tmp_path):
    unnamed = replay(cluster, ids[1], cwd=tmp_path)
    assert unnamed.returncode == 2
    assert "3 calls share this task" in unnamed.stderr
    assert replay(cluster, f"{ids[1]}[0]", cwd=tmp_path).stdout.strip() == "3"
    failed = replay(cluster, f"{ids[4]}[1]", cwd=tmp_path)  # by the id of the result
    assert "negative volume 70 5" in failed.stderr
    outside = replay(cluster, f"{ids[1]}[3]", cwd=tmp_path)
    assert "this task has no call 3: there are 3" in outside.stderr


def test_the_debugger_opens_where_it_raises(cluster, ids, tmp_path):
    ended = replay(cluster, ids[0], "--pdb", cwd=tmp_path, typed="p box.n, n\nq\n")
    assert "(3, 7)" in ended.stdout


def test_subtasks_run_here(cluster, ids, tmp_path):
    assert replay(cluster, ids[2], cwd=tmp_path).stdout.strip() == "6"


def test_inputs_are_read_where_they_are(cluster, ids, tmp_path):
    assert "KeyError: 6" in replay(cluster, ids[3], cwd=tmp_path).stderr


def test_what_is_not_there_is_named(cluster, tmp_path):
    unknown = replay(cluster, "no-such-task", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "there is no task no-such-task" in unknown.stderr

    @task
    def double(n):
        return 2 * n

    with Pymonik(cluster) as client:
        handle = double.invoke(2)
        handle.wait()
        gone = replay(cluster, handle.task_id, cwd=tmp_path)  # it ended well: nothing is kept
        assert gone.returncode == 2
        assert "the payload of double is not there any more" in gone.stderr
        stored = client.put([1])
        failing = fails.invoke(stored)
        failing.exception()
        client.session.delete([str(stored.result_id)])
        lost = replay(cluster, failing.task_id, cwd=tmp_path)
        assert "input 0 (result" in lost.stderr


@task
def fails(value: list[int]) -> None:
    raise ValueError(value)


def test_packages_are_installed_as_for_the_call(cluster, tmp_path):
    package = tmp_path / "tiny"
    package.mkdir()
    (package / "tiny_replayed.py").write_text("ANSWER = 42\n")
    (package / "pyproject.toml").write_text(
        textwrap.dedent(
            """
            [build-system]
            requires = ["setuptools"]
            build-backend = "setuptools.build_meta"
            [project]
            name = "tiny-replayed"
            version = "1.0"
            [tool.setuptools]
            py-modules = ["tiny_replayed"]
            """
        )
    )

    @task(environment={"pip": [str(package)]})
    def ask():
        import tiny_replayed  # type: ignore[import-not-found]

        raise ValueError(tiny_replayed.ANSWER)

    with Pymonik(cluster, on_unseen="ignore"):
        handle = ask.invoke()
        assert str(handle.exception()) == "42"
        ended = replay(cluster, handle.task_id, cwd=tmp_path)
    assert "ValueError: 42" in ended.stderr


BUILT_INS = """
import sys
from pathlib import Path
from pymonik import File, Pymonik, Task, command, task

@task
def seven():
    return 7

@task
def shout(file, n):
    print(file.read_text().upper() * n)
    return file

if __name__ == "__main__":
    Path("word.txt").write_text("hello ")
    Path("tool.sh").write_text("(cat word.txt; echo $1) | tee said.txt; exit $1\\n")
    say = command(
        "sh tool.sh {n}", files=["tool.sh"], outputs=["said.txt"], name="say"
    )
    reply = Task.from_lambda("handlers.zip", "engine.reply")
    with Pymonik(sys.argv[1], session="built-ins", on_exit="keep", on_unseen="ignore") as pk:
        word = File("word.txt")
        failed = say.invoke(word, n=seven.invoke())
        ended = say.invoke(word, n=0)
        answered = reply.invoke({"n": [1, seven.invoke()]}, pmk_client_context={"custom": {"k": 2}})
        refused = reply.invoke({"n": "word"})
        shouted = shout.invoke(word, 2)
        calls = [failed, ended, answered, refused, shouted]
        [one.exception() for one in calls]
        print(*(one.task_id for one in calls))
"""
ENGINE = """
import helper_of_zip

def reply(event, context):
    custom = context.client_context.custom if context.client_context else {}
    return {"sum": helper_of_zip.add(event["n"]), "name": context.function_name, **custom}
"""


def test_commands_handlers_and_calls_with_files_run_here_as_they_were(cluster, tmp_path):
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "program.py").write_text(BUILT_INS)
    with zipfile.ZipFile(folder / "handlers.zip", "w") as file:
        file.writestr("engine.py", ENGINE)
        file.writestr("helper_of_zip.py", "def add(numbers):\n    return sum(numbers)\n")
    ended = subprocess.run(
        [sys.executable, "program.py", cluster.endpoint],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    shutil.rmtree(folder)
    failed, well, answered, refused, shouted = ended.stdout.split()
    told = replay(cluster, failed, cwd=tmp_path)
    assert told.returncode == 1
    assert "CommandError: the command exited with 7" in told.stderr
    assert told.stdout == "hello 7\n"  # what it prints
    kept = Path(told.stderr.rpartition("its files are in ")[2].splitlines()[0])
    assert sorted(one.name for one in kept.iterdir()) == ["said.txt", "tool.sh", "word.txt"]
    told = replay(cluster, well, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "rc=0" in told.stdout
    assert "said.txt" in told.stdout
    told = replay(cluster, answered, cwd=tmp_path)
    assert (told.returncode, told.stdout) == (0, "{'sum': 8, 'name': 'reply', 'k': 2}\n")
    told = replay(cluster, refused, cwd=tmp_path)
    assert told.returncode == 1
    assert "return sum(numbers)" in told.stderr
    told = replay(cluster, shouted, cwd=tmp_path)
    assert told.stdout.startswith("HELLO HELLO"), told.stderr
