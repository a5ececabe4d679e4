from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik.environments.folders import installer_variables

if TYPE_CHECKING:
    from pathlib import Path


def test_what_pip_is_told_is_told_to_uv(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = http://one/simple\nfind-links =\n  /a\n  /b\n")
    variables = installer_variables(
        {"PIP_CONFIG_FILE": str(config), "PIP_INDEX_URL": "http://two/simple"}
    )
    assert variables["UV_DEFAULT_INDEX"] == "http://two/simple"
    assert variables["UV_FIND_LINKS"] == "/a,/b"


def test_settings_of_uv_win_over_those_of_pip() -> None:
    given = {"UV_INDEX": "http://one", "PIP_INDEX_URL": "http://two"}
    assert installer_variables(given) == given


def test_pip_without_configuration_changes_nothing() -> None:
    given = {"PIP_CONFIG_FILE": "/dev/null"}
    assert installer_variables(given) == given


def test_all_indexes_of_pip_are_looked_at() -> None:
    given = {"PIP_CONFIG_FILE": "/dev/null", "PIP_EXTRA_INDEX_URL": "http://one http://two"}
    variables = installer_variables(given)
    assert variables["UV_INDEX"] == "http://one http://two"
    assert variables["UV_INDEX_STRATEGY"] == "unsafe-first-match"
    kept = installer_variables({**given, "UV_INDEX_STRATEGY": "first-index"})
    assert kept["UV_INDEX_STRATEGY"] == "first-index"
