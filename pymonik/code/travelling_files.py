"""Which files travel: whole packages, modules, and data beside modules; never secrets or rubbish.

A file is known by its path and read only when its time or size has changed.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Files that never travel, whatever is asked for: caches, keys and passwords, sockets, leftovers of
# editors.
_NEVER_FOLDERS: Final = frozenset({"__pycache__", "node_modules"})
_NEVER_FILES: Final = (
    *("*.pyc", "*.pyo", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.env", "credentials", "credentials.*"),
    *("secrets", "secrets.*", "*.sock", "*.egg-info", "*.dist-info", "*.swp", "*~"),
)
CODE: Final = (".py", ".pyi", ".so", ".pyd")


Stat = tuple[int, int]  # what changes when a file does: time in nanoseconds, size in bytes


def stat_of(path: str) -> Stat | None:
    """Time and size of the file at ``path``; ``None`` if it cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def is_secret_or_rubbish(name: str, *, is_folder: bool) -> bool:
    """Whether a file or folder of this name never travels, whatever is asked for."""
    if name.startswith("."):
        return True
    if is_folder:
        return name in _NEVER_FOLDERS or name.endswith((".egg-info", ".dist-info"))
    lowered = name.lower()
    return any(fnmatch.fnmatchcase(lowered, pattern) for pattern in _NEVER_FILES)


def walk(folder: str) -> Iterator[tuple[str, bool]]:
    """Everything below a folder that may travel: paths, and whether each is a folder."""
    yield folder, True
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        is_folder = entry.is_dir()
        if is_secret_or_rubbish(entry.name, is_folder=is_folder):
            continue
        if not is_folder:
            if entry.is_file():
                yield entry.path, False
        # Not into virtual environments, nor along links, which may lead in circles or out of the
        # program.
        elif not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")) and not entry.is_symlink():
            yield from walk(entry.path)


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path below a root is meant by one of the patterns, itself or a folder above it."""
    parts = path.split("/")
    above = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    return any(
        fnmatch.fnmatchcase(one, pattern) or fnmatch.fnmatchcase(one.rpartition("/")[2], pattern)
        for pattern in (text.rstrip("/") for text in patterns)
        for one in above
    )


class Hashes:
    """Digests of files, each read once for a time and a size."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Stat, str]] = {}

    def digest(self, path: str, stat: Stat) -> tuple[str, bytes | None]:
        """SHA-256 of a file, and its bytes if it had to be read.

        Raises:
            OSError: It cannot be read.
        """
        known = self._known.get(path)
        if known is not None and known[0] == stat:
            return known[1], None
        data = read(path)
        digest = digest_of(data)
        self._known[path] = stat, digest
        return digest, data


hashes = Hashes()  # of this process: sessions that follow each other send the same files


def digest_of(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read(path: str) -> bytes:
    """The bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


def archive_of(root: str) -> str | None:
    """The zip archive in which a folder of imports lies; ``None`` for a real folder."""
    path = root
    while path and path != os.path.dirname(path):
        if os.path.isdir(path):
            return None
        if os.path.isfile(path):
            return path
        path = os.path.dirname(path)
    return None


@lru_cache(maxsize=16)
def archived(archive: str, stat: Stat, below: str) -> dict[str, bytes]:  # noqa: ARG001 - part of the key
    """The files of a zip archive below a folder in it (``""``: all), by their paths below that."""
    import zipfile  # an executor never needs it

    prefix = f"{below}/" if below else ""
    with zipfile.ZipFile(archive) as opened:
        return {
            name[len(prefix) :]: opened.read(name)
            for name in opened.namelist()
            if name.startswith(prefix) and not name.endswith(("/", ".pyc"))
        }
