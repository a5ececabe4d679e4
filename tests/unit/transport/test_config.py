"""`ClusterConfig`: arguments, files, and what to do when they are wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pymonik.errors import ConfigError
from pymonik.transport.config import ClusterConfig

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [
        ("http://host:5001", "host:5001"),
        ("https://host:5001/", "host:5001"),
        ("host:5001", "host:5001"),
        ("unix:/run/socket", "unix:/run/socket"),
        ("unix:///run/socket", "unix:///run/socket"),
    ],
)
def test_endpoints_become_what_grpc_reads(endpoint: str, target: str) -> None:
    assert ClusterConfig(endpoint).target == target


@pytest.mark.parametrize("endpoint", ["ftp://host:1", "", "https://", "  "])
def test_other_endpoints_are_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="endpoint"):
        ClusterConfig(endpoint)


@pytest.mark.parametrize(
    "write", [json.dumps, lambda fields: "\n".join(map(": ".join, fields.items()))]
)
def test_a_file_is_read_and_its_certificates_are_beside_it(tmp_path: Path, write: object) -> None:
    assert callable(write)
    (tmp_path / "ca.pem").write_text("x")
    file = tmp_path / "armonik-cli.yaml"
    file.write_text(write({"endpoint": "https://host:1", "certificate_authority": "ca.pem"}))
    config = ClusterConfig.find(variables={"AKCONFIG": str(file)})
    assert config is not None
    assert config.is_secure
    assert config.certificate_authority == tmp_path / "ca.pem"


def test_an_argument_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("endpoint: http://file:1")
    variables = {"AKCONFIG": str(file)}
    found = ClusterConfig.find("http://given:1", variables=variables)
    assert found is not None
    assert found.target == "given:1"


def test_nothing_given_is_nothing_configured() -> None:
    assert ClusterConfig.find(variables={}) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("endpoint: [", "neither YAML nor JSON"),
        ("- a", "mapping"),
        ("certificate_authority: a", "'endpoint' is missing"),
        ("endpoint: https://host:1\ncertificate_authority: missing.pem", "there is no file"),
        ("endpoint: https://host:1\nssl_validation: false", "certificate_authority"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as raised:
        ClusterConfig.find(variables={"AKCONFIG": str(file)})
    assert "c.yaml" in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="AKCONFIG"):
        ClusterConfig.find(variables={"AKCONFIG": str(tmp_path / "no.yaml")})


def test_a_key_without_a_certificate_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("x")
    with pytest.raises(ConfigError, match="client_certificate"):
        ClusterConfig("https://host:1", client_key=key)
