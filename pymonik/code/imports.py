"""What a piece of code imports, read from its instructions: nothing of it is run.

Instructions are read rather than the source: those of a module that was imported lie beside it,
compiled, and a function of a notebook or of ``python -c`` has no source at all.
"""

from __future__ import annotations

import dis
import importlib.machinery
import importlib.util
import types
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMPORT: Final = dis.opmap["IMPORT_NAME"]
_CONSTANT: Final = dis.opmap["LOAD_CONST"]
# From Python 3.14 on: a number without a constant.
_SMALL: Final = dis.opmap.get("LOAD_SMALL_INT", -1)
_EXTENDED: Final = dis.EXTENDED_ARG  # carries the upper bytes of the next argument
_BY_TEXT: Final = frozenset({"import_module", "__import__", "find_spec", "resolve_name"})


class _Reader(importlib.machinery.SourceFileLoader):
    """Reads a module's code, compiled beside it or not, and writes nothing."""

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Leave the folder of the program as it is."""


def code_of_file(name: str, file: str) -> types.CodeType | None:
    """The code of a module that may not have been imported; ``None`` if it cannot be read."""
    try:
        return _Reader(name, file).get_code(name)
    except (ImportError, SyntaxError, OSError, ValueError, EOFError):
        return None


def imported_names(code: types.CodeType, package: str) -> frozenset[str]:
    """Dotted names that the code may import, those inside its functions too.

    Names that are attributes of a module rather than modules are among them; whoever looks for
    their files finds out.

    Args:
        code: Of a module or a function.
        package: In which it stands, ``""`` for none: relative imports start there.
    """
    return _imported_names(code, package)


@lru_cache(maxsize=8192)
def _imported_names(code: types.CodeType, package: str) -> frozenset[str]:
    names: set[str] = set()
    for one in _all_codes(code):
        for name, level, members in _statements(one):
            base = _absolute(name, level, package)
            if base is None:
                continue
            names.update(filter(None, (base, *(f"{base}.{m}" if base else m for m in members))))
        if _BY_TEXT.intersection(one.co_names):
            names.update(_named_by_text(one, package))
    return frozenset(names)


def _all_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _all_codes(constant)


def _statements(code: types.CodeType) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """Import statements: the module, how many packages up, and what is taken from it.

    The compiler loads level and members just before the import.
    """
    data = code.co_code
    extended = 0
    before: object = None
    last: object = None
    for i in range(0, len(data), 2):
        operation, argument = data[i], data[i + 1] | extended
        if operation == _EXTENDED:
            extended = argument << 8
            continue
        extended = 0
        if operation == _CONSTANT:
            before, last = last, code.co_consts[argument]
        elif operation == _SMALL:
            before, last = last, argument
        elif operation == _IMPORT:
            level = before if isinstance(before, int) else 0
            members = last if isinstance(last, tuple) else ()
            yield code.co_names[argument], level, tuple(m for m in members if m != "*")


def _named_by_text(code: types.CodeType, package: str) -> Iterator[str]:
    """Texts in code that imports by text, where they read like modules."""
    for constant in code.co_consts:
        if not isinstance(constant, str) or not constant:
            continue
        name = constant.strip(".")  # "plugins." begins a name that is put together
        if name and all(part.isidentifier() for part in name.split(".")):
            absolute = _absolute(name, len(constant) - len(constant.lstrip(".")), package)
            if absolute:
                yield absolute


def _absolute(name: str, level: int, package: str) -> str | None:
    if not level:
        return name
    try:
        return importlib.util.resolve_name("." * level + name, package) if package else None
    except ImportError:
        return None
