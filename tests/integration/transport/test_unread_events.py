"""A stream of events that is not read fast enough ends, and nothing is lost by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from armonik.protogen.client.events_service_pb2_grpc import EventsStub
from armonik.protogen.common import events_common_pb2

from pymonik.cluster import event_hub
from pymonik.cluster.event_hub import EventHub, Interest
from pymonik.cluster.services.fields import RESULTS, TASKS
from pymonik.cluster.services.filters import Query
from pymonik.cluster.state import sessions
from pymonik.cluster.state.faults import ResourceExhausted
from pymonik.cluster.state.rows import Change, Kind, Result, ResultStatus
from pymonik.code import codec, packed_function
from pymonik.errors import TaskCancelledError
from pymonik.session.protocol import Submission
from pymonik.transport.grpc_errors import code_of, rpc_errors
from pymonik.wire.status import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 20.0
MOST = 20


@pytest.fixture
def _low_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_hub, "MOST_UNREAD", MOST)


def changes(count: int) -> Iterator[Change]:
    for number in range(count):
        result = Result(str(number), "session", "", 0)
        yield Change(Kind.RESULT_STATUS, result, ResultStatus.COMPLETED)


def interest() -> Interest:
    return Interest("session", Query(TASKS, None), Query(RESULTS, None), frozenset(Kind))


def publish(hub: EventHub, count: int) -> None:
    for subscription in hub.publish(list(changes(count))):
        subscription.announce()


@pytest.mark.usefixtures("_low_bound")
def test_what_is_not_read_is_dropped_past_a_bound() -> None:
    hub = EventHub()
    present = [change.row for change in changes(5 * MOST)]
    slow = hub.subscribe(interest(), [], present, hub.leave)  # type: ignore[arg-type]
    fast = hub.subscribe(interest(), [], [], hub.leave)
    publish(hub, MOST)
    assert not slow.is_behind
    read = iter(fast)
    assert [next(read).row.session_id for _ in range(MOST)] == ["session"] * MOST
    publish(hub, 1)
    assert not slow._changes
    with pytest.raises(ResourceExhausted, match="not read"):
        next(iter(slow))
    assert next(read).kind is Kind.RESULT_STATUS
    assert hub._subscriptions == {"session": [fast]}


@pytest.mark.usefixtures("_low_bound")
def test_such_a_stream_ends_with_resource_exhausted(cluster: Any, connect: Any) -> None:
    control = cluster.control_plane
    one = connect()
    session_id = one.session.session_id
    names = [("", False, None)] * 3_000
    control.create_results(session_id, names, lambda result: result.result_id)
    request = events_common_pb2.EventSubscriptionRequest(
        session_id=session_id,
        returned_events=[events_common_pb2.EVENTS_ENUM_RESULT_STATUS_UPDATE],
    )
    stream = EventsStub(one.channel).GetEvents(request, timeout=TIMEOUT_S)
    stream.initial_metadata()
    control.change_session(sessions.cancel, session_id, lambda _: None)  # 3 000 at once
    with pytest.raises(rpc_errors()) as ended:
        list(stream)
    assert code_of(ended.value) is Code.RESOURCE_EXHAUSTED


@pytest.mark.usefixtures("_low_bound")
def test_our_client_learns_of_every_result_all_the_same(cluster: Any, connect: Any) -> None:
    one = connect()
    packed = packed_function.pack_function(len, "len")
    calls = [codec.pack_call(([],), {}) for _ in range(2_000)]
    states = one.session.submit(Submission(packed, calls))
    one.session.send()
    cluster.control_plane.change_session(sessions.cancel, one.session.session_id, lambda _: None)
    one.session.wait(states, TIMEOUT_S)
    assert {type(state.error) for state in states} == {TaskCancelledError}
