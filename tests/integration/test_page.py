"""The page: what its server lets in, what it tells, and how it is in a browser."""

from __future__ import annotations

import gc
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

from pymonik import LocalCluster, MultiResultHandle, Pymonik, TaskCancelledError, UsageError, task
from pymonik.transport.channel import open_channel
from pymonik.transport.config import ClusterConfig
from pymonik.transport.control_plane import ControlPlane
from pymonik.wire.live import REPORT_PREFIX, LiveName, ReportEntry, encode_lines
from tests import browser
from tests.browser import Browser

if TYPE_CHECKING:
    from pymonik.page.serving import Dashboard

TIMEOUT_S = 60
DOCS = Path(__file__).parents[2] / "docs"
HOSTILE = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"


@task
def simulate(mesh: int, dt: float = 0.5, note: str = "") -> float:
    if mesh in (17, 88):
        raise ValueError(f"negative volume {mesh}")
    if mesh == 33:
        raise OSError(HOSTILE)
    return mesh * dt


@task
def deadly(number: int, folder: str) -> int:
    """Always ends its executor, with 3."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@task
def total(values: list[float]) -> int:
    return len(values)


@task
def opened(path: str) -> str:
    return Path(path).read_text()


@task
def mesh(number: int) -> list[int]:
    return list(range(number))


@task
def solve(case: int, cells: list[int]) -> float:
    time.sleep(0.01 + 0.02 * (case % 7))
    if case in (17, 88, 140):
        raise ValueError(f"negative volume {case}")
    return case * 0.5


@task
def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@task
def speak(number: int) -> None:
    print("number", number)  # noqa: T201
    if number == 2:
        raise ValueError(number)


@task
def stay(number: int) -> None:
    threading.Event().wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(partitions={"cpu": 2, "gpu": 0}, port=0) as started:
        yield started


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Pymonik]:
    client = Pymonik(cluster, partition=["cpu", "gpu"]).create()
    yield client
    client.cancel()


@pytest.fixture(scope="module")
def study(client: Pymonik) -> MultiResultHandle[float]:
    cases: list[dict[str, Any]] = [{"mesh": number} for number in range(99)]
    cases.append({"mesh": 99, "note": HOSTILE})
    handles = simulate.map_invoke(cases, pymonik=client, label="mesh-study")
    handles.exceptions(timeout=TIMEOUT_S)
    total.invoke(handles[:10], pymonik=client).result(timeout=TIMEOUT_S)
    return handles


@pytest.fixture(scope="module")
def page(client: Pymonik, study: MultiResultHandle[float]) -> Iterator[Dashboard]:
    with client.dashboard(hosts=["hub.example.org"]) as dashboard:
        yield dashboard


def request(
    page: Dashboard, what: str, *, body: object = None, path: str | None = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=TIMEOUT_S)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    below = urlsplit(page.address).path if path is None else path
    data = None if body is None else json.dumps(body)
    connection.request("GET" if body is None else "POST", below + what, body=data, headers=sent)
    answer = connection.getresponse()
    told = answer.read()
    connection.close()
    return answer.status, json.loads(told) if told[:1] == b"{" else {}


def run_of(page: Dashboard, label: str) -> dict[str, Any]:
    """The run with this label, as soon as the page has it."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        runs = [run for run in request(page, "state")[1]["runs"] if run["label"] == label]
        if runs:
            return dict(runs[0])
        assert time.monotonic() < end


# -- the gate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "headers", "status"),
    [
        ("state", {}, 200),
        ("state", {"Host": "hub.example.org"}, 200),
        ("state", {"Host": "evil.example.com"}, 403),
        ("state", {"Origin": "http://evil.example.com"}, 403),
        ("state", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("nothing", {}, 404),
        ("run?key=nothing", {}, 200),  # it may have gone between two questions
    ],
)
def test_the_page_answers_whom_it_should(
    page: Dashboard, what: str, headers: dict[str, str], status: int
) -> None:
    assert request(page, what, **headers)[0] == status


