"""What the variables of a container mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymonik.errors import ConfigError
from pymonik.worker.worker_settings import Settings


def test_without_variables_the_sockets_are_those_of_armonik() -> None:
    settings = Settings.read({})
    assert settings.worker == "unix:/cache/armonik_worker.sock"
    assert settings.agent == "unix:/cache/armonik_agent.sock"
    assert settings.socket == Path("/cache/armonik_worker.sock")


@pytest.mark.parametrize("address", ["http://host:5000", "http://host:5000/", "host:5000"])
def test_tcp_addresses_lose_their_scheme(address: str) -> None:
    settings = Settings.read(
        {
            "ComputePlane__WorkerChannel__Address": address,
            "ComputePlane__WorkerChannel__SocketType": "tcp",
        }
    )
    assert settings.worker == "host:5000"
    assert settings.socket is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ComputePlane__AgentChannel__SocketType", "pigeon"),
        ("PYMONIK_WORKER_DRAIN_S", "soon"),
        ("PYMONIK_WORKER_DRAIN_S", "-1"),
        ("PYMONIK_WORKER_MEMORY_LIMIT", "2Gi"),
        ("PYMONIK_WORKER_LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Settings.read({name: value})


def test_a_memory_limit_of_zero_is_none() -> None:
    assert Settings.read({"PYMONIK_WORKER_MEMORY_LIMIT": "0"}).memory_limit is None
    assert Settings.read({"PYMONIK_WORKER_MEMORY_LIMIT": "1000"}).memory_limit == 1000
