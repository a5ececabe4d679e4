"""What a set of modules imports, directly or through others, as far as it has to travel.

::

    names that calls refer to ─► their files ─► what those import ─► ... until nothing is new
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from functools import lru_cache
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from pymonik.code import first_party
from pymonik.code.imports import code_of_file, imported_names
from pymonik.code.travelling_files import stat_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pymonik.code.first_party import Source
    from pymonik.code.travelling_files import Stat


class Closure:
    """Modules that travel, by their dotted names; it only grows.

    Attributes:
        sources: Of the modules.
    """

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self._seen: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """Add modules, the packages around them, and what they import."""
        for name, source in each(names, self._seen, imports_of):
            if source is not None:
                self.sources[name] = source

    def forget_absent(self) -> None:
        """Look again for names that were no modules: a file may have come."""
        self._seen.intersection_update(self.sources)

    def read_again(self, files: Iterable[str]) -> None:
        """Follow the imports of files that have changed."""
        changed = set(files)
        for source in [one for one in self.sources.values() if one.file in changed]:
            self.add(imports_of(source))


def each(
    names: Iterable[str], seen: set[str], follow: Callable[[Source], Iterable[str]]
) -> Iterator[tuple[str, Source | None]]:
    """Modules, the packages around them, and what these lead to, each once.

    Args:
        names: Where to start.
        seen: What is passed over; it grows.
        follow: Gives the names that a module leads to.
    """
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        source = find(name)
        yield name, source
        if source is not None:
            if parent := name.rpartition(".")[0]:
                waiting.append(parent)
            waiting += follow(source)


def imports_of(source: Source) -> frozenset[str]:
    """Names that a module may import; empty for an extension module."""
    return _imports(source, stat_of(source.file))


# `stat` is a part of the key: a file that was edited is read again.
@lru_cache(maxsize=16_384)
def _imports(source: Source, stat: Stat | None) -> frozenset[str]:  # noqa: ARG001
    code = code_of(source)
    if code is None:
        return frozenset()
    package = source.name if source.folders else source.name.rpartition(".")[0]
    return imported_names(code, package)


def code_of(source: Source) -> types.CodeType | None:
    """The code of a module as its file is now; ``None`` where it has none that can be read."""
    if not source.file:
        return None
    if source.file.endswith(".py"):
        code = code_of_file(source.name, source.file)
        if code is not None:
            return code
    loader: Any = getattr(sys.modules.get(source.name), "__loader__", None)
    try:  # of a zip archive, for one
        code = loader.get_code(source.name) if hasattr(loader, "get_code") else None
    except (ImportError, SyntaxError, OSError):
        return None
    return code if isinstance(code, types.CodeType) else None


def find(name: str) -> Source | None:
    """Where a module lies that has to travel, imported or not; ``None`` for any other name."""
    if name in sys.modules:
        return first_party.source_of(sys.modules[name], name)
    parent, _, last = name.rpartition(".")
    if not parent:
        return _found(name, None)
    above = find(parent)
    if above is None or not above.folders:
        return None
    loaded = sys.modules.get(parent)
    # `from package import name` reads the same for an attribute and for a module.
    if hasattr(loaded, last) and not isinstance(getattr(loaded, last), types.ModuleType):
        return None
    return _found(name, above.folders)


def _found(name: str, folders: tuple[str, ...] | None) -> Source | None:
    try:
        if folders is None:
            spec = importlib.util.find_spec(name)
        else:
            spec = PathFinder.find_spec(name, list(folders))
    except KeyError:  # a namespace package in another one that is not imported
        return _namespace_below(name, folders or ())
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    if spec.has_location and spec.origin:
        return first_party.source_of_file(name, spec.origin)
    if spec.submodule_search_locations is None:
        return None
    if folders is None:
        return first_party.namespace_source(name, tuple(spec.submodule_search_locations))
    return _namespace_below(name, folders)


def _namespace_below(name: str, folders: tuple[str, ...]) -> Source | None:
    last = name.rpartition(".")[2]
    below = (os.path.join(folder, last) for folder in folders)
    return first_party.namespace_source(name, tuple(filter(os.path.isdir, below)))
