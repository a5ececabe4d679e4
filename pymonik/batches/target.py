"""`Target`: where the files of the calls of one `map_invoke` are saved."""

from __future__ import annotations

import os
import string
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pymonik.errors import UsageError
from pymonik.wire import names

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELDS: Final = ("i", "name", "stem", "suffix")


class Target:
    """A path with fields.

    ``{i}`` is the number of the call, ``{name}`` that of the file, or ``{stem}`` and ``{suffix}``.

    Args:
        pattern: Such as ``"batch/task_{i}_{name}"``.

    Attributes:
        folder: The one in which all that is saved lies.
    """

    def __init__(self, pattern: str | os.PathLike[str]) -> None:
        """Look at a pattern.

        Raises:
            UsageError: It has a field that there is not, or none for the number of the call.
        """
        self.pattern = os.fspath(pattern)
        if self.pattern.endswith("/"):
            self.pattern += "{i}_{name}"
        pieces = self._pieces()
        fields = [field for _, field in pieces if field is not None]
        if unknown := [field for field in fields if field not in _FIELDS]:
            known = ", ".join(f"{{{field}}}" for field in _FIELDS)
            raise UsageError(f"{{{unknown[0]}}} in {self.pattern!r} is no field; there are {known}")
        if "i" not in fields:
            raise UsageError(
                f"{self.pattern!r} has no {{i}}: all calls would be saved to the same file"
            )
        self.folder = Path(os.path.dirname(pieces[0][0]) or ".")  # noqa: PTH120

    def _pieces(self) -> list[tuple[str, str | None]]:
        try:
            parsed = list(string.Formatter().parse(self.pattern))
            if all(field in (None, *_FIELDS) for _, field, _, _ in parsed):  # else it is named
                # Tried once: a format such as ``{name:d}`` is an error at the call and not when the
                # first call ends.
                self.pattern.format(i=0, name="a.b", stem="a", suffix=".b")
        except ValueError as error:
            raise UsageError(f"{self.pattern!r}: {error}") from None
        return [(text, field) for text, field, _, _ in parsed]

    def path(self, index: int, name: str) -> Path:
        """Where a file of a call is saved.

        Raises:
            UsageError: Its name leads elsewhere.
        """
        names.checked(name)
        stem, suffix = os.path.splitext(name)  # noqa: PTH122
        return Path(self.pattern.format(i=index, name=name, stem=stem, suffix=suffix))

    def paths(self, index: int, files: Iterable[str]) -> dict[str, Path]:
        """Where the files of a call are saved, by their names.

        Raises:
            UsageError: Two of them would be one file.
        """
        paths: dict[str, Path] = {}
        for name in files:
            path = self.path(index, name)
            if path in paths.values():
                raise UsageError(
                    f"call {index} has several files, and all would be saved to {path}: "
                    f"write {{name}} into {self.pattern!r}"
                )
            paths[name] = path
        return paths
