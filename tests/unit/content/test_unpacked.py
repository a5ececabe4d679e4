"""Bundles as folders: unpacked once, kept while they are used, checked before they are believed."""

from __future__ import annotations

import fcntl
import hashlib
import threading
from typing import TYPE_CHECKING

import pytest

from pymonik.content import unpacked
from pymonik.content.unpacked import UnpackedBundles, make_room
from pymonik.errors import SerializationError
from pymonik.executor.holdings import Holdings
from pymonik.wire import containers
from pymonik.wire.call import BundleFile, BundleMeta, BundleRef, PackMeta

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 10.0


class Sent:
    """What a session has uploaded of a bundle."""

    def __init__(
        self, digest: str, files: dict[str, bytes], origins: dict[str, str] | None = None
    ) -> None:
        self.loads = 0
        digests = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
        listed = tuple(BundleFile(path, digests[path], len(files[path])) for path in files)
        roots = origins or {"0": "/home/me"}
        meta = BundleMeta(files=listed, roots=tuple(roots), origins=tuple(roots.values()))
        pack = PackMeta(digests=tuple(digests.values()))
        self.containers = {
            "manifest": b"".join(containers.join(meta, ())),
            "pack": b"".join(containers.join(pack, list(files.values()))),
        }
        self.ref = BundleRef(digest, ("manifest", "pack"))

    def load(self, result_id: str) -> bytes:
        self.loads += 1
        return self.containers[result_id]


def test_a_bundle_is_unpacked_once_for_all_processes(tmp_path: Path) -> None:
    sent = Sent("aa", {"0/shop/__init__.py": b"A = 1", "0/shop/data/x.txt": b"x"})
    first = UnpackedBundles(tmp_path).get(sent.ref, sent.load)
    assert (first.folder / "0/shop/data/x.txt").read_bytes() == b"x"
    loads = sent.loads
    second = UnpackedBundles(tmp_path).get(sent.ref, sent.load)
    assert (second.folder, sent.loads) == (first.folder, loads)


def test_whoever_waits_for_a_bundle_to_be_unpacked_gets_it_while_the_other_one_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Sent("aa", {"0/a.py": b"A = 1"})
    users = [UnpackedBundles(tmp_path), UnpackedBundles(tmp_path)]
    found: list[Path] = []
    waits = threading.Event()
    flock = fcntl.flock

    def tell(file: int, operation: int) -> None:
        waits.set()
        flock(file, operation)

    second = threading.Thread(
        target=lambda: found.append(users[1].get(sent.ref, sent.load).folder), daemon=True
    )

    def load(result_id: str) -> bytes:
        if second.ident is None:
            monkeypatch.setattr("pymonik.content.kept_folders.fcntl.flock", tell)
            second.start()
            assert waits.wait(LIMIT_S)
        return sent.load(result_id)

    first = users[0].get(sent.ref, load)
    second.join(LIMIT_S)
    assert found == [first.folder]


def test_a_file_that_is_not_what_its_digest_says_is_refused_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    sent = Sent("aa", {"0/a.py": b"A = 1"})
    sent.containers["pack"] = sent.containers["pack"].replace(b"A = 1", b"A = 2")
    bundles = UnpackedBundles(tmp_path)
    with pytest.raises(SerializationError, match="not what it was"):
        bundles.get(sent.ref, sent.load)
    assert not (tmp_path / "bundles" / "aa").exists()
    good = Sent("aa", {"0/a.py": b"A = 1"})
    assert (bundles.get(good.ref, good.load).folder / "0/a.py").read_bytes() == b"A = 1"


def test_a_pack_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    sent, other = Sent("aa", {"0/a.py": b"1", "0/b.py": b"2"}), Sent("bb", {"0/a.py": b"1"})
    sent.containers["pack"] = other.containers["pack"]
    with pytest.raises(SerializationError, match="were not sent"):
        UnpackedBundles(tmp_path).get(sent.ref, sent.load)


