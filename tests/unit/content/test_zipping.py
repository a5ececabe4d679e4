"""What is taken out of a folder into a zip."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pymonik.content.zipping import files_below

if TYPE_CHECKING:
    from pathlib import Path


def test_pipes_are_no_files_and_keep_nobody_waiting(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.py").write_text("def handler(event, context): pass")
    os.mkfifo(tmp_path / "app" / "pipe")
    text = f"from pymonik import Task; Task.from_lambda({str(tmp_path / 'app')!r}, 'a.handler')"
    subprocess.run([sys.executable, "-c", text], check=True, timeout=30)
    assert [name for name, _ in files_below(tmp_path / "app")] == ["a.py"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "app" / "v1").mkdir(parents=True)
    (tmp_path / "app" / "v1" / "a.py").write_text("")
    (tmp_path / "app" / "latest").symlink_to("v1")
    found = sorted(name for name, _ in files_below(tmp_path / "app"))
    assert found == ["latest/a.py", "v1/a.py"]
    (tmp_path / "app" / "v1" / "around").symlink_to("..")
    with pytest.raises(OSError, match="leads to a folder around it"):
        list(files_below(tmp_path / "app"))
