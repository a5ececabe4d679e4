"""Values of earlier calls: found where code and arguments are the same, and nowhere else."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, command, task
from pymonik.cache.bounds import Limits, surplus
from pymonik.cache.entries import CODE_PREFIX, PREFIX, Entry, entries_of
from pymonik.wire.call import ResultRef

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2, port=0) as started:
        yield started


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A file that grows with each call that really runs."""
    return tmp_path / "runs"


def number_of(runs: Path) -> int:
    return len(runs.read_text()) if runs.exists() else 0


@task(cache=True)
def double(n: Any, runs: Path) -> Any:
    with runs.open("a") as log:
        log.write("x")
    return n * 2


@task(cache=True)
def add(values: Any, runs: Path) -> Any:
    with runs.open("a") as log:
        log.write("x")
    return sum(values)


@task(cache=True)
def fail(n: int, runs: Path) -> int:
    with runs.open("a") as log:
        log.write("x")
    raise ValueError(n)


@pytest.mark.parametrize("is_own", [True, False], ids=["own cluster", "endpoint"])
def test_a_map_takes_what_another_session_computed(cluster, runs, is_own):
    where: Any = cluster if is_own else cluster.endpoint
    with Pymonik(where):
        first = double.map_invoke([(n, runs) for n in range(50)])
        assert first.get() == [2 * n for n in range(50)]
        assert first.cache.hits == 0
    with Pymonik(where):
        second = double.map_invoke([(n, runs) for n in range(60)])
        assert second.get() == [2 * n for n in range(60)]
        assert (second.cache.hits, second.cache.misses) == (50, 10)
        assert str(second.cache) == "50 of 60 from the cache, 10 to compute"
    assert number_of(runs) == 60


def test_single_calls_are_found_at_once_in_their_session(cluster, runs):
    with Pymonik(cluster):
        assert double.invoke(3, runs).get() == 6
        again = double.invoke(3, runs=runs)
        assert again.cache.hits == 0  # another way to call: it is another call
        assert again.get() == 6
        third = double.invoke(3, runs)
        assert third.cache.hits == 1
        assert third.done()
        assert third.get() == 6
    assert number_of(runs) == 2


def test_a_pipeline_is_found_without_its_inputs(cluster, runs):
    with Pymonik(cluster):
        inputs = double.map_invoke([(n, runs) for n in range(5)])
        assert add.invoke(inputs, runs).get() == 20
    assert number_of(runs) == 6
    with Pymonik(cluster) as client:
        inputs = double.map_invoke([(n, runs) for n in range(5)])
        total = add.invoke(inputs, runs)
        assert total.cache.hits == 1
        assert total.get() == 20
        stored = client.put([1, 2])
        assert add.invoke(stored, runs).get() == 3
    with Pymonik(cluster) as client:
        known = add.invoke(client.put([1, 2]), runs)
        assert known.cache.hits == 1
        assert add.invoke(client.put([1, 3]), runs).cache.hits == 0
    assert number_of(runs) == 8


@pytest.mark.parametrize("chunk_size", [1, 4])
def test_what_the_cache_had_is_in_the_record_of_its_run(cluster, runs, tmp_path, chunk_size):
    with Pymonik(cluster.endpoint):
        double.map_invoke([(n, runs) for n in range(1, 9, 2)], chunk_size=chunk_size).wait()
    name = f"cached {chunk_size}"
    client = Pymonik(cluster.endpoint, session=name).create()
    some = double.map_invoke([(n, runs) for n in range(9)], label="some", chunk_size=chunk_size)
    assert (some.cache.hits, some.get()) == (4, [2 * n for n in range(9)])
    entries_of(client.session).write()  # a thread does it a moment after the calls have ended
    every = double.map_invoke([(n, runs) for n in range(9)], label="all")
    assert every.cache.hits == 9
    alone = double.invoke(4, runs)
    client.leave(tmp_path / "job.json", every, alone)
    with Pymonik.attach(tmp_path / "job.json") as back:
        assert back.handles.get(timeout=60) == [*every.get(), 8]
        assert set(back.runs) == {"some", "all", "double"}
        assert back.runs["some"].get(timeout=60) == back.runs["all"].get(timeout=60)
        assert back.runs["double"].get(timeout=60) == [8]
        assert "9 items, 9 ok" in repr(back.runs)
        again = double.map_invoke([(n, runs) for n in range(9)], label="all")
        assert again.get(timeout=60) == every.get()
        assert len(back.runs.all("all")) == 1
    assert number_of(runs) == 9


def test_failures_are_computed_again(cluster, runs):
    for _ in range(2):
        with Pymonik(cluster, on_unseen="ignore"):
            m = fail.map_invoke([(n, runs) for n in range(3)])
            assert [type(error) for error in m.exceptions()] == [ValueError] * 3
            assert m.cache.hits == 0
    assert number_of(runs) == 6


