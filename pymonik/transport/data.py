"""Bytes of results, in and out: inline, streamed, or straight through a shared object storage.

::

    small ──► CreateResults, many in one request
    large ──► CreateResultsMetaData, then UploadResultData in chunks
              or, where the storage's folder is reachable: a file, then ImportResultsData
"""

from __future__ import annotations

import contextlib
import io
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, TypeVar

from pymonik.content import objects, raw
from pymonik.content.mapped import mapped
from pymonik.errors import ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pymonik.code.references import Sealed
    from pymonik.transport.control_plane import ControlPlane
    from pymonik.wire.containers import Buffer

_T = TypeVar("_T")
_R = TypeVar("_R")

# Bytes of one request. ASP.NET, behind which ArmoniK's control plane is, refuses unary ones of 30
# MB.
REQUEST_BYTES = 16 * 1024 * 1024
INLINE_BYTES = 1024 * 1024  # bytes of data up to which they go into a request with others
_DIRECT_BYTES = 256 * 1024  # bytes, where a file can be written into the storage instead
_MAPPED_BYTES = 64 * 1024  # bytes of a file from which it is mapped: to read less is faster
_PARALLEL = 8  # streams at the same time
_ITEM_BYTES = 128  # of a request, for each result besides its data


class DataStore:
    """The data of one session."""

    def __init__(
        self, plane: ControlPlane, session_id: str, *, chunk_bytes: int, folder: Path | None
    ) -> None:
        self._plane = plane
        self._session_id = session_id
        self._chunk_bytes = chunk_bytes or 2 * 1024 * 1024
        self._folder = folder

    # -- in ------------------------------------------------------------------------------------

    def store(self, items: Sequence[tuple[str, Sequence[Buffer]]]) -> list[str]:
        """Create results from their (name, segments of data); their ids, in order."""
        ids = [""] * len(items)  # filled by place: small and large ones are created apart
        sizes = [sum(memoryview(s).nbytes for s in segments) for _, segments in items]
        limit = INLINE_BYTES if self._folder is None else _DIRECT_BYTES
        small = [i for i, size in enumerate(sizes) if size <= limit]
        large = [i for i, size in enumerate(sizes) if size > limit]
        for batch in _batches(small, sizes):
            data = [(items[i][0], b"".join(items[i][1])) for i in batch]
            new = self._plane.create_results(self._session_id, data)
            for i, result_id in zip(batch, new, strict=True):
                ids[i] = result_id
        if large:
            names = [items[i][0] for i in large]
            created = self._plane.create_results_metadata(self._session_id, names)
            self._put_large(list(zip(created, (items[i][1] for i in large), strict=True)))
            for i, result_id in zip(large, created, strict=True):
                ids[i] = result_id
        return ids

    def store_files(self, files: Sequence[Sealed]) -> list[str]:
        """Create raw results of files, whose names they get; their ids, in order.

        Raises:
            UsageError: A file has changed since its digest was taken.
        """
        limit = INLINE_BYTES if self._folder is None else _DIRECT_BYTES
        ids = [""] * len(files)
        small = [i for i, file in enumerate(files) if file.ref.size <= limit]
        for group in _batches(small, [file.ref.size for file in files]):
            data = [(files[i].ref.name, raw.content(files[i])) for i in group]
            new = self._plane.create_results(self._session_id, data)
            for i, result_id in zip(group, new, strict=True):
                ids[i] = result_id
        large = [i for i, file in enumerate(files) if file.ref.size > limit]
        if large:
            made = [files[i].ref.name for i in large]
            created = self._plane.create_results_metadata(self._session_id, made)
            for i, result_id in zip(large, created, strict=True):
                self._put_file(result_id, files[i])
                ids[i] = result_id
        return ids

    def _put_file(self, result_id: str, file: Sealed) -> None:
        if self._folder is None:
            self._plane.upload(
                self._session_id, result_id, lambda: raw.portions(file), self._chunk_bytes
            )
            return
        try:
            raw.place(file, self._folder, result_id)
        except OSError as error:
            raise _unwritten(error) from error
        self._plane.import_data(self._session_id, [(result_id, result_id)])

    def _put_large(self, items: list[tuple[str, Sequence[Buffer]]]) -> None:
        if self._folder is not None:
            for result_id, data in items:
                _write(self._folder, result_id, data)
            named = [(result_id, result_id) for result_id, _ in items]
            self._plane.import_data(self._session_id, named)
            return
        _side_by_side(self._upload_one, items)

    def _upload_one(self, item: tuple[str, Sequence[Buffer]]) -> None:
        result_id, data = item
        self._plane.upload(self._session_id, result_id, lambda: data, self._chunk_bytes)

    # -- out -----------------------------------------------------------------------------------

    def fetch(self, ids: Sequence[str]) -> list[memoryview]:
        """The data of completed results, in order; writable, and nobody else's."""
        if self._folder is None:
            return self._download(ids)
        folder = self._folder
        found = [_writable(data) for data in self._plane.small_data(ids)]
        # Objects of ours and of the embedded cluster have the ids of their results for names, so
        # the control plane need not be asked where they are.
        read = (_read(folder, one) for one in _missing(ids, found))
        found = _filled(found, read)
        if missing := _missing(ids, found):
            known = self._plane.list_results(list(dict.fromkeys(missing)))
            names = (known[one].opaque_id if one in known else "" for one in missing)
            read = (_read(folder, name) for name in names)
            found = _filled(found, read)
        streamed = self._download(_missing(ids, found))
        return [data for data in _filled(found, streamed) if data is not None]

    def open(self, result_id: str) -> IO[bytes]:
        """The data of a completed result, as a file: of a large one nothing is read yet."""
        if self._folder is not None and objects.is_name(result_id):
            with contextlib.suppress(FileNotFoundError):  # in the memory of the cluster
                return open(objects.path_in(self._folder, result_id), "rb")  # noqa: PTH123
        return io.BytesIO(self.fetch([result_id])[0])

    def read(self, result_id: str, most_bytes: int | None = None) -> memoryview | None:
        """The data of one result; ``None`` if more than ``most_bytes`` would have to be sent.

        Raises:
            ControlPlaneError: They are not there, or not yet.
        """
        if self._folder is not None:
            return self.fetch([result_id])[0]
        return self._plane.download(self._session_id, result_id, most_bytes)

    def _download(self, ids: Sequence[str]) -> list[memoryview]:
        return _side_by_side(self._download_one, ids)

    def _download_one(self, result_id: str) -> memoryview:
        data = self._plane.download(self._session_id, result_id)
        assert data is not None
        return data


