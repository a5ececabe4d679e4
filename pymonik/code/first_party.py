"""Which modules are the program's own: those that a worker cannot be expected to have.

A module is *first-party* when it has a file and is neither of the standard library nor installed.
Installed is what lies in a ``site-packages`` or ``dist-packages`` folder, and what a ``RECORD``
names that a package installer left beside it (``pip install --target``). A package that is
installed as editable lies in neither: it is first-party, wherever its finder or ``.pth`` file is.
Packages that are installed, but not into this interpreter, are `Kind.VENDORED`: a worker that has
the same interpreter does not have them.
"""

from __future__ import annotations

import enum
import functools
import importlib.machinery
import os
import site
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    import types

_FOLDERS_OF_PACKAGES: Final = frozenset({"site-packages", "dist-packages"})
SUFFIXES: Final = tuple(importlib.machinery.all_suffixes())
# The folder of packages of an executor's environment; empty in all other processes.
_environments: set[str] = set()


class Kind(enum.Enum):
    """Where a module with a file belongs."""

    STANDARD = enum.auto()
    INSTALLED = enum.auto()
    VENDORED = enum.auto()
    FIRST_PARTY = enum.auto()


class Source(msgspec.Struct, frozen=True):
    """Where a module that can travel lies.

    Attributes:
        name: Dotted.
        file: ``""`` for a namespace package, which has none.
        root: The folder (or zip archive) below which its top-level name stands.
        kind: `Kind.FIRST_PARTY` or `Kind.VENDORED`.
        folders: In which its modules lie, if it is a package.
    """

    name: str
    file: str
    root: str
    kind: Kind
    folders: tuple[str, ...] = ()

    @property
    def top(self) -> str:
        """The top-level name."""
        return self.name.partition(".")[0]


def source_of(module: types.ModuleType | None, name: str) -> Source | None:
    """Where a module lies that has to travel; ``None`` for one that does not.

    Args:
        module: From ``sys.modules``.
        name: Its key there: a package under another name cannot be imported by that of its file.
    """
    if module is None or name == "__main__":
        return None
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return source_of_file(name, file)
    folders = getattr(module, "__path__", None)
    if folders is None or getattr(module, "__loader__", None) is None:
        return None
    return namespace_source(name, tuple(str(folder) for folder in folders))


def can_be_imported(module: types.ModuleType, name: str) -> bool:
    """Whether a call can import this module of ``sys.modules`` where it runs, from a file or not.

    One that was made by hand cannot, nor one that was loaded from a file of another name.
    """
    if name in sys.builtin_module_names:
        return True
    if getattr(module, "__spec__", None) is None:
        return False
    file = getattr(module, "__file__", None)
    return not isinstance(file, str) or _is_importable(name, file)


@functools.cache
def _is_importable(name: str, file: str) -> bool:
    top = name.partition(".")[0]
    if top == "pymonik":
        return True
    path = os.path.abspath(file)
    kind = kind_of_file(top, path, os.path.dirname(path))
    return kind in (Kind.STANDARD, Kind.INSTALLED) or source_of_file(name, file) is not None


def travels(name: str) -> bool:
    """Whether a module of this name has been imported from a file that goes with the calls."""
    return source_of(sys.modules.get(name), name) is not None


def is_first_party(name: str | None) -> bool:
    """Whether a module of this name has been imported, and is the program's own."""
    source = source_of(sys.modules.get(name or ""), name or "")
    return source is not None and source.kind is Kind.FIRST_PARTY


def installed_in(folder: str) -> None:
    """Count ``folder`` among those of installed packages: the environment of a task is one."""
    _environments.add(folder)
    _interpreter_folders.cache_clear()
    kind_of_file.cache_clear()
    source_of_file.cache_clear()
    _is_importable.cache_clear()


