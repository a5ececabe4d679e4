"""Our ArmoniK worker: what tasks tell while they run, and with their ends where it is not live."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, get_context, monitor, task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60
WORKER = [sys.executable, "-m", "pymonik.worker"]


@task
def tell(path: str) -> str:
    import pathlib

    print("begun")  # noqa: T201
    get_context().report(begun=True)
    while path and not pathlib.Path(path).exists():
        time.sleep(0.01)
    get_context().report(begun=False)
    return "done"


@monitor(every=0.05)
def tick(context: Any, last: int) -> None:
    context.report(turn=context.count)
    if context.config("stop", default=False) or context.count == last:
        context.stop(context.count)


def test_without_a_way_to_the_control_plane_reports_come_with_the_end(tmp_path: Path) -> None:
    with LocalCluster(worker=WORKER, workers=1) as cluster, Pymonik(cluster.endpoint):
        handle = tell.invoke("")
        assert handle.get(WAIT_S) == "done"
        assert [one["begun"] for one in handle.follow(WAIT_S)] == [True, False]
        assert handle.logs() == "begun\n"


@task
def speak(number: int) -> int:
    print("number", number)  # noqa: T201
    print("no end of a line", end="", file=sys.stderr)  # noqa: T201
    if number == 2:
        raise ValueError(number)
    return number


@pytest.mark.parametrize("chunk_size", [1, 3])
def test_without_it_what_a_call_printed_is_shown_when_its_task_has_ended(chunk_size: int) -> None:
    lines: list[str] = []
    with (
        LocalCluster(worker=WORKER, workers=1) as cluster,
        Pymonik(
            cluster.endpoint, output=lambda line: lines.append(f"{line.stream} {line}")
        ) as client,
    ):
        spoken = speak.map_invoke(range(6), chunk_size=chunk_size)
        spoken.exceptions(WAIT_S)
        [handle.get(WAIT_S) for handle in spoken if handle.exception() is None]
        speak.invoke(7).get(WAIT_S)
        assert isinstance(speak.invoke(2).exception(WAIT_S), ValueError)
        assert not client.is_live
    names = [*(f"speak {number}" for number in range(6)), "speak", "speak"]
    numbers = [*range(6), 7, 2]
    assert sorted(lines) == sorted(
        line
        for name, number in zip(names, numbers, strict=True)
        for line in (f"stdout [{name}] number {number}", f"stderr [{name}] no end of a line")
    )


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    # The port is known only when the cluster has started, and workers start with it.
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("PYMONIK_CONTROL_PLANE", f"http://127.0.0.1:{port}")
    with LocalCluster(worker=WORKER, workers=1, port=port) as started:
        yield started


def test_a_worker_that_reaches_the_control_plane_is_live(
    live: LocalCluster, tmp_path: Path
) -> None:
    lines: list[str] = []
    with Pymonik(live.endpoint, output=lambda line: lines.append(str(line))) as client:
        handle = tell.invoke(str(tmp_path / "gate"))
        assert handle.next_report(WAIT_S)["begun"] is True
        assert not handle.done()
        assert client.is_live
        (tmp_path / "gate").touch()
        assert handle.get(WAIT_S) == "done"
    assert lines == ["[tell] begun"]


def test_a_monitor_runs_through_the_worker_and_sees_what_is_set(live: LocalCluster) -> None:
    with Pymonik(live.endpoint, output="quiet") as client:
        client.set_config("stop", value=False)
        handle = tick.start(-1)
        assert [handle.next_report(WAIT_S)["turn"] for _ in range(3)] == [1, 2, 3]
        client.set_config("stop", value=True)
        assert handle.get(WAIT_S) >= 3
