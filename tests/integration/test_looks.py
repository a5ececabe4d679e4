"""What handles tell people of their calls, on an embedded cluster."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymonik import (
    LocalCluster,
    MultiResultHandle,
    Pymonik,
    PymonikContext,
    UsageError,
    WaitTimeoutError,
    task,
)

TIMEOUT_S = 50


@task
def simulate(mesh: int, dt: float = 0.5) -> float:
    if mesh in (17, 88):
        raise ValueError(f"negative volume {mesh}")
    return mesh * 10 + dt


@task
def mended(mesh: int, dt: float) -> float:
    return mesh * 10 + dt


@task
def total(values: list[float]) -> float:
    return sum(values)


@task
def size(array: Any) -> int:
    return int(array.size)


@task
def stay() -> None:
    threading.Event().wait()


@task(require_context=True)
def tree(context: PymonikContext, depth: int) -> object:
    if depth == 0:
        return 1
    return total.invoke([tree.invoke(depth - 1), tree.invoke(depth - 1)])


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as started:
        yield started


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    with Pymonik(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def study(client: Pymonik) -> MultiResultHandle[float]:
    cases = [{"mesh": n, "dt": 0.5} for n in range(100)]
    study = simulate.map_invoke(cases, label="mesh-study")
    study.exceptions(timeout=TIMEOUT_S)
    return study


def test_a_map_is_one_line(study: MultiResultHandle[float]) -> None:
    assert str(study) == "simulate · mesh-study   98/100 ok · 2 failed"


def test_items_know_what_they_are(study: MultiResultHandle[float]) -> None:
    assert [handle.index for handle in study.failed] == [17, 88]
    assert (study[17].args, study[17].kwargs) == ((), {"mesh": 17, "dt": 0.5})
    assert [study[17].status, study[3].status] == ["failed", "ok"]
    assert study[5:7][0].index == 5


def test_a_single_call_knows_its_arguments(client: Pymonik) -> None:
    one = simulate.invoke(1, dt=2.0)
    assert (one.index, one.args, one.kwargs) == (None, (1,), {"dt": 2.0})
    behind = total.invoke([one, 5])
    assert behind.args[0][0].result_id == one.result_id
    assert behind.result(timeout=TIMEOUT_S) == 17
    assert behind.replay() == 17


def test_large_arguments_are_not_kept_and_that_is_said(client: Pymonik) -> None:
    handle = size.invoke(np.zeros(1_000_000))
    with pytest.raises(UsageError, match="are not kept"):
        _ = handle.args
    kept = size.map_invoke([(np.zeros(5000),)])[0]
    assert kept.args[0].shape == (5000,)


def test_a_table_has_a_row_for_each_item(study: MultiResultHandle[float]) -> None:
    frame = study.df()
    assert list(frame.columns) == [
        *("item", "mesh", "dt", "status", "value", "seconds", "cpu", "peak_mb", "attempt"),
        *("worker", "waited", "error"),
    ]
    assert len(frame) == 100
    failed = frame[frame["item"] == 88].iloc[0]
    assert (failed["mesh"], failed["status"], failed["value"]) == (88, "failed", None) or (
        np.isnan(failed["value"])
    )
    assert failed["error"] == "ValueError: negative volume 88"
    assert frame[frame["item"] == 3].iloc[0]["value"] == 30.5


def test_a_column_of_the_users_is_not_lost(client: Pymonik) -> None:
    @task
    def same(value: int, status: str) -> int:
        return value

    mapped = same.map_invoke([(1, "x")])
    mapped.wait(timeout=TIMEOUT_S)
    (row,) = mapped.rows()
    assert (row["value_"], row["status_"], row["value"], row["status"]) == (1, "x", 1, "ok")


def test_a_failure_can_be_had_here_again(study: MultiResultHandle[float]) -> None:
    with pytest.raises(ValueError, match="negative volume 17") as caught:
        study[17].replay()
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert frame.name == "simulate"
    assert Path(frame.filename).name == Path(__file__).name
    assert study[17].replay(with_=mended) == 170.5
    assert study[3].replay() == 30.5


def test_subtasks_of_a_replay_run_here(client: Pymonik) -> None:
    handle = tree.invoke(3)
    assert handle.replay() == 8
    assert handle.result(timeout=TIMEOUT_S) == 8


@task
async def later(number: int) -> int:
    return number + 1


@task
def halves(number: int) -> Iterator[int]:
    while number:
        number //= 2
        yield number


def test_a_replay_runs_coroutines_and_generators_to_their_ends(client: Pymonik) -> None:
    one: Any = later.invoke(3)
    several: Any = halves.invoke(9)
    assert (one.get(TIMEOUT_S), several.get(TIMEOUT_S)) == (4, [4, 2, 1, 0])
    assert (one.replay(), several.replay()) == (4, [4, 2, 1, 0])

    async def in_a_loop() -> object:
        return one.replay()

    assert asyncio.run(in_a_loop()) == 4


def test_the_debugger_opens_where_it_failed(
    study: MultiResultHandle[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("p 'mesh', mesh\nq\n"))
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(ValueError, match="negative"):
        study[17].replay(pdb=True)
    assert "('mesh', 17)" in out.getvalue()


def test_attempts_say_where_and_why(study: MultiResultHandle[float]) -> None:
    (attempt,) = study[17].attempts
    assert (attempt.number, attempt.status) == (1, "failed")
    assert attempt.cause == "ValueError: negative volume 17"
    assert attempt.worker


@task
def fill(megabytes: int) -> int:
    held = bytearray(megabytes * 1_000_000)
    end = time.monotonic() + 0.03
    while time.monotonic() < end:
        held[::4096] = b"1" * len(held[::4096])  # each page is touched
    if megabytes == 150:
        raise ValueError(megabytes)
    return megabytes


@pytest.mark.skipif(sys.platform != "linux", reason="a peak can be forgotten on Linux only")
@pytest.mark.parametrize("chunk_size", [1, 4])
def test_each_call_has_the_most_memory_of_its_own(client: Pymonik, chunk_size: int) -> None:
    filled = fill.map_invoke([1, 200, 2, 150], chunk_size=chunk_size)
    errors = filled.exceptions(timeout=TIMEOUT_S)
    peaks = [row["peak_mb"] for row in filled.rows()]
    assert peaks[1] > 200
    assert max(peaks[0], peaks[2]) < peaks[1] - 190
    note = errors[3].__notes__[0]  # type: ignore[union-attr]
    assert 150 < int(note.partition("peak ")[2].split()[0]) < peaks[1] - 40


def test_what_runs_and_what_takes_long(client: Pymonik) -> None:
    mapped = stay.map_invoke([()] * 3, chunk_size=1)
    end = time.monotonic() + TIMEOUT_S
    while len(mapped.running) < 2:  # a third may have been given to one of the workers ahead
        assert time.monotonic() < end
    assert "3 of 3 not ended" in str(mapped.why())
    assert len(mapped.slowest(2)) == 0
    with pytest.raises(WaitTimeoutError) as caught:
        mapped.wait(timeout=0.2)
    first, head, reason = str(caught.value).splitlines()
    assert first == "3 of 3 results are pending after 0.2 s"
    assert head.startswith("stay: 3 of 3 not ended, longest wait")
    assert "running    stay on" in reason or "queued" in reason
    with pytest.raises(WaitTimeoutError) as polled:
        mapped.wait(timeout=0)
    assert len(str(polled.value).splitlines()) == 1
    mapped.cancel()


def test_a_view_shows_without_a_notebook_too(study: MultiResultHandle[float]) -> None:
    html = study._repr_html_()
    assert html.count("<i ") == 100
    assert "ValueError x2: negative volume 17, items 17, 88" in html
    assert 'title="17 failed · mesh=17, dt=0.5' in html
    with pytest.raises(NotImplementedError):
        study._ipython_display_()


PROGRAM = """
import threading
from pymonik import Pymonik, as_completed, task

