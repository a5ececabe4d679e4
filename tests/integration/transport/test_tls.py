"""TLS both ways: a server that wants to know its clients, and a configuration that names files."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from armonik.protogen.client import results_service_pb2_grpc
from armonik.protogen.common import results_common_pb2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pymonik.errors import UnavailableError
from pymonik.transport.channel import open_channel
from pymonik.transport.config import ClusterConfig
from pymonik.transport.control_plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "control-plane.armonik"


class Results(results_service_pb2_grpc.ResultsServicer):  # type: ignore[misc]
    """Answers the first request of a client."""

    def GetServiceConfiguration(self, request: Any, context: Any) -> Any:  # noqa: N802
        return results_common_pb2.ResultsServiceConfigurationResponse(data_chunk_max_size=7)


def write_pair(folder: Path, name: str, signer: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """A certificate and its key in ``<name>.pem`` and ``<name>.key``; signed by itself if alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority, authority_key = signer or (None, key)
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = write_pair(tmp_path, "ca")
    write_pair(tmp_path, NAME, authority)
    write_pair(tmp_path, "client", authority)
    return tmp_path


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    pair = ((folder / f"{NAME}.key").read_bytes(), (folder / f"{NAME}.pem").read_bytes())
    credentials = grpc.ssl_server_credentials(
        [pair], root_certificates=(folder / "ca.pem").read_bytes(), require_client_auth=True
    )
    server = grpc.server(ThreadPoolExecutor(2))
    results_service_pb2_grpc.add_ResultsServicer_to_server(Results(), server)
    number = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield number
    server.stop(None).wait(10)


def connect(config: ClusterConfig) -> int:
    channel = open_channel(config)
    try:
        return ControlPlane(channel, endpoint=config.endpoint).connect(1.0)
    finally:
        channel.close()


def test_a_file_with_certificates_opens_a_connection(folder: Path, port: int) -> None:
    file = folder / "armonik-cli.yaml"
    file.write_text(
        f"endpoint: https://127.0.0.1:{port}\n"
        "certificate_authority: ca.pem\n"
        "client_certificate: client.pem\n"
        "client_key: client.key\n"
        f"override_target_name: {NAME}\n"
    )
    assert connect(ClusterConfig.read(file)) == 7


def test_a_certificate_and_its_key_may_be_in_one_file(folder: Path, port: int) -> None:
    both = folder / "both.pem"
    both.write_text((folder / "client.pem").read_text() + (folder / "client.key").read_text())
    config = ClusterConfig(
        f"https://127.0.0.1:{port}", folder / "ca.pem", both, override_target_name=NAME
    )
    assert connect(config) == 7


def test_a_client_without_a_certificate_is_not_let_in(folder: Path, port: int) -> None:
    config = ClusterConfig(
        f"https://127.0.0.1:{port}", folder / "ca.pem", override_target_name=NAME
    )
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}"):
        connect(config)


def test_http_to_a_server_that_speaks_tls_ends_soon(port: int) -> None:
    with pytest.raises(UnavailableError, match="http or https"):
        connect(ClusterConfig(f"http://127.0.0.1:{port}"))