def test_a_run_that_has_gone_is_no_error(page: Dashboard) -> None:
    for what in ("run?key=x", "rows?key=x", "call?key=x&place=1", "graph?key=x", "reports?key=x"):
        assert request(page, what) == (200, {"gone": True})
    assert request(page, "cancel", body={"key": "x"}, X_Pymonik="1")[0] == 404


def test_without_the_token_there_is_nothing(page: Dashboard) -> None:
    for path in ("/", "/x/", f"/{'x' * 32}/"):
        status, told = request(page, "state", path=path)
        assert status == 404
        assert "token" in told["error"]


def test_the_page_lies_behind_any_prefix(page: Dashboard) -> None:
    token = urlsplit(page.address).path
    assert request(page, "state", path=f"/user/ada/proxy/{page.port}{token}")[0] == 200


def test_only_the_page_itself_may_act(page: Dashboard) -> None:
    key = {"key": run_of(page, "mesh-study")["key"]}
    assert request(page, "cancel", body=key)[0] == 403
    assert (
        request(page, "cancel", body=key, X_Pymonik="1", Origin="http://evil.example.com")[0] == 403
    )
    assert request(page, "cancel", body=key, X_Pymonik="1")[0] == 200
    assert request(page, "cancel", body=["no object"], X_Pymonik="1")[0] == 400
    assert request(page, "burn", body={}, X_Pymonik="1")[0] == 404


def test_a_client_that_says_nothing_holds_nobody_up(page: Dashboard) -> None:
    silent = http.client.HTTPConnection("127.0.0.1", page.port, timeout=TIMEOUT_S)
    silent.connect()
    assert request(page, "state")[0] == 200
    silent.close()


def test_a_page_that_is_closed_is_gone(client: Pymonik) -> None:
    with client.dashboard() as dashboard, pytest.raises(UsageError, match="cannot be used"):
        client.dashboard(port=dashboard.port)
    dashboard.close()
    with pytest.raises(OSError, match="refused"):
        request(dashboard, "state")


# -- what it tells -------------------------------------------------------------------------------


def test_a_run_of_the_program_is_shown_call_by_call(page: Dashboard) -> None:
    run = run_of(page, "mesh-study")
    assert run["unit"] == "call"
    assert (run["total"], run["counts"]["ok"], run["counts"]["failed"]) == (100, 97, 3)
    assert [(one["kind"], one["count"], one["items"]) for one in run["errors"]] == [
        ("ValueError", 2, [17, 88]),
        ("OSError", 1, [33]),
    ]
    _, told = request(page, f"rows?key={run['key']}&status=failed&text=volume")
    assert [row["index"] for row in told["rows"]] == [17, 88]
    assert told["rows"][0]["arguments"] == "mesh=17"
    _, call = request(page, f"call?key={run['key']}&place=17")
    assert "negative volume 17" in call["traceback"]
    assert "TaskFailedError" not in call["traceback"]
    assert [attempt["status"] for attempt in call["attempts"]] == ["failed"]


def test_what_waits_for_what(page: Dashboard) -> None:
    _, told = request(page, f"graph?key={run_of(page, 'mesh-study')['key']}")
    names = [node["function"] for node in told["nodes"]]
    edges = {(names[source], names[target]) for source, target, _ in told["edges"]}
    assert ("simulate", "total") in edges


def test_what_a_call_printed_is_told(client: Pymonik, page: Dashboard) -> None:
    handles = speak.map_invoke([1, 2, 3], pymonik=client, label="speech")
    handles.exceptions(TIMEOUT_S)
    key = run_of(page, "speech")["key"]
    told = [request(page, f"call?key={key}&place={place}")[1]["output"] for place in range(3)]
    assert told == ["number 1\n", "number 2\n", "number 3\n"]
    del handles  # the run is shown by its tasks now, and nothing is unpickled of it
    gc.collect()
    run = run_of(page, "speech")
    assert run["unit"] == "task"
    outputs = "".join(
        request(page, f"call?key={run['key']}&place={place}")[1]["output"]
        for place in range(run["total"])
    )
    assert {"number 1", "number 3"} <= set(outputs.splitlines())


