"""Packages that lie at the client, as wheels that travel.

A project is built by uv, once for each state of its files. The wheel lies in the user's cache under
the digest of its bytes, from where the session uploads it::

    environments/wheels/<sha256>/<name>.whl
    environments/projects/<digest of the state>       holds "<sha256> <name>.whl"
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pymonik.environments import cache_folder, installer
from pymonik.errors import EnvironmentSetupError, UsageError
from pymonik.launch.user_cache import about_cache
from pymonik.wire import containers
from pymonik.wire.call import PackMeta
from pymonik.wire.environment import PackageFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymonik.wire.containers import Buffer

TRAVELLING = "travelling:"  # stands in a requirement before the name of one of its wheels
BUILD_LIMIT_S = 600.0  # seconds for building one project, with what its build needs
_MOST_FILES = 50_000  # of a project; more means that the folder is not what the user thinks
# Folders of a project that do not go into its wheel, or that a build itself writes: with them the
# state of the project would be another after each build.
_PASSED_OVER = frozenset(
    (".git", ".hg", "__pycache__", ".venv", "venv", "node_modules", "build", "dist", ".tox")
)


def wheel_of(path: Path) -> PackageFile:
    """The wheel of a project folder, of a source archive, or the wheel itself.

    Raises:
        UsageError: It cannot be read or built; the message has the builder's words.
    """
    try:
        if path.suffix == ".whl":
            return kept(path)
        return _built(path)
    except OSError as error:
        raise UsageError(
            f"environment: {path} cannot be made a wheel: {about_cache(error)}"
        ) from error


def path_of(file: PackageFile) -> Path:
    """Where the bytes of a wheel lie on this machine."""
    return cache_folder.folder() / "wheels" / file.digest / file.name


def kept(wheel: Path) -> PackageFile:
    """A wheel, copied into the cache: what is uploaded later must be what was seen now."""
    with wheel.open("rb") as opened:
        data = opened.read()
    file = PackageFile(wheel.name, hashlib.sha256(data).hexdigest())
    cache_folder.keep(path_of(file), data)
    return file


def written(lines: Sequence[str], name: str) -> PackageFile:
    """A list that is too long for every payload, as a file that is uploaded once."""
    data = "\n".join(lines).encode()
    file = PackageFile(f"{name}.txt", hashlib.sha256(data).hexdigest())
    cache_folder.keep(path_of(file), data)
    return file


def unfolded(lines: Sequence[str], files: Sequence[PackageFile]) -> tuple[str, ...]:
    """The lines, or those of the file that came along instead of them."""
    if len(lines) == 1:
        for file in files:
            if lines[0].endswith(f" {TRAVELLING}{file.name}") and file.name.endswith(".txt"):
                return tuple(path_of(file).read_text().splitlines())
    return tuple(lines)


def container(file: PackageFile) -> list[Buffer]:
    """What is uploaded of a wheel: a container with its bytes as the only blob.

    Raises:
        UsageError: The wheel is gone from the cache.
    """
    try:
        data = path_of(file).read_bytes()
    except OSError as error:
        raise UsageError(f"environment: the wheel {file.name} is gone: {error}") from error
    return containers.join(PackMeta(digests=(file.digest,)), [data])


def receive(file: PackageFile, data: bytes) -> None:
    """Keep a wheel that came with a call.

    Raises:
        EnvironmentSetupError: It is not what its name and digest say.
    """
    is_plain = Path(file.name).name == file.name and file.name.endswith((".whl", ".txt"))
    if not is_plain or hashlib.sha256(data).hexdigest() != file.digest:
        raise EnvironmentSetupError(f"{file.name!r} is not the file that the client has named")
    cache_folder.keep(path_of(file), data)


def _built(path: Path) -> PackageFile:
    memo = cache_folder.folder() / "projects" / _state(path)
    if (known := _known(memo)) is not None:
        return known
    folder = Path(tempfile.mkdtemp(prefix="pymonik-wheel-"))
    try:
        _build(path, folder)
        (wheel,) = folder.glob("*.whl")
        file = kept(wheel)
    except ValueError as error:
        raise UsageError(f"environment: {path} builds no wheel, or several") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    cache_folder.keep(memo, f"{file.digest} {file.name}".encode())
    return file


def _known(memo: Path) -> PackageFile | None:
    try:
        digest, name = memo.read_text().split(" ", 1)
    except (OSError, ValueError):
        return None
    file = PackageFile(name, digest)
    return file if path_of(file).is_file() else None


def _build(path: Path, folder: Path) -> None:
    command = ["build", "--wheel", "--python", installer.python(), "--out-dir", str(folder)]
    # Dates in a wheel would give the same files another digest each time.
    # The value is the start of 1980, the earliest time in a zip.
    variables = {"SOURCE_DATE_EPOCH": "315532800"}
    try:
        installer.run([*command, str(path)], cwd=folder, limit_s=BUILD_LIMIT_S, variables=variables)
    except EnvironmentSetupError as error:
        raise UsageError(f"environment: {path} cannot be built:\n{error.message}") from error


def _state(path: Path) -> str:
    """Changes when a file of the project does, or its place."""
    seen = hashlib.sha256(f"{path}\n{installer.python()}\n".encode())
    for number, one in enumerate(_files(path)):
        if number == _MOST_FILES:
            raise UsageError(f"environment: {path} has more than {_MOST_FILES} files")
        about = one.stat()
        seen.update(f"{one} {about.st_size} {about.st_mtime_ns}\n".encode())
    return seen.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for place, folders, names in os.walk(path):
        folders[:] = sorted(
            name for name in folders if name not in _PASSED_OVER and not name.endswith(".egg-info")
        )
        yield from (Path(place, name) for name in sorted(names))
