"""Files go up once; a session with many edits sends them anew in one pack."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pymonik.code.bundle import Bundle
from pymonik.content.uploads import MOST_PACKS, PACK_BYTES, Uploads
from pymonik.wire import containers
from pymonik.wire.call import BundleFile, BundleMeta, PackMeta

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymonik.wire.containers import Buffer


class Contents:
    def __init__(self, gone: Iterable[str] = ()) -> None:
        self.data: dict[str, bytes] = {}
        self.gone = set(gone)

    def get(self, digest: str) -> bytes:
        if digest in self.gone:
            raise OSError("gone")
        return self.data[digest]

    def uploaded(self, digests: Iterable[str]) -> None:
        """Nothing is forgotten: a test looks at it."""


class Store:
    def __init__(self) -> None:
        self.sent: dict[str, bytes] = {}

    def __call__(self, results: Sequence[tuple[str, list[Buffer]]]) -> list[str]:
        ids = [f"result {len(self.sent) + i}" for i in range(len(results))]
        self.sent.update(
            (one, b"".join(segments)) for one, (_, segments) in zip(ids, results, strict=True)
        )
        return ids

    def digests(self, result_id: str) -> set[str]:
        meta, _ = containers.split(self.sent[result_id])
        return set(meta.digests) if isinstance(meta, PackMeta) else set()


def bundle(contents: Contents, *texts: bytes) -> Bundle:
    digests = [hashlib.sha256(text).hexdigest() for text in texts]
    contents.data.update(zip(digests, texts, strict=True))
    files = tuple(
        BundleFile(f"0/{d[:8]}.py", d, len(t)) for d, t in zip(digests, texts, strict=True)
    )
    meta = BundleMeta(files=files)
    return Bundle("".join(d[:4] for d in digests), meta, contents)  # type: ignore[arg-type]


def test_a_content_goes_up_once_and_an_edit_alone() -> None:
    store, contents = Store(), Contents()
    uploads = Uploads(store)
    first = uploads.ref(bundle(contents, b"a", b"b"))
    assert uploads.ref(bundle(contents, b"a", b"b")) == first
    assert len(store.sent) == 2  # a pack and a manifest
    second = uploads.ref(bundle(contents, b"a", b"c"))
    assert len(store.sent) == 4
    (old,) = set(first.result_ids[1:])
    (new,) = set(second.result_ids[1:]) - {old}
    assert store.digests(new) == {hashlib.sha256(b"c").hexdigest()}


def test_after_many_edits_all_files_go_up_in_one_pack() -> None:
    store, contents = Store(), Contents()
    uploads = Uploads(store)
    texts = [f"{i}".encode() for i in range(MOST_PACKS)]
    for i in range(MOST_PACKS):
        assert len(uploads.ref(bundle(contents, *texts[: i + 1])).result_ids) == i + 2
    last = bundle(contents, *texts, b"last")
    _, pack = uploads.ref(last).result_ids
    assert store.digests(pack) == {file.digest for file in last.meta.files}


def test_where_a_file_is_gone_the_old_packs_stay_in_use() -> None:
    store, contents = Store(), Contents()
    uploads = Uploads(store)
    texts = [f"{i}".encode() for i in range(MOST_PACKS)]
    for i in range(MOST_PACKS):
        uploads.ref(bundle(contents, *texts[: i + 1]))
    contents.gone = {hashlib.sha256(texts[0]).hexdigest()}
    ref = uploads.ref(bundle(contents, *texts, b"last"))
    assert len(ref.result_ids) == MOST_PACKS + 2


def test_large_files_are_spread_over_packs() -> None:
    store, contents = Store(), Contents()
    large = [bytes([i]) * (PACK_BYTES // 2 + 1) for i in range(3)]
    assert len(Uploads(store).ref(bundle(contents, *large)).result_ids) == 4