def test_of_two_folders_with_a_module_of_one_name_the_one_counts_that_is_imported(
    tmp_path: Path,
) -> None:
    # Folders are numbered as they are met, and searched in the order of the program's path.
    origins = {"1": "/first", "0": "/second"}
    first = Sent("aa", {"0/util.py": b"A = 2", "1/util.py": b"A = 1"}, origins)
    second = Sent("bb", {"0/util.py": b"A = 2", "1/util.py": b"A = 3"}, origins)
    bundles = UnpackedBundles(tmp_path)
    holdings = Holdings()
    entered = bundles.get(first.ref, first.load)
    assert entered.places["util.py"] == (hashlib.sha256(b"A = 1").hexdigest(), "/first")
    holdings.add(entered)
    assert not holdings.accept(bundles.get(second.ref, second.load))


@pytest.mark.parametrize("path", ["/etc/passwd", "0/../../a.py", "a.py", "0/a\0.py"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    sent = Sent("aa", {path: b"x"})
    with pytest.raises(SerializationError, match="file called"):
        UnpackedBundles(tmp_path).get(sent.ref, sent.load)


@pytest.mark.parametrize("digest", ["../aa", "", "a/b"])
def test_the_id_of_a_bundle_is_no_path(tmp_path: Path, digest: str) -> None:
    with pytest.raises(SerializationError, match="digest"):
        UnpackedBundles(tmp_path).get(BundleRef(digest, ("manifest",)), lambda _: b"")


def test_what_nobody_uses_goes_when_there_is_too_much_and_what_is_used_stays(
    tmp_path: Path,
) -> None:
    used, unused = UnpackedBundles(tmp_path), UnpackedBundles(tmp_path)
    kept = Sent("aa", {"0/a.py": b"a" * 1000, "0/both.py": b"both"})
    gone = Sent("bb", {"0/b.py": b"b" * 1000, "0/both.py": b"both"})
    folder = used.get(kept.ref, kept.load).folder
    other = unused.get(gone.ref, gone.load).folder
    make_room(tmp_path, 10_000)
    assert other.exists()
    unused.close()
    make_room(tmp_path, 1_500)
    assert not other.exists()
    assert (folder / "0/a.py").read_bytes() == b"a" * 1000
    assert (folder / "0/both.py").read_bytes() == b"both"
    contents = [path.read_bytes() for path in (tmp_path / "files").glob("*/*")]
    assert sorted(contents) == [b"a" * 1000, b"both"]
    again = UnpackedBundles(tmp_path).get(gone.ref, gone.load)
    assert (again.folder / "0/b.py").read_bytes() == b"b" * 1000


def test_room_is_made_when_a_bundle_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked, "MOST_BYTES", 100)
    bundles = UnpackedBundles(tmp_path)
    first, second = Sent("aa", {"0/a.py": b"a" * 200}), Sent("bb", {"0/b.py": b"b" * 200})
    old = bundles.get(first.ref, first.load).folder
    bundles.close()
    new = bundles.get(second.ref, second.load).folder
    assert (old.exists(), new.exists()) == (False, True)


# -- what an executor may have imported ----------------------------------------------------------


def test_an_executor_takes_more_files_and_never_another_content(tmp_path: Path) -> None:
    bundles, holdings = UnpackedBundles(tmp_path), Holdings()

    def bundle(digest: str, files: dict[str, bytes]) -> unpacked.UnpackedBundle:
        sent = Sent(digest, files)
        return bundles.get(sent.ref, sent.load)

    first = bundle("aa", {"0/shop/__init__.py": b"1"})
    assert holdings.accept(first)
    holdings.add(first)
    assert holdings.has(first)
    grown = bundle("bb", {"0/shop/__init__.py": b"1", "0/shop/more.py": b"2", "0/x.py": b"3"})
    assert holdings.accept(grown)
    assert not holdings.has(grown)
    holdings.add(grown)
    assert not holdings.accept(bundle("cc", {"0/shop/__init__.py": b"other"}))
    assert not holdings.accept(bundle("dd", {"0/shop/__init__.py": b"1"}))  # it lost a file
    assert holdings.accept(bundle("ee", {"0/another.py": b"9"}))
