"""Names of files that travel: they stay below the folder for which they are meant.

Names come from others, so both ends look at them: who sends, for the sake of a good message, and
who writes, since whoever sent them may mean harm.
"""

from __future__ import annotations

from pymonik.errors import UsageError

_MOST_BYTES = 255  # of one part: what file systems of Linux take


def checked(name: object) -> str:
    """``name``, if it stays below a folder.

    Raises:
        UsageError: It does not, or no file can have it.
    """
    if not isinstance(name, str):
        raise UsageError(f"the name of a file is a text, not {name!r}")
    if reason := _reason(name):
        raise UsageError(f"a file cannot be called {name!r}: {reason}")
    return name


def is_good(name: str) -> bool:
    """Whether it stays below a folder."""
    return not _reason(name)


def _reason(name: str) -> str:
    if not name:
        return "the name is empty"
    if name.startswith("/"):
        return "it is not below the folder of the call"
    if "\0" in name:
        return "it has a zero byte in it"
    parts = name.split("/")
    if ".." in parts:
        return "it leaves the folder of the call"
    if "" in parts or "." in parts:
        return "write it without '.' and double '/'"
    try:
        too_long = any(len(part.encode()) > _MOST_BYTES for part in parts)
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    return f"a part of it is longer than {_MOST_BYTES} bytes" if too_long else ""
