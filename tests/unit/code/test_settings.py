from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from pymonik.code.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def _loaded_by_hand(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Load a module as pytest does, without the mark that it is incomplete meanwhile."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return path.stem


def test_what_a_module_had_not_when_it_was_looked_at_is_no_setting_to_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "loaded_by_hand.py"
    path.write_text(
        "from pymonik.code.settings import baselines\n"
        "early = object()\n"
        "baselines.look()\n"
        "late = object()\n"
    )
    name = _loaded_by_hand(path, monkeypatch)
    Settings().current([name])
    assert not caplog.records

    sys.modules[name].early = object()  # type: ignore[attr-defined]
    Settings().current([name])
    assert "early was set to a object" in caplog.text
    assert "late" not in caplog.text
