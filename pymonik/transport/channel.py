"""A gRPC channel for a `ClusterConfig`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from pymonik.errors import ConfigError
from pymonik.launch import open_files, threads

if TYPE_CHECKING:
    from pathlib import Path

    from pymonik.transport.config import ClusterConfig

_OPTIONS: list[tuple[str, Any]] = [
    # By default a client refuses answers above 4 MiB, which a page of a list may be.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # By default gRPC waits for up to two minutes before it connects again; requests are repeated
    # sooner.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Every client has its own connection: closing one does not disturb another.
    ("grpc.use_local_subchannel_pool", 1),
]
_FILES, _THREADS = 12, 8  # open files and threads that a channel takes before its first request
_KEEPALIVE: list[tuple[str, Any]] = [
    # Proxies cut what is silent, and a connection that is half open is known by nothing else: what
    # waits on it is repeated on a new one after 30 s. A stream of news is up all the time, so pings
    # never come alone, which servers refuse.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),  # or gRPC waits for a minute, whatever stands above
]


def open_channel(config: ClusterConfig) -> Any:
    """A channel; it connects with the first request.

    Raises:
        ConfigError: A certificate cannot be read, or the system grants too few files or threads.
    """
    # gRPC ends the process without a word in Python where it gets no descriptor or no thread.
    open_files.check(_FILES)
    threads.check(_THREADS)
    options = list(_OPTIONS)
    if config.is_local_socket:
        # The authority that gRPC makes of the path by default is refused by some servers.
        options.append(("grpc.default_authority", "localhost"))
        return grpc.insecure_channel(config.target, options)
    options += _KEEPALIVE
    if not config.is_secure:
        return grpc.insecure_channel(config.target, options)
    if config.override_target_name:
        options.append(("grpc.ssl_target_name_override", config.override_target_name))
    return grpc.secure_channel(config.target, _credentials(config), options)


def _credentials(config: ClusterConfig) -> Any:
    certificate = _content(config.client_certificate)
    key = _content(config.client_key) if config.client_key else certificate
    return grpc.ssl_channel_credentials(_content(config.certificate_authority), key, certificate)


def _content(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
