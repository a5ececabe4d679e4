"""Options: call over task over client."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from pymonik import LocalCluster, Pymonik, TaskOptions, UsageError, task
from pymonik.cli import main
from pymonik.errors import ArgumentsError, ConfigError
from pymonik.options import call_options
from pymonik.quantities import LONGEST_DURATION, positive_s, wait_s
from pymonik.tasks.arguments import Parameters
from pymonik.tasks.keywords import UNPREFIXED, with_prefix
from pymonik.transport.config import ClusterConfig

# Types refuse these mistakes too, which is not what is tried here.
wrong_task: Any = task
wrong_client: Any = Pymonik


def test_what_is_left_out_is_inherited_and_labels_are_merged():
    base = TaskOptions(priority=2, partition_id="a", options={"x": "1", "y": "1"})
    over = TaskOptions(priority=3, options={"y": "2"}).over(base)
    assert (over.priority, over.partition_id) == (3, "a")
    assert over.options == {"x": "1", "y": "2"}


def test_zero_retries_is_something_said():
    assert TaskOptions(max_retries=0).over(TaskOptions(max_retries=5)).max_retries == 0


@pytest.mark.parametrize(
    "wrong",
    [{"priority": 0}, {"priority": 11}, {"priority": True}, {"priority": 2.0},
     {"max_retries": -1}, {"max_duration": "10"}, {"max_duration": math.nan},
     {"max_duration": 0}, {"partition_id": 3}, {"options": {"a": 1}}, {"label": 3},
     {"label": "half \ud800"}, {"options": {"a": "\ud800"}}, {"options": {"\ud800": "a"}},
     {"environment": {"conda": []}}, {"memory": "2X"}, {"memory": 0}, {"memory": True}],
)  # fmt: skip
def test_a_wrong_value_is_refused(wrong):
    with pytest.raises(UsageError):
        TaskOptions(**wrong)


def test_keywords_of_a_call_are_taken_out():
    keywords = {"pmk_partition": "p", "pmk_max_duration": 3, "x": 1}
    options = call_options(None, keywords)
    assert keywords == {"x": 1}
    assert (options.partition_id, options.max_duration) == ("p", timedelta(seconds=3))


def test_memory_is_a_size():
    assert TaskOptions(memory="2G").memory == 2 << 30  # type: ignore[arg-type]
    near, far = TaskOptions(memory=5), TaskOptions(memory=7, priority=2)
    assert near.over(far) == TaskOptions(memory=5, priority=2)


@pytest.mark.parametrize("name", sorted(UNPREFIXED))
def test_an_option_needs_no_prefix_unless_the_function_takes_it_itself(name: str):
    plain, own = Parameters(lambda x: x), Parameters(eval(f"lambda {name}: 0"))
    keywords: dict[str, object] = {name: 1, "x": 2}
    with_prefix(keywords, plain)
    assert keywords == {f"pmk_{name}": 1, "x": 2}
    keywords = {name: 1, f"pmk_{name}": 2}
    with_prefix(keywords, own)
    assert keywords == {name: 1, f"pmk_{name}": 2}


def test_options_of_the_armonik_package_are_understood():
    theirs = SimpleNamespace(
        max_duration=timedelta(seconds=5), priority=2, max_retries=0, partition_id="", options=None
    )
    assert TaskOptions.of(theirs) == TaskOptions(timedelta(seconds=5), 2, 0)


def test_numbers_of_numpy_are_numbers():
    numbers: Any = (np.float32(1.5), np.int64(3), np.uint8(0))
    options = TaskOptions(*numbers)
    assert options == TaskOptions(timedelta(seconds=1.5), 3, 0)
    assert type(options.priority) is int
    assert wait_s(np.int16(4)) == 4.0
    with pytest.raises(UsageError):
        TaskOptions(cast("Any", np.array([1, 2])))


@pytest.mark.parametrize("long", [math.inf, 10**400, timedelta.max, 1e300])
def test_what_has_no_end_is_ten_years_of_work_and_a_wait_without_limit(long):
    assert TaskOptions(long).max_duration == LONGEST_DURATION
    assert wait_s(long) is None
    assert positive_s(long, "connect_timeout") < threading.TIMEOUT_MAX


def test_a_tiny_duration_is_not_rounded_to_none():
    assert TaskOptions(1e-9).max_duration == timedelta.resolution  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [math.nan, "1", True, object(), 1j])
def test_a_timeout_that_is_none_is_refused(wrong):
    with pytest.raises(UsageError, match="timeout"):
        wait_s(wrong)


def test_the_nearest_environment_gives_the_packages_and_variables_are_merged():
    client = TaskOptions(environment={"pip": ["a"], "env_variables": {"X": "1", "Y": "1"}})  # type: ignore[arg-type]
    near = TaskOptions(environment={"pip": ["b"], "env_variables": {"Y": "2"}})  # type: ignore[arg-type]
    both = near.over(client).environment
    assert both is not None
    assert (both.pip, both.env_variables) == (("b",), {"X": "1", "Y": "2"})
    only_variables = TaskOptions(environment={"env_variables": {"Z": "3"}})  # type: ignore[arg-type]
    inherited = only_variables.over(client).environment
    assert inherited is not None
    assert inherited.pip == ("a",)


def test_options_are_known_by_their_value():
    one, two = (TaskOptions(priority=2, options={"a": "b"}, label="l") for _ in range(2))
    assert one is not two
    assert len({one: 1, two: 2}) == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: wrong_task(retries=3), "max_retries"),
        (lambda: wrong_task(partitions="gpu"), "did you mean partition"),
        (lambda: wrong_client(workers=4), "LocalCluster"),
        (lambda: wrong_client(partitions="gpu"), "did you mean partition"),
    ],
)
def test_an_unknown_option_tells_those_that_there_are(call, said):
    with pytest.raises(ArgumentsError, match=said) as caught:
        call()
    assert "max_duration" in str(caught.value)  # one of the list
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [("http://host", "no port"), ("host:70000", "65535"), ("https://host:x/", "'x'"),
     ("http://[::1]", "no port")],
)  # fmt: skip
def test_an_endpoint_needs_a_port_that_exists(endpoint, said):
    with pytest.raises(ConfigError, match=said):
        ClusterConfig(endpoint)
    assert ClusterConfig("http://[::1]:5001").target == "[::1]:5001"


def test_a_port_out_of_range_is_refused(capsys):
    with pytest.raises(UsageError, match="65535"):
        LocalCluster(port=99_999)
    with pytest.raises(SystemExit):
        main(["cluster", "--port", "99999"])
    assert "not a port" in capsys.readouterr().err


def test_an_unknown_keyword_of_a_cluster_tells_those_that_there_are() -> None:
    wrong: Any = LocalCluster
    with pytest.raises(ArgumentsError, match=r"no 'worker_count'.*memory_limit"):
        wrong(worker_count=3)
    with pytest.raises(ArgumentsError, match=r"Pymonik\(cluster, environment="):
        wrong(environment=["numpy"])
