"""What an environment comes to on this machine: every package in its version, with its hashes.

The id of a lock is that of the folder with its packages. It covers all that can make two of them
differ: the lines, what they say of local files, where packages come from, the platform, and the
interpreter. Passwords in the addresses of indexes are taken out first.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pymonik.environments import cache_folder, installer, local_packages

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymonik.wire.environment import Environment

RESOLVE_LIMIT_S = 600.0  # seconds; uv may have to build packages only to learn what they need
# Variables of uv that decide which packages it finds, and which of them it takes.
_PLACES = (
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS",
    "UV_INDEX_STRATEGY", "UV_EXCLUDE_NEWER", "UV_RESOLUTION", "UV_PRERELEASE", "UV_CONSTRAINT",
    "UV_OVERRIDE",
)  # fmt: skip
# Seconds (a day) in which a lock stands for what the indexes have; `pymonik env clean` forgets it.
FRESH_S = 86_400.0
_MOST_WHEELS = 4096  # files of a folder that are looked at; each costs a `stat` at each request


class Lock(msgspec.Struct, frozen=True):
    """Packages in their versions.

    Attributes:
        lines: In the syntax of requirements files.
        lock_id: Known by all that the folder of packages depends on.
    """

    lines: tuple[str, ...]
    lock_id: str


def resolve(environment: Environment, is_wanted: Callable[[], bool]) -> Lock:
    """The lock of an environment whose wheels are in the cache.

    Raises:
        EnvironmentSetupError: uv cannot resolve it; the message is its own.
        Unwanted: Nobody wants it any more.
    """
    if environment.is_locked:
        return of_lines(environment, environment.pip)
    return of_lines(environment, _resolved(environment, is_wanted))


def of_lines(environment: Environment, lines: tuple[str, ...]) -> Lock:
    """The lock with these lines, or with those of the file that they name."""
    lines = local_packages.unfolded(lines, environment.files)
    files = "\n".join(f"{file.name} {file.digest}" for file in environment.files)
    text = "\n".join((*lines, files, *environment.indexes, *_identity()))
    return Lock(lines, hashlib.sha256(text.encode()).hexdigest()[:24])


def request_id(environment: Environment) -> str:
    """Changes when the same environment might come to another lock."""
    text = "\n".join((environment.packages_id, *_identity(), *_contents()))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def in_words(environment: Environment) -> tuple[str, ...]:
    """The requirements for people: without hashes, and with the names of files that came along."""
    lines = (line.partition(" --hash")[0] for line in environment.pip)
    start = f"-r {local_packages.TRAVELLING}"
    return tuple(line.removeprefix(start).removesuffix(".txt") for line in lines)


def requirements_text(environment: Environment, lines: tuple[str, ...]) -> str:
    """A requirements file that uv can read here: with the paths of the wheels that came along."""
    text = "\n".join((*environment.indexes, *lines)) + "\n"
    for file in environment.files:
        path = local_packages.path_of(file)
        text = text.replace(f"{local_packages.TRAVELLING}{file.name}", path.as_uri())
    return text


def _resolved(environment: Environment, is_wanted: Callable[[], bool]) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory(prefix="pymonik-resolve-") as name:
        folder = Path(name)
        asked, limits = folder / "requirements.in", folder / "constraints.txt"
        files = environment.files
        pip = local_packages.unfolded(environment.pip, files)
        asked.write_text(requirements_text(environment, pip))
        limits.write_text("\n".join(local_packages.unfolded(environment.constraints, files)))
        command = ["pip", "compile", "--quiet", "--no-progress", "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--python", installer.python()]
        command += [*installer.limit_options(os.environ), "--constraint", str(limits), str(asked)]
        text = installer.run(command, cwd=folder, limit_s=RESOLVE_LIMIT_S, is_wanted=is_wanted)
    for file in environment.files:
        path = local_packages.path_of(file)
        # uv writes the path as an address or as it is. In the lock stands neither: the cache of
        # another user or machine lies elsewhere, and the same packages must have the same id.
        for written in (path.as_uri(), str(path)):
            text = text.replace(written, f"{local_packages.TRAVELLING}{file.name}")
    joined = text.replace("\\\n", " ")
    lines = (" ".join(line.split()) for line in joined.splitlines())
    return tuple(line for line in lines if line and not line.startswith(("#", "--")))


def _identity() -> list[str]:
    """What of this machine decides about the packages, and how they are used."""
    variables = installer.installer_variables(os.environ)
    places = {name: variables[name] for name in _PLACES if name in variables}
    return [
        *(f"{name}={installer.without_secrets(value)}" for name, value in sorted(places.items())),
        f"no-index={installer.asks_no_index(os.environ)}",
        sys.version,
        sysconfig.get_platform(),
        "-".join(platform.libc_ver()),
        # The folder's interpreter sees the packages of this one behind its own.
        sys.prefix,
    ]


def _contents() -> list[str]:
    """Files that places and limits name: a lock is outdated when one of them is new."""
    variables = installer.installer_variables(os.environ)
    limits = f"{variables.get('UV_CONSTRAINT', '')} {variables.get('UV_OVERRIDE', '')}".split()
    folders = [Path(one) for one in variables.get("UV_FIND_LINKS", "").split(",") if one]
    found = [_digest(Path(file)) for file in limits]
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                files = sorted((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in entries)
        except OSError:  # an address, or not there: uv says so
            continue
        found += [" ".join(map(str, file)) for file in files[:_MOST_WHEELS]]
    return found


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:  # an address, or not there: uv says so
        return ""


# -- what was resolved before --------------------------------------------------------------------


def remembered(request: str, *, most_s: float = FRESH_S) -> Lock | None:
    """The lock that a request came to in the last hours, by this cluster or another."""
    path = _memo(request)
    try:
        is_fresh = time.time() - path.stat().st_mtime < most_s
        return msgspec.json.decode(path.read_bytes(), type=Lock) if is_fresh else None
    except (OSError, msgspec.MsgspecError):
        return None


def remember(request: str, lock: Lock) -> None:
    """Keep what a request came to just now."""
    path = _memo(request)
    path.unlink(missing_ok=True)
    cache_folder.keep(path, msgspec.json.encode(lock))


def _memo(request: str) -> Path:
    return cache_folder.folder() / "locks" / f"{request}.json"
