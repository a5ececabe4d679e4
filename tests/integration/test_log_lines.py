"""What a program sees at INFO of its session, and what never stands there."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from pymonik import LocalCluster, Pymonik, task
from pymonik.runs.log_lines import cause_of

if TYPE_CHECKING:
    import pytest


@task(max_retries=1)
def die_once(secret: str) -> str:
    from pymonik import get_context

    if get_context().attempt == 1:
        os._exit(3)
    return secret


def test_connecting_retries_and_counts_are_told_without_arguments(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.INFO, "pymonik"),
        LocalCluster(workers=1) as cluster,
        Pymonik(cluster, output="quiet") as client,
    ):
        session, cluster_endpoint = client.session_id, cluster.endpoint
        assert die_once.invoke("hunter2").get(60) == "hunter2"
    lines = [record.getMessage() for record in caplog.records]
    assert f"connected to {cluster_endpoint}: session {session}" in lines
    assert "die_once was tried again 1 times: WorkerLostError" in lines
    assert f"session {session} closed: 1 completed, 1 retried" in lines
    assert "hunter2" not in "\n".join(lines)


def test_of_an_error_only_its_class_is_told() -> None:
    text = "Traceback (most recent call last):\n  File x\nValueError: password is hunter2"
    assert cause_of(text) == "ValueError"
    assert cause_of("mine.errors.OddError") == "OddError"
    assert cause_of("") == "an error"
