"""Mappings of large inputs, used again where nobody can tell them from new ones.

Mapping a large file and giving it back costs page tables, more than many a call does. Calls that
share an input often follow each other, so what one has mapped serves the next, unless

- somebody still holds it: whatever is made of a mapping keeps a reference to it;
- somebody wrote to it. The first write to a page copies it, which is a page fault: a process
  without one since then has not written; otherwise the kernel tells which pages are copies.

Only inputs of the last call are kept, and for a second when no other call comes: data that the
cluster has deleted does not take memory for longer.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from pymonik.content.mapped import mapped
from pymonik.executor import files
from pymonik.executor.usage import faults

if TYPE_CHECKING:
    from collections.abc import Collection

    from pymonik.wire.containers import Buffer

IDLE_S = 1.0  # without a call, until nothing is kept
_LEAST = 1 << 20  # bytes: below, a new mapping costs little more than looking at a kept one
_PAGE_MAP = "/proc/self/pagemap"  # eight bytes for each page, flags in the last of them
_ENTRY_BYTES = 8
# Entries that one `pread` fetches, 256 KiB of them, so that a mapping of many GB needs no large
# buffer.
_PAGES_AT_ONCE = 1 << 15
# A page that was never touched; one of the file; one of the file that nobody else maps. A private
# copy lacks 0x20, and a page in swap has 0x40: neither is in this list.
# The highest byte of a pagemap entry: 0x80 the page is present, 0x20 it is of a file, 0x01 it is
# mapped by this process alone (Linux, Documentation/admin-guide/mm/pagemap.rst).
_NOT_COPIED = bytes([0x00, 0xA0, 0xA1])


class _Kept(msgspec.Struct, eq=False):
    mapping: ctypes.Array[ctypes.c_char]
    file: tuple[int, ...]
    faults: int  # of this process, when nobody had written

    def is_pristine(self) -> bool:
        """Whether nobody holds it, and nobody wrote to it."""
        if sys.getrefcount(self.mapping) > _REFERENCES:
            return False
        # A write to a page of a private mapping is a fault. So where the count of the process has
        # not moved nobody has written, which is known without reading the page map.
        if self.faults != faults():
            if _has_copies(self.mapping):
                return False
            self.faults = faults()
        return True


class Mappings:
    """The large inputs of an executor, which runs one call at a time."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def load(self, source: str | bytes) -> Buffer:
        """The content of an input, as `files.load` gives it."""
        return files.load(source) if isinstance(source, bytes) else self._of_file(source)

    def _of_file(self, path: str) -> Buffer:
        file = _identity(path)
        # Taken out first: if the file cannot be mapped, nothing stale is left under this path.
        kept = self._kept.pop(path, None)
        if kept is None or kept.file != file or not kept.is_pristine():
            content = files.load(path)
            mapping = content.obj if isinstance(content, memoryview) else None
            if not isinstance(mapping, ctypes.Array) or len(mapping) < _LEAST or not _writes_show():
                return content
            kept = _Kept(mapping, file, faults())
        self._kept[path] = kept
        return memoryview(kept.mapping).cast("B")

    def begin_call(self, paths: Collection[str]) -> None:
        """Give up what the call does not have among its inputs."""
        if self._kept:
            self._kept = {path: self._kept[path] for path in self._kept.keys() & set(paths)}

    def end_call(self) -> None:
        """Give up what the call wrote to or holds, and with it the memory of the copies."""
        self._kept = {path: kept for path, kept in self._kept.items() if kept.is_pristine()}

    def clear(self) -> None:
        """Give up all."""
        self._kept.clear()


inputs = Mappings()  # of this process


@functools.cache
def _writes_show() -> bool:
    """Whether this system tells of a write, in both ways: tried on one page."""
    if sys.platform != "linux" or sys.byteorder != "little":
        return False
    try:
        with os.fdopen(os.memfd_create("pymonik"), "wb") as page:
            page.truncate(mmap.PAGESIZE)
            view = mapped(page.fileno(), mmap.PAGESIZE)
    except (AttributeError, OSError):  # no such call, or forbidden
        return False
    mapping: Any = view.obj
    read = view[0]
    before, was_copied = faults(), _has_copies(mapping)
    view[0] = read + 1
    return not was_copied and _has_copies(mapping) and faults() != before


def _identity(path: str) -> tuple[int, ...]:
    stat = os.stat(path)  # noqa: PTH116 - no need for a Path
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _has_copies(mapping: ctypes.Array[ctypes.c_char]) -> bool:
    """Whether a page of it is a copy, or may be one."""
    first = ctypes.addressof(mapping) // mmap.PAGESIZE
    count = -(-len(mapping) // mmap.PAGESIZE)
    try:
        page_map = os.open(_PAGE_MAP, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return any(
            _tells_of_copies(page_map, first + start, min(_PAGES_AT_ONCE, count - start))
            for start in range(0, count, _PAGES_AT_ONCE)
        )
    finally:
        os.close(page_map)


def _tells_of_copies(page_map: int, first: int, count: int) -> bool:
    try:
        entries = os.pread(page_map, count * _ENTRY_BYTES, first * _ENTRY_BYTES)
    except OSError:
        return True
    flags = entries[_ENTRY_BYTES - 1 :: _ENTRY_BYTES]
    return len(flags) < count or bool(flags.translate(None, _NOT_COPIED))


def _references() -> int:
    kept = _Kept((ctypes.c_char * 1)(), (), 0)
    return sys.getrefcount(kept.mapping)


_REFERENCES = _references()  # to a mapping that nobody holds
