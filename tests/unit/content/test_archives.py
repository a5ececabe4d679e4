"""Zips are checked and unpacked once."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import threading
import zipfile
from typing import TYPE_CHECKING

import pytest

from pymonik.content import archives
from pymonik.content.archives import UnpackedArchives
from pymonik.errors import SerializationError

if TYPE_CHECKING:
    from pathlib import Path


def made(**files: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.py", content)
    return data.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_several_unpack_it_once_and_find_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked: list[str] = []
    unpack = archives._unpack

    def counted(*arguments: object) -> None:
        unpacked.append("")
        unpack(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(archives, "_unpack", counted)
    data = made(a=b"A = 1")
    users = [UnpackedArchives(tmp_path) for _ in range(5)]
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda user=user: found.append(user.get(digest(data), data)))
        for user in users
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(unpacked) == 1
    (folder,) = set(found)
    assert sorted(os.listdir(folder)) == ["__pycache__", "a.py"]  # noqa: PTH208
    assert not os.stat(f"{folder}/a.py").st_mode & 0o222  # noqa: PTH116
    for user in users:
        user.close()


# Names of their own: a zip holds the time, and each process of xdist would make another name.
@pytest.mark.parametrize(
    "data", [b"", b"no zip", made(a=b"x" * 1000)[:-30]], ids=["empty", "no zip", "cut"]
)
def test_what_is_damaged_leaves_nothing(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SerializationError):
        UnpackedArchives(tmp_path).get(digest(data), data)
    assert not [one for one in (tmp_path / "archives").iterdir() if one.is_dir()]


def test_another_content_than_its_digest_is_refused(tmp_path: Path) -> None:
    data = made(a=b"A = 1")
    with pytest.raises(SerializationError, match="is not what it was"):
        UnpackedArchives(tmp_path).get(digest(b"other"), data)
    with pytest.raises(SerializationError, match="known by its digest"):
        UnpackedArchives(tmp_path).get("../x", data)


def test_a_bomb_is_refused_whatever_it_says_of_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 100_000)
    data = made(a=bytes(1_000_000))
    with pytest.raises(SerializationError, match="the zip has 1000000 bytes"):
        UnpackedArchives(tmp_path).get(digest(data), data)
    lying = data.replace(struct.pack("<I", 1_000_000), struct.pack("<I", 1_000))
    assert lying != data
    with pytest.raises(SerializationError):
        UnpackedArchives(tmp_path).get(digest(lying), lying)
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    many = made(a=b"", b=b"", c=b"")
    with pytest.raises(SerializationError, match="3 files"):
        UnpackedArchives(tmp_path).get(digest(many), many)


def test_what_is_used_stays_and_what_is_not_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "KEPT_BYTES", 10)
    first, second, third = (made(a=b"x" * size) for size in (20, 21, 22))
    user, other = UnpackedArchives(tmp_path), UnpackedArchives(tmp_path)
    kept = user.get(digest(first), first)
    gone = other.get(digest(second), second)
    other.close()
    UnpackedArchives(tmp_path).get(digest(third), third)
    assert os.path.isdir(kept)  # noqa: PTH112
    assert not os.path.isdir(gone)  # noqa: PTH112
    user.close()


def packed(*entries: tuple[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return data.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_entries_of_one_name_the_last_counts(tmp_path: Path) -> None:
    data = packed(("a.py", b"first"), ("a.py", b"last"))
    folder = UnpackedArchives(tmp_path).get(digest(data), data)
    assert (tmp_path / folder / "a.py").read_bytes() == b"last"


def test_names_that_no_folder_can_hold_are_refused(tmp_path: Path) -> None:
    for names in (("a", "a/b"), ("a.py", "./a.py"), ("n" * 256,)):
        data = packed(*((name, b"") for name in names))
        with pytest.raises(SerializationError, match="the zip holds"):
            UnpackedArchives(tmp_path).get(digest(data), data)
    assert not [path for path in tmp_path.rglob("*") if path.is_dir() and path.name != "archives"]


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_damaged_zip_is_told_as_such(tmp_path: Path, way: int) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", way) as archive:
        archive.writestr("a.py", os.urandom(50) * 20)
    good = data.getvalue()
    damaged = good[:40] + b"\xff" * 20 + good[60:]
    with pytest.raises(SerializationError, match="no zip that can be read"):
        UnpackedArchives(tmp_path).get(digest(damaged), damaged)
