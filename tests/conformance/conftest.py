"""One embedded cluster and one run of the scenarios for all the tests of this folder."""

from __future__ import annotations

import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pymonik.cluster.local import LocalCluster
from tests.conformance.client import Cluster
from tests.conformance.registry import Scenario, all_scenarios
from tests.conformance.run import run_one
from tests.conformance.trial import Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tests.conformance.report import Outcome

WORKER = Path(__file__).with_name("scripted_worker.py")
PARALLEL = 4  # one worker, but many scenarios wait or keep silent
LONGEST_S = 50.0  # under faulthandler's limit, so that a stuck scenario is told by its number


class Run:
    """The scenarios, each run once, several at once where they allow it.

    Args:
        cluster: Where they run.
        settings: How.
        wanted: Numbers of the scenarios to run without being asked.
    """

    def __init__(self, cluster: Cluster, settings: Settings, wanted: Collection[int]) -> None:
        self._cluster = cluster
        self._settings = settings
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="scenario")
        self._runs: dict[int, Future[Outcome]] = {}
        self._scenarios = {one.number: one for one in all_scenarios()}
        for number in sorted(wanted):
            self.begin(number)

    def begin(self, number: int) -> None:
        """Run a scenario, if it may run beside others."""
        scenario = self._scenarios[number]
        if number not in self._runs and not scenario.alone:
            self._submit(scenario)

    def outcome(self, number: int) -> Outcome:
        """How a scenario ended; those that need all the workers are run when nothing else is."""
        if number not in self._runs:
            scenario = self._scenarios[number]
            if scenario.alone:
                for run in self._runs.values():
                    run.result()
            self._submit(scenario)
        return self._runs[number].result()

    def close(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, scenario: Scenario) -> None:
        self._runs[scenario.number] = self._pool.submit(
            run_one, scenario, self._cluster, self._settings
        )


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """A run of the selected scenarios against a cluster of the process's own."""
    selected = _numbers(request.session.items)
    shared = "PYTEST_XDIST_WORKER" in os.environ  # then the others run elsewhere
    command = [sys.executable, str(WORKER)]
    with LocalCluster(partitions={"P": 1, "Q": 0}, worker=command, port=0) as local:
        cluster = Cluster(local.endpoint, LONGEST_S)
        settings = Settings(
            partition="P", empty_partition="Q", default_partition="P", timeout_s=LONGEST_S
        )
        scenarios = Run(cluster, settings, () if shared else selected)
        yield scenarios
        scenarios.close()
        cluster.close()


def _numbers(items: Collection[pytest.Item]) -> set[int]:
    specs = (getattr(item, "callspec", None) for item in items)
    return {spec.params["number"] for spec in specs if spec and "number" in spec.params}
