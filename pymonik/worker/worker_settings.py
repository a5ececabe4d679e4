"""What the environment variables of the container say; read once, when the worker starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.errors import ConfigError, UsageError
from pymonik.executor.process import GRACE_S
from pymonik.launch import memory
from pymonik.launch.sizes import size
from pymonik.launch.user_cache import user_cache

if TYPE_CHECKING:
    from collections.abc import Mapping

# Where ArmoniK's own Python worker has them, unless the deployment says another place.
WORKER_SOCKET = "/cache/armonik_worker.sock"
AGENT_SOCKET = "/cache/armonik_agent.sock"
DRAIN_S = 25.0  # Kubernetes kills 30 s after SIGTERM unless told otherwise
MEMORY_SHARE = 0.9  # of the container's memory; the rest is for this process


@dataclass(frozen=True, slots=True)
class Settings:
    """How this worker is set up.

    Attributes:
        worker: Where to listen, as gRPC writes it: ``unix:/path`` or ``host:port``.
        agent: Where the agent listens, in the same way.
        folder: Where executors may write; packages of environments lie below it as well.
        memory_limit: Bytes that an executor may use; ``None`` without a limit.
        drain_s: How long a running task may go on after SIGTERM.
        log_level: A level of `logging`.
        grace_s: From asking a task to end, because ArmoniK gave it up or its time is over, until
            it is killed with all that it started.
        control_plane: Where the control plane is, for what tasks tell while they run; ``""``:
            that goes with their ends.
        certificates: Files for it, by the names of `pymonik.transport.config.ClusterConfig`.
    """

    worker: str
    agent: str
    folder: Path
    memory_limit: int | None = None
    drain_s: float = DRAIN_S
    log_level: str = "INFO"
    grace_s: float = GRACE_S
    control_plane: str = ""
    certificates: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> Settings:
        """The settings in ``variables``.

        Raises:
            ConfigError: A value cannot be used; the message names the variable.
        """
        return cls(
            worker=_address(variables, "WorkerChannel", WORKER_SOCKET),
            agent=_address(variables, "AgentChannel", AGENT_SOCKET),
            folder=user_cache(variables),
            memory_limit=_memory_limit(variables),
            drain_s=_seconds(variables, "PYMONIK_WORKER_DRAIN_S", DRAIN_S),
            log_level=_level(variables),
            grace_s=_seconds(variables, "PYMONIK_WORKER_GRACE_S", GRACE_S),
            control_plane=_control_plane(variables),
            certificates={
                name: Path(variables[variable])
                for name, variable in _CERTIFICATES.items()
                if variables.get(variable)
            },
        )

    @property
    def socket(self) -> Path | None:
        """The socket file to listen on; ``None`` for tcp."""
        return Path(self.worker.removeprefix("unix:")) if _is_unix(self.worker) else None


_CERTIFICATES = {
    "certificate_authority": "PYMONIK_CONTROL_PLANE_CA",
    "client_certificate": "PYMONIK_CONTROL_PLANE_CERT",
    "client_key": "PYMONIK_CONTROL_PLANE_KEY",
}


def _control_plane(variables: Mapping[str, str]) -> str:
    """Where the control plane is: as somebody said, or as Kubernetes says of its service."""
    if (given := variables.get("PYMONIK_CONTROL_PLANE")) is not None:
        return "" if given.lower() in ("", "none", "off") else given
    host = variables.get("CONTROL_PLANE_SERVICE_HOST", "")
    port = variables.get("CONTROL_PLANE_SERVICE_PORT", "")
    if not host or not port:
        return ""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_unix(address: str) -> bool:
    return address.startswith("unix:")


def _address(variables: Mapping[str, str], channel: str, default: str) -> str:
    name = f"ComputePlane__{channel}__Address"
    kind = variables.get(f"ComputePlane__{channel}__SocketType") or "unixdomainsocket"
    address = variables.get(name) or default
    if kind.lower() == "unixdomainsocket":
        return f"unix:{address.removeprefix('unix:').replace('//', '/')}"
    if kind.lower() != "tcp":
        raise ConfigError(
            f"ComputePlane__{channel}__SocketType is {kind!r}; there are 'unixdomainsocket', 'tcp'"
        )
    # ArmoniK writes http://host:port, on which gRPC refuses to listen.
    plain = address.removeprefix("http://").rstrip("/")
    if ":" not in plain or "/" in plain:
        raise ConfigError(f"{name} is {address!r}; write 'host:port' or 'http://host:port'")
    return plain


def _seconds(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name, "")
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{name} is {text!r}; write a number of seconds")
    return seconds


def _memory_limit(variables: Mapping[str, str]) -> int | None:
    text = variables.get("PYMONIK_WORKER_MEMORY_LIMIT", "")
    if not text:
        return _container_limit()
    if text.strip() == "0":
        return None
    try:
        return size(text, "PYMONIK_WORKER_MEMORY_LIMIT")
    except UsageError as error:
        raise ConfigError(str(error)) from error


def _container_limit() -> int | None:
    """Less than what the container has.

    Past the container's own limit the kernel may end every process in it, this one as well, and
    nobody could tell why the task failed.
    """
    limit = memory.of_container()
    return None if limit is None else int(limit * MEMORY_SHARE)


def _level(variables: Mapping[str, str]) -> str:
    level = (variables.get("PYMONIK_WORKER_LOG_LEVEL") or "INFO").upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ConfigError(
            f"PYMONIK_WORKER_LOG_LEVEL is {level!r}; there are DEBUG, INFO, WARNING and ERROR"
        )
    return level
