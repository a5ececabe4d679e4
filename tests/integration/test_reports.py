"""What calls report while they run, and what their program tells them meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import (
    LocalCluster,
    Pymonik,
    PymonikContext,
    SerializationError,
    UsageError,
    WaitTimeoutError,
    get_context,
    monitor,
    task,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2, grace_s=0.2) as started:
        yield started


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    with Pymonik(cluster, output="quiet", on_unseen="ignore") as client:
        yield client


@task
def step(names: list[str]) -> int:
    for name in names:
        get_context().report(name=name)
    return len(names)


@task(require_context=True)
def wait_for(context: PymonikContext, path: str) -> str:
    context.report(begun=os.getpid())
    while not os.path.exists(path):  # noqa: PTH110
        time.sleep(0.01)
    return "free"


@pytest.mark.parametrize("direct", [True, False])
def test_a_report_is_there_while_the_call_runs(
    cluster: LocalCluster, tmp_path: Path, *, direct: bool
) -> None:
    with Pymonik(cluster, direct=direct):
        handle = wait_for.invoke(str(tmp_path / "gate"))
        report = handle.next_report(WAIT_S)
        assert report["begun"] > 0
        assert not handle.done()
        assert abs(report["at"] - time.time()) < WAIT_S
        assert handle.record == report
        (tmp_path / "gate").touch()
        assert handle.get(WAIT_S) == "free"
        assert [one["count"] for one in handle.follow(WAIT_S)] == [1]


@pytest.mark.usefixtures("client")
def test_each_call_of_a_chunk_has_its_reports_in_order() -> None:
    cases = [[f"{n}.{i}" for i in range(n)] for n in range(6)]
    run = step.map_invoke([(case,) for case in cases], chunk_size=6)
    run.get(WAIT_S)
    for handle, case in zip(run, cases, strict=True):
        assert [one["name"] for one in handle.reports()] == case
    assert [event.what for event in run[2].history()] == [
        "created", "started", "report", "report", "completed"
    ]  # fmt: skip


@pytest.mark.usefixtures("client")
def test_a_reader_follows_to_the_end_of_a_call_that_fails() -> None:
    @task(max_retries=0)
    def fail() -> None:
        get_context().progress(1, 2)
        raise ValueError("half way")

    handle = fail.invoke()
    assert [(one["done"], one["total"]) for one in handle.follow(WAIT_S)] == [(1, 2)]
    assert isinstance(handle.exception(WAIT_S), ValueError)
    assert handle.next_report(WAIT_S)["done"] == 1
    with pytest.raises(WaitTimeoutError, match="the call has ended"):
        handle.next_report(WAIT_S)


@pytest.mark.usefixtures("client")
def test_reporting_fails_no_call_and_is_bounded() -> None:
    @task
    def odd() -> int:
        context = get_context()
        loop: dict[str, Any] = {}
        loop["loop"] = loop
        context.report(loop=loop, thing=object(), text="x" * 1_000_000, keep=3)
        for number in range(2_000):
            context.report(number=number, text="x" * 20_000)
        threads = [threading.Thread(target=context.report, kwargs={"n": n}) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 1

    handle = odd.invoke()
    assert handle.get(WAIT_S) == 1
    found = handle.reports()
    assert 300 < len(found) < 1_000  # 10 MiB of them
    assert len(found[0]["text"]) < 10_000


@pytest.mark.usefixtures("client")
def test_progress_is_told_as_often_as_one_can_follow() -> None:
    @task
    def fast() -> None:
        for number in range(100_000):
            get_context().progress(number + 1, 100_000)

    handle = fast.invoke()
    handle.wait(WAIT_S)
    found = handle.reports()
    assert len(found) < 200
    assert handle.record["done"] == 100_000


def test_nobody_waits_longer_than_said(client: Pymonik, tmp_path: Path) -> None:
    del client
    handle = wait_for.invoke(str(tmp_path / "gate"))
    handle.next_report(WAIT_S)
    with pytest.raises(WaitTimeoutError, match="none came within"):
        handle.next_report(0.1)
    with pytest.raises(WaitTimeoutError):
        list(handle.follow(0.1))
    handle.cancel()
    assert len(list(handle.follow(WAIT_S))) == 1


def test_a_running_call_sees_what_is_set(client: Pymonik) -> None:
    @task
    def watch() -> list[int]:
        seen: list[int] = []
        while 3 not in seen:
            value = get_context().config("level")
            if value not in seen:
                seen.append(value)
                get_context().report(value=value)
            time.sleep(0.005)
        return seen

    client.set_config("level", 0)
    handle = watch.invoke()
    for level in range(4):
        assert handle.next_report(WAIT_S)["value"] == level
        client.set_config("level", level + 1)
    assert handle.get(WAIT_S) == [0, 1, 2, 3]


def test_settings_are_of_their_session(cluster: LocalCluster) -> None:
    @task
    def ask(default: object) -> object:
        return get_context().config("name", default)

    @task(max_retries=0)
    def demand() -> object:
        return get_context().config("name")

    with Pymonik(cluster) as one, Pymonik(cluster, on_unseen="ignore") as other:
        one.set_config("name", {"a": [1, None]})
        for _ in range(3):
            assert ask.invoke(0, pymonik=one).get(WAIT_S) == {"a": [1, None]}
            assert ask.invoke(0, pymonik=other).get(WAIT_S) == 0
        error = demand.invoke(pymonik=other).exception(WAIT_S)
        assert isinstance(error, UsageError)
        with pytest.raises(UsageError, match="JSON"):
            one.set_config("bad", object())
        with pytest.raises(UsageError, match="bytes"):
            one.set_config("large", "x" * 100_000)


# -- monitors ------------------------------------------------------------------------------------


@monitor(every=0.05)
def count_to(context: Any, last: int) -> None:
    context.state["seen"] = [*context.state.get("seen", []), context.count]
    context.report(turn=context.count, pid=os.getpid())
    if context.count == last:
        context.stop(context.state["seen"])


@pytest.mark.usefixtures("client")
def test_a_monitor_keeps_its_state_over_blocks_of_turns() -> None:
    last = 130  # more than a block
    handle = count_to.start(last)
    assert handle.get(WAIT_S) == list(range(1, last + 1))
    assert [one["turn"] for one in handle.reports()] == list(range(1, last + 1))


def test_a_monitor_outlives_its_executor_and_ends_when_asked(client: Pymonik) -> None:
    handle = count_to.start(-1)
    first = handle.next_report(WAIT_S)
    os.kill(first["pid"], signal.SIGKILL)
    while (later := handle.next_report(WAIT_S))["pid"] == first["pid"]:
        pass
    assert later["turn"] >= first["turn"]  # what was not stored is done again
    assert [one.name for one in client.monitors()] == ["count_to"]
    handle.stop()
    assert handle.get(WAIT_S) is None
    assert client.monitors() == []


@pytest.mark.usefixtures("client")
def test_an_error_ends_a_monitor_or_is_a_report() -> None:
    def fail(context: Any) -> None:
        if context.count == 2:
            raise OSError("away")
        context.report(turn=context.count)

    ends = monitor(every=0.05)(fail).start()
    assert isinstance(ends.exception(WAIT_S), OSError)
    goes_on = monitor(every=0.05, on_error="report")(fail).start()
    first, second, third = (goes_on.next_report(WAIT_S) for _ in range(3))
    assert (first["turn"], third["turn"]) == (1, 3)
    assert second["error"] == "OSError: away"
    assert "in fail" in second["stack"]
    goes_on.cancel()
    goes_on.exception(WAIT_S)
    assert goes_on.done()


@pytest.mark.usefixtures("client")
def test_a_state_that_cannot_be_kept_is_an_error_of_its_call() -> None:
    def lock(context: Any) -> None:
        context.state["calls"] = context.state.get("calls", 0) + 1
        if context.count == 2:
            context.state["lock"] = threading.Lock()
        context.report(calls=context.state["calls"])

    ends = monitor(every=0.05)(lock).start()
    with pytest.raises(SerializationError, match="state of a monitor cannot be kept"):
        ends.get(WAIT_S)
    goes_on = monitor(every=0.05, on_error="report")(lock).start()
    found = [goes_on.next_report(WAIT_S) for _ in range(4)]
    assert [one["calls"] for one in found if "calls" in one] == [1, 2, 2]  # as it was before
    assert "cannot be kept" in found[2]["error"]
    goes_on.cancel()


def test_monitors_that_share_a_worker_all_run() -> None:
    @monitor(every=0.2, together=True)
    def tick(context: Any, name: str) -> None:
        context.report(name=name)

    with LocalCluster(workers=1) as cluster, Pymonik(cluster, output="quiet"):
        handles = [tick.start(name) for name in "abc"]
        for handle, name in zip(handles, "abc", strict=True):
            assert [handle.next_report(WAIT_S)["name"] for _ in range(3)] == [name] * 3
        assert step.invoke(["x"]).get(WAIT_S) == 1
    assert all(handle.done() for handle in handles)


def test_what_is_no_monitor_is_refused() -> None:
    with pytest.raises(UsageError, match="on_error"):
        monitor(every=1, on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="every"):
        monitor(every=0)


def test_another_program_finds_monitors_and_stops_them(cluster: LocalCluster) -> None:
    with Pymonik(cluster, output="quiet") as one, Pymonik(cluster) as elsewhere:
        handle = count_to.start(-1, pymonik=one)
        turn = handle.next_report(WAIT_S)["turn"]
        assert handle.is_live
        assert elsewhere.monitors() == []
        with Pymonik(cluster, session=one.session_id, on_exit="keep") as other:
            (found,) = other.monitors()
            assert (found.name, found.result_id_of_state) == ("count_to", handle.result_id)
            assert found.next_report(WAIT_S)["turn"] >= turn
            other.set_config("a", 1)
            one.set_config("b", 2)  # neither loses what the other has said
            (found,) = elsewhere.monitors(everywhere=True)
            assert found.record["turn"] >= turn
            found.stop()
            assert handle.get(WAIT_S) is None
            assert found.get(WAIT_S) is None
            assert other.monitors() == []

        @task
        def settings() -> list[int]:
            return [get_context().config(name) for name in "ab"]

        assert settings.invoke(pymonik=one).get(WAIT_S) == [1, 2]
