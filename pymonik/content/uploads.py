"""What a session has uploaded: files by digest, each once, many in one pack.

::

    files that are new ─► pack ─┐
    manifest ───────────────────┴─► results ─► `BundleRef` in the payload of each task

After an edit only the files that changed go up, in a pack of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymonik.wire import containers
from pymonik.wire.call import BundleRef, PackMeta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pymonik.code.bundle import Bundle
    from pymonik.wire.containers import Buffer

    Store = Callable[[Sequence[tuple[str, list[Buffer]]]], Sequence[str]]

# Bytes of one pack, unless a single file is larger: a worker that lacks one file reads the pack.
PACK_BYTES: Final = 16 * 1024 * 1024
# Packs that a task depends on; after so many edits all files go up again as one.
MOST_PACKS: Final = 8


class Uploads:
    """The packs and manifests of one session. One thread at a time may upload.

    Args:
        store: Creates results from names and segments; gives their ids.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._packs: dict[str, str] = {}  # result id of the pack, by digest of a file in it
        self._refs: dict[str, BundleRef] = {}  # by digest of the manifest

    def ref(self, bundle: Bundle) -> BundleRef:
        """Where the files of a bundle are, for the payload of a task; uploads what is new."""
        known = self._refs.get(bundle.digest)
        if known is None:
            known = self._refs[bundle.digest] = self._uploaded(bundle)
        return known

    def _uploaded(self, bundle: Bundle) -> BundleRef:
        sizes = {file.digest: file.size for file in bundle.meta.files}
        packs = {self._packs[digest] for digest in sizes if digest in self._packs}
        new = [digest for digest in sizes if digest not in self._packs]
        # Files that were edited since they were read cannot be sent once more under their old
        # digests; then the dependencies grow by one more pack.
        if len(packs) >= MOST_PACKS and _can_be_read(bundle, sizes):
            packs, new = set(), list(sizes)
        groups = list(_grouped(new, sizes))
        results = [(f"files {i}", _pack(bundle, group)) for i, group in enumerate(groups)]
        results.append((f"bundle {bundle.digest}", containers.join(bundle.meta, ())))
        *pack_ids, manifest_id = self._store(results)
        for group, result_id in zip(groups, pack_ids, strict=True):
            self._packs.update(dict.fromkeys(group, result_id))
        # The bytes need not be kept in memory any longer.
        bundle.contents.uploaded(new)
        return BundleRef(bundle.digest, (manifest_id, *sorted({*packs, *pack_ids})))


def _can_be_read(bundle: Bundle, digests: Iterable[str]) -> bool:
    """Whether all files are what they were, so that they can be sent again."""
    try:
        for digest in digests:
            bundle.contents.get(digest)
    except OSError:
        return False
    return True


def _grouped(digests: Sequence[str], sizes: dict[str, int]) -> Iterator[list[str]]:
    group: list[str] = []
    nbytes = 0
    for digest in digests:
        if group and nbytes + sizes[digest] > PACK_BYTES:
            yield group
            group, nbytes = [], 0
        group.append(digest)
        nbytes += sizes[digest]
    if group:
        yield group


def _pack(bundle: Bundle, digests: Sequence[str]) -> list[Buffer]:
    meta = PackMeta(digests=tuple(digests))
    return containers.join(meta, [bundle.contents.get(digest) for digest in digests])
