"""Sizes of memory as people write them: ``"2G"``, ``"500M"``, or a number of bytes."""

from __future__ import annotations

import operator
import re

from pymonik.errors import UsageError

# Compiled when somebody first writes a size: executors import this, and most programs write none.
_SIZE = r"(?i)\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*"
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}  # powers of two


def size(value: object, name: str, *, least: int = 1) -> int:
    """Bytes; units are powers of 1024, as those of memory.

    Args:
        value: What somebody wrote.
        name: Of what it is, for the error.
        least: The least that it may be.

    Raises:
        UsageError: It is no size, or less than that.
    """
    found = re.fullmatch(_SIZE, value) if isinstance(value, str) else None
    if found is not None:
        nbytes = int(float(found[1]) * (1 << _UNITS[found[2].upper()]))
    elif isinstance(value, bool | str):
        nbytes = -1
    else:
        try:
            nbytes = operator.index(value)  # type: ignore[arg-type]  # numpy's numbers too
        except TypeError:
            nbytes = -1
    if nbytes < least:
        raise UsageError(
            f"{name} is a size such as '500M', '2G' or a number of bytes, not {value!r}"
        )
    return nbytes
