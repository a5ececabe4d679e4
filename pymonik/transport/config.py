"""Where the control plane is and how to prove who we are, as one value."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymonik.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "AKCONFIG"
_FILES = ("certificate_authority", "client_certificate", "client_key")


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """How to reach a control plane.

    Attributes:
        endpoint: ``http://host:port``, ``https://host:port``, ``host:port`` or ``unix:/path``.
        certificate_authority: PEM file of who signed the server; the system's without it.
        client_certificate: PEM file that says who we are.
        client_key: PEM file of its key; ``None`` if the key is in the certificate's file.
        override_target_name: The name in the server's certificate, where it is another.
        ssl_validation: ``False`` is refused: gRPC cannot leave validation out.
    """

    endpoint: str
    certificate_authority: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    override_target_name: str | None = None
    ssl_validation: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "endpoint", _checked_endpoint(self.endpoint))
        if self.is_secure and not self.ssl_validation:
            raise ConfigError(
                "ssl_validation: false is not possible with gRPC; give certificate_authority "
                "(the PEM file of who signed the server's certificate), and "
                "override_target_name where the certificate has another name"
            )
        for name in _FILES:
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ConfigError(f"{name}: there is no file {path}")
        if self.client_key is not None and self.client_certificate is None:
            raise ConfigError("client_key is given without client_certificate")

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.endpoint.startswith("https://")

    @property
    def is_local_socket(self) -> bool:
        """Whether it is a unix socket."""
        return self.endpoint.startswith("unix:")

    @property
    def target(self) -> str:
        """The endpoint as gRPC writes it."""
        if self.is_local_socket:
            return self.endpoint
        return self.endpoint.partition("://")[2].rstrip("/")

    @classmethod
    def find(
        cls,
        endpoint: str | None = None,
        *,
        certificate_authority: str | os.PathLike[str] | None = None,
        client_certificate: str | os.PathLike[str] | None = None,
        client_key: str | os.PathLike[str] | None = None,
        override_target_name: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> ClusterConfig | None:
        """What the arguments say over what the file named by ``AKCONFIG`` says.

        An explicit endpoint does without the file. ``None`` without either: nothing is configured.

        Raises:
            ConfigError: The endpoint, the file or a certificate cannot be used.
        """
        given = {
            "certificate_authority": _path(certificate_authority),
            "client_certificate": _path(client_certificate),
            "client_key": _path(client_key),
            "override_target_name": override_target_name,
        }
        given = {name: value for name, value in given.items() if value is not None}
        if endpoint is not None:
            return cls(endpoint, **given)  # type: ignore[arg-type]
        file = (os.environ if variables is None else variables).get(VARIABLE)
        if file:
            return replace(cls.read(Path(file)), **given)  # type: ignore[arg-type]
        if given:
            raise ConfigError(f"{', '.join(given)} given without an endpoint; pass endpoint=")
        return None

    @classmethod
    def read(cls, file: Path) -> ClusterConfig:
        """The configuration in a YAML or JSON file, as an ArmoniK deployment writes it.

        Raises:
            ConfigError: The file is missing, is no such file, or names a missing certificate.
        """
        fields = _fields(file)
        if not isinstance(fields.get("endpoint"), str) or not fields["endpoint"]:
            raise ConfigError(f"{file}: 'endpoint' is missing; it should be like https://host:port")
        paths = {name: _beside(file, fields.get(name)) for name in _FILES}
        try:
            return cls(
                fields["endpoint"],
                override_target_name=fields.get("override_target_name") or None,
                ssl_validation=fields.get("ssl_validation") is not False,
                **paths,
            )
        except ConfigError as error:
            raise ConfigError(f"{file} ({VARIABLE}): {error}") from error


def _fields(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{VARIABLE} names {file}, which cannot be read ({error}); set it to the file that "
            "the deployment of ArmoniK wrote, or unset it to run on this machine"
        ) from error
    import yaml  # without AKCONFIG nobody needs it

    try:
        fields = yaml.safe_load(text)  # reads JSON too, which is YAML
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} ({VARIABLE}) is neither YAML nor JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{file} ({VARIABLE}) must hold a mapping with an 'endpoint'")
    return fields


def _beside(file: Path, value: object) -> Path | None:
    if not value:
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{file} ({VARIABLE}): {value!r} is not the path of a certificate")
    return file.parent / Path(value).expanduser()


def _path(value: str | os.PathLike[str] | None) -> Path | None:
    return Path(value).expanduser() if value else None


def _checked_endpoint(endpoint: object) -> str:
    if not isinstance(endpoint, str) or not endpoint.strip():
        raise ConfigError(f"endpoint must be like 'http://host:port', not {endpoint!r}")
    endpoint = endpoint.strip()
    scheme, separator, rest = endpoint.partition("://")
    if endpoint.startswith("unix:"):
        return endpoint
    if not separator:
        endpoint, scheme, rest = f"http://{endpoint}", "http", endpoint
    if scheme not in ("http", "https") or not rest.strip("/"):
        raise ConfigError(
            f"endpoint {endpoint!r} is not understood; write http://host:port, "
            "https://host:port, host:port or unix:/path"
        )
    _check_port(endpoint, rest.rstrip("/").partition("/")[0])
    return endpoint


def _check_port(endpoint: str, host: str) -> None:
    """Without a port gRPC would take 443, which is never meant; and it takes any number."""
    _, separator, port = host.rpartition(":")
    if not separator or "]" in port:
        raise ConfigError(f"endpoint {endpoint!r} has no port; write http://host:port")
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigError(f"endpoint {endpoint!r}: {port!r} is not a port, which is 1 to 65535")
