"""Bundles as folders of this machine: each is unpacked once, whoever uses it.

::

    <cache>/pymonik/content/files/ab/ab12...        the bytes of a file, by digest
    <cache>/pymonik/content/bundles/<digest>/0/...  hard links to them, by root and path
    <cache>/pymonik/content/bundles/<digest>.lock   held while a process uses the folder

A folder is made beside its place and renamed when it is complete; a lock keeps two processes from
making the same one. Past `MOST_BYTES`, the bundles that were used longest ago go.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pymonik.code.finder import MANIFEST
from pymonik.content.kept_folders import KeptFolders, alone
from pymonik.errors import SerializationError
from pymonik.launch.user_cache import user_cache
from pymonik.wire import containers
from pymonik.wire.call import BundleMeta, PackMeta

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymonik.wire.call import BundleRef
    from pymonik.wire.containers import Buffer

MOST_BYTES: Final = 2 << 30  # of the files that are kept


@dataclass(frozen=True, slots=True)
class UnpackedBundle:
    """A bundle in a folder.

    Attributes:
        digest: Of its manifest.
        folder: With the files, below the names of their roots.
        places: Digest and origin of each file, by the path under which it is imported.
        tops: The top-level names among those paths.
    """

    digest: str
    folder: Path
    places: Mapping[str, tuple[str, str]]
    tops: frozenset[str]


class UnpackedBundles:
    """The bundles that one process uses; thread-safe.

    Args:
        folder: Where they are kept; by default in the user's cache.
        instead: Where they are kept when nothing can be written there.
    """

    def __init__(self, folder: Path | None = None, *, instead: Path | None = None) -> None:
        self._folders = KeptFolders[UnpackedBundle]("bundles", folder or default_folder(), instead)

    def get(self, ref: BundleRef, load: Callable[[str], Buffer]) -> UnpackedBundle:
        """A bundle, which stays in its folder until `close`.

        Args:
            ref: From the payload of a task.
            load: Gives the container of one of its results.

        Raises:
            SerializationError: What was sent is damaged, or not what it says.
            OSError: It cannot be written here.
        """
        return self._folders.find(
            ref.digest, partial(_unpack, ref, load), partial(_read, ref.digest)
        )

    def close(self) -> None:
        """Let go of all folders: they may be removed when room is needed."""
        self._folders.close()


def _unpack(ref: BundleRef, load: Callable[[str], Buffer], place: Path) -> None:
    home = place.parent.parent
    manifest, *packs = ref.result_ids
    container = load(manifest)
    # Results come from whoever may submit to the session: nothing in them is taken for granted.
    meta, _ = containers.split(container)
    if not isinstance(meta, BundleMeta):
        raise SerializationError("the manifest of a bundle is none")
    _keep(meta, packs, load, home)
    building = Path(tempfile.mkdtemp(prefix=f".{ref.digest}-", dir=place.parent))
    try:
        _link(meta, building, home)
        (building / MANIFEST).write_bytes(container)
        building.chmod(0o700)
        building.rename(place)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    make_room(home, MOST_BYTES)


def _keep(meta: BundleMeta, packs: list[str], load: Callable[[str], Buffer], home: Path) -> None:
    """Have the bytes of all files here; packs are read only if one is missing."""
    missing = {file.digest for file in meta.files if not _file(home, file.digest).exists()}
    for result_id in packs:
        if not missing:
            return
        pack, blobs = containers.split(load(result_id))
        if not isinstance(pack, PackMeta):
            raise SerializationError("a pack of files is none")
        for digest, blob in zip(pack.digests, blobs, strict=True):
            if digest in missing:
                _write(_file(home, digest), digest, blob)
                missing.discard(digest)
    if missing:
        raise SerializationError(f"{len(missing)} files of a bundle were not sent")


def _file(home: Path, digest: str) -> Path:
    if not digest.isalnum():
        raise SerializationError("a file of a bundle is known by its digest")
    return home / "files" / digest[:2] / digest


def _write(target: Path, digest: str, data: memoryview) -> None:
    if hashlib.sha256(data).hexdigest() != digest:
        raise SerializationError("a file of a bundle is not what it was")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, path = tempfile.mkstemp(dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(path).chmod(0o444)  # bundles share it: nobody may write into it
        Path(path).rename(target)
    except BaseException:  # a full disk keeps no half of a file
        Path(path).unlink(missing_ok=True)
        raise


def _link(meta: BundleMeta, folder: Path, home: Path) -> None:
    made: set[Path] = set()
    for file in meta.files:
        target = folder / _checked(file.path)
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        source = _file(home, file.digest)
        try:
            # Bundles of one program share nearly all their files, and a link costs neither bytes
            # nor page cache.
            os.link(source, target)
        except OSError:  # no links here, or too many
            shutil.copy(source, target)


def _read(digest: str, folder: Path) -> UnpackedBundle:
    meta, _ = containers.split((folder / MANIFEST).read_bytes())
    if not isinstance(meta, BundleMeta):
        raise SerializationError("the manifest of a bundle is none")
    origins = dict(zip(meta.roots, meta.origins, strict=True))
    # Of two roots with a file at the same path the first in ``roots`` is imported: they are in the
    # order of the program's path. Files are in the order of their names, and roots are numbered as
    # they were met.
    order = {root: number for number, root in enumerate(meta.roots)}
    places: dict[str, tuple[str, str]] = {}
    for file in sorted(meta.files, key=lambda one: order[one.path.partition("/")[0]]):
        root, _, below = file.path.partition("/")
        places.setdefault(below, (file.digest, origins[root]))
    return UnpackedBundle(digest, folder, places, frozenset(map(top_of, places)))


def top_of(path: str) -> str:
    """The first part of a path of a bundle below its root."""
    return path.partition("/")[0]


def default_folder() -> Path:
    """In the user's cache, beside the environments."""
    return user_cache() / "content"


def _checked(path: str) -> PurePosixPath:
    """A path below the bundle's folder; never one that leads out of it."""
    checked = PurePosixPath(path)
    if checked.is_absolute() or ".." in checked.parts or len(checked.parts) < 2 or "\0" in path:
        raise SerializationError(f"a bundle has a file called {path!r}")
    return checked


def make_room(folder: Path, most_bytes: int) -> None:
    """Remove bundles that nobody uses, those used longest ago first, while there is too much."""
    files = folder / "files"
    if _nbytes(files) <= most_bytes:
        return
    locks = sorted((folder / "bundles").glob("*.lock"), key=lambda path: path.stat().st_mtime)
    for lock in locks:
        with alone(lock) as is_unused:
            if is_unused:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        # A file goes with the last bundle that has it, so there is more room only after this.
        _remove_unlinked(files)
        if _nbytes(files) <= most_bytes:
            return


def _remove_unlinked(files: Path) -> None:
    for path in files.glob("*/*"):
        with contextlib.suppress(OSError):
            # Linked from nowhere else: no bundle has it any more.
            if path.is_file() and path.stat().st_nlink == 1:
                path.unlink()
                for compiled in path.parent.glob(f"__pycache__/{path.name}.*"):
                    compiled.unlink()


def _nbytes(files: Path) -> int:
    total = 0
    for path in files.glob("*/*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total
