"""Files that code names by a constant: ``pandas.read_csv("data/cases.csv")``.

Where a worker reads them is not known here; but where they lie here too, another content most
likely gives another value. A text that names no file by chance costs one look each time.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pymonik.cache.codes import Part, all_codes

if TYPE_CHECKING:
    import types
    from collections.abc import Iterable, Iterator

_LONGEST: Final = 255  # characters of a text that may be a path
_MOST_READ: Final = 64 << 20  # bytes; of a larger file its size and time count
_PORTION: Final = 1 << 20  # bytes that are read at once


def texts_of(codes: Iterable[types.CodeType]) -> frozenset[str]:
    """Constants in code that may be paths of files."""
    return frozenset(text for code in codes for text in _texts(code))


@lru_cache(maxsize=16_384)
def _texts(code: types.CodeType) -> frozenset[str]:
    return frozenset(
        text for one in all_codes(code) for text in _strings(one.co_consts) if _may_be_path(text)
    )


def _strings(values: tuple[object, ...]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from _strings(value)


def _may_be_path(text: str) -> bool:
    # Most texts of a program are words and messages: a look at the disk for each would be felt.
    has_sign = "." in text.strip(".") or "/" in text
    return has_sign and len(text) <= _LONGEST and text.isprintable()


def named_files(texts: frozenset[str], made_in: str = "") -> list[Part]:
    """The files that lie here now under names among these texts, with their contents.

    Args:
        texts: In the code.
        made_in: A folder that is left out.
    """
    left_out = os.path.join(os.path.abspath(made_in), "") if made_in else None  # noqa: PTH100, PTH118
    # A program may be started from elsewhere and go to its folder in the task only.
    folders = dict.fromkeys((os.curdir, _folder_of_program()))
    return [
        Part(f"file {text}", digest)
        for text in sorted(texts)
        if left_out is None or not os.path.abspath(text).startswith(left_out)  # noqa: PTH100
        if (digest := next(filter(None, (_content(f"{one}/{text}") for one in folders)), None))
    ]


def _folder_of_program() -> str:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.dirname(file) if isinstance(file, str) and file else os.curdir  # noqa: PTH120


def _content(path: str) -> str | None:
    try:
        about = os.stat(path)  # noqa: PTH116 - for each call
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(about.st_mode):
        return None
    return _digest(path, about.st_size, about.st_mtime_ns, about.st_ino)


@lru_cache(maxsize=1024)
def _digest(path: str, size: int, time_ns: int, inode: int) -> str | None:
    """The digest of a file, remembered as long as size, time and inode are the same."""
    if size > _MOST_READ:
        return f"{size} bytes, {time_ns}, {inode}"
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            while data := file.read(_PORTION):
                digest.update(data)
    except OSError:
        return None
    return digest.hexdigest()[:32]
