"""`pymonik env`: what is kept on this machine is seen, and goes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pymonik.cli import main
from pymonik.environments import folders, locks, making
from pymonik.environments.asked import environment_of
from tests.integration.test_environments import write_wheel


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of two environments, the less recently used first."""
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in ("1.0", "2.0"):
        write_wheel(tmp_path, "pmk_probe", number)
        environment = environment_of([f"pmk-probe=={number}"])
        lock = locks.resolve(environment, lambda: True)
        folders.obtain(environment, lock, lambda: True).close()
    return [entry.name for entry in folders.entries()]


def _listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    assert main(["env", "list", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_all_are_listed_with_state_size_and_age(
    kept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = _listed(capsys)
    assert list(rows) == kept
    assert rows[kept[0]]["asked"] == ["pmk-probe==1.0"]
    assert rows[kept[0]]["state"] == "ready"
    assert rows[kept[0]]["size"]
    assert main(["env"]) == 0
    assert "pmk-probe==2.0" in capsys.readouterr().out


def test_one_is_shown_with_its_packages(
    kept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["env", "show", kept[1].rpartition("-")[2][:8]]) == 0
    output = capsys.readouterr().out
    assert "  pmk-probe==2.0" in output.splitlines()
    assert "--hash" not in output
    assert main(["env", "show", "nothing"]) == 2
    assert "no environments are called nothing" in capsys.readouterr().err


def test_what_is_used_stays_and_the_rest_goes(
    kept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    environment = environment_of(["pmk-probe==1.0"])
    used = folders.known(locks.resolve(environment, lambda: True))
    assert used is not None
    assert _listed(capsys)[kept[0]]["state"] == "in use"
    assert main(["env", "clean"]) == 0
    assert list(_listed(capsys)) == [kept[0]]
    used.close()
    assert main(["env", "clean", kept[0]]) == 0
    assert not _listed(capsys)


def test_the_least_recently_used_goes_first(
    kept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    size = folders.entries()[1].about
    assert size is not None
    assert main(["env", "clean", "--unused-for", "1"]) == 0
    assert list(_listed(capsys)) == kept
    assert main(["env", "clean", "--keep", str(size.nbytes)]) == 0
    assert list(_listed(capsys)) == kept[1:]


def test_what_another_process_makes_is_listed_and_forgotten_if_it_was_killed(
    kept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with making.noted(making.Note("abc", ("numpy",), "resolving", 0.0)):
        assert _listed(capsys)["abc"]["state"] == "resolving"
        (note,) = (Path(os.environ["XDG_CACHE_HOME"]) / "pymonik/environments/making").iterdir()
        left = note.with_name("left-by-a-killed-process")
        left.write_bytes(note.read_bytes())
        assert list(_listed(capsys)) == [*kept, "abc"]
        assert not left.exists()
    assert list(_listed(capsys)) == kept