def test_what_a_task_reports_is_told_while_it_runs(
    cluster: LocalCluster, client: Pymonik, page: Dashboard
) -> None:
    handle = stay.invoke(7, pymonik=client)
    client.send()
    name = LiveName(REPORT_PREFIX, handle.result_id, 1, 0)
    entries = [ReportEntry(at=5.0, count=n, fields={"files": n, "note": HOSTILE}) for n in (1, 2)]
    channel = open_channel(ClusterConfig(cluster.endpoint))
    plane = ControlPlane(channel, endpoint=cluster.endpoint)
    plane.create_results(client.session_id, [(str(name), encode_lines(entries))])
    channel.close()
    end = time.monotonic() + TIMEOUT_S
    while True:
        runs = [run for run in request(page, "state")[1]["runs"] if run["function"] == "stay"]
        told = [request(page, f"reports?key={run['key']}")[1]["reports"] for run in runs]
        if any(told):
            break
        assert time.monotonic() < end
    (reports,) = filter(None, told)
    assert [one["fields"]["files"] for one in reports] == [2, 1]
    (key,) = [run["key"] for run, found in zip(runs, told, strict=True) if found]
    places = range(next(run["total"] for run in runs if run["key"] == key))
    calls = [request(page, f"call?key={key}&place={place}")[1] for place in places]
    assert [[one["count"] for one in call["reports"]] for call in calls if call["reports"]] == [
        [2, 1]
    ]
    handle.cancel()


def test_workers_and_partitions_are_told(page: Dashboard) -> None:
    _, told = request(page, "state")
    (worker,) = told["workers"]
    assert (worker["partition"], worker["state"]) == ("cpu", "active")
    assert {one["name"]: one["pods_max"] for one in told["partitions"]} == {"cpu": 2, "gpu": 0}
    _, history = request(page, f"worker?partition=cpu&host={worker['host']}")
    assert "simulate" in {one["function"] for one in history["tasks"]}


def test_a_run_that_the_program_let_go_is_shown_by_its_tasks(
    client: Pymonik, page: Dashboard
) -> None:
    simulate.map_invoke(range(3), pymonik=client, label="gone", chunk_size=1).result(TIMEOUT_S)
    end = time.monotonic() + TIMEOUT_S
    while (run := run_of(page, "gone"))["unit"] != "task" or run["counts"]["ok"] < 3:
        assert time.monotonic() < end
    assert run["total"] == 3


def test_of_a_task_of_others_the_failures_of_its_calls_are_told(
    cluster: LocalCluster,
) -> None:
    with Pymonik(cluster, partition="cpu", output="quiet") as other:
        theirs = simulate.map_invoke(range(15, 20), pymonik=other, label="theirs", chunk_size=5)
        theirs.exceptions(TIMEOUT_S)
        with command_page(cluster) as ask:
            run = ended_run(ask, "theirs", "failed", 1)
            told = ask(f"call?key={quote(run['key'])}&place=0")
    assert (run["unit"], run["may_rerun"], bool(run["note"])) == ("task", False, True)
    assert [group["kind"] for group in run["errors"]] == ["ValueError"]
    assert told["status"] == "failed"
    assert "ValueError: negative volume" in told["traceback"]


@contextmanager
def command_page(cluster: LocalCluster) -> Iterator[Callable[[str], dict[str, Any]]]:
    """`pymonik dashboard` of a cluster; gives what asks it."""
    command = [sys.executable, "-m", "pymonik", "dashboard", "--json"]
    command += ["--endpoint", cluster.endpoint]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(TIMEOUT_S, process.kill)
        guard.start()
        assert process.stdout is not None
        text = ""
        while not text.rstrip().endswith("}"):
            text += process.stdout.readline()
        address = urlsplit(json.loads(text)["address"])

        def ask(what: str) -> dict[str, Any]:
            connection = http.client.HTTPConnection(address.netloc, timeout=TIMEOUT_S)
            connection.request("GET", f"{address.path}{what}")
            told: dict[str, Any] = json.loads(connection.getresponse().read())
            connection.close()
            return told

        yield ask
        process.terminate()
        assert process.wait() == 0
        guard.cancel()


