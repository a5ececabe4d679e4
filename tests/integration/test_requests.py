"""How many requests a program sends to a cluster with which it shares no files."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from pymonik import LocalCluster, MultiResultHandle, Pymonik, task
from pymonik.transport.channel import open_channel

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS = 10_000
MOST = 60  # requests: tens, not thousands


class Counting(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
):
    """Counts requests by the name of their method, but for the one stream of events."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def _counted(self, continuation: Any, details: Any, request: Any) -> Any:
        name = details.method.rpartition("/")[2]
        if name != "GetEvents":
            self.sent[name] += 1
        return continuation(details, request)

    intercept_unary_unary: Any = _counted
    intercept_unary_stream: Any = _counted
    intercept_stream_unary: Any = _counted


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()

    def opened(config: Any) -> Any:
        return grpc.intercept_channel(open_channel(config), counting)

    monkeypatch.setattr("pymonik.transport.channel.open_channel", opened)
    return counting


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Without workers: nothing is to be run."""
    with LocalCluster(workers=0, port=0) as started:
        yield started


@pytest.fixture
def client(cluster: LocalCluster, requests: Counting) -> Iterator[Pymonik]:
    client = Pymonik(cluster.endpoint, direct=False).create()
    requests.sent.clear()
    yield client
    client.cancel()


@task
def add(left: int, right: int) -> int:
    return left + right


def test_a_loop_of_ten_thousand_calls_is_tens_of_requests(
    client: Pymonik, requests: Counting
) -> None:
    handles = [add.invoke(n, 1) for n in range(CALLS)]
    client.send()
    assert len({handle.result_id for handle in handles}) == CALLS
    assert 0 < requests.sent["SubmitTasks"] < MOST
    assert requests.sent.total() < MOST


def test_calls_on_the_results_of_calls_are_no_more_requests(
    client: Pymonik, requests: Counting
) -> None:
    first = [add.invoke(n, 1) for n in range(1000)]
    second = [add.invoke(one, other) for one, other in pairwise(first)]
    client.send()
    assert len(second) == 999
    assert requests.sent.total() < MOST


def test_many_values_that_are_put_together_are_one_request(
    client: Pymonik, requests: Counting
) -> None:
    handles = client.put_many(range(1000))
    assert dict(requests.sent) == {"CreateResults": 1}
    assert handles.result() == list(range(1000))
    assert requests.sent == {"CreateResults": 1, "DownloadResultData": 1000}


def test_a_value_of_any_size_goes_through_requests_only(
    client: Pymonik, requests: Counting
) -> None:
    values = [bytes(1000), bytes(5_000_000)]
    handles = MultiResultHandle([client.put(value) for value in values])
    assert handles.result() == values
    assert requests.sent == {
        "CreateResults": 1,
        "CreateResultsMetaData": 1,
        "UploadResultData": 1,
        "DownloadResultData": 2,
    }
