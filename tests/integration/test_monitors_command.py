"""`pymonik monitors`, and old sessions that go."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from pymonik import LocalCluster, Pymonik, monitor
from pymonik.cli import main

if TYPE_CHECKING:
    import pytest

WAIT_S = 60


@monitor(every=0.05)
def watch(context: Any, folder: str) -> None:
    context.report(folder=folder)


def test_monitors_are_listed_and_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        LocalCluster(workers=1, port=0) as cluster,
        Pymonik(cluster, output="quiet") as client,
    ):
        handle = watch.start("folder", pymonik=client)
        handle.next_report(WAIT_S)
        where = ["--endpoint", cluster.endpoint, "--json"]
        assert main(["monitors", *where]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["name"], row["id"]) == ("watch", handle.result_id)
        assert row["said"] == {"folder": "folder"}
        assert main(["monitors", "watch", "--stop", *where]) == 0
        assert handle.get(WAIT_S) is None
        capsys.readouterr()
        assert main(["monitors", "--endpoint", cluster.endpoint]) == 0
        assert capsys.readouterr().out.strip() == "no monitor goes on"
        assert main(["monitors", "--stop", "--endpoint", cluster.endpoint]) == 2


def test_old_sessions_go_that_have_ended() -> None:
    with LocalCluster(workers=1, port=0) as cluster:
        with Pymonik(cluster.endpoint, session="ended") as ended:
            ended.close()
        running = Pymonik(cluster.endpoint, session="running").create()
        with Pymonik(cluster.endpoint) as client:
            client.delete(older_than=3600)
            assert {one.name for one in client.sessions()} >= {"ended", "running"}
            time.sleep(0.01)
            client.delete(older_than=0.001)
            assert {one.name for one in client.sessions()} == {"", "running"}
        running.close()
