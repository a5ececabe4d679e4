"""The reference page has each public name, and only those."""

from __future__ import annotations

import re
from pathlib import Path

import pymonik

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_reference_has_each_public_name() -> None:
    listed = re.findall(r"^\| `(\w+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(pymonik.__all__)
    assert len(listed) == len(set(listed))


def test_each_public_name_is_there() -> None:
    assert [name for name in pymonik.__all__ if not hasattr(pymonik, name)] == []
