"""Values as digests: what counts of them, wherever it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymonik import File
from pymonik.cache.canonical import digested

if TYPE_CHECKING:
    from pathlib import Path


def test_files_count_by_their_content_in_a_set_as_in_a_list(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    place.write_text("one")
    before = digested({File(place)}, takes_files=True).digest
    assert digested({File(place)}, takes_files=True).digest == before
    place.write_text("three")
    assert digested({File(place)}, takes_files=True).digest != before
