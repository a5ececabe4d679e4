"""Sessions that outlive their program: names, records, files, handles out of pickles."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pymonik import LocalCluster, Outputs, Pymonik, SessionClosedError, UsageError, task

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 60.0


@task
def square(number: int) -> int:
    return number * number


@task
def refuse(number: int) -> int:
    if number == 3:
        raise ArithmeticError(f"not {number}")
    return number


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def slow(seconds: float) -> float:
    import time

    time.sleep(seconds)
    return seconds


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2, port=0) as one:
        yield one


def told(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.name == "pymonik")


KILLED = """
    import os, pathlib, pickle, signal, sys
    from pymonik import Pymonik, task

    @task
    def cube(n):
        return n ** 3

    if __name__ == "__main__":
        client = Pymonik(sys.argv[1], session="killed").create()
        cubes = cube.map_invoke(range(300), label="cubes")
        single = cube.invoke(5)
        cubes[0].get()
        client.send()
        pathlib.Path("handle.pickle").write_bytes(pickle.dumps(cubes[9]))
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def folder_of_killed(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a program was killed that had submitted a run."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "program.py").write_text(textwrap.dedent(KILLED))
    ended = subprocess.run(
        [sys.executable, "program.py", cluster.endpoint], cwd=folder, timeout=WAIT_S, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    return folder


@task
def shifted(first: list[int], second: int) -> int:
    return sum(first) + second


def test_the_arguments_of_another_program_are_read_from_its_payloads(
    cluster: LocalCluster,
) -> None:
    first = Pymonik(cluster.endpoint, session="arguments").create()
    base = square.invoke(3)
    made = shifted.map_invoke([([n, base], 5) for n in range(30)], label="shifted", chunk_size=7)
    made.wait(timeout=WAIT_S)
    first.leave()
    with Pymonik(cluster.endpoint, session="arguments") as client:
        found = client.runs["shifted"].wait(WAIT_S)
        table = found.rows()
        assert [row["second"] for row in table] == [5] * 30
        assert [row["value"] for row in table] == [n + 9 + 5 for n in range(30)]
        numbers, handle = found[17].args[0]
        assert (numbers, handle.get(timeout=WAIT_S)) == (17, 9)
        assert found[17].replay(with_=lambda first, second: (first, second)) == ([17, 9], 5)


@pytest.mark.usefixtures("folder_of_killed")
def test_the_run_of_a_killed_program_is_found_by_the_name_of_its_session(
    cluster: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    with Pymonik(cluster.endpoint, session="killed") as client:
        assert "attached: session killed" in told(caplog)
        assert "cube · cubes (300 items" in told(caplog)
        cubes = client.runs["cubes"]
        assert cubes.get(timeout=WAIT_S) == [n**3 for n in range(300)]
        assert [handle.index for handle in cubes] == list(range(300))
        assert list(client.runs) == ["cubes", "cube"]
        assert client.runs["cube"].get(timeout=WAIT_S) == [125]
        assert "cube · cubes: 300 items, 300 ok" in repr(client.runs)


def test_a_handle_of_a_killed_program_finds_its_session(
    cluster: LocalCluster, folder_of_killed: Path
) -> None:
    data = (folder_of_killed / "handle.pickle").read_bytes()
    early = pickle.loads(data)
    with pytest.raises(UsageError, match="no client is open"):
        early.get()
    with Pymonik(cluster.endpoint) as client:
        late = pickle.loads(data)
        assert late.get(timeout=WAIT_S) == early.get(timeout=WAIT_S) == 9**3
        assert client.session_id not in (late.session_id, early.session_id)


def test_a_run_that_is_not_there_is_named_with_those_that_are(cluster: LocalCluster) -> None:
    with Pymonik(cluster.endpoint, session="empty") as client:
        with pytest.raises(UsageError, match="no run 'cubes' in this session"):
            client.runs["cubes"]
        with pytest.raises(KeyError):
            client.runs["cubes"]


def test_the_same_call_under_the_same_label_is_not_made_again(
    cluster: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    first = Pymonik(cluster.endpoint, session="again").create()
    made = square.map_invoke(range(40), label="squares")
    alone = square.invoke(7)
    assert made.get(timeout=WAIT_S)[3] == 9
    ids = [handle.result_id for handle in made]
    first.leave()
    with Pymonik(cluster.endpoint, session="again"):
        again = square.map_invoke(range(40), label="squares")
        assert [handle.result_id for handle in again] == ids
        assert again.get(timeout=WAIT_S) == [n * n for n in range(40)]
        assert "already there: square · squares, 40 items" in told(caplog)
        assert square.invoke(7).result_id == alone.result_id
        # On purpose a second time: it is the program that comes back, not the call.
        second = square.map_invoke(range(40), label="squares")
        assert not {handle.result_id for handle in second} & set(ids)


def test_what_is_called_with_something_else_is_called(cluster: LocalCluster) -> None:
    first = Pymonik(cluster.endpoint, session="other").create()
    made = square.map_invoke(range(8), label="squares")
    made.wait(timeout=WAIT_S)
    first.leave()
    with Pymonik(cluster.endpoint, session="other") as client:
        other = square.map_invoke(range(1, 9), label="squares")
        assert other.get(timeout=WAIT_S) == [n * n for n in range(1, 9)]
        assert [one.get() for one in client.runs.all("squares")] == [
            made.get(),
            other.get(),
        ]


def test_more_items_than_before_are_added_to_a_run(cluster: LocalCluster) -> None:
    first = Pymonik(cluster.endpoint, session="more").create()
    made = square.map_invoke(range(8), label="squares")
    made.wait(timeout=WAIT_S)
    ids = [handle.result_id for handle in made]
    first.leave()
    with Pymonik(cluster.endpoint, session="more") as client:
        more = square.map_invoke(range(12), label="squares")
        assert more.get(timeout=WAIT_S) == [n * n for n in range(12)]
        assert [handle.result_id for handle in more][:8] == ids
        assert client.runs["squares"].get(timeout=WAIT_S) == more.get()


def test_calls_that_need_others_are_found_with_them(cluster: LocalCluster) -> None:
    first = Pymonik(cluster.endpoint, session="chain").create()
    summed = total.invoke(square.map_invoke(range(5)))
    value = first.put([1, 2])
    of_value = total.invoke(value)
    assert (summed.get(timeout=WAIT_S), of_value.get(timeout=WAIT_S)) == (30, 3)
    first.leave()
    with Pymonik(cluster.endpoint, session="chain") as client:
        again = total.invoke(square.map_invoke(range(5)))
        assert again.result_id == summed.result_id
        assert total.invoke(client.put([1, 2])).result_id == of_value.result_id
        assert total.invoke(client.put([1, 3])).result_id != of_value.result_id


def test_an_error_is_what_the_task_raised_for_whoever_comes_back(cluster: LocalCluster) -> None:
    first = Pymonik(cluster.endpoint, session="errors").create()
    refuse.map_invoke(range(5), label="chunks", chunk_size=5).wait(WAIT_S, return_exceptions=True)
    refuse.map_invoke([1, 3], label="single", chunk_size=1).wait(WAIT_S, return_exceptions=True)
    first.leave()
    with Pymonik(cluster.endpoint, session="errors") as client:
        assert "5 items, 4 ok, 1 failed" in repr(client.runs)
        for label in ("chunks", "single"):
            errors = client.runs[label].exceptions(timeout=WAIT_S)
            assert [str(one) for one in errors if one is not None] == ["not 3"]
            assert isinstance(next(filter(None, errors)), ArithmeticError)


TWICE = """
    import sys
    from dataclasses import dataclass
    from pymonik import Pymonik, task

    @dataclass
    class Case:
        number: int
        kinds: frozenset

    @task
    def run(case, factor):
        return factor * case.number if "a" in {"a", "b", "c"} | case.kinds else 0

    if __name__ == "__main__":
        client = Pymonik(sys.argv[1], session="twice").create()
        kinds = frozenset({"x", "y", "z"})
        m = run.map_invoke([(Case(n, kinds), FACTOR) for n in range(6)], label="cases")
        print(m.get(timeout=60), [handle.result_id for handle in m])
        client.leave()
"""


def test_a_program_that_runs_again_makes_the_calls_anew_that_have_changed(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    def ran(text: str) -> str:
        (tmp_path / "program.py").write_text(textwrap.dedent(text))
        command = [sys.executable, "program.py", cluster.endpoint]
        ended = subprocess.run(
            command, cwd=tmp_path, timeout=WAIT_S, check=True, capture_output=True, text=True
        )
        return ended.stdout

    first = ran(TWICE.replace("FACTOR", "2"))
    moved = "# a comment moves all lines\n" + textwrap.dedent(TWICE.replace("FACTOR", "2"))
    assert ran(moved) == first
    other_arguments = ran(TWICE.replace("FACTOR", "3"))
    assert other_arguments.startswith("[0, 3, 6, 9, 12, 15]")
    other_code = ran(TWICE.replace("FACTOR", "2").replace("else 0", "else 1"))
    assert other_code.startswith("[0, 2, 4")
    assert len({first, other_arguments, other_code}) == 3


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "filed"])
def test_a_file_leads_back_to_what_was_left(
    cluster: LocalCluster, tmp_path: Path, name: str | None
) -> None:
    client = Pymonik(cluster.endpoint, session=name).create()
    squares = square.map_invoke(range(50), label="squares")
    one = square.invoke(11)
    client.leave(tmp_path / "job.json", squares, one)
    with pytest.raises(SessionClosedError):
        client.runs  # noqa: B018 - it was left
    assert squares[2].get(timeout=WAIT_S) == 4  # handles of the program that left go on
    job = json.loads((tmp_path / "job.json").read_text())
    assert job["endpoint"] == cluster.endpoint
    with Pymonik.attach(tmp_path / "job.json") as back:
        assert back.handles.get(timeout=WAIT_S) == [*(n * n for n in range(50)), 121]
        assert back.runs["squares"].get(timeout=WAIT_S) == [n * n for n in range(50)]
        assert square.invoke(3).get(timeout=WAIT_S) == 9
    with Pymonik.attach(tmp_path / "job.json") as back:  # it was kept
        assert back.handles[-1].get(timeout=WAIT_S) == 121


@pytest.mark.parametrize("text", ["", "{}", '{"endpoint": 3}', '{"version": 99}', "\0"])
def test_a_file_of_others_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(UsageError, match=r"job\.json"):
        Pymonik.attach(tmp_path / "job.json")
    with pytest.raises(UsageError, match="cannot be read"):
        Pymonik.attach(tmp_path / "none.json")


def test_a_file_whose_session_is_gone_makes_no_other(cluster: LocalCluster, tmp_path: Path) -> None:
    gone = {"endpoint": cluster.endpoint, "session": "not there any more"}
    (tmp_path / "job.json").write_text(json.dumps(gone))
    with pytest.raises(UsageError, match="is not in this cluster any more"):
        Pymonik.attach(tmp_path / "job.json")


def test_what_a_file_leads_back_to_is_run_again_at_once(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    left = Pymonik(cluster.endpoint).create()
    squares = square.map_invoke(range(20), pymonik=left)
    squares.wait(timeout=WAIT_S)
    left.leave(tmp_path / "job.json", squares)
    with Pymonik.attach(tmp_path / "job.json", on_exit="finish") as client:
        handles = client.handles
        assert handles.rerun([handles[3], handles[5]]).again == 2
        assert handles.get(timeout=WAIT_S) == [n * n for n in range(20)]


LEAVES = """
    import sys
    from pymonik import Pymonik, task

    @task
    def half(n):
        if n % 4 == 3:
            raise ValueError(f"odd {n}")
        return n / 2

    if __name__ == "__main__":
        name = sys.argv[2] or None
        client = Pymonik(sys.argv[1], session=name, on_unseen="ignore").create()
        halves = half.map_invoke(range(12), label="halves", chunk_size=5)
        alone = half.invoke(3)
        value = client.put("stored")
        halves.exceptions()
        client.leave("job.json", halves[2:9], alone, value)
"""
REPAIRS = """
    import sys
    from pymonik import Pymonik, task

    @task
    def doubled(n):
        return n * 2

    if __name__ == "__main__":
        with Pymonik.attach("job.json") as client:
            left = client.handles
            # Each list of failures is asked for at once: news may be on their way.
            if sys.argv[3] == "these":
                repair = left.rerun(left.failed, with_=doubled)
            else:
                repair = client.handles.rerun(client.handles.failed, with_=doubled)
            print(repair.again, left.get(timeout=60), len(left[1].attempts))
"""


def ran_in(folder: Path, text: str, *args: str) -> str:
    (folder / "program.py").write_text(textwrap.dedent(text))
    ended = subprocess.run(
        [sys.executable, "program.py", *args],
        cwd=folder,
        timeout=WAIT_S,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "nobody looked" not in ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize(
    ("name", "which"), [("", "these"), ("repaired by file", "others")], ids=["left", "named"]
)
def test_what_was_left_in_a_file_is_repaired_and_stays_so(
    cluster: LocalCluster, tmp_path: Path, name: str, which: str
) -> None:
    args = cluster.endpoint, name, which
    ran_in(tmp_path, LEAVES, *args)
    values = [1.0, 6, 2.0, 2.5, 3.0, 14, 4.0, 6, "stored"]
    assert ran_in(tmp_path, REPAIRS, *args) == f"3 {values} 1"
    with Pymonik.attach(tmp_path / "job.json") as client:
        assert client.handles.get(timeout=WAIT_S) == values
        assert [handle.index for handle in client.handles] == [*range(2, 9), None, None]
        if not name:
            return  # of a session without a name only what was left is recorded
        assert list(client.runs) == ["halves", "half"]
        halves = client.runs["halves"]
        assert [handle.index for handle in halves.failed] == [11]
        assert halves.exceptions(timeout=WAIT_S)[11] is not None
        assert client.runs["half"].get(timeout=WAIT_S) == [6]
        assert len(client.runs.all("halves")) == 1


@task
def rounded(value: float, digits: int = 0) -> float:
    if digits < 0:
        raise ValueError(digits)
    return round(value, digits)


@task
def exact(value: float, digits: int = 0) -> float:
    return value


def test_a_single_call_that_was_run_again_is_the_same_call_of_its_run(
    cluster: LocalCluster,
) -> None:
    first = Pymonik(cluster.endpoint, session="singles", on_unseen="ignore").create()
    calls = [rounded.invoke(1.25, digits) for digits in (1, -1, 0)]
    with pytest.raises(ValueError, match="-1"):
        calls[1].get(timeout=WAIT_S)
    calls[1].rerun(with_=exact)
    assert calls[1].get(timeout=WAIT_S) == 1.25
    first.leave()
    with Pymonik(cluster.endpoint, session="singles") as client:
        # They are numbered as they left, each in a request of its own perhaps.
        assert sorted(client.runs["rounded"].get(timeout=WAIT_S)) == [1.0, 1.2, 1.25]
        again = rounded.invoke(1.25, -1)  # it is known by what was called
        assert again.get(timeout=WAIT_S) == 1.25
        assert again.rerun(with_=rounded).again == 1
        assert isinstance(again.exception(timeout=WAIT_S), ValueError)
    with Pymonik(cluster.endpoint, session="singles") as client:
        last = client.runs["rounded"].wait(WAIT_S, return_exceptions=True)
        assert sorted(one.status for one in last) == ["failed", "ok", "ok"]


def test_a_handle_out_of_a_pickle_is_run_again_as_what_it_is_in_its_run(
    cluster: LocalCluster,
) -> None:
    first = Pymonik(cluster.endpoint, session="pickled", on_unseen="ignore").create()
    made = refuse.map_invoke(range(5), label="refused", chunk_size=5)
    made.wait(timeout=WAIT_S, return_exceptions=True)  # what has not ended is not run again
    data = pickle.dumps(made[3])
    first.leave()
    with Pymonik(cluster.endpoint) as elsewhere:  # not the session that it belongs to
        handle = pickle.loads(data)
        assert handle.session_id != elsewhere.session_id
        handle.rerun(with_=square)
        assert handle.get(timeout=WAIT_S) == 9
    with Pymonik(cluster.endpoint, session="pickled") as client:
        assert client.runs["refused"].get(timeout=WAIT_S) == [0, 1, 2, 9, 4]
        # The program that comes back finds what was repaired, under the name of its own function.
        again = refuse.map_invoke(range(5), label="refused", chunk_size=5)
        assert again.get(timeout=WAIT_S) == [0, 1, 2, 9, 4]


@task
def extremes(values: list[int]) -> Outputs:
    return Outputs(low=min(values), high=max(values))


def test_one_of_several_outputs_is_left_and_comes_back(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    client = Pymonik(cluster.endpoint).create()
    both = extremes.invoke([3, 1, 2])
    client.leave(tmp_path / "job.json", both["high"], both["low"])
    with Pymonik.attach(tmp_path / "job.json", on_exit="finish") as back:
        assert back.handles.get(timeout=WAIT_S) == [3, 1]
        assert back.handles.rerun([back.handles[0]]).again == 1
        assert back.handles.get(timeout=WAIT_S) == [3, 1]


def test_what_was_found_knows_its_tasks(cluster: LocalCluster) -> None:
    first = Pymonik(cluster.endpoint, session="tasks").create()
    made = slow.map_invoke([0.0, 60.0], label="naps", chunk_size=1)
    ids = [handle.task_id for handle in made]
    made[0].wait(WAIT_S)
    first.leave()
    with Pymonik(cluster.endpoint, session="tasks", on_exit="cancel") as client:
        for found in (client.runs["naps"], slow.map_invoke([0.0, 60.0], label="naps")):
            assert [handle.task_id for handle in found] == ids
            assert [one.status for one in found[0].attempts] == ["ok"]
            assert "held here" not in str(found.why())


def test_what_cannot_be_left_is_refused_before_anything_is_left(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with Pymonik(cluster.endpoint) as client:
        handle = square.invoke(4)
        wrong: list[tuple[object, ...]] = [
            (tmp_path / "none" / "job.json", handle),
            (tmp_path / "file" / "job.json", handle),
            (tmp_path, handle),
            (tmp_path / "job.json", 3),
            (tmp_path / "job.json", [handle]),
            (handle,),
        ]
        for given in wrong:
            with pytest.raises(UsageError):
                client.leave(*given)  # type: ignore[arg-type]
        assert square.invoke(5).get(timeout=WAIT_S) == 25
        assert handle.get(timeout=WAIT_S) == 16


# -- ends ----------------------------------------------------------------------------------------


def status(cluster: LocalCluster, session_id: str) -> str:
    with Pymonik(cluster.endpoint) as client:
        row = client.session.lists.session(session_id)
    assert row is not None
    return str(row.status)


def test_a_block_ends_its_session_as_it_was_told(cluster: LocalCluster) -> None:
    for how, expected in (("finish", "CLOSED"), ("keep", "RUNNING"), ("cancel", "CANCELLED")):
        with Pymonik(cluster.endpoint, on_exit=how) as client:  # type: ignore[arg-type]
            session_id = client.session_id
            handle = square.invoke(4)
        assert status(cluster, session_id) == expected
        if how != "cancel":
            assert handle.get(timeout=WAIT_S) == 16


def test_a_block_keeps_a_session_that_was_there(cluster: LocalCluster) -> None:
    made = Pymonik(cluster.endpoint, session="visited").create()
    with Pymonik(cluster.endpoint, session="visited") as visitor:
        assert visitor.session_id == made.session_id
    assert status(cluster, made.session_id) == "RUNNING"
    session_id = made.session_id
    made.close()
    assert status(cluster, session_id) == "CLOSED"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_keeps_a_session_that_has_a_name_and_cancels_another(
    cluster: LocalCluster, error: type[BaseException]
) -> None:
    ids = []
    for name in (f"kept {error.__name__}", None):
        with pytest.raises(error), Pymonik(cluster.endpoint, session=name) as client:  # noqa: PT012
            ids.append(client.session_id)
            handle = slow.invoke(0.1)
            raise error
        if name:
            assert handle.get(timeout=WAIT_S) == 0.1
    assert [status(cluster, one) for one in ids] == ["RUNNING", "CANCELLED"]


def test_finishing_waits_for_the_calls_of_others(cluster: LocalCluster) -> None:
    maker = Pymonik(cluster.endpoint, session="shared").create()
    with Pymonik(cluster.endpoint, session="shared", on_exit="finish"):
        handles = slow.map_invoke([0.2] * 6, pymonik=maker, chunk_size=1)
        maker.send()
    assert handles.get(timeout=WAIT_S) == [0.2] * 6


@pytest.mark.parametrize("wrong", [{"session": ""}, {"session": 3}, {"on_exit": "stay"}])
def test_wrong_settings_are_refused_at_once(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Pymonik("unix:/nowhere", **wrong)  # type: ignore[arg-type]
