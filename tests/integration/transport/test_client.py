"""`Pymonik`: connecting, living and ending."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pymonik.client.pymonik_client import Pymonik
from pymonik.cluster.local import LocalCluster
from pymonik.code import codec, packed_function
from pymonik.errors import (
    ConfigError,
    ControlPlaneError,
    SessionClosedError,
    TaskCancelledError,
    UnavailableError,
    UsageError,
)
from pymonik.session.current import active_session
from pymonik.session.protocol import Submission

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 20.0


def add(a: int, b: int) -> int:
    return a + b


def invoke(client: Pymonik, *args: object) -> Any:
    function = packed_function.pack_function(add, "add")
    return client.session.submit(Submission(function, [codec.pack_call(args, {})]))[0]


def session_status(cluster: Any, session_id: str) -> str:
    with cluster.control_plane.reading() as state:
        return str(state.session(session_id).status.name)


def test_leaving_the_block_waits_for_everything_then_closes(cluster: Any) -> None:
    cluster.start_runner()
    with Pymonik(cluster.endpoint) as client:
        session_id = client.session_id
        states = [invoke(client, i, i) for i in range(100)]
    assert all(state.is_final and state.error is None for state in states)
    assert session_status(cluster, session_id) == "CLOSED"
    assert active_session() is None


def test_an_exception_in_the_block_cancels_the_session(cluster: Any) -> None:
    client = Pymonik(cluster.endpoint)
    with pytest.raises(KeyboardInterrupt), client:  # noqa: PT012 - the block is what is tested
        session_id = client.session_id
        state = invoke(client, 1, 2)
        raise KeyboardInterrupt
    assert session_status(cluster, session_id) == "CANCELLED"
    assert isinstance(state.error, TaskCancelledError)


def test_nested_clients_restore_the_session_around_them(cluster: Any) -> None:
    with Pymonik(cluster.endpoint) as outer:
        with Pymonik(cluster.endpoint) as inner:
            assert active_session() is inner.session
        assert active_session() is outer.session


def test_create_and_close_are_idempotent_and_a_client_can_be_used_again(cluster: Any) -> None:
    client = Pymonik(cluster.endpoint).create()
    first = client.session_id
    assert client.create().session_id == first
    client.close()
    client.close()
    with pytest.raises(SessionClosedError, match="create"):
        invoke(client, 1, 2)
    assert client.create().session_id != first
    client.close()


def test_a_wrong_endpoint_is_named_and_can_be_tried_again(cluster: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    client = Pymonik(f"http://127.0.0.1:{port}", connect_timeout=0.5)
    before = set(threading.enumerate())
    for _ in range(2):
        with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}"):
            client.create()
    assert set(threading.enumerate()) <= before
    client.close()


def test_without_a_partition_the_default_of_the_cluster_is_used(cluster: Any) -> None:
    with Pymonik(cluster.endpoint) as client:
        assert client.session.list_partitions() == ["pymonik"]


def test_the_first_of_several_partitions_is_the_default(cluster: Any) -> None:
    with Pymonik(cluster.endpoint, partition=["gpu", "pymonik"]) as client:
        with cluster.control_plane.reading() as state:
            assert state.session(client.session_id).options.partition_id == "gpu"
        client.session.cancel_all()


def test_an_unknown_partition_is_answered_with_those_there_are(cluster: Any) -> None:
    with pytest.raises(ControlPlaneError, match="gpu, pymonik"):
        Pymonik(cluster.endpoint, partition="nowhere").create()


def test_put_gives_handles(cluster: Any) -> None:
    with Pymonik(cluster.endpoint) as client:
        assert client.put({"a": 1}, name="settings").get() == {"a": 1}
        assert [handle.get() for handle in client.put_many([1, 2])] == [1, 2]
        with pytest.raises(UsageError, match="names"):
            client.put_many([1, 2], names=["one"])


def test_results_are_there_after_the_block(cluster: Any) -> None:
    cluster.start_runner()
    with Pymonik(cluster.endpoint) as client:
        session = client.session
        state = invoke(client, 1, 2)
    assert session.fetch([state])[0].value() == 3


def test_no_secret_is_shown(cluster: Any) -> None:
    client = Pymonik(cluster.endpoint, environment={"env_variables": {"TOKEN": "s3cret"}})
    assert "s3cret" not in repr(client)


def test_certificates_for_a_cluster_of_this_machine_are_refused(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.touch()
    client = Pymonik(LocalCluster(workers=0), certificate_authority=certificate)
    with pytest.raises(ConfigError, match="certificate_authority"):
        client.create()


def test_a_cluster_that_is_not_started_says_how_to_start_it() -> None:
    with pytest.raises(UsageError, match=r"with LocalCluster|start\(\)"):
        Pymonik(LocalCluster(workers=0)).create()
