"""How many calls ended how is the same wherever a person looks, in this program and in others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from pymonik import LocalCluster, Pymonik, task

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 60
SESSION = "same figures"


@task(max_retries=0)
def mixed(number: int) -> Any:
    if number % 20 == 17:
        raise ValueError(f"negative volume {number}")
    if number == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 60:
        return doubled.invoke(number, delegate=True)
    return number


@task
def doubled(number: int) -> int:
    return 2 * number


@task
def stay(number: int) -> None:
    threading.Event().wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2, port=0) as started:
        yield started


def client(cluster: LocalCluster) -> Pymonik:
    return Pymonik(cluster.endpoint, session=SESSION, output="quiet", on_exit="keep")


def command(cluster: LocalCluster, *words: str) -> Any:
    line = [sys.executable, "-m", "pymonik", *words, "--json", "--endpoint", cluster.endpoint]
    done = subprocess.run(line, capture_output=True, check=True, timeout=TIMEOUT_S)
    return json.loads(done.stdout)


def runs_by_label(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    rows = [row for row in rows if row["function"] != "doubled"]  # a task of a task has its own
    found = {row["label"]: row for row in rows}
    assert len(found) == len(rows)  # no run twice
    return found


def test_figures_are_the_same_wherever_they_are_looked_at(cluster: LocalCluster) -> None:
    with client(cluster) as pk:
        calls = mixed.map_invoke(range(200), pymonik=pk, label="study", chunk_size=25)
        calls.exceptions(TIMEOUT_S)
        blocked = stay.map_invoke(range(4), pymonik=pk, label="blocked", chunk_size=1)
        pk.send()
        for handle in (blocked[2], blocked[3]):
            handle.cancel()
            handle.exception(TIMEOUT_S)
        assert calls.counts == {"ok": 189, "failed": 11, "cancelled": 0, "pending": 0}
        assert str(calls) == "mixed · study   189/200 ok · 11 failed"
        assert Counter(row["status"] for row in calls.rows()) == {"ok": 189, "failed": 11}
        assert {name: len(some) for name, some in calls.summary().items()} == {
            "finished": 189, "failed": 11, "cancelled": 0, "running": 0, "pending": 0,
        }  # fmt: skip
        assert [handle.index for handle in calls.failed] == [
            *range(17, 50, 20), 50, *range(57, 200, 20),
        ]  # fmt: skip
        assert "2 cancelled" in str(blocked)
        with pk.dashboard() as page:
            shown = of_page(page.address)
        assert (shown["study"]["counts"]["ok"], shown["study"]["counts"]["failed"]) == (189, 11)
        assert shown["blocked"]["counts"]["cancelled"] == 2
    listed = runs_by_label(command(cluster, "runs"))
    of_calls = "ok", "failed", "cancelled", "running", "pending"
    assert [listed["study"][name] for name in of_calls] == [189, 11, 0, 0, 0]
    assert [listed["blocked"][name] for name in of_calls] == [0, 0, 2, 2, 0]
    assert {row["unit"] for row in listed.values()} == {"calls"}
    assert len(command(cluster, "ps")) == 2
    with client(cluster) as other:  # what it says first is what it says later
        assert other.runs["blocked"].counts == {
            "ok": 0, "failed": 0, "cancelled": 2, "pending": 2,
        }  # fmt: skip
        assert other.runs["study"].counts == calls.counts
        assert "2 cancelled" in str(other.runs["blocked"])
        other.runs["blocked"].cancel()
        ended = other.runs["blocked"]
        ended.exceptions(TIMEOUT_S)
        assert "  4 cancelled" in str(ended.why())


def of_page(address: str) -> dict[str, dict[str, Any]]:
    with urllib.request.urlopen(f"{address}state", timeout=TIMEOUT_S) as answer:
        return runs_by_label(json.load(answer)["runs"])