def ended_run(
    ask: Callable[[str], dict[str, Any]], label: str, status: str, number: int
) -> dict[str, Any]:
    """The run with this label, once so many of its tiles are like that."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        runs = [run for run in ask("state")["runs"] if run["label"] == label]
        if runs and runs[0]["counts"][status] >= number:
            return dict(runs[0])
        assert time.monotonic() < end


def test_a_recorded_run_of_others_is_shown_call_by_call(cluster: LocalCluster) -> None:
    with Pymonik(cluster, partition="cpu", session="of others", output="quiet") as other:
        theirs = simulate.map_invoke(range(100), pymonik=other, label="chunks", chunk_size=30)
        theirs.exceptions(TIMEOUT_S)
    with command_page(cluster) as ask:  # their program has ended
        run = ended_run(ask, "chunks", "failed", 3)
        key = quote(run["key"])
        rows = ask(f"rows?key={key}&status=failed")["rows"]
        call = ask(f"call?key={key}&place=88")
        state = ask("state")
    assert (run["unit"], run["total"], run["note"]) == ("call", 100, "")
    assert run["counts"] == {"ok": 97, "failed": 3, "cancelled": 0, "running": 0, "pending": 0}
    assert [(one["kind"], one["text"], one["items"]) for one in run["errors"]] == [
        ("ValueError", "negative volume 17", [17, 88]),
        ("OSError", HOSTILE, [33]),
    ]
    assert [(row["index"], row["arguments"]) for row in rows] == [
        (17, "mesh=17"), (33, "mesh=33"), (88, "mesh=88"),
    ]  # fmt: skip
    assert all(row["seconds"] is not None and row["worker"] for row in rows)
    assert "ValueError: negative volume 88" in call["traceback"]
    assert (call["status"], call["arguments"]) == ("failed", "mesh=88")
    assert [attempt["status"] for attempt in call["attempts"]] == ["failed"]
    assert [one["unit"] for one in state["runs"] if one["label"] == "chunks"] == ["call"]


def test_calls_that_a_chunk_gave_away_are_counted_where_they_end(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    items = [(number, str(tmp_path)) for number in range(6)]
    with Pymonik(cluster, partition="cpu", session="deadly ones", output="quiet") as other:
        theirs = deadly.map_invoke(
            items, pymonik=other, label="killers", chunk_size=6, pmk_max_retries=1
        )
        theirs.exceptions(TIMEOUT_S)
        kinds = [one.status for one in theirs]
    with command_page(cluster) as ask:
        run = ended_run(ask, "killers", "failed", 1)
        key = quote(run["key"])
        told = ask(f"rows?key={key}")["rows"]
    assert kinds == ["ok", "ok", "ok", "failed", "ok", "ok"]
    assert [row["status"] for row in told] == kinds
    command = [sys.executable, "-m", "pymonik", "runs", "--json", "--endpoint", cluster.endpoint]
    printed = subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT_S).stdout
    (listed,) = [one for one in json.loads(printed) if one["label"] == "killers"]
    assert (listed["ok"], listed["failed"], listed["pending"]) == (5, 1, 0)


def test_runs_of_one_label_are_shown_each(cluster: LocalCluster) -> None:
    with Pymonik(cluster, partition="cpu", session="twice", output="quiet") as other:
        for number in (3, 4):
            simulate.map_invoke(range(number), pymonik=other, label="same").result(TIMEOUT_S)
    with command_page(cluster) as ask:
        ended_run(ask, "same", "ok", 3)
        totals = {run["total"] for run in ask("state")["runs"] if run["label"] == "same"}
    command = [sys.executable, "-m", "pymonik", "runs", "--json", "--endpoint", cluster.endpoint]
    printed = subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT_S).stdout
    assert totals == {3, 4}
    assert [one["ok"] for one in json.loads(printed) if one["label"] == "same"] == [4, 3]


def test_a_run_is_cancelled(client: Pymonik, page: Dashboard) -> None:
    handles = stay.map_invoke(range(4), pymonik=client, label="endless")
    client.send()
    key = run_of(page, "endless")["key"]
    status, told = request(page, "cancel", body={"key": key, "place": "3"}, X_Pymonik="1")
    assert (status, told["done"]) == (200, "1 call cancelled")
    assert isinstance(handles[3].exception(TIMEOUT_S), TaskCancelledError)
    assert request(page, "cancel", body={"key": key}, X_Pymonik="1")[0] == 200
    assert all(isinstance(one, TaskCancelledError) for one in handles.exceptions(TIMEOUT_S))


def test_what_failed_is_run_again(client: Pymonik, page: Dashboard, tmp_path: Path) -> None:
    handles = opened.map_invoke([str(tmp_path / "there")] * 2, pymonik=client, label="again")
    handles.exceptions(TIMEOUT_S)
    key = run_of(page, "again")["key"]
    (tmp_path / "there").write_text("now")
    status, told = request(page, "rerun", body={"key": key}, X_Pymonik="1")
    assert (status, told["done"]) == (200, "2 calls again with opened")
    assert handles.result(TIMEOUT_S) == ["now", "now"]
    assert run_of(page, "again")["counts"]["ok"] == 2
    _, call = request(page, f"call?key={key}&place=1")
    assert [one["status"] for one in call["before"]] == ["failed"]


def test_a_session_that_has_ended_is_deleted(
    cluster: LocalCluster, client: Pymonik, page: Dashboard
) -> None:
    with Pymonik(cluster, partition="cpu") as other:
        simulate.map_invoke(range(3), label="over").result(TIMEOUT_S)
        session_id = other.session_id
    assert run_of(page, "over")["session"] == session_id
    refused = request(page, "delete-session", body={"session": client.session_id}, X_Pymonik="1")
    assert refused[0] == 404  # it is open
    status, told = request(page, "delete-session", body={"session": session_id}, X_Pymonik="1")
    assert (status, told["done"]) == (200, "1 session deleted")
    _, state = request(page, "state")
    assert session_id not in {one["session"] for one in state["sessions"]}
    assert "over" not in {run["label"] for run in state["runs"]}


def test_the_page_keeps_nothing_that_the_program_let_go(client: Pymonik, page: Dashboard) -> None:
    handles = simulate.map_invoke(range(3), pymonik=client, label="let go")
    handles.result(TIMEOUT_S)
    assert run_of(page, "let go")["unit"] == "call"
    states = [weakref.ref(state) for state in handles.drawn_states()]
    del handles
    gc.collect()
    assert [state() for state in states] == [None] * 3


def test_the_command_serves_it_for_runs_of_other_programs(
    cluster: LocalCluster, study: MultiResultHandle[float]
) -> None:
    with command_page(cluster) as ask:
        run = ended_run(ask, "mesh-study", "ok", 1)
    assert run["unit"] == "task"


# -- files ---------------------------------------------------------------------------------------


def data_of(file: Path) -> dict[str, Any]:
    block = re.search(r'id="data">(.*?)</script>', file.read_text(), re.DOTALL)
    assert block is not None
    told: dict[str, Any] = json.loads(block.group(1))
    return told


def test_a_report_has_all_calls_in_one_file(
    study: MultiResultHandle[float], tmp_path: Path
) -> None:
    file = study.report(tmp_path / "study.html")
    told = data_of(file)
    (detail,) = told["detail"].values()
    assert detail["arguments"][17] == "mesh=17"
    assert all(detail["seconds"][place] is not None for place in range(100))
    assert "negative volume 17" in detail["details"]["17"]["traceback"]
    assert detail["timeline"]
    assert "<script src" not in file.read_text()
    assert HOSTILE not in file.read_text()


def test_a_report_can_be_written_when_the_cluster_is_gone(tmp_path: Path) -> None:
    with LocalCluster(workers=1) as cluster, Pymonik(cluster) as client:
        handles = simulate.map_invoke(range(20), pymonik=client)
        handles.exceptions(TIMEOUT_S)
    told = data_of(handles.report(tmp_path / "study.html"))
    assert told["runs"][0]["counts"]["failed"] == 1


def test_a_file_that_cannot_be_written_leaves_nothing(
    study: MultiResultHandle[float], tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="study"):
        study.report(tmp_path / "nowhere" / "study.html")
    (tmp_path / "study.html").mkdir()
    with pytest.raises(OSError, match="study"):
        study.report(tmp_path / "study.html")
    assert [one.name for one in tmp_path.iterdir()] == ["study.html"]


def test_a_page_is_written_again_until_the_client_closes(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    with LocalCluster(workers=1) as cluster, Pymonik(cluster) as client:
        with pytest.raises(UsageError, match="every"):
            client.page(file, every=0)
        assert client.page(file, every=0.05) == file
        assert data_of(file)["runs"] == []
        assert "refresh" in file.read_text()
        simulate.invoke(1, pymonik=client).result(TIMEOUT_S)
        end = time.monotonic() + TIMEOUT_S
        while not data_of(file)["runs"]:
            assert time.monotonic() < end
    assert 'http-equiv="refresh"' not in file.read_text()
    assert not [thread for thread in threading.enumerate() if thread.name == "pymonik-page"]


# -- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if browser.installed() is None:
        pytest.skip("there is no Chromium")
    with Browser() as started:
        yield started


def choose(chromium: Browser, page: Dashboard, label: str) -> None:
    chromium.open(page.address)
    link = f"[...document.querySelectorAll('.run')].find(r => r.innerText.includes('{label}'))"
    chromium.click(link)
    chromium.wait(f"document.querySelector('.detail h1').innerText.includes('{label}')")


def test_failed_calls_are_filtered_and_a_traceback_is_read(
    chromium: Browser, page: Dashboard, study: MultiResultHandle[float]
) -> None:
    choose(chromium, page, "mesh-study")
    chromium.wait("document.querySelectorAll('tbody tr').length == 100")
    chromium.click("document.querySelector('input[value=failed]').parentElement")
    chromium.wait("document.querySelectorAll('tbody tr').length == 3")
    chromium.click("document.querySelector('tbody button')")
    trace = chromium.wait("document.querySelector('dialog[open] .trace').innerText")
    assert "ValueError: negative volume 17" in trace
    assert "raise ValueError" in trace
    chromium.press("Escape")
    chromium.wait("!document.querySelector('dialog').open")
    assert chromium.run("document.activeElement.innerText") == "17"  # where the reader was
    assert chromium.run("window.hurt") is None
    assert HOSTILE in chromium.text()
    assert chromium.errors == []


def test_it_is_used_with_keys_alone(
    chromium: Browser, page: Dashboard, study: MultiResultHandle[float]
) -> None:
    choose(chromium, page, "mesh-study")
    chromium.wait("document.querySelector('[data-focus=tiles]')._letters.length == 100")
    chromium.run("document.querySelector('[data-focus=tiles]').focus()")
    for _ in range(18):  # the first one enters
        chromium.press("ArrowRight")
    assert chromium.wait("document.getElementById('told').innerText").startswith("call 17: failed")
    chromium.press("Enter")
    assert "negative volume" in chromium.wait(
        "document.querySelector('dialog[open] .trace').innerText"
    )
    chromium.press("Escape")
    chromium.run("document.querySelector('#tab-calls').focus()")
    chromium.press("ArrowRight")
    chromium.wait("document.activeElement.id == 'tab-timeline'")
    chromium.wait("document.querySelectorAll('.lane').length > 0")
    assert chromium.errors == []


def test_everything_that_can_be_used_has_a_name(
    chromium: Browser, page: Dashboard, study: MultiResultHandle[float]
) -> None:
    choose(chromium, page, "mesh-study")
    chromium.wait("document.querySelectorAll('tbody tr').length > 0")
    nameless = chromium.run(
        "[...document.querySelectorAll('button, a, input, canvas, dialog, [role=tab]')].filter(e =>"
        "!(e.innerText || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') ||"
        "e.labels?.length || e.closest('[hidden]'))).map(e => e.outerHTML.slice(0, 100))"
    )
    assert nameless == []


def test_a_run_is_cancelled_by_a_click(chromium: Browser, client: Pymonik, page: Dashboard) -> None:
    handles = stay.map_invoke(range(3), pymonik=client, label="click")
    client.send()
    choose(chromium, page, "click")
    chromium.accept_dialogs()
    chromium.click("document.querySelector('button.danger')")
    assert all(isinstance(one, TaskCancelledError) for one in handles.exceptions(TIMEOUT_S))
    chromium.wait("document.querySelector('.detail').innerText.includes('cancelled')")
    assert chromium.errors == []


def test_workers_and_cluster_are_shown(chromium: Browser, client: Pymonik, page: Dashboard) -> None:
    chromium.open(f"{page.address}#/workers")
    chromium.wait("document.querySelector('.worker.active')")
    chromium.click("document.querySelector('.worker button')")
    chromium.wait("document.querySelector('dialog[open]').innerText.includes('simulate')")
    chromium.press("Escape")
    chromium.click("document.querySelector('[data-view=cluster]')")
    chromium.wait("document.querySelector('main').innerText.includes('gpu')")
    chromium.wait(f"document.querySelector('main').innerText.includes('{client.session_id}')")
    assert chromium.errors == []


def test_pictures_of_the_documentation(chromium: Browser, tmp_path: Path) -> None:
    """With `PYMONIK_WRITE_DOCS` set they are put where the documentation has them."""
    with (
        LocalCluster(partitions={"cpu": 2, "gpu": 1}) as cluster,
        Pymonik(cluster, partition=["cpu", "gpu"]) as client,
        client.dashboard() as page,
    ):
        meshes = mesh.map_invoke(range(40), label="meshes", chunk_size=1)
        cases = [(number, meshes[number // 10]) for number in range(400)]
        study = solve.map_invoke(cases, label="mesh-study")
        mean.invoke(study[200:240])
        stay.map_invoke(range(2), label="watch", pmk_partition="gpu")
        while study.counts["ok"] < 250:
            study[study.counts["ok"]].exception(TIMEOUT_S)  # it may be one that fails
        choose(chromium, page, "mesh-study")
        chromium.wait("document.querySelectorAll('tbody tr').length == 100")
        chromium.picture(tmp_path / "page.png")
        chromium.click("document.querySelector('.top [data-view=workers]')")
        chromium.wait("document.querySelectorAll('.worker').length == 2")
        chromium.picture(tmp_path / "page-workers.png")
        client.cancel()
    for picture in tmp_path.iterdir():
        assert picture.read_bytes().startswith(b"\x89PNG")
        if os.environ.get("PYMONIK_WRITE_DOCS"):
            shutil.copy(picture, DOCS / picture.name)
    assert {one.name for one in tmp_path.iterdir()} <= {one.name for one in DOCS.iterdir()}


def test_a_report_is_the_same_page(
    chromium: Browser, study: MultiResultHandle[float], tmp_path: Path
) -> None:
    file = study.report(tmp_path / "study.html")
    chromium.open(file.as_uri())
    chromium.wait("document.querySelectorAll('tbody tr').length == 100")
    chromium.click("document.querySelector('input[value=failed]').parentElement")
    chromium.wait("document.querySelectorAll('tbody tr').length == 3")
    chromium.click("document.querySelector('tbody button')")
    assert "negative volume" in chromium.wait(
        "document.querySelector('dialog[open] .trace').innerText"
    )
    assert chromium.run("window.hurt") is None
    assert chromium.errors == []


def test_the_calls_of_a_group_of_errors_are_shown(
    chromium: Browser, page: Dashboard, study: MultiResultHandle[float]
) -> None:
    choose(chromium, page, "mesh-study")
    chromium.click("document.querySelector('.faults button')")
    rows = "[...document.querySelectorAll('tr.open .link')].map(e => e.innerText).join()"
    chromium.wait(f"{rows} === '17,88'")


@pytest.mark.parametrize("view", ["#/", "#/workers", "#/cluster"])
def test_the_page_is_no_wider_than_a_narrow_window(
    page: Dashboard, study: MultiResultHandle[float], view: str
) -> None:
    if browser.installed() is None:
        pytest.skip("there is no Chromium")
    with Browser(width=400) as narrow:
        narrow.open(page.address + view)
        narrow.wait("document.querySelector('main').innerText.length > 40")
        assert narrow.run("document.documentElement.scrollWidth <= innerWidth")
