"""What pip is told means the same for uv; how uv is ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymonik.environments import installer
from pymonik.environments.installer import asks_no_index, installer_variables
from pymonik.environments.not_ready import Unwanted
from pymonik.errors import EnvironmentSetupError

NOTHING = {"PIP_CONFIG_FILE": "/dev/null"}


def test_what_pip_is_told_is_told_to_uv(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = http://one/simple\nfind-links =\n  /a\n  /b\n")
    variables = installer_variables(
        {"PIP_CONFIG_FILE": str(config), "PIP_INDEX_URL": "http://two/simple"}
    )
    assert variables["UV_DEFAULT_INDEX"] == "http://two/simple"
    assert variables["UV_FIND_LINKS"] == "/a,/b"


def test_limits_and_keyrings_of_pip_are_those_of_uv() -> None:
    given = {**NOTHING, "PIP_CONSTRAINT": "/a.txt /b.txt", "PIP_KEYRING_PROVIDER": "subprocess"}
    variables = installer_variables(given)
    assert variables["UV_CONSTRAINT"] == "/a.txt /b.txt"
    assert variables["UV_KEYRING_PROVIDER"] == "subprocess"
    assert "UV_KEYRING_PROVIDER" not in installer_variables(
        {**NOTHING, "PIP_KEYRING_PROVIDER": "import"}
    )


def test_places_of_uv_win_over_those_of_pip_as_a_whole() -> None:
    given = {**NOTHING, "UV_INDEX": "http://one", "PIP_INDEX_URL": "http://two"}
    assert installer_variables(given) == given


def test_certificates_and_proxies_of_pip_are_used_whatever_uv_is_told_of_indexes() -> None:
    given = {**NOTHING, "UV_INDEX": "http://one", "PIP_CERT": "/c.pem", "PIP_PROXY": "host:80"}
    variables = installer_variables(given)
    assert variables["SSL_CERT_FILE"] == "/c.pem"
    assert variables["ALL_PROXY"] == "http://host:80"
    kept = installer_variables({**given, "https_proxy": "http://other", "SSL_CERT_FILE": "/d"})
    assert "ALL_PROXY" not in kept
    assert kept["SSL_CERT_FILE"] == "/d"


def test_pip_without_configuration_changes_nothing() -> None:
    assert installer_variables(NOTHING) == NOTHING


def test_all_indexes_of_pip_are_looked_at() -> None:
    given = {**NOTHING, "PIP_EXTRA_INDEX_URL": "http://one http://two"}
    variables = installer_variables(given)
    assert variables["UV_INDEX"] == "http://one http://two"
    assert variables["UV_INDEX_STRATEGY"] == "unsafe-first-match"
    kept = installer_variables({**given, "UV_INDEX_STRATEGY": "first-index"})
    assert kept["UV_INDEX_STRATEGY"] == "first-index"


@pytest.mark.parametrize(
    ("value", "asks_none"), [("1", True), ("true", True), ("0", False), ("", False)]
)
def test_no_index_is_understood_in_every_spelling(value: str, asks_none: bool) -> None:
    assert asks_no_index({**NOTHING, "PIP_NO_INDEX": value}) is asks_none


def test_no_index_keeps_uv_from_every_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "asked.in").write_text("six\n")
    with pytest.raises(
        EnvironmentSetupError, match=r"index lookups were disabled|not found in the"
    ):
        installer.run(["pip", "compile", "asked.in"], cwd=tmp_path, limit_s=30)


def test_what_uv_says_holds_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://me:secret@127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "asked.in").write_text("six\n")
    with pytest.raises(EnvironmentSetupError) as caught:
        installer.run(["pip", "compile", "asked.in"], cwd=tmp_path, limit_s=30)
    assert "secret" not in str(caught.value)


def test_uv_ends_with_all_that_it_has_started_when_nobody_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "uv"
    program.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {tmp_path}/begun\nwait\n")
    program.chmod(0o755)
    monkeypatch.setattr(installer, "uv", lambda: str(program))
    begun = tmp_path / "begun"
    with pytest.raises(Unwanted):
        installer.run(["x"], cwd=tmp_path, limit_s=30, is_wanted=lambda: not _text(begun))
    assert not _is_alive(int(_text(begun)))


def test_uv_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setattr(installer, "uv", lambda: str(program))
    with pytest.raises(EnvironmentSetupError, match=r"was not done after 0\.1 s"):
        installer.run(["x"], cwd=tmp_path, limit_s=0.1)


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _is_alive(pid: int) -> bool:
    """Whether a process runs that is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
