"""Where the cache of this user lies: packages and bundles, which programs share."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def user_cache(variables: Mapping[str, str] = os.environ) -> Path:
    """The folder of pymonik in the user's cache; the variable ``XDG_CACHE_HOME`` moves it.

    A user without a home, as containers have that run under any number, has it in the folder of
    temporary files.

    Raises:
        PermissionError: Somebody else has made that one: what lies there would be run as code.
    """
    if base := variables.get("XDG_CACHE_HOME"):
        return _made(Path(base) / "pymonik")
    try:
        return _made(Path.home() / ".cache" / "pymonik")
    except RuntimeError:
        return _without_home()


def about_cache(error: OSError) -> str:
    """What the system says of a file in the cache, and what helps where no room can be made."""
    return f"{error}; the variable XDG_CACHE_HOME moves the cache of pymonik"


def _made(place: Path) -> Path:
    """Have it, if that can be, for its user alone, as XDG asks for the folders around it too.

    A program may have a umask that lets everybody write to what it makes. Who can write to one of
    these folders can put another in the place of the one below, and what lies there is run as code.
    """
    with contextlib.suppress(OSError):  # whoever puts something there says what is wrong with it
        missing = [one for one in (place, *place.parents) if not one.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
    return place


def _without_home() -> Path:
    place = Path(tempfile.gettempdir()) / f"pymonik-cache-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    # `lstat`, since a link of somebody else's could lead to a folder of ours.
    about = place.lstat()
    is_ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
    if not is_ours or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f"{place} belongs to somebody else; set XDG_CACHE_HOME to a folder of yours"
        )
    return place
