"""`BundleFinder`: imports of the program's files in an executor, from bundles that it has entered.

A module is known by its dotted name alone, so that modules which a later bundle adds to a package
are found whatever folder the package was imported from. Where the file of the program itself lies
on this machine, with the same bytes, the module's ``__file__`` is that one: what lies beside it is
then what the program sees. File names in tracebacks are those of the program in any case.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any, NamedTuple

from pymonik.wire import containers
from pymonik.wire.call import BundleMeta

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MANIFEST = "manifest"
_PACKAGES = ("site-packages", "dist-packages")


class _Entered(NamedTuple):
    """A bundle whose modules can be imported."""

    folder: str
    meta: BundleMeta
    digests: dict[str, str]  # of files, by path
    folders: frozenset[str]  # that hold files, by path


class BundleFinder:
    """Finds the modules of bundles; stands in ``sys.meta_path`` before the finder of folders.

    Args:
        uses_originals: Whether files of the program may be taken from where it has them.

    Attributes:
        uses_originals: The same.
    """

    def __init__(self, *, uses_originals: bool = True) -> None:
        self.uses_originals = uses_originals
        self._bundles: dict[str, _Entered] = {}
        self._originals: dict[str, bool] = {}

    def enter(self, folder: str) -> None:
        """Let the modules of an unpacked bundle be imported; does nothing if they can be."""
        if not folder or folder in self._bundles:
            return
        with open(os.path.join(folder, MANIFEST), "rb") as file:
            meta, _ = containers.split(file.read())
        if not isinstance(meta, BundleMeta):
            raise ImportError(f"{folder} holds no bundle")
        if not self._bundles:
            self._install()
        digests = {one.path: one.digest for one in meta.files}
        entered = _Entered(folder, meta, digests, frozenset(_folders(digests)))
        self._bundles = {folder: entered, **self._bundles}  # the latest first
        self._extend_path(entered)
        # Python remembers which files a folder on the path does not have.
        importlib.invalidate_caches()
        self._import(meta.imports)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,  # noqa: ARG002 - as Python calls it
    ) -> ModuleSpec | None:
        """As in `importlib.abc.MetaPathFinder`."""
        below = fullname.replace(".", "/")
        for entered in self._bundles.values():
            for root, origin in zip(entered.meta.roots, entered.meta.origins, strict=True):
                spec = self._spec(entered, f"{root}/{below}", origin, below, fullname)
                if spec is not None:
                    return spec
        return self._namespace(fullname, below, path)

    # -- inside ----------------------------------------------------------------------------------

    def _install(self) -> None:
        finders: list[Any] = sys.meta_path
        # After the finders of built-in and frozen modules, which no file of a program replaces.
        place = finders.index(PathFinder) if PathFinder in finders else len(finders)
        finders.insert(place, self)

    def _extend_path(self, entered: _Entered) -> None:
        """Children of this process find the files by folders: they know of no finder of ours."""
        first = next((i for i, one in enumerate(sys.path) if one.endswith(_PACKAGES)), None)
        place = len(sys.path) if first is None else first
        roots = [os.path.join(entered.folder, root) for root in entered.meta.roots]
        sys.path[place:place] = roots
        sys.path += [path for path in entered.meta.paths if path not in sys.path]

    def _import(self, names: Sequence[str]) -> None:
        for name in names:
            with contextlib.suppress(Exception):  # a call that needs it fails itself
                importlib.import_module(name)

    def _spec(
        self, entered: _Entered, stem: str, origin: str, below: str, name: str
    ) -> ModuleSpec | None:
        for suffix in importlib.machinery.SOURCE_SUFFIXES:
            if f"{stem}/__init__{suffix}" in entered.digests:
                path = f"{stem}/__init__{suffix}"
                return self._source(entered, path, origin, f"{below}/__init__{suffix}", name)
            if stem + suffix in entered.digests:
                return self._source(entered, stem + suffix, origin, below + suffix, name)
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            if stem + suffix in entered.digests:
                file = os.path.join(entered.folder, stem + suffix)
                return importlib.util.spec_from_file_location(name, file)
        return None

    def _source(
        self, entered: _Entered, path: str, origin: str, below: str, name: str
    ) -> ModuleSpec | None:
        here = os.path.join(entered.folder, path)
        original = os.path.join(origin, *below.split("/"))
        is_same = self.uses_originals and self._is_original(original, entered.digests[path])
        shown = original if is_same or not os.path.exists(original) else here
        digest = entered.digests[path]
        store = os.path.dirname(os.path.dirname(entered.folder))
        content = os.path.join(store, "files", digest[:2], digest)
        loader = _Loader(name, here, content, shown)
        folder = [os.path.dirname(here)] if below.rpartition("/")[2] == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            name,
            original if is_same else here,
            loader=loader,
            submodule_search_locations=folder,
        )

    def _is_original(self, path: str, digest: str) -> bool:
        known = self._originals.get(path)
        if known is None:
            try:
                with open(path, "rb") as file:
                    known = hashlib.sha256(file.read()).hexdigest() == digest
            except OSError:
                known = False
            self._originals[path] = known
        return known

    def _namespace(self, name: str, below: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """A package without ``__init__``: its folders here, and those of installed packages."""
        folders = [
            os.path.join(entered.folder, root, below)
            for entered in self._bundles.values()
            for root in entered.meta.roots
            if f"{root}/{below}" in entered.folders
        ]
        if not folders:
            return None
        other = PathFinder.find_spec(name, path)
        if other is not None and other.loader is not None and other.origin is not None:
            return None  # a real module wins, as it does at home
        if other is not None and other.submodule_search_locations is not None:
            folders += [one for one in other.submodule_search_locations if one not in folders]
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = folders
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Reads a module from a bundle; its code says that it is of the program's file."""

    def __init__(self, name: str, path: str, content: str, shown: str) -> None:
        super().__init__(name, path)
        self._content = content
        self._shown = shown

    def get_code(self, fullname: str) -> types.CodeType | None:
        """The code, with the file name that tracebacks show.

        It is compiled once for a content: bundles that have the same file share what is compiled.
        """
        code = importlib.machinery.SourceFileLoader(fullname, self._content).get_code(fullname)
        return None if code is None else _named(code, self._shown)


def _named(code: types.CodeType, name: str) -> types.CodeType:
    constants = tuple(
        _named(one, name) if isinstance(one, types.CodeType) else one for one in code.co_consts
    )
    return code.replace(co_filename=name, co_consts=constants)


def _folders(paths: dict[str, str]) -> Iterator[str]:
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder:
            yield folder
            folder = folder.rpartition("/")[0]


bundles = BundleFinder()  # of this process, which is an executor