def _side_by_side(move: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """What ``move`` gives for each of the items, in order."""
    if len(items) <= 1:
        return [move(item) for item in items]
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="pymonik-data") as threads:
        return list(threads.map(move, items))


def _writable(data: bytes | None) -> memoryview | None:
    return None if data is None else memoryview(bytearray(data))


def _missing(ids: Sequence[str], found: Sequence[memoryview | None]) -> list[str]:
    return [one for one, data in zip(ids, found, strict=True) if data is None]


def _filled(
    found: Sequence[memoryview | None], others: Iterable[memoryview | None]
) -> list[memoryview | None]:
    """``found`` with ``others`` in its gaps, in order."""
    rest = iter(others)
    return [data if data is not None else next(rest) for data in found]


def _batches(indices: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    total = 0
    for i in indices:
        size = sizes[i] + _ITEM_BYTES
        if batch and total + size > REQUEST_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(i)
        total += size
    if batch:
        yield batch


def _write(folder: Path, name: str, segments: Sequence[Buffer]) -> None:
    """A new file of the storage; nobody reads it before it is announced."""
    try:
        objects.store(folder, name, segments)
    except OSError as error:
        raise _unwritten(error) from error


def _unwritten(error: OSError) -> ControlPlaneError:
    return ControlPlaneError("ImportResultsData", f"the object storage cannot be written: {error}")


def _read(folder: Path, name: str) -> memoryview | None:
    """The content as memory that may be written without changing the file; ``None`` if absent."""
    if not objects.is_name(name):  # as a control plane of others may say
        return None
    try:
        with open(objects.path_in(folder, name), "rb") as opened:  # noqa: PTH123
            size = opened.seek(0, 2)  # to the end, which gives its position
            if size >= _MAPPED_BYTES:
                return mapped(opened.fileno(), size)
            opened.seek(0)
            return memoryview(bytearray(opened.read()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ControlPlaneError(
            "DownloadResultData", f"the object storage cannot be read: {error}"
        ) from error
