"""The harness of the benchmarks, on what comes with Python; what it measures is not judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from benchmarks import load, pages, report, streams
from benchmarks.__main__ import main
from benchmarks.peer import PEERS, Entry
from benchmarks.run import Trial, run_trial
from benchmarks.workloads import WORKLOADS, Workload
from tests import browser

if TYPE_CHECKING:
    from pathlib import Path


def _run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    file = tmp_path / "found.json"
    assert main(["--quick", "--json", str(file), *arguments]) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_a_quick_run_measures_writes_and_draws(tmp_path, capsys):
    picture = tmp_path / "found.svg"
    only = ["start", "loop", "shared", "scaling"]
    found = _run(tmp_path, "--peers", "process_pool", "--only", *only, "--picture", str(picture))
    measured = {one["workload"] for one in found["measures"]}
    assert measured == {"start", "loop", "scaling"}
    assert all(one["median"] > 0 for one in found["measures"])
    assert [one["workload"] for one in found["not measured"]] == ["shared"]
    assert "no store of values" in capsys.readouterr().out
    assert "ProcessPoolExecutor" in "".join(ElementTree.parse(picture).getroot().itertext())


def test_a_peer_that_is_not_installed_is_skipped_with_a_word(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(PEERS, "loky", Entry("loky", "no_such_package", "loky"))
    found = _run(tmp_path, "--peers", "loky", "process_pool", "--only", "round_trip")
    assert found["not installed"] == ["loky"]
    assert "loky: skipped, no_such_package is not installed" in capsys.readouterr().out


def test_a_workload_past_its_limit_is_ended_and_says_so(monkeypatch: pytest.MonkeyPatch):
    loop = WORKLOADS["loop"]
    monkeypatch.setitem(WORKLOADS, "loop", Workload("", "", loop.measure, limit_s=0.0))
    monkeypatch.setattr("benchmarks.run.START_LIMIT_S", 0.0)
    trial = run_trial("process_pool", "loop", 0, scale="quick")
    assert (trial.metrics, trial.end) == ({}, "over its limit of 0 s")


def test_rounds_are_joined_to_a_median_and_its_spread():
    trials = [
        Trial("process_pool", "loop", number, {"loop": value})
        for number, value in enumerate([300.0, 100.0, 200.0])
    ]
    (measure,) = report.measures(trials)
    assert measure.median == 200.0
    assert "200 (100-300)" in report.table(trials, ["process_pool"])


def test_the_load_runs_lists_and_leaves_nothing(capsys):
    sizes = ["--tasks", "40", "--clients", "4", "--gib", "0.001", "--workers", "1", "--curve", "5"]
    load.main(sizes)
    printed = capsys.readouterr().out
    assert printed.count("objects left: 0") == 4


def test_streams_are_measured_beside_bare_ones():
    found = streams.measure(3 * streams.MB, rounds=2, message=1 << 20)
    assert list(found) == ["bare, up", "pymonik, up", "bare, down", "pymonik, down"]
    assert all(len(values) == 2 and min(values) > 0 for values in found.values())


@pytest.mark.skipif(browser.installed() is None, reason="there is no Chromium")
def test_the_page_is_opened_and_followed(capsys):
    pages.main(["--calls", "200", "--seconds", "0.1"])
    assert len(capsys.readouterr().out.splitlines()) == 6
