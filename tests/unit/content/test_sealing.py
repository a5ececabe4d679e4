"""Folders of the user as tars, which lie on the disk only while somebody may need them."""

from __future__ import annotations

import os
from pathlib import Path

from pymonik.content import sealing


def test_tars_of_folders_go_with_who_needs_them(tmp_path: Path) -> None:
    tars = []
    for number in range(100):
        folder = tmp_path / "around" / str(number)
        folder.mkdir(parents=True)
        (folder / "file").write_text("content")
        tars.append(sealing.seal(str(folder), "folder").path)
    assert 0 < sum(map(os.path.exists, tars)) < 50
    sealing.forget_folders(str(tmp_path / "around"))
    assert not any(map(os.path.exists, tars))


def test_a_tar_stays_for_who_has_sealed_the_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    sealed = sealing.seal(str(tmp_path / "folder"), "folder")
    sealing.forget_folders(str(tmp_path))
    assert Path(sealed.path).exists()
