"""Folders of packages, one for each lock, built once and kept in the user's cache.

::

    environments/<python>-<lock id>/         a virtual environment
    environments/<python>-<lock id>.json     what it holds, see `About`
    environments/<python>-<lock id>.lock     held: shared while used, exclusively while built;
                                             its time is that of the last use
    environments/.<python>-<lock id>-xxxx/   being built, or left by a process that was killed

A folder is built beside its place and renamed when it is complete. Its interpreter sees the
packages of the folder and behind them those of the worker, with the standard library before both.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import site
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pymonik.environments import cache_folder, installer, locks
from pymonik.environments.not_ready import Unwanted
from pymonik.errors import EnvironmentSetupError, UsageError
from pymonik.launch import sizes
from pymonik.launch.user_cache import about_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymonik.environments.locks import Lock
    from pymonik.wire.environment import Environment

# Seconds for making the folder, and for installing into it: gigabytes of wheels over a slow line
# take minutes, and a uv that hangs must end some time.
BUILD_LIMIT_S = 1800.0
LIMIT_BYTES = 20 << 30  # of all folders together, where `LIMIT_VARIABLE` says nothing
LIMIT_VARIABLE = "PYMONIK_ENVIRONMENTS_LIMIT"
_LOOK_S = 0.05  # seconds between two tries to get a lock that another process holds


class About(msgspec.Struct, frozen=True):
    """What is known of a folder.

    Attributes:
        asked: The requirements, as `locks.in_words` shows them.
        lines: The packages in their versions.
        nbytes: Of all files; those that the installer shares between folders count in each.
        is_built: Whether the folder is complete.
    """

    asked: tuple[str, ...]
    lines: tuple[str, ...]
    nbytes: int = 0
    is_built: bool = False


class Entry(msgspec.Struct, frozen=True):
    """One folder in a list of all.

    Attributes:
        name: Of the folder.
        about: What is in it; ``None`` where that was not written down.
        used_at: Last use, in seconds since the epoch.
        is_used: A process uses it, or builds it, now.
    """

    name: str
    about: About | None
    used_at: float
    is_used: bool


class UsedFolder:
    """A folder of packages that nobody removes until `close`.

    Attributes:
        path: The folder to import from.
    """

    def __init__(self, place: Path, lock: int) -> None:
        self.path = str(_site_packages(place))
        self._lock = lock

    def close(self) -> None:
        """Let it be removed."""
        os.close(self._lock)


def obtain(environment: Environment, lock: Lock, is_wanted: Callable[[], bool]) -> UsedFolder:
    """The folder of a lock, built if it is not there.

    Raises:
        EnvironmentSetupError: It cannot be built; the message is the installer's.
        Unwanted: Nobody wants it any more.
    """
    place = _place(lock)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(_lock_file(place), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _obtain(place, held, environment, lock, is_wanted)
            os.utime(held)
            return UsedFolder(place, held)
        except BaseException:
            os.close(held)
            raise
    except OSError as error:
        raise EnvironmentSetupError(f"no room for packages: {about_cache(error)}") from error


def known(lock: Lock) -> UsedFolder | None:
    """The folder of a lock if it is there already; does not wait."""
    place = _place(lock)
    if not place.is_dir():
        return None
    held = os.open(_lock_file(place), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # Looked at once more with the lock held: until then another process could remove the folder.
    if try_lock(held, fcntl.LOCK_SH) and place.is_dir():
        os.utime(held)
        return UsedFolder(place, held)
    os.close(held)
    return None


def _obtain(
    place: Path, held: int, environment: Environment, lock: Lock, is_wanted: Callable[[], bool]
) -> None:
    """Have the folder be there and hold its lock shared."""
    while True:
        if try_lock(held, fcntl.LOCK_SH) and place.is_dir():
            return
        # A lock is given up before it is changed: of two who want to build, one gets it.
        if try_lock(held, fcntl.LOCK_EX):
            if not place.is_dir():
                _build(place, environment, lock, is_wanted)
                make_room(limit())
            continue
        # Another process builds. A wait in `flock` itself could not be given up when nobody wants
        # the folder any more.
        if not is_wanted():
            raise Unwanted
        time.sleep(_LOOK_S)


def try_lock(held: int, kind: int) -> bool:
    """Lock an open file, as `fcntl.flock` does, if that needs no waiting."""
    try:
        fcntl.flock(held, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _place(lock: Lock) -> Path:
    return cache_folder.folder() / f"{sys.implementation.cache_tag}-{lock.lock_id}"


def _lock_file(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def _about_file(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")


def _site_packages(place: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return place / "lib" / version / "site-packages"


# -- building ------------------------------------------------------------------------------------


def _build(
    place: Path, environment: Environment, lock: Lock, is_wanted: Callable[[], bool]
) -> None:
    """Called with the lock held exclusively."""
    _remove_begun(place)
    about = About(asked=locks.in_words(environment), lines=lock.lines)
    # Written before as well as after: `pymonik env list` shows what is being built.
    _write_about(place, about)
    begun = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        _install(begun, environment, lock, is_wanted)
        _add_packages_of_worker(begun, place)
        _write_about(place, msgspec.structs.replace(about, nbytes=_nbytes(begun), is_built=True))
        begun.rename(place)
    except BaseException:
        _about_file(place).unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def _install(
    folder: Path, environment: Environment, lock: Lock, is_wanted: Callable[[], bool]
) -> None:
    # Scripts of a relocatable environment find its interpreter after the folder got its name.
    make = ["venv", "--quiet", "--relocatable", "--python", installer.python(), str(folder)]
    installer.run(make, cwd=folder.parent, limit_s=BUILD_LIMIT_S, is_wanted=is_wanted)
    asked = folder / "packages.txt"
    asked.write_text(locks.requirements_text(environment, lock.lines))
    # The lock names all packages: without ``--no-deps`` uv would resolve once more, and perhaps
    # otherwise.
    command = ["pip", "install", "--quiet", "--no-progress", "--no-deps"]
    command += ["--python", str(folder / "bin" / "python"), "--requirement", str(asked)]
    command += ["--offline"] if environment.is_offline else []
    installer.run(command, cwd=folder.parent, limit_s=BUILD_LIMIT_S, is_wanted=is_wanted)
    for needless in _site_packages(folder).glob("_virtualenv.*"):  # costs each start 2 ms
        needless.unlink()


def _add_packages_of_worker(folder: Path, place: Path) -> None:
    """Have the folder's own interpreter import what is installed with the worker, after the rest.

    An executor, which has those on its path already, passes this line over.
    """
    paths = [*site.getsitepackages(), *_user_site()]
    line = f"import sys, site; sys.prefix == {str(place)!r} and [*map(site.addsitedir, {paths!r})]"
    # Python runs the lines of a ``.pth`` file that begin with an import, in each interpreter that
    # adds this folder as a site. The prefix tells the folder's own from the executor's.
    (_site_packages(folder) / "_packages_of_worker.pth").write_text(line + "\n")


def _user_site() -> list[str]:
    return [site.getusersitepackages()] if site.ENABLE_USER_SITE else []


def _nbytes(folder: Path) -> int:
    return sum(
        Path(place, name).lstat().st_size for place, _, names in os.walk(folder) for name in names
    )


def _write_about(place: Path, about: About) -> None:
    _about_file(place).unlink(missing_ok=True)
    cache_folder.keep(_about_file(place), msgspec.json.encode(about))


def _remove_begun(place: Path) -> None:
    """Remove what a process has left that was killed while it built this folder."""
    for left in place.parent.glob(f".{place.name}-*"):
        shutil.rmtree(left, ignore_errors=True)


# -- all folders ---------------------------------------------------------------------------------


def entries() -> list[Entry]:
    """All folders, least recently used first, also those that are being built."""
    files = cache_folder.folder().glob("*.lock")
    return sorted(filter(None, map(_entry, files)), key=lambda entry: entry.used_at)


def _entry(file: Path) -> Entry | None:
    place = file.with_suffix("")
    about = None
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        about = msgspec.json.decode(_about_file(place).read_bytes(), type=About)
    with _alone(place) as is_alone:
        is_used = not is_alone
    if about is None and not place.is_dir() and not is_used:
        return None
    try:
        return Entry(place.name, about, file.stat().st_mtime, is_used)
    except FileNotFoundError:  # removed meanwhile
        return None


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[bool]:
    """Whether no other process uses or builds the folder; none can begin to meanwhile."""
    try:
        held = os.open(_lock_file(place), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        yield try_lock(held, fcntl.LOCK_EX)
    finally:
        os.close(held)


def remove(name: str) -> bool:
    """Remove a folder; false if a process uses it."""
    place = cache_folder.folder() / name
    with _alone(place) as is_alone:
        if not is_alone:
            return False
        # First out of its place in one step: who is killed here leaves no half of it there.
        begun = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        with contextlib.suppress(FileNotFoundError):
            place.rename(begun / "old")
        _remove_begun(place)
        _about_file(place).unlink(missing_ok=True)
    return True  # the lock stays: who waits for it with its file open would be alone with that


def make_room(most: int, among: Sequence[Entry] | None = None) -> list[str]:
    """Remove the folders that were not used for the longest time, down to so many bytes.

    Args:
        most: Bytes that are left, if enough of them are not used now.
        among: The folders that count, in the order in which they go; by default all.

    Returns:
        Their names.
    """
    found = entries() if among is None else among
    total = sum(entry.about.nbytes for entry in found if entry.about is not None)
    removed: list[str] = []
    for entry in found:
        if total <= most:
            break
        if not entry.is_used and remove(entry.name):
            total -= entry.about.nbytes if entry.about is not None else 0
            removed.append(entry.name)
    return removed


def limit() -> int:
    """Bytes that all folders may have together; the variable takes ``"5G"``, ``0`` keeps none.

    Raises:
        EnvironmentSetupError: The variable holds no size.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return LIMIT_BYTES
    try:
        return sizes.size(text, LIMIT_VARIABLE, least=0)
    except UsageError as error:
        raise EnvironmentSetupError(str(error)) from error