def test_what_cannot_be_compared_is_computed_and_told_once(cluster, runs, caplog):
    @task
    def slow(n: int) -> int:
        return n

    with Pymonik(cluster), caplog.at_level(logging.WARNING, "pymonik"):
        handles = [double.invoke(slow.invoke(1), runs) for _ in range(2)]
        assert [handle.get() for handle in handles] == [2, 2]
    told = [one.getMessage() for one in caplog.records if "without the cache" in one.getMessage()]
    assert len(told) <= 1  # none if the call had ended before the second was made


def test_explain_names_function_and_lines(cluster, tmp_path):
    program = tmp_path / "program.py"
    module = tmp_path / "solver.py"
    program.write_text(
        textwrap.dedent(
            """
            import sys
            from pymonik import Pymonik, task
            import solver
            @task(cache=True)
            def simulate(n):
                return solver.step(n)
            if __name__ == "__main__":
                with Pymonik(sys.argv[1]):
                    m = simulate.map_invoke([1, 2])
                    print(m.get(), m.cache.explain(0), sep=" | ")
            """
        )
    )
    module.write_text("def step(n):\n    return n + 1\n")
    assert run(program, cluster) == "[2, 3] | miss: no call of simulate was computed"
    assert run(program, cluster).startswith("[2, 3] | hit: computed before in ")
    module.write_text("# a comment\n\ndef step(n):\n    return n + 10\n")
    assert run(program, cluster) == (
        "[11, 12] | miss: code changed: solver.step (solver.py:3-4), called by simulate; "
        "arguments the same; environment: the same"
    )


def run(program: Path, cluster: LocalCluster, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, program.name, cluster.endpoint],
        cwd=program.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