@task
def wait_for_file(name):
    import pathlib, time
    while not pathlib.Path(name).exists():
        time.sleep(0.01)
    return 1

if __name__ == "__main__":
    import sys
    with Pymonik():
        mapped = wait_for_file.map_invoke([(sys.argv[1],)] * 3, label="study")
        if sys.argv[2] == "get":
            mapped.get()
        else:
            list(as_completed(mapped))
    print("the end")
"""


def seen_at_a_terminal(folder: Path, way: str, **variables: str) -> str:
    """What a person sees who runs the program; the calls end once something was shown."""
    (folder / "program.py").write_text(PROGRAM)
    signal_file = folder / "go on"
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "program.py", str(signal_file), way],
        cwd=folder,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **variables},
    )
    os.close(slave)
    timer = threading.Timer(TIMEOUT_S, process.kill)
    timer.start()
    seen = b""
    if variables:  # nothing is going to be shown
        signal_file.touch()
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:  # Linux says so when the last process has left the terminal
            break
        seen += part
        if b"running" in seen:
            signal_file.touch()
    os.close(master)
    assert process.wait() == 0
    timer.cancel()
    return seen.decode()


@pytest.mark.parametrize("way", ["get", "as_completed"])
def test_a_terminal_shows_a_line_while_somebody_waits(tmp_path: Path, way: str) -> None:
    seen = seen_at_a_terminal(tmp_path, way)
    assert "\r\x1b[K▸ wait_for_file · study   0/3 ok" in seen
    assert "running" in seen
    # The line is erased before the program goes on.
    assert seen.endswith("\r\x1b[Kthe end\r\n")


def test_nobody_has_to_see_it(tmp_path: Path) -> None:
    assert seen_at_a_terminal(tmp_path, "get", PYMONIK_PROGRESS="0") == "the end\r\n"


def test_the_variables_where_it_failed(study: MultiResultHandle[float]) -> None:
    assert study[17].locals() == {"mesh": "17", "dt": "0.5"}
    with pytest.raises(UsageError, match="has not failed"):
        study[3].locals()


def test_seconds_of_items_come_from_where_they_ran(client: Pymonik) -> None:
    @task
    def nap(seconds: float) -> float:
        threading.Event().wait(seconds)
        return seconds

    mapped = nap.map_invoke([0.01, 0.3, 0.01, 0.2] * 2, chunk_size=4)
    mapped.wait(timeout=TIMEOUT_S)
    assert {handle.index for handle in mapped.slowest(2)} == {1, 5}
    rows = mapped.rows()
    assert [row["seconds"] > 0.9 * row["seconds_"] for row in rows] == [True] * 8
    assert all(row["attempt"] == 1 and row["worker"] and row["waited"] >= 0 for row in rows)
    assert all(row["cpu"] < row["seconds"] for row in rows)
    assert "slowest" in mapped._repr_html_()