@functools.cache
def source_of_file(name: str, file: str) -> Source | None:
    """Like `source_of`, for a module that was found and not imported."""
    if name.partition(".")[0] == "pymonik":
        return None  # the worker has its own
    path = os.path.abspath(file)
    root, is_package = _root(name, path)
    if root is None:
        return None
    kind = kind_of_file(name.partition(".")[0], path, root)
    if kind in (Kind.STANDARD, Kind.INSTALLED):
        return None
    return Source(name, path, root, kind, (os.path.dirname(path),) if is_package else ())


@functools.cache
def namespace_source(name: str, folders: tuple[str, ...]) -> Source | None:
    """Like `source_of`, for a package without ``__init__``, which may lie in several folders."""
    depth = name.count(".") + 1
    for folder in folders:
        path = os.path.abspath(folder)
        root = path
        for _ in range(depth):
            root = os.path.dirname(root)
        kind = kind_of_file(name.partition(".")[0], path, root)
        if kind is Kind.FIRST_PARTY:
            return Source(name, "", root, kind, folders)
    return None


def _root(name: str, path: str) -> tuple[str | None, bool]:
    """The folder from which a file is imported under a name, and whether it is a package.

    ``None`` where the file is not called like the module: nobody could import it by name.
    """
    folder, file = os.path.split(path)
    stem, suffix = _split(file)
    parts = name.split(".")
    is_package = stem == "__init__"
    if not suffix:
        return None, False
    expected = parts if is_package else parts[:-1]
    if not is_package and stem != parts[-1]:
        return None, False
    for part in reversed(expected):
        folder, last = os.path.split(folder)
        if last != part:
            return None, False
    return folder, is_package


def _split(file: str) -> tuple[str, str]:
    for suffix in SUFFIXES:
        if file.endswith(suffix) and len(file) > len(suffix):
            return file[: -len(suffix)], suffix
    return file, ""


@functools.cache
def kind_of_file(top: str, path: str, root: str) -> Kind:
    """Where a file belongs that is imported from ``root`` under the top-level name ``top``."""
    real = os.path.realpath(path)
    packages, standard = _interpreter_folders()
    if any(_is_below(real, folder) or _is_below(path, folder) for folder in packages):
        return Kind.INSTALLED
    # In a `site-packages` folder, but of another interpreter, or on PYTHONPATH.
    if _FOLDERS_OF_PACKAGES.intersection(Path(path).parts):
        return Kind.VENDORED
    if any(_is_below(real, folder) for folder in standard):
        return Kind.STANDARD
    return Kind.VENDORED if top in _recorded(root) else Kind.FIRST_PARTY


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder + os.sep)


@functools.cache
def _interpreter_folders() -> tuple[frozenset[str], frozenset[str]]:
    """Folders of packages that are installed into this interpreter, and of its own modules."""
    packages = {sysconfig.get_path(scheme) for scheme in ("purelib", "platlib")}
    packages |= {*site.getsitepackages(), site.getusersitepackages(), *_environments}
    standard = {sysconfig.get_path(scheme) for scheme in ("stdlib", "platstdlib")}
    return _spellings(packages), _spellings(standard)


def _spellings(folders: set[str]) -> frozenset[str]:
    known = {os.path.abspath(folder) for folder in folders if folder}
    return frozenset(known | {os.path.realpath(folder) for folder in known})


@functools.cache
def _recorded(root: str) -> frozenset[str]:
    """Top-level names that an installer has put into this folder, by its records."""
    names: set[str] = set()
    try:
        records = list(Path(root).glob("*.dist-info/RECORD"))
    except OSError:
        return frozenset()
    for record in records:
        if (record.parent / "direct_url.json").exists() and _is_editable(record.parent):
            continue
        for line in record.read_text(encoding="utf-8", errors="replace").splitlines():
            top = line.partition(",")[0].strip('"').partition("/")[0]
            names.add(_split(top)[0])
    return frozenset(names)


def _is_editable(folder: Path) -> bool:
    text = (folder / "direct_url.json").read_text(encoding="utf-8", errors="replace")
    return '"editable": true' in text or '"editable":true' in text