PROGRAM = """
import dataclasses, enum, functools, sys, typing
from pymonik import Pymonik, task
import helper
import settings

class Kind(enum.Enum):
    ONE = 1  # KIND

@dataclasses.dataclass
class Model:
    factor: int = 1  # FACTOR
    kind: Kind = Kind.ONE
    def run(self, n):
        return n * self.factor + self.kind.value + 1  # METHOD

class Pair(typing.NamedTuple):
    one: int
    two: int = 1  # PAIR

SCALE = {"a": 1}  # GLOBAL

def decorated(function):
    @functools.wraps(function)
    def run(n):
        return function(n) + 1  # DECORATOR
    return run

@decorated
def inner(n):
    return n + 1  # INNER

def make(by):
    def closing(n):
        return n + by
    return closing

closing = make(1)  # CLOSURE

@functools.lru_cache
def remembered(n):
    return n + 1  # REMEMBERED

@task(cache=True)
def work(model, n, more=1):  # DEFAULT
    words = {"a", "b", "c", "d"}  # CONSTANT
    return (model.run(n), Pair(n), SCALE, inner(n), closing(n), remembered(n), helper.total(n),
            settings.LEVEL, len(words), more)

if __name__ == "__main__":
    settings.LEVEL = 1  # SETTING
    with Pymonik(sys.argv[1]):
        m = work.map_invoke([(Model(), 1), (Model(), 2)])
        print(m.get(), m.cache.hits, sep=" | ")
"""
FILES = {
    "program.py": PROGRAM,
    "helper.py": "import pathlib\nfrom deeper import add\nHERE = pathlib.Path(__file__).parent\n"
    "def total(n):\n    return add(n) + 1 + len((HERE / 'data.txt').read_text())  # HELPER\n",
    "deeper.py": "STEP = 1  # BODY\ndef add(n):\n    return n + STEP + 1  # DEEPER\n",
    "settings.py": "LEVEL = 0\n",
    "data.txt": "abc",
}
EDITS = [
    ("program.py", "ONE = 1  # KIND", "ONE = 2"),
    ("program.py", "int = 1  # FACTOR", "int = 2"),
    ("program.py", "+ 1  # METHOD", "+ 2"),
    ("program.py", "two: int = 1  # PAIR", "two: int = 2"),
    ("program.py", '{"a": 1}  # GLOBAL', '{"a": 2}'),
    ("program.py", "+ 1  # DECORATOR", "+ 2"),
    ("program.py", "n + 1  # INNER", "n + 2"),
    ("program.py", "make(1)  # CLOSURE", "make(2)"),
    ("program.py", "n + 1  # REMEMBERED", "n + 2"),
    ("program.py", "more=1):  # DEFAULT", "more=2):"),
    ("program.py", ', "d"}  # CONSTANT', "}"),
    ("program.py", "LEVEL = 1  # SETTING", "LEVEL = 2"),
    ("program.py", "m = work.map_invoke([(Model(), 1)", "m = work.map_invoke([(Model(2), 1)"),
    ("helper.py", "+ 1 + len", "+ 2 + len"),
    ("deeper.py", "STEP = 1  # BODY", "STEP = 2"),
    ("deeper.py", "STEP + 1  # DEEPER", "STEP + 2"),
    ("data.txt", "abc", "abcd"),
]
LOOKS = [
    ("program.py", "SCALE = ", "# a comment\n\n\nSCALE = "),
    ("program.py", "  # METHOD", "  # another one"),
    ("helper.py", "def total", "\n\n# moved\ndef total"),
    ("deeper.py", "  # DEEPER", ""),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path / "program.py"


def edit(folder: Path, edited: tuple[str, str, str]) -> None:
    name, before, after = edited
    text = (folder / name).read_text()
    assert before in text
    (folder / name).write_text(text.replace(before, after))


def test_a_program_finds_its_values_in_another_process(cluster, project):
    first = run(project, cluster, PYTHONHASHSEED="1")
    again = run(project, cluster, PYTHONHASHSEED="2")
    assert (first.endswith("| 0"), again.endswith("| 2")) == (True, True)
    for looks in LOOKS:
        edit(project.parent, looks)
    third = run(project, cluster, PYTHONHASHSEED="3")
    assert third == again


def test_every_edit_is_computed(cluster, project):
    values = run(project, cluster).partition(" | ")[0]
    for edited in EDITS:
        for name, text in FILES.items():
            (project.parent / name).write_text(text)
        edit(project.parent, edited)
        after, _, hits = run(project, cluster).partition(" | ")
        assert after != values, edited
        assert hits == ("1" if "Model(2)" in edited[2] else "0"), edited


BY_TEXT = """
import sys
from pymonik import Pymonik, task

def grow(n):
    return n + STEP

STEP = 1

@task(cache=True)
def work(name, n):
    return globals()[name](n)

if __name__ == "__main__":
    with Pymonik(sys.argv[1]) as pk:
        first = work.invoke("grow", 1)
        print(first.get(), first.cache.hits, sep=" | ")
"""


def test_what_is_looked_up_by_text_counts(cluster, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(BY_TEXT)
    assert [run(program, cluster) for _ in range(2)] == ["2 | 0", "2 | 1"]
    edit(tmp_path, ("program.py", "n + STEP", "n - STEP"))
    assert run(program, cluster) == "0 | 0"
    edit(tmp_path, ("program.py", "STEP = 1", "STEP = 2"))
    assert run(program, cluster) == "-1 | 0"


def test_what_is_cleared_is_computed_again(cluster, runs):
    with Pymonik(cluster):
        m = double.map_invoke([(n, runs) for n in range(4)])
        m.wait()
        assert m.cache.clear() == 4
        assert m.get() == [0, 2, 4, 6]
        again = double.map_invoke([(n, runs) for n in range(4)])
        assert again.get() == [0, 2, 4, 6]
        assert again.cache.hits == 0
    assert number_of(runs) == 8


def test_a_value_that_was_deleted_is_no_hit(cluster, runs):
    with Pymonik(cluster) as client:
        handle = double.invoke(21, runs)
        assert handle.get() == 42
        client.session.delete([handle.result_id])
        again = double.invoke(21, runs)
        assert again.cache.hits == 0
        assert again.get() == 42
    assert number_of(runs) == 2


def test_the_oldest_values_go_when_there_are_too_many(cluster, runs):
    with Pymonik(cluster) as client:
        entries = entries_of(client.session)
        entries.limits = Limits(entries=3)
        m = double.map_invoke([(n, runs) for n in range(10)], chunk_size=1)
        m.wait()
        entries.write()
        entries.check_bounds()
        assert len(entries.all()) <= 3
        entries.limits = Limits()


def entry(key: str, result_id: str, created: float) -> Entry:
    return Entry(key, ResultRef(result_id), 1.0, f"entry of {key}", created)


def test_bounds_are_of_bytes_age_and_number():
    entries = [entry("a", "1", 10.0), entry("b", "2", 20.0), entry("c", "2", 30.0)]
    sizes = {"1": 100, "2": 100}
    assert surplus(entries, sizes, Limits(), 31.0) == []
    assert surplus(entries, sizes, Limits(nbytes=150), 31.0) == entries[:1]
    assert surplus(entries, sizes, Limits(age_s=15.0), 31.0) == entries[:1]
    assert surplus(entries, sizes, Limits(entries=1), 31.0) == entries[:2]
    assert surplus(entries, {"1": 100}, Limits(), 31.0) == entries[1:]


def test_names_tell_all_that_a_look_needs(cluster, runs):
    with Pymonik(cluster) as client:
        double.invoke(77, runs).get()
        entries_of(client.session).write()
        names = [row.name for row in client.session.lists.results_named("pymonik.cache")]
    assert any(name.startswith(PREFIX) and name.count("/") == 4 for name in names)
    assert any(name.startswith(CODE_PREFIX) and name.endswith("/double") for name in names)


def test_commands_have_no_cache_and_say_so(cluster, caplog):
    with Pymonik(cluster), caplog.at_level(logging.WARNING, "pymonik"):
        one = command("echo 1").invoke(pmk_cache=True)
        assert one.get().stdout == "1\n"
        other = command("echo 2").invoke(pmk_cache=True)
        assert other.get().stdout == "2\n"
    assert "computed without the cache: what is built in" in caplog.text
